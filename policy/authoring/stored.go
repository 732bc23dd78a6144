package authoring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// stored is a set as the entry core.PolicySet has it.
type stored struct {
	Modules map[string]string `json:"modules"`
	Data    json.RawMessage   `json:"data,omitempty"`
	Note    string            `json:"note,omitempty"`
	Pending *pending          `json:"pending,omitempty"`
}

// pending says that a set waits to be confirmed. What it makes room for otherwise is here as a whole: no history is kept
// for certain.
type pending struct {
	Until  time.Time `json:"until"`
	Before *stored   `json:"before,omitempty"` // the last confirmed; nil: there was none
}

// held is a stored set and where it stands; the zero held is none.
type held struct {
	stored
	version  int64
	revision string
	author   string
	unread   error // it is none that this build can read: it can be replaced, but not loaded
}

// read returns what is stored now.
func (m *Manager) read(ctx context.Context) (held, error) {
	entry, err := m.engine.Policy(ctx, core.PolicySet)
	if err != nil || entry.Version == 0 {
		return held{}, err
	}
	return heldIn(m.engine.Epoch(), entry), nil
}

// heldIn reads an entry of the present or of the history.
func heldIn(epoch string, entry core.Entry) held {
	h := held{version: entry.Version, author: entry.Author}
	h.revision = core.Position{Epoch: epoch, Revision: entry.Revision}.String()
	if err := json.Unmarshal(entry.Doc.Value, &h.stored); err != nil {
		h.stored, h.unread = stored{}, core.Errorf(core.ErrInvalid, "The stored policy is none that this version of the server can read").Because(err)
	}
	return h
}

// confirmed returns the set that stays if this one is not confirmed; nil: the shipped rules.
func (h *held) confirmed() *stored {
	switch {
	case h.version == 0:
		return nil
	case h.Pending != nil:
		return h.Pending.Before
	}
	return &h.stored
}

// maxStored bounds a set as it is stored: its commit holds the mark of what decides, and what a request is known by, too.
const maxStored = core.MaxValue - 4096

// encode is what is written; a set may be too large for a value together with what it would make room for.
func (s *stored) encode() ([]byte, error) {
	if s.Modules == nil {
		s.Modules = map[string]string{}
	}
	text, err := json.Marshal(s)
	switch {
	case err != nil:
		return nil, core.Errorf(core.ErrInternal, "").Because(err)
	case len(text) > maxStored && s.Pending != nil && s.Pending.Before != nil:
		return nil, core.Errorf(core.ErrTooLarge,
			"Policy, together with the one that it would make room for, is larger than %d bytes: put it without confirm", maxStored)
	case len(text) > maxStored:
		return nil, core.Errorf(core.ErrTooLarge, "Policy is larger than %d bytes", maxStored)
	}
	return text, nil
}

// load returns what the Authorizer loads.
func (h *held) load() (policy.Set, error) {
	if h.unread != nil {
		return policy.Set{}, h.unread
	}
	return h.set(h.revision)
}

// set is what the Authorizer loads, by a revision.
func (s *stored) set(revision string) (policy.Set, error) {
	return SetOf(wire.PolicySet{Modules: s.Modules, Data: s.Data}, revision)
}

// SetOf reads a set as it was sent. Its numbers keep every digit.
func SetOf(w wire.PolicySet, revision string) (policy.Set, error) {
	set := policy.Set{Modules: w.Modules, Revision: revision}
	if data := bytes.TrimSpace(w.Data); len(data) > 0 && !bytes.Equal(data, []byte("null")) {
		numbers := json.NewDecoder(bytes.NewReader(data))
		numbers.UseNumber()
		if err := numbers.Decode(&set.Data); err != nil {
			return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy data is not an object").Because(err)
		}
		if _, err := numbers.Token(); !errors.Is(err, io.EOF) {
			return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy data is more than one object")
		}
	}
	return set, nil
}

// wireOf is the reverse of SetOf.
func wireOf(set policy.Set) (wire.PolicySet, error) {
	w := wire.PolicySet{Modules: set.Modules}
	if len(set.Data) == 0 {
		return w, nil
	}
	text, err := json.Marshal(set.Data)
	if err != nil {
		return w, core.Errorf(core.ErrInvalid, "Policy data is not JSON").Because(err)
	}
	w.Data = text
	return w, nil
}
