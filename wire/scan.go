package wire

import (
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested in a value.
const MaxDepth = 64

// The scanner finds where JSON values end without building them, so that a value is kept as the bytes that were sent: big
// numbers, member order and escapes included. It takes RFC 8259 and nothing more. The text must be valid UTF-8.

// fault is where and why a scan stopped.
type fault struct {
	at   int
	deep bool // nested deeper than allowed, else not JSON
}

func (f *fault) Error() string { return "not JSON" }

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// scan returns the end of the value that begins at i; depth is how many arrays and objects it may still open.
func scan(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, &fault{at: i}
	}
	switch c := b[i]; {
	case c == '"':
		return scanString(b, i)
	case c == '{':
		return scanInside(b, i, '}', depth)
	case c == '[':
		return scanInside(b, i, ']', depth)
	case c == '-' || digit(c):
		return scanNumber(b, i)
	}
	for _, word := range []string{"true", "false", "null"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word), nil
		}
	}
	return i, &fault{at: i}
}

// scanInside scans an array or object that begins at i and ends with the byte end.
func scanInside(b []byte, i int, end byte, depth int) (int, error) {
	if depth == 0 {
		return i, &fault{at: i, deep: true}
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1, nil
	}
	for {
		var err error
		if end == '}' {
			if _, i, err = scanName(b, i); err != nil {
				return i, err
			}
		}
		if i, err = scan(b, i, depth-1); err != nil {
			return i, err
		}
		i = space(b, i)
		switch {
		case i < len(b) && b[i] == end:
			return i + 1, nil
		case i >= len(b) || b[i] != ',':
			return i, &fault{at: i}
		}
		i = space(b, i+1)
	}
}

// scanName scans a member's name and colon: the quoted name, and where its value begins.
func scanName(b []byte, i int) (name []byte, value int, err error) {
	if i >= len(b) || b[i] != '"' {
		return nil, i, &fault{at: i}
	}
	end, err := scanString(b, i)
	if err != nil {
		return nil, end, err
	}
	colon := space(b, end)
	if colon >= len(b) || b[colon] != ':' {
		return nil, colon, &fault{at: colon}
	}
	return b[i:end], space(b, colon+1), nil
}

func scanString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, &fault{at: i}
		case c == '\\':
			if i++; i >= len(b) {
				return i, &fault{at: i}
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(b, i+1); !ok {
					return i, &fault{at: i}
				}
				i += 4
			default:
				return i, &fault{at: i}
			}
		}
	}
	return i, &fault{at: i}
}

func scanNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	var err error
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, err = digits(b, i); err != nil {
		return i, err
	}
	if i < len(b) && b[i] == '.' {
		if i, err = digits(b, i+1); err != nil {
			return i, err
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i, nil
}

// digits scans at least one digit.
func digits(b []byte, i int) (int, error) {
	if i >= len(b) || !digit(b[i]) {
		return i, &fault{at: i}
	}
	for i < len(b) && digit(b[i]) {
		i++
	}
	return i, nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func hex4(b []byte, i int) (r rune, ok bool) {
	if len(b) < i+4 {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case digit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote reads a scanned string. ok is false for one with half a surrogate pair, which no UTF-8 text can hold.
func unquote(quoted []byte) (s string, ok bool) {
	in := quoted[1 : len(quoted)-1]
	plain := true
	for _, c := range in {
		plain = plain && c != '\\'
	}
	if plain {
		return string(in), true
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			out = append(out, in[i])
			continue
		}
		i++
		if in[i] != 'u' {
			out = append(out, unescaped(in[i]))
			continue
		}
		r, _ := hex4(in, i+1)
		i += 4
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if i+2 < len(in) && in[i+1] == '\\' && in[i+2] == 'u' {
				low, _ = hex4(in, i+3)
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", false
			}
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), true
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
