package policy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
)

// module makes a set of one module in dynconfig.authz.
func module(body string) Set {
	return Set{Modules: map[string]string{"authz.rego": "package dynconfig.authz\n\n" + body}}
}

// seen returns what a policy sees, as JSON.
func seen(t *testing.T, who *core.Subject, access core.Access) string {
	t.Helper()
	a := open(t, module(`decision := {"allow": true, "reason": json.marshal(input)}`))
	d, err := a.Authorize(t.Context(), who, access)
	if err != nil || !d.Allow {
		t.Fatalf("got %+v, %v", d, err)
	}
	return d.Reason
}

func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	for _, x := range []struct {
		text string
		into *any
	}{{got, &g}, {want, &w}} {
		d := json.NewDecoder(strings.NewReader(x.text))
		d.UseNumber()
		if err := d.Decode(x.into); err != nil {
			t.Fatalf("%s: %v", x.text, err)
		}
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPolicySeesTheDocumentedInput(t *testing.T) {
	who := &core.Subject{Username: "service:pay", Claims: map[string]any{
		"username": "service:pay", "big": json.Number("9007199254740993"), "team": []any{"a", nil, true, map[string]any{"x": json.Number("1.50")}},
	}}
	access := core.Access{
		Action: core.ActionWrite, Kind: core.KindKey, Environment: "default", Key: "app.ui.theme", Exists: true,
		ACL:       core.Intern(&core.ACL{Read: []string{"admin-user", "service:*"}, Write: []string{}}),
		Chain:     around("*", "admin: root", "app", "read: *"),
		Operation: "put", Changes: core.ChangesValue | core.ChangesTTL | core.ChangesACLs | core.ChangesSchema, Address: "192.0.2.7",
		Time: time.Date(2025, 9, 21, 22, 3, 0, 120_000_000, time.FixedZone("", 7200)),
	}
	sameJSON(t, seen(t, who, access), `{"subject":{"username":"service:pay","claims":{"username":"service:pay","big":9007199254740993,"team":["a",null,true,{"x":1.50}]}},
		"action":"write","environment":"default",
		"resource":{"kind":"key","key":"app.ui.theme","namespaces":["app","app.ui"],"exists":true,
			"acls":{"read":{"any":false,"names":{"admin-user":true},"prefixes":["service:"]},"write":{"any":false,"names":{},"prefixes":[]}},
			"namespace_acls":[{"namespace":"*","acls":{"admin":{"any":false,"names":{"root":true},"prefixes":[]}}},
				{"namespace":"app","acls":{"read":{"any":true,"names":{},"prefixes":[]}}}]},
		"request":{"operation":"put","changes":["value","ttl","acls","schema"],"time":"2025-09-21T20:03:00.12Z","address":"192.0.2.7"}}`)
}

func TestPolicySeesNullWithoutAnACL(t *testing.T) {
	access := core.Access{Action: core.ActionRead, Kind: core.KindNamespace, Environment: "e", Key: "app", Operation: "get", Time: time.Unix(0, 0)}
	sameJSON(t, seen(t, &core.Subject{Username: "ann"}, access), `{"subject":{"username":"ann","claims":{}},"action":"read","environment":"e",
		"resource":{"kind":"namespace","key":"app","namespaces":[],"exists":false,"acls":null,"namespace_acls":[]},
		"request":{"operation":"get","changes":[],"time":"1970-01-01T00:00:00Z","address":""}}`)
}

func TestTimeNowIsTheRequestTime(t *testing.T) {
	a := open(t, module(`decision := {"allow": time.now_ns() == time.parse_rfc3339_ns(input.request.time)}`))
	for _, at := range []time.Time{time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 123_456_000), {}} {
		access := ask(core.ActionRead, nil, nil)
		access.Time = at
		if d := decide(t, a, "ann", access); !d.Allow {
			t.Errorf("at %v: got %+v", at, d)
		}
	}
}

func TestClaimsKeepNumbersBeyond53Bits(t *testing.T) {
	a := open(t, module(`decision := {"allow": input.subject.claims.id == 9007199254740993}`))
	for number, want := range map[string]bool{"9007199254740993": true, "9007199254740992": false, "9007199254740994": false} {
		who := &core.Subject{Username: "ann", Claims: map[string]any{"id": json.Number(number)}}
		if d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil)); err != nil || d.Allow != want {
			t.Errorf("claim %s: got %+v, %v, want allow %v", number, d, err, want)
		}
	}
}

func FuzzClaimsReachThePolicyAsTheyCame(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.50,1e400,-0],"b":{"c":null}}`, `{"":"","é":"\u0000\ud800","x":9007199254740993}`, `{"a":{"a":{"a":[[[]]]}}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var claims map[string]any
		if d.Decode(&claims) != nil {
			return
		}
		term, err := claimsTerm(claims)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		if claims == nil {
			want = []byte("{}")
		}
		back, err := ast.JSON(term.Value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, string(got), string(want))
		if key := string(appendClaim(nil, claims)); key != string(appendClaim(nil, claims)) {
			t.Errorf("%s: the same claims gave different keys", text)
		}
	})
}
