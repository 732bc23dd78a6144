package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// regoFiles reads every .rego file of this directory.
func regoFiles(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.rego")
	if err != nil || len(names) < 4 {
		t.Fatalf("files %v, error %v", names, err)
	}
	files := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

func TestRegoTestsOfTheShippedRulesPass(t *testing.T) {
	modules := map[string]*ast.Module{}
	for name, text := range regoFiles(t) {
		modules[name] = ast.MustParseModuleWithOpts(text, regoV1())
	}
	store := inmem.New()
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).SetTimeout(time.Minute).RaiseBuiltinErrors(true).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		if !r.Pass() {
			t.Errorf("%s.%s: %v %s", r.Package, r.Name, r.Error, r.Output)
		}
	}
	if ran < 15 {
		t.Errorf("%d Rego tests ran, want all of them", ran)
	}
}

func TestRegoIsFormattedAndCompilesStrictly(t *testing.T) {
	modules := map[string]*ast.Module{}
	for name, text := range regoFiles(t) {
		formatted, err := format.Source(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if string(formatted) != text {
			t.Errorf("%s is not as opa fmt writes it", name)
		}
		modules[name] = ast.MustParseModuleWithOpts(text, regoV1())
	}
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities(nil))
	if compiler.Compile(modules); compiler.Failed() {
		t.Errorf("strict compile: %v", compiler.Errors)
	}
}

func TestShippedRulesReadOnlyWhatEveryAnswerDependsOn(t *testing.T) {
	a := open(t, Set{})
	if r := a.current.Load().reads; r.key || r.operation || r.changes || r.address || r.anyClaim() || r.volatile {
		t.Errorf("shipped rules read %+v, want nothing beyond lists, kind, action and username", r)
	}
	for name, text := range regoFiles(t) {
		if strings.Contains(text, "request.") && !strings.HasSuffix(name, "_test.rego") {
			t.Errorf("%s looks at the request", name)
		}
	}
}

// open makes an Authorizer whose server admin is admin-user.
func open(tb testing.TB, set Set) *Authorizer {
	tb.Helper()
	a, err := New(tb.Context(), Options{Admins: []string{"admin-user"}, Set: set})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}
