package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/client"
)

func TestSettingsOfThePolicyThatExcludeEachOtherAreOneSentence(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"--policy-dir and --policy-bundle exclude each other":     {"--policy-dir", "a", "--policy-bundle", "b"},
		"--policy shipped and --policy-dir exclude each other":    {"--policy", "shipped", "--policy-dir", "a"},
		"--policy shipped and --policy-bundle exclude each other": {"--policy", "shipped", "--policy-bundle", "b"},
		"--policy-bundle-key is for a --policy-bundle":            {"--policy-bundle-key", "k"},
		"Setting policy is \"own\"":                               {"--policy", "own"},
		"over http:// must be signed":                             {"--policy-bundle", "http://127.0.0.1/p.tar.gz"},
		"File none.pem does not exist":                            {"--policy-bundle", "b", "--policy-bundle-key", "none.pem"},
		"cannot be read":                                          {"--policy-bundle", "none.tar.gz"},
		"none cannot be read":                                     {"--policy-dir", "none"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, _, err := startServer(dir, args...)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", args, err, says)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: a start that is refused leaves data behind", args)
		}
	}
}

func TestADirectoryWithoutAPolicyThatIsFitStopsTheStart(t *testing.T) {
	t.Parallel()
	for says, files := range map[string]map[string]string{
		"holds no .rego file":      {"README.md": ""},
		"authz.rego:2":             {"authz.rego": "package dynconfig.authz\ndecision := {"},
		"a_test.rego:2":            {"authz.rego": "package dynconfig.authz\ndecision := data.dynconfig.acl.decision", "a_test.rego": "package t\ntest_a if false"},
		"would lock everybody out": {"authz.rego": `package dynconfig.authz` + "\n" + `decision := {"allow": false, "rule": "closed"}`},
	} {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := startServer(filepath.Join(t.TempDir(), "data"), "--policy-dir", dir)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", files, err, says)
		}
	}
}

func TestTheHealthAndTheFiguresShowARescue(t *testing.T) {
	t.Parallel()
	s, as := serving(t, "--backend", "memory", "--policy", "shipped")
	status, health := curl(t, http.MethodGet, s.URL+"/health", "", "")
	if status != http.StatusOK || !strings.Contains(health, `"policy":"degraded"`) {
		t.Errorf("health is %d %s", status, health)
	}
	if _, figures := curl(t, http.MethodGet, s.URL+"/metrics", "", ""); !strings.Contains(figures, "dynconfig_policy_degraded 1\n") {
		t.Errorf("the figures are %s", figures)
	}
	put, err := as("admin-user").PutPolicy(t.Context(), client.PolicySet{}, client.PutPolicyOptions{})
	if err != nil || put.Source != "server" || !put.Rescue {
		t.Errorf("put: %+v, %v", put, err)
	}
	if is, err := as("admin-user").Policy(t.Context()); err != nil || is.Source != "shipped" || !is.Rescue {
		t.Errorf("what is in force: %+v, %v", is, err)
	}
}
