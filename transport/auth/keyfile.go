package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// KeyFile is the name of the issuer's key in the data directory: an Ed25519 private key, PKCS #8 in PEM, mode 0600.
const KeyFile = "issuer.pem"

const maxKeyFile = 4 << 10

// OpenIssuer returns the issuer whose key is in the data directory, and makes both if there are none yet. Two processes
// that do so at once, as serve and token may, end up with one key.
func OpenIssuer(dir string) (*Issuer, error) {
	path := filepath.Join(dir, KeyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(dir, path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, err
	}
	return newIssuer(key)
}

// ParseIssuer returns the issuer that several nodes share. The text (DYNCONFIG_ISSUER_KEY) is an Ed25519 private key as
// PKCS #8 in PEM, or its 32 bytes of seed in base64, or the path of a file, mode 0600, that holds either. Errors do not
// repeat it.
func ParseIssuer(text string) (*Issuer, error) {
	key, err := parseKeyText([]byte(text))
	if err != nil {
		if _, statErr := os.Stat(text); statErr != nil {
			return nil, core.Errorf(core.ErrInvalid,
				"DYNCONFIG_ISSUER_KEY is not an Ed25519 private key in PEM, nor its seed in base64, nor the path of a file with one")
		}
		if key, err = readKey(text); err != nil {
			return nil, err
		}
	}
	return newIssuer(key)
}

// readKey reads a key file that nobody else may read.
func readKey(path string) (ed25519.PrivateKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, core.Errorf(core.ErrInvalid, "The issuer's key %s can be read by others: chmod 600 it", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := parseKeyText(text)
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, "The issuer's key %s is not an Ed25519 private key", path).Because(err)
	}
	return key, nil
}

// parseKeyText reads PEM or the base64 of a seed.
func parseKeyText(text []byte) (ed25519.PrivateKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("not PKCS #8")
		}
		key, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return nil, errors.New("a private key of another kind")
		}
		return key, nil
	}
	compact := strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.TrimSpace(string(text)))
	seed, err := base64.RawStdEncoding.DecodeString(compact)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("not 32 bytes in base64")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// createKey makes a key and puts it at path, whole or not at all. A key that is there already stays.
func createKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, KeyFile+".*") // mode 0600, O_EXCL
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("issuer's key: %w", err)
	}
	// A link, unlike a rename, does not replace the key that another process has put there meanwhile.
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("issuer's key: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
