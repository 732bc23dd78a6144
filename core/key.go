package core

import (
	"strings"
	"unicode/utf8"
)

// Key names an entry of a Store: environment id, kind and name, composed by MakeKey. Stores order keys as bytes and look
// no further.
type Key string

// EnvID is an environment's identity. It is not its name: a name that is deleted and created again gets another id.
type EnvID string

// DefaultEnv is the id of the environment "default", which always exists; SystemEnv holds what belongs to no environment.
const (
	DefaultEnv EnvID = "0"
	SystemEnv  EnvID = "-"
)

// Kind is what an item is.
type Kind string

// The kinds of item. Idempotency entries are the engine's own and never shown.
const (
	KindKey         Kind = "key"
	KindDocument    Kind = "document"
	KindNamespace   Kind = "namespace"
	KindEnvironment Kind = "environment"
	KindPolicy      Kind = "policy"
	KindAudit       Kind = "audit"
	KindIdempotency Kind = "idempotency"
)

// kindLetters is how a Key spells a Kind.
var kindLetters = map[Kind]byte{
	KindKey: 'k', KindDocument: 'd', KindNamespace: 'n', KindEnvironment: 'e', KindPolicy: 'p', KindAudit: 'a', KindIdempotency: 'i',
}

var lettersKind = func() (m [256]Kind) {
	for k, l := range kindLetters {
		m[l] = k
	}
	return m
}()

// Limits of names.
const (
	MaxName      = 512 // bytes of a key
	MaxSegments  = 32
	MaxUsername  = 256 // bytes of a principal
	RootName     = "*" // the root namespace, and the pattern of every key
	TopicsPrefix = "system.config."
)

// MakeKey composes "<env>/<kind letter>/<name>".
func MakeKey(env EnvID, kind Kind, name string) Key {
	return Key(string(env) + "/" + string(kindLetters[kind]) + "/" + name)
}

// Split takes a composed key apart; ok is false for one that MakeKey did not make.
func (k Key) Split() (env EnvID, kind Kind, name string, ok bool) {
	i := strings.IndexByte(string(k), '/')
	if i < 1 || len(k) < i+3 || k[i+2] != '/' {
		return "", "", "", false
	}
	kind = lettersKind[k[i+1]]
	return EnvID(k[:i]), kind, string(k[i+3:]), kind != ""
}

// prefixEnd returns the first key after all that begin with p; empty if there is none.
func prefixEnd(p string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			return p[:i] + string(p[i]+1)
		}
	}
	return ""
}

// CheckName reports what is wrong with the name of a key: 1–512 bytes of A–Z a–z 0–9 . _ - : @ /, at most 32 segments, none
// of them empty. Both . and / separate segments, so that "." and ".." are none.
func CheckName(name string) error {
	if reason := nameFault(name); reason != "" {
		return &Error{Kind: ErrInvalid, Detail: "Key is not valid: " + reason, Fields: []FieldError{{Path: "key", Reason: reason}}}
	}
	return nil
}

func nameFault(name string) string {
	if name == "" {
		return "it is empty"
	}
	if len(name) > MaxName {
		return "it is longer than 512 bytes"
	}
	segments, empty := 1, true // empty: the segment at hand, so far
	for i := 0; i < len(name); i++ {
		switch {
		case !nameByte(name[i]):
			return "only A-Z a-z 0-9 . _ - : @ / may stand in it"
		case !separator(name[i]):
			empty = false
		case empty:
			return emptySegment
		default:
			segments, empty = segments+1, true
		}
	}
	switch {
	case empty:
		return emptySegment
	case segments > MaxSegments:
		return "it has more than 32 segments"
	}
	return ""
}

const emptySegment = "no segment between . and / may be empty"

func separator(b byte) bool { return b == '.' || b == '/' }

func nameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' ||
		b == '.' || b == '_' || b == '-' || b == ':' || b == '@' || b == '/'
}

// CheckNamespace reports what is wrong with the name of a namespace: a key's alphabet and limits, or "*" for the root.
func CheckNamespace(name string) error {
	if name == RootName {
		return nil
	}
	if reason := nameFault(name); reason != "" {
		return &Error{Kind: ErrInvalid, Detail: "Namespace is not valid: " + reason, Fields: []FieldError{{Path: "namespace", Reason: reason}}}
	}
	return nil
}

// Namespaces returns the namespaces that name lies in, outermost first: app.ui.theme lies in app and app.ui. The root,
// in which everything lies, is not among them.
func Namespaces(name string) []string {
	var ns []string
	for i := 1; i < len(name); i++ {
		if separator(name[i]) {
			ns = append(ns, name[:i])
		}
	}
	return ns
}

// Pattern selects keys: an exact one, every key below a namespace (by either separator, at any depth), or all.
type Pattern struct {
	Text  string // as it was written
	Exact string // the key; empty for a wildcard
	Below string // the namespace, RootName for all; empty for an exact key
}

// ParsePattern reads a key, "*", or a namespace with ".*" or "/*".
func ParsePattern(text string) (Pattern, error) {
	if text == RootName {
		return Pattern{Text: text, Below: RootName}, nil
	}
	if ns, ok := cutWildcard(text); ok {
		if err := CheckNamespace(ns); err == nil && ns != RootName {
			return Pattern{Text: text, Below: ns}, nil
		}
	} else if nameFault(text) == "" {
		return Pattern{Text: text, Exact: text}, nil
	}
	return Pattern{}, &Error{
		Kind: ErrInvalid, Detail: `Pattern is not valid: it is a key, "*", or a namespace followed by ".*" or "/*"`,
		Fields: []FieldError{{Path: "pattern", Reason: "not a key, a namespace with a wildcard, or *"}},
	}
}

func cutWildcard(text string) (string, bool) {
	if ns, ok := strings.CutSuffix(text, ".*"); ok {
		return ns, true
	}
	return strings.CutSuffix(text, "/*")
}

// Match reports whether the pattern selects the key of that name. Topics are not keys: "*" does not reach them.
func (p Pattern) Match(name string) bool {
	switch p.Below {
	case "":
		return name == p.Exact
	case RootName:
		return true
	}
	return len(name) > len(p.Below) && separator(name[len(p.Below)]) && name[:len(p.Below)] == p.Below
}

// span returns the half-open range of names that the pattern selects; an empty to is the end.
func (p Pattern) span() (from, to string) {
	switch p.Below {
	case "":
		return p.Exact, p.Exact + "\x00"
	case RootName:
		return "", ""
	}
	return p.Below + ".", p.Below + "0" // '.' '/' '0' are neighbours
}

// meetsNamespace reports whether a key may both be selected by p and lie in the namespace ns.
func (p Pattern) meetsNamespace(ns string) bool {
	if ns == RootName || p.Below == RootName {
		return true
	}
	inside := Pattern{Below: ns}
	if p.Below == "" {
		return inside.Match(p.Exact)
	}
	return p.Below == ns || inside.Match(p.Below) || p.Match(ns)
}

// CheckUsername reports whether s can be a principal: 1–256 bytes of UTF-8 without control characters, "*" or outer
// blanks.
func CheckUsername(s string) error {
	reason := usernameFault(s)
	if len(s) > MaxUsername {
		reason = "it is longer than 256 bytes"
	}
	if reason != "" {
		return &Error{Kind: ErrInvalid, Detail: "Principal is not valid: " + reason, Fields: []FieldError{{Path: "username", Reason: reason}}}
	}
	return nil
}

// usernameFault is what is wrong with a principal, but for its length; "" is nothing.
func usernameFault(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	case strings.Contains(s, "*"):
		return `"*" may not stand in it`
	case strings.TrimSpace(s) != s:
		return "it begins or ends with a blank"
	case strings.ContainsFunc(s, control):
		return "it holds a control character"
	}
	return ""
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// CheckEnvironment reports whether s can name an environment: [a-z0-9-]{1,63}.
func CheckEnvironment(s string) error {
	ok := s != "" && len(s) <= 63
	for i := 0; ok && i < len(s); i++ {
		b := s[i]
		ok = b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-'
	}
	if !ok {
		return &Error{Kind: ErrInvalid, Detail: "Environment is not valid: it is 1 to 63 of a-z 0-9 -", Fields: []FieldError{{Path: "env", Reason: "must be 1 to 63 of a-z 0-9 -"}}}
	}
	return nil
}
