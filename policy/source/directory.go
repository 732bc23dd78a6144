package source

import (
	"context"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

var _ Source = (*Directory)(nil)

// Directory is a Source that is edited, or mounted, while it is in use.
type Directory struct {
	dir  string
	last string // the revision that was read last
}

// How a Directory is read.
const (
	directoryEvery = time.Second
	// settle is how long a directory must look the same: several files are not written in one step, and what Kubernetes
	// mounts is swapped between the reading of two.
	settle = 50 * time.Millisecond
)

// NewDirectory makes the Source of a directory, which need not be there yet.
func NewDirectory(dir string) *Directory { return &Directory{dir: dir} }

// Kind is "directory".
func (*Directory) Kind() string { return "directory" }

// Every is about a second.
func (*Directory) Every() time.Duration { return directoryEvery }

// Read reads the directory until it finds the same twice, unless it is what it found the last time.
func (d *Directory) Read(ctx context.Context) (policy.Set, error) {
	before, err := ReadDir(d.dir)
	for before.Revision != d.last || err != nil {
		timer := time.NewTimer(settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return policy.Set{}, core.Errorf(core.ErrUnavailable, "The policy directory was not read to the end").Because(ctx.Err())
		}
		again, failed := ReadDir(d.dir)
		if failed != nil {
			return policy.Set{}, failed
		}
		if err == nil && again.Revision == before.Revision {
			d.last = again.Revision
		}
		before, err = again, nil
	}
	return before, nil
}
