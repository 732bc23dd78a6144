package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"

	"github.com/dynconfig/dynconfig/core"
)

// Limits of tokens.
const (
	MaxToken = 8 << 10          // bytes
	Leeway   = 30 * time.Second // by which exp, nbf and iat may be off
)

// cacheBytes is about how much memory the verified tokens take.
const cacheBytes = 32 << 20

// algorithms are those accepted: public keys only, so that a public key cannot be taken for a shared secret.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", algEdDSA, algEd25519}
}

// The two names of one algorithm: RFC 8037 calls it by its family, RFC 9864 by itself.
const (
	algEdDSA   = "EdDSA"
	algEd25519 = "Ed25519"
)

// ed25519Method is the JWT library's method under the name that it does not know yet.
type ed25519Method struct{ *jwt.SigningMethodEd25519 }

// Alg is the name in a token's header.
func (ed25519Method) Alg() string { return algEd25519 }

// VerifierOptions are a Verifier's optional parts; the zero value works.
type VerifierOptions struct {
	Issuer   string           // what iss must be; "": anything, with a warning
	Audience string           // what aud must hold; "": anything, with a warning
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: none
}

// Verifier turns tokens into subjects. It remembers what it verified for as long as the token and its key live.
type Verifier struct {
	keys   Keys
	now    func() time.Time
	parser *jwt.Parser
	cache  *otter.Cache[[sha256.Size]byte, verified]
}

// verified is a token that was good under a set of keys.
type verified struct {
	subject   *core.Subject
	set       *Set
	notBefore time.Time
	size      int // of the token
}

// NewVerifier returns a Verifier of tokens signed with one of keys.
func NewVerifier(keys Keys, o VerifierOptions) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms()), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(o.Now), jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	} else if o.Logger != nil {
		o.Logger.Warn("tokens of any issuer are accepted if the key set holds their key: set JWT_ISSUER")
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	} else if o.Logger != nil {
		o.Logger.Warn("tokens made for any audience are accepted: set JWT_AUDIENCE")
	}
	jwt.RegisterSigningMethod(algEd25519, func() jwt.SigningMethod { return ed25519Method{jwt.SigningMethodEdDSA} })
	return &Verifier{
		keys: keys, now: o.Now, parser: jwt.NewParser(options...),
		cache: otter.Must(&otter.Options[[sha256.Size]byte, verified]{
			MaximumWeight: cacheBytes,
			Weigher:       func(_ [sha256.Size]byte, v verified) uint32 { return v.weight() },
			Executor:      func(task func()) { task() }, // no goroutines of its own
		}),
	}
}

// weight is about how many bytes a verified token takes: its claims are kept as maps, several times the text.
func (v verified) weight() uint32 { return uint32(1024 + 8*v.size) }

// Health is a word for /health.
func (v *Verifier) Health() string { return v.keys.Health() }

// Verify returns the subject of a token, which nobody may change, or ErrUnauthenticated with the reason as a private
// cause. Without keys to verify by it is ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (*core.Subject, error) {
	set := v.keys.Set()
	if set == nil {
		set = v.keys.First(ctx)
	}
	if set == nil {
		return nil, &core.Error{Kind: core.ErrUnavailable, Detail: "The keys of the token issuer are away; try again", Retry: 5 * time.Second}
	}
	if len(token) > MaxToken {
		return nil, invalid(errors.New("longer than 8 KiB"))
	}
	digest := sha256.Sum256([]byte(token))
	if hit, ok := v.cache.GetIfPresent(digest); ok && hit.set == set && hit.good(v.now()) {
		return hit.subject, nil
	}
	fresh, err := v.verify(token, set)
	if errors.Is(err, errUnknownKey) {
		if newer := v.keys.Seek(ctx); newer != nil && newer != set {
			fresh, err = v.verify(token, newer)
		}
	}
	if err != nil {
		v.cache.Invalidate(digest)
		return nil, invalid(err)
	}
	v.cache.Set(digest, fresh)
	return fresh.subject, nil
}

// good reports whether the times of a verified token still hold; as at its verification, with the leeway.
func (v verified) good(now time.Time) bool {
	return now.Before(v.subject.Expires.Add(Leeway)) && !now.Before(v.notBefore.Add(-Leeway))
}

func (v *Verifier) verify(token string, set *Set) (verified, error) {
	if strings.ContainsAny(token, "\r\n") {
		return verified{}, errors.New("line break") // the base64 decoder would skip it
	}
	c := &claims{}
	var used key
	_, err := v.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		kid, err := checkHeader(t)
		if err != nil {
			return nil, err
		}
		used, err = set.find(t.Method.Alg(), kid)
		return used.public, err
	})
	if err != nil {
		return verified{}, err
	}
	username, ok := c.MapClaims["username"].(string)
	if !ok {
		return verified{}, errors.New("claim username is not a string")
	}
	if err := core.CheckUsername(username); err != nil {
		return verified{}, err
	}
	expires, err := c.instant("exp")
	if err != nil {
		return verified{}, err
	}
	notBefore, err := c.instant("nbf")
	if err != nil {
		return verified{}, err
	}
	ends := expires.Add(Leeway)
	subject := &core.Subject{
		Username: username, Claims: c.MapClaims, Expires: expires,
		Lapses: func(now time.Time) bool { return used.gone.Load() || !now.Before(ends) },
	}
	return verified{subject: subject, set: set, notBefore: notBefore, size: len(token)}, nil
}

// checkHeader reads the header once more, strictly, and returns its kid. Of all places where a token may point to its own
// key (jku, jwk, x5u, x5c) nothing is read.
func checkHeader(t *jwt.Token) (kid string, err error) {
	segment, _, _ := strings.Cut(t.Raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return "", err
	}
	header, err := parseObject(text)
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	if _, ok := header["crit"]; ok {
		return "", errors.New("header has crit")
	}
	named, ok := header["kid"]
	if !ok {
		return "", nil
	}
	if kid, ok = named.(string); !ok || kid == "" {
		return "", errors.New("header kid is not a name")
	}
	return kid, nil
}

// invalid is the one answer to every token that does not verify. The reason is for the log.
func invalid(cause error) error {
	return core.Errorf(core.ErrUnauthenticated, "Invalid JWT").Because(cause)
}
