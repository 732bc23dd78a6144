package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/core/seal"
)

// underKeysets finds the keysets of both ends and returns their backends as the copy is to see them: as they are where
// both have the same keyset or none, else behind their keysets, so that values are opened and sealed again.
func underKeysets(ctx context.Context, from, to *place) (source, target *core.Backend, err error) {
	if from.keyset == "" && exists(from.ownKeyset()) {
		from.keyset = from.ownKeyset()
	}
	if source, err = from.opened(); err != nil {
		return nil, nil, err
	}
	if from.keyset != "" || to.keyset != "" || to.ownKeyset() != "" {
		err := checkValues(ctx, source)
		if err != nil && from.keyset == "" {
			err = failf("Source holds sealed values: give their keyset with --from-keyset")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if to.keyset == "" {
		if to.keyset, err = targetKeyset(ctx, from, to); err != nil {
			return nil, nil, err
		}
	}
	if target, err = to.opened(); err != nil {
		return nil, nil, err
	}
	same, err := sameFile(from.keyset, to.keyset)
	if same {
		return from.backend, to.backend, err
	}
	return source, target, err
}

// targetKeyset is that of a target for which none was named. An embedded one gets its own, made or copied from the source
// while it is empty, as the server would look for it there; any other one shares the source's.
func targetKeyset(ctx context.Context, from, to *place) (string, error) {
	own := to.ownKeyset()
	if own == "" || exists(own) {
		if own == "" {
			own = from.keyset
		}
		return own, nil
	}
	status, err := to.backend.Store.Status(ctx)
	if err != nil || status.Head > 0 {
		return from.keyset, err
	}
	if from.keyset == "" {
		_, err = seal.LoadOrCreate(own, true)
	} else {
		err = copyKeyset(from.keyset, own)
	}
	return own, err
}

// ownKeyset is the file in which an embedded backend keeps its keyset; "" for any other one.
func (p *place) ownKeyset() string {
	if p.Backend != "embedded" {
		return ""
	}
	return filepath.Join(p.DataDir, keysetFile)
}

// opened is the place's backend behind its keyset.
func (p *place) opened() (*core.Backend, error) {
	if p.keyset == "" {
		return p.backend, nil
	}
	keys, err := seal.Load(p.keyset)
	if err != nil {
		return nil, err
	}
	return seal.Backend(p.backend, keys), nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return file != "" && !errors.Is(err, fs.ErrNotExist)
}

func sameFile(a, b string) (bool, error) {
	if a == "" || b == "" || a == b {
		return a == b, nil
	}
	first, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	second, err := os.ReadFile(b)
	return bytes.Equal(first, second), err
}

// copyKeyset makes a copy of a keyset that is whole whenever it is there.
func copyKeyset(from, to string) error {
	if _, err := seal.Load(from); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".keyset-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
