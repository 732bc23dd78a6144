package rest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// processKey seals cursors where no keyset is given: they open in this process alone.
type processKey struct{ aead cipher.AEAD }

func newProcessKey() processKey {
	key := make([]byte, 32)
	_, _ = rand.Read(key)          // it never fails,
	block, _ := aes.NewCipher(key) // a key of 32 bytes is a good one,
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	return processKey{aead} // and AES a good block cipher
}

func (k processKey) Seal(plain, bound []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, plain, bound), nil
}

func (k processKey) Open(sealed, bound []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, sealed, bound)
}

// cursorBlock is what the text of a cursor is padded to a multiple of, so that its length says little about the name.
const cursorBlock = 64

// seal makes the cursor that continues a list after the last name of a page. It shows nothing, and opens for the same
// principal, environment and filter alone. It holds the page's revision, too: the next page may be another node's, and what
// that has not heard of yet would be missing from the list.
func (c *call) seal(f core.Filter, l core.Listing) (string, error) {
	plain := append([]byte(l.Next), 0)
	return c.s.sealCursor(append(plain, l.Position.String()...), c.bound(f))
}

// open reads a cursor back, and waits until this node is where the page before was made; "" is the first page. Of another
// epoch there is nothing to wait for: the list goes on in what there is now.
func (c *call) open(f core.Filter, cursor string) (after string, err error) {
	if cursor == "" {
		return "", nil
	}
	plain, err := c.s.openCursor(cursor, c.bound(f))
	if err != nil {
		return "", err
	}
	after, position, _ := strings.Cut(plain, "\x00")
	at, err := core.ParsePosition(position)
	if err != nil {
		return "", errCursor()
	}
	if at.Epoch != c.s.engine.Head().Epoch {
		return after, nil
	}
	return after, c.s.engine.Reach(c.ctx(), at)
}

// bound is what a cursor is good for. None of the parts holds a zero byte but perhaps the username, which ends it.
func (c *call) bound(f core.Filter) []byte {
	return []byte(strings.Join([]string{"cursor", c.in.env, string(f.Kind), f.Namespace, string(f.Access), f.Principal, c.subject.Username}, "\x00"))
}

// sealCursor seals a text that does not end in a zero byte.
func (s *Server) sealCursor(plain, bound []byte) (string, error) {
	for len(plain)%cursorBlock != 0 {
		plain = append(plain, 0)
	}
	sealed, err := s.o.Cursors.Seal(plain, bound)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *Server) openCursor(cursor string, bound []byte) (string, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return "", errCursor()
	}
	plain, err := s.o.Cursors.Open(sealed, bound)
	if err != nil {
		return "", errCursor()
	}
	return strings.TrimRight(string(plain), "\x00"), nil
}

func errCursor() error {
	return badParam("cursor", "is not one that this server gave out for this list")
}
