package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// cluster is several servers that share a backend and the key that signs tokens.
type cluster struct {
	nodes []*node
	env   []string // of every process
	token string   // of admin-user
}

// node is one server, a process that is killed and started again.
type node struct {
	dir  string
	env  []string
	args []string

	mu    sync.Mutex
	addr  string // empty: it does not run
	cmd   *exec.Cmd
	ended chan struct{}
	log   *journal // of all its lives
}

// journal is what a process says, which may be read meanwhile.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) add(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newCluster starts n servers with the variables of env, which say what they share, and flags.
func newCluster(t *testing.T, n int, env []string, args ...string) *cluster {
	t.Helper()
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	c := &cluster{env: append([]string{"DYNCONFIG_ISSUER_KEY=" + base64.StdEncoding.EncodeToString(seed)}, env...)}
	for range n {
		c.add(t, args...)
	}
	c.token = c.issue(t, "admin-user")
	return c
}

// add starts one more server.
func (c *cluster) add(t *testing.T, args ...string) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), env: c.env, args: args, log: &journal{}}
	n.start(t)
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("node %s said:\n%s", n.dir, n.log)
		}
	})
	c.nodes = append(c.nodes, n)
	return n
}

// command is dynconfig with nothing of this process's settings.
func command(dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	return cmd
}

// issue signs a token by the shared key.
func (c *cluster) issue(t *testing.T, user string) string {
	t.Helper()
	out, err := command(t.TempDir(), c.env[:1], "token", "--user", user, "--ttl", "24h").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("token: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// start starts a node and waits until it serves. One that found its store too slow is started again, as an operator's
// supervisor does.
func (n *node) start(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		before := len(n.log.String())
		if n.begin(t) {
			return
		}
		if said := n.log.String()[before:]; !strings.Contains(said, tooSlow) || time.Now().After(end) {
			t.Fatalf("a node did not start: %s", said)
		}
	}
}

// tooSlow is in what a node says when its store took too long.
const tooSlow = "in time"

// begin starts a node's process, and reports whether it came to serve.
func (n *node) begin(t *testing.T) bool {
	t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, n.args...)
	cmd := command(n.dir, n.env, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(serving)
		for lines := bufio.NewReader(out); ; {
			text, err := lines.ReadBytes('\n')
			n.log.add(text)
			var line struct{ URL string }
			if json.Unmarshal(text, &line) == nil && line.URL != "" {
				select {
				case serving <- strings.TrimPrefix(line.URL, "http://"):
				default: // it said so before
				}
			}
			if err != nil {
				return
			}
		}
	}()
	addr, ok := <-serving
	if !ok {
		_ = cmd.Wait()
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr, n.cmd, n.ended = addr, cmd, ended
	return true
}

// refuses starts a node that is not to serve, and returns why it does not.
func (n *node) refuses(t *testing.T, env []string, args ...string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		out, err := command(n.dir, env, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...).CombinedOutput()
		if err == nil {
			t.Errorf("a node served: %s", out)
		}
		if said := string(out); !strings.Contains(said, tooSlow) || time.Now().After(end) {
			return said
		}
	}
}

// kill is kill -9. A node that does not run stays so.
func (n *node) kill() { n.end(syscall.SIGKILL) }

// end sends a signal, waits for the end and returns the exit code.
func (n *node) end(s syscall.Signal) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addr == "" {
		return 0
	}
	n.addr = ""
	_ = n.cmd.Process.Signal(s)
	<-n.ended
	_ = n.cmd.Wait()
	return n.cmd.ProcessState.ExitCode()
}

// pause stops the node where it stands.
func (n *node) pause(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	services.Stop(t, n.cmd.Process)
}

// resume lets a paused node go on.
func (n *node) resume(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Error(err)
	}
}

func (n *node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

var errDown = errors.New("no node runs")

// seat is an HTTP client that connects to nodes[i], and where that does not run to the next, as behind a load balancer.
func (c *cluster) seat(t testing.TB, i int) *http.Client {
	t.Helper()
	return c.httpClient(t, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		var failed error
		for k := range c.nodes {
			addr := c.nodes[(i+k)%len(c.nodes)].address()
			if addr == "" {
				continue
			}
			conn, err := d.DialContext(ctx, "tcp", addr)
			if err == nil {
				return conn, nil
			}
			failed = errors.Join(failed, err)
		}
		return nil, errors.Join(errDown, failed)
	})
}

// only is an HTTP client that connects to one node and no other.
func (c *cluster) only(t testing.TB, n *node) *http.Client {
	t.Helper()
	return c.httpClient(t, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		addr := n.address()
		if addr == "" {
			return nil, errDown
		}
		return d.DialContext(ctx, "tcp", addr)
	})
}

func (*cluster) httpClient(t testing.TB, dial func(ctx context.Context) (net.Conn, error)) *http.Client {
	t.Helper()
	transport := &http.Transport{
		MaxIdleConnsPerHost: 100,
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: decided{transport}}
}

// decided is a RoundTripper that asks again what a node did not decide within its 250 ms, and hence denied: the machine
// stood still.
type decided struct{ http.RoundTripper }

func (d decided) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		res, err := d.RoundTripper.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusForbidden {
			return res, err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(text))
		if !bytes.Contains(text, []byte("The policy failed to decide")) {
			return res, nil
		}
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = body
		}
	}
}

// origin stands for whichever node an HTTP client connects to.
const origin = "http://dynconfig"

// client returns a client that goes on trying.
func (c *cluster) client(t testing.TB, h *http.Client) *client.Client {
	t.Helper()
	return c.as(t, h, c.token, patience)
}

// once returns a client that tries once.
func (c *cluster) once(t testing.TB, h *http.Client) *client.Client {
	t.Helper()
	return c.as(t, h, c.token, -1)
}

func (*cluster) as(t testing.TB, h *http.Client, token string, retry time.Duration) *client.Client {
	t.Helper()
	cl, err := client.New(origin, client.Options{
		Token: client.StaticToken(token), HTTPClient: h, Retry: retry, RetryDelay: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request without any repetition.
func (c *cluster) ask(t testing.TB, h *http.Client, token, method, path, body string) answer {
	t.Helper()
	a, err := c.try(t.Context(), h, token, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// insist is ask, again and again while the answer is that the node could not do it in time.
func (c *cluster) insist(t testing.TB, h *http.Client, token, method, path, body string) (a answer) {
	t.Helper()
	until(t, method+" "+path, func() error {
		if a = c.ask(t, h, token, method, path, body); a.status == http.StatusServiceUnavailable {
			return errors.New(a.body)
		}
		return nil
	})
	return a
}

// try is ask where a test may not end.
func (*cluster) try(ctx context.Context, h *http.Client, token, method, path, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, origin+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := h.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// health is what /health says of a node: its status, and the word of each part.
func (c *cluster) health(t testing.TB, n *node) (status int, word string, parts map[string]string) {
	t.Helper()
	a := c.ask(t, c.only(t, n), "", http.MethodGet, "/health", "")
	var body struct {
		Status     string
		Components map[string]string
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("/health answers %q: %v", a.body, err)
	}
	return a.status, body.Status, body.Components
}

// feels waits until a node's health is a word, and the parts named are.
func (c *cluster) feels(t testing.TB, n *node, word string, parts ...string) {
	t.Helper()
	until(t, "health", func() error {
		status, all, is := c.health(t, n)
		as := all == word && (status == http.StatusOK) == (word != core.Unhealthy)
		for _, part := range parts {
			as = as && is[part] == word
		}
		if !as {
			return fmt.Errorf("it is %d %s, %v", status, all, is)
		}
		return nil
	})
}
