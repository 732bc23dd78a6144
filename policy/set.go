package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// testSuffix ends the names of files that are for tests alone.
const testSuffix = "_test.rego"

// rules returns the names of the modules that decide, in order.
func (s Set) rules() []string {
	var names []string
	for name := range s.Modules {
		if !strings.HasSuffix(name, testSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Set returns what is in force.
func (a *Authorizer) Set() Set { return *a.current.Load().set.Load() }

// Digest names all that would decide if a set were in force here: the set, the shipped rules, the server admins and the
// hosts that may be called. Equal digests give equal answers.
func (a *Authorizer) Digest(set Set) string {
	sum := sha256.New()
	for _, file := range []string{"acl.rego", "authz.rego"} {
		text, _ := shipped.ReadFile(file)
		_, _ = fmt.Fprintf(sum, "shipped %q\n", text)
	}
	_, _ = fmt.Fprintf(sum, "admins %q\nhosts %q\n", a.admins, a.hosts)
	for _, name := range set.rules() {
		_, _ = fmt.Fprintf(sum, "module %q %q\n", name, set.Modules[name])
	}
	data, _ := json.Marshal(set.Data) // what is not JSON does not compile
	_, _ = fmt.Fprintf(sum, "data %q\n", data)
	return hex.EncodeToString(sum.Sum(nil))
}
