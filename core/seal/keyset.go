package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Sealer = (*Keyset)(nil)

// Keyset is a core.Sealer over a Tink keyset: it seals with the primary key (AES-256-GCM) and opens with whichever key
// sealed.
type Keyset struct{ primitive tink.AEAD }

// Seal implements core.Sealer.
func (k *Keyset) Seal(plain, bound []byte) ([]byte, error) { return k.primitive.Encrypt(plain, bound) }

// Open implements core.Sealer.
func (k *Keyset) Open(sealed, bound []byte) ([]byte, error) {
	return k.primitive.Decrypt(sealed, bound)
}

// Load reads a keyset file: Tink's JSON, not encrypted. It refuses a file that others than its owner may read or write.
// fs.ErrNotExist if there is none.
func Load(path string) (*Keyset, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, core.Errorf(core.ErrInvalid, "Keyset %s may be read or written by others (mode %04o): it must have mode 0600", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, "Keyset %s is not a Tink keyset in JSON", path) // the cause may quote the file
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, "Keyset %s holds no keys for AEAD", path)
	}
	return &Keyset{primitive: primitive}, nil
}

// LoadOrCreate reads a keyset file, and makes one if there is none and may be. It may not be where values were sealed
// before: a new key would open none of them.
func LoadOrCreate(path string, mayCreate bool) (*Keyset, error) {
	k, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if !mayCreate {
		return nil, core.Errorf(core.ErrInvalid, "Keyset %s is missing, and the store holds values that were sealed with it", path)
	}
	if err := create(path); err != nil {
		return nil, core.Errorf(core.ErrInvalid, "Keyset %s cannot be written: %v", path, reason(err)).Because(err)
	}
	return Load(path)
}

// create writes a new keyset: whole, on the disk, and never over another one.
func create(path string) error {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keyset-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = errors.Join(insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(f)), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func unreadable(path string, err error) error {
	return core.Errorf(core.ErrInvalid, "Keyset %s cannot be read: %v", path, reason(err)).Because(err)
}

// reason is the system's word for what is wrong, without the path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
