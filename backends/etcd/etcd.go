// Package etcd keeps the commit log, the table of the present and every key's history in etcd, and listens to the log
// through a watch. A node evaluates a batch of transactions over what it read; one etcd transaction then compares the
// head record alone and writes everything, so that batches of all nodes stand in one order.
package etcd

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Options are how a Store uses its client; the zero value works.
type Options struct {
	Name    string        // of the backend; "": etcd
	Prefix  string        // of every key in etcd, such as team/config; "": dynconfig
	Timeout time.Duration // of one call; 0: 5 s
	Request Request       // what etcd takes at once
	// Limits of a transaction; zero: what surely fits a Request, in a store that other processes share.
	Limits core.Limits
	// Now decides how long a Meta.ID is remembered; nil: time.Now.
	Now func() time.Time
	// Refuse is asked before every commit; nil: nothing is refused.
	Refuse func() error
}

// Defaults of Options.
const (
	defaultPrefix  = "dynconfig"
	defaultTimeout = 5 * time.Second
)

func (o Options) withDefaults() (_ Options, err error) {
	if o.Name == "" {
		o.Name = "etcd"
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Prefix = strings.TrimSuffix(o.Prefix, "/") + "/"; !prefixForm.MatchString(o.Prefix) {
		return o, core.Errorf(core.ErrInvalid, "etcd prefix %q has to be names of two or more of A-Z a-z 0-9 - _ with slashes between them", o.Prefix)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	o.Request = o.Request.withDefaults()
	if o.Limits == (core.Limits{}) {
		if o.Limits, err = o.Request.limits(); err != nil {
			return o, err
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refuse == nil {
		o.Refuse = func() error { return nil }
	}
	return o, nil
}

// prefixForm keeps deployments apart of which one's prefix begins with the other's: what layout adds to a prefix are
// segments of one letter.
var prefixForm = regexp.MustCompile(`^/?([A-Za-z0-9_-]{2,}/)+$`)

// New returns a backend over a client, which stays the caller's: it is closed after the backend.
func New(ctx context.Context, client *clientv3.Client, o Options) (*core.Backend, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		client: client, members: newMembers(client),
		keys: layout{o.Prefix}, timeout: o.Timeout, request: o.Request, limits: o.Limits, refuse: o.Refuse,
	}
	s.writer = newWriter(s, o.Now)
	s.group = core.NewGroup(o.Limits, s.writer.batch)
	if err := s.begin(ctx); err != nil {
		s.group.Close()
		return nil, err
	}
	bus := newBus(s)
	return &core.Backend{
		Name: o.Name, Store: s, Bus: bus, Limits: o.Limits,
		Close: sync.OnceValue(func() error {
			s.closed.Store(true)
			s.group.Close()
			bus.close()
			return nil
		}),
	}, nil
}

// begin finds out whether etcd takes as many operations as it is said to, and sees to it that the store has an epoch.
func (s *Store) begin(ctx context.Context) error {
	ops := make([]clientv3.Op, s.request.Ops)
	for i := range ops {
		ops[i] = clientv3.OpGet(s.keys.epoch())
	}
	if _, err := s.read(ctx, ops...); err != nil {
		return err
	}
	_, err := s.Status(ctx)
	s.loaded.Store(s.seen.Load())
	return err
}
