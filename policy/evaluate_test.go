package policy

import (
	"context"
	"errors"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestRunEndsWithItsCaller(t *testing.T) {
	a := open(t, module(`decision := {"allow": count([1 | some x in numbers.range(1, 1000000); some y in numbers.range(1, 1000000); x == y + 1000000]) == 0}`))
	for {
		ctx, leave := context.WithCancel(t.Context())
		go leave()
		d, err := a.Authorize(ctx, &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
		leave()
		if d.Late {
			continue // the machine had no time to leave in time
		}
		if !errors.Is(err, core.ErrUnavailable) || d.Allow || d.Rule != "" {
			t.Errorf("got %+v, %v, want the zero decision and unavailable", d, err)
		}
		return
	}
}
