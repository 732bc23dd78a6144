package authoring

import (
	"context"
	"errors"
	"iter"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Replay asks a draft, or a stored set, again what this node recorded in a period, for admins of the policy: the records show
// what others did.
func (m *Manager) Replay(ctx context.Context, c core.Caller, r wire.ReplayRequest) (wire.Replayed, error) {
	none := wire.Replayed{}
	if err := m.require(ctx, c, core.ActionAdmin, operationReplay); err != nil {
		return none, err
	}
	switch {
	case r.Since.IsZero():
		return none, core.Errorf(core.ErrInvalid, "A replay needs to know since when")
	case !r.Until.IsZero() && !r.Since.Before(r.Until):
		return none, core.Errorf(core.ErrInvalid, "The period of a replay ends before it begins")
	case r.Revision != "" && (len(r.Modules) > 0 || len(r.Data) > 0):
		return none, core.Errorf(core.ErrInvalid, "A replay is of modules or of a revision, not of both")
	case m.decisions == nil:
		return none, core.Errorf(core.ErrConflict, "This server records no decisions")
	}
	set := r.PolicySet
	if r.Revision != "" {
		var err error
		if set, err = m.Stored(ctx, r.Revision); err != nil {
			return none, err
		}
	}
	return m.sandbox.Replay(ctx, set, m.recorded(ctx, r))
}

// recorded are the records of a period.
func (m *Manager) recorded(ctx context.Context, r wire.ReplayRequest) iter.Seq2[wire.Decision, error] {
	enough := errors.New("enough")
	return func(yield func(wire.Decision, error) bool) {
		err := m.decisions.Each(ctx, r.Since, r.Until, func(d wire.Decision) error {
			if !yield(d, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(wire.Decision{}, err)
		}
	}
}
