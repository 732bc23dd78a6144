package core

import (
	"slices"
	"strings"
	"testing"
)

func TestKeySyntax(t *testing.T) {
	segments := strings.Repeat("a.", 31) + "a"
	for name, ok := range map[string]bool{
		"a": true, "app.ui.theme": true, "team/app/key": true, "a:b@c-d_e": true,
		strings.Repeat("x", 512): true, segments: true,
		"": false, strings.Repeat("x", 513): false, segments + ".a": false, "a//b": false, "a..b": false, ".a": false, "a.": false, "a./b": false, "/a": false, "a/": false,
		"a/./b": false, "a/../b": false, "..": false, ".": false, "a b": false, "a%b": false, "é": false, "a*": false,
		"a\x00": false, "a\\b": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q): got %v, want ok %v", name, err, ok)
		}
	}
}

func TestPatternsSelectKeysBelowANamespaceByEitherSeparator(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"app.*", "app.x", true},
		{"app.*", "app/x", true},
		{"app/*", "app.x.y", true},
		{"app.*", "app", false},
		{"app.*", "apple", false},
		{"app.*", "app0", false},
		{"app.*", "app-x", false},
		{"*", "anything", true},
		{"app.x", "app.x", true},
		{"app.x", "app/x", false},
		{"a.b.*", "a/b.c", false},
		{"a.b.*", "a.b/c", true},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.key); got != c.want {
			t.Errorf("%q on %q: got %v, want %v", c.pattern, c.key, got, c.want)
		}
	}
	for _, bad := range []string{"", "a*", "*a", "a.*.b", ".*", "/*", "**", "a//*", "a b.*", "*.*"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("ParsePattern(%q): got %+v, want an error", bad, p)
		}
	}
}

func TestNamespacesOfAKey(t *testing.T) {
	for name, want := range map[string][]string{
		"app.ui.theme": {"app", "app.ui"}, "team/app/key": {"team", "team/app"}, "a": nil, "a.b/c": {"a", "a.b"},
	} {
		if got := Namespaces(name); !slices.Equal(got, want) {
			t.Errorf("Namespaces(%q): got %v, want %v", name, got, want)
		}
	}
}

func TestPrincipalsAndACLEntries(t *testing.T) {
	for name, ok := range map[string]bool{
		"admin-user": true, "service:pay/é 世": true, strings.Repeat("x", 256): true,
		"": false, "a*": false, " a": false, "a\u00a0": false, "a\n": false, "a\u0085b": false, "\xff": false, strings.Repeat("x", 257): false,
	} {
		if err := CheckUsername(name); (err == nil) != ok {
			t.Errorf("CheckUsername(%q): got %v, want ok %v", name, err, ok)
		}
	}
	for entry, ok := range map[string]bool{
		"*": true, "service:*": true, "a b *": true, "bob": true, strings.Repeat("x", 256) + "*": true,
		"": false, "a*b": false, "**": false, " *": false, "\x01*": false, strings.Repeat("x", 257): false,
		strings.Repeat("x", 255) + "**": false, strings.Repeat("x", 255) + "\n*": false, strings.Repeat("x", 255) + "\xe6*": false,
		" " + strings.Repeat("x", 255) + "*": false, "\u65e5*": true, "\xe6\x97*": false,
	} {
		if err := (&ACL{Read: []string{entry}}).Check(); (err == nil) != ok {
			t.Errorf("ACL entry %q: got %v, want ok %v", entry, err, ok)
		}
	}
}

// A pattern, its range of names and the namespaces it meets must agree.
func FuzzPattern(f *testing.F) {
	f.Add("app.*", "app.x")
	f.Add("*", "a/b")
	f.Add("a/b.*", "a/b/c")
	f.Add("a.b", "a.b")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := ParsePattern(text)
		if err != nil || CheckName(name) != nil {
			return
		}
		from, to := p.span()
		inSpan := name >= from && (to == "" || name < to)
		if p.Match(name) != inSpan {
			t.Errorf("pattern %q, key %q: match %v, in range [%q, %q) %v", text, name, p.Match(name), from, to, inSpan)
		}
		for _, ns := range append(Namespaces(name), RootName) {
			if p.Match(name) && !p.meetsNamespace(ns) {
				t.Errorf("pattern %q selects %q but does not meet its namespace %q", text, name, ns)
			}
		}
		follows := follows{p.id(): {p, 0}}
		if follows.want(name, 1) != p.Match(name) {
			t.Errorf("pattern %q, key %q: want differs from Match", text, name)
		}
		key := MakeKey(DefaultEnv, KindKey, name)
		if env, kind, back, ok := key.Split(); env != DefaultEnv || kind != KindKey || back != name || !ok {
			t.Errorf("key %q was split into %q %q %q", key, env, kind, back)
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("abc:417.2")
	f.Add("abc:0")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePosition(s); err == nil && p.String() != s {
			t.Errorf("%q was read as %+v", s, p)
		}
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":"\\\"["}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckValue(b) == nil && depth(b) > MaxDepth {
			t.Errorf("a value of depth %d passed", depth(b))
		}
	})
}
