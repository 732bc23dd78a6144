package core

import "slices"

// ring keeps the newest commits as watchers see them, bounded by bytes and by number.
type ring struct {
	commits []*published // of consecutive revisions
	bytes   int
}

const (
	ringBytes   = 32 << 20
	ringCommits = 65_536
)

func (r *ring) push(p *published) {
	r.commits = append(r.commits, p)
	r.bytes += p.bytes
	for len(r.commits) > 1 && (r.bytes > ringBytes || len(r.commits) > ringCommits) {
		r.drop()
	}
}

// drop lets the oldest commit go.
func (r *ring) drop() {
	r.bytes -= r.commits[0].bytes
	r.commits[0], r.commits = nil, r.commits[1:]
}

// trim lets go what the log does not hold any more, but for the newest commit.
func (r *ring) trim(upTo Revision) {
	for len(r.commits) > 1 && r.commits[0].revision <= upTo {
		r.drop()
	}
}

// after returns a number of commits that follow a revision; ok is false if the ring does not reach back so far. They are the
// caller's: the ring clears what it lets go.
func (r *ring) after(rev Revision, most int) (commits []*published, ok bool) {
	if len(r.commits) == 0 || rev+1 < r.commits[0].revision {
		return nil, false
	}
	from := min(int(rev+1-r.commits[0].revision), len(r.commits))
	return slices.Clone(r.commits[from:min(from+most, len(r.commits))]), true
}

func (r *ring) reset() { r.commits, r.bytes = nil, 0 }
