// Package source reads policies from where operators keep them: a directory, or an OPA bundle in a file or on a server.
package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/policy"
)

// Source is where a policy comes from. One reads from it at a time.
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

// nameLength is how much of a digest names a set.
const nameLength = 12

// named gives a set a revision by its content.
func named(set policy.Set) policy.Set {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(set.Modules)) {
		_, _ = fmt.Fprintf(sum, "%q %q\n", name, set.Modules[name])
	}
	data, _ := json.Marshal(set.Data) // what is not JSON does not compile
	_, _ = sum.Write(data)
	set.Revision = hex.EncodeToString(sum.Sum(nil))[:nameLength]
	return set
}
