package watch

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func TestSubscriberHearsWhatChanges(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("", "alice")
		defer p.bye()
		p.send(`{"subscribe":["app.*","other"],"id":{"n":1}}`)
		if s := p.next("subscribed"); string(s.ID) != `{"n":1}` || len(s.Patterns) != 2 || s.Revision != "" {
			t.Errorf("got %+v", s)
		}
		written := f.put("app.x", `{"a": 1e400}`)
		f.put("unheard", `1`)
		if u := p.next("update"); u.Key != "app.x" || u.Version != 1 || string(u.Value) != `{"a": 1e400}` || !u.LastModified.Equal(written.Modified) || u.Revision == "" {
			t.Errorf("got %+v", u)
		}
		f.write(core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.x"})
		if d := p.next("delete"); d.Key != "app.x" || d.Version != 2 || d.Value != nil {
			t.Errorf("got %+v", d)
		}
		p.send(`{"unsubscribe":["app.*"],"id":null}`)
		if u := p.next("unsubscribed"); string(u.ID) != `null` || len(u.Patterns) != 1 {
			t.Errorf("got %+v", u)
		}
		p.send(`{"unsubscribe":[],"id":2}`)
		if u := p.next("unsubscribed"); string(u.ID) != `2` || u.Patterns == nil || len(u.Patterns) != 0 {
			t.Errorf("got %+v, want an empty list of patterns", u)
		}
		f.put("app.x", `1`)
		f.put("other", `2`)
		if u := p.next("update"); u.Key != "other" {
			t.Errorf("got %+v", u)
		}
	})
}

func TestSubscriptionOnTheURLIsAsGoodAsAMessage(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.put("app.x", `1`)
		p := f.open("?subscribe=app.*&subscribe=b&snapshot=true", "alice")
		defer p.bye()
		if s := p.next("subscribed"); len(s.Patterns) != 2 || s.ID != nil {
			t.Errorf("got %+v", s)
		}
		if u := p.next("update"); !u.Snapshot || u.Key != "app.x" {
			t.Errorf("got %+v", u)
		}
		if b := p.next("bookmark"); !b.Synced {
			t.Errorf("got %+v", b)
		}
	})
}

func TestCommitOfSeveralKeysArrivesWholeAndResumesInItsMiddle(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=app.*", "alice")
		p.next("subscribed")
		var writes []core.Write
		for _, k := range []string{"app.a", "app.b", "app.c"} {
			writes = append(writes, core.Write{Op: core.WritePut, Kind: core.KindKey, Name: k, Value: []byte(`1`)})
		}
		f.write(writes...)
		var frames []wire.Frame
		for range writes {
			frames = append(frames, p.next("update"))
		}
		p.bye()
		for i, fr := range frames {
			if fr.More != (i < 2) {
				t.Errorf("frame %d: more is %v", i, fr.More)
			}
			p := f.open("?subscribe=app.*&since_revision="+fr.Revision, "alice")
			p.next("subscribed")
			for _, want := range frames[i+1:] {
				if got := p.next("update"); got.Key != want.Key || got.Revision != want.Revision {
					t.Errorf("resumed from %s: got %+v, want %+v", fr.Revision, got, want)
				}
			}
			if b := p.next("bookmark"); !b.Synced {
				t.Errorf("got %+v", b)
			}
			p.bye()
		}
	})
}

func TestMessageThatAsksForTheImpossibleIsAnErrorAndChangesNothing(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=app.*", "alice")
		defer p.bye()
		p.next("subscribed")
		many := `"a0"`
		for i := range 1000 {
			many += `,"a` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `"`
		}
		for text, code := range map[string]string{
			`{"subscribe":["other","a..b/*c"],"id":7}`:                         core.CodeBadPattern,
			`{"subscribe":["other",""],"id":7}`:                                core.CodeBadPattern,
			`{"subscribe":[],"id":7}`:                                          core.CodeBadPattern,
			`{"subscribe":["other"],"since_version":1,"snapshot":true,"id":7}`: core.CodeBadMessage,
			`{"subscribe":["other"],"since_revision":"x","id":7}`:              core.CodeBadRevision,
			`{"subscribe":["other",` + many + `],"id":7}`:                      core.CodeTooMany,
		} {
			p.send(text)
			if e := p.next("error"); e.Code != code || string(e.ID) != `7` || e.Message == "" || e.Revision != "" {
				t.Errorf("%.80s: got %+v, want the code %s", text, e, code)
			}
		}
		f.put("other", `1`)
		f.put("app.x", `1`)
		if u := p.next("update"); u.Key != "app.x" {
			t.Errorf("got %+v, want nothing of what failed", u)
		}
	})
}

func TestPolicyThatDeniesWatchingCloses4403(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.rights.deny("alice watch secret.*")
		f.open("?subscribe=secret.*", "alice").closes(wire.CloseForbidden)
		p := f.open("", "alice")
		p.send(`{"subscribe":["secret.*"]}`)
		p.closes(wire.CloseForbidden)
		res := f.get("?subscribe=secret.*", header("Authorization", "Bearer alice", "Accept", "text/event-stream"))
		f.problem(res, 403)
	})
}

func TestWatcherIsToldWhenTheServerGoesAway(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p, waiting := f.open("?subscribe=*", "alice"), f.open("", "bob")
		p.next("subscribed")
		done := make(chan error)
		go func() { done <- f.handler.Shutdown(context.Background()) }()
		p.closes(wire.CloseGoingAway)
		waiting.closes(wire.CloseGoingAway)
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, res := f.dial("", bearer("alice"))
		f.problem(res, 503)
	})
}

func TestConnectionThatEndsLeavesNothing(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=*", "alice")
		p.next("subscribed")
		if n := f.handler.Connections(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		p.bye()
		q := f.open("?subscribe=*", "alice")
		q.next("subscribed")
		_ = q.ws.CloseNow()
		synctest.Wait()
		if n, w := f.handler.Connections(), f.engine.Stats().Watchers; n != 0 || w != 0 {
			t.Errorf("%d connections and %d watchers are left", n, w)
		}
	})
}
