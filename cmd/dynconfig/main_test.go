package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dynconfig/dynconfig/conformance"
)

func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{workerName}) { // a server of a test tries a policy
		main()
	}
	testscript.Main(leakless{m}, map[string]func(){"dynconfig": main})
}

// leakless fails a run that leaves a goroutine behind.
type leakless struct{ *testing.M }

func (l leakless) Run() int { return conformance.Leakless(l.M) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values[scriptServer{}] = new(func() error)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveScript, "status": statusScript, "end": endScript, "occupy": occupyScript, "stranger": strangerScript,
		},
	})
}

// scriptServer is where a script keeps what ends its server.
type scriptServer struct{}

// serveScript starts a server with the flags given and data in ./data, and sets DYNCONFIG_SERVER, a token of admin-user in
// DYNCONFIG_TOKEN, and the revision before everything in START. The server ends with `end`, or with the script.
func serveScript(ts *testscript.TestScript, _ bool, args []string) {
	s, stop, err := startServer(ts.MkAbs("data"), args...)
	ts.Check(err)
	stop = sync.OnceValue(stop)
	*ts.Value(scriptServer{}).(*func() error) = stop
	ts.Defer(func() { ts.Check(stop()) })
	token, err := s.Issuer.Issue("admin-user", 0, nil)
	ts.Check(err)
	ts.Setenv("DYNCONFIG_SERVER", s.URL)
	ts.Setenv("DYNCONFIG_TOKEN", token)
	ts.Setenv("START", s.engine.Head().String())
}

// endScript ends the server and waits until it has.
func endScript(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check((*ts.Value(scriptServer{}).(*func() error))())
}

// statusScript runs dynconfig and demands an exit code: status 3 get no.such.key.
func statusScript(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("dynconfig", args[1:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// occupyScript listens on a port and puts its address into a variable.
func occupyScript(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// strangerScript starts what is no DynConfig server and puts its address into a variable: one that redirects to the script's
// server with a status, one that answers {}, or one with a certificate that nobody trusts.
func strangerScript(ts *testscript.TestScript, _ bool, args []string) {
	own := ts.Getenv("DYNCONFIG_SERVER")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(args[1]); err == nil {
			w.Header().Set("Location", own+r.URL.EscapedPath())
			w.WriteHeader(status)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if args[1] == "untrusted" {
		s.StartTLS()
	} else {
		s.Start()
	}
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// startServer runs a server in this process, on a port of its own.
func startServer(dir string, args ...string) (s *Server, stop func() error, err error) {
	c := serveCommand()
	if err := c.ParseFlags(append([]string{"--listen", "127.0.0.1:0", "--data-dir", dir}, args...)); err != nil {
		return nil, nil, err
	}
	settings, err := loadSettings(c.Flags(), nil, "")
	if err == nil {
		err = settings.check()
	}
	if err != nil {
		return nil, nil, err
	}
	settings.Policy.trial = patient
	ctx, cancel := context.WithCancel(context.Background())
	if s, err = openServer(ctx, settings, slog.New(slog.DiscardHandler)); err != nil {
		cancel()
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() error {
		cancel()
		return <-ended
	}, nil
}
