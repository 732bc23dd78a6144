package core

import "testing"

func TestListsAreComparedAsSetsAndNobodyIsNotInherited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a, b *ACL
		same bool
	}{
		{"order and repetition", &ACL{Read: []string{"b", "a", "b"}}, &ACL{Read: []string{"a", "b"}}, true},
		{"nothing said", nil, &ACL{}, true},
		{"nobody and not set", &ACL{Read: []string{}}, nil, false},
		{"nobody and not set beside another list", &ACL{Read: []string{}, Write: []string{"a"}}, &ACL{Write: []string{"a"}}, false},
		{"nobody in one list and in another", &ACL{Read: []string{}}, &ACL{Write: []string{}}, false},
		{"nobody and nobody", &ACL{Read: []string{}}, &ACL{Read: []string{}}, true},
		{"other names", &ACL{Read: []string{"a"}}, &ACL{Read: []string{"b"}}, false},
	} {
		if got := c.a.SameSets(c.b); got != c.same {
			t.Errorf("%s: SameSets is %v, want %v", c.name, got, c.same)
		}
		if got := c.b.SameSets(c.a); got != c.same {
			t.Errorf("%s, the other way: SameSets is %v, want %v", c.name, got, c.same)
		}
	}
}
