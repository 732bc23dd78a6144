package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// PlaceVariable names the environment variable that says where services run: "container"; "local", as processes of this
// machine; or "auto", which is meant where it is empty: in containers where a Docker engine answers and has or can fetch
// the image, else local.
const PlaceVariable = "DYNCONFIG_TEST_SERVICES"

// pingTime is how long an engine may take to say that it is there.
const pingTime = 10 * time.Second

// engine is the Docker engine that tests of this process use, and what it was asked for.
type engine struct {
	mu      sync.Mutex
	program string           // of conformance/containers
	images  map[string]error // why there is no such image, nil where there is
}

// theEngine is one for the process, so that an image that cannot be had is not tried to be fetched for each test.
var theEngine = engine{images: map[string]error{}}

// containers returns the program that makes containers, or why there shall be none of an image.
func containers(t testing.TB, image string) (program, why string) {
	t.Helper()
	place := cmp.Or(os.Getenv(PlaceVariable), "auto")
	switch place {
	case "local":
		return "", PlaceVariable + "=local"
	case "auto", "container":
	default:
		t.Fatalf("%s is %q, want auto, container or local", PlaceVariable, place)
	}
	host, err := findEngine(t.Context())
	if err == nil {
		program, err = theEngine.have(t, host, image)
	}
	if err != nil && place == "container" {
		t.Fatalf("%s=container, and there is no container of %s: %v", PlaceVariable, image, err)
	}
	if err != nil {
		return "", err.Error()
	}
	return program, ""
}

// have builds the program once, and asks it once for each image.
func (e *engine) have(t testing.TB, host, image string) (program string, err error) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.program == "" {
		if e.program, err = buildContainers(t); err != nil {
			return "", err
		}
		_ = os.Setenv("DOCKER_HOST", host) // where it was found is where the program goes
	}
	err, asked := e.images[image]
	if !asked {
		if out, fails := exec.Command(e.program, "have", image).CombinedOutput(); fails != nil {
			err = fmt.Errorf("the engine cannot have it: %s", strings.TrimSpace(string(out)))
		}
		e.images[image] = err
	}
	return e.program, err
}

// findEngine returns the address of an engine that answers.
func findEngine(ctx context.Context) (string, error) {
	hosts := []string{os.Getenv("DOCKER_HOST")}
	if hosts[0] == "" {
		home, _ := os.UserHomeDir()
		hosts = []string{
			"unix:///var/run/docker.sock",
			"unix://" + filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"),
			"unix://" + filepath.Join(home, ".docker/run/docker.sock"),
		}
	}
	for _, host := range hosts {
		if ping(ctx, host) == nil {
			return host, nil
		}
	}
	return "", errors.New("no Docker engine answers")
}

func ping(ctx context.Context, host string) error {
	u, err := url.Parse(host)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	network, address := u.Scheme, u.Host
	if network == "unix" {
		address = u.Path
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || os.Getenv("DOCKER_TLS_VERIFY") != "" { // the program knows the certificates: here it listens
		return err
	}
	defer func() { _ = conn.Close() }()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// buildContainers builds the program that makes containers, where the main module's directory has its module: a copy from
// a module proxy has not.
func buildContainers(t testing.TB) (string, error) {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dynconfig/dynconfig").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	cache, unlock := cached(t, "containers")
	defer unlock()
	program := filepath.Join(cache, "containers")
	dir := filepath.Join(strings.TrimSpace(string(root)), "conformance", "containers")
	if out, err := exec.Command("go", "build", "-C", dir, "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", dir, err, out)
	}
	return program, nil
}
