package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/observability"
)

// decided returns what a server recorded of a request.
func decided(t *testing.T, c *client.Client, request string) []client.Decision {
	t.Helper()
	var all []client.Decision
	for d, err := range c.Decisions(t.Context(), client.DecisionFilter{RequestID: request}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestARefusalIsExplainedByItsRequestIDAlsoAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startProcess(t, dir)
	admin := clientOf(t, server.URL, tokenOf(t, dir, "admin-user"))
	if _, err := admin.Put(t.Context(), "app.a", "tHe-vAlue", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	status, body := curl(t, "GET", server.URL+"/keys/app.a", tokenOf(t, dir, "mallory"), "")
	var problem struct{ RequestID string }
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != http.StatusForbidden || problem.RequestID == "" {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
	before := decided(t, admin, problem.RequestID)
	if len(before) != 1 || before[0].Allow || before[0].Principal != "mallory" || before[0].Key != "app.a" || before[0].Rule != "no-read" || before[0].Reason == "" {
		t.Fatalf("got %+v", before)
	}

	server.end(syscall.SIGKILL)
	path := filepath.Join(dir, "data", observability.DecisionFile)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"decision_id":"to`); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	server = startProcess(t, dir)
	admin = clientOf(t, server.URL, tokenOf(t, dir, "admin-user"))
	if after := decided(t, admin, problem.RequestID); len(after) != 1 || after[0].ID != before[0].ID {
		t.Errorf("after the kill: got %+v, want %+v", after, before)
	}
	server.end(syscall.SIGTERM)
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "tHe-vAlue") || !strings.HasSuffix(string(text), "}\n") {
		t.Errorf("the file holds %s, %v", text, err)
	}
}

func TestAllowedAccessesAreRecordedWhereTheServerIsToldTo(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]int{"denied": 0, "all": 1, "sampled=1": 1} {
		s, as := serving(t, "--backend", "memory", "--decision-log", setting)
		status, _ := curl(t, "PUT", s.URL+"/keys/app.a", issued(t, s, "admin-user"), `{"value":1}`)
		got := 0
		for d, err := range as("admin-user").Decisions(t.Context(), client.DecisionFilter{Action: "create", Key: "app.a"}) {
			if err != nil || !d.Allow || d.Rule != "server-admin" {
				t.Errorf("%s: got %+v, %v", setting, d, err)
			}
			got++
		}
		if got != want || status != http.StatusCreated {
			t.Errorf("%s: %d records after a %d, want %d", setting, got, status, want)
		}
		_, metrics := curl(t, "GET", s.URL+"/metrics", "", "")
		if !strings.Contains(metrics, "dynconfig_decision_lost_total 0\n") {
			t.Errorf("%s: no figures of the decision log in %s", setting, metrics)
		}
	}
}

func TestDecisionLogSettingThatMeansNothingIsRefused(t *testing.T) {
	for _, bad := range []string{"some", "sampled", "sampled=0", "sampled=2", "sampled=-1", "sampled=NaN", "0.5"} {
		var share float64
		if err := decisionLog(&share)(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, share)
		}
	}
}
