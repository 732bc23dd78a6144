package policy

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func TestNoStepOfARunTakesAllThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := `concat("", [x | some _ in numbers.range(1, 5000); x := "a"])`
		for _, body := range []string{
			"bits.lsh(1, 100000000000) == 0",
			"bits.lsh(1, 5000) == 0",
			"1e5000 * 2 == 0",
			"format_int(1e5000, 10) == \"\"",
			"product([1e5000, 1]) == 0",
			"t := " + text + "; u := replace(t, \"a\", t); replace(u, \"a\", t) == \"\"",
			"t := " + text + "; strings.replace_n({\"a\": replace(t, \"a\", \"bbbb\")}, t) == \"\"",
			"t := " + text + "; regex.replace(replace(t, \"a\", \"bbbb\"), \"b\", t) == \"\"",
			"t := " + text + "; concat(t, [\"\" | some _ in numbers.range(1, 5000)]) == \"\"",
			"sprintf(\"%99999d\", [1]) == \"\"",
			"sprintf(\"%*d\", [1, 2]) == \"\"",
			"json.marshal_with_options([1], {\"indent\": " + text + "}) == \"\"",
			"a := numbers.range(1, 1000); b := [x | some x in a; some y in a]; array.concat(b, b) == []",
		} {
			a := open(t, module("decision := {\"allow\": true, \"rule\": \"own\"} if {\n\t"+body+"\n} else := {\"allow\": true, \"rule\": \"other\"}"))
			d, err := a.Authorize(t.Context(), &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
			if err != nil || d.Allow || d.Rule != RuleError || d.Late {
				t.Errorf("%s: decided %+v, %v", body, d, err)
			}
		}
	})
}

func TestUsualOperandsAreWithinTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, body := range []string{
			"bits.lsh(1, 62) == 4611686018427387904",
			"123456789012345678901234567890 * 10 == 1234567890123456789012345678900",
			"sum([x | some x in numbers.range(1, 20000)]) == 200010000",
			"product([2, 3]) == 6",
			`sprintf("%5.2f*%s %d%% *", [1.5, "x", 7]) == " 1.50*x 7% *"`,
			`replace("a.b", ".", "/") == "a/b"`,
			`concat(", ", ["a", "b"]) == "a, b"`,
			`regex.match("^[a-z]+$", "abc")`,
			`json.marshal_with_options([1], {"indent": "  ", "pretty": true}) == "[\n  1\n]"`,
			"array.concat([1], [2]) == [1, 2]",
		} {
			a := open(t, module("decision := {\"allow\": true, \"rule\": \"own\"} if {\n\t"+body+"\n} else := {\"allow\": false, \"rule\": \"other\"}"))
			if d := decide(t, a, "ann", ask(core.ActionRead, nil, nil)); d.Rule != "own" {
				t.Errorf("%s: decided %+v", body, d)
			}
		}
	})
}

func TestManyAtOnceTakeTurnsAndAreInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, module("decision := {\"allow\": true, \"rule\": \"slow\"} if {\n\ttime.now_ns() > 0\n\tcount([1 | some x in numbers.range(1, 100); some y in numbers.range(1, 100); x > y]) > 0\n}"))
		for range cap(a.turns) {
			a.turns <- struct{}{}
		}
		var asked sync.WaitGroup
		for range 64 {
			asked.Go(func() {
				d, err := a.Authorize(t.Context(), &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
				if err != nil || !d.Allow {
					t.Errorf("decided %+v, %v", d, err)
				}
			})
		}
		if synctest.Wait(); a.Stats().Evaluations > 0 {
			t.Errorf("%d ran although it was not their turn", a.Stats().Evaluations)
		}
		<-a.turns // each of them waits for this one
		asked.Wait()
		if n := len(a.turns); n != cap(a.turns)-1 {
			t.Errorf("%d turns are taken afterwards, want %d", n, cap(a.turns)-1)
		}
	})
}

func TestWhoseTurnDoesNotComeIsDeniedInABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		for range cap(a.turns) {
			a.turns <- struct{}{}
		}
		asked := time.Now()
		d, err := a.Authorize(t.Context(), &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
		if err != nil || d.Allow || !d.Late || d.Rule != RuleError || time.Since(asked) != turnLimit {
			t.Errorf("decided %+v, %v, after %v", d, err, time.Since(asked))
		}
		<-a.turns
		if d, err := a.Authorize(t.Context(), &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil)); err != nil || d.Late {
			t.Errorf("with a turn: %+v, %v", d, err)
		}
	})
}
