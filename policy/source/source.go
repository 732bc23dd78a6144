// Package source reads policies from where operators keep them: a directory, or an OPA bundle in a file or on a server.
package source

import (
	"context"
	"time"

	"github.com/dynconfig/dynconfig/policy"
)

// Source is where a policy comes from.
type Source interface {
	// Kind is "directory" or "bundle".
	Kind() string
	// Read returns the present set. Its Revision names it, by its content or as its author did.
	Read(ctx context.Context) (policy.Set, error)
	// Every is how often to read anew.
	Every() time.Duration
}

// MaxBytes bounds the files of a set, together, unpacked.
const MaxBytes = 16 << 20
