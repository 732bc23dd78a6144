package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
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

// start starts a node and waits until it serves.
func (n *node) start(t *testing.T) {
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
				serving <- strings.TrimPrefix(line.URL, "http://")
			}
			if err != nil {
				return
			}
		}
	}()
	addr, ok := <-serving
	if !ok {
		_ = cmd.Wait()
		t.Fatalf("a node did not start: %s", n.log)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr, n.cmd, n.ended = addr, cmd, ended
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
	return &http.Client{Transport: transport}
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
	r, err := http.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
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
