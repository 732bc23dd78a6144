package core

import (
	"errors"
	"fmt"
	"time"
)

// The kinds of error. Every error that leaves this package is one of them under errors.Is, or internal.
var (
	ErrMalformed       = errors.New("malformed")           // not readable at all: broken JSON, a bad parameter
	ErrInvalid         = errors.New("invalid")             // well-formed, but not valid
	ErrUnauthenticated = errors.New("unauthenticated")     // no subject, or one that does not verify
	ErrForbidden       = errors.New("forbidden")           // the policy says no
	ErrNotFound        = errors.New("not found")           //
	ErrMethod          = errors.New("method not allowed")  //
	ErrConflict        = errors.New("conflict")            // a check failed, or a race was given up
	ErrCompacted       = errors.New("compacted")           // out of reach: compacted, or of another epoch
	ErrPrecondition    = errors.New("precondition failed") // the caller's own condition
	ErrTooLarge        = errors.New("too large")           //
	ErrUnsupported     = errors.New("unsupported media")   //
	ErrRateLimited     = errors.New("rate limited")        //
	ErrUnavailable     = errors.New("unavailable")         // try again; a write's outcome is unknown
	ErrInternal        = errors.New("internal")            // a defect, or stored data that cannot be read
)

// Kinds lists every kind of error, for tables that must be complete.
func Kinds() []error {
	return []error{
		ErrMalformed, ErrInvalid, ErrUnauthenticated, ErrForbidden, ErrNotFound, ErrMethod, ErrConflict, ErrCompacted,
		ErrPrecondition, ErrTooLarge, ErrUnsupported, ErrRateLimited, ErrUnavailable, ErrInternal,
	}
}

// FieldError says what is wrong with one part of a request.
type FieldError struct {
	Path   string // where: a member such as "acls.read[2]", a parameter, an operation "operations[3]"
	Reason string // why: one clause in lower case
}

// Error is an error of a kind with a sentence for the caller and, apart from it, a cause for the log.
type Error struct {
	Kind   error  // one of the sentinels
	Detail string // public
	Fields []FieldError
	Retry  time.Duration // when to try again; 0: not said
	Stale  time.Duration // of a read: for how long the store had been away; 0: it was not
	Cause  error         // private: never shown to a caller
	// RequestID is what a server calls the request that it answered so; "" where no server did. Its admins find more by it.
	RequestID string
}

// Errorf makes an error of a kind with a public sentence.
func Errorf(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e with a private cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error is for logs: it includes the private cause.
func (e *Error) Error() string {
	switch {
	case e.Cause != nil && e.Detail != "":
		return e.Detail + ": " + e.Cause.Error()
	case e.Cause != nil:
		return e.Kind.Error() + ": " + e.Cause.Error()
	case e.Detail != "":
		return e.Detail
	}
	return e.Kind.Error()
}

// Is reports whether e is of the kind target.
func (e *Error) Is(target error) bool { return target == e.Kind } //nolint:errorlint // identity is what a kind is

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the sentinel that err is, the outermost if it wraps several, or ErrInternal.
func KindOf(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	for _, k := range Kinds() {
		if errors.Is(err, k) {
			return k
		}
	}
	return ErrInternal
}

// ConflictError is a failed Check: what is held instead.
type ConflictError struct {
	Key     Key
	Version int64 // 0: there is no entry
	Rules   Revision
	Head    Revision // of the store when it refused
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("check failed: %q is at version %d, rules %d, head %d", string(e.Key), e.Version, e.Rules, e.Head)
}

// Is reports that a ConflictError is an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict } //nolint:errorlint // identity is what a kind is
