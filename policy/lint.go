package policy

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/schemas"
)

// Linted is what Lint finds in a set that a server would load all the same.
type Linted struct {
	Faults []core.FieldError // by file and line: what cannot be as it was meant
}

// Lint compiles a set as a server does, its tests too, and then once more with the types of the input known, as opa check
// --schema does: a member that the input does not have is a fault. extra holds further schemas by file name, for annotations;
// nil: none. An error means that a server would not load the set.
func Lint(ctx context.Context, set Set, o CompileOptions, extra fs.FS) (Linted, error) {
	if _, err := Compile(ctx, set, o); err != nil {
		return Linted{}, err
	}
	s, err := newSuite(ctx, set, TestOptions{CompileOptions: o})
	if err != nil {
		return Linted{}, err
	}
	defer s.store.Abort(context.WithoutCancel(ctx), s.txn)
	if s.compiler.Compile(s.modules); s.compiler.Failed() {
		return Linted{}, refused(s.compiler.Errors)
	}
	known, err := schemaSet(extra)
	if err != nil {
		return Linted{}, err
	}
	modules, err := parse(set)
	if err != nil {
		return Linted{}, err
	}
	for _, name := range set.rules() {
		annotated := regoV1()
		annotated.ProcessAnnotation = true
		if modules["set/"+name], err = ast.ParseModuleWithOpts(name, set.Modules[name], annotated); err != nil {
			return Linted{Faults: faults(err)}, nil
		}
	}
	c := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities(o.Hosts)).WithSchemas(known).WithUseTypeCheckAnnotations(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, s.txn))
	if c.Compile(modules); c.Failed() {
		return Linted{Faults: faults(c.Errors)}, nil
	}
	return Linted{Faults: decisionFaults(c)}, nil
}

// faults are what the compiler says, with what it expected where it knows.
func faults(err error) []core.FieldError {
	var list ast.Errors
	if !errors.As(err, &list) {
		return []core.FieldError{{Path: "modules", Reason: err.Error()}}
	}
	var found []core.FieldError
	for _, one := range list {
		f := core.FieldError{Path: place(one.Location), Reason: one.Message}
		if one.Details != nil {
			for _, line := range one.Details.Lines() {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "want") {
					f.Reason += ", " + line
				}
			}
		}
		if !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	return found
}

// schemaSet holds the published schemas, that of the input for all modules too, and others by the names of their files.
func schemaSet(extra fs.FS) (*ast.SchemaSet, error) {
	set := ast.NewSchemaSet()
	for _, from := range []fs.FS{extra, schemas.Files} { // the last wins
		if from == nil {
			continue
		}
		names, err := fs.Glob(from, "*.json")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := fs.ReadFile(from, name)
			if err != nil {
				return nil, err
			}
			var schema any
			if err := util.UnmarshalJSON(text, &schema); err != nil || !json.Valid(text) {
				return nil, core.Errorf(core.ErrInvalid, "Schema %s is not JSON", name).Because(err)
			}
			set.Put(ast.Ref{ast.SchemaRootDocument, ast.StringTerm(strings.TrimSuffix(path.Base(name), ".json"))}, schema)
		}
	}
	set.Put(ast.SchemaRootRef, set.Get(ast.MustParseRef("schema.input")))
	return set, nil
}

// decisionFaults finds answers that a server would not understand, as far as their type is known: those without allow, and
// members that are near to what they should be called.
func decisionFaults(c *ast.Compiler) []core.FieldError {
	var found []core.FieldError
	at := place(c.GetRulesExact(ast.MustParseRef(decisionPath))[0].Location)
	say := func(reason string) {
		if f := (core.FieldError{Path: at, Reason: reason}); !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	var look func(t types.Type)
	look = func(t types.Type) {
		switch t := t.(type) {
		case types.Any:
			for _, one := range t {
				look(one)
			}
		case *types.Object:
			allow := t.DynamicProperties() != nil
			for _, p := range t.StaticProperties() {
				name, _ := p.Key.(string)
				allow = allow || name == "allow"
				if !slices.Contains([]string{"allow", "rule", "reason", "grant"}, name) {
					say("the decision has a member " + name + ", which means nothing to a server")
				}
			}
			if !allow {
				say("the decision may be without allow, which denies by rule " + RuleError)
			}
		case *types.Set, *types.Array, types.Boolean, types.Number, types.String, types.Null:
			say("the decision may be no object, which denies by rule " + RuleError)
		}
	}
	look(c.TypeEnv.GetByRef(ast.MustParseRef(decisionPath)))
	return found
}
