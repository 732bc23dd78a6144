package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// lists writes an ACL: "read: a b; write:; admin: c". A list that is not named is not set, one without names is empty.
func lists(text string) *core.Rules {
	if text == "" {
		return nil
	}
	acl := &core.ACL{}
	for part := range strings.SplitSeq(text, ";") {
		name, entries, _ := strings.Cut(part, ":")
		list := append([]string{}, strings.Fields(entries)...)
		switch strings.TrimSpace(name) {
		case "read":
			acl.Read = list
		case "write":
			acl.Write = list
		case "admin":
			acl.Admin = list
		}
	}
	return core.Intern(acl)
}

// around makes a chain of namespace and lists in turn, outermost first.
func around(links ...string) *core.Chain {
	var chain []core.Link
	for i := 0; i+1 < len(links); i += 2 {
		if r := lists(links[i+1]); r != nil {
			chain = append(chain, core.Link{Namespace: links[i], Rules: r})
		}
	}
	return core.InternChain(chain)
}

func ask(action core.Action, acl *core.Rules, chain *core.Chain) core.Access {
	return core.Access{
		Action: action, Kind: core.KindKey, Environment: "default", Key: "app.ui.theme", Exists: true, ACL: acl, Chain: chain,
		Operation: "get", Address: "192.0.2.7", Time: time.Unix(1_700_000_000, 123_456_000),
	}
}

func of(kind core.Kind, a core.Access) core.Access {
	a.Kind = kind
	return a
}

func decide(t *testing.T, a *Authorizer, username string, access core.Access) core.Decision {
	t.Helper()
	return inTime(t, a, &core.Subject{Username: username}, access)
}

// inTime asks until the answer is not late, as it may be where the machine has other things to do.
func inTime(t *testing.T, a *Authorizer, who *core.Subject, access core.Access) core.Decision {
	t.Helper()
	for {
		d, err := a.Authorize(t.Context(), who, access)
		if err != nil {
			t.Fatalf("%s %+v: %v", who.Username, access, err)
		}
		if !d.Late {
			return d
		}
	}
}

type corner struct {
	who    string
	access core.Access
	rule   string // allows unless it begins with "no-", or is "malformed"
}

func check(t *testing.T, a *Authorizer, corners []corner) {
	t.Helper()
	for _, c := range corners {
		d := decide(t, a, c.who, c.access)
		allow := !strings.HasPrefix(c.rule, "no-") && c.rule != "malformed"
		if d.Rule != c.rule || d.Allow != allow {
			t.Errorf("%s asks %s of %s: got %v by %s (%s), want %v by %s", c.who, c.access.Action, c.access.Kind, d.Allow, d.Rule, d.Reason, allow, c.rule)
		}
		if d.Allow && strings.Contains("key namespace", strings.Split(d.Rule, "-")[0]) && d.Grant == nil {
			t.Errorf("%s asks %s: allowed by %s without a grant", c.who, c.access.Action, d.Rule)
		}
	}
}

func TestCornersOfTheShippedRules(t *testing.T) {
	a := open(t, Set{})
	closed := ask(core.ActionRead, lists("read:"), around("app", "read: *; admin: lead"))
	readOnly := around("app", "write: dan; read: eve")
	unwritable := lists("write:")
	for name, corners := range map[string][]corner{
		"a key with read:[] in a namespace with read:[*] is for admins only": {
			{"ann", closed, "no-read"},
			{"lead", closed, "namespace-admin"},
			{"admin-user", closed, "server-admin"},
		},
		"a key with read alone inherits write": {
			{"dan", ask(core.ActionWrite, lists("read: ann"), readOnly), "namespace-write"},
			{"dan", ask(core.ActionDelete, lists("read: ann"), readOnly), "namespace-delete"},
			{"ann", ask(core.ActionWrite, lists("read: ann"), readOnly), "no-write"},
			{"ann", ask(core.ActionRead, lists("read: ann"), readOnly), "key-read"},
			{"eve", ask(core.ActionRead, lists("read: ann"), readOnly), "no-read"},
		},
		"write:[] on a key: a namespace writer neither writes nor deletes it, but creates siblings": {
			{"dan", ask(core.ActionWrite, unwritable, readOnly), "no-write"},
			{"dan", ask(core.ActionDelete, unwritable, readOnly), "no-delete"},
			{"dan", ask(core.ActionCreate, nil, readOnly), "namespace-create"},
		},
		"a namespace admin keeps every right on keys whose lists omit him": {
			{"lead", ask(core.ActionRead, lists("read: x; write: x; admin: x"), around("app", "admin: lead")), "namespace-admin"},
			{"lead", ask(core.ActionWrite, lists("read:; write:; admin:"), around("app", "admin: lead")), "namespace-admin"},
			{"lead", ask(core.ActionDelete, lists("read:; write:; admin:"), around("app", "admin: lead")), "namespace-admin"},
			{"lead", ask(core.ActionAdmin, lists("admin: x"), around("app", "admin: lead", "app.ui", "admin:")), "namespace-admin"},
			{"lead", ask(core.ActionCreate, nil, around("app", "admin: lead", "app.ui", "write:")), "namespace-admin"},
		},
		"a key without separator: its own ACL, the root record, server admins": {
			{"ann", ask(core.ActionRead, lists("read: ann"), around("*", "read: bob")), "key-read"},
			{"bob", ask(core.ActionRead, lists("write: ann"), around("*", "read: bob")), "namespace-read"},
			{"bob", ask(core.ActionCreate, nil, nil), "no-create"},
			{"bob", ask(core.ActionCreate, nil, around("*", "write: bob")), "namespace-create"},
			{"bob", ask(core.ActionAdmin, nil, around("*", "admin: bob")), "namespace-admin"},
			{"admin-user", ask(core.ActionCreate, nil, nil), "server-admin"},
		},
		"deleting a namespace record: the next one outwards governs at once": {
			{"ann", ask(core.ActionRead, nil, around("*", "read: *", "app", "read: bob")), "no-read"},
			{"ann", ask(core.ActionRead, nil, around("*", "read: *")), "namespace-read"},
		},
		"[] is nobody, absent is inherited, acls:{} is no ACL": {
			{"ann", ask(core.ActionRead, lists("read:"), around("app", "read: ann")), "no-read"},
			{"ann", ask(core.ActionRead, lists("write:"), around("app", "read: ann")), "namespace-read"},
			{"ann", ask(core.ActionRead, core.Intern(&core.ACL{}), around("app", "read: ann")), "namespace-read"},
		},
		"re-creation under a tombstone asks the namespaces, and an admin of the tombstone may": {
			{"ann", absent(ask(core.ActionCreate, lists("read: ann; write: ann"), nil)), "no-create"},
			{"ann", absent(ask(core.ActionCreate, lists("write:"), around("app", "write: ann"))), "namespace-create"},
			{"ann", absent(ask(core.ActionAdmin, lists("write:"), around("app", "write: ann"))), "no-admin"},
			{"ann", absent(ask(core.ActionCreate, lists("admin: ann"), nil)), "key-admin"},
			{"ann", absent(ask(core.ActionAdmin, lists("admin: ann"), nil)), "key-admin"},
		},
		"write alone never reads": {
			{"dan", ask(core.ActionRead, lists("write: dan"), around("app", "write: dan")), "no-read"},
		},
		"documents are as keys": {
			{"ann", of(core.KindDocument, ask(core.ActionRead, lists("read: ann"), nil)), "key-read"},
			{"dan", of(core.KindDocument, ask(core.ActionCreate, nil, readOnly)), "namespace-create"},
			{"lead", of(core.KindDocument, closed), "namespace-admin"},
		},
		"a namespace record is seen by its readers, writers and admins, and changed by admins": {
			{"dan", of(core.KindNamespace, ask(core.ActionRead, nil, readOnly)), "namespace-read"},
			{"eve", of(core.KindNamespace, ask(core.ActionRead, nil, readOnly)), "namespace-read"},
			{"eve", of(core.KindNamespace, ask(core.ActionRead, lists("read:"), readOnly)), "no-read"},
			{"dan", of(core.KindNamespace, ask(core.ActionRead, lists("read:"), readOnly)), "namespace-read"},
			{"ann", of(core.KindNamespace, ask(core.ActionRead, lists("admin: ann"), nil)), "namespace-admin"},
			{"ann", of(core.KindNamespace, ask(core.ActionAdmin, lists("admin: ann"), nil)), "namespace-admin"},
			{"dan", of(core.KindNamespace, ask(core.ActionAdmin, nil, readOnly)), "no-admin"},
		},
		"the first record of a namespace is for the admins around it; of a root or top-level one for admins of the root": {
			{"lead", of(core.KindNamespace, absent(ask(core.ActionAdmin, nil, around("app", "admin: lead")))), "namespace-admin"},
			{"root", of(core.KindNamespace, absent(ask(core.ActionAdmin, nil, around("*", "admin: root")))), "namespace-admin"},
			{"lead", of(core.KindNamespace, absent(ask(core.ActionAdmin, nil, nil))), "no-admin"},
			{"admin-user", of(core.KindNamespace, absent(ask(core.ActionAdmin, nil, nil))), "server-admin"},
		},
		"everyone lists and watches": {
			{"ann", ask(core.ActionList, nil, around("*", "read:")), "list"},
			{"ann", ask(core.ActionWatch, nil, around("*", "read:")), "watch"},
		},
		"environments, policy and audit": {
			{"ann", of(core.KindEnvironment, ask(core.ActionRead, nil, nil)), "environment-read"},
			{"ann", of(core.KindEnvironment, ask(core.ActionAdmin, nil, nil)), "no-admin"},
			{"admin-user", of(core.KindEnvironment, ask(core.ActionAdmin, nil, nil)), "server-admin"},
			{"ann", of(core.KindPolicy, ask(core.ActionRead, nil, nil)), "no-read"},
			{"ann", of(core.KindPolicy, ask(core.ActionAdmin, nil, nil)), "no-admin"},
			{"ann", of(core.KindAudit, ask(core.ActionRead, nil, nil)), "no-read"},
			{"ann", of(core.KindAudit, ask(core.ActionRead, lists("admin: ann"), nil)), "key-admin"},
			{"ann", of(core.KindAudit, ask(core.ActionRead, nil, around("app", "admin: ann"))), "namespace-admin"},
			{"ann", of(core.KindAudit, ask(core.ActionRead, lists("read: ann"), nil)), "no-read"},
		},
		"what no question can be is denied to server admins too": {
			{"", ask(core.ActionRead, lists("read: *"), nil), "malformed"},
			{"admin-user", ask("steal", nil, nil), "malformed"},
			{"admin-user", ask("", nil, nil), "malformed"},
			{"admin-user", of("box", ask(core.ActionRead, nil, nil)), "malformed"},
			{"admin-user", of(core.KindIdempotency, ask(core.ActionRead, nil, nil)), "malformed"},
		},
	} {
		t.Run(name, func(t *testing.T) { check(t, a, corners) })
	}
}

func absent(a core.Access) core.Access {
	a.Exists = false
	return a
}

func TestServerAdminsRuleEveryEnvironment(t *testing.T) {
	a := open(t, Set{})
	access := ask(core.ActionDelete, lists("write:; admin:"), nil)
	access.Environment = "another"
	check(t, a, []corner{{"admin-user", access, "server-admin"}, {"admin-use", access, "no-delete"}, {"admin-user2", access, "no-delete"}})
}

func TestPrincipalsAreComparedByteByByte(t *testing.T) {
	a := open(t, Set{})
	read := func(entries ...string) core.Access {
		return ask(core.ActionRead, core.Intern(&core.ACL{Read: entries}), nil)
	}
	composed, decomposed := "caf\u00e9", "cafe\u0301"
	check(t, a, []corner{
		{composed, read(composed), "key-read"},
		{decomposed, read(composed), "no-read"},
		{"Ann", read("ann"), "no-read"},
		{`o"neil\`, read(`o"neil\`), "key-read"},
		{"日本:1", read("日本*"), "key-read"},
		{"a b", read("a *"), "key-read"},
		{"ab", read("a *"), "no-read"},
		{"any", read("x"), "no-read"},
		{"names", read("x"), "no-read"},
		{"service:", read("service:*"), "key-read"},
		{"service", read("service:*"), "no-read"},
		{"x", read("*"), "key-read"},
		{"a%_[b", read("a%_[*"), "key-read"},
		{"aXXXb", read("a%_[*", "a.*"), "no-read"},
		{strings.Repeat("é", 128), read(strings.Repeat("é", 128)), "key-read"},
	})
}

func TestGrantIsTheLineThatAllowed(t *testing.T) {
	a := open(t, Set{})
	for _, c := range []struct {
		who    string
		access core.Access
		want   core.Grant
	}{
		{"service:pay", ask(core.ActionRead, nil, around("*", "read: x", "app", "read: a service:*")), core.Grant{Source: "namespace", Name: "app", List: "read", Entry: "service:*"}},
		{"ann", ask(core.ActionRead, lists("read: * ann"), nil), core.Grant{Source: "key", List: "read", Entry: "ann"}},
		{"bob", ask(core.ActionRead, lists("read: * ann"), nil), core.Grant{Source: "key", List: "read", Entry: "*"}},
		{"bob", ask(core.ActionAdmin, nil, around("*", "admin: b*", "app", "admin: bo* b*", "app.ui", "admin: c")), core.Grant{Source: "namespace", Name: "app", List: "admin", Entry: "bo*"}},
		{"admin-user", ask(core.ActionRead, nil, nil), core.Grant{Source: "server", List: "admin", Entry: "admin-user"}},
	} {
		if d := decide(t, a, c.who, c.access); d.Grant == nil || *d.Grant != c.want {
			t.Errorf("%s: got grant %+v, want %+v", c.who, d.Grant, c.want)
		}
	}
}

func TestDenialNamesTheListAndNoOtherPrincipal(t *testing.T) {
	a := open(t, Set{})
	d := decide(t, a, "ann", ask(core.ActionWrite, lists("read: secret-reader"), around("*", "admin: secret-admin", "app", "write: secret-writer secret-*")))
	if want := "The write list of namespace app does not name you, nor does an admin list"; d.Reason != want {
		t.Errorf("got reason %q, want %q", d.Reason, want)
	}
	for _, action := range []core.Action{core.ActionRead, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin} {
		for _, kind := range []core.Kind{core.KindKey, core.KindDocument, core.KindNamespace, core.KindAudit} {
			d := decide(t, a, "ann", of(kind, ask(action, lists("read: secret; write: secret; admin: secret"), around("app", "admin: secret"))))
			if d.Allow || d.Reason == "" || strings.Contains(d.Reason, "secret") || d.Grant != nil {
				t.Errorf("%s of %s: got %+v", action, kind, d)
			}
		}
	}
}
