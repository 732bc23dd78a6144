package policy

import (
	"context"
	"testing"

	"github.com/dynconfig/dynconfig/conformance"
)

func TestAuthorizerKeepsItsPromises(t *testing.T) {
	conformance.RunAuthorizer(t, func(t testing.TB) conformance.Policy {
		a := open(t, Set{})
		return conformance.Policy{Authorizer: a, Load: func(ctx context.Context, allow bool) error {
			body := `decision := {"allow": false, "rule": "nothing"}`
			if allow {
				body = `decision := {"allow": true, "rule": "everything"}`
			}
			return a.Load(ctx, module(body))
		}}
	})
}
