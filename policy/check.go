package policy

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// MaxModules is how many modules a set may have.
const MaxModules = 500

// maxModuleName bounds the name of a module, in bytes.
const maxModuleName = 255

// Operations by which a policy is read and changed, as a policy sees them.
const (
	OperationGet      = "get"
	OperationPut      = "put"
	OperationConfirm  = "confirm"
	OperationRollback = "rollback"
)

// Verdict is what Check finds out about a set that may be put in force.
type Verdict struct {
	Reads    []string // what its rules look at, beyond what all look at
	Warnings []string // what the check cannot have seen
}

// Check does with a set all that Load does but put it in force, and finds out who could change the policy under it: caller,
// if there is one, and at least one of the server admins by name alone must still be able to.
func (a *Authorizer) Check(ctx context.Context, set Set, caller *core.Caller) (Verdict, error) {
	if err := checkModules(set); err != nil {
		return Verdict{}, err
	}
	p, err := compile(ctx, set, a.admins, a.hosts)
	if err != nil {
		return Verdict{}, err
	}
	if caller != nil {
		if why, err := a.mayChange(ctx, p, *caller); err != nil || why != "" {
			return Verdict{}, p.lockout(err, "Under this policy you would lock yourself out, and could not change it back: "+why)
		}
	}
	var why string
	for _, name := range a.admins {
		admin := core.Caller{Subject: &core.Subject{Username: name}, Environment: "default", Address: "127.0.0.1"}
		if why, err = a.mayChange(ctx, p, admin); err != nil || why == "" {
			break
		}
	}
	if err != nil || why != "" {
		return Verdict{}, p.lockout(err, "This policy would lock everybody out: none of ADMINS, without claims, could change it back: "+why)
	}
	return Verdict{Reads: p.reads.names(), Warnings: p.reads.warnings()}, nil
}

// lockout is err or, without one, the refusal of a policy that decides so.
func (p *policy) lockout(err error, sentence string) error {
	if err != nil {
		return err
	}
	return invalid(place(p.compiler.GetRulesExact(ast.MustParseRef(decisionPath))[0].Location), "%s", sentence)
}

// mayChange returns why a caller could not read and change the policy, "" if he could.
func (a *Authorizer) mayChange(ctx context.Context, p *policy, who core.Caller) (string, error) {
	admin := []string{OperationPut, OperationConfirm, OperationRollback}
	for _, operation := range append([]string{OperationGet}, admin...) {
		ask := core.Access{
			Action: core.ActionAdmin, Kind: core.KindPolicy, Key: core.PolicySet, Exists: true,
			Environment: who.Environment, Operation: operation, Address: who.Address, Time: a.now(),
		}
		if operation == OperationGet {
			ask.Action = core.ActionRead
		}
		input, err := p.input(a.terms, who.Subject, &ask)
		if err != nil {
			return "", err
		}
		switch d, err := p.evaluate(ctx, input, ask.Time); {
		case ctx.Err() != nil:
			return "", core.Errorf(core.ErrUnavailable, "The request ended before the policy was checked").Because(ctx.Err())
		case err != nil:
			return "it fails at \"" + string(ask.Action) + "\" of the policy by " + who.Subject.Username + ": " + err.Error(), nil
		case !d.Allow:
			why := "it denies \"" + string(ask.Action) + "\" of the policy to " + who.Subject.Username
			if d.Rule != "" {
				why += " by rule " + d.Rule
			}
			return why, nil
		}
	}
	return "", nil
}

// checkModules finds names that a directory could not hold, so that what is put can be pulled.
func checkModules(set Set) error {
	if len(set.Modules) > MaxModules {
		return invalid("modules", "A policy has at most %d modules", MaxModules)
	}
	for _, name := range slices.Sorted(maps.Keys(set.Modules)) {
		switch {
		case !moduleName(name):
			return invalid("modules", "Module %.100q must be named as a file is, such as authz.rego or teams/rules.rego", name)
		case !utf8.ValidString(set.Modules[name]):
			return invalid(name, "Module %s is not UTF-8", name)
		}
	}
	return nil
}

func moduleName(name string) bool {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == '\\' || r == ':' || r == utf8.RuneError }
	parts := strings.Split(name, "/")
	return len(name) <= maxModuleName && path.Ext(name) == ".rego" && path.Clean(name) == name && !path.IsAbs(name) &&
		!strings.ContainsFunc(name, odd) && !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, ".") })
}

// names returns what is read as members of the input.
func (r *reads) names() []string {
	names := []string{}
	for name, is := range map[string]bool{
		"key": r.key, "operation": r.operation, "changes": r.changes, "address": r.address, "time": r.volatile, "claims": r.allClaims,
	} {
		if is {
			names = append(names, name)
		}
	}
	for _, claim := range r.claims {
		names = append(names, "claims."+claim)
	}
	slices.Sort(names)
	return names
}

// warnings says what the answers of a check may depend on that are not the same at another time.
func (r *reads) warnings() []string {
	warnings := []string{}
	if r.volatile {
		warnings = append(warnings, "It reads the time, or what is not the same twice: the check saw who may change the policy now, not later; and no decision is kept.")
	}
	if r.address {
		warnings = append(warnings, "It reads the address: the check saw who may change the policy from where you are, not from elsewhere.")
	}
	if r.operation {
		warnings = append(warnings, "It reads the operation: the check saw the operations of the policy routes alone.")
	}
	if r.anyClaim() {
		warnings = append(warnings, "It reads claims: the check saw yours and those of an admin who has none, not those of other tokens.")
	}
	return warnings
}

// Test runs the tests of a set in this process.
func (a *Authorizer) Test(ctx context.Context, set Set) (wire.PolicyTests, error) {
	tested, err := Test(ctx, set, TestOptions{CompileOptions: CompileOptions{Admins: a.admins, Hosts: a.hosts}})
	return tested.PolicyTests, err
}
