package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	containertypes "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// commandTime is how long the engine may take for one command.
const commandTime = 2 * time.Minute

// spec is what a container is made from, as package services sends it.
type spec struct {
	Image   string
	User    string            // as the image wants it where empty, or where there are Binds the one who runs this
	Command []string          // for the image's entrypoint
	Files   map[string]string // contents by path
	Binds   []string          // directories of this machine, from:to
	Port    string            // of the server, such as 6379/tcp
	At      string            // the port of the engine's machine that leads there, which a restart keeps
}

// answer is what each command is answered with.
type answer struct {
	Address string `json:",omitempty"` // of the server, host:port
	Inside  string `json:",omitempty"` // its IP address among the engine's containers
	Error   string `json:",omitempty"`
}

// serve starts a container, obeys commands, and removes the container when there are no more.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return lines.Err()
	}
	var s spec
	decoder := json.NewDecoder(strings.NewReader(lines.Text()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return err
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return answers.Encode(answer{Error: err.Error()})
	}
	defer func() { _ = docker.Close() }()
	c, err := start(ctx, docker, s)
	defer func() { _ = testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }()
	for {
		a := answer{}
		if err == nil {
			a, err = find(ctx, c, s)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
		if !lines.Scan() {
			return lines.Err()
		}
		err = obey(ctx, docker, c, lines.Text())
	}
}

func start(ctx context.Context, docker client.APIClient, s spec) (*testcontainers.DockerContainer, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	port, err := network.ParsePort(s.Port)
	if err != nil {
		return nil, err
	}
	ip, err := bindAddress(ctx)
	if err != nil {
		return nil, err
	}
	if len(s.Binds) > 0 {
		if s.User, err = self(ctx, docker); err != nil {
			return nil, err
		}
	}
	var files []testcontainers.ContainerFile
	for path, text := range s.Files {
		files = append(files, testcontainers.ContainerFile{Reader: strings.NewReader(text), ContainerFilePath: path, FileMode: 0o644})
	}
	return testcontainers.Run(ctx, s.Image,
		testcontainers.WithCmd(s.Command...),
		testcontainers.WithExposedPorts(s.Port),
		testcontainers.WithFiles(files...),
		testcontainers.WithConfigModifier(func(c *containertypes.Config) { c.User = s.User }),
		testcontainers.WithHostConfigModifier(func(c *containertypes.HostConfig) {
			c.Binds = s.Binds
			c.PortBindings = network.PortMap{port: {{HostIP: ip, HostPort: s.At}}}
		}))
}

// self is the user who runs this program, as containers see him.
func self(ctx context.Context, docker client.APIClient) (string, error) {
	engine, err := docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", err
	}
	if slices.Contains(engine.Info.SecurityOptions, "name=rootless") {
		return "0:0", nil
	}
	return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), nil
}

// bindAddress is where the port is open: to this machine alone, unless the engine runs on another.
func bindAddress(ctx context.Context) (netip.Addr, error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = provider.Close() }()
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	if here(host) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	return netip.IPv4Unspecified(), nil
}

func here(host string) bool { return host == "localhost" || host == "127.0.0.1" }

// find says where the server is, as far as it runs.
func find(ctx context.Context, c *testcontainers.DockerContainer, s spec) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	state, err := c.Inspect(ctx)
	if err != nil {
		return answer{}, err
	}
	host, err := c.Host(ctx)
	if err != nil {
		return answer{}, err
	}
	if here(host) {
		host = "127.0.0.1" // localhost may mean ::1
	}
	a := answer{Address: net.JoinHostPort(host, s.At)}
	for _, n := range state.NetworkSettings.Networks {
		if n.IPAddress.IsValid() {
			a.Inside = n.IPAddress.String()
		}
	}
	return a, nil
}

// obey is start, kill (which is kill -9), pause or resume.
func obey(ctx context.Context, docker client.APIClient, c *testcontainers.DockerContainer, command string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	if c == nil {
		return fmt.Errorf("there is no container")
	}
	switch id := c.GetContainerID(); command {
	case "start":
		_, err = docker.ContainerStart(ctx, id, client.ContainerStartOptions{})
	case "kill":
		_, err = docker.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
	case "pause":
		_, err = docker.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	case "resume":
		_, err = docker.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	return err
}
