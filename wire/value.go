package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dynconfig/dynconfig/core"
)

// Value is one JSON value inside a message: its text, exactly as sent but for outer white space, and where it stands.
//
// Messages are read with it rather than with encoding/json, which takes members in another case and lets the last of
// several win: two readers of one message could then disagree on what it says.
type Value struct {
	Raw  []byte // of the message itself, not a copy
	Path string // such as "acls.read"; empty for the whole message
}

// Object reads text as one JSON object and hands each of its members to visit, in order. Text that is not JSON, or an object
// in which a member stands twice, is core.ErrMalformed. What visit finds not valid (core.ErrInvalid) is gathered, so that one
// answer tells all of it; any other error of visit ends the reading.
func Object(text []byte, visit func(name string, member Value) error) error {
	if !utf8.Valid(text) {
		return core.Errorf(core.ErrMalformed, "Broken JSON: not UTF-8")
	}
	begin := space(text, 0)
	var faults error
	end, err := begin, error(nil)
	if begin < len(text) && text[begin] != '{' {
		if end, err = scan(text, begin, MaxDepth); err == nil {
			faults = Fault("", "must be an object")
		}
	} else {
		end, faults, err = members(text, begin, "", visit)
	}
	if err == nil && space(text, end) != len(text) {
		err = &fault{at: space(text, end)}
	}
	if err != nil {
		return told(err, "")
	}
	return faults
}

// told turns a fault of the scanner into an error for the caller.
func told(err error, path string) error {
	var f *fault
	switch {
	case !errors.As(err, &f):
		return err
	case f.deep:
		return Fault(path, fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	return core.Errorf(core.ErrMalformed, "Broken JSON at byte %d", f.at)
}

// Fault makes the error for a part of a well-formed message that is not valid.
func Fault(path, reason string) *core.Error {
	path = short(path)
	detail := "Request is not valid: " + reason
	if path != "" {
		detail = "Request is not valid: " + path + ": " + reason
	}
	return &core.Error{Kind: core.ErrInvalid, Detail: detail, Fields: []core.FieldError{{Path: path, Reason: reason}}}
}

// short cuts a path that a caller made long, so that an answer is not as large as the request.
func short(path string) string {
	const most = 200
	if len(path) <= most {
		return path
	}
	return strings.ToValidUTF8(path[:most], "") + "…"
}

// Fault makes the error for v that is not valid.
func (v Value) Fault(reason string) *core.Error { return Fault(v.Path, reason) }

// Unknown makes the error for a member that the message does not have.
func (v Value) Unknown() *core.Error { return v.Fault("unknown member") }

// Null reports whether v is null.
func (v Value) Null() bool { return string(v.Raw) == "null" }

// maxFaults is how many faults of one message are told.
const maxFaults = 20

// Members hands each member of an object to visit, as Object does.
func (v Value) Members(visit func(name string, member Value) error) error {
	if v.Raw[0] != '{' {
		return v.Fault("must be an object")
	}
	_, faults, err := members(v.Raw, 0, v.Path, visit)
	if err != nil {
		return told(err, v.Path)
	}
	return faults
}

// members reads the object that begins at i: where it ends, what is not valid in it, and what ended the reading.
func members(b []byte, i int, path string, visit func(name string, member Value) error) (end int, faults, err error) {
	if i >= len(b) {
		return i, nil, &fault{at: i}
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil, nil
	}
	var seen names
	var found gathered
	for {
		quoted, begin, err := scanName(b, i)
		if err != nil {
			return i, nil, err
		}
		name, whole := unquote(quoted)
		if !whole {
			return i, nil, &fault{at: i}
		}
		member := Value{Path: name}
		if path != "" {
			member.Path = path + "." + name
		}
		if end, err = scan(b, begin, MaxDepth); err != nil {
			return end, nil, told(err, member.Path)
		}
		if seen.again(name) {
			return end, nil, &core.Error{
				Kind: core.ErrMalformed, Detail: "A member stands there twice",
				Fields: []core.FieldError{{Path: short(member.Path), Reason: "repeated member"}},
			}
		}
		member.Raw = b[begin:end:end]
		if err := found.add(visit(name, member)); err != nil {
			return end, nil, err
		}
		switch i = space(b, end); {
		case i < len(b) && b[i] == '}':
			return i + 1, found.err(), nil
		case i >= len(b) || b[i] != ',':
			return i, nil, &fault{at: i}
		}
		i = space(b, i+1)
	}
}

// Elements hands each element of an array to visit, in order, and gathers faults as Members does.
func (v Value) Elements(visit func(element Value) error) error {
	if v.Raw[0] != '[' {
		return v.Fault("must be an array")
	}
	var faults gathered
	b := v.Raw
	for i, n := space(b, 1), 0; b[i] != ']'; n++ {
		end, err := scan(b, i, MaxDepth)
		if err != nil {
			return told(err, v.Path)
		}
		if err := visit(Value{Raw: b[i:end]}); err != nil {
			var e *core.Error
			if errors.As(err, &e) {
				for f := range e.Fields {
					e.Fields[f].Path = v.Path + "[" + strconv.Itoa(n) + "]" + e.Fields[f].Path
				}
			}
			if err := faults.add(err); err != nil {
				return err
			}
		}
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return faults.err()
}

// ReadString reads a string.
func (v Value) ReadString() (string, error) {
	if v.Raw[0] != '"' {
		return "", v.Fault("must be a string")
	}
	s, whole := unquote(v.Raw)
	if !whole {
		return "", v.Fault("holds half a surrogate pair")
	}
	return s, nil
}

// ReadStrings reads an array of strings; null is nil.
func (v Value) ReadStrings() ([]string, error) {
	if v.Null() {
		return nil, nil
	}
	list := []string{}
	err := v.Elements(func(e Value) error {
		s, err := e.ReadString()
		list = append(list, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ReadInt reads a whole number written as one: digits, perhaps with a minus.
func (v Value) ReadInt() (int64, error) {
	n, err := strconv.ParseInt(string(v.Raw), 10, 64)
	if err != nil {
		return 0, v.Fault("must be a whole number")
	}
	return n, nil
}

// ReadBool reads true or false.
func (v Value) ReadBool() (bool, error) {
	switch string(v.Raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, v.Fault("must be true or false")
}

// names remembers the members seen: a few in a list, many in a map, so that a message of very many stays cheap.
type names struct {
	few  [8]string
	n    int
	many map[string]bool
}

// again remembers a name and reports whether it was there before.
func (s *names) again(name string) bool {
	for _, known := range s.few[:s.n] {
		if known == name {
			return true
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return false
	}
	if s.many[name] {
		return true
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	s.many[name] = true
	return false
}

// gathered is the faults of a message so far.
type gathered struct{ all *core.Error }

// add keeps a fault and returns any other error.
func (g *gathered) add(err error) error {
	var e *core.Error
	if err == nil || !errors.As(err, &e) || !errors.Is(e.Kind, core.ErrInvalid) {
		return err
	}
	if g.all == nil {
		g.all = e
	} else if room := maxFaults - len(g.all.Fields); room > 0 {
		g.all.Fields = append(g.all.Fields, e.Fields[:min(room, len(e.Fields))]...)
	}
	return nil
}

func (g *gathered) err() error {
	if g.all == nil {
		return nil
	}
	return g.all
}
