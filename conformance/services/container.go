package services

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// images are what containers are made from. Those of Postgres and Redis are docker-compose.yml's, the others go.mod's.
const (
	postgresImage = "postgres:18"
	redisImage    = "redis:8"
	etcdImage     = "gcr.io/etcd-development/etcd:v3.7.3"
	natsImage     = "nats:2.15.2"
)

// server is something that can be killed, paused and started again on what it left: a process of this machine, or a
// container.
type server interface {
	// start begins on what is there; the server need not answer yet.
	start(t testing.TB)
	// kill is kill -9 of all of it, or nothing where it does not run.
	kill(t testing.TB)
	// pause stops all of it where it stands, until resume.
	pause(t testing.TB)
	resume(t testing.TB)
}

var _ server = (*container)(nil)

// container is a server in a container, under the program of conformance/containers, which removes the container when its
// standard input ends.
type container struct {
	Image   string
	User    string
	Command []string          // for the image's entrypoint
	Files   map[string]string // contents by path
	Binds   []string          // directories of this machine, from:to, which are the user's who runs the test
	Port    string            // the server's own, such as 6379/tcp
	At      string            // the port that leads there, which a restart keeps

	program, address, inside string
	commands                 io.Writer
	answers                  *bufio.Reader
	running                  bool
}

// newContainer starts a container, which ends with the test, or returns nil where the service is to run as a process of
// this machine. The test's log says which, and why.
func newContainer(t testing.TB, c container) *container {
	t.Helper()
	program, why := containers(t, c.Image)
	if why != "" {
		t.Logf("no container of %s: %s", c.Image, why)
		return nil
	}
	t.Logf("a container of %s", c.Image)
	c.program, c.At = program, FreePort(t)
	c.launch(t)
	return &c
}

func (c *container) start(t testing.TB) {
	t.Helper()
	if !c.running { // it begins by itself
		c.do(t, "start")
	}
	c.running = true
}

func (c *container) kill(t testing.TB) {
	t.Helper()
	if c.running {
		c.do(t, "kill")
	}
	c.running = false
}

func (c *container) pause(t testing.TB)  { t.Helper(); c.do(t, "pause") }
func (c *container) resume(t testing.TB) { t.Helper(); c.do(t, "resume") }

// launch starts the program, which starts the container.
func (c *container) launch(t testing.TB) {
	t.Helper()
	log, err := os.Create(filepath.Join(directory(t), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.program, "run") // which does not die with its parent: it has something to remove
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("the container of %s: %v: %s", c.Image, err, text)
		}
	})
	c.commands, c.answers = in, bufio.NewReader(out)
	made, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	c.do(t, string(made))
	c.running = true
}

// do sends a line and waits until it is done.
func (c *container) do(t testing.TB, line string) {
	t.Helper()
	var answer struct{ Address, Inside, Error string }
	_, err := fmt.Fprintln(c.commands, line)
	if err == nil {
		var text []byte
		if text, err = c.answers.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(text, &answer)
		}
	}
	if err == nil && answer.Error != "" {
		err = fmt.Errorf("the engine says %s", answer.Error)
	}
	if err != nil {
		t.Fatalf("a container of %s does not do as it is told: %v", c.Image, err)
	}
	c.address, c.inside = answer.Address, answer.Inside
}
