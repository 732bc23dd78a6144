// Package seal encrypts values at rest. Its decorators stand between the Engine and a backend, so that the database, its
// backups, its bus and its cache hold sealed values only. Keys, ACLs and authors stay readable.
package seal

import (
	"bytes"
	"context"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// Backend returns b with its Store, Bus and Cache behind s. Closing it closes b.
func Backend(b *core.Backend, s core.Sealer) *core.Backend {
	sealed := *b
	sealed.Store = Store(b.Store, s)
	if b.Bus != nil {
		bus := Bus(b.Bus, s)
		sealed.Bus = bus
		sealed.Close = func() error {
			defer bus.Wait()
			return b.Close()
		}
	}
	if b.Cache != nil {
		sealed.Cache = Cache(b.Cache, s)
	}
	return &sealed
}

// sealer seals and opens the values of entries. A value is bound to its key: put under another one, it does not open.
// It is not bound to its version, which the store gives when the value has been sealed already, under a lock that many
// transactions share. Who can write to the database can therefore bring back an older value of the same key.
type sealer struct{ core.Sealer }

// seal returns the sealed form of a key's value; nil is no value.
func (s sealer) seal(key core.Key, value []byte) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	sealed, err := s.Seal(value, []byte(key))
	if err != nil {
		return nil, core.Errorf(core.ErrInternal, "Value cannot be sealed").Because(err)
	}
	return sealed, nil
}

// open replaces the value of a stored entry by what was sealed.
func (s sealer) open(e *core.Entry) error {
	if e.Doc.Value == nil {
		return nil
	}
	value, err := s.Open(e.Doc.Value, []byte(e.Key))
	if err != nil {
		return core.Errorf(core.ErrInternal, "Stored value cannot be opened: the keyset does not fit, or the data was changed").Because(err)
	}
	if value == nil {
		value = []byte{}
	}
	e.Doc.Value = value
	return nil
}

func (s sealer) openPage(p core.Page, err error) (core.Page, error) {
	for i := 0; err == nil && i < len(p.Entries); i++ {
		err = s.open(&p.Entries[i])
	}
	if err != nil {
		return core.Page{}, err
	}
	return p, nil
}

func (s sealer) openCommit(c *core.Commit) error {
	for i := range c.Changes {
		if err := s.open(&c.Changes[i].Entry); err != nil {
			return err
		}
	}
	return nil
}

// Store returns store with its values behind s.
func Store(store core.Store, s core.Sealer) core.Store {
	return &sealedStore{Store: store, sealer: sealer{s}}
}

type sealedStore struct {
	core.Store
	sealer sealer
}

func (s *sealedStore) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	plain := txn.Ops
	txn.Ops = slices.Clone(plain)
	for i, op := range plain {
		value, err := s.sealer.seal(op.Key, op.Doc.Value)
		if err != nil {
			return core.Commit{}, err
		}
		txn.Ops[i].Doc.Value = value
	}
	c, err := s.Store.Commit(ctx, txn)
	if err != nil {
		return core.Commit{}, err
	}
	for i := range c.Changes {
		if err := s.answer(&c.Changes[i].Entry, plain, txn.Ops); err != nil {
			return core.Commit{}, err
		}
	}
	return c, nil
}

// answer opens an entry of a commit, without the cipher where it is what this call has just sealed: the answer to a
// repeated ID is not.
func (s *sealedStore) answer(e *core.Entry, plain, sealed []core.Op) error {
	for i, op := range sealed {
		if op.Key == e.Key && e.Doc.Value != nil && bytes.Equal(op.Doc.Value, e.Doc.Value) {
			e.Doc.Value = bytes.Clone(plain[i].Doc.Value)
			return nil
		}
	}
	return s.sealer.open(e)
}

func (s *sealedStore) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	return s.sealer.openPage(s.Store.Get(ctx, keys, atLeast))
}

func (s *sealedStore) List(ctx context.Context, q core.Query) (core.Page, error) {
	return s.sealer.openPage(s.Store.List(ctx, q)) // with NoValue there is nothing to open
}

func (s *sealedStore) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	commits, err := s.Store.Log(ctx, after, limit)
	for i := 0; err == nil && i < len(commits); i++ {
		err = s.sealer.openCommit(&commits[i])
	}
	if err != nil {
		return nil, err
	}
	return commits, nil
}

func (s *sealedStore) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	records, err := s.Store.History(ctx, key, before, limit)
	for i := 0; err == nil && i < len(records); i++ {
		err = s.sealer.open(&records[i].Change.Entry)
	}
	if err != nil {
		return nil, err
	}
	return records, nil
}
