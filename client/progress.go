package client

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// progress is how far a watch has come, over all its connections: what to ask of the next one, and which of its frames the
// user has not seen.
type progress struct {
	patterns int // how many are followed

	resume  string // the newest place to resume from; counts unless syncing
	syncing bool   // within a snapshot: the next connection starts it over

	told  map[string]string // within a snapshot: what the user was told, a stamp for each key,
	fresh map[string]bool   // and the keys that the present connection has brought
	some  bool              // the snapshot is of some patterns only; told does not know the other keys
}

// start begins a connection and returns what the user must hear first.
func (p *progress) start() []Event {
	if !p.syncing {
		return nil
	}
	p.fresh = map[string]bool{}
	if p.told == nil {
		p.told = map[string]string{}
	}
	if !p.some {
		return nil
	}
	p.forget(false)
	return []Event{{Event: Reset}}
}

func (p *progress) forget(some bool) {
	p.syncing, p.some = true, some
	p.told, p.fresh = map[string]string{}, map[string]bool{}
}

// take notes a frame and returns what the user has to hear of it.
func (p *progress) take(f wire.Frame) []Event {
	switch {
	case f.Event == Reset:
		p.forget(len(f.Patterns) > 0 && len(f.Patterns) < p.patterns)
		return []Event{f}
	case f.Event == Bookmark && f.Synced && p.syncing:
		gone := p.gone(f.Revision)
		p.syncing, p.some, p.told, p.fresh = false, false, nil, nil
		p.resume = f.Revision
		return append(gone, f)
	case p.syncing && f.Key == "":
		return nil // progress that is no place to resume from
	case p.syncing:
		p.fresh[f.Key] = true
		stamp := stamp(f)
		if p.told[f.Key] == stamp {
			return nil
		}
		p.told[f.Key] = stamp
		return []Event{f}
	case !f.Snapshot && f.Revision != "":
		p.resume = f.Revision
	}
	if f.Event == string(core.EventExpiring) {
		return nil
	}
	return []Event{f}
}

// gone returns a Delete for each key that an earlier connection brought and the complete snapshot did not.
func (p *progress) gone(revision string) []Event {
	var keys []string
	for key := range p.told {
		if !p.fresh[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var events []Event
	for _, key := range keys {
		events = append(events, Event{Event: Delete, Key: key, Revision: revision, Snapshot: true})
	}
	return events
}

// stamp tells two states of a key apart, also when the server's history was lost and versions began anew.
func stamp(f wire.Frame) string {
	epoch, _, _ := strings.Cut(f.Revision, ":")
	return epoch + ":" + strconv.FormatInt(f.Version, 10)
}
