package main

import (
	"errors"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

// mergeTries is how often lists are put together anew because the item changed meanwhile.
const mergeTries = 5

// merge writes an item so that lists not given are kept, although what is sent replaces them all: they are filled in from
// the item as held says it is, and the write counts only while it is so. Without --acl-… it is one plain write.
func (w *writeFlags) merge(o client.WriteOptions, held func() (*client.ACL, int64, error), write func(client.WriteOptions) error) error {
	if o.ACLs == nil || w.acls != "" {
		return write(o)
	}
	given, pin := *o.ACLs, o.IfVersion == 0 && !o.IfAbsent
	for try := 1; ; try++ {
		acl, version, err := held()
		switch {
		case errors.Is(err, core.ErrNotFound), errors.Is(err, core.ErrForbidden): // nothing to keep, or none of our business
		case err != nil:
			return err
		case acl != nil:
			o.ACLs = given.Over(*acl)
			if pin {
				o.IfVersion = version
			}
		}
		err = write(o)
		if !pin || try == mergeTries || !errors.Is(err, core.ErrPrecondition) {
			return err
		}
	}
}
