package core_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
)

func TestAStoredPolicyIsReplacedOnlyByThoseWhoSawItAndMay(t *testing.T) {
	w := start(t, core.Options{})
	moved := func() bool {
		select {
		case <-w.PolicyMoved():
			return true
		default:
			return false
		}
	}
	_, err := w.WritePolicy(w.ctx, as("bob"), core.PolicyWrite{Value: []byte(`1`), Operation: "policy"})
	want(t, err, core.ErrForbidden)
	first, err := w.WritePolicy(w.ctx, as("root"), core.PolicyWrite{Value: []byte(`1`), InForce: []byte(`"a"`), Note: "n", Operation: "policy"})
	if err != nil || first.Version != 1 || first.Author != "root" || !moved() {
		t.Fatalf("got %+v, %v", first, err)
	}
	_, err = w.WritePolicy(w.ctx, as("root"), core.PolicyWrite{Value: []byte(`2`), Operation: "policy"})
	var conflict *core.ConflictError
	if !errors.As(err, &conflict) || conflict.Version != 1 {
		t.Errorf("a set that was not seen is replaced: %v", err)
	}
	if _, err = w.RevertPolicy(w.ctx, core.PolicyWrite{Value: []byte(`3`), Version: 1, Operation: "revert"}); err != nil {
		t.Fatal(err)
	}
	if held, err := w.Policy(w.ctx, core.PolicySet); err != nil || held.Version != 2 || string(held.Doc.Value) != "3" {
		t.Errorf("held is %+v, %v", held, err)
	}
	history, err := w.PolicyHistory(w.ctx, 0, 10)
	if err != nil || len(history) != 2 || history[1].Meta.Note != "n" || history[0].Meta.Author != "dynconfig" {
		t.Errorf("history is %+v, %v", history, err)
	}
	var outcomes []string
	for _, e := range w.audit.all() {
		outcomes = append(outcomes, e.Actor+" "+e.Action+" "+string(e.Outcome))
	}
	if want := []string{"bob admin denied", "root admin allowed", "root admin failed", "dynconfig revert allowed"}; !slices.Equal(outcomes, want) {
		t.Errorf("audited is %q, want %q", outcomes, want)
	}
}

func TestWhatIsInForceIsWrittenOnlyWhenItIsAnother(t *testing.T) {
	w := start(t, core.Options{})
	for i, mark := range []string{"a", "a", "b", "b", "a"} {
		head := []core.Revision{1, 1, 2, 2, 3}[i]
		if err := w.MarkPolicy(w.ctx, []byte(mark), 0); err != nil || w.Head().Revision != head {
			t.Errorf("%d: %v at %v, want %d", i, err, w.Head(), head)
		}
	}
	w.write(t, "root", put("k", "1"))
	for range 2 {
		if err := w.MarkPolicy(w.ctx, []byte("a"), 4); err != nil || w.Head().Revision != 5 {
			t.Errorf("what was shown after the mark by another policy: %v at %v, want 5", err, w.Head())
		}
	}
}

func TestAResumeFromBeforeAnotherPolicyStartsOver(t *testing.T) {
	w := start(t, core.Options{})
	before := w.write(t, "root", put("k", "1")).Position
	if err := w.MarkPolicy(w.ctx, []byte(`"another"`), 0); err != nil {
		t.Fatal(err)
	}
	s := w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"k"}, SinceRevision: before.String()})
	if events := s.until(core.EventBookmark); !slices.ContainsFunc(events, func(e core.Event) bool { return e.Kind == core.EventReset }) {
		t.Errorf("no reset in %v", events)
	}
	s = w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"k"}, SinceRevision: w.Head().String()})
	if events := s.until(core.EventBookmark); slices.ContainsFunc(events, func(e core.Event) bool { return e.Kind == core.EventReset }) {
		t.Errorf("a resume from after it is reset, too: %v", events)
	}
}

func TestWhatAnotherMaySeeIsToldToTheAdminsOfEachItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		lists := func(name string, read, admin []string) {
			write := put(name, "1")
			write.SetACL, write.ACL = true, &core.ACL{Read: read, Admin: admin}
			w.write(t, "root", write)
		}
		lists("a", []string{"bob"}, []string{"ann"})
		lists("b", []string{"bob"}, nil)
		lists("c", []string{"ann"}, []string{"ann"})
		for caller, names := range map[string]string{"root": "a b", "ann": "a", "bob": "a b"} {
			l, err := w.List(w.ctx, as(caller), core.Filter{Kind: core.KindKey, Principal: "bob"})
			if got := strings.Join(l.Names, " "); err != nil || got != names || l.Total != len(l.Names) {
				t.Errorf("what bob may read, for %s: %q of %d, %v; want %q", caller, got, l.Total, err, names)
			}
		}
		_, err := w.List(w.ctx, as("eve"), core.Filter{Kind: core.KindKey, Principal: "bob"})
		want(t, err, core.ErrForbidden)
		_, err = w.List(w.ctx, as("root"), core.Filter{Kind: core.KindKey, Principal: "b*"})
		want(t, err, core.ErrInvalid)
		if l, err := w.List(w.ctx, as("root"), core.Filter{Kind: core.KindKey, Principal: "bob", Namespace: "empty"}); err != nil || l.Names == nil || len(l.Names) > 0 {
			t.Errorf("of an empty namespace: %+v, %v", l, err)
		}
	})
}

func TestAQuestionIsAskedOfAnItemAsItIs(t *testing.T) {
	w := start(t, core.Options{})
	write := put("app.k", "1")
	write.SetACL, write.ACL = true, &core.ACL{Read: []string{"bob"}}
	w.write(t, "root", write, core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{}}})
	ask := func(kind core.Kind, name string) core.Access {
		t.Helper()
		a, err := w.Question(w.ctx, as("eve"), core.ActionRead, kind, name, "explain")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask(core.KindKey, "app.k"); !a.Exists || a.ACL == nil || len(a.Chain.Links) != 1 {
		t.Errorf("present: %+v", a)
	}
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.k"}, core.Write{Op: core.WriteDelete, Kind: core.KindNamespace, Name: "app"})
	if a := ask(core.KindKey, "app.k"); a.Exists || a.ACL == nil || a.Chain != nil {
		t.Errorf("a key's tombstone rules on: %+v", a)
	}
	if a := ask(core.KindNamespace, "app"); a.Exists || a.ACL != nil {
		t.Errorf("a namespace's does not: %+v", a)
	}
	if a := ask(core.KindPolicy, ""); !a.Exists || a.ACL != nil {
		t.Errorf("a policy: %+v", a)
	}
	_, err := w.Question(w.ctx, as("eve"), core.ActionRead, core.KindKey, "a..b", "explain")
	want(t, err, core.ErrInvalid)
}
