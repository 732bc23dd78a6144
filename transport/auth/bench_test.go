package auth

import (
	"crypto/elliptic"
	"strconv"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func BenchmarkVerify(b *testing.B) {
	ec, ed := ecKey(elliptic.P256()), edKey()
	for _, c := range []struct {
		method  jwt.SigningMethod
		private any
		public  map[string]any
	}{
		{jwt.SigningMethodRS256, rsaKey(), jwkOf(rsaKey(), nil)},
		{jwt.SigningMethodES256, ec, jwkOf(ec, nil)},
		{jwt.SigningMethodEdDSA, ed, jwkOf(ed, nil)},
	} {
		keys := keysOf(c.public)
		token := sign(c.method, c.private, "", good(map[string]any{"iss": "https://idp.example", "aud": "dynconfig", "roles": []string{"a", "b"}}))
		b.Run("first/"+c.method.Alg(), func(b *testing.B) {
			v := NewVerifier(keys, VerifierOptions{})
			b.ReportAllocs()
			for b.Loop() {
				must(v.verify(token, keys.set))
			}
		})
		b.Run("cached/"+c.method.Alg(), func(b *testing.B) {
			v := NewVerifier(keys, VerifierOptions{})
			b.ReportAllocs()
			for b.Loop() {
				must(v.Verify(b.Context(), token))
			}
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	key := edKey()
	g := NewGuard(NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{}), GuardOptions{Limit: 1 << 40})
	r := asking(sign(jwt.SigningMethodEdDSA, key, "", good(nil)), "192.0.2.7:1234")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Admit(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	names := make([]string, 1024)
	for i := range names {
		names[i] = "user-" + strconv.Itoa(i)
	}
	l := NewLimiter(1<<40, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, _ = l.Take(b.Context(), names[i%len(names)], 1)
		}
	})
}
