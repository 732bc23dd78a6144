package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
)

// host is the testing.TB by which the servers of conformance/services are started outside of a test.
type host struct {
	testing.TB // nothing of it: what is not below is not called
	ctx        context.Context
	ends       []func()
}

// errHost is what a service that cannot be started ends with.
var errHost = errors.New("a service did not start")

func (*host) Helper()                             {}
func (h *host) Context() context.Context          { return h.ctx }
func (h *host) Cleanup(f func())                  { h.ends = append(h.ends, f) }
func (*host) Logf(string, ...any)                 {}
func (*host) Error(args ...any)                   { fmt.Fprintln(os.Stderr, args...) }
func (h *host) Errorf(format string, args ...any) { h.Error(fmt.Sprintf(format, args...)) }
func (*host) Fatal(args ...any)                   { panic(fmt.Errorf("%w: %s", errHost, fmt.Sprint(args...))) }
func (h *host) Fatalf(format string, args ...any) { h.Fatal(fmt.Sprintf(format, args...)) }

// try runs f, which may start services, and returns what made it impossible.
func (h *host) try(f func()) (err error) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case error:
			if err = cause; !errors.Is(err, errHost) {
				panic(cause)
			}
		default:
			panic(cause)
		}
	}()
	f()
	return nil
}

// close ends the services, the latest first.
func (h *host) close() {
	for _, end := range slices.Backward(h.ends) {
		end()
	}
	h.ends = nil
}
