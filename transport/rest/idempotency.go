package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

func idempotencyKey(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= core.MaxIdempotency
}

// digest identifies what a write asks for, however its path was escaped: two requests with the same one are the same.
func (c *call) digest(w core.Write, body []byte) [32]byte {
	var all []byte
	for _, part := range []string{
		string(w.Op), c.in.env, string(w.Kind), w.Name,
		strings.Join(c.r.Header["If-Match"], ","), strings.Join(c.r.Header["If-None-Match"], ","), string(body),
	} {
		all = append(binary.AppendUvarint(all, uint64(len(part))), part...)
	}
	return sha256.Sum256(all)
}
