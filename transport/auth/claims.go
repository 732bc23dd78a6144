package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxDepth is how deep the JSON of a token may nest.
const maxDepth = 64

// claims are a token's claims, read so that two readers cannot understand them differently: no member twice, no text that
// a decoder would have to replace, and numbers as they were written.
type claims struct{ jwt.MapClaims }

// UnmarshalJSON is called by the JWT parser.
func (c *claims) UnmarshalJSON(data []byte) error {
	m, err := parseObject(data)
	c.MapClaims = m
	return err
}

// Validate is called by the JWT parser once the signature holds. The parser checks exp, nbf and iat itself, but takes
// numbers that no calendar holds, which would overflow into another time.
func (c *claims) Validate() error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if _, err := c.instant(name); err != nil {
			return err
		}
	}
	return nil
}

// instant returns the time in a numeric claim, to the second as the parser compares it; the zero time if it is absent.
func (c *claims) instant(name string) (time.Time, error) {
	v, ok := c.MapClaims[name]
	if !ok {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, fmt.Errorf("claim %s is not a number", name)
	}
	const year9999 = 253_402_300_799
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > year9999 {
		return time.Time{}, fmt.Errorf("claim %s is out of range", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// parseObject reads one JSON object, strictly, with numbers as json.Number.
func parseObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if loneSurrogate(data) {
		return nil, errors.New("half of a surrogate pair")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := parseValue(dec, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the object")
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	return m, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, errors.New("broken JSON")
	}
	opening, nested := t.(json.Delim)
	if !nested {
		return t, nil
	}
	if depth == 0 {
		return nil, errors.New("nested too deep")
	}
	if opening == '[' {
		return parseArray(dec, depth)
	}
	return parseMembers(dec, depth)
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := parseValue(dec, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, closing(dec)
}

func parseMembers(dec *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("broken JSON")
		}
		if _, twice := m[name]; twice {
			return nil, errors.New("a member stands twice")
		}
		if m[name], err = parseValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	return m, closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errors.New("broken JSON")
	}
	return nil
}

// loneSurrogate reports whether a string in the JSON text escapes half of a surrogate pair. The decoder would put U+FFFD
// in its place, and two different names would become one.
func loneSurrogate(data []byte) bool {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, ok := escaped(data[i:])
		if !ok || !utf16.IsSurrogate(first) {
			i++ // the escaped character, perhaps a backslash
			continue
		}
		second, ok := escaped(data[min(i+6, len(data)):])
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 11
	}
	return false
}

func escaped(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}
