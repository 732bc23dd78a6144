package auth

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestKeysThatCannotVerifyAreLeftOutOfTheSet(t *testing.T) {
	valid := jwkOf(edKey(), nil)
	point := jwkOf(ecKey(elliptic.P256()), nil)
	point["y"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	short := jwkOf(edKey(), nil)
	short["x"] = "AAAA"
	for name, bad := range map[string]map[string]any{
		"RSA of 1024 bits":       {"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(smallRSAKey().N.Bytes())},
		"a secret":               {"kty": "oct", "k": "c2VjcmV0"},
		"unknown type":           {"kty": "lattice", "x": "AAAA"},
		"no type":                {"x": "AAAA"},
		"point off the curve":    point,
		"short Ed25519":          short,
		"X25519":                 {"kty": "OKP", "crv": "X25519", "x": valid["x"]},
		"for encryption":         jwkOf(edKey(), map[string]any{"use": "enc"}),
		"RSA without a modulus":  {"kty": "RSA", "e": "AQAB"},
		"secp256k1":              {"kty": "EC", "crv": "secp256k1", "x": point["x"], "y": point["x"]},
		"members of wrong types": {"kty": "EC", "crv": 7, "x": []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := ParseSet(document(bad, valid))
			if err != nil || set.Len() != 1 {
				t.Fatalf("got %+v, %v, want the other key alone", set, err)
			}
		})
	}
}

func TestPrivateKeyInASetVerifiesLikeItsPublicHalf(t *testing.T) {
	key := edKey()
	private := jwkOf(key, map[string]any{"d": base64.RawURLEncoding.EncodeToString(key.Seed())})
	v := NewVerifier(keysOf(private), VerifierOptions{})
	verifies(t, v, sign(jwt.SigningMethodEdDSA, key, "", good(nil)), true)
}

func TestEd25519GoesByEitherName(t *testing.T) {
	key := edKey()
	for _, members := range []map[string]any{nil, {"alg": "EdDSA"}, {"alg": "Ed25519"}} {
		v := NewVerifier(keysOf(jwkOf(key, members)), VerifierOptions{})
		for _, alg := range []string{"EdDSA", "Ed25519"} {
			text := must(json.Marshal(good(nil)))
			verifies(t, v, signRaw(key, `{"alg":"`+alg+`"}`, string(text)), true)
			verifies(t, v, signRaw(edKey(), `{"alg":"`+alg+`"}`, string(text)), false)
		}
		verifies(t, v, signRaw(key, `{"alg":"Ed448"}`, string(must(json.Marshal(good(nil))))), false)
	}
}

func TestWhatIsNoSetIsAnError(t *testing.T) {
	for _, text := range []string{``, `null`, `[]`, `7`, `{}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":"x"}`, `<html>`, `{"keys":[`, `{"error":"no"}`} {
		if set, err := ParseSet([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, set)
		}
	}
	if set, err := ParseSet([]byte(`{"keys":[]}`)); err != nil || set.Len() != 0 {
		t.Errorf("empty set: got %+v, %v, want an empty set: all keys are gone", set, err)
	}
}
