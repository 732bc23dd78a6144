package main

import (
	"context"
	"net/http"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
)

// guard is an auth.Guard in the shape that a watch asks.
type guard struct {
	*auth.Guard
	health func() string // of the keys
}

// openGuard says by which keys tokens are verified, and what of: another's, at a JWKS URL, or the server's own.
func (s *Server) openGuard() (guard, error) {
	proxies, err := auth.ParseProxies(s.settings.TrustedProxies)
	if err != nil {
		return guard{}, err
	}
	var keys auth.Keys
	o := auth.VerifierOptions{Issuer: s.settings.JWTIssuer, Audience: s.settings.JWTAudience, Logger: s.log}
	if s.settings.JWKSURL != "" {
		if s.remote, err = auth.NewRemote(s.settings.JWKSURL, auth.RemoteOptions{Logger: s.log}); err != nil {
			return guard{}, err
		}
		keys = s.remote
	} else {
		if s.Issuer, err = openIssuer(s.settings); err != nil {
			return guard{}, err
		}
		if s.settings.IssuerKey == "" && s.backend.Limits.Shared {
			s.log.Warn("this node's issuer key is its own, and other nodes do not accept tokens signed with it: set DYNCONFIG_ISSUER_KEY on all of them")
		}
		keys = s.Issuer
		o.Issuer, o.Audience = s.Issuer.Name(), s.Issuer.Name()
	}
	verifier := auth.NewVerifier(keys, o)
	return guard{
		auth.NewGuard(verifier, auth.GuardOptions{
			Limit: s.settings.RateLimit, Shared: s.backend.Limiter, Proxies: proxies, Logger: s.log,
		}),
		verifier.Health,
	}, nil
}

// take counts n messages of a watch.
func (g guard) take(ctx context.Context, principal string, n int) core.Budget {
	budget, err := g.Spend(ctx, principal, n)
	if err == nil {
		budget.Allowed = true
	}
	return budget
}

// stray complains of a token where none belongs.
func (g guard) stray(r *http.Request) error {
	_, err := auth.Bearer(r)
	return err
}

// jwks shows the public half of the server's own key.
func (s *Server) jwks() http.Handler {
	if s.Issuer == nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(s.Issuer.Document())
	})
}
