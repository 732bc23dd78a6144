package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// somePatterns makes patterns of few names, so that they meet.
func somePatterns(r *rand.Rand, n int) []Pattern {
	var all []Pattern
	for range n {
		name := someName(r)
		switch r.IntN(3) {
		case 0:
			name += ".*"
		case 1:
			name += "/*"
		}
		if r.IntN(20) == 0 {
			name = "*"
		}
		p, err := ParsePattern(name)
		if err != nil {
			panic(err)
		}
		all = append(all, p)
	}
	return all
}

func someName(r *rand.Rand) string {
	name := string(rune('a' + r.IntN(3)))
	for range r.IntN(4) {
		name += string("./"[r.IntN(2)]) + string(rune('a'+r.IntN(2)))
	}
	return name
}

func TestThoseWhomAChangeConcernsAreFoundAndNobodyElse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	in := newInterests()
	followed := map[*Watcher][]Pattern{}
	for range 60 {
		w := &Watcher{}
		followed[w] = somePatterns(r, 3)
		for _, p := range followed[w] {
			in.add(w, p)
		}
	}
	check := func(what string, find func(func(watcherSet)), concerns func(Pattern) bool) {
		t.Helper()
		found := watcherSet{}
		find(func(s watcherSet) {
			for w := range s {
				found[w] = struct{}{}
			}
		})
		for w, patterns := range followed {
			want := false
			for _, p := range patterns {
				want = want || concerns(p)
			}
			if _, got := found[w]; got != want {
				t.Errorf("%s: one who follows %+v is found: %v, want %v", what, patterns, got, want)
			}
		}
	}
	for range 200 {
		name := someName(r)
		check("key "+name, func(f func(watcherSet)) { in.changed(name, f) }, func(p Pattern) bool { return p.Match(name) || p.Exact == name })
		check("namespace "+name, func(f func(watcherSet)) { in.ruled(name, f) }, func(p Pattern) bool { return p.meetsNamespace(name) })
	}
	check("the root", func(f func(watcherSet)) { in.ruled(RootName, f) }, func(Pattern) bool { return true })
	for w, patterns := range followed {
		for _, p := range patterns {
			in.remove(w, p)
		}
	}
	if len(in.exact)+len(in.below)+len(in.inner) != 0 {
		t.Errorf("when nobody follows anything there remain %v %v %v", in.exact, in.below, in.inner)
	}
}

func TestANamespaceChangeVisitsThoseInItAlone(t *testing.T) {
	in := newInterests()
	for i := range 10_000 {
		in.add(&Watcher{}, Pattern{Below: fmt.Sprintf("team%d.app", i)})
		in.add(&Watcher{}, Pattern{Exact: fmt.Sprintf("team%d.app.key", i)})
	}
	visited := 0
	in.ruled("team7", func(s watcherSet) { visited += 1 + len(s) })
	if visited > 10 {
		t.Errorf("%d sets and watchers were visited for two that are concerned", visited)
	}
}

func BenchmarkRuledNamespaceAmong10000(b *testing.B) {
	in := newInterests()
	for i := range 10_000 {
		in.add(&Watcher{}, Pattern{Below: fmt.Sprintf("team%d.app", i)})
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		in.ruled("team7", func(s watcherSet) { n += len(s) })
	}
}
