package main

import (
	"errors"

	"github.com/dynconfig/dynconfig/core"
)

// What the program's exit says.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNotFound
	exitDenied
	exitConflict
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

// failf makes an error out of one sentence for whoever typed the command.
func failf(format string, args ...any) error { return core.Errorf(core.ErrInvalid, format, args...) }

// exitCode is what an error is worth.
func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, core.ErrNotFound):
		return exitNotFound
	case errors.Is(err, core.ErrForbidden), errors.Is(err, core.ErrUnauthenticated):
		return exitDenied
	case errors.Is(err, core.ErrConflict), errors.Is(err, core.ErrPrecondition):
		return exitConflict
	}
	return exitFailed
}
