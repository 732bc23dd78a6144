package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Keys is where a Verifier finds the keys of the tokens' issuer: a Remote or an Issuer.
type Keys interface {
	// Set returns the keys that count now, the same pointer as long as they are the same; nil: none were ever had.
	Set() *Set
	// First returns the set once it was asked for: a server that has just started waits for its first answer, a few seconds
	// at most, rather than turn its first callers away.
	First(ctx context.Context) *Set
	// Seek is called for a token whose key is not in the Set. It may look for a newer one, waiting a few seconds.
	Seek(ctx context.Context) *Set
	// Health is a word for /health: core.Healthy, core.Degraded or core.Unhealthy.
	Health() string
}

// Set is an immutable set of public keys, made by ParseSet. What may change is whether its keys are gone.
type Set struct{ keys []key }

// key is a public key and what its owner says it is for.
type key struct {
	id, alg string
	public  crypto.PublicKey
	gone    *atomic.Bool // no set holds the key any more; shared by the sets that did
}

const minRSABits = 2048

var (
	errUnknownKey = errors.New("no key of that kid in the set")
	errNoKey      = errors.New("no key, or more than one, fits")
)

// ParseSet reads a JWK Set document. Keys that cannot verify a token here are left out, as RFC 7517 asks: unknown types,
// secrets, RSA keys under 2048 bits, keys for encryption, broken ones. What is not a set at all is an error.
func ParseSet(document []byte) (*Set, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, errors.New("not a JWK set: broken JSON")
	}
	if doc.Keys == nil {
		return nil, errors.New("not a JWK set: no keys")
	}
	s := &Set{}
	for _, raw := range doc.Keys {
		if k, ok := parseKey(raw); ok {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

// Len returns how many keys of the set can verify tokens.
func (s *Set) Len() int { return len(s.keys) }

func parseKey(text []byte) (key, bool) {
	parsed, err := jwk.ParseKey(text)
	if err != nil || !forSignatures(parsed) {
		return key{}, false
	}
	public, err := parsed.PublicKey()
	if err != nil {
		return key{}, false
	}
	var raw any
	if err := jwk.Export(public, &raw); err != nil || !sound(raw) {
		return key{}, false
	}
	k := key{public: raw, gone: &atomic.Bool{}}
	k.id, _ = parsed.KeyID()
	if alg, ok := parsed.Algorithm(); ok {
		k.alg = alg.String()
	}
	return k, true
}

// follow makes a set that was just parsed the one after another: what is known of a key in both goes on. It returns those
// that the set holds no longer. was may be nil.
func (s *Set) follow(was *Set) (lost []key) {
	if was == nil {
		return nil
	}
	for _, old := range was.keys {
		kept := false
		for i := range s.keys {
			if s.keys[i].same(old) {
				s.keys[i].gone, kept = old.gone, true
			}
		}
		if !kept {
			lost = append(lost, old)
		}
	}
	return lost
}

// same reports whether a token that verifies with one key does with the other.
func (k key) same(other key) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.id == other.id && k.alg == other.alg && public.Equal(other.public)
}

// forget marks keys that no set holds any more: what was verified with them counts no longer.
func forget(keys []key) {
	for _, k := range keys {
		k.gone.Store(true)
	}
}

// forSignatures reports whether the key's owner lets it verify signatures, by use and key_ops.
func forSignatures(k jwk.Key) bool {
	if use, ok := k.KeyUsage(); ok && use != "sig" {
		return false
	}
	ops, ok := k.KeyOps()
	return !ok || slices.Contains(ops, jwk.KeyOpVerify)
}

// sound reports whether a public key is of a kind and strength that is accepted.
func sound(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		_, err := k.ECDH() // refuses a point that is not on the curve
		return err == nil
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// find returns the key for a token: the one with its kid or, when it names none, the only one that fits its algorithm.
func (s *Set) find(alg, kid string) (key, error) {
	known := false
	var found []key
	for _, k := range s.keys {
		if kid != "" && k.id != kid {
			continue
		}
		known = true
		if k.fits(alg) {
			found = append(found, k)
		}
	}
	switch {
	case !known && kid != "":
		return key{}, errUnknownKey
	case len(found) != 1:
		return key{}, errNoKey
	}
	return found[0], nil
}

func (k key) fits(alg string) bool {
	if alg == algEd25519 {
		alg = algEdDSA
	}
	if k.alg != "" && k.alg != alg && (k.alg != algEd25519 || alg != algEdDSA) {
		return false
	}
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == "ES256" && p.Curve == elliptic.P256() ||
			alg == "ES384" && p.Curve == elliptic.P384() ||
			alg == "ES512" && p.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == algEdDSA
	}
	return false
}
