package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// crowd is many streams, each read by a goroutine of its own whenever there is something, as a transport reads them.
type crowd struct {
	s       *served
	readers sync.WaitGroup
	ended   atomic.Int64
	heard   atomic.Int64
	awaited core.EventKind
	all     chan struct{} // each that heard what is awaited
}

func (s *served) gather(n int, sub func(i int) core.Subscription) *crowd {
	c := &crowd{s: s, all: make(chan struct{}, n), awaited: core.EventSubscribed}
	for i := range n {
		var w *core.Watcher
		ready := make(chan struct{})
		var err error
		w, err = s.Watch(s.t.Context(), caller(fmt.Sprintf("user%d", i), nil), func() {
			c.readers.Go(func() {
				<-ready
				for {
					ev, ok, err := w.Next(s.t.Context())
					if err != nil {
						c.ended.Add(1)
						c.all <- struct{}{}
						return
					}
					if !ok {
						return
					}
					c.heard.Add(1)
					if ev.Kind == c.awaited && (ev.Kind != core.EventBookmark || ev.Synced) {
						c.all <- struct{}{}
					}
				}
			})
		})
		if err != nil {
			s.t.Fatal(err)
		}
		close(ready)
		s.t.Cleanup(w.Close)
		w.Subscribe(sub(i))
	}
	c.wait(n)
	return c
}

func (c *crowd) wait(n int) {
	for range n {
		<-c.all
	}
}

const many = 10_000

// BenchmarkAnotherPolicy is how long it takes until 10,000 streams of as many principals have begun anew.
func BenchmarkAnotherPolicy(b *testing.B) {
	s := serve(b, Set{})
	var writes []core.Write
	for i := range 50 {
		writes = append(writes, put(fmt.Sprintf("app.k%d", i), `"some value"`, fmt.Sprintf("read: user* team%d", i%10)))
	}
	s.write(writes...)
	c := s.gather(many, func(int) core.Subscription { return core.Subscription{Patterns: []string{"app.*"}} })
	c.awaited = core.EventBookmark
	c.heard.Store(0)
	for i := 0; b.Loop(); i++ {
		s.load(module(fmt.Sprintf("decision := data.dynconfig.acl.decision\n\nnumber := %d", i)))
		c.wait(many - int(c.ended.Load()))
	}
	c.readers.Wait()
	b.ReportMetric(float64(c.heard.Load())/float64(b.N*many), "events/watcher")
	b.ReportMetric(float64(c.ended.Load()), "ended")
	b.ReportMetric(float64(s.policy.Stats().Errors), "failures")
}

// BenchmarkACLChange is how long it takes until 10,000 streams of as many principals have heard of an ACL change.
func BenchmarkACLChange(b *testing.B) {
	s := serve(b, Set{})
	s.write(put("app.k", "1", "read: *"))
	c := s.gather(many, func(int) core.Subscription { return core.Subscription{Patterns: []string{"app.*"}} })
	for i := 0; b.Loop(); i++ {
		c.awaited = core.EventRevoked
		acl := fmt.Sprintf("read: nobody%d", i)
		if i%2 == 1 {
			c.awaited, acl = core.EventGranted, fmt.Sprintf("read: user* nobody%d", i)
		}
		s.write(rerule("app.k", acl))
		c.wait(many - int(c.ended.Load()))
	}
	c.readers.Wait()
	b.ReportMetric(float64(c.ended.Load()), "ended")
	b.ReportMetric(float64(s.policy.Stats().Errors), "failures")
}
