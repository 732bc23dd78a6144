package auth

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dynconfig/dynconfig/core"
)

// verifies reports a token that v takes or refuses against the expectation, and that a refusal says nothing but "Invalid JWT".
func verifies(t *testing.T, v *Verifier, token string, want bool) {
	t.Helper()
	subject, err := v.Verify(t.Context(), token)
	if want {
		if err != nil {
			t.Fatalf("token is refused: %v", err)
		}
		return
	}
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, core.ErrUnauthenticated) || e.Detail != "Invalid JWT" || e.Cause == nil {
		t.Fatalf("got %+v and error %#v, want ErrUnauthenticated, Invalid JWT, with a cause", subject, err)
	}
	if token != "" && strings.Contains(err.Error(), token) {
		t.Fatal("the error repeats the token")
	}
}

func TestEveryAcceptedAlgorithmVerifies(t *testing.T) {
	ed := edKey()
	curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	for _, alg := range algorithms() {
		t.Run(alg, func(t *testing.T) {
			method := jwt.GetSigningMethod(alg)
			switch method.(type) {
			case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
				v := NewVerifier(keysOf(jwkOf(rsaKey(), map[string]any{"kid": "k"})), VerifierOptions{})
				verifies(t, v, sign(method, rsaKey(), "k", good(nil)), true)
			case *jwt.SigningMethodECDSA:
				key := ecKey(curves[alg])
				v := NewVerifier(keysOf(jwkOf(key, map[string]any{"kid": "k"})), VerifierOptions{})
				verifies(t, v, sign(method, key, "k", good(nil)), true)
			default:
				v := NewVerifier(keysOf(jwkOf(ed, map[string]any{"kid": "k"})), VerifierOptions{})
				verifies(t, v, sign(method, ed, "k", good(nil)), true)
			}
		})
	}
}

func TestNoneAndSharedSecretsAreRefused(t *testing.T) {
	v := NewVerifier(keysOf(jwkOf(rsaKey(), map[string]any{"kid": "k"})), VerifierOptions{})
	verifies(t, v, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k", good(nil)), false)

	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "modulus": rsaKey().N.Bytes(), "nothing": {},
	} {
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
			t.Run(name+" as the secret of "+method.Alg(), func(t *testing.T) {
				verifies(t, v, sign(method, secret, "k", good(nil)), false)
			})
		}
	}
	for _, alg := range []string{"None", "NONE", "", "hs256", "ES256K", "RSA1_5"} {
		header := `{"alg":"` + alg + `","kid":"k"}`
		claims := string(must(json.Marshal(good(nil))))
		encode := base64.RawURLEncoding.EncodeToString
		verifies(t, v, encode([]byte(header))+"."+encode([]byte(claims))+".", false)
	}
}

func TestKeyIsChosenByKidOrIsTheOnlyOneThatFits(t *testing.T) {
	a, b, ec := edKey(), edKey(), ecKey(elliptic.P256())
	ed, es := jwt.SigningMethodEdDSA, jwt.SigningMethodES256
	for _, c := range []struct {
		name  string
		keys  *fixed
		token string
		want  bool
	}{
		{"by kid among many", keysOf(jwkOf(a, map[string]any{"kid": "a"}), jwkOf(b, map[string]any{"kid": "b"})), sign(ed, b, "b", good(nil)), true},
		{"another's kid", keysOf(jwkOf(a, map[string]any{"kid": "a"}), jwkOf(b, map[string]any{"kid": "b"})), sign(ed, b, "a", good(nil)), false},
		{"unknown kid", keysOf(jwkOf(a, map[string]any{"kid": "a"})), sign(ed, a, "x", good(nil)), false},
		{"no kid, one key", keysOf(jwkOf(a, map[string]any{"kid": "a"})), sign(ed, a, "", good(nil)), true},
		{"no kid, one that fits", keysOf(jwkOf(a, map[string]any{"kid": "a"}), jwkOf(ec, map[string]any{"kid": "e"})), sign(es, ec, "", good(nil)), true},
		{"no kid, two that fit", keysOf(jwkOf(a, nil), jwkOf(b, nil)), sign(ed, a, "", good(nil)), false},
		{"one kid for two kinds", keysOf(jwkOf(a, map[string]any{"kid": "k"}), jwkOf(ec, map[string]any{"kid": "k"})), sign(es, ec, "k", good(nil)), true},
		{"key is for another algorithm", keysOf(jwkOf(rsaKey(), map[string]any{"alg": "RS256"})), sign(jwt.SigningMethodPS256, rsaKey(), "", good(nil)), false},
		{"key is for encryption", keysOf(jwkOf(a, map[string]any{"use": "enc"})), sign(ed, a, "", good(nil)), false},
		{"key may not verify", keysOf(jwkOf(a, map[string]any{"key_ops": []string{"sign"}})), sign(ed, a, "", good(nil)), false},
		{"key may verify", keysOf(jwkOf(a, map[string]any{"key_ops": []string{"verify"}, "use": "sig", "alg": "EdDSA"})), sign(ed, a, "", good(nil)), true},
		{"foreign key", keysOf(jwkOf(a, nil)), sign(ed, b, "", good(nil)), false},
		{"empty set", keysOf(), sign(ed, a, "", good(nil)), false},
		{"curve of another algorithm", keysOf(jwkOf(ecKey(elliptic.P384()), nil)), sign(es, ec, "", good(nil)), false},
	} {
		t.Run(c.name, func(t *testing.T) { verifies(t, NewVerifier(c.keys, VerifierOptions{}), c.token, c.want) })
	}
}

func TestHeaderCannotBringItsOwnKey(t *testing.T) {
	own, foreign := edKey(), edKey()
	v := NewVerifier(keysOf(jwkOf(own, nil)), VerifierOptions{})
	for _, name := range []string{"jwk", "jku", "x5u", "x5c"} {
		for who, key := range map[string]any{"foreign": foreign, "own": own} {
			token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, good(nil))
			token.Header[name] = jwkOf(foreign, nil)
			verifies(t, v, must(token.SignedString(key)), who == "own")
		}
	}
}

func TestHeaderIsStrict(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, map[string]any{"kid": "k"})), VerifierOptions{})
	claims := string(must(json.Marshal(good(nil))))
	for header, want := range map[string]bool{
		`{"alg":"EdDSA","kid":"k"}`:                    true,
		`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`:     true,
		`{"alg":"EdDSA","kid":"k","crit":["exp"]}`:     false,
		`{"alg":"EdDSA","kid":"k","crit":null}`:        false,
		`{"alg":"none","alg":"EdDSA","kid":"k"}`:       false,
		`{"alg":"EdDSA","kid":"x","kid":"k"}`:          false,
		`{"alg":"EdDSA","kid":7}`:                      false,
		`{"alg":"EdDSA","kid":""}`:                     false,
		`{"alg":"EdDSA","kid":null}`:                   false,
		`{"alg":["EdDSA"],"kid":"k"}`:                  false,
		`{"ALG":"EdDSA","kid":"k"}`:                    false,
		`{"alg":"EdDSA","kid":"k"} `:                   true,
		`{"alg":"EdDSA","kid":"k"}{}`:                  false,
		"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"\xff\":1}": false,
		`[]`: false, `null`: false, ``: false,
	} {
		t.Run(header, func(t *testing.T) { verifies(t, v, signRaw(key, header, claims), want) })
	}
}

func TestClaimsAreStrict(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
	for claims, want := range map[string]bool{
		`{"username":"alice","exp":99999999999}`:                                                               true,
		`{"username":"alice","exp":99999999999.5}`:                                                             true,
		`{"username":"alice","exp":9.9999999999e10}`:                                                           true,
		`{"username":"\ud83d\ude00","exp":99999999999}`:                                                        true,
		`{"username":"a\\ud83d","exp":99999999999}`:                                                            true,
		`{"username":"\ud83d","exp":99999999999}`:                                                              false,
		`{"username":"\ude00\ud83d","exp":99999999999}`:                                                        false,
		`{"username":"\ud83dx","exp":99999999999}`:                                                             false,
		`{"username":"alice","exp":99999999999,"x":["\ud83d"]}`:                                                false,
		`{"username":"alice"}`:                                                                                 false,
		`{"username":"alice","exp":null}`:                                                                      false,
		`{"username":"alice","exp":"99999999999"}`:                                                             false,
		`{"username":"alice","exp":0}`:                                                                         false,
		`{"username":"alice","exp":-1}`:                                                                        false,
		`{"username":"alice","exp":1e400}`:                                                                     false,
		`{"username":"alice","exp":1e300}`:                                                                     false,
		`{"username":"alice","exp":9223372036854775807}`:                                                       false,
		`{"username":"alice","exp":99999999999,"nbf":1e300}`:                                                   false,
		`{"username":"alice","exp":99999999999,"nbf":"0"}`:                                                     false,
		`{"username":"alice","exp":99999999999,"iat":-1e300}`:                                                  false,
		`{"username":"alice","exp":99999999999,"iat":true}`:                                                    false,
		`{"username":"alice","exp":1,"exp":99999999999}`:                                                       false,
		`{"username":"alice","username":"admin-user","exp":99999999999}`:                                       false,
		`{"username":"alice","exp":99999999999,"x":{"a":1,"a":2}}`:                                             false,
		`{"username":"alice","exp":99999999999,"x":[{"a":1,"\u0061":2}]}`:                                      false,
		`{"Username":"alice","exp":99999999999}`:                                                               false,
		`{"username":["alice"],"exp":99999999999}`:                                                             false,
		`{"username":7,"exp":99999999999}`:                                                                     false,
		`{"username":null,"exp":99999999999}`:                                                                  false,
		`{"username":"","exp":99999999999}`:                                                                    false,
		`{"username":"*","exp":99999999999}`:                                                                   false,
		`{"username":" alice","exp":99999999999}`:                                                              false,
		`{"username":"a\u0000b","exp":99999999999}`:                                                            false,
		`{"sub":"alice","exp":99999999999}`:                                                                    false,
		`{"username":"alice","exp":99999999999}{}`:                                                             false,
		`{"username":"alice","exp":99999999999`:                                                                false,
		"{\"username\":\"a\xff\",\"exp\":99999999999}":                                                         false,
		`{"username":"alice","exp":99999999999,"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`: true,
		`{"username":"alice","exp":99999999999,"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`: false,
		`["alice"]`: false, `null`: false, `"alice"`: false, ``: false,
	} {
		t.Run(claims, func(t *testing.T) { verifies(t, v, signRaw(key, `{"alg":"EdDSA"}`, claims), want) })
	}
}

func TestUsernameOf256BytesPassesAndOneMoreDoesNot(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
	for n, want := range map[int]bool{256: true, 257: false} {
		verifies(t, v, sign(jwt.SigningMethodEdDSA, key, "", good(map[string]any{"username": strings.Repeat("u", n)})), want)
	}
}

func TestTokenOf8KiBPassesAndOneByteMoreDoesNot(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
	lengths := map[int]bool{}
	for pad := 5900; pad < 6100; pad++ {
		token := sign(jwt.SigningMethodEdDSA, key, "", good(map[string]any{"pad": strings.Repeat("x", pad)}))
		if d := len(token) - MaxToken; d >= -2 && d <= 2 {
			lengths[d] = true
			verifies(t, v, token, d <= 0)
		}
	}
	if !lengths[0] && !lengths[-1] || !lengths[1] && !lengths[2] {
		t.Fatalf("the limit was not met closely: %v", lengths)
	}
}

func TestMalformedTokensAreRefused(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
	token := sign(jwt.SigningMethodEdDSA, key, "", good(nil))
	parts := strings.Split(token, ".")
	last := len(token) - 1 // of its six bits the signature has two: the next character has those two, and another bit
	for name, bad := range map[string]string{
		"nothing": "", "one part": parts[0], "no signature": parts[0] + "." + parts[1], "empty signature": parts[0] + "." + parts[1] + ".",
		"four parts": token + ".x", "padded": token + "==", "line break": token[:20] + "\n" + token[20:], "trailing bits": token[:last] + string(token[last]+1),
		"blank": token + " ", "standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
		"changed claims": parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2], "nonsense": "a.b.c", "dots": "..",
	} {
		t.Run(name, func(t *testing.T) { verifies(t, v, bad, false) })
	}
}

func TestTimesAreHonouredWithThirtySecondsOfLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, now := edKey(), time.Now().Unix()
		v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
		for _, c := range []struct {
			claim  string
			offset int64
			want   bool
		}{
			{"exp", 1, true},
			{"exp", -29, true},
			{"exp", -30, false},
			{"exp", -3600, false},
			{"nbf", 0, true},
			{"nbf", 30, true},
			{"nbf", 31, false},
			{"iat", 0, true},
			{"iat", 30, true},
			{"iat", 31, false},
		} {
			token := sign(jwt.SigningMethodEdDSA, key, "", good(map[string]any{c.claim: now + c.offset}))
			t.Logf("%s %+d s", c.claim, c.offset)
			verifies(t, v, token, c.want)
			verifies(t, v, token, c.want) // from the cache, if it is there
		}
	})
}

func TestIssuerAndAudienceAreCheckedWhereSet(t *testing.T) {
	key := edKey()
	keys := keysOf(jwkOf(key, nil))
	both := VerifierOptions{Issuer: "https://idp", Audience: "dynconfig"}
	for _, c := range []struct {
		name   string
		o      VerifierOptions
		claims map[string]any
		want   bool
	}{
		{"both right", both, map[string]any{"iss": "https://idp", "aud": "dynconfig"}, true},
		{"one of several audiences", both, map[string]any{"iss": "https://idp", "aud": []string{"x", "dynconfig"}}, true},
		{"another issuer", both, map[string]any{"iss": "https://idp/", "aud": "dynconfig"}, false},
		{"another audience", both, map[string]any{"iss": "https://idp", "aud": "dynconfig2"}, false},
		{"no issuer", both, map[string]any{"aud": "dynconfig"}, false},
		{"no audience", both, map[string]any{"iss": "https://idp"}, false},
		{"no audience in the list", both, map[string]any{"iss": "https://idp", "aud": []string{}}, false},
		{"audience is a number", both, map[string]any{"iss": "https://idp", "aud": 7}, false},
		{"neither set, neither sent", VerifierOptions{}, nil, true},
		{"neither set, both sent", VerifierOptions{}, map[string]any{"iss": "x", "aud": "y"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			verifies(t, NewVerifier(keys, c.o), sign(jwt.SigningMethodEdDSA, key, "", good(c.claims)), c.want)
		})
	}
}

func TestClaimsKeepTheirNumbersExactly(t *testing.T) {
	key := edKey()
	v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
	subject := must(v.Verify(t.Context(), signRaw(key, `{"alg":"EdDSA"}`,
		`{"username":"alice","exp":4102444800,"org":{"id":12345678901234567890123,"share":0.10}}`)))
	org := subject.Claims["org"].(map[string]any)
	if org["id"] != json.Number("12345678901234567890123") || org["share"] != json.Number("0.10") {
		t.Fatalf("got %#v, want the numbers as they were written", org)
	}
	if want := time.Unix(4102444800, 0); subject.Username != "alice" || !subject.Expires.Equal(want) {
		t.Fatalf("got %q until %s, want alice until %s", subject.Username, subject.Expires, want)
	}
}

func TestVerifiedTokenIsCachedNoLongerThanItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := edKey()
		v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
		token := sign(jwt.SigningMethodEdDSA, key, "", good(map[string]any{"exp": time.Now().Add(time.Minute).Unix()}))
		first := must(v.Verify(t.Context(), token))
		time.Sleep(89 * time.Second) // a minute and the leeway less one second
		if again := must(v.Verify(t.Context(), token)); again != first {
			t.Fatal("a token that lives was verified again")
		}
		time.Sleep(time.Second)
		verifies(t, v, token, false)
	})
}

func TestVerifiedTokenIsCachedNoLongerThanItsKey(t *testing.T) {
	a, b := edKey(), edKey()
	keys := keysOf(jwkOf(a, map[string]any{"kid": "a"}), jwkOf(b, map[string]any{"kid": "b"}))
	v := NewVerifier(keys, VerifierOptions{})
	token := sign(jwt.SigningMethodEdDSA, a, "a", good(nil))
	verifies(t, v, token, true)
	keys.set = keysOf(jwkOf(b, map[string]any{"kid": "b"})).set
	verifies(t, v, token, false)
	keys.set = keysOf(jwkOf(b, map[string]any{"kid": "a"})).set // another key under the old name
	verifies(t, v, token, false)
}

func TestUnknownKidLooksForANewerSet(t *testing.T) {
	a, b := edKey(), edKey()
	keys := keysOf(jwkOf(a, map[string]any{"kid": "a"}))
	keys.next = keysOf(jwkOf(b, map[string]any{"kid": "b"})).set
	v := NewVerifier(keys, VerifierOptions{})
	verifies(t, v, sign(jwt.SigningMethodEdDSA, b, "b", good(nil)), true)
	verifies(t, v, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "x", good(nil)), false)
	verifies(t, v, "nonsense", false)
	if keys.seeks != 1 {
		t.Fatalf("looked %d times, want once: other faults are no reason to", keys.seeks)
	}
}

func TestWithoutASetEveryTokenIsUnavailable(t *testing.T) {
	v := NewVerifier(&fixed{}, VerifierOptions{})
	_, err := v.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, edKey(), "", good(nil)))
	if !errors.Is(err, core.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}
