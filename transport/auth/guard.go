// Package auth says who asks and whether they may ask again: tokens, the keys to verify them by, the built-in issuer, and
// limits of requests. Transports call a Guard and nothing else.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// DefaultFailures is how many failed authentications an address has a minute.
const DefaultFailures = 100

// GuardOptions are a Guard's optional parts; the zero value works and limits nothing but failures.
type GuardOptions struct {
	Limit    int              // requests a minute of a principal; 0: no limit
	Shared   core.Limiter     // counts for all nodes; nil, or while it is away: each node by itself
	Failures int              // failed authentications a minute of an address; 0: DefaultFailures, negative: no limit
	Proxies  Proxies          // whose X-Forwarded-For is believed
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: none
}

// Guard lets requests in: who asks, and whether they have asked too often.
//
// A failed authentication is counted against its address, and answered 429 when there were too many. A token that does
// verify always passes: to refuse it too would let anyone behind the same address lock out everyone there.
type Guard struct {
	verifier *Verifier
	shared   core.Limiter
	local    *Limiter
	failures *Limiter
	proxies  Proxies
	logger   *slog.Logger
}

// NewGuard returns a Guard that asks v about tokens.
func NewGuard(v *Verifier, o GuardOptions) *Guard {
	if o.Failures == 0 {
		o.Failures = DefaultFailures
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Guard{
		verifier: v, shared: o.Shared, local: NewLimiter(o.Limit, o.Now), failures: NewLimiter(o.Failures, o.Now),
		proxies: o.Proxies, logger: o.Logger,
	}
}

// Admit authenticates a request by its Authorization header and counts it, in this order: a token where none belongs is
// ErrMalformed; none, or one that does not verify, ErrUnauthenticated; too many requests ErrRateLimited. The Budget is for
// WriteHeaders, whatever the error: the principal's or, where nobody was authenticated, that of the address.
func (g *Guard) Admit(r *http.Request) (*core.Subject, core.Budget, error) {
	address := g.Address(r)
	token, err := Bearer(r)
	if err != nil {
		budget, err := g.fail(r.Context(), address, err)
		return nil, budget, err
	}
	subject, budget, err := g.Authenticate(r.Context(), token, address)
	if err != nil {
		return nil, budget, err
	}
	budget, err = g.Spend(r.Context(), subject.Username, 1)
	if err != nil {
		return nil, budget, err
	}
	return subject, budget, nil
}

// Authenticate verifies a token that came another way, as in a subprotocol or a message. It counts failures, not requests.
func (g *Guard) Authenticate(ctx context.Context, token, address string) (*core.Subject, core.Budget, error) {
	subject, err := g.verifier.Verify(ctx, token)
	if err != nil {
		budget, err := g.fail(ctx, address, err)
		return nil, budget, err
	}
	return subject, core.Budget{Allowed: true}, nil
}

// Spend counts n requests of a principal: 1 for each request and each control message of a watch.
func (g *Guard) Spend(ctx context.Context, principal string, n int) (core.Budget, error) {
	budget, err := g.take(ctx, principal, n)
	if err != nil {
		return core.Budget{}, err
	}
	if !budget.Allowed {
		e := core.Errorf(core.ErrRateLimited, "Exceed %d req/min", budget.Limit)
		e.Retry = budget.Retry
		return budget, e
	}
	return budget, nil
}

func (g *Guard) take(ctx context.Context, principal string, n int) (core.Budget, error) {
	if g.shared != nil {
		budget, err := g.shared.Take(ctx, principal, n)
		if err == nil {
			return budget, nil
		}
		g.logger.DebugContext(ctx, "shared limiter is away, this node counts by itself", "cause", err)
	}
	return g.local.Take(ctx, principal, n)
}

// Address is where a request comes from, for policy, audit and the count of failures.
func (g *Guard) Address(r *http.Request) string { return g.proxies.Address(r) }

// Await reports whether an address may connect now and bring its token later, as to a watch: ErrRateLimited if it failed too
// often. It counts nothing.
func (g *Guard) Await(ctx context.Context, address string) (core.Budget, error) {
	budget, _ := g.failures.Take(ctx, network(address), 0) // it never fails
	if budget.Limit == 0 || budget.Remaining > 0 {
		return budget, nil
	}
	budget.Allowed, budget.Retry = false, time.Minute/time.Duration(budget.Limit) // by then there is one more
	return budget, tooManyFailures(budget)
}

// Fail counts a connection that was to bring its token later, and did not, as a failed authentication of its address.
func (g *Guard) Fail(ctx context.Context, address string) {
	_, _ = g.fail(ctx, address, invalid(errNoToken))
}

// fail counts a failed authentication and returns err, or ErrRateLimited if there were too many.
func (g *Guard) fail(ctx context.Context, address string, err error) (core.Budget, error) {
	if !errors.Is(err, core.ErrUnauthenticated) {
		return core.Budget{}, err
	}
	budget, _ := g.failures.Take(ctx, network(address), 1) // it never fails
	if budget.Allowed {
		g.logger.DebugContext(ctx, "authentication failed", "cause", errors.Unwrap(err), "address", address)
		return budget, err
	}
	return budget, tooManyFailures(budget)
}

func tooManyFailures(b core.Budget) error {
	e := core.Errorf(core.ErrRateLimited, "Exceed %d failed authentications/min", b.Limit)
	e.Retry = b.Retry
	return e
}

// WriteHeaders writes what a client learns of its budget and of a refusal: RateLimit-Limit, -Remaining and -Reset where
// there is a limit, Retry-After where it is worth trying again, WWW-Authenticate where a token is missing or bad.
func WriteHeaders(h http.Header, b core.Budget, err error) {
	if b.Limit > 0 {
		h.Set("RateLimit-Limit", strconv.Itoa(b.Limit))
		h.Set("RateLimit-Remaining", strconv.Itoa(b.Remaining))
		h.Set("RateLimit-Reset", strconv.Itoa(seconds(b.Reset)))
	}
	var e *core.Error
	if !errors.As(err, &e) {
		return
	}
	if errors.Is(e.Kind, core.ErrRateLimited) || e.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, seconds(e.Retry))))
	}
	if !errors.Is(e.Kind, core.ErrUnauthenticated) {
		return
	}
	if errors.Is(e, errNoToken) {
		h.Set("WWW-Authenticate", `Bearer realm="dynconfig"`)
		return
	}
	h.Set("WWW-Authenticate", `Bearer realm="dynconfig", error="invalid_token"`)
}

// seconds rounds up, so that whoever waits them out does not come too early.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
