package policy

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/dynconfig/dynconfig/core"
)

//go:embed acl.rego authz.rego
var shipped embed.FS

// policy is a set that has compiled, with the rules that are always there.
type policy struct {
	generation uint64
	digest     string              // of all that decides
	set        atomic.Pointer[Set] // what was loaded; its revision may change, what is in it not
	query      ast.Body            // binds answerVar to the answer
	noted      ast.Ref             // if not nil, of which rule a run's memo has the answer; query then binds nothing
	compiler   *ast.Compiler
	store      storage.Store
	txn        storage.Transaction // stays open: nobody writes to the store
	data       baseData
	native     map[string]*topdown.Builtin
	reads      reads
	reaches    bool      // hosts, by http.send
	memos      sync.Pool // of *memo
}

const (
	decisionPath = "data.dynconfig.authz.decision"
	answerVar    = ast.Var("answer")
)

// compile builds a policy for inputs that the server writes, or says what is wrong with the set, by file and line.
func compile(ctx context.Context, set Set, admins, hosts []string) (*policy, error) {
	return compileWith(ctx, set, admins, hosts, native())
}

// compileWith builds a policy whose shipped rules call functions; nil: it stands as it is written, for inputs by any hand.
func compileWith(ctx context.Context, set Set, admins, hosts []string, functions map[string]*topdown.Builtin) (*policy, error) {
	boundBuiltins()
	modules, err := parse(set)
	if err != nil {
		return nil, err
	}
	store, err := dataOf(set, admins)
	if err != nil {
		return nil, err
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities(hosts)).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if compiler.Compile(modules); compiler.Failed() {
		return nil, refused(compiler.Errors)
	}
	if len(compiler.GetRulesExact(ast.MustParseRef(decisionPath))) == 0 {
		return nil, invalid("modules", "Policy does not define %s", decisionPath)
	}
	quicken(compiler, functions)
	path := answering(compiler)
	p := &policy{compiler: compiler, store: store, txn: txn, native: functions, reads: readsOf(compiler), reaches: reaches(compiler)}
	answer := ast.NewTerm(answerVar)
	if complete(compiler, path) {
		p.noted, answer = path, ast.ObjectTerm()
	}
	p.query = ast.NewBody(ast.Equality.Expr(answer, ast.NewTerm(path))) // as a compiler would write it
	p.data, err = baseDataOf(ctx, store, txn)
	return p, err
}

// reaches reports whether a policy may call a host.
func reaches(c *ast.Compiler) bool {
	return called(c)[ast.HTTPSend.Name]
}

// complete reports whether a rule has one value, of which nothing stands in rules of its own.
func complete(c *ast.Compiler, path ast.Ref) bool {
	return !slices.ContainsFunc(c.GetRulesExact(path), func(r *ast.Rule) bool {
		return r.Head.DocKind() != ast.CompleteDoc || len(r.Head.Args) > 0 || !r.Ref().Equal(path)
	})
}

// answering is the rule that decides: decisionPath's, or the one that it does nothing but name, as in the shipped set, which
// saves a copy of each answer.
func answering(c *ast.Compiler) ast.Ref {
	path := ast.MustParseRef(decisionPath)
	for {
		rules := c.GetRulesExact(path)
		if len(rules) != 1 {
			return path
		}
		named := alias(rules[0])
		if named == nil || len(c.GetRulesExact(named)) == 0 {
			return path
		}
		path = named
	}
}

// alias returns the rule that another is a mere name of, nil if it is more. Compiled, "a := data.b" is "a := x if x = data.b".
func alias(r *ast.Rule) ast.Ref {
	if len(r.Head.Args) > 0 || r.Head.Key != nil || r.Else != nil || len(r.Body) != 1 {
		return nil
	}
	e := r.Body[0]
	if !e.IsEquality() || e.Negated || len(e.With) > 0 || !e.Operand(0).Equal(r.Head.Value) {
		return nil
	}
	named, ok := e.Operand(1).Value.(ast.Ref)
	if _, variable := r.Head.Value.Value.(ast.Var); !ok || !variable || !named.HasPrefix(ast.DefaultRootRef) || !named.IsGround() {
		return nil
	}
	return named
}

// parse reads the shipped modules and the set's, which may not touch what is always there.
func parse(set Set) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	files := []string{"acl.rego"}
	own := set.rules()
	if len(own) == 0 {
		files = append(files, "authz.rego")
	}
	for _, file := range files {
		text, err := shipped.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if modules[shippedFile(file)], err = ast.ParseModuleWithOpts(file, string(text), regoV1()); err != nil {
			return nil, err
		}
	}
	for _, file := range own {
		m, err := ast.ParseModuleWithOpts(file, set.Modules[file], regoV1())
		if err != nil {
			return nil, refused(err)
		}
		if rule := redefinition(m); rule != nil {
			return nil, fault(rule.Location, "the packages dynconfig.acl and dynconfig.config are the server's own")
		}
		modules["set/"+file] = m
	}
	return modules, nil
}

func shippedFile(name string) string { return "shipped/" + name }

func regoV1() ast.ParserOptions { return ast.ParserOptions{RegoVersion: ast.RegoV1} }

// redefinition returns a rule of m that would stand in, or around, a package of the server's own.
func redefinition(m *ast.Module) *ast.Rule {
	for _, rule := range m.Rules {
		path := m.Package.Path.Extend(rule.Head.Ref()).ConstantPrefix()
		for _, own := range []string{"data.dynconfig.acl", "data.dynconfig.config"} {
			if own := ast.MustParseRef(own); path.HasPrefix(own) || own.HasPrefix(path) {
				return rule
			}
		}
	}
	return nil
}

// dataOf is the set's data with the server's own beside it.
func dataOf(set Set, admins []string) (storage.Store, error) {
	if _, taken := set.Data["dynconfig"]; taken {
		return nil, invalid("data.dynconfig", "Policy data may not hold \"dynconfig\", which is the server's own")
	}
	if _, err := ast.InterfaceToValue(set.Data); err != nil {
		return nil, invalid("data", "Policy data is not JSON").Because(err)
	}
	list := make([]any, len(admins))
	for i, name := range admins {
		list[i] = name
	}
	data := map[string]any{"dynconfig": map[string]any{"config": map[string]any{"admins": list}}}
	maps.Copy(data, set.Data)
	return inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true), inmem.OptRoundTripOnWrite(false)), nil
}

// capabilities are what a policy may use: everything that OPA has, but for what reaches outside, signs, or answers by
// chance. With hosts, http.send may call those.
func capabilities(hosts []string) *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = append([]string{}, hosts...) // nil would allow all
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		switch b.Name {
		case "http.send":
			return len(hosts) == 0
		case "net.lookup_ip_addr", "opa.runtime", "rand.intn", "uuid.rfc4122", "json.match_schema", "json.verify_schema",
			"rego.parse_module", "regex.globs_match", "graph.reachable_paths", "strings.render_template": // the last two may never end
			return true
		}
		return strings.HasPrefix(b.Name, "io.jwt.encode_sign")
	})
	return c
}

// refused turns what the compiler says into an error with file and line for each fault.
func refused(err error) error {
	var list ast.Errors
	if one := (*ast.Error)(nil); errors.As(err, &one) {
		list = ast.Errors{one}
	} else if !errors.As(err, &list) {
		return core.Errorf(core.ErrInvalid, "Policy does not compile").Because(err)
	}
	e := core.Errorf(core.ErrInvalid, "Policy does not compile")
	for _, one := range list {
		if f := (core.FieldError{Path: place(one.Location), Reason: one.Message}); !slices.Contains(e.Fields, f) {
			e.Fields = append(e.Fields, f)
		}
	}
	if len(e.Fields) > 0 {
		e.Detail = fmt.Sprintf("Policy does not compile: %s: %s", e.Fields[0].Path, e.Fields[0].Reason)
	}
	return e
}

// invalid is what is wrong with a part of a set.
func invalid(path, format string, args ...any) *core.Error {
	e := core.Errorf(core.ErrInvalid, format, args...)
	e.Fields = []core.FieldError{{Path: path, Reason: e.Detail}}
	return e
}

func fault(at *ast.Location, reason string) error {
	return refused(ast.Errors{{Location: at, Message: reason}})
}

func place(at *ast.Location) string {
	switch {
	case at == nil:
		return "modules"
	case at.Row == 0: // the module as a whole
		return at.File
	}
	return fmt.Sprintf("%s:%d", at.File, at.Row)
}
