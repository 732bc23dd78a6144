package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/dynconfig/dynconfig/core"
)

// How long the built-in issuer's tokens live.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 30 * 24 * time.Hour
)

// Issuer is the server as its own issuer of tokens, where no JWKS URL is set. It is made by OpenIssuer or ParseIssuer.
// Its tokens name it as issuer and audience, so that they are worth nothing to a server with another key.
type Issuer struct {
	key      ed25519.PrivateKey
	id       string // the key's thumbprint (RFC 7638)
	set      *Set
	document []byte
}

var _ Keys = (*Issuer)(nil)

func newIssuer(private ed25519.PrivateKey) (*Issuer, error) {
	public, err := jwk.Import(private.Public())
	if err != nil {
		return nil, err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	i := &Issuer{key: private, id: base64.RawURLEncoding.EncodeToString(thumbprint)}
	for name, value := range map[string]any{jwk.KeyIDKey: i.id, jwk.AlgorithmKey: "EdDSA", jwk.KeyUsageKey: "sig"} {
		if err := public.Set(name, value); err != nil {
			return nil, err
		}
	}
	if i.document, err = json.Marshal(map[string]any{"keys": []jwk.Key{public}}); err != nil {
		return nil, err
	}
	i.set, err = ParseSet(i.document)
	return i, err
}

// Name is what the tokens hold as iss and aud.
func (i *Issuer) Name() string { return "dynconfig:" + i.id }

// Document is the public half as a JWK Set, for /.well-known/jwks.json.
func (i *Issuer) Document() []byte { return i.document }

// Set returns the one key.
func (i *Issuer) Set() *Set { return i.set }

// First returns the one key, too.
func (i *Issuer) First(context.Context) *Set { return i.set }

// Seek finds nothing newer.
func (i *Issuer) Seek(context.Context) *Set { return i.set }

// Health is always healthy.
func (i *Issuer) Health() string { return core.Healthy }

// Issue signs a token for username that lives for ttl, or DefaultTTL if that is 0, at most MaxTTL. extra claims are added;
// they cannot replace those of a token itself.
func (i *Issuer) Issue(username string, ttl time.Duration, extra map[string]any) (string, error) {
	if err := core.CheckUsername(username); err != nil {
		return "", err
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl < time.Second || ttl > MaxTTL {
		return "", core.Errorf(core.ErrInvalid, "A token lives between 1 second and 30 days")
	}
	now := time.Now()
	c := jwt.MapClaims{
		"iss": i.Name(), "aud": i.Name(), "sub": username, "username": username, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(ttl).Unix(),
	}
	for name, value := range extra {
		if _, own := c[name]; own {
			return "", core.Errorf(core.ErrInvalid, "Claim %s is set by the issuer itself", name)
		}
		c[name] = value
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	t.Header["kid"] = i.id
	token, err := t.SignedString(i.key)
	if err != nil {
		return "", err
	}
	if len(token) > MaxToken {
		return "", core.Errorf(core.ErrTooLarge, "The token would be longer than 8 KiB: fewer claims")
	}
	return token, nil
}
