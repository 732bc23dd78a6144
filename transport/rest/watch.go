package rest

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const watchAbout = `Upgrades to a WebSocket; with ` + "`Accept: text/event-stream`" + ` it is a stream of server-sent events.

Subscriptions come in messages, or on the URL, the only way for server-sent events. The token comes in ` + "`Authorization`" + `, as the
subprotocol pair ` + "`dynconfig.v1, bearer.<jwt>`" + `, or in the first message within 10 s.

Client to server, one object a message:

    {"subscribe":["app.*","system.logging.level"],"snapshot":true,"id":1}
    {"unsubscribe":["app.*"]}
    {"token":"<a fresh token of the same username>"}

Beside ` + "`subscribe`" + ` stands at most one of ` + "`since_version`, `since_revision` and `snapshot`" + `; ` + "`\"every\":true`" + ` closes rather than leaves changes out
for a slow reader. Server to client:

    {"event":"subscribed","patterns":["app.*"],"id":1}
    {"event":"update","key":"app.ui.theme","version":4,"value":{"dark":true},"revision":"k3v9x2p7:418","lastModified":"2026-03-01T12:00:00.123456Z"}
    {"event":"delete","key":"app.ui.theme","version":5,"revision":"k3v9x2p7:419"}
    {"event":"bookmark","revision":"k3v9x2p7:430","synced":true}

and likewise ` + "`expired`, `reset`, `revoked`, `granted`, `token_expiring`, `unsubscribed` and `error`" + `. Any frame's ` + "`revision`" + ` resumes with
` + "`since_revision`" + `, but that of a frame marked ` + "`snapshot`" + `. Close codes: 4400 bad message, 4401 token, 4403 denied, 4408 too slow, 4429 too many messages,
1001 server going away.`

func (s *Server) watchOperations() []*operation {
	param := func(name, about string, schema *huma.Schema, example any) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: about, Schema: schema, Example: example}
	}
	ps := []*huma.Param{
		param("subscribe", "A key, a namespace with `.*`, or `*`; repeat it for more.",
			&huma.Schema{Type: "array", Items: text(), MaxItems: whole(core.MaxPatterns)}, []string{"app.*"}),
		param("since_revision", "First what followed this revision.", text(), "k3v9x2p7:417"),
		param("since_version", "First each named key whose version is greater.", &huma.Schema{Type: "integer", Format: "int64", Minimum: bound(0)}, 3),
		param("snapshot", "First the present state.", &huma.Schema{Type: "boolean"}, true),
		param("every", "End rather than leave changes out for a slow reader.", &huma.Schema{Type: "boolean"}, true),
		{Name: "Last-Event-ID", In: "header", Description: "As `since_revision`, and wins over the URL.", Schema: text(), Example: "k3v9x2p7:417"},
	}
	for _, p := range append(environmentParams(), minRevision()) {
		ps = append(ps, &p.Param)
	}
	return []*operation{{
		method: http.MethodGet, path: "/watch", id: "watch", tag: "watch", summary: "Watch changes", about: watchAbout,
		given: true, selfGuarded: true, foreign: ps, run: given(s.o.Watch),
		answers: []answer{
			{status: 101, about: "The connection is a WebSocket from here on."},
			{
				status: 200, about: "A stream of server-sent events.", media: "text/event-stream", shape: "",
				example: strings.Join([]string{
					"retry: 2000", "", "id: k3v9x2p7:418", "event: update",
					`data: {"event":"update","key":"app.ui.theme","version":4,"value":true,"revision":"k3v9x2p7:418"}`, "", "",
				}, "\n"),
			},
			{
				status: 426, about: "HTTP/1.0 has no WebSocket.", media: "application/problem+json", shape: wire.Problem{},
				example: `{"type":"about:blank","title":"Upgrade Required","status":426,"detail":"A WebSocket takes HTTP/1.1","error":"Upgrade Required","message":"A WebSocket takes HTTP/1.1"}`,
			},
		},
		errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
	}}
}

// given runs a handler from Options; nil is an absent page.
func given(h http.Handler) func(*call) error {
	if h == nil {
		return func(*call) error { return core.Errorf(core.ErrNotFound, "This server does not offer that") }
	}
	return func(c *call) error {
		h.ServeHTTP(c, c.r)
		return nil
	}
}
