// Package migrate copies a store into another one, of whichever backends they are: entries and tombstones with their
// versions, and what is retained of their histories with times, authors and notes. It then proves by a digest of both that
// they are the same.
//
// The commits of the source are made once more in the target, one after another. Revisions are counted anew. Each copy's
// Meta.ID says which commit of which store it is, so that the head of the target tells how far a copy has come: nothing
// else has to be remembered for it to be resumed, and nothing is left of it when it is done.
package migrate

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/dynconfig/dynconfig/core"
)

// Options are how a copy is made; the zero value works.
type Options struct {
	// Progress hears how it goes, one call at a time, many times a second; nil: nobody does.
	Progress func(Progress)
	// Window is about how many changes older than the source's log are put in order at a time; 0: a million, which take
	// about 100 MB. A source that has more of them is read through several times.
	Window int
}

const defaultWindow = 1 << 20

// Progress is what a copy is doing.
type Progress struct {
	Stage Stage
	Done  int64 // revisions while copying, else entries
	Of    int64 // 0: not known
}

// Stage is a part of the work.
type Stage string

// The stages of a copy.
const (
	Surveying Stage = "reading histories"
	Copying   Stage = "copying"
	Verifying Stage = "verifying"
)

// Report is what came of a copy.
type Report struct {
	Resumed        bool
	Source, Target Digest
}

// rounds is how often a source that has moved on is followed before the copy is given up.
const rounds = 5

// Run copies from into to, which must be empty or hold the beginning of a copy of the same source, and compares them.
// Nobody else may write to either; what is written to the source meanwhile is copied too, until it stands still.
// When Run was interrupted, another Run goes on where it ended.
func Run(ctx context.Context, from, to *core.Backend, o Options) (Report, error) {
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	m := &migration{source: patient{from.Store}, target: patient{to.Store}, limits: to.Limits, window: o.Window, progress: o.Progress}
	if err := m.begin(ctx); err != nil {
		return Report{}, err
	}
	resumed := m.partly > 0
	for range rounds {
		if err := m.copy(ctx); err != nil {
			return Report{}, err
		}
		r, still, err := m.verify(ctx)
		if r.Resumed = resumed; err != nil || still {
			return r, err
		}
	}
	return Report{}, core.Errorf(core.ErrConflict, "Source keeps changing: stop what writes to it, and go on")
}

// migration is one run of a copy.
type migration struct {
	source, target core.Store
	limits         core.Limits // of the target
	window         int
	progress       func(Progress)

	epoch  string        // of the source
	floor  core.Revision // of the source: what is older is copied from histories, what is newer from the log
	next   core.Revision // of the source, to be copied next
	partly core.Revision // may be there in part; 0: none
}

// begin finds out how far the target has come.
func (m *migration) begin(ctx context.Context) error {
	source, err := m.source.Status(ctx)
	if err != nil {
		return err
	}
	target, err := m.target.Status(ctx)
	if err != nil {
		return err
	}
	if source.Epoch == target.Epoch {
		return core.Errorf(core.ErrInvalid, "Source and target are the same store")
	}
	m.epoch, m.floor, m.next = source.Epoch, source.Floor, 1
	if target.Head == 0 {
		return nil
	}
	at, err := m.reached(ctx, target.Head)
	switch {
	case err != nil:
		return err
	case at.epoch != source.Epoch:
		return core.Errorf(core.ErrInvalid, "Target is not empty, and what it holds is not the beginning of a copy of this source")
	case at.floor != source.Floor:
		return errCompacted()
	case at.revision > source.Head:
		return core.Errorf(core.ErrInvalid, "Target holds more than its source: empty it and begin again")
	}
	m.next, m.partly = at.revision, at.revision
	return nil
}

func errCompacted() error {
	return core.Errorf(core.ErrConflict, "Source was compacted since the copy began: stop its servers, empty the target and begin again")
}

// copy copies until the target has caught up.
func (m *migration) copy(ctx context.Context) error {
	head, err := m.source.Sync(ctx)
	if err != nil {
		return err
	}
	w := writer{migration: m}
	for c, err := range m.commits(ctx, head) {
		if err == nil && c.revision == m.partly {
			c, err = m.missing(ctx, c)
		}
		if err == nil {
			err = w.add(ctx, c)
		}
		if err != nil {
			return err
		}
		if m.next = c.revision + 1; !c.nothing {
			m.progress(Progress{Stage: Copying, Done: int64(c.revision), Of: int64(head)})
		}
	}
	m.next, m.partly = max(m.next, head+1), 0
	return w.flush(ctx)
}

// verify compares both stores. They are not still if the source has moved on since it was copied.
func (m *migration) verify(ctx context.Context) (r Report, still bool, err error) {
	before, err := m.target.Sync(ctx)
	if err != nil {
		return r, false, err
	}
	g, both := errgroup.WithContext(ctx)
	g.Go(func() (err error) { r.Source, err = digest(both, m.source, func(int64) {}); return err })
	g.Go(func() (err error) {
		r.Target, err = digest(both, m.target, func(n int64) { m.progress(Progress{Stage: Verifying, Done: n}) })
		return err
	})
	if err := g.Wait(); err != nil {
		return r, false, err
	}
	head, err := m.source.Sync(ctx)
	if err != nil {
		return r, false, err
	}
	status, err := m.source.Status(ctx)
	if err != nil {
		return r, false, err
	}
	after, err := m.target.Sync(ctx)
	switch {
	case err != nil:
		return r, false, err
	case status.Floor != m.floor:
		return r, false, errCompacted()
	case after != before:
		return r, false, errForeign()
	case head >= m.next:
		return r, false, nil
	case r.Source != r.Target:
		return r, false, core.Errorf(core.ErrInternal, "Target is not the same as its source: empty it and begin again")
	}
	return r, true, nil
}
