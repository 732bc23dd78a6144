package policy

import (
	"testing"
)

func TestWhatARunMakesOfItsInputAndDataNoOtherRunSees(t *testing.T) {
	for name, body := range map[string]string{
		"with below a list":  `mock if { data.dynconfig.acl.decision.allow with input.resource.acls.read.names.mallory as true with input.resource.acls.read.names.mock as true }`,
		"with below a chain": `mock if { data.dynconfig.acl.decision.allow with input.resource.acls.admin as {"any": true, "names": {}, "prefixes": []} }`,
		"patch":              `mock if { x := json.patch(input, [{"op": "add", "path": "/resource/acls/read/names/mallory", "value": true}]); x.resource.acls.read.names.mallory }`,
		"union":              `mock if { x := object.union(input, {"resource": {"acls": {"read": {"names": {"mallory": true}}}}}); x.resource.acls.read.names.mallory }`,
		"data":               `mock if { data.conf.names.mallory with data.conf.names.mallory as true }`,
		"data whole":         `mock if { data.conf.names.mallory with data.conf as {"names": {"mallory": true}} }`,
		"array":              `mock if { x := array.concat(input.resource.acls.read.prefixes, ["m"]); count(x) == 2 }`,
	} {
		set := module(`decision := {"allow": true, "rule": "x"} if {
	input.subject.username == "mock"
	mock
} else := {"allow": true, "rule": "data"} if data.conf.names.mallory
else := data.dynconfig.acl.decision
` + body)
		set.Data = map[string]any{"conf": map[string]any{"names": map[string]any{"ann": true}}}
		a := open(t, set)
		acl, chain := lists("read: ann svc*"), around("app", "read: bob")
		access := ask("read", acl, chain)
		for range 3 {
			for user, rule := range map[string]string{"mock": "x", "mallory": "no-read", "ann": "key-read"} {
				if d := decide(t, a, user, access); d.Rule != rule {
					t.Errorf("%s: %s got %+v, want rule %s", name, user, d, rule)
				}
			}
		}
		if err := a.Load(t.Context(), Set{}); err != nil {
			t.Fatal(err)
		}
		if d := decide(t, a, "mallory", access); d.Allow {
			t.Errorf("under the shipped rules, after %s: got %+v", name, d)
		}
	}
}
