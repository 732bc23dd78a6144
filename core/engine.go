package core

import (
	"context"
	"log/slog"
	"time"
)

// Retention says how much of the log is kept.
type Retention struct {
	Age      time.Duration // commits younger than this, 0: 7 days,
	Commits  int64         // but at most so many, 0: 1,000,000
	Versions int           // and at least so many versions of each key, 0: 10
}

// Options are the Engine's optional parts; the zero value works.
type Options struct {
	Authorizer Authorizer       // nil: denies everything
	Audit      Audit            // nil: the backend's, else none
	Logger     *slog.Logger     // nil: none
	Now        func() time.Time // nil: time.Now
	Retention  Retention
	Poll       time.Duration // how often the tail looks when nothing hints; 0: 1s
	CacheBytes int64         // of values kept in this process; 0: 64 MiB
}

// Engine is DynConfig between a Backend and the transports.
type Engine struct{}

func Open(ctx context.Context, b *Backend, o Options) (*Engine, error) { panic("skeleton") }

func (e *Engine) Run(ctx context.Context) error                                 { panic("skeleton") }
func (e *Engine) Epoch() string                                                 { panic("skeleton") }
func (e *Engine) Head() Position                                                { panic("skeleton") }
func (e *Engine) Limits() Limits                                                { panic("skeleton") }
func (e *Engine) Stats() Stats                                                  { panic("skeleton") }
func (e *Engine) Health(ctx context.Context) Health                             { panic("skeleton") }
func (e *Engine) Get(ctx context.Context, c Caller, r Read) (Item, error)       { panic("skeleton") }
func (e *Engine) List(ctx context.Context, c Caller, f Filter) (Listing, error) { panic("skeleton") }
func (e *Engine) GetMany(ctx context.Context, c Caller, kind Kind, names []string) (Listing, error) {
	panic("skeleton")
}
func (e *Engine) Write(ctx context.Context, c Caller, r Request) (Result, error) { panic("skeleton") }

// Stats are figures of the Engine for metrics: gauges as they are now, counters since the start.
type Stats struct {
	Keys, Tombstones                      int // gauges: entries in the index
	Watchers, Patterns                    int // gauges
	Head                                  Revision
	Delivered, Conflated, Resets, Replays uint64 // counters: events to watchers, conflated ones, resets, catch-ups
	Commits, Retries, Expired             uint64 // counters: commits applied, writes tried again, keys expired
	CacheHits, CacheMisses                uint64
}

// Watcher is one stream of events to one subject.
type Watcher struct{}

func (e *Engine) Watch(ctx context.Context, c Caller, notify func()) (*Watcher, error) {
	panic("skeleton")
}
func (w *Watcher) Subscribe(s Subscription)                      { panic("skeleton") }
func (w *Watcher) Unsubscribe(id string, patterns []string)      { panic("skeleton") }
func (w *Watcher) Fail(id, code, text string)                    { panic("skeleton") }
func (w *Watcher) Renew(s *Subject)                              { panic("skeleton") }
func (w *Watcher) Expiring(at time.Time)                         { panic("skeleton") }
func (w *Watcher) Next(ctx context.Context) (Event, bool, error) { panic("skeleton") }
func (w *Watcher) Close()                                        { panic("skeleton") }
