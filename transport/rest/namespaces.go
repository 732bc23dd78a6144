package rest

import (
	"net/http"
	"slices"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func namespaceOperations() []*operation {
	const (
		written = `{"namespace":"app.ui","version":2,"lastModified":"2026-03-01T12:00:00.123456Z"}`
		record  = `{"namespace":"app.ui","version":2,"lastModified":"2026-03-01T12:00:00.123456Z","lastModifiedBy":"admin-user",` +
			`"revision":"k3v9x2p7:417","acls":{"read":["*"],"write":["service:ui"]}}`
	)
	return []*operation{
		{
			method: http.MethodGet, path: "/namespaces", id: "listNamespaces", tag: "namespaces", summary: "List namespaces",
			about:  "Lists the namespaces that have a record and that the caller may read.",
			params: listParams(), run: func(c *call) error { return c.list(core.KindNamespace, "namespaces") },
			answers: []answer{{
				status: 200, about: "A page of namespaces.", shape: wire.Namespaces{}, headers: []string{wire.HeaderStale},
				example: `{"namespaces":["app.ui"],"total":1,"revision":"k3v9x2p7:417"}`,
			}},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
		{
			method: http.MethodGet, path: "/namespaces/{namespace}", id: "getNamespace", tag: "namespaces", summary: "Read a namespace",
			about:  "Answers with the namespace's record, its ACL for its admins only. The root is `*`.",
			params: getParams(), run: getNamespace,
			answers: []answer{
				{status: 200, about: "The record.", shape: wire.Namespace{}, example: record, headers: []string{"ETag", wire.HeaderStale}},
				{status: 304, about: "There is no newer version than the one named. Without `ETag` if the record that was waited for is still absent.", headers: []string{"ETag", wire.HeaderStale}},
			},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
		{
			method: http.MethodPut, path: "/namespaces/{namespace}", id: "putNamespace", tag: "namespaces", summary: "Set the ACL of a namespace",
			about: "Sets who may read, write and administer what lies in the namespace, where the items themselves and inner namespaces do not say. " +
				"`acls` that are not sent stay as they are, `null` removes them.",
			params: writeParams(), body: namespaceBody(), run: putNamespace,
			answers: []answer{
				{status: 201, about: "The namespace had no record.", shape: wire.NamespaceWritten{}, example: written, headers: writeHeaders},
				{status: 200, about: "The record has a new version.", shape: wire.NamespaceWritten{}, example: written, headers: writeHeaders},
			},
			errors: slices.Concat(writeErrors, bodyErrors),
		},
		{
			method: http.MethodDelete, path: "/namespaces/{namespace}", id: "deleteNamespace", tag: "namespaces", summary: "Remove a namespace's record",
			about:  "Removes the record, not what lies in the namespace: the next record outwards governs that at once.",
			params: writeParams(), run: deleteNamespace,
			answers: []answer{{status: 204, about: "There is no record.", headers: []string{wire.HeaderRevision}}},
			errors:  writeErrors,
		},
	}
}

func getNamespace(c *call) error {
	return c.get(core.KindNamespace, func(it core.Item) []byte {
		e := it.Entry
		n := wire.Namespace{
			Namespace: it.Name, Version: e.Version, LastModified: e.Modified, LastModifiedBy: e.Author,
			Revision: core.Position{Epoch: c.s.engine.Epoch(), Revision: e.Revision}.String(),
		}
		if it.Admin {
			acl := aclOf(e.Doc.ACL)
			n.ACLs = &acl
		}
		return marshal(n)
	})
}

func putNamespace(c *call) error {
	written, err := c.write(core.WritePut, core.KindNamespace, "acls")
	if err != nil {
		return err
	}
	c.written("namespace", written)
	return nil
}

func deleteNamespace(c *call) error {
	if _, err := c.write(core.WriteDelete, core.KindNamespace); err != nil {
		return err
	}
	c.none(http.StatusNoContent)
	return nil
}
