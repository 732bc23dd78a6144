package rest

import (
	"errors"
	"net/http"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// What keys and namespaces have in common.

// check reports what is wrong with the name in the path.
func check(kind core.Kind, name string) error {
	if kind == core.KindNamespace {
		return core.CheckNamespace(name)
	}
	return core.CheckName(name)
}

// get reads the item of the path and answers with what show makes of it, or 304.
func (c *call) get(kind core.Kind, show func(core.Item) []byte) error {
	if err := check(kind, c.param); err != nil {
		return err
	}
	read := core.Read{Kind: kind, Name: c.param, Since: c.in.since, Wait: c.in.wait, Strong: c.in.strong, Min: c.in.min, Hide: c.s.o.HideDenied}
	read.Admin = c.in.metadata || kind == core.KindNamespace
	known := c.in.ifNone
	if read.Since != nil {
		known = nil // the parameter is what was meant; a cache on the way may have added the header
	}
	if known != nil && !known.Any && len(known.Versions) == 1 {
		read.Since, known = &known.Versions[0], nil
	}
	if read.Wait > 0 && read.Since == nil {
		return badParam("wait", "needs since_version or If-None-Match with one version")
	}
	it, err := c.s.engine.Get(c.ctx(), c.caller(), read)
	if err != nil {
		return c.hide(kind, err)
	}
	if it.Entry.Version > 0 { // else it was waited for, and did not come
		c.tag(it.Entry.Version)
	}
	wire.TellStale(c.w.Header(), it.Stale)
	if it.NotModified || known != nil && known.Holds(it.Entry.Version) {
		c.none(http.StatusNotModified)
		return nil
	}
	c.json(http.StatusOK, show(it))
	return nil
}

// hide turns the denial of a read into the answer that an absent item gives, if the server is to do so.
func (c *call) hide(kind core.Kind, err error) error {
	if !c.s.o.HideDenied || !errors.Is(err, core.ErrForbidden) {
		return err
	}
	absent := core.Errorf(core.ErrNotFound, "Key does not exist")
	if kind == core.KindNamespace {
		absent.Detail = "Namespace does not exist"
	}
	absent.Stale = core.StaleOf(err)
	return absent
}

// hideWrite makes the denial of a write, by a caller who may not read the item, what it would be for an absent one: a PUT is
// denied without a reason, since that would say whose list it was; the rest find nothing. That there is no answer about
// reading hides, too.
func (c *call) hideWrite(op core.WriteOp, kind core.Kind, err error) error {
	if !c.s.o.HideDenied || !errors.Is(err, core.ErrForbidden) {
		return err
	}
	if sees, _ := c.s.engine.Sees(c.ctx(), c.caller(), kind, c.param); sees {
		return err
	}
	if op == core.WritePut {
		return core.Errorf(core.ErrForbidden, "The policy denies this")
	}
	return c.hide(kind, err)
}

// write carries out one change of the item of the path. The conditions are the engine's to check, in the same step as the
// write.
func (c *call) write(op core.WriteOp, kind core.Kind, members ...string) (core.Written, error) {
	var none core.Written
	if err := check(kind, c.param); err != nil {
		return none, err
	}
	w := core.Write{Op: op, Kind: kind, Name: c.param, IfMatch: c.in.ifMatch, IfNone: c.in.ifNone}
	var body []byte
	if len(members) > 0 {
		var err error
		if body, err = c.body(MaxBody); err != nil {
			return none, err
		}
		if err := readWrite(&w, body, members...); err != nil {
			return none, err
		}
	}
	if op == core.WritePut && kind == core.KindKey && w.Value == nil {
		return none, required("value")
	}
	request := core.Request{Writes: []core.Write{w}, Idempotency: c.in.idempotency}
	if request.Idempotency != "" {
		request.Digest = c.digest(w, body)
	}
	result, err := c.s.engine.Write(c.ctx(), c.caller(), request)
	if err != nil {
		return none, c.hideWrite(op, kind, err)
	}
	c.w.Header()["X-Dynconfig-Revision"] = []string{result.Position.String()}
	return result.Written[0], nil
}

// reach waits for the revision that the answer to a list must not be older than.
func (c *call) reach() error {
	if c.in.min == nil {
		return nil
	}
	return c.s.engine.Reach(c.ctx(), *c.in.min)
}

// list answers with a page of the names that the caller may read.
func (c *call) list(kind core.Kind, member string) error {
	f := core.Filter{Kind: kind, Namespace: c.in.namespace, Limit: c.in.limit, Access: c.in.access, Principal: c.in.principal, Values: c.in.values}
	var err error
	if f.After, err = c.open(f, c.in.cursor); err != nil {
		return err
	}
	if err := c.reach(); err != nil {
		return err
	}
	l, err := c.s.engine.List(c.ctx(), c.caller(), f)
	if err != nil {
		return err
	}
	wire.TellStale(c.w.Header(), l.Stale)
	cursor := ""
	if l.Next != "" {
		if cursor, err = c.seal(f, l); err != nil {
			return err
		}
	}
	c.json(http.StatusOK, listJSON(member, l, cursor, f.Values))
	return nil
}
