package core

import "context"

// Sees reports whether an item is there that the caller may read. A denial is not recorded: nothing was refused by it. Where
// denied reads are hidden, a transport asks it before it says why a write was denied.
func (e *Engine) Sees(ctx context.Context, c Caller, kind Kind, name string) (bool, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return false, err
	}
	sees, _, err := ofView(e, func() (bool, error) {
		it, chain := e.index.view(env, kind, name)
		if !it.live(e.now()) {
			return false, nil
		}
		return e.may(ctx, &c, Access{
			Action: ActionRead, Kind: kind, Key: name, Exists: true, ACL: it.acl, Chain: chain, Operation: "get",
		})
	})
	return sees, err
}
