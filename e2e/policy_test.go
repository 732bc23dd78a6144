package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// onlyReader lets admin-user do everything, whom it names read, and everyone watch what they may read.
func onlyReader(name string) string {
	return `package dynconfig.authz
decision := {"allow": true, "rule": "root"} if input.subject.username == "admin-user"
else := {"allow": true, "rule": "reader"} if {
	input.subject.username == "` + name + `"
	input.action == "read"
}
else := {"allow": true, "rule": "watcher"} if input.action in {"list", "watch"}
else := {"allow": false, "rule": "nobody"}
`
}

// policyOf is a set as PUT /policy takes it.
func policyOf(t *testing.T, rego string) string {
	t.Helper()
	text, err := json.Marshal(wire.PolicySet{Modules: map[string]string{"authz.rego": rego}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// putPolicy puts a policy through a node and returns what it answers.
func (c *cluster) putPolicy(t *testing.T, n *node, token, query, body string) wire.PolicyState {
	t.Helper()
	a := c.insist(t, c.only(t, n), token, http.MethodPut, "/policy"+query, body)
	if a.status != http.StatusOK {
		t.Fatalf("PUT /policy%s is answered %d %s", query, a.status, a.body)
	}
	return stateIn(t, a)
}

func stateIn(t *testing.T, a answer) wire.PolicyState {
	t.Helper()
	var s wire.PolicyState
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	return s
}

// reads waits until a node lets a token read a key, or does not.
func (c *cluster) reads(t *testing.T, n *node, token string, allowed bool) {
	t.Helper()
	until(t, "the policy to be in force", func() error {
		a := c.ask(t, c.only(t, n), token, http.MethodGet, "/keys/app.k", "")
		if (a.status == http.StatusOK) != allowed {
			return fmt.Errorf("a read is answered %d %s", a.status, a.body)
		}
		return nil
	})
}

func TestAPolicyThatIsPutOnOneNodeIsInForceOnAllAndOpenStreamsBeginAnew(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, newBackend(t).env, "--rate-limit", "0")
	a, b := c.nodes[0], c.nodes[1]
	start, err := put(t.Context(), c.client(t, c.only(t, a)), "app.k", 1)
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := c.issue(t, "ann"), c.issue(t, "bob")
	c.putPolicy(t, a, c.token, "", policyOf(t, onlyReader("ann")))
	c.reads(t, a, bob, false)
	c.reads(t, b, ann, true)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type heard struct{ event, key string }
	events := make(chan heard, 100)
	ended := make(chan error, 1)
	go func() {
		for e, err := range c.as(t, c.only(t, b), ann, patience).Watch(ctx, client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}) {
			if err != nil {
				ended <- err
				return
			}
			events <- heard{e.Event, e.Key}
		}
		ended <- nil
	}()
	next := func(want string) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case e := <-events:
				if e.event == want {
					return
				}
			case err := <-ended:
				t.Fatalf("the stream ended before %q: %v", want, err)
			case <-late:
				t.Fatalf("the stream says no %q", want)
			}
		}
	}
	next(client.Update)
	next(client.Bookmark)
	c.putPolicy(t, a, c.token, "", policyOf(t, onlyReader("bob")))
	next(client.Reset)
	c.reads(t, b, bob, true)
	c.reads(t, b, ann, false)
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	// Who resumes from before the change begins anew, too.
	resume := c.as(t, c.only(t, b), bob, patience)
	for e, err := range resume.Watch(t.Context(), client.WatchOptions{Patterns: []string{"app.*"}, SinceRevision: start.Revision}) {
		if err != nil || e.Event != client.Reset {
			t.Errorf("a resume hears %q, %v", e.Event, err)
		}
		break
	}
}

func TestAPolicyThatIsNotConfirmedIsTakenBackThoughItsNodeWasKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, newBackend(t).env, "--rate-limit", "0")
	a, b := c.nodes[0], c.nodes[1]
	if _, err := put(t.Context(), c.client(t, c.only(t, a)), "app.k", 1); err != nil {
		t.Fatal(err)
	}
	ann, bob := c.issue(t, "ann"), c.issue(t, "bob")
	c.putPolicy(t, a, c.token, "", policyOf(t, onlyReader("ann")))
	c.putPolicy(t, a, c.token, "?confirm=3s", policyOf(t, onlyReader("bob")))
	a.kill()
	c.reads(t, b, ann, true)
	c.reads(t, b, bob, false)
	a.start(t)
	c.reads(t, a, ann, true)

	kept := c.putPolicy(t, b, c.token, "?confirm=1h", policyOf(t, onlyReader("bob")))
	if s := c.insist(t, c.only(t, a), c.token, http.MethodPost, "/policy/confirm", `{"revision":"`+kept.Revision+`"}`); s.status != http.StatusOK {
		t.Errorf("confirmed on another node: %d %s", s.status, s.body)
	}
	until(t, "both nodes to agree", func() error {
		one, two := c.policy(t, a), c.policy(t, b)
		if one.ConfirmBy != nil || two.ConfirmBy != nil || one.Revision != two.Revision {
			return fmt.Errorf("%s by %v and %s by %v", one.Revision, one.ConfirmBy, two.Revision, two.ConfirmBy)
		}
		return nil
	})
}

func (c *cluster) policy(t *testing.T, n *node) wire.PolicyState {
	t.Helper()
	return stateIn(t, c.insist(t, c.only(t, n), c.token, http.MethodGet, "/policy", ""))
}

func TestWhoIsLockedOutComesBackInByTheShippedRules(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, newBackend(t).env, "--rate-limit", "0")
	n := c.nodes[0]
	locked := c.insist(t, c.only(t, n), c.token, http.MethodPut, "/policy", policyOf(t, strings.ReplaceAll(onlyReader("ann"), "admin-user", "joe")))
	if locked.status != http.StatusUnprocessableEntity || !strings.Contains(locked.body, "lock yourself out") {
		t.Errorf("a policy that locks out is answered %d %s", locked.status, locked.body)
	}
	c.putPolicy(t, n, c.token, "", policyOf(t, onlyReader("ann")))
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("it ended with %d", code)
	}

	// The admins become others, whom the stored policy does not know.
	joe := c.issue(t, "joe")
	if said := n.refuses(t, n.env, "--admins", "joe"); !strings.Contains(said, "start with --policy shipped to put another\n") {
		t.Errorf("a start that locks the admins out says %q", said)
	}
	n.args = append(n.args, "--admins", "joe", "--policy", "shipped")
	n.start(t)
	c.feels(t, n, core.Degraded, "policy")
	if s := c.putPolicy(t, n, joe, "", policyOf(t, strings.ReplaceAll(onlyReader("ann"), "admin-user", "joe"))); s.Source != "server" || !s.Rescue || s.Author != "joe" {
		t.Errorf("put where the shipped rules decide: %+v", s)
	}
	n.end(syscall.SIGTERM)
	n.args = n.args[:len(n.args)-2]
	n.start(t)
	if s := stateIn(t, c.insist(t, c.only(t, n), joe, http.MethodGet, "/policy", "")); s.Source != "server" || s.Rescue || s.Author != "joe" {
		t.Errorf("afterwards it is %+v", s)
	}
}

func TestADirectoryIsThePolicyOfItsNodeAndIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "authz.rego")
	save := func(rego string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(rego), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(onlyReader("ann"))
	c := newCluster(t, 1, nil, "--policy-dir", dir)
	n := c.nodes[0]
	if _, err := put(t.Context(), c.client(t, c.only(t, n)), "app.k", 1); err != nil {
		t.Fatal(err)
	}
	ann, bob := c.issue(t, "ann"), c.issue(t, "bob")
	c.reads(t, n, ann, true)
	save(onlyReader("bob"))
	c.reads(t, n, bob, true)
	save("package dynconfig.authz\n\ndecision := {")
	until(t, "what is wrong to be shown", func() error {
		if s := c.policy(t, n); !strings.Contains(s.LastError, "authz.rego:3") {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	c.feels(t, n, core.Degraded, "policy")
	c.reads(t, n, bob, true)
	if a := c.insist(t, c.only(t, n), c.token, http.MethodPut, "/policy", policyOf(t, onlyReader("ann"))); a.status != http.StatusConflict {
		t.Errorf("PUT is answered %d %s", a.status, a.body)
	}
	n.kill()
	if said := n.refuses(t, n.env, "--policy-dir", dir); !strings.Contains(said, "authz.rego:3") || strings.Count(strings.TrimSpace(said), "\n") != 0 {
		t.Errorf("a start by it says %q", said)
	}
}
