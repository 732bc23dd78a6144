package auth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dynconfig/dynconfig/core"
)

// endpoint is a JWKS endpoint without a network, so that it works in a bubble of fake time.
type endpoint struct {
	mu     sync.Mutex
	status int
	body   []byte
	err    error
	hang   bool          // answer nothing until the request ends
	gate   chan struct{} // answer when it is closed; nil: at once
	calls  atomic.Int64
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.calls.Add(1)
	e.mu.Lock()
	hang, gate := e.hang, e.gate
	e.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if gate != nil {
		<-gate
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	return &http.Response{StatusCode: e.status, Body: io.NopCloser(bytes.NewReader(e.body)), Header: http.Header{}, Request: r}, nil
}

func (e *endpoint) serve(body []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.body, e.err, e.hang = http.StatusOK, body, nil, false
}

func (e *endpoint) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// inBubble runs test with a Remote of e that is kept fresh by Run.
func inBubble(t *testing.T, e *endpoint, test func(t *testing.T, r *Remote)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := must(NewRemote("https://idp.example/jwks", RemoteOptions{Client: &http.Client{Transport: e}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		test(t, r)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestRemoteSetIsRefreshedEveryFiveMinutesAndGoneKeysStopAtOnce(t *testing.T) {
	a, b, e := edKey(), edKey(), &endpoint{}
	e.serve(document(jwkOf(a, map[string]any{"kid": "a"}), jwkOf(b, map[string]any{"kid": "b"})))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		token := sign(jwt.SigningMethodEdDSA, a, "a", good(nil))
		verifies(t, v, token, true)
		e.serve(document(jwkOf(b, map[string]any{"kid": "b"})))
		time.Sleep(DefaultRefresh - time.Second)
		verifies(t, v, token, true)
		time.Sleep(2 * time.Second)
		verifies(t, v, token, false)
		if e.calls.Load() > 3 {
			t.Errorf("%d requests, want the first, the refresh and one for the kid that is now unknown", e.calls.Load())
		}
	})
}

func TestSubjectLapsesWhenItsKeyIsGoneAndNotWhenOthersAre(t *testing.T) {
	a, b, e := edKey(), edKey(), &endpoint{}
	ka, kb := jwkOf(a, map[string]any{"kid": "a"}), jwkOf(b, map[string]any{"kid": "b"})
	e.serve(document(ka, kb))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		subject := must(v.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, a, "a", good(nil))))
		other := must(v.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, b, "b", good(nil))))
		refreshed := func(aLapsed, bLapsed bool, keys ...map[string]any) {
			t.Helper()
			e.serve(document(keys...))
			time.Sleep(DefaultRefresh)
			synctest.Wait()
			if now := time.Now(); subject.Lapsed(now) != aLapsed || other.Lapsed(now) != bLapsed {
				t.Fatalf("lapsed: %v and %v, want %v and %v", subject.Lapsed(now), other.Lapsed(now), aLapsed, bLapsed)
			}
		}
		refreshed(false, false, kb, ka)
		refreshed(false, false, kb, ka, jwkOf(edKey(), map[string]any{"kid": "c"}))
		refreshed(true, false, jwkOf(edKey(), map[string]any{"kid": "a"}), kb) // another key of that name
		refreshed(true, false, ka, kb)                                         // back again: what has ended has ended
		fresh := must(v.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, a, "a", good(nil))))
		refreshed(true, true)
		if !fresh.Lapsed(time.Now()) {
			t.Error("the subject of the key that came back and is gone again has not lapsed")
		}
	})
}

func TestSubjectLapsesWithItsTimeAndTheLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := edKey()
		v := NewVerifier(keysOf(jwkOf(key, nil)), VerifierOptions{})
		subject := must(v.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, key, "", good(nil))))
		time.Sleep(time.Hour + Leeway - time.Nanosecond)
		if subject.Lapsed(time.Now()) {
			t.Error("lapsed before its end")
		}
		time.Sleep(time.Nanosecond)
		if !subject.Lapsed(time.Now()) {
			t.Error("not lapsed at its end")
		}
	})
}

func TestSubjectsLapseWhenTheSetHasNotBeenFetchedForADay(t *testing.T) {
	a, e := edKey(), &endpoint{}
	e.serve(document(jwkOf(a, nil)))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		token := sign(jwt.SigningMethodEdDSA, a, "", good(map[string]any{"exp": time.Now().Add(72 * time.Hour).Unix()}))
		subject := must(v.Verify(t.Context(), token))
		e.fail(errors.New("connection refused"))
		time.Sleep(KeepSet - time.Minute)
		if subject.Lapsed(time.Now()) {
			t.Fatal("lapsed within the day")
		}
		time.Sleep(2 * time.Minute)
		if !subject.Lapsed(time.Now()) {
			t.Fatal("not lapsed after the day")
		}
		e.serve(document(jwkOf(a, nil)))
		time.Sleep(time.Minute)
		if subject := must(v.Verify(t.Context(), token)); subject.Lapsed(time.Now()) {
			t.Error("lapsed although the endpoint is back")
		}
	})
}

func TestRemoteSetThatIsTheSameKeepsTokensVerified(t *testing.T) {
	a, e := edKey(), &endpoint{}
	e.serve(document(jwkOf(a, nil)))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		before := r.Set()
		time.Sleep(3 * DefaultRefresh)
		if r.Set() != before || e.calls.Load() < 3 {
			t.Fatalf("after %d requests the set is another pointer", e.calls.Load())
		}
	})
}

func TestUnreachableEndpointKeepsTheLastGoodSetForADay(t *testing.T) {
	a, e := edKey(), &endpoint{}
	e.serve(document(jwkOf(a, nil)))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		token := sign(jwt.SigningMethodEdDSA, a, "", good(map[string]any{"exp": time.Now().Add(72 * time.Hour).Unix()}))
		e.fail(errors.New("connection refused"))
		time.Sleep(DefaultRefresh + time.Minute)
		verifies(t, v, token, true)
		if got := v.Health(); got != core.Degraded {
			t.Errorf("health is %s, want degraded", got)
		}
		time.Sleep(KeepSet - DefaultRefresh - 2*time.Minute)
		verifies(t, v, token, true)
		time.Sleep(2 * time.Minute)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("after a day got %v, want ErrUnavailable", err)
		}
		if got := v.Health(); got != core.Degraded {
			t.Errorf("health is %s, want degraded", got)
		}
		e.serve(document(jwkOf(a, nil)))
		time.Sleep(time.Minute)
		verifies(t, v, token, true)
		if got := v.Health(); got != core.Healthy {
			t.Errorf("health is %s, want healthy", got)
		}
	})
}

func TestNonsenseCountsAsUnreachable(t *testing.T) {
	a, e := edKey(), &endpoint{}
	whole := document(jwkOf(a, nil))
	for name, spoil := range map[string]func(){
		"a page":              func() { e.serve([]byte("<html>welcome</html>")) },
		"nothing":             func() { e.serve(nil) },
		"another object":      func() { e.serve([]byte(`{"issuer":"x"}`)) },
		"half":                func() { e.serve(whole[:len(whole)/2]) },
		"more than 1 MiB":     func() { e.serve(append(bytes.Repeat([]byte(" "), MaxSet), whole...)) },
		"an error":            func() { e.serve(whole); e.mu.Lock(); e.status = 500; e.mu.Unlock() },
		"no content":          func() { e.serve(whole); e.mu.Lock(); e.status = 204; e.mu.Unlock() },
		"longer than 5 s":     func() { e.mu.Lock(); e.hang = true; e.mu.Unlock() },
		"a broken connection": func() { e.fail(io.ErrUnexpectedEOF) },
	} {
		t.Run(name, func(t *testing.T) {
			e.serve(whole)
			inBubble(t, e, func(t *testing.T, r *Remote) {
				v := NewVerifier(r, VerifierOptions{})
				spoil()
				time.Sleep(DefaultRefresh + FetchTime + time.Second)
				verifies(t, v, sign(jwt.SigningMethodEdDSA, a, "", good(nil)), true)
				if got := r.Health(); got != core.Degraded {
					t.Errorf("health is %s, want degraded", got)
				}
			})
		})
	}
}

func TestSetOfExactlyOneMiBIsTaken(t *testing.T) {
	a, e := edKey(), &endpoint{}
	whole := document(jwkOf(a, nil))
	e.serve(append(bytes.Repeat([]byte(" "), MaxSet-len(whole)), whole...))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		if r.Set().Len() != 1 {
			t.Fatal("the set was not taken")
		}
	})
}

func TestFirstTokensWaitForTheFirstSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := edKey(), &endpoint{gate: make(chan struct{})}
		e.serve(document(jwkOf(a, nil)))
		r := must(NewRemote("https://idp.example/jwks", RemoteOptions{Client: &http.Client{Transport: e}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		go func() {
			time.Sleep(FetchTime - time.Second)
			close(e.gate)
		}()
		verifies(t, NewVerifier(r, VerifierOptions{}), sign(jwt.SigningMethodEdDSA, a, "", good(nil)), true)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestServerStartsWithTheEndpointDownAndKeepsTrying(t *testing.T) {
	a, e := edKey(), &endpoint{}
	e.fail(errors.New("connection refused"))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		token := sign(jwt.SigningMethodEdDSA, a, "", good(nil))
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, core.ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
		time.Sleep(10 * time.Minute)
		if n := e.calls.Load(); n < 10 || n > 100 {
			t.Errorf("%d requests in ten minutes, want a few a minute", n)
		}
		e.serve(document(jwkOf(a, nil)))
		time.Sleep(time.Minute)
		verifies(t, v, token, true)
	})
}

func TestUnknownKidFetchesAtMostOnceInTenSeconds(t *testing.T) {
	a, b, e := edKey(), edKey(), &endpoint{}
	e.serve(document(jwkOf(a, map[string]any{"kid": "a"})))
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		for range 20 {
			verifies(t, v, sign(jwt.SigningMethodEdDSA, b, "b", good(nil)), false)
		}
		if n := e.calls.Load(); n != 2 {
			t.Fatalf("%d requests, want the first and one more", n)
		}
		e.serve(document(jwkOf(b, map[string]any{"kid": "b"})))
		time.Sleep(SeekInterval - time.Second)
		verifies(t, v, sign(jwt.SigningMethodEdDSA, b, "b", good(nil)), false)
		time.Sleep(time.Second)
		verifies(t, v, sign(jwt.SigningMethodEdDSA, b, "b", good(nil)), true)
		verifies(t, v, sign(jwt.SigningMethodEdDSA, a, "a", good(nil)), false)
		if n := e.calls.Load(); n != 3 {
			t.Fatalf("%d requests, want three", n)
		}
	})
}

func TestEveryoneWhoBringsTheNewKidWaitsForOneFetch(t *testing.T) {
	b, e := edKey(), &endpoint{}
	e.serve(document())
	inBubble(t, e, func(t *testing.T, r *Remote) {
		v := NewVerifier(r, VerifierOptions{})
		e.serve(document(jwkOf(b, map[string]any{"kid": "b"})))
		e.mu.Lock()
		e.gate = make(chan struct{})
		e.mu.Unlock()
		token := sign(jwt.SigningMethodEdDSA, b, "b", good(nil))
		gone, leave := context.WithCancel(t.Context())
		results := make(chan error, 10)
		for i := range 10 {
			ctx := t.Context()
			if i == 0 {
				ctx = gone
			}
			go func() {
				_, err := v.Verify(ctx, token)
				results <- err
			}()
			synctest.Wait()
		}
		leave() // the first, who asked for the rest
		close(e.gate)
		for range 10 {
			if err := <-results; err != nil {
				t.Errorf("refused: %v", err)
			}
		}
		if n := e.calls.Load(); n != 2 {
			t.Errorf("%d requests, want the first and one more", n)
		}
	})
}

func TestOnlyHTTPAddressesAreTakenForASet(t *testing.T) {
	for _, bad := range []string{"", "idp", "ftp://idp/jwks", "file:///etc/passwd", "https://", "://", "http:idp"} {
		if _, err := NewRemote(bad, RemoteOptions{}); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", bad, err)
		}
	}
}

func TestRemoteWorksOverHTTPAndItsLogHoldsNoAddress(t *testing.T) {
	a := edKey()
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(document(jwkOf(a, nil)))
	}))
	defer server.Close()
	var log bytes.Buffer
	r := must(NewRemote(server.URL+"/?secret=hunter2", RemoteOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	set := r.Seek(t.Context())
	for range 20 { // where this machine was too slow for a fetch
		if set != nil {
			break
		}
		r.sought = time.Time{}
		set = r.Seek(t.Context())
	}
	if set == nil || set.Len() != 1 {
		t.Fatalf("got %+v, want one key", set)
	}
	down.Store(true)
	r.sought = time.Time{}
	r.Seek(t.Context())
	if r.Health() != core.Degraded || !strings.Contains(log.String(), "cannot be fetched") || strings.Contains(log.String(), "hunter2") {
		t.Errorf("health %s, log %q, want degraded and the cause without the address", r.Health(), log.String())
	}
}

func TestTheLogSaysWhetherThereIsAKeySet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		var log bytes.Buffer
		r := must(NewRemote("https://idp/jwks", RemoteOptions{Logger: slog.New(slog.NewTextHandler(&log, nil)), Client: &http.Client{Transport: e}}))
		const none, kept = "there is none that counts: tokens are answered 503", "the last good one counts for 24 hours"
		says := func(when, want string) {
			t.Helper()
			if got := log.String(); strings.Contains(got, none) != (want == none) || strings.Contains(got, kept) != (want == kept) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
			log.Reset()
			time.Sleep(SeekInterval)
		}
		e.fail(errors.New("away"))
		r.Seek(t.Context())
		says("before the first set", none)
		e.serve(document(jwkOf(edKey(), nil)))
		r.Seek(t.Context())
		says("with one", "")
		e.fail(errors.New("away"))
		r.Seek(t.Context())
		says("after one", kept)
		time.Sleep(KeepSet)
		r.Seek(t.Context())
		says("a day later", none)
	})
}

func TestRedirectAwayFromHTTPSIsNotFollowed(t *testing.T) {
	from := must(http.NewRequest(http.MethodGet, "https://idp/jwks", nil))
	to := must(http.NewRequest(http.MethodGet, "http://idp/jwks", nil))
	if checkRedirect(to, []*http.Request{from}) == nil {
		t.Error("from https to http is followed")
	}
	if err := checkRedirect(from, []*http.Request{to}); err != nil {
		t.Errorf("from http to https: %v", err)
	}
}
