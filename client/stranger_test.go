package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// everyMember is what some answer or other holds at least.
const everyMember = `{"key":"a","value":1,"version":1,"keys":[],"revision":"e:1","namespace":"a","namespaces":[],
	"source":"server","versions":[],"passed":0,"failed":[],"allow":true,"rule":"r","principals":[],"decisions":0,"changed":0,"limits":{}}`

// everyCall is one call of each kind, by name.
func everyCall(ctx context.Context, c *client.Client) map[string]func() error {
	return map[string]func() error{
		"get":              func() error { return second(c.Get(ctx, "a", client.GetOptions{})) },
		"get many":         func() error { return second(c.GetMany(ctx, "a", "b")) },
		"put":              func() error { return second(c.Put(ctx, "a", 1, client.WriteOptions{})) },
		"patch":            func() error { return second(c.Patch(ctx, "a", 1, client.WriteOptions{})) },
		"delete":           func() error { return second(c.Delete(ctx, "a", client.DeleteOptions{})) },
		"put namespace":    func() error { return second(c.PutNamespace(ctx, "a", client.WriteOptions{})) },
		"namespace":        func() error { return second(c.Namespace(ctx, "a")) },
		"delete namespace": func() error { return second(c.DeleteNamespace(ctx, "a", client.DeleteOptions{})) },
		"health":           func() error { return second(c.Health(ctx)) },
		"version":          func() error { return second(c.Version(ctx)) },
		"put policy":       func() error { return second(c.PutPolicy(ctx, client.PolicySet{}, client.PutPolicyOptions{})) },
		"explain":          func() error { return second(c.Explain(ctx, client.Question{Action: "read", Key: "a"})) },
		"list": func() error {
			for _, err := range c.List(ctx, client.ListOptions{}) {
				return err
			}
			return nil
		},
		"watch": func() error {
			for _, err := range c.Watch(ctx, client.WatchOptions{Patterns: []string{"*"}}) {
				return err
			}
			return nil
		},
		"watch with a snapshot": func() error {
			for _, err := range c.Watch(ctx, client.WatchOptions{Patterns: []string{"*"}, Snapshot: true}) {
				return err
			}
			return nil
		},
	}
}

func TestARedirectIsNeitherFollowedNorASuccess(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		strayed.Add(1)
		fmt.Fprint(w, everyMember)
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to := strings.Replace(other.URL, "http://", "http://me:se-cret@", 1) + "/base" + r.URL.EscapedPath() + "?token=se-cret#se-cret"
			w.Header().Set("Location", to)
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		c, err := client.New(s.URL, client.Options{HTTPClient: s.Client()})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range everyCall(t.Context(), c) {
			err, want := call(), fmt.Sprintf("Server redirects to %s/base: give that address with --server", other.URL)
			if !errors.Is(err, core.ErrUnsupported) || err.Error() != want {
				t.Errorf("%s by a %d: got %v, want %s", name, status, err, want)
			}
		}
	}
	if n := strayed.Load(); n > 0 {
		t.Errorf("%d requests went to the other host", n)
	}
}

func TestAStrangersAnswerIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status int
		body   string
	}{{200, `{}`}, {200, `[]`}, {200, `null`}, {200, `ok`}, {200, ``}, {200, `{"status":"ok"}`}, {201, `{}`}, {202, everyMember}, {206, everyMember}, {302, ``}} {
		c, _ := answering(t, client.Options{}, func(_ int, w http.ResponseWriter) {
			w.WriteHeader(answer.status)
			fmt.Fprint(w, answer.body)
		})
		for name, call := range everyCall(t.Context(), c) {
			if err := call(); !errors.Is(err, core.ErrUnsupported) {
				t.Errorf("%s passes with %d %s: %v", name, answer.status, answer.body, err)
			}
		}
	}
}

func TestACertificateThatIsNotTrustedEndsEveryCallAtOnce(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.URL, client.Options{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range everyCall(t.Context(), c) {
		if err := call(); !errors.Is(err, core.ErrUnsupported) || !strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: got %v, want the certificate's error", name, err)
		}
	}
}

func TestAWatchThatWasServedOutlivesAStranger(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{
		snapshot: theSnapshot(), log: theLog(),
		before: func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
			if conn == 0 && frame == 3 {
				_ = ws.Close(wire.CloseGoingAway, "going away")
				return false
			}
			return true
		},
		upgrade: func(conn int, w http.ResponseWriter, r *http.Request) bool {
			if conn == 1 {
				http.Redirect(w, r, "http://elsewhere.test", http.StatusFound)
			}
			return conn == 1
		},
	})
	if _, err := until(t, f.client(t, client.Options{}), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}, isLast); err != nil {
		t.Errorf("ended with %v", err)
	}
}
