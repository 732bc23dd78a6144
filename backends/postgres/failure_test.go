package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// persist commits until the outcome is known.
func persist(t *testing.T, s core.Store, txn core.Txn) (c core.Commit, err error) {
	err = insist(func() (err error) {
		c, err = s.Commit(t.Context(), txn)
		return err
	})
	return c, err
}

// insist repeats a call while the store does not answer in time.
func insist(call func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err := call(); !errors.Is(err, core.ErrUnavailable) || time.Now().After(end) {
			return err
		}
	}
}

func TestWhatWasAcknowledgedSurvivesKillsPausesAndCuts(t *testing.T) {
	const writers = 4
	server := services.StartPostgres(t)
	_, a := openAt(t, server.URL("postgres"), Options{})
	_, b := openAt(t, server.URL("postgres"), Options{})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	acknowledged := make([][]core.Commit, writers)
	var made atomic.Int64
	for i := range writers {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d/%d", i, n)
				c, err := persist(t, []core.Store{a, b}[i%2], core.Txn{Meta: core.Meta{ID: id}, Ops: []core.Op{op("hot", id), op(core.Key(id), id)}})
				if err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				acknowledged[i] = append(acknowledged[i], c)
				made.Add(1)
			}
		})
	}
	progress := func() {
		for from := made.Load(); made.Load() < from+20 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	for _, fail := range []func(){
		func() { server.Restart(t) },
		func() { server.Cut(t, "postgres") },
		func() { server.Pause(t); time.Sleep(100 * time.Millisecond); server.Resume(t) },
		func() { server.Restart(t) },
	} {
		progress()
		fail()
	}
	progress()
	stop()
	all.Wait()
	log := map[core.Revision]core.Commit{}
	for after := core.Revision(0); ; {
		page, err := a.Log(t.Context(), after, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			log[c.Revision] = c
		}
		after = page[len(page)-1].Revision
	}
	n := 0
	for _, own := range acknowledged {
		for _, c := range own {
			if n++; log[c.Revision].Meta.ID != c.Meta.ID {
				t.Errorf("commit %d of %q is %q in the log", c.Revision, c.Meta.ID, log[c.Revision].Meta.ID)
			}
		}
	}
	if n != len(log) {
		t.Errorf("%d commits were acknowledged, the log holds %d", n, len(log))
	}
}

// muteProxy passes a connection on until it is armed: then it swallows the server's word that a transaction is committed,
// and cuts the connection.
type muteProxy struct {
	net.Listener
	network, server string // where the server is
	armed           atomic.Bool
	conns           sync.WaitGroup
}

func startMuteProxy(t *testing.T, server *services.Postgres) *muteProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &muteProxy{Listener: l}
	p.network, p.server = server.Address()
	p.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.conns.Wait()
	})
	return p
}

func (p *muteProxy) url(database string) string {
	return "postgres://postgres@" + p.Addr().String() + "/" + database + "?sslmode=disable"
}

func (p *muteProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p.conns.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	for b := make([]byte, 1<<20); ; {
		n, err := server.Read(b)
		if bytes.Contains(b[:n], []byte("COMMIT\x00")) && p.armed.CompareAndSwap(true, false) {
			return
		}
		if _, bad := client.Write(b[:n]); err != nil || bad != nil {
			return
		}
	}
}

func TestACommitWhoseAnswerIsLostIsRepeatedByItsIDAndAppliedOnce(t *testing.T) {
	server := services.StartPostgres(t)
	p := startMuteProxy(t, server)
	b, s := openAt(t, p.url("postgres"), Options{})
	write(t, s, "before", op("k", "0"))
	p.armed.Store(true)
	txn := core.Txn{Meta: core.Meta{ID: "once"}, Ops: []core.Op{op("k", "1")}}
	_, err := s.Commit(t.Context(), txn)
	wantUnavailable(t, "the lost answer", err, "Store does not answer")
	if p.armed.Load() {
		t.Fatal("no answer was swallowed")
	}
	for range 2 {
		if c, err := persist(t, s, txn); err != nil || c.Revision != 2 || c.Changes[0].Entry.Version != 2 {
			t.Errorf("the repeat: commit %d and %v, want 2", c.Revision, err)
		}
	}
	e := startEngine(t, b)
	p.armed.Store(true)
	res, err := e.Write(t.Context(), tester, core.Request{Writes: []core.Write{{Op: core.WritePut, Kind: core.KindKey, Name: "k", Value: []byte("1")}}})
	if err != nil || res.Position.Revision != 3 || res.Written[0].Version != 1 {
		t.Errorf("through the Engine: %+v and %v, want version 1 at revision 3", res, err)
	}
	if p.armed.Load() {
		t.Error("no answer was swallowed")
	}
	if head, err := s.Sync(t.Context()); head != 3 || err != nil {
		t.Errorf("the head is %d (%v), want 3", head, err)
	}
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true}, nil
}
func (allowAll) Generation() uint64 { return 0 }

var tester = core.Caller{Subject: &core.Subject{Username: "tester"}, Environment: "default"}

func startEngine(t *testing.T, b *core.Backend) *core.Engine {
	t.Helper()
	e, err := core.Open(t.Context(), b, core.Options{Authorizer: allowAll{}, Poll: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return e
}

func TestAFailoverThatLostCommitsBeginsANewEpoch(t *testing.T) {
	primary := services.StartPostgres(t)
	setup, _ := openAt(t, primary.URL("postgres"), Options{})
	write(t, setup.Store, "1", op(engineKey("k"), `"kept"`))
	replica := primary.Replica(t)
	b, s := openAt(t, primary.Either(replica, "postgres"), Options{})
	e := startEngine(t, b)
	epoch, old := e.Epoch(), *s.lineage.Load()

	for ask[int](t, replica.URL("postgres"), "SELECT coalesce(max(revision), 0) FROM dynconfig.changes") < 1 {
		time.Sleep(time.Millisecond)
	}
	replica.Kill(t)
	write(t, s, "2", op(engineKey("k"), `"lost"`))
	write(t, s, "3", op(engineKey("k"), `"lost, too"`))
	if _, err := s.Log(t.Context(), 2, 0); err != nil {
		t.Error(err)
	}
	primary.Kill(t)
	replica.Start(t)
	_, err := s.Sync(t.Context())
	wantUnavailable(t, "a replica", err, "")
	replica.Promote(t)

	for e.Epoch() == epoch && !t.Failed() {
		// The new history grows past the old one, before or after the node has noticed: never may the two be mixed.
		for i := range 3 {
			c, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: fmt.Sprint("new", i)}, Ops: []core.Op{op(engineKey("other"), "1")}})
			if err != nil {
				break
			}
			if c.Revision != core.Revision(i+2) {
				t.Errorf("the new history goes on with revision %d", c.Revision)
			}
		}
		if log, err := s.Log(t.Context(), 3, 0); err == nil && len(log) > 0 && *s.lineage.Load() == old {
			t.Errorf("the old epoch's log goes on with %+v", log)
		}
	}
	err = insist(func() error {
		item, err := e.Get(t.Context(), tester, core.Read{Kind: core.KindKey, Name: "k", Strong: true})
		if err == nil && (string(item.Entry.Doc.Value) != `"kept"` || item.Entry.Version != 1) {
			t.Errorf("after the failover: %+v", item.Entry)
		}
		return err
	})
	if err != nil {
		t.Errorf("a read after the failover: %v", err)
	}
	err = insist(func() error {
		_, err := e.Write(t.Context(), tester, core.Request{Writes: []core.Write{{Op: core.WritePut, Kind: core.KindKey, Name: "k", Value: []byte("2")}}})
		return err
	})
	if err != nil {
		t.Errorf("a write after the failover: %v", err)
	}
}

func engineKey(name string) core.Key { return core.MakeKey(core.DefaultEnv, core.KindKey, name) }

func TestARestoredDumpIsAnotherEpoch(t *testing.T) {
	server := services.StartPostgres(t)
	db := server.Database(t)
	b, s := openAt(t, server.URL(db), Options{})
	write(t, s, "1", op("k", "1"))
	before, err := s.Status(t.Context())
	if err != nil || b.Close() != nil {
		t.Fatal(err)
	}
	server.Exec(t, "postgres", "CREATE DATABASE copy TEMPLATE "+db)
	_, copied := openAt(t, server.URL("copy"), Options{})
	after, err := copied.Status(t.Context())
	if err != nil || after.Head != 1 || after.Epoch == before.Epoch {
		t.Errorf("the copy is %+v (%v), the original %+v", after, err, before)
	}
}

func TestAServerThatStandsStillIsUnavailableAndNobodyWaitsLonger(t *testing.T) {
	server := services.StartPostgres(t)
	_, s := openAt(t, server.URL("postgres"), Options{})
	write(t, s, "1", op("k", "1"))
	server.Pause(t)
	s.timeout = 200 * time.Millisecond
	_, err := s.Sync(t.Context())
	wantUnavailable(t, "Sync", err, "in time")
	_, err = s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "2"}, Ops: []core.Op{op("k", "2")}})
	wantUnavailable(t, "Commit", err, "in time")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Get(ctx, []core.Key{"k"}, 0)
	wantUnavailable(t, "a call that was given up", err, "given up")
	server.Resume(t)
	s.timeout = patience
	if c, err := persist(t, s, core.Txn{Meta: core.Meta{ID: "2"}, Ops: []core.Op{op("k", "2")}}); err != nil || c.Revision != 2 {
		t.Errorf("when it goes on: commit %d and %v, want 2", c.Revision, err)
	}
}

func TestReadsOutliveTheEndOfTheirConnections(t *testing.T) {
	server := services.StartPostgres(t)
	db := server.Database(t)
	_, s := openAt(t, server.URL(db), Options{})
	for i := range 5 {
		var all sync.WaitGroup
		for range 8 { // each with a connection of its own
			all.Go(func() {
				if _, err := s.Sync(t.Context()); err != nil {
					t.Errorf("round %d: %v", i, err)
				}
			})
		}
		all.Wait()
		server.Cut(t, db)
		if c, err := s.Commit(t.Context(), core.Txn{Ops: []core.Op{op("k", "1")}}); err != nil || c.Revision != core.Revision(i+1) {
			t.Errorf("round %d: commit %d and %v", i, c.Revision, err)
		}
	}
}

func TestANodeThatStandsStillInACommitHoldsUpTheOthersForAMoment(t *testing.T) {
	server := services.StartPostgres(t)
	_, still := openPlain(t, server.URL("postgres"), Options{Timeout: patience})
	_, other := openAt(t, server.URL("postgres"), Options{})
	conn, err := still.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	txn := core.Txn{Meta: core.Meta{ID: "still"}, Ops: []core.Op{op("k", "1")}}
	p, err := load(t.Context(), conn, []core.Txn{txn})
	if err != nil {
		t.Fatal(err)
	}
	p.evaluate([]core.Txn{txn})
	if c, err := persist(t, other, core.Txn{Meta: core.Meta{ID: "other"}, Ops: []core.Op{op("k", "2")}}); err != nil || c.Revision != 1 {
		t.Errorf("the other node's commit is %d and %v, want 1", c.Revision, err)
	}
	if err := p.write(t.Context(), conn, "still"); err == nil {
		t.Error("the node that stood still commits over what it had read before")
	}
	if c := write(t, still, "still", op("k", "1")); c.Revision != 2 {
		t.Errorf("its repeat is commit %d, want 2", c.Revision)
	}
}
