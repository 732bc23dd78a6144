package rest

import (
	"net/textproto"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func query(name, about string, schema *huma.Schema, example any, read func(*inputs, string) error) *param {
	return &param{Param: huma.Param{Name: name, In: "query", Description: about, Schema: schema, Example: example}, read: read}
}

func header(name, about string, example any, read func(*inputs, string) error) *param {
	return &param{Param: huma.Param{Name: name, In: "header", Description: about, Schema: text(), Example: example}, key: textproto.CanonicalMIMEHeaderKey(name), read: read}
}

func text() *huma.Schema { return &huma.Schema{Type: "string"} }

func flag(name, about string, set func(*inputs, bool)) *param {
	return query(name, about, &huma.Schema{Type: "boolean", Default: false}, true, func(in *inputs, s string) error {
		if s != "true" && s != "false" {
			return badParam(name, "must be true or false")
		}
		set(in, s == "true")
		return nil
	})
}

func word(name, about string, words []string, set func(*inputs, string)) *param {
	schema := text()
	for _, w := range words {
		schema.Enum = append(schema.Enum, w)
	}
	return query(name, about, schema, words[0], func(in *inputs, s string) error {
		for _, w := range words {
			if s == w {
				set(in, s)
				return nil
			}
		}
		return badParam(name, "must be one of "+quoted(words))
	})
}

func quoted(words []string) string {
	s := words[0]
	for _, w := range words[1:] {
		s += ", " + w
	}
	return s
}

// wholeNumber reads digits alone: no sign, no blank.
func wholeNumber(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// duration reads a whole number of seconds or a Go duration, not negative.
func duration(s string) (time.Duration, bool) {
	if n, ok := wholeNumber(s); ok {
		return time.Duration(min(n, int64(core.MaxTTL/time.Second))) * time.Second, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// environmentParams are in the rows of all operations that act in an environment; the first that is set counts.
func environmentParams() []*param {
	const about = "The environment"
	schema := &huma.Schema{Type: "string", Pattern: "^[a-z0-9-]{1,63}$", Default: "default"}
	first := func(in *inputs, s string) error {
		if in.env != "" {
			return nil
		}
		in.env = s
		return core.CheckEnvironment(s)
	}
	return []*param{
		query("env", about+"; it wins over the headers.", schema, "default", func(in *inputs, s string) error {
			in.env = s
			return core.CheckEnvironment(s)
		}),
		header(wire.HeaderEnvironment, about+", where `env` does not say it.", "default", first),
		header(wire.HeaderIronflowEnv, about+", where nothing else says it.", "default", first),
	}
}

// getParams are those of a GET of one item.
func getParams() []*param {
	number := &huma.Schema{Type: "integer", Format: "int64", Minimum: bound(0)}
	return append(environmentParams(),
		query("since_version", "A version that is known already: 304 unless there is a newer one.", number, 3, func(in *inputs, s string) error {
			n, ok := wholeNumber(s)
			if !ok {
				return badParam("since_version", "must be a whole number")
			}
			in.since = &n
			return nil
		}),
		query("wait", "Hold the answer until there is a newer version than `since_version`, at most so long and at most 60 s: seconds, or a duration such as `30s`.",
			&huma.Schema{Type: "string", Default: "0s"}, "30s", func(in *inputs, s string) error {
				d, ok := duration(s)
				if !ok {
					return badParam("wait", "must be a whole number of seconds or a duration such as 30s")
				}
				in.wait = min(d, core.MaxWait)
				return nil
			}),
		word("consistency", "`strong`: the answer holds at least every write acknowledged before, by any node.", []string{"strong"},
			func(in *inputs, _ string) { in.strong = true }),
		flag("metadata", "Answer with TTL, times, author and revision too, and with the ACL for admins.", func(in *inputs, b bool) { in.metadata = b }),
		ifNoneMatch("As `since_version`: 304 if this is the present version.", `"3"`),
		minRevision(),
	)
}

// minRevision is a parameter of everything that is read.
func minRevision() *param {
	return header(wire.HeaderMinRevision, "A revision that the answer must not be older than; waits up to 5 s for it.", "k3v9x2p7:417",
		func(in *inputs, s string) error {
			p, err := core.ParsePosition(s)
			if err != nil {
				return badParam(wire.HeaderMinRevision, "is not a revision that this server gave out")
			}
			in.min = &p
			return nil
		})
}

// writeParams are those of every write.
func writeParams() []*param {
	ifMatch := header("If-Match", "Versions of which one must be the present one, or `*`: any; else 412.", `"3"`, func(in *inputs, s string) (err error) {
		in.ifMatch, err = parseMatch("If-Match", s)
		return err
	})
	ifMatch.many = true
	return append(environmentParams(), ifMatch, ifNoneMatch("`*`: there must be no such item yet, else 412.", "*"),
		idempotencyParam())
}

// idempotencyParam is a parameter of every write.
func idempotencyParam() *param {
	return header(wire.HeaderIdempotency, "For 24 hours the same key for the same request returns the first success and writes nothing.", "5f0c6c1e-create-theme",
		func(in *inputs, s string) error {
			if !idempotencyKey(s) {
				return badParam(wire.HeaderIdempotency, "must be 1 to 255 printable characters of ASCII")
			}
			in.idempotency = s
			return nil
		})
}

func ifNoneMatch(about, example string) *param {
	p := header("If-None-Match", about, example, func(in *inputs, s string) (err error) {
		in.ifNone, err = parseMatch("If-None-Match", s)
		return err
	})
	p.many = true
	return p
}

// listParams are those of every list.
func listParams() []*param {
	return append(environmentParams(),
		query("namespace", "Only what lies in this namespace; empty or `*`: everything.", text(), "app.ui", func(in *inputs, s string) error {
			in.namespace = s
			if s == "" {
				return nil
			}
			return core.CheckNamespace(s)
		}),
		limitParam("At most so many names on the page."),
		cursorParam(),
		minRevision(),
	)
}

func limitParam(about string) *param {
	return query("limit", about, &huma.Schema{Type: "integer", Minimum: bound(1), Maximum: bound(core.MaxLimit), Default: core.DefaultLimit}, 100,
		func(in *inputs, s string) error {
			n, ok := wholeNumber(s)
			if !ok || n < 1 || n > core.MaxLimit {
				return badParam("limit", "must be 1 to 1000")
			}
			in.limit = int(n)
			return nil
		})
}

func cursorParam() *param {
	return query("cursor", "The `nextCursor` of the page before, with the other parameters as they were.", text(), "q9Yw3S5mD0c", func(in *inputs, s string) error {
		in.cursor = s
		return nil
	})
}

func principalParam() *param {
	return query("principal", "What this principal may read or write, as far as names decide, of the keys that the caller administers; 403 if those are none.",
		&huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxUsername)}, "service:ui", func(in *inputs, s string) error {
			in.principal = s
			return core.CheckUsername(s)
		})
}

func bound(n float64) *float64 { return &n }
