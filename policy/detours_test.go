package policy

import (
	"testing"
)

func TestNothingIsKeptOfAPolicyThatAnswersAnewByDetours(t *testing.T) {
	for name, body := range map[string]string{
		"a nondeterministic builtin in the place of a function": `decision := {"allow": true}

unused := x if x := f("a.b.c", {"secret": "s"}) with f as io.jwt.decode_verify

f(_, _) := [true]`,
		"certificates, which end": `decision := {"allow": true}

unused := crypto.x509.parse_and_verify_certificates("")`,
		"certificates with options": `decision := {"allow": true}

unused := crypto.x509.parse_and_verify_certificates_with_options("", {})`,
	} {
		a := open(t, module(body))
		who, access := plain()
		for range 2 {
			if _, n := counted(t, a, who, access); n != 1 {
				t.Errorf("%s: an answer was kept", name)
			}
		}
	}
}

func TestCallToAHostEndsInTimeAlsoInThePlaceOfAFunction(t *testing.T) {
	set := module(`decision := {"allow": answer.status_code == 200}

answer := x if x := f({"method": "get", "url": "https://example.com"}) with f as http.send

f(_) := {"status_code": 0}`)
	p, err := compile(t.Context(), set, []string{"admin-user"}, []string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if !p.reaches || !p.reads.volatile {
		t.Errorf("got reaches %v, volatile %v, want both", p.reaches, p.reads.volatile)
	}
}

func TestFunctionsOfTheShippedRulesAnswerASetWhateverItGivesThem(t *testing.T) {
	a := open(t, module(`decision := {"allow": true, "rule": "x"} if {
	not data.dynconfig.acl.administering([{"acls": {"admin": "x"}}], input.subject.username)
	not data.dynconfig.acl.administering([{"acls": {"admin": {"names": {}}}}], input.subject.username)
	data.dynconfig.acl.administering([{"acls": {"admin": {"names": {"ann": true}}}}], "ann")
	data.dynconfig.acl.decision.allow == false
}`))
	if d := decide(t, a, "ann", ask("read", nil, nil)); !d.Allow {
		t.Errorf("got %+v, want allowed", d)
	}
}
