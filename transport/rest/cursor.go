package rest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// newCursors returns the cipher of cursors; a zero key stands for a random one.
func newCursors(key [32]byte) cipher.AEAD {
	if key == [32]byte{} {
		_, _ = rand.Read(key[:]) // it never fails
	}
	block, _ := aes.NewCipher(key[:]) // a key of 32 bytes is a good one,
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	return aead // and AES a good block cipher
}

// cursorBlock is what the text of a cursor is padded to a multiple of, so that its length says little about the name.
const cursorBlock = 64

// seal makes the cursor that continues a list after a name. It shows nothing, and opens for the same principal,
// environment and filter alone.
func (c *call) seal(f core.Filter, after string) string {
	plain := []byte(after)
	plain = append(plain, 0)
	for len(plain)%cursorBlock != 0 {
		plain = append(plain, 0)
	}
	return base64.RawURLEncoding.EncodeToString(c.s.cursors.Seal(nil, nil, plain, c.bound(f)))
}

// open reads a cursor back; "" is the first page.
func (c *call) open(f core.Filter, cursor string) (after string, err error) {
	if cursor == "" {
		return "", nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil {
		var plain []byte
		if plain, err = c.s.cursors.Open(nil, nil, sealed, c.bound(f)); err == nil {
			return strings.TrimRight(string(plain), "\x00"), nil
		}
	}
	return "", badParam("cursor", "is not one that this server gave out for this list")
}

// bound is what a cursor is good for. None of the parts holds a zero byte but perhaps the username, which ends it.
func (c *call) bound(f core.Filter) []byte {
	return []byte(strings.Join([]string{c.in.env, string(f.Kind), f.Namespace, string(f.Access), c.subject.Username}, "\x00"))
}
