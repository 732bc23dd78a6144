package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// shapes are transactions as large as limits allow, sealed.
func shapes(l core.Limits) map[string]core.Txn {
	shape := func(size func(i int) int) core.Txn {
		var txn core.Txn
		for i := range l.MaxOps {
			key := core.Key(fmt.Sprintf("%03d%s", i, strings.Repeat("k", 500)))
			txn.Ops = append(txn.Ops, op(key, bytes.Repeat([]byte{byte(i)}, size(i)+core.MaxOverhead)))
		}
		return txn
	}
	return map[string]core.Txn{
		"values of one size": shape(func(int) int { return l.MaxBytes / l.MaxOps }),
		"one large value and many that would stand in each record": shape(func(i int) int {
			if i == 0 {
				return min(l.MaxBytes, core.MaxValue)
			}
			return 0
		}),
	}
}

func TestWhatLimitsAllowFitsARequestInEveryShape(t *testing.T) {
	t.Parallel()
	for _, server := range []Request{{}, {Ops: 1024, Bytes: 8 << 20}} {
		var args []string
		if server.Ops > 0 {
			args = []string{fmt.Sprint("--max-txn-ops=", server.Ops), fmt.Sprint("--max-request-bytes=", server.Bytes)}
		}
		b, s := openAt(t, services.StartEtcd(t, args...), Options{Request: server})
		t.Logf("%+v: %+v", server, b.Limits)
		for what, txn := range shapes(b.Limits) {
			txn.Meta = core.Meta{ID: what, Author: strings.Repeat("a", 256)}
			c, err := s.Commit(t.Context(), txn)
			if err != nil {
				t.Errorf("%+v, %s: %v", server, what, err)
				continue
			}
			log, err := s.Log(t.Context(), c.Revision-1, 1)
			if err != nil || len(log) != 1 || len(log[0].Changes) != len(txn.Ops) {
				t.Errorf("%s: the log has %d commits, %v", what, len(log), err)
				continue
			}
			for i, ch := range log[0].Changes {
				if !bytes.Equal(ch.Entry.Doc.Value, txn.Ops[i].Doc.Value) {
					t.Errorf("%s: value %d is another one in the log", what, i)
				}
			}
			if err := s.Compact(t.Context(), c.Revision, 0); err != nil {
				t.Error(err)
			}
			p, err := s.Get(t.Context(), []core.Key{txn.Ops[0].Key, txn.Ops[1].Key}, c.Revision)
			if err != nil || !bytes.Equal(p.Entries[0].Doc.Value, txn.Ops[0].Doc.Value) || !bytes.Equal(p.Entries[1].Doc.Value, txn.Ops[1].Doc.Value) {
				t.Errorf("%s: after compaction the entries are not as they were put: %v", what, err)
			}
		}
	}
}

func TestLimitsThatNoTransactionOfEveryBackendFitsAreRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []Request{{Ops: 102}, {Bytes: 1 << 20}} {
		_, err := Open(t.Context(), Config{Endpoints: []string{"127.0.0.1:1"}, Options: Options{Request: r}})
		if !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%+v: got %v, want invalid", r, err)
		}
	}
}

func TestAnEtcdThatTakesLessThanIsSaidIsRefusedOrSaysSo(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t, "--max-txn-ops=110")
	if _, err := Open(t.Context(), Config{Endpoints: []string{e.Endpoint}}); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("Open: got %v, want too large", err)
	}
	b, s := openAt(t, e, Options{Request: Request{Ops: 110, Bytes: 4 << 20}})
	if b.Limits.MaxOps != 53 {
		t.Errorf("limits are %+v, want 53 operations", b.Limits)
	}
	var ops []core.Op
	for i := range 2 {
		ops = append(ops, op(core.Key(fmt.Sprint(i)), make([]byte, 1<<20)))
	}
	_, err := s.Commit(t.Context(), core.Txn{Ops: ops})
	var public *core.Error
	if want := "etcd takes fewer bytes in one request than was said: see its --max-request-bytes"; !errors.As(err, &public) || public.Detail != want {
		t.Errorf("got %v, want %q", err, want)
	}
	write(t, s, "", ops[0])
}
