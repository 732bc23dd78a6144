package client

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Value is a key's value in a Mirror. Nobody changes Raw.
type Value struct {
	Raw      json.RawMessage
	Version  int64
	Modified time.Time
}

// Mirror is a copy in memory of the keys that patterns select, kept in step by a watch: what a service reads without a
// call. While the server is away it answers with what it last held; a snapshot replaces its content at once and whole, so
// that readers never see it half full, and a commit of several keys is seen whole too.
type Mirror struct {
	c     *Client
	o     WatchOptions
	ready chan struct{}

	mu       sync.RWMutex
	values   map[string]Value
	revision string
	hooks    []*hook

	// of Run's goroutine alone
	next     map[string]Value // within a snapshot: what values becomes when it is complete
	commit   []Event          // the frames so far of a commit that is not whole yet
	complete bool             // the first snapshot has been
}

// NewMirror returns a Mirror that is empty until Run is called.
func (c *Client) NewMirror(patterns ...string) (*Mirror, error) {
	m := &Mirror{
		c: c, o: WatchOptions{Patterns: patterns, Snapshot: true}, ready: make(chan struct{}),
		values: map[string]Value{}, next: map[string]Value{},
	}
	for _, text := range patterns {
		if _, err := core.ParsePattern(text); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// OnLost has f told why a connection ended, and after which pause the next is tried. Call it before Run.
func (m *Mirror) OnLost(f func(err error, pause time.Duration)) { m.o.Lost = f }

// Run keeps the Mirror in step until ctx ends or the server refuses for good, and returns that error. Call it once.
func (m *Mirror) Run(ctx context.Context) error {
	for e, err := range m.c.Watch(ctx, m.o) {
		if err != nil {
			return err
		}
		m.take(e)
	}
	return nil
}

// Ready is closed when the Mirror is complete for the first time.
func (m *Mirror) Ready() <-chan struct{} { return m.ready }

// Get returns a key's value, and whether there is one.
func (m *Mirror) Get(key string) (Value, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.values[key]
	return v, ok
}

// All returns every value, of one revision.
func (m *Mirror) All() map[string]Value {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.values)
}

// Revision is the newest that the Mirror shows; empty before it is ready.
func (m *Mirror) Revision() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.revision
}

// Decode reads a key's value into a T; core.ErrNotFound if there is none.
func Decode[T any](m *Mirror, key string) (T, error) {
	var t T
	v, ok := m.Get(key)
	if !ok {
		return t, core.Errorf(core.ErrNotFound, "Key does not exist")
	}
	if err := json.Unmarshal(v.Raw, &t); err != nil {
		return t, core.Errorf(core.ErrInvalid, "Value of %s is not of that type", key).Because(err)
	}
	return t, nil
}

// take brings the Mirror one event further.
func (m *Mirror) take(e Event) {
	switch {
	case e.Event == Reset:
		m.restart(e.Patterns)
	case e.Event == Bookmark && e.Synced && m.next != nil:
		m.replace(m.next, e.Revision)
		m.next = nil
		if !m.complete {
			m.complete = true
			close(m.ready)
		}
	case m.next != nil:
		apply(m.next, e)
	default:
		if m.commit = append(m.commit, e); e.More {
			return
		}
		m.apply(m.commit)
		m.commit = m.commit[:0]
	}
}

// restart begins a new snapshot of some patterns, of all if none are named. What it holds is served until it is complete.
func (m *Mirror) restart(patterns []string) {
	m.apply(m.commit)
	next := map[string]Value{}
	if len(patterns) > 0 {
		if m.next == nil {
			m.next = m.values // no writer but this goroutine
		}
		for key, v := range m.next {
			if !selected(patterns, key) {
				next[key] = v
			}
		}
	}
	m.next, m.commit = next, nil
}

func selected(patterns []string, key string) bool {
	for _, text := range patterns {
		if p, err := core.ParsePattern(text); err != nil || p.Match(key) {
			return true
		}
	}
	return false
}

// apply shows a whole commit.
func (m *Mirror) apply(events []Event) {
	var changes []Change
	m.mu.Lock()
	for _, e := range events {
		was, had := m.values[e.Key]
		apply(m.values, e)
		is, has := m.values[e.Key]
		changes = appendChange(changes, e.Key, was, had, is, has)
		m.revision = e.Revision
	}
	m.mu.Unlock()
	m.tell(changes)
}

// replace shows a whole snapshot.
func (m *Mirror) replace(next map[string]Value, revision string) {
	var changes []Change
	m.mu.Lock()
	for key, was := range m.values {
		is, has := next[key]
		changes = appendChange(changes, key, was, true, is, has)
	}
	for key, is := range next {
		if _, had := m.values[key]; !had {
			changes = appendChange(changes, key, Value{}, false, is, true)
		}
	}
	m.values, m.revision = next, revision
	m.mu.Unlock()
	sortChanges(changes)
	m.tell(changes)
}

// apply puts one event into values.
func apply(values map[string]Value, e Event) {
	switch e.Event {
	case Update, Granted:
		v := Value{Raw: e.Value, Version: e.Version}
		if e.LastModified != nil {
			v.Modified = *e.LastModified
		}
		values[e.Key] = v
	case Delete, Expired, Revoked:
		delete(values, e.Key)
	}
}

func same(a, b Value) bool { return a.Version == b.Version && bytes.Equal(a.Raw, b.Raw) }
