package rest

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const (
	exampleWritten = `{"key":"app.ui.theme","version":4,"lastModified":"2026-03-01T12:00:00.123456Z"}`
	exampleItem    = `{"key":"app.ui.theme","value":{"dark":true},"version":4}`
)

func keyOperations() []*operation {
	return []*operation{
		{
			method: http.MethodPut, path: "/keys/{key}", id: "putKey", tag: "keys", summary: "Create or replace a key",
			about: "Writes the value. `acls` and `ttl` that are not sent stay as they are; to change them on a present key takes an admin of it. " +
				"A TTL starts anew with every write.",
			params: writeParams(), body: keyBody("value"), run: putKey,
			answers: []answer{
				{status: 201, about: "The key was absent and is created.", shape: wire.Written{}, example: exampleWritten, headers: writeHeaders},
				{status: 200, about: "The key has a new version.", shape: wire.Written{}, example: exampleWritten, headers: writeHeaders},
			},
			errors: slices.Concat(writeErrors, bodyErrors),
		},
		{
			method: http.MethodPatch, path: "/keys/{key}", id: "patchKey", tag: "keys", summary: "Change parts of a key",
			about:  "Changes what is sent, `value` as a whole, and keeps the rest. The key must be there.",
			params: writeParams(), body: keyBody(), run: patchKey,
			answers: []answer{{status: 200, about: "The key has a new version.", shape: wire.Written{}, example: exampleWritten, headers: writeHeaders}},
			errors:  slices.Concat(writeErrors, bodyErrors),
		},
		{
			method: http.MethodGet, path: "/keys/{key}", id: "getKey", tag: "keys", summary: "Read a key",
			about: "Answers with the value, byte for byte as it was written. With `since_version` and `wait` the answer is held until there is a newer " +
				"version; `since_version=0` waits for a key that is absent.",
			params: getParams(), run: getKey,
			answers: []answer{
				{status: 200, about: "The key.", shape: wire.Item{}, example: exampleItem, headers: []string{"ETag", wire.HeaderStale}},
				{status: 304, about: "There is no newer version than the one named. Without `ETag` if the key that was waited for is still absent.", headers: []string{"ETag", wire.HeaderStale}},
			},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
		{
			method: http.MethodDelete, path: "/keys/{key}", id: "deleteKey", tag: "keys", summary: "Delete a key",
			about: "Deletes the key. Its ACL is kept and holds again when the key is created anew; versions go on where they ended.",
			params: append(writeParams(), flag("purge", "Forget the key wholly, its ACL and history included; versions begin anew. For server admins.",
				func(in *inputs, b bool) { in.purge = b })),
			run:     deleteKey,
			answers: []answer{{status: 204, about: "The key is absent.", headers: []string{wire.HeaderRevision}}},
			errors:  writeErrors,
		},
		{
			method: http.MethodGet, path: "/keys", id: "listKeys", tag: "keys", summary: "List keys",
			about: "Lists the keys that the caller may read, in byte order. With `key`, up to 100 exact keys and their values, all at one revision. " +
				"Watch from the first page's `revision` to follow a list without a gap. With `principal`, the keys that another may read, of those that the caller administers.",
			params: append(listParams(),
				word("access", "Only keys that the caller may read, or may write.", []string{"read", "write"}, func(in *inputs, s string) { in.access = core.Action(s) }),
				flag("values", "Answer with `items` too: the keys' values as far as the caller may read them.", func(in *inputs, b bool) { in.values = b }),
				principalParam(), exactKeys()),
			run: listKeys,
			answers: []answer{{
				status: 200, about: "A page of keys. It may be short while `nextCursor` is there.", shape: wire.Listing{}, headers: []string{wire.HeaderStale},
				example: `{"keys":["app.ui.theme"],"total":1,"revision":"k3v9x2p7:417","items":[` + exampleItem + `]}`,
			}},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
	}
}

func exactKeys() *param {
	p := query("key", "An exact key; repeat it for more.", &huma.Schema{Type: "array", Items: text(), MaxItems: whole(core.MaxKeys)},
		[]string{"app.ui.theme"}, func(in *inputs, s string) error {
			if len(in.names) == core.MaxKeys {
				return badParam("key", "stands there more than 100 times")
			}
			in.names = append(in.names, s)
			return core.CheckName(s)
		})
	p.many = true
	return p
}

func whole(n int) *int { return &n }

func putKey(c *call) error {
	written, err := c.write(core.WritePut, core.KindKey, "value", "ttl", "acls")
	if err != nil {
		return err
	}
	c.written("key", written)
	return nil
}

func patchKey(c *call) error {
	written, err := c.write(core.WritePatch, core.KindKey, "value", "ttl", "acls")
	if err != nil {
		return err
	}
	c.written("key", written)
	return nil
}

// written answers 201 or 200.
func (c *call) written(member string, w core.Written) {
	c.tag(w.Version)
	status := http.StatusOK
	if w.Created {
		status = http.StatusCreated
	}
	c.json(status, writtenJSON(member, w))
}

func getKey(c *call) error {
	return c.get(core.KindKey, func(it core.Item) []byte {
		if c.in.metadata {
			return itemWithMetadata(it, c.s.engine.Epoch())
		}
		return itemJSON(it)
	})
}

func deleteKey(c *call) error {
	op := core.WriteDelete
	if c.in.purge {
		op = core.WritePurge
	}
	if _, err := c.write(op, core.KindKey); err != nil {
		return err
	}
	c.none(http.StatusNoContent)
	return nil
}

func listKeys(c *call) error {
	if c.in.names == nil {
		return c.list(core.KindKey, "keys")
	}
	if c.in.namespace != "" || c.in.cursor != "" || c.in.limit != 0 || c.in.access != "" || c.in.principal != "" {
		return badParam("key", "does not go with namespace, limit, cursor, access or principal")
	}
	if err := c.reach(); err != nil {
		return err
	}
	slices.Sort(c.in.names)
	l, err := c.s.engine.GetMany(c.ctx(), c.caller(), core.KindKey, slices.Compact(c.in.names))
	if err != nil {
		return err
	}
	wire.TellStale(c.w.Header(), l.Stale)
	c.json(http.StatusOK, listJSON("keys", l, "", true))
	return nil
}
