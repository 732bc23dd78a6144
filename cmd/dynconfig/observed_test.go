package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
)

func TestWritesAndDenialsAreInTheAuditLogWithoutValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startProcess(t, dir)
	if _, err := clientOf(t, server.URL, tokenOf(t, dir, "admin-user")).Put(t.Context(), "app.a", "tHe-vAlue", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := clientOf(t, server.URL, tokenOf(t, dir, "mallory")).Get(t.Context(), "app.a", client.GetOptions{})
	if !errors.Is(err, core.ErrForbidden) {
		t.Fatal(err)
	}
	server.end(syscall.SIGTERM)
	file, err := os.Open(filepath.Join(dir, "data", observability.AuditFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e core.AuditEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || strings.Contains(lines.Text(), "tHe-vAlue") {
			t.Errorf("%s: %v", lines.Text(), err)
		}
		found[strings.Join([]string{e.Actor, e.Action, e.Key, string(e.Outcome)}, " ")] = true
	}
	for _, want := range []string{"admin-user create app.a allowed", "mallory read app.a denied"} {
		if !found[want] {
			t.Errorf("no record says %q: %v", want, found)
		}
	}
}

func TestMetricsCountRequestsAndNameNoKeys(t *testing.T) {
	t.Parallel()
	s, as := serving(t, "--backend", "memory")
	if _, err := as("admin-user").Put(t.Context(), "app.peculiar", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	status, text := curl(t, "GET", s.URL+"/metrics", "", "")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d %s", status, text)
	}
	for _, want := range []string{
		`dynconfig_http_requests_total{method="PUT",route="/keys/{key}",status="201"} 1`,
		`dynconfig_store_operations_total{backend="memory",operation="commit",outcome="ok"} 2`, // the other says what decides
		"dynconfig_revision 2\n", "dynconfig_watchers 0\n", "dynconfig_policy_evaluations_total ", "dynconfig_audit_records_total ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, secret := range []string{"peculiar", "admin-user"} {
		if strings.Contains(text, secret) {
			t.Errorf("the figures name %q", secret)
		}
	}
}

func TestTracesGoFromTheRequestToTheStoreAndNameNoKeys(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var exported strings.Builder
	holds := func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(exported.String(), text)
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		exported.Write(body)
	}))
	defer collector.Close()
	dir := t.TempDir()
	c := command(dir, "serve", "--listen", "127.0.0.1:0", "--backend", "memory")
	c.Env = append(c.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50")
	server := startCommand(t, c)
	if _, err := clientOf(t, server.URL, tokenOf(t, dir, "admin-user")).Put(t.Context(), "app.peculiar", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PUT", "store commit"} {
		await(t, "the span "+want, func() bool { return holds(want) })
	}
	if code := server.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, server.log.String())
	}
	for _, secret := range []string{"peculiar", "admin-user"} {
		if holds(secret) {
			t.Errorf("the spans name %q", secret)
		}
	}
}
