package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/wire"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

// fake is a server that plays a script of frames. A connection that asks for a snapshot gets snapshot and then all of log;
// one that resumes gets what follows that revision in log, after a synced bookmark of where it starts.
type fake struct {
	*httptest.Server
	snapshot []wire.Frame
	log      []wire.Frame
	// before is asked for the nth connection (from 0) before its nth frame; false ends the connection.
	before func(ctx context.Context, conn, frame int, ws *websocket.Conn) bool
	// upgrade, if set, may answer the nth connection instead of upgrading it.
	upgrade func(conn int, w http.ResponseWriter, r *http.Request) bool
	head    string // what GET /keys says

	mu     sync.Mutex
	conns  int
	asked  []wire.ClientFrame
	tokens []string
}

func newFake(t *testing.T, f *fake) *fake {
	t.Helper()
	f.Server = httptest.NewUnstartedServer(f.mux())
	f.Start()
	t.Cleanup(f.Close)
	return f
}

// newPiped is newFake without a network, so that it runs under synctest's clock.
func newPiped(t *testing.T, f *fake) *fake {
	t.Helper()
	f.Server = httptest.NewUnstartedServer(f.mux())
	_ = f.Listener.Close()
	p := &pipes{conns: make(chan net.Conn)}
	f.Listener = p
	f.Start()
	f.Client().Transport.(*http.Transport).DialContext = p.dial
	t.Cleanup(f.Close)
	return f
}

func (f *fake) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /watch", f.watch)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[],"total":0,"revision":%q}`, f.head)
	})
	return mux
}

func (f *fake) client(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	o.HTTPClient = f.Client()
	o.RetryDelay = time.Millisecond
	c, err := client.New(f.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	conn := f.conns
	f.conns++
	f.tokens = append(f.tokens, r.Header.Get("Authorization"))
	f.mu.Unlock()
	if f.upgrade != nil && f.upgrade(conn, w, r) {
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	sub, ok := f.read(r.Context(), ws)
	if !ok {
		return
	}
	for i, frame := range f.frames(sub) {
		if f.before != nil && !f.before(r.Context(), conn, i, ws) {
			return
		}
		text, _ := json.Marshal(frame)
		if ws.Write(r.Context(), websocket.MessageText, text) != nil {
			return
		}
	}
	for ok {
		_, ok = f.read(r.Context(), ws) // until the client goes
	}
}

func (f *fake) read(ctx context.Context, ws *websocket.Conn) (m wire.ClientFrame, ok bool) {
	_, text, err := ws.Read(ctx)
	if err != nil || json.Unmarshal(text, &m) != nil {
		return m, false
	}
	f.mu.Lock()
	f.asked = append(f.asked, m)
	f.mu.Unlock()
	return m, true
}

// becomes changes what later connections get.
func (f *fake) becomes(snapshot, log []wire.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot, f.log = snapshot, log
}

func (f *fake) frames(sub wire.ClientFrame) []wire.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	frames := []wire.Frame{{Event: "subscribed", Patterns: sub.Subscribe}}
	if sub.Snapshot {
		return slices.Concat(frames, f.snapshot, f.log)
	}
	at := slices.IndexFunc(f.log, func(l wire.Frame) bool { return l.Revision == sub.SinceRevision })
	frames = append(frames, f.log[at+1:]...)
	return append(frames, wire.Frame{Event: "bookmark", Revision: sub.SinceRevision, Synced: true})
}

// until returns what a watch yields up to and including the event that is last, and the error that ended it before.
func until(t *testing.T, c *client.Client, o client.WatchOptions, last func(client.Event) bool) ([]client.Event, error) {
	t.Helper()
	var events []client.Event
	for e, err := range c.Watch(t.Context(), o) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
		if last(e) {
			break
		}
	}
	return events, nil
}

func update(key string, version int64, revision string) wire.Frame {
	return wire.Frame{Event: "update", Key: key, Version: version, Value: fmt.Appendf(nil, `"%s %d"`, key, version), Revision: revision}
}

func inSnapshot(f wire.Frame) wire.Frame { f.Snapshot = true; return f }

func more(f wire.Frame) wire.Frame { f.More = true; return f }

func bookmark(revision string) wire.Frame { return wire.Frame{Event: "bookmark", Revision: revision} }

func synced(revision string) wire.Frame {
	return wire.Frame{Event: "bookmark", Revision: revision, Synced: true}
}
