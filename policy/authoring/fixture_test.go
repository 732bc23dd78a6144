package authoring_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

// deployment is a store that several nodes share.
type deployment struct {
	backend *core.Backend // the first handle on it
}

// node is one of them.
type node struct {
	*authoring.Manager
	engine     *core.Engine
	authorizer *policy.Authorizer
	audit      *outcomes
	stop       func()
}

// outcomes is an Audit that remembers how every change of the policy ended.
type outcomes struct{ list chan string }

func (o *outcomes) Append(entries ...core.AuditEntry) {
	for _, e := range entries {
		if e.Kind == core.KindPolicy {
			select {
			case o.list <- e.Actor + " " + e.Action + " " + string(e.Outcome):
			default:
			}
		}
	}
}

func deploy() *deployment {
	return &deployment{memory.Open(memory.Options{Shared: true})}
}

// settings are those of a node that differ from test to test.
type settings struct {
	authoring.Options
	admins []string
	store  core.Store // nil: the deployment's
}

// open makes a node that does not run yet.
func (d *deployment) open(t *testing.T, s settings) (*node, error) {
	t.Helper()
	if s.admins == nil {
		s.admins = []string{"admin-user"}
	}
	authorizer, err := policy.New(t.Context(), policy.Options{Admins: s.admins})
	if err != nil {
		return nil, err
	}
	if s.Source != nil {
		if err := authoring.Start(t.Context(), authorizer, s.Source, s.Sandbox); err != nil {
			return nil, err
		}
	}
	n := &node{authorizer: authorizer, audit: &outcomes{make(chan string, 100)}}
	backend := d.backend.Store.(*memory.Store).Peer()
	if s.store != nil {
		backend.Store, backend.Bus = s.store, nil
	}
	n.engine, err = core.Open(t.Context(), backend, core.Options{Authorizer: authorizer, Audit: n.audit})
	if err != nil {
		return nil, err
	}
	s.Engine, s.Authorizer = n.engine, authorizer
	n.Manager, err = authoring.Open(t.Context(), s.Options)
	return n, err
}

// start starts a node.
func (d *deployment) start(t *testing.T, s settings) *node {
	t.Helper()
	n, err := d.open(t, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	engine, manager := make(chan struct{}), make(chan struct{})
	go func() { defer close(engine); _ = n.engine.Run(ctx) }()
	go func() { defer close(manager); _ = n.Manager.Run(ctx) }()
	n.stop = func() { cancel(); <-engine; <-manager }
	t.Cleanup(n.stop)
	return n
}

var admin = who("admin-user")

func who(name string) core.Caller {
	return core.Caller{Subject: &core.Subject{Username: name}, Environment: "default", Address: "192.0.2.7", RequestID: "r"}
}

// shippedFirst is a module that adds to the shipped rules.
const shippedFirst = `package dynconfig.authz
decision := data.dynconfig.acl.decision
`

// without is a set that narrows the shipped rules by one action, so that it is told from others.
func without(action string) wire.PolicySet {
	return wire.PolicySet{Modules: map[string]string{"authz.rego": `package dynconfig.authz
decision := {"allow": false, "rule": "frozen", "reason": "` + action + `"} if input.action == "` + action + `"
else := data.dynconfig.acl.decision
`}}
}

// closed is a set that allows nobody anything.
var closed = wire.PolicySet{Modules: map[string]string{"authz.rego": `package dynconfig.authz
decision := {"allow": false, "rule": "closed"}
`}}

func (n *node) put(t *testing.T, set wire.PolicySet, o wire.PutPolicy) wire.PolicyState {
	t.Helper()
	s, err := n.Put(t.Context(), admin, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (n *node) state(t *testing.T) wire.PolicyState {
	t.Helper()
	s, err := n.State(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forbids reports whether the node's policy freezes an action.
func (n *node) forbids(t *testing.T, action core.Action) bool {
	t.Helper()
	for {
		d, err := n.authorizer.Authorize(t.Context(), admin.Subject, core.Access{Action: action, Kind: core.KindKey, Key: "k", Exists: true, Environment: "default"})
		if err != nil {
			t.Fatal(err)
		}
		if !d.Late { // as it may be where the machine has other things to do
			return !d.Allow
		}
	}
}

// refused demands an error of a kind that says something, in its sentence or for a part of the request.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) {
		t.Errorf("got %v, want it to be %v", err, kind)
		return
	}
	text := e.Detail
	for _, f := range e.Fields {
		text += "\n" + f.Path + ": " + f.Reason
	}
	if !strings.Contains(text, says) {
		t.Errorf("it says %q, and not %q", text, says)
	}
}

// soon is longer than any node needs to hear of a change.
const soon = time.Second
