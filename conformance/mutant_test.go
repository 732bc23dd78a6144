package conformance

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { VerifyMain(m) }

// mutant is a backend that breaks a promise on purpose.
type mutant struct {
	does   string                       // what it does wrong
	caught string                       // the promise that must notice
	infect func() func(b *core.Backend) // called for each store; what it returns, for each handle on it
}

func TestEveryMutantIsCaughtByThePromiseItBreaks(t *testing.T) {
	tested := map[string]promise{}
	for _, p := range promises() {
		tested[p.name] = p
	}
	for _, m := range mutants() {
		t.Run(m.does, func(t *testing.T) {
			t.Parallel()
			p, ok := tested[m.caught]
			if !ok {
				t.Fatalf("there is no promise %q", m.caught)
			}
			w := newWard(m.infect)
			for range tries {
				if failures := record(t, func(t testing.TB) { p.test(t, newSubject(t, w.open, w.options())) }); failures != nil {
					t.Logf("caught: %s", firstLine(failures))
					return
				}
			}
			t.Errorf("the promise %q is kept by a store that %s", m.caught, m.does)
		})
	}
}

func TestNoPromiseIsWithoutAMutant(t *testing.T) {
	all := mutants()
	for _, p := range promises() {
		if !slices.ContainsFunc(all, func(m mutant) bool { return m.caught == p.name }) {
			t.Errorf("no mutant breaks %q: it may be impossible to break", p.name)
		}
	}
}

func TestAHealthyBackendWithEveryPartKeepsEveryPromise(t *testing.T) {
	w := newWard(func() func(*core.Backend) { return func(*core.Backend) {} })
	o := w.options()
	o.sick = false
	Run(t, w.open, o)
	RunModel(t, w.open, o)
	RunLinearizable(t, w.open, o)
}

func TestAKnownFailureThatPassesFailsTheRun(t *testing.T) {
	healthy := newWard(func() func(*core.Backend) { return func(*core.Backend) {} })
	sick := newWard(mutants()[0].infect)
	p := promises()[slices.IndexFunc(promises(), func(p promise) bool { return p.name == mutants()[0].caught })]
	if record(t, func(t testing.TB) { failsAsKnown(t, p, healthy.open, healthy.options(), "a reason") }) == nil {
		t.Errorf("a known failure that passes does not fail the run")
	}
	if f := record(t, func(t testing.TB) { failsAsKnown(t, p, sick.open, sick.options(), "a reason") }); f != nil {
		t.Errorf("a known failure fails the run: %q", f)
	}
}

func firstLine(failures []string) string {
	line, _, _ := strings.Cut(failures[0], "\n")
	return line
}

func mutants() []mutant {
	return slices.Concat(commitMutants, checkMutants, readMutants, logMutants, lifeMutants, partMutants)
}

// ward keeps backends over memory, all with the same disease.
type ward struct {
	infect func() func(b *core.Backend)
	mu     sync.Mutex
	beds   map[*core.Backend]bed
}

// bed is what belongs to the store of a backend.
type bed struct {
	store *memory.Store
	wrap  func(b *core.Backend)
	gate  *gate
	parts *parts
}

func newWard(infect func() func(b *core.Backend)) *ward {
	return &ward{infect: infect, beds: map[*core.Backend]bed{}}
}

func (w *ward) open(testing.TB) *core.Backend {
	b := memory.Open(memory.Options{Shared: true})
	return w.admit(b, bed{wrap: w.infect(), gate: &gate{}, parts: newParts()})
}

// admit makes b a node with every part: a line to its server that Break cuts, a cache, a limiter; then the disease.
func (w *ward) admit(b *core.Backend, d bed) *core.Backend {
	d.store = b.Store.(*memory.Store)
	b.Store = &gated{Store: b.Store, gate: d.gate}
	b.Bus = &gatedBus{Bus: b.Bus, gate: d.gate}
	b.Cache, b.Limiter = d.parts, d.parts
	d.wrap(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beds[b] = d
	return b
}

func (w *ward) bed(b *core.Backend) bed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beds[b]
}

func (w *ward) options() Options {
	peer := func(_ testing.TB, b *core.Backend) *core.Backend {
		d := w.bed(b)
		return w.admit(d.store.Peer(), d)
	}
	return Options{
		sick: true,
		Peer: peer,
		Reopen: func(t testing.TB, b *core.Backend) *core.Backend {
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return peer(t, b)
		},
		Break: func(_ testing.TB, b *core.Backend) { w.bed(b).gate.cut() },
	}
}

// patched is a Store of which some methods do something else with the one behind it.
type patched struct {
	core.Store
	commit  func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error)
	sync    func(ctx context.Context, s core.Store) (core.Revision, error)
	get     func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error)
	list    func(ctx context.Context, s core.Store, q core.Query) (core.Page, error)
	page    func(p core.Page) core.Page // of get and list
	log     func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error)
	history func(ctx context.Context, s core.Store, key core.Key, before core.Revision, limit int) ([]core.Record, error)
	compact func(ctx context.Context, s core.Store, upTo core.Revision, keep int) error
	status  func(ctx context.Context, s core.Store) (core.Status, error)
}

// patch is the disease of a mutant without a state of its own.
func patch(p patched) func() func(*core.Backend) {
	return func() func(*core.Backend) { return p.infect }
}

func (p patched) infect(b *core.Backend) {
	p.Store = b.Store
	b.Store = &p
}

func (p *patched) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if p.commit != nil {
		return p.commit(ctx, p.Store, txn)
	}
	return p.Store.Commit(ctx, txn)
}

func (p *patched) Sync(ctx context.Context) (core.Revision, error) {
	if p.sync != nil {
		return p.sync(ctx, p.Store)
	}
	return p.Store.Sync(ctx)
}

func (p *patched) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (page core.Page, err error) {
	if p.get != nil {
		page, err = p.get(ctx, p.Store, keys, atLeast)
	} else {
		page, err = p.Store.Get(ctx, keys, atLeast)
	}
	if p.page != nil && err == nil {
		page = p.page(page)
	}
	return page, err
}

func (p *patched) List(ctx context.Context, q core.Query) (page core.Page, err error) {
	if p.list != nil {
		page, err = p.list(ctx, p.Store, q)
	} else {
		page, err = p.Store.List(ctx, q)
	}
	if p.page != nil && err == nil {
		page = p.page(page)
	}
	return page, err
}

func (p *patched) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	if p.log != nil {
		return p.log(ctx, p.Store, after, limit)
	}
	return p.Store.Log(ctx, after, limit)
}

func (p *patched) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	if p.history != nil {
		return p.history(ctx, p.Store, key, before, limit)
	}
	return p.Store.History(ctx, key, before, limit)
}

func (p *patched) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	if p.compact != nil {
		return p.compact(ctx, p.Store, upTo, keep)
	}
	return p.Store.Compact(ctx, upTo, keep)
}

func (p *patched) Status(ctx context.Context) (core.Status, error) {
	if p.status != nil {
		return p.status(ctx, p.Store)
	}
	return p.Store.Status(ctx)
}
