package rest

import (
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// inputs is what the parameters and headers of a request say. An operation reads those that its row names.
type inputs struct {
	env         string
	since       *int64
	wait        time.Duration
	strong      bool
	metadata    bool
	purge       bool
	values      bool
	namespace   string
	cursor      string
	limit       int
	access      core.Action
	names       []string // exact keys
	ifMatch     *core.Match
	ifNone      *core.Match
	min         *core.Position
	idempotency string
	principal   string
	dryRun      bool
	confirm     time.Duration
	revisions   []string             // If-Match, where what is shown is no item
	known       []string             // If-None-Match, likewise; "*" is any
	decisions   *wire.DecisionFilter // nil: no parameter of it was sent
}

// param is a parameter of the query or a header: what the document says of it, and how it is read.
type param struct {
	huma.Param
	key  string // of a header, as net/http spells it
	many bool   // may be repeated
	read func(in *inputs, text string) error
}

// read fills c.in from the request. Unknown and repeated parameters are refused, lest a typing error go unseen.
func (c *call) read(params []*param) error {
	if err := c.readQuery(params); err != nil {
		return err
	}
	for _, p := range params {
		if p.In != "header" {
			continue
		}
		lines := c.r.Header[p.key]
		if len(lines) == 0 {
			continue
		}
		if len(lines) > 1 && !p.many {
			return badParam(p.Name, "stands there twice")
		}
		if err := p.read(&c.in, strings.Join(lines, ",")); err != nil { // an empty one, too: it was meant to say something
			return err
		}
	}
	if c.in.env == "" {
		c.in.env = "default"
	}
	return core.CheckEnvironment(c.in.env)
}

func (c *call) readQuery(params []*param) error {
	var seen uint64 // a bit for each of params
	for query := c.r.URL.RawQuery; query != ""; {
		var pair string
		if pair, query, _ = strings.Cut(query, "&"); pair == "" {
			continue
		}
		rawName, rawText, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		text, err2 := url.QueryUnescape(rawText)
		if err != nil || err2 != nil || strings.Contains(pair, ";") {
			return core.Errorf(core.ErrMalformed, "Query cannot be read")
		}
		i := 0
		for i < len(params) && (params[i].In != "query" || params[i].Name != name) {
			i++
		}
		if i == len(params) {
			return badParam(name, "is unknown")
		}
		p, bit := params[i], uint64(1)<<i
		if seen&bit != 0 && !p.many {
			return badParam(name, "stands there twice")
		}
		seen |= bit
		if err := p.read(&c.in, text); err != nil {
			return err
		}
	}
	return nil
}

// badParam makes the 400 of a parameter or header. The name may be the caller's invention.
func badParam(name, reason string) error {
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "") + "…"
	}
	e := core.Errorf(core.ErrMalformed, "Parameter %q %s", name, reason)
	e.Fields = []core.FieldError{{Path: name, Reason: reason}}
	return e
}
