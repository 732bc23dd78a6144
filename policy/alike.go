package policy

import (
	"bytes"

	"github.com/dynconfig/dynconfig/core"
)

// Alike reports whether the present policy makes no difference between two subjects: they have the same name, and it reads
// none of the claims in which they differ. Where it reads all of them, those that every token has anew do not count.
func (a *Authorizer) Alike(was, is *core.Subject) bool {
	r := &a.current.Load().reads
	if r.allClaims {
		return core.Alike(was, is)
	}
	return was.Username == is.Username && bytes.Equal(appendClaims(nil, was.Claims, r.claims), appendClaims(nil, is.Claims, r.claims))
}
