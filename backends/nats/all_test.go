package nats

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
)

// all is what a store shows.
type all struct {
	status  core.Status
	log     []core.Commit
	entries []core.Entry
	history map[core.Key][]core.Record
}

func everything(t *testing.T, s core.Store) all {
	t.Helper()
	a := all{history: map[core.Key][]core.Record{}}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	var err error
	a.status, err = s.Status(t.Context())
	note(err)
	for at := a.status.Floor; at < a.status.Head && err == nil; at = a.log[len(a.log)-1].Revision {
		var page []core.Commit
		page, err = s.Log(t.Context(), at, 0)
		note(err)
		a.log = append(a.log, page...)
	}
	for q := (core.Query{Deleted: true}); ; {
		page, err := s.List(t.Context(), q)
		note(err)
		a.entries = append(a.entries, page.Entries...)
		if !page.More {
			break
		}
		q.From = page.Entries[len(page.Entries)-1].Key + "\x00"
	}
	for _, e := range a.entries {
		for before := core.Revision(0); ; {
			page, err := s.History(t.Context(), e.Key, before, 0)
			note(err)
			a.history[e.Key] = append(a.history[e.Key], page...)
			if len(page) == 0 {
				break
			}
			before = page[len(page)-1].Revision
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return a
}

func same(t *testing.T, want, got all) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(all{}), cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("two looks at one store differ (-first +second):\n%.3000s", diff)
	}
}
