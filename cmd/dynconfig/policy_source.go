package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/policy/sandbox"
	"github.com/dynconfig/dynconfig/policy/source"
)

// policySettings say where the policy comes from.
type policySettings struct {
	choice    string // server or shipped
	dir       string
	bundle    string
	bundleKey string
	hosts     []string
	trial     time.Duration // that a draft may take; 0: what a sandbox allows
}

// check finds settings that exclude each other.
func (s *policySettings) check() error {
	switch {
	case s.dir != "" && s.bundle != "":
		return failf("--policy-dir and --policy-bundle exclude each other: the policy comes from one place")
	case s.choice == "shipped" && s.dir != "":
		return failf("--policy shipped and --policy-dir exclude each other: leave out the directory to decide by the shipped rules")
	case s.choice == "shipped" && s.bundle != "":
		return failf("--policy shipped and --policy-bundle exclude each other: leave out the bundle to decide by the shipped rules")
	case s.bundleKey != "" && s.bundle == "":
		return failf("--policy-bundle-key is for a --policy-bundle, and there is none")
	}
	return nil
}

// source is the place outside the store that the policy comes from; nil: there is none.
func (s *policySettings) source() (source.Source, error) {
	switch {
	case s.dir != "":
		return source.NewDirectory(s.dir), nil
	case s.bundle == "":
		return nil, nil //nolint:nilnil // no source is no error
	}
	var o source.BundleOptions
	if s.bundleKey != "" {
		var err error
		if o.Key, err = os.ReadFile(s.bundleKey); err != nil {
			return nil, fileError(s.bundleKey, err)
		}
	}
	return source.NewBundle(s.bundle, o)
}

// rules are what a policy needs before there is a store.
type rules struct {
	authorizer *policy.Authorizer
	source     source.Source // nil: none outside the store
	sandbox    *sandbox.Sandbox
}

// openPolicy makes an Authorizer that decides by what the source holds, else by the shipped rules until what is stored is
// known.
func openPolicy(ctx context.Context, s Settings, logger *slog.Logger) (r rules, err error) {
	r.sandbox = sandbox.New(sandbox.Options{Command: []string{workerName}, Admins: s.Admins, Hosts: s.Policy.hosts, Time: s.Policy.trial})
	if r.authorizer, err = policy.New(ctx, policy.Options{Admins: s.Admins, Hosts: s.Policy.hosts, Logger: logger}); err != nil {
		return r, err
	}
	if r.source, err = s.Policy.source(); err == nil && r.source != nil {
		err = authoring.Start(ctx, r.authorizer, r.source, r.sandbox)
	}
	return r, err
}
