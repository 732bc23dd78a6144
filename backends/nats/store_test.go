package nats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// openAt opens a node on a server.
func openAt(t *testing.T, url string, o Options) (*core.Backend, *Store) {
	t.Helper()
	o.Timeout = patient
	b, err := Open(t.Context(), Config{URL: url, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, b.Store.(*Store)
}

func op(key core.Key, value []byte) core.Op {
	return core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: value}}
}

func put(t *testing.T, s core.Store, id string, ops ...core.Op) core.Commit {
	t.Helper()
	c, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: id}, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clock is one that tests set forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(by time.Duration) { c.ahead.Add(int64(by)) }

// eventually asks until there is no complaint.
func eventually(t testing.TB, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patient)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// admin is somebody else's connection to JetStream.
func admin(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	conn, err := natsgo.Connect(url, natsgo.Timeout(patient))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(patient))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func info(t *testing.T, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	stream, err := js.Stream(t.Context(), defaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo()
}

func valueOf(t *testing.T, s core.Store, key core.Key) string {
	t.Helper()
	p, err := s.Get(t.Context(), []core.Key{key}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Entries) == 0 {
		return ""
	}
	return string(p.Entries[0].Doc.Value)
}

func TestAStartReadsASnapshotAndWhatFollowedItAlone(t *testing.T) {
	t.Parallel()
	const every, commits = 50, 1234
	server := services.StartNats(t)
	o := Options{snapshotEvery: every}
	b, s := openAt(t, server.URL, o)
	for i := range commits {
		put(t, s, fmt.Sprint(i), op(core.Key(fmt.Sprint("key/", i%20)), fmt.Append(nil, i)))
	}
	want := everything(t, s)
	eventually(t, func() error { return snapshotIsWithin(s, 3*every) })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	_, again := openAt(t, server.URL, o)
	again.mu.RLock()
	read := again.read
	again.mu.RUnlock()
	if read > 3*every {
		t.Errorf("after %d commits a start read %d records of the log, want at most %d", commits, read, 3*every)
	}
	same(t, want, everything(t, again))
	if c := put(t, again, fmt.Sprint(commits-1), op("new", nil)); c.Revision != commits {
		t.Errorf("an ID from before the start was committed again, as revision %d", c.Revision)
	}
}

// snapshotIsWithin complains if the log goes on for more than so many records after the newest snapshot.
func snapshotIsWithin(s *Store, records int) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view.snap.Blob == "" || s.view.since.messages > records {
		return fmt.Errorf("%d records follow the newest snapshot", s.view.since.messages)
	}
	return nil
}

func TestCompactionMakesRoomInTheStreamAndKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	var c clock
	o := Options{snapshotEvery: 20, tidyEvery: 50 * time.Millisecond, Now: c.now}
	b, s := openAt(t, server.URL, o)
	large := bytes.Repeat([]byte("large"), 200_000)
	put(t, s, "", op("large", large))
	put(t, s, "", op("once", []byte("kept")), op("empty", []byte{}), op("none", nil))
	for i := range 500 {
		put(t, s, "", op("hot", fmt.Append(nil, i)))
	}
	put(t, s, "", core.Op{Key: "once", Do: core.OpDelete})
	put(t, s, "", op("once", []byte("kept again")))
	js := admin(t, server.URL)
	before := info(t, js).State
	eventually(t, func() error { // IDs must have been forgotten, and a snapshot written
		c.forward(core.KeepIDs)
		if err := s.Compact(t.Context(), 500, 3); err != nil {
			t.Fatal(err)
		}
		if after := info(t, js).State; after.Msgs > 350 || after.FirstSeq < 250 {
			return fmt.Errorf("of %d messages %d are left, from %d on", before.Msgs, after.Msgs, after.FirstSeq)
		}
		return nil
	})
	want := everything(t, s)
	if n := len(want.history["hot"]); n != 3 {
		t.Errorf("the history of a key that changed often has %d records, want 3", n)
	}
	if n := len(want.history["once"]); n != 3 {
		t.Errorf("the history of a key has %d records, want 3", n)
	}
	if valueOf(t, s, "large") != string(large) || valueOf(t, s, "once") != "kept again" {
		t.Errorf("a value is lost")
	}
	peer, other := openAt(t, server.URL, o)
	same(t, want, everything(t, other))
	_ = peer.Close()
	_ = b.Close()
	server.Restart(t)
	_, again := openAt(t, server.URL, o)
	same(t, want, everything(t, again))
	if valueOf(t, again, "large") != string(large) {
		t.Errorf("a large value is lost with a restart")
	}
}

func TestValuesAreTakenWhereAMessageMayBeSmall(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t, "max_payload: 32KB")
	_, s := openAt(t, server.URL, Options{snapshotEvery: 10})
	large := bytes.Repeat([]byte("large"), 200_000)
	for i := range 30 {
		put(t, s, "", op(core.Key(fmt.Sprint(i%3)), append(large, byte(i))))
	}
	_, again := openAt(t, server.URL, Options{})
	if v := valueOf(t, again, "2"); v != string(large)+"\x1d" {
		t.Errorf("a value of %d bytes came back with %d", len(large)+1, len(v))
	}
}

func TestWhatNothingRefersToIsSwept(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	var c clock
	_, s := openAt(t, server.URL, Options{tidyEvery: 50 * time.Millisecond, Now: c.now})
	put(t, s, "", op("large", make([]byte, core.MaxValue)))
	awaitSweep(t, s, &c)
	if v := valueOf(t, s, "large"); len(v) != core.MaxValue {
		t.Errorf("a value that is referred to was swept")
	}
}

// awaitSweep leaves a blob to which nothing refers, and waits until it is gone.
func awaitSweep(t *testing.T, s *Store, c *clock) {
	t.Helper()
	orphan := s.newBlob(t.Context(), s.stands().keys, blobRecord)
	if _, err := orphan.Write(make([]byte, core.MaxValue)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		c.forward(time.Minute)
		info, err := s.current().Info(t.Context(), jetstream.WithSubjectFilter(orphan.keys.part(orphan.name)))
		if err == nil && len(info.State.Subjects) > 0 {
			err = fmt.Errorf("there are %v, to which nothing refers", info.State.Subjects)
		}
		return err
	})
}

func TestAWriterThatLosesTheRaceLeavesNothing(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	_, s := openAt(t, server.URL, Options{})
	put(t, s, "", op("a", nil))
	var p place
	if err := s.await(t.Context(), func(v *view) bool { p = v.place(); return true }); err != nil {
		t.Fatal(err)
	}
	put(t, s, "", op("a", nil))
	late := packBatch([]core.Commit{{Revision: p.head + 1, Changes: []core.Change{{Entry: core.Entry{Key: "b", Doc: core.Doc{Value: make([]byte, core.MaxValue)}}}}}})
	if done, err := s.append(t.Context(), p, late); done || err != nil {
		t.Errorf("a record was written behind one that is not the last: %v, %v", done, err)
	}
	stream := s.current()
	after, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(defaultPrefix+".*.part.>"))
	if err != nil || len(after.State.Subjects) > 0 {
		t.Errorf("parts are left: %v, %v", after.State.Subjects, err)
	}
}

func TestARecordBehindAnotherThanItsWriterSawIsPassedOverByAll(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	_, one := openAt(t, server.URL, Options{})
	_, two := openAt(t, server.URL, Options{})
	put(t, one, "", op("a", []byte("1")))
	var p place
	if err := one.await(t.Context(), func(v *view) bool { p = v.place(); return true }); err != nil {
		t.Fatal(err)
	}
	put(t, one, "", op("a", []byte("2")))
	stale := packBatch([]core.Commit{{Revision: p.head + 1, Changes: []core.Change{{Do: core.OpPut, Entry: core.Entry{Key: "a", Version: 2}}}}})
	if err := one.await(t.Context(), func(v *view) bool { p.lastLog = v.lastLog; return true }); err != nil { // as if the server had not compared
		t.Fatal(err)
	}
	if done, err := one.append(t.Context(), p, stale); done || err != nil {
		t.Errorf("a record that was evaluated over an old state counts: %v, %v", done, err)
	}
	for _, s := range []*Store{one, two} {
		if r, err := s.Sync(t.Context()); err != nil || r != 2 || valueOf(t, s, "a") != "2" {
			t.Errorf("the head is %d with value %q (%v), want 2", r, valueOf(t, s, "a"), err)
		}
	}
	if c := put(t, two, "", op("a", []byte("3"))); c.Revision != 3 {
		t.Errorf("the next commit is %d, want 3", c.Revision)
	}
}

func TestANodeHasOneConsumer(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	js := admin(t, server.URL)
	for nodes := 1; nodes <= 2; nodes++ {
		b, _ := openAt(t, server.URL, Options{})
		for range 20 {
			if _, err := b.Bus.Listen(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, func() error { // a node that has lost sight of its consumer makes another, and the server forgets the first
			if n := info(t, js).State.Consumers; n != nodes {
				return fmt.Errorf("%d nodes have %d consumers", nodes, n)
			}
			return nil
		})
	}
}

func TestStreamsThatAreNotOursAreRefused(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	js := admin(t, server.URL)
	for name, c := range map[string]jetstream.StreamConfig{
		"is not one of DynConfig": {Subjects: []string{"orders.>"}},
		"is set to drop messages": {Subjects: []string{"dropping.0123456789abcdef.>"}, MaxAge: time.Hour},
	} {
		c.Name, _, _ = strings.Cut(c.Subjects[0], ".")
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Config{URL: server.URL, Options: Options{Prefix: c.Name, Timeout: patient}})
		if !errors.Is(err, core.ErrInternal) || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("stream %+v is answered %v", c, err)
		}
	}
}

func TestPowerLossIsWarnedOf(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	for _, always := range []bool{false, true} {
		var log bytes.Buffer
		b, _ := openAt(t, server.URL, Options{SyncAlways: always, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		_ = b.Close()
		if b.Limits.Durable != always || strings.Contains(log.String(), "not known to sync") == always {
			t.Errorf("with sync always %v: durable %v, log %s", always, b.Limits.Durable, log.String())
		}
	}
}
