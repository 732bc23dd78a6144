package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

// rsaKey and smallRSAKey are made once: they take long.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	smallRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey(c elliptic.Curve) *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(c, rand.Reader)) }

func edKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

// jwkOf describes the public half of a key; members replace or, when nil, remove.
func jwkOf(private crypto.Signer, members map[string]any) map[string]any {
	m := map[string]any{}
	text := must(json.Marshal(must(jwk.Import(private.Public()))))
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	maps.Copy(m, members)
	return m
}

func document(keys ...map[string]any) []byte {
	if keys == nil {
		keys = []map[string]any{}
	}
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// fixed is a Keys that a test turns by hand.
type fixed struct {
	set, next *Set
	seeks     int
}

func (f *fixed) Set() *Set { return f.set }

func (f *fixed) First(context.Context) *Set { return f.set }

func (f *fixed) Seek(context.Context) *Set {
	f.seeks++
	if f.next != nil {
		f.set = f.next
	}
	return f.set
}

func (f *fixed) Health() string { return core.Healthy }

func keysOf(keys ...map[string]any) *fixed { return &fixed{set: must(ParseSet(document(keys...)))} }

// good are the claims of a token that verifies; members replace or, when nil, remove.
func good(members map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{"username": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, members)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(method jwt.SigningMethod, key any, kid string, c jwt.Claims) string {
	t := jwt.NewWithClaims(method, c)
	if kid != "" {
		t.Header["kid"] = kid
	}
	return must(t.SignedString(key))
}

// signRaw signs header and claims as they are written.
func signRaw(key ed25519.PrivateKey, header, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}
