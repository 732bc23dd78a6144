package rest_test

import (
	"context"
	"testing"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// keeper stores what is put, and nothing else.
type keeper struct {
	policies
	engine *core.Engine
	puts   int
}

func (k *keeper) Put(ctx context.Context, c core.Caller, _ wire.PolicySet, _ wire.PutPolicy) (wire.PolicyState, error) {
	k.puts++
	held, err := k.engine.Policy(ctx, core.PolicySet)
	if err != nil {
		return wire.PolicyState{}, err
	}
	e, err := k.engine.WritePolicy(ctx, c, core.PolicyWrite{Value: []byte(`1`), Version: held.Version, Operation: "put"})
	return wire.PolicyState{Source: "server", Revision: core.Position{Epoch: k.engine.Epoch(), Revision: e.Revision}.String()}, err
}

func (k *keeper) State(ctx context.Context, c core.Caller) (wire.PolicyState, error) {
	_, err := k.engine.Require(ctx, c, core.Access{Action: core.ActionRead, Kind: core.KindPolicy, Key: core.PolicySet, Exists: true})
	return wire.PolicyState{Source: "server", Revision: "k3v9x2p7:1"}, err
}

func TestAPolicyIsPutOnceUnderItsIdempotencyKey(t *testing.T) {
	k := &keeper{}
	s := startWith(t, k)
	k.engine = s.engine
	first := s.want(200, "PUT", "/policy", aSet, wire.HeaderIdempotency, "once")
	s.want(200, "PUT", "/policy", `{"modules":{}}`)
	again := s.want(200, "PUT", "/policy", aSet, wire.HeaderIdempotency, "once")
	revision := first.header.Get(wire.HeaderRevision)
	if m := again.json(t); k.puts != 2 || revision == "" || again.header.Get(wire.HeaderRevision) != revision || m["revision"] != revision || m["author"] != "admin-user" {
		t.Errorf("put %d times; first %v, again %v %s", k.puts, first.header, again.header, again.body)
	}
	s.want(422, "PUT", "/policy", `{"modules":{}}`, wire.HeaderIdempotency, "once")
	s.want(422, "PUT", "/policy?confirm=5m", aSet, wire.HeaderIdempotency, "once")
	s.want(422, "POST", "/policy/rollback", `{"revision":"a:1"}`, wire.HeaderIdempotency, "once")
	s.want(422, "PUT", "/keys/a", `{"value":1}`, wire.HeaderIdempotency, "once")
	s.want(403, "PUT", "/policy", aSet, wire.HeaderIdempotency, "once", "as", "bob")
	if held, err := s.engine.Policy(t.Context(), core.PolicySet); err != nil || held.Version != 2 {
		t.Errorf("stored %d times, %v; want 2", held.Version, err)
	}
}
