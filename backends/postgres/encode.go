package postgres

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dynconfig/dynconfig/core"
)

// How what core knows stands in the tables: as text that people can read, in an encoding that loses nothing where it is
// something that PostgreSQL's text does not take.

// afterAll is greater than every encoded key.
const afterAll = "\U0010ffff"

// encodeKey makes text of a key. The keys that the Engine makes stay as they are; of others each byte becomes a character,
// so that the order of text under the collation "C" is that of the bytes.
func encodeKey(k core.Key) string {
	i := 0
	for i < len(k) && k[i] > 1 && k[i] < utf8.RuneSelf {
		i++
	}
	if i == len(k) {
		return string(k)
	}
	b := make([]byte, i, 2*len(k))
	copy(b, k)
	for ; i < len(k); i++ {
		if c := k[i]; c < 2 {
			b = append(b, 1, c+1)
		} else {
			b = utf8.AppendRune(b, rune(c))
		}
	}
	return string(b)
}

func decodeKey(s string) core.Key {
	i := 0
	for i < len(s) && s[i] > 1 && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return core.Key(s)
	}
	b := make([]byte, 0, len(s))
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			b, escaped = append(b, byte(r-1)), false
		case r == 1:
			escaped = true
		default:
			b = append(b, byte(r))
		}
	}
	return core.Key(b)
}

func encodeKeys(keys []core.Key) []string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = encodeKey(k)
	}
	return texts
}

// escape leads text that is written in base64.
const escape = "\x01"

// encodeText makes text of what need not be UTF-8.
func encodeText(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + base64.StdEncoding.EncodeToString([]byte(s))
}

func decodeText(s string) string {
	coded, ok := strings.CutPrefix(s, escape)
	if !ok {
		return s
	}
	raw, _ := base64.StdEncoding.DecodeString(coded) // encodeText made it
	return string(raw)
}

// rules is how an ACL stands in the tables. A list that is not there is nil.
type rules struct {
	Read  []string `json:"read,omitzero"`
	Write []string `json:"write,omitzero"`
	Admin []string `json:"admin,omitzero"`
}

func (r rules) each(f func(string) string) rules {
	return rules{recode(r.Read, f), recode(r.Write, f), recode(r.Admin, f)}
}

// recode applies f to each name, on a copy where that changes anything.
func recode(names []string, f func(string) string) []string {
	changes := func(name string) bool { return f(name) != name }
	if !slices.ContainsFunc(names, changes) {
		return names
	}
	out := slices.Clone(names)
	for i := range out {
		out[i] = f(out[i])
	}
	return out
}

// encodeACL returns JSON, or nil for nil.
func encodeACL(a *core.ACL) *string {
	if a == nil {
		return nil
	}
	text, _ := json.Marshal(rules(*a).each(encodeText)) // strings always marshal
	s := string(text)
	return &s
}

// acls decodes ACLs, each once: many entries have the same.
type acls map[string]*core.ACL

func (m acls) decode(text *string) (*core.ACL, error) {
	if text == nil {
		return nil, nil
	}
	if a, ok := m[*text]; ok {
		return a, nil
	}
	var r rules
	if err := json.Unmarshal([]byte(*text), &r); err != nil {
		return nil, unreadable(err)
	}
	a := core.ACL(r.each(decodeText))
	m[*text] = &a
	return &a, nil
}

// encodeAttrs returns JSON, or nil for nil.
func encodeAttrs(attrs map[string]string) *string {
	if attrs == nil {
		return nil
	}
	coded := make(map[string]string, len(attrs))
	for k, v := range attrs {
		coded[encodeText(k)] = encodeText(v)
	}
	text, _ := json.Marshal(coded) // strings always marshal
	s := string(text)
	return &s
}

func decodeAttrs(text *string) (map[string]string, error) {
	if text == nil {
		return nil, nil
	}
	var coded map[string]string
	if err := json.Unmarshal([]byte(*text), &coded); err != nil {
		return nil, unreadable(err)
	}
	attrs := make(map[string]string, len(coded))
	for k, v := range coded {
		attrs[decodeText(k)] = decodeText(v)
	}
	return attrs, nil
}

func unreadable(cause error) error {
	return core.Errorf(core.ErrInternal, "Stored data cannot be read").Because(cause)
}
