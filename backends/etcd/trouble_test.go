package etcd

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestAFullEtcdRefusesCommitsUntilItsOperatorMadeRoom(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t, "--quota-backend-bytes=16777216")
	_, s := openAt(t, e, Options{})
	write(t, s, "first", op("k", []byte("1")))
	operator := operator(t, e, "", "")
	junk := string(make([]byte, 1<<20))
	var err error
	for i := 0; err == nil; i++ {
		_, err = operator.Put(t.Context(), fmt.Sprint("junk/", i), junk)
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatal(err)
	}

	_, err = s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "second"}, Ops: []core.Op{op("k", []byte("2"))}})
	var public *core.Error
	want := "Store is full: compact and defragment etcd or raise its quota, then disarm its alarm"
	if !errors.As(err, &public) || !errors.Is(err, core.ErrUnavailable) || public.Detail != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if p, err := s.Get(t.Context(), []core.Key{"k"}, 1); err != nil || string(p.Entries[0].Doc.Value) != "1" {
		t.Errorf("reading a full store: got %+v and %v", p, err)
	}

	r, err := operator.Delete(t.Context(), "junk/", clientv3.WithPrefix())
	if err == nil {
		_, err = operator.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err == nil {
		_, err = operator.Defragment(t.Context(), e.Endpoint)
	}
	if err == nil {
		_, err = operator.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := write(t, s, "second", op("k", []byte("2"))); c.Revision != 2 {
		t.Errorf("got commit %d, want 2", c.Revision)
	}
}

func TestAnEtcdThatSaysItIsCorruptIsUnavailable(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	_, s := openAt(t, e, Options{})
	o := operator(t, e, "", "")
	members, err := o.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	member := members.Members[0].ID
	corrupt := func(do etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		_, err := etcdserverpb.NewMaintenanceClient(o.ActiveConnection()).Alarm(t.Context(),
			&etcdserverpb.AlarmRequest{Action: do, MemberID: member, Alarm: etcdserverpb.AlarmType_CORRUPT})
		if err != nil {
			t.Fatal(err)
		}
	}
	corrupt(etcdserverpb.AlarmRequest_ACTIVATE)
	_, err = s.Commit(t.Context(), core.Txn{Ops: []core.Op{op("k", []byte("1"))}})
	var public *core.Error
	if want := "Store says that its data is corrupt: see etcd's alarms"; !errors.As(err, &public) || public.Detail != want {
		t.Errorf("got %v, want %q", err, want)
	}
	corrupt(etcdserverpb.AlarmRequest_DEACTIVATE)
	write(t, s, "", op("k", []byte("1")))
}

// A backup that is put back has a shorter log, and revisions of etcd that come again with other content.
func TestAnEtcdThatWasSetBackIsNotWrittenToFromMemory(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	_, a := openAt(t, e, Options{})
	write(t, a, "one", op("a", []byte("1")), op("b", []byte("1")))
	e.Kill(t)
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(e.Data())); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	persist(t, a, "lost", op("a", []byte("2")))
	before := epoch(t, a)

	e.Kill(t)
	if err := errors.Join(os.RemoveAll(e.Data()), os.CopyFS(e.Data(), os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	_, b := openAt(t, e, Options{})
	write(t, b, "another", op("b", []byte("3"))) // in etcd where a believes its own to be
	refusedUntilLoaded(t, a)
	if now := epoch(t, a); now == before || now != epoch(t, b) {
		t.Errorf("the epochs are %q and %q, want the same new one after %q", now, epoch(t, b), before)
	}
	c := persist(t, a, "next", op("a", []byte("4")), op("b", []byte("4")))
	if c.Revision != 3 || c.Changes[0].Entry.Version != 2 || c.Changes[1].Entry.Version != 3 {
		t.Errorf("got %+v, want commit 3 of version 2 of a and version 3 of b", c)
	}
	if c := persist(t, a, "another", op("b", []byte("3"))); c.Revision != 2 {
		t.Errorf("the ID of another node's commit is answered with commit %d, want 2", c.Revision)
	}
	if c := persist(t, a, "lost", op("a", []byte("5"))); c.Revision != 4 {
		t.Errorf("the ID of a lost commit is answered with commit %d", c.Revision)
	}
}

// refusedUntilLoaded demands that a store takes no commit before somebody lists it from its beginning, whoever asks for its
// state meanwhile, and lists it.
func refusedUntilLoaded(t *testing.T, s *Store) {
	t.Helper()
	for range 2 {
		_, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "refused"}, Ops: []core.Op{op("k", []byte("1"))}})
		if !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("a commit worked out on another history: got %v, want unavailable", err)
		}
		epoch(t, s)
	}
	load(t, s)
}

// load does what a node does that learns of another epoch.
func load(t *testing.T, s *Store) {
	t.Helper()
	epoch(t, s)
	if _, err := s.List(t.Context(), core.Query{Limit: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestAnOperatorWhoDeletesTheEpochHasEveryNodeLoadAnew(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	_, a := openAt(t, e, Options{})
	_, b := openAt(t, e, Options{})
	write(t, a, "one", op("k", []byte("1")))
	write(t, b, "two", op("k", []byte("2")))
	before := epoch(t, a)
	if _, err := operator(t, e, "", "").Delete(t.Context(), "dynconfig/epoch"); err != nil {
		t.Fatal(err)
	}
	refusedUntilLoaded(t, a)
	if now := epoch(t, a); now == before || now != epoch(t, b) {
		t.Errorf("the epochs are %q and %q, want the same new one after %q", now, epoch(t, b), before)
	}
	write(t, a, "three", op("k", []byte("3")))
	load(t, b)
	write(t, b, "four", op("k", []byte("4")))
}

func TestStatusNoticesThatEtcdWasSetBack(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	_, s := openAt(t, e, Options{})
	e.Kill(t)
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(e.Data())); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	persist(t, s, "lost", op("k", []byte("1")))
	before := epoch(t, s)
	e.Kill(t)
	if err := errors.Join(os.RemoveAll(e.Data()), os.CopyFS(e.Data(), os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	var st core.Status
	insist(t, func() (err error) { // the connection may not be there yet
		st, err = s.Status(t.Context())
		return err
	})
	if st.Epoch == before || st.Head != 0 {
		t.Errorf("got %+v, want another epoch than %q and no head", st, before)
	}
	load(t, s)
	if c := persist(t, s, "first", op("k", []byte("2"))); c.Revision != 1 {
		t.Errorf("got commit %d, want 1", c.Revision)
	}
}

func TestAStoreThatSomebodyDeletedBeginsAnew(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	_, s := openAt(t, e, Options{})
	write(t, s, "one", op("k", []byte("1")))
	write(t, s, "two", op("k", []byte("2")))
	before := epoch(t, s)
	if _, err := operator(t, e, "", "").Delete(t.Context(), "dynconfig/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	refusedUntilLoaded(t, s)
	if now := epoch(t, s); now == before {
		t.Errorf("the epoch is still %q", now)
	}
	if c := write(t, s, "two", op("k", []byte("1"))); c.Revision != 1 || c.Changes[0].Entry.Version != 1 {
		t.Errorf("got %+v, want commit 1", c)
	}
}

func TestEachErrorOfEtcdIsOneOfOurs(t *testing.T) {
	t.Parallel()
	for _, is := range []struct {
		err  error
		kind error
		away bool // another member is asked
	}{
		{rpctypes.ErrTooManyOps, core.ErrTooLarge, false},
		{rpctypes.ErrRequestTooLarge, core.ErrTooLarge, false},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max (3 vs. 2)"), core.ErrTooLarge, false},
		{rpctypes.ErrTooManyRequests, core.ErrUnavailable, true},
		{rpctypes.ErrNoSpace, core.ErrUnavailable, false},
		{rpctypes.ErrCorrupt, core.ErrUnavailable, false},
		{rpctypes.ErrCompacted, core.ErrUnavailable, false},
		{rpctypes.ErrPermissionDenied, core.ErrUnavailable, false},
		{rpctypes.ErrAuthFailed, core.ErrUnavailable, false},
		{rpctypes.ErrInvalidAuthToken, core.ErrUnavailable, false},
		{rpctypes.ErrNoLeader, core.ErrUnavailable, true},
		{rpctypes.ErrLeaderChanged, core.ErrUnavailable, true},
		{rpctypes.ErrTimeout, core.ErrUnavailable, true},
		{rpctypes.ErrTimeoutDueToLeaderFail, core.ErrUnavailable, true},
		{rpctypes.ErrStopped, core.ErrUnavailable, true},
		{status.Error(codes.Unavailable, "transport is closing"), core.ErrUnavailable, true},
		{t.Context().Err(), core.ErrUnavailable, true},
	} {
		if is.err == nil {
			is.err = errors.New("something else")
		}
		if err := fault(is.err); !errors.Is(err, is.kind) || errors.Is(err, errAway) != is.away {
			t.Errorf("%v becomes %v (away: %v), want %v (%v)", is.err, err, errors.Is(err, errAway), is.kind, is.away)
		}
	}
}
