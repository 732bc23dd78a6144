package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dynconfig/dynconfig/core"
)

// asking is a request with a token from an address.
func asking(token, peer string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/keys", nil)
	r.RemoteAddr = peer
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func TestGuardAnswers401Before429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := edKey()
		g := NewGuard(NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{}), GuardOptions{Limit: 2})
		token := sign(jwt.SigningMethodEdDSA, key, "", good(nil))
		for n := range 2 {
			subject, budget, err := g.Admit(asking(token, "192.0.2.7:1"))
			if err != nil || subject.Username != "alice" || budget.Limit != 2 || budget.Remaining != 1-n {
				t.Fatalf("request %d: got %v, %+v, %v", n+1, subject, budget, err)
			}
		}
		_, budget, err := g.Admit(asking(token, "192.0.2.8:1"))
		var e *core.Error
		if !errors.As(err, &e) || !errors.Is(e.Kind, core.ErrRateLimited) || e.Detail != "Exceed 2 req/min" || e.Retry != 30*time.Second || budget.Allowed {
			t.Fatalf("third: got %+v, %v", budget, err)
		}
		if _, _, err := g.Admit(asking("x.y.z", "192.0.2.7:1")); !errors.Is(err, core.ErrUnauthenticated) {
			t.Fatalf("bad token: got %v, want ErrUnauthenticated", err)
		}
		other := sign(jwt.SigningMethodEdDSA, key, "", good(map[string]any{"username": "bob"}))
		if _, _, err := g.Admit(asking(other, "192.0.2.7:1")); err != nil {
			t.Fatalf("another principal: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, _, err := g.Admit(asking(token, "192.0.2.7:1")); err != nil {
			t.Fatalf("after Retry: %v", err)
		}
	})
}

func TestFailuresAreLimitedByAddressAndGoodTokensPassAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := edKey()
		g := NewGuard(NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{}), GuardOptions{Failures: 3})
		for n, token := range []string{"", "x.y.z", sign(jwt.SigningMethodEdDSA, edKey(), "", good(nil))} {
			if _, _, err := g.Admit(asking(token, "[2001:db8::1]:1")); !errors.Is(err, core.ErrUnauthenticated) {
				t.Fatalf("failure %d: got %v", n+1, err)
			}
		}
		_, _, err := g.Admit(asking("", "[2001:db8::2]:1"))
		var e *core.Error
		if !errors.As(err, &e) || !errors.Is(e.Kind, core.ErrRateLimited) || e.Retry <= 0 {
			t.Fatalf("fourth failure of the network: got %v, want ErrRateLimited", err)
		}
		if _, _, err := g.Authenticate(t.Context(), "x.y.z", "2001:db8::3"); !errors.Is(err, core.ErrRateLimited) {
			t.Fatalf("fifth, in a message: got %v, want ErrRateLimited", err)
		}
		if _, _, err := g.Admit(asking("", "[2001:db8:0:1::1]:1")); !errors.Is(err, core.ErrUnauthenticated) {
			t.Fatalf("another network: got %v, want ErrUnauthenticated", err)
		}
		if _, _, err := g.Admit(asking(sign(jwt.SigningMethodEdDSA, key, "", good(nil)), "[2001:db8::1]:1")); err != nil {
			t.Fatalf("a good token from the network: %v", err)
		}
	})
}

func TestAddressThatFailedTooOftenMayNotBringItsTokenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(NewVerifier(keysOf(), VerifierOptions{}), GuardOptions{Failures: 3})
		for n := range 3 {
			if b, err := g.Await(t.Context(), "192.0.2.7"); err != nil || b.Remaining != 3-n {
				t.Fatalf("after %d failures: got %+v, %v", n, b, err)
			}
			g.Fail(t.Context(), "192.0.2.7")
		}
		b, err := g.Await(t.Context(), "192.0.2.7")
		var e *core.Error
		if !errors.As(err, &e) || !errors.Is(err, core.ErrRateLimited) || b.Allowed || e.Retry != 20*time.Second {
			t.Fatalf("after 3 failures: got %+v, %v", b, err)
		}
		if _, err := g.Await(t.Context(), "192.0.2.8"); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(e.Retry)
		if _, err := g.Await(t.Context(), "192.0.2.7"); err != nil {
			t.Errorf("after Retry: %v", err)
		}
		if _, err := NewGuard(nil, GuardOptions{Failures: -1}).Await(t.Context(), "192.0.2.7"); err != nil {
			t.Errorf("without a limit: %v", err)
		}
	})
}

func TestWithoutASetItIs503WithATokenAnd401Without(t *testing.T) {
	g := NewGuard(NewVerifier(&fixed{}, VerifierOptions{}), GuardOptions{Failures: 1})
	for range 3 { // not the caller's failure: it is not counted
		if _, _, err := g.Admit(asking("x.y.z", "192.0.2.7:1")); !errors.Is(err, core.ErrUnavailable) {
			t.Fatalf("with a token: got %v, want ErrUnavailable", err)
		}
	}
	if _, _, err := g.Admit(asking("", "192.0.2.7:1")); !errors.Is(err, core.ErrUnauthenticated) {
		t.Fatalf("without: got %v, want ErrUnauthenticated", err)
	}
}

// away is a shared limiter that cannot be reached while err is set.
type away struct {
	err    error
	budget core.Budget
}

func (a *away) Take(context.Context, string, int) (core.Budget, error) { return a.budget, a.err }

func TestSharedLimiterDecidesAndWhileItIsAwayTheNodeCountsByItself(t *testing.T) {
	shared := &away{budget: core.Budget{Limit: 9, Retry: time.Second}}
	g := NewGuard(NewVerifier(&fixed{}, VerifierOptions{}), GuardOptions{Limit: 1, Shared: shared})
	if b, err := g.Spend(t.Context(), "a", 1); !errors.Is(err, core.ErrRateLimited) || b.Limit != 9 {
		t.Fatalf("got %+v, %v, want the shared limiter's refusal", b, err)
	}
	shared.err = errors.New("connection refused")
	if b, err := g.Spend(t.Context(), "a", 1); err != nil || b.Limit != 1 {
		t.Fatalf("got %+v, %v, want this node's own budget", b, err)
	}
	if _, err := g.Spend(t.Context(), "a", 1); !errors.Is(err, core.ErrRateLimited) {
		t.Fatalf("got %v, want this node's own refusal", err)
	}
}

func TestHeadersTellTheBudgetAndHowToGoOn(t *testing.T) {
	tooMany := &core.Error{Kind: core.ErrRateLimited, Retry: 60 * time.Millisecond}
	for _, c := range []struct {
		name   string
		budget core.Budget
		err    error
		want   map[string]string
	}{
		{
			"allowed",
			core.Budget{Allowed: true, Limit: 1000, Remaining: 999, Reset: 60 * time.Millisecond},
			nil,
			map[string]string{"RateLimit-Limit": "1000", "RateLimit-Remaining": "999", "RateLimit-Reset": "1", "Retry-After": "", "WWW-Authenticate": ""},
		},
		{
			"too many",
			core.Budget{Limit: 1000, Reset: time.Minute},
			tooMany,
			map[string]string{"RateLimit-Limit": "1000", "RateLimit-Remaining": "0", "RateLimit-Reset": "60", "Retry-After": "1"},
		},
		{"no limit", core.Budget{Allowed: true}, nil, map[string]string{"RateLimit-Limit": "", "RateLimit-Remaining": ""}},
		{"no token", core.Budget{}, invalid(errNoToken), map[string]string{"WWW-Authenticate": `Bearer realm="dynconfig"`, "Retry-After": ""}},
		{"bad token", core.Budget{}, invalid(errors.New("expired")), map[string]string{"WWW-Authenticate": `Bearer realm="dynconfig", error="invalid_token"`}},
		{"keys away", core.Budget{}, &core.Error{Kind: core.ErrUnavailable, Retry: 5 * time.Second}, map[string]string{"Retry-After": "5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			WriteHeaders(h, c.budget, c.err)
			for name, want := range c.want {
				if got := h.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}
