package policy

import (
	"bytes"
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/dynconfig/dynconfig/core"
)

// CompileOptions are what a set is compiled with beside its own files. Admins is required.
type CompileOptions struct {
	Admins []string // as Options.Admins
	Hosts  []string // as Options.Hosts
}

// Program is a set that has compiled and answers questions that are written down as JSON, under the same rules as an
// Authorizer: for drafts and for records of decisions. It keeps no answers.
type Program struct{ policy *policy }

// Compile makes a Program, or says what is wrong with the set, by file and line.
func Compile(ctx context.Context, set Set, o CompileOptions) (*Program, error) {
	if err := checkAdmins(o.Admins); err != nil {
		return nil, err
	}
	p, err := compileWith(ctx, set, o.Admins, o.Hosts, nil)
	if err != nil {
		return nil, err
	}
	return &Program{p}, nil
}

// Compile makes a Program that decides beside this Authorizer's server admins, and may call what it may.
func (a *Authorizer) Compile(ctx context.Context, set Set) (*Program, error) {
	return Compile(ctx, set, CompileOptions{Admins: a.admins, Hosts: a.hosts})
}

// Decide answers an input as it was, or would be, given to the policy. at is the time that the policy sees; zero: the one in
// the input, or now. A policy that fails denies, as rule policy-error, and the reason says how. An error means that the
// input is no object in JSON, or that ctx ended.
func (p *Program) Decide(ctx context.Context, input []byte, at time.Time) (core.Decision, error) {
	object, err := inputObject(input)
	if err != nil {
		return core.Decision{}, err
	}
	at = timed(object, at)
	d, err := p.policy.evaluate(ctx, object, at)
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil:
		return core.Decision{}, core.Errorf(core.ErrUnavailable, "The decision was not waited for").Because(ctx.Err())
	}
	return core.Decision{Rule: RuleError, Reason: "The policy failed to decide: " + err.Error()}, nil
}

// Claims are those that the rules read, and whether they read all of them.
func (p *Program) Claims() (names []string, all bool) {
	return p.policy.reads.claims, p.policy.reads.allClaims
}

// ReadsRequest reports whether the rules read what the caller is doing, from where, or when.
func (p *Program) ReadsRequest() bool { return p.policy.reads.request() }

// ReadsKey reports whether the rules read the text of keys.
func (p *Program) ReadsKey() bool { return p.policy.reads.key }

func inputObject(text []byte) (ast.Object, error) {
	decoder := util.NewJSONDecoder(bytes.NewReader(text)) // numbers keep their digits
	var document map[string]any
	if err := decoder.Decode(&document); err != nil || document == nil || decoder.More() {
		return nil, core.Errorf(core.ErrMalformed, "Input is not one JSON object").Because(err)
	}
	v, err := ast.InterfaceToValue(document)
	if err != nil {
		return nil, core.Errorf(core.ErrMalformed, "Input is not one JSON object").Because(err)
	}
	return v.(ast.Object), nil
}

// timed makes input.request.time and the time of the evaluation the same, and returns it.
func timed(input ast.Object, at time.Time) time.Time {
	request, ok := object(input.Get(ast.InternedTerm("request")))
	if !ok {
		request = ast.NewObject()
		input.Insert(ast.InternedTerm("request"), ast.NewTerm(request))
	}
	if at.IsZero() {
		if said := request.Get(ast.InternedTerm("time")); said != nil {
			if text, ok := said.Value.(ast.String); ok {
				at, _ = time.Parse(time.RFC3339Nano, string(text))
			}
		}
	}
	if at.IsZero() {
		at = time.Now()
	}
	request.Insert(ast.InternedTerm("time"), ast.StringTerm(at.UTC().Format(time.RFC3339Nano)))
	return at
}

func object(t *ast.Term) (ast.Object, bool) {
	if t == nil {
		return nil, false
	}
	o, ok := t.Value.(ast.Object)
	return o, ok
}
