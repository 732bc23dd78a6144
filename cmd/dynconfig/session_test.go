package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
)

func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// curl does what the README's curl does, with headers as name, value, name, value, and returns status and body.
func curl(t *testing.T, method, url, token, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := newHTTPClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestANewcomersSessionSurvivesKill9(t *testing.T) {
	onEachStore(t, newcomersSession)
}

func newcomersSession(t *testing.T, flags ...string) {
	dir := t.TempDir()
	front := newRelay(t)
	server := startProcess(t, dir, flags...)
	front.to(server.URL)
	admin := tokenOf(t, dir, "admin-user")

	watch := command(dir, "watch", "app.*", "--bookmarks", "--server", front.URL, "--token", admin)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var changes []string
	until := func(last string) {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), last) {
				break
			}
			if !strings.HasPrefix(lines.Text(), "bookmark ") {
				changes = append(changes, lines.Text())
			}
		}
	}
	until("bookmark ") // it follows from now on

	for i, step := range []struct {
		method, user, body string
		status             int
		says               string
	}{
		{"PUT", "admin-user", `{"value":"light","ttl":3600,"acls":{"read":["service:*"],"write":["admin-user"]}}`, 201, `"version":1`},
		{"PUT", "admin-user", `{"value":"dark"}`, 200, `"version":2`},
		{"GET", "service:web", "", 200, `"value":"dark"`},
		{"GET", "mallory", "", 403, `"error":"Forbidden"`},
	} {
		var status int
		var body string
		await(t, "the store answers in time", func() bool {
			once := []string{"Idempotency-Key", fmt.Sprint(i)}
			status, body = curl(t, step.method, front.URL+"/keys/app.ui.theme", tokenOf(t, dir, step.user), step.body, once...)
			return status != http.StatusServiceUnavailable
		})
		if status != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s by %s: %d %s, want %d with %s", step.method, step.user, status, body, step.status, step.says)
		}
	}

	front.to("") // another server may get its port
	server.end(syscall.SIGKILL)
	server = startProcess(t, dir, flags...)
	front.to(server.URL)
	c := clientOf(t, front.URL, admin)
	if item, err := c.Get(t.Context(), "app.ui.theme", client.GetOptions{}); err != nil || string(item.Value) != `"dark"` {
		t.Errorf("after kill -9 the value is %s, %v", item.Value, err)
	}
	if _, err := c.Put(t.Context(), "app.ui.theme", "darker", client.WriteOptions{}); err != nil {
		t.Error(err)
	}
	until(`update app.ui.theme 3 "darker"`)
	if d := cmp.Diff([]string{`update app.ui.theme 1 "light"`, `update app.ui.theme 2 "dark"`}, changes); d != "" {
		t.Errorf("the watch printed (-want +got):\n%s", d)
	}
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("Ctrl-C ends the watch with %v, want exit code 0", err)
	}
	if code := server.end(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM ends the server with exit code %d: %s", code, server.log.String())
	}
}

func TestASecondProcessOnTheSameDataIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"embedded", "memory"} { // one that keeps its data there, and one only its records
		dir := t.TempDir()
		first := startProcess(t, dir, "--backend", backend)
		var exit *exec.ExitError
		_, err := command(dir, "serve", "--listen", "127.0.0.1:0", "--backend", backend, "--log-level", "error").Output()
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("%s: ended with %v, want exit code 1", backend, err)
		}
		if got, want := string(exit.Stderr), "dynconfig: Data directory ./data is in use by another process\n"; got != want {
			t.Errorf("%s: it says %q, want %q", backend, got, want)
		}
		first.end(syscall.SIGKILL)
		if code := startProcess(t, dir, "--backend", backend).end(syscall.SIGTERM); code != 0 {
			t.Errorf("%s: after the first was killed the next ends with exit code %d", backend, code)
		}
	}
}
