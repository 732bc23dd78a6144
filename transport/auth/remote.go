package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dynconfig/dynconfig/core"
)

// Limits of fetching a key set.
const (
	MaxSet         = 1 << 20 // bytes
	FetchTime      = 5 * time.Second
	KeepSet        = 24 * time.Hour // how long the last good set counts while the endpoint is away
	SeekInterval   = 10 * time.Second
	DefaultRefresh = 5 * time.Minute
	maxRetry       = 30 * time.Second
)

// RemoteOptions are a Remote's optional parts; the zero value works.
type RemoteOptions struct {
	Refresh time.Duration    // how often the set is fetched; 0: DefaultRefresh
	Client  *http.Client     // nil: one that keeps no connections and does not leave https
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// Remote is the key set behind a JWKS URL. Run keeps it fresh.
//
// The schedule is ours and not a library's, because the promises are about time: which answer counts, how long the last
// good one does, and how seldom a stranger's kid may make us ask.
type Remote struct {
	url     string
	o       RemoteOptions
	current atomic.Pointer[fetched]
	failing atomic.Bool
	asked   chan struct{} // closed when the first fetch is over, however it went
	askOnce sync.Once

	mu     sync.Mutex
	flight *flight   // the fetch under way, if there is one
	sought time.Time // when an unknown kid last started one
}

// fetched is a good answer.
type fetched struct {
	set    *Set
	digest [sha256.Size]byte
	at     time.Time
}

// flight is a fetch that several may wait for.
type flight struct {
	done chan struct{}
	err  error // after done
}

var _ Keys = (*Remote)(nil)

// NewRemote returns the key set at an http or https URL. It fetches nothing yet.
func NewRemote(address string, o RemoteOptions) (*Remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, core.Errorf(core.ErrInvalid, "JWKS_URL is not an http or https URL")
	}
	if o.Refresh <= 0 {
		o.Refresh = DefaultRefresh
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true
		o.Client = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	}
	return &Remote{url: address, o: o, asked: make(chan struct{})}, nil
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > 3 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("redirected too often, or away from https")
	}
	return nil
}

// Run fetches the set now and from then on every Refresh, sooner after a failure, until ctx ends.
func (r *Remote) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.MaxInterval = min(maxRetry, r.o.Refresh)
	for {
		pause := r.o.Refresh
		if err := r.fetch(ctx); err != nil {
			pause = retry.NextBackOff()
		} else {
			retry.Reset()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Set returns the last good set, unless it was fetched more than 24 hours ago.
func (r *Remote) Set() *Set {
	f := r.current.Load()
	if f == nil || r.o.Now().Sub(f.at) > KeepSet {
		return nil
	}
	return f.set
}

// First returns the last good set, and waits for the first fetch to be over, which Run makes as soon as it runs.
func (r *Remote) First(ctx context.Context) *Set {
	late := time.NewTimer(FetchTime)
	defer late.Stop()
	select {
	case <-r.asked:
	case <-late.C:
	case <-ctx.Done():
	}
	return r.Set()
}

// Seek fetches the set for a token with an unknown kid, at most once in 10 seconds; everyone who asks meanwhile waits for
// the same answer.
func (r *Remote) Seek(ctx context.Context) *Set {
	r.mu.Lock()
	now := r.o.Now()
	allowed := r.flight != nil || r.sought.IsZero() || now.Sub(r.sought) >= SeekInterval
	if allowed && r.flight == nil {
		r.sought = now
	}
	r.mu.Unlock()
	if allowed {
		// A caller that goes away must not take the answer from those who wait with it.
		_ = r.fetch(context.WithoutCancel(ctx)) // logged there
	}
	return r.Set()
}

// Health is degraded without a set and while the endpoint does not answer well: the server itself works.
func (r *Remote) Health() string {
	if r.Set() == nil || r.failing.Load() {
		return core.Degraded
	}
	return core.Healthy
}

// fetch joins the fetch under way, or makes one. It takes at most FetchTime.
func (r *Remote) fetch(ctx context.Context) error {
	r.mu.Lock()
	if f := r.flight; f != nil {
		r.mu.Unlock()
		<-f.done
		return f.err
	}
	f := &flight{done: make(chan struct{})}
	r.flight = f
	r.mu.Unlock()

	defer func() {
		r.mu.Lock()
		r.flight = nil
		r.mu.Unlock()
		close(f.done)
		r.askOnce.Do(func() { close(r.asked) })
	}()
	if f.err = r.load(ctx); f.err != nil {
		r.lapse()
	}
	if ctx.Err() == nil {
		r.report(f.err)
	}
	return f.err
}

func (r *Remote) load(ctx context.Context) error {
	body, err := r.get(ctx)
	if err != nil {
		return err
	}
	next := &fetched{digest: sha256.Sum256(body), at: r.o.Now()}
	if old := r.current.Load(); old != nil && old.digest == next.digest {
		next.set = old.set // the same pointer keeps verified tokens verified
		r.current.Store(next)
		return nil
	}
	if next.set, err = ParseSet(body); err != nil {
		return err
	}
	lost := next.set.follow(r.had())
	r.current.Store(next)
	forget(lost) // who is told so and comes again finds the new set
	return nil
}

// had is the last good set, however old.
func (r *Remote) had() *Set {
	if f := r.current.Load(); f != nil {
		return f.set
	}
	return nil
}

// lapse forgets a set that was fetched too long ago to count.
func (r *Remote) lapse() {
	if was := r.had(); was != nil && r.Set() == nil {
		r.current.Store(nil)
		forget(was.keys)
	}
}

func (r *Remote) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, FetchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := r.o.Client.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // its own text repeats the URL, which may hold a secret
		}
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxSet+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxSet {
		return nil, errors.New("answered more than 1 MiB")
	}
	return body, nil
}

// report logs what changed, and remembers it for Health.
func (r *Remote) report(err error) {
	was := r.failing.Swap(err != nil)
	switch {
	case err != nil && r.Set() == nil:
		r.o.Logger.Warn("key set of the token issuer cannot be fetched and there is none that counts: tokens are answered 503", "cause", err, "status", r.Health())
	case err != nil:
		r.o.Logger.Warn("key set of the token issuer cannot be fetched; the last good one counts for 24 hours", "cause", err, "status", r.Health())
	case was:
		r.o.Logger.Info("key set of the token issuer is back", "keys", r.Set().Len())
	}
}
