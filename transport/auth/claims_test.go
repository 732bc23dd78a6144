package auth

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func FuzzClaimsMeanOneThing(f *testing.F) {
	for _, seed := range []string{
		`{"username":"alice","exp":99999999999}`, `{"a":{"b":[1,2.50,1e9,null,true,"\ud83d\ude00"]}}`, `{"a":1,"a":2}`, `{"a":"\ud83d"}`,
		`{}{}`, `[[[[`, "{\"\xff\":1}", `{"a":"\\ud800"}`, `{"a":1,}`, `{"a" 1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseObject(data)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatalf("taken, but the standard decoder refuses it: %v", err)
		}
		text := must(json.Marshal(m))
		again, err := parseObject(text)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%s read again gives %v, %v", text, again, err)
		}
	})
}

func FuzzTokenNeverPanicsAndNeverVerifiesUnsigned(f *testing.F) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, map[string]any{"kid": "k"})), VerifierOptions{})
	f.Add(`{"alg":"EdDSA","kid":"k"}`, `{"username":"alice","exp":99999999999}`)
	f.Add(`{"alg":"none"}`, `{"username":"alice","exp":1e400}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		if subject, err := v.Verify(t.Context(), signRaw(key, header, claims)); err == nil && core.CheckUsername(subject.Username) != nil {
			t.Fatalf("verified with the name %q", subject.Username)
		}
		if subject, err := v.Verify(t.Context(), signRaw(edKey(), header, claims)); err == nil {
			t.Fatalf("a foreign key's token verified: %+v", subject)
		}
		if subject, err := v.Verify(t.Context(), header+"."+claims+"."); err == nil {
			t.Fatalf("an unsigned token verified: %+v", subject)
		}
	})
}
