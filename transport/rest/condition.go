package rest

import (
	"strconv"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// parseMatch reads If-Match or If-None-Match: "*", or entity tags with commas between. A tag of ours is a version in
// quotes; one without quotes or marked weak is taken too, since proxies and people write them so. A well-formed tag that
// is no version matches nothing; anything else is malformed.
func parseMatch(name, s string) (*core.Match, error) {
	s = strings.Trim(s, " \t")
	if s == "*" {
		return &core.Match{Any: true}, nil
	}
	m := &core.Match{}
	for rest, tags := s, 0; ; tags++ {
		rest = strings.TrimLeft(rest, " \t,") // RFC 9110 allows empty elements
		if rest == "" {
			if tags == 0 {
				return nil, badParam(name, "names no version")
			}
			return m, nil
		}
		tag, after, ok := cutTag(rest)
		after = strings.TrimLeft(after, " \t")
		if !ok || after != "" && after[0] != ',' {
			return nil, badParam(name, `must be * or versions such as "3"`)
		}
		if v, ok := version(tag); ok {
			m.Versions = append(m.Versions, v)
		}
		rest = after
	}
}

// cutTag cuts the first entity tag off s, its quotes left out.
func cutTag(s string) (tag, after string, ok bool) {
	if quoted, ok := strings.CutPrefix(strings.TrimPrefix(s, "W/"), `"`); ok {
		tag, after, ok = strings.Cut(quoted, `"`)
		return tag, after, ok && !strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f })
	}
	end := strings.IndexAny(s, ", \t")
	if end < 0 {
		end = len(s)
	}
	_, ok = version(s[:end])
	return s[:end], s[end:], ok
}

// version reads a version as an ETag spells it: without sign or leading zero.
func version(s string) (int64, bool) {
	v, ok := wholeNumber(s)
	return v, ok && strconv.FormatInt(v, 10) == s
}
