package conformance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// lists is a small Authorizer over the item's own ACL, or one that says the same to all.
type lists struct {
	mu         sync.Mutex
	generation uint64
	fixed      *bool
}

func (l *lists) Authorize(_ context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fixed != nil {
		return core.Decision{Allow: *l.fixed}, nil
	}
	known := who.Username != "" && ask.Kind == core.KindKey && ask.ACL != nil
	if !known || ask.Action != core.ActionRead {
		return core.Decision{}, nil
	}
	read := ask.ACL.ACL.Read
	return core.Decision{Allow: slices.Contains(read, who.Username) || slices.Contains(read, "*")}, nil
}

func (l *lists) Generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

func (l *lists) load(_ context.Context, allow bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.fixed = &allow
	return nil
}

func openLists(testing.TB) Policy {
	l := &lists{}
	return Policy{Authorizer: l, Load: l.load}
}

func TestASoundAuthorizerPasses(t *testing.T) { RunAuthorizer(t, openLists) }

// sick is an Authorizer of which some methods do something else with the one behind it.
type sick struct {
	core.Authorizer
	authorize func(ctx context.Context, a core.Authorizer, who *core.Subject, ask core.Access) (core.Decision, error)
	still     bool // the generation stays
}

func (s sick) Authorize(ctx context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	if s.authorize == nil {
		return s.Authorizer.Authorize(ctx, who, ask)
	}
	return s.authorize(ctx, s.Authorizer, who, ask)
}

func (s sick) Generation() uint64 {
	if s.still {
		return 0
	}
	return s.Authorizer.Generation()
}

func TestEveryPromiseOfAnAuthorizerCatchesItsMutant(t *testing.T) {
	for _, c := range []struct {
		does   string
		caught string
		sick   func() sick
	}{
		{"allows what it does not understand", "zero denies", func() sick {
			return sick{authorize: func(ctx context.Context, a core.Authorizer, who *core.Subject, ask core.Access) (core.Decision, error) {
				if ask.Kind == "" {
					return core.Decision{Allow: true}, nil
				}
				return a.Authorize(ctx, who, ask)
			}}
		}},
		{"remembers an answer without the item's rules", "a thousand asks are answered alike in every order", func() sick {
			return remembering(func(who *core.Subject, ask core.Access) any { return who.Username + ask.Key })
		}},
		{"fails with an open door", "an error comes with a denial", func() sick {
			return sick{authorize: func(ctx context.Context, a core.Authorizer, who *core.Subject, ask core.Access) (core.Decision, error) {
				if ctx.Err() != nil {
					return core.Decision{Allow: true}, errors.New("given up")
				}
				return a.Authorize(ctx, who, ask)
			}}
		}},
		{"does not say that its policy is another", "a reload is atomic", func() sick { return sick{still: true} }},
		{"remembers answers of the last policy", "a reload governs from its return on", func() sick {
			return remembering(func(who *core.Subject, ask core.Access) any { return [2]any{who.Username, ask} })
		}},
	} {
		t.Run(c.does, func(t *testing.T) {
			i := slices.IndexFunc(authorizerPromises, func(p authorizerPromise) bool { return p.name == c.caught })
			failures := record(t, func(t testing.TB) {
				authorizerPromises[i].test(t, func(t testing.TB) Policy {
					p, s := openLists(t), c.sick()
					s.Authorizer = p.Authorizer
					return Policy{Authorizer: s, Load: p.Load}
				})
			})
			if failures == nil {
				t.Errorf("the promise %q is kept by an authorizer that %s", c.caught, c.does)
			}
		})
	}
}

// remembering answers with what it answered before under the same key.
func remembering(key func(who *core.Subject, ask core.Access) any) sick {
	var known sync.Map
	return sick{authorize: func(ctx context.Context, a core.Authorizer, who *core.Subject, ask core.Access) (core.Decision, error) {
		if d, ok := known.Load(key(who, ask)); ok {
			return d.(core.Decision), nil
		}
		d, err := a.Authorize(ctx, who, ask)
		known.Store(key(who, ask), d)
		return d, err
	}}
}
