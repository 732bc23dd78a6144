package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/core/seal"
)

// keysetFile is the embedded default's own keyset, in the data directory.
const keysetFile = "keyset.json"

// encryption is what the keyset does beside sealing values.
type encryption struct {
	health  string      // a word
	cursors core.Sealer // nil without a keyset
}

// sealed puts a backend's values behind the keyset that the settings name, or that the embedded backend makes by itself.
// Another backend without one stores values as they are: that is warned of, or refused.
func sealed(ctx context.Context, b *core.Backend, s Settings, logger *slog.Logger) (*core.Backend, encryption, error) {
	keys, err := openKeyset(ctx, b, s)
	if err != nil {
		return b, encryption{}, err
	}
	e := encryption{health: core.Healthy}
	switch {
	case keys != nil:
		b, e.cursors = seal.Backend(b, keys), keys
	case b.Name == "memory": // nothing rests
	case s.RequireEncryption:
		return b, encryption{}, failf("Values would be stored as they are: set DYNCONFIG_KEYSET, or leave out --require-encryption")
	default:
		logger.Warn("values are stored as they are: set DYNCONFIG_KEYSET to encrypt them")
		e.health = core.Degraded
	}
	return b, e, checkValues(ctx, b)
}

// openKeyset returns nil where there is none.
func openKeyset(ctx context.Context, b *core.Backend, s Settings) (*seal.Keyset, error) {
	if s.Keyset != "" {
		return seal.Load(s.Keyset)
	}
	if b.Name != "embedded" {
		return nil, nil
	}
	status, err := b.Store.Status(ctx)
	if err != nil {
		return nil, err
	}
	return seal.LoadOrCreate(filepath.Join(s.DataDir, keysetFile), status.Head == 0)
}

// someValues is how many entries are looked at to tell whether the keyset fits.
const someValues = 20

// checkValues reads some values. It is better not to start than to answer with values that cannot be opened, or that are
// sealed.
func checkValues(ctx context.Context, b *core.Backend) error {
	page, err := b.Store.List(ctx, core.Query{From: core.MakeKey(core.DefaultEnv, core.KindKey, ""), Limit: someValues})
	if err != nil {
		return err
	}
	for _, e := range page.Entries {
		if _, kind, _, ok := e.Key.Split(); ok && kind == core.KindKey && !e.Deleted && !json.Valid(e.Doc.Value) {
			return failf("The store holds sealed values: set DYNCONFIG_KEYSET to the keyset that they were sealed with")
		}
	}
	return nil
}
