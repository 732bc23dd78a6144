package rest

import (
	"encoding/json"
	"io/fs"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Sizes of what the policy operations take.
const (
	maxSet          = 1 << 20    // bytes of a set's names, modules and data
	maxSetBody      = 4 * maxSet // of a body that brings one, which may escape much of it
	maxQuestionBody = 64 << 10   // of any other
	maxNote         = 4096       // of a note
	maxRevision     = 128        // of a name of a set
	maxModuleName   = 200        // of a file's name
	maxModules      = 500        // files in a set
)

// setBody reads a set.
func (c *call) setBody() (set wire.PolicySet, err error) {
	err = c.object(maxSetBody, func(name string, v wire.Value) error { return readSet(&set, name, v) })
	if err == nil {
		err = checkSet(set)
	}
	return set, err
}

// readSet reads a member of a set.
func readSet(set *wire.PolicySet, name string, v wire.Value) (err error) {
	switch name {
	case "modules":
		set.Modules, err = readModules(v)
	case "data":
		if v.Raw[0] != '{' {
			return v.Fault("must be an object")
		}
		set.Data = v.Raw
		_, err = readAny(v)
	case "note":
		set.Note, err = readText(v, maxNote)
	default:
		err = v.Unknown()
	}
	return err
}

func readModules(v wire.Value) (map[string]string, error) {
	modules := map[string]string{}
	err := v.Members(func(name string, v wire.Value) error {
		switch text, err := v.ReadString(); {
		case err != nil:
			return err
		case !fs.ValidPath(name) || !strings.HasSuffix(name, ".rego") || len(name) > maxModuleName || strings.ContainsFunc(name, badInName):
			return v.Fault("must be named as a file is, such as authz.rego or teams/rules.rego")
		case len(modules) == maxModules:
			return v.Fault("more than 500 files")
		default:
			modules[name] = text
			return nil
		}
	})
	return modules, err
}

func badInName(r rune) bool { return r < ' ' || r == '\\' || r == ':' || r >= 0x7f && r <= 0x9f }

// checkSet reports what is wrong with a set as a whole.
func checkSet(set wire.PolicySet) error {
	if set.Modules == nil {
		return required("modules")
	}
	size := len(set.Data)
	for name, text := range set.Modules {
		size += len(name) + len(text)
	}
	if size > maxSet {
		return core.Errorf(core.ErrTooLarge, "The modules and data are larger than %d bytes", maxSet)
	}
	return nil
}

// readAny reads a value with its numbers exact, and refuses members that stand there twice at any depth: the policy would
// see one of them, and its author mean the other.
func readAny(v wire.Value) (any, error) {
	switch v.Raw[0] {
	case '{':
		object := map[string]any{}
		err := v.Members(func(name string, v wire.Value) (err error) {
			object[name], err = readAny(v)
			return err
		})
		return object, err
	case '[':
		list := []any{}
		err := v.Elements(func(v wire.Value) error {
			element, err := readAny(v)
			list = append(list, element)
			return err
		})
		return list, err
	case '"':
		return v.ReadString()
	case 't', 'f':
		return v.ReadBool()
	case 'n':
		return nil, nil
	}
	return json.Number(v.Raw), nil
}

func noteSchema() *huma.Schema {
	return &huma.Schema{Type: "string", MaxLength: whole(maxNote), Description: "Why, for the history."}
}

func setSchema() *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: false, Required: []string{"modules"}, Properties: map[string]*huma.Schema{
		"modules": {
			Type: "object", AdditionalProperties: text(),
			Description: "Rego by file name, such as `authz.rego`; those of tests end in `_test.rego`. None: the shipped rules alone. " +
				"With data at most 1,048,576 bytes; what is put must fit 1,044,480 as it is stored: the JSON of modules, data and note, and with `confirm` of the set that it would go back to.",
		},
		"data": {Type: "object", AdditionalProperties: true, Description: "What the modules find under `data`."},
		"note": noteSchema(),
	}}
}

func setBody(about string) *huma.RequestBody {
	s := setSchema()
	s.Description = about
	return jsonBody(s, exampleSet)
}
