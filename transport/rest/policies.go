package rest

import (
	"context"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Policies is what the /policy routes call. Every method authorizes its caller by itself.
type Policies interface {
	State(ctx context.Context, c core.Caller) (wire.PolicyState, error)
	Put(ctx context.Context, c core.Caller, set wire.PolicySet, o wire.PutPolicy) (wire.PolicyState, error)
	Confirm(ctx context.Context, c core.Caller, revision string) (wire.PolicyState, error)
	Rollback(ctx context.Context, c core.Caller, revision string, o wire.RollbackPolicy) (wire.PolicyState, error)
	History(ctx context.Context, c core.Caller, limit int) (wire.PolicyHistory, error)
	Test(ctx context.Context, c core.Caller, set wire.PolicySet) (wire.PolicyTests, error)
	Explain(ctx context.Context, c core.Caller, q wire.Question) (wire.Explanation, error)
	WhoCan(ctx context.Context, c core.Caller, q wire.Question) (wire.WhoCan, error)
	Replay(ctx context.Context, c core.Caller, r wire.ReplayRequest) (wire.Replayed, error)
	Decisions(ctx context.Context, c core.Caller, f wire.DecisionFilter) (wire.Decisions, error)
}
