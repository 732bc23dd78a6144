package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/dynconfig/dynconfig/core"
)

func TestMemoRemembersWhatTheEvaluatorsOwnCacheDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ref := func() ast.Ref {
		ref := ast.Ref{ast.DefaultRootDocument, ast.StringTerm(fmt.Sprint("rule", r.IntN(8)))}
		for range r.IntN(3) {
			ref = append(ref, ast.ArrayTerm(ast.NumberTerm("1"), ast.StringTerm(fmt.Sprint(r.IntN(8)))))
		}
		return ref
	}
	m := newMemo()
	for run := range 50 {
		own, depth := topdown.NewVirtualCache(), 0
		for step := range 400 {
			switch ref := ref(); r.IntN(12) {
			case 0:
				own.Push()
				m.Push()
				depth++
			case 1:
				if depth > 0 {
					own.Pop()
					m.Pop()
					depth--
				}
			case 2, 3, 4, 5:
				value := ast.InternedTerm(step)
				own.Put(ref, value)
				m.Put(ref, value)
			default:
				want, no := own.Get(ref)
				if got, undefined := m.Get(ref); got != want || undefined != no {
					t.Fatalf("run %d, step %d, depth %d: %v is %v, %v, want %v, %v", run, step, depth, ref, got, undefined, want, no)
				}
			}
			if got, want := len(m.Keys()), len(own.Keys()); got != want {
				t.Fatalf("run %d, step %d: %d keys, want %d", run, step, got, want)
			}
		}
		m.reset()
	}
}

func TestMemoTellsUndefinedFromUnknown(t *testing.T) {
	m := newMemo()
	ref := ast.MustParseRef("data.a.b")
	if v, undefined := m.Get(ref); v != nil || undefined {
		t.Errorf("before: got %v, %v", v, undefined)
	}
	m.Put(ref, nil)
	if v, undefined := m.Get(ref); v != nil || !undefined {
		t.Errorf("undefined: got %v, %v", v, undefined)
	}
	m.reset()
	if v, undefined := m.Get(ref); v != nil || undefined {
		t.Errorf("after a reset: got %v, %v", v, undefined)
	}
}

func TestDecisionMayBeMadeOfPartsOrNamesOrMore(t *testing.T) {
	for name, body := range map[string]string{
		"one value":           `decision := {"allow": input.action == "read", "rule": "x"}`,
		"a name of a name":    "decision := one\n\none := two\n\ntwo := {\"allow\": input.action == \"read\", \"rule\": \"x\"}",
		"a name of parts":     "decision := parts\n\nparts[\"allow\"] := input.action == \"read\"\n\nparts[\"rule\"] := \"x\"",
		"parts":               "decision[\"allow\"] := input.action == \"read\"\n\ndecision[name] := \"x\" if some name in [\"rule\"]",
		"a default":           "default decision := {\"allow\": false, \"rule\": \"x\"}\n\ndecision := {\"allow\": true, \"rule\": \"x\"} if input.action == \"read\"",
		"two that agree":      "decision := d if d := {\"allow\": input.action == \"read\", \"rule\": \"x\"}\n\ndecision := d if d := {\"allow\": input.action == \"read\", \"rule\": \"x\"}",
		"part of a value":     "decision := all.of\n\nall := {\"of\": {\"allow\": input.action == \"read\", \"rule\": \"x\"}}",
		"a name of data":      `decision := data.answers[input.action]`,
		"a value that a with": "decision := d if {\n\td := one with input.action as input.action\n}\n\none := {\"allow\": input.action == \"read\", \"rule\": \"x\"}",
	} {
		set := module(body)
		set.Data = map[string]any{"answers": map[string]any{
			"read": map[string]any{"allow": true, "rule": "x"}, "write": map[string]any{"allow": false, "rule": "x"},
		}}
		a := open(t, set)
		for action, want := range map[core.Action]bool{core.ActionRead: true, core.ActionWrite: false} {
			if d := decide(t, a, "ann", ask(action, nil, nil)); d.Allow != want || d.Rule != "x" {
				t.Errorf("%s, %s: got %+v, want allow %v by x", name, action, d, want)
			}
		}
	}
}
