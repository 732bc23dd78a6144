package core

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects of a value may be nested.
const MaxDepth = 64

// CheckValue reports what is wrong with a value: not JSON, not UTF-8, nested too deep, too large.
func CheckValue(value []byte) error {
	invalid := func(reason string) error {
		return &Error{Kind: ErrInvalid, Detail: "Value is not valid: " + reason, Fields: []FieldError{{Path: "value", Reason: reason}}}
	}
	switch {
	case len(value) > MaxValue:
		return Errorf(ErrTooLarge, "Value is larger than %d bytes", MaxValue)
	case !utf8.Valid(value):
		return invalid("it is not UTF-8")
	case depth(value) > MaxDepth:
		return invalid("it is nested deeper than " + strconv.Itoa(MaxDepth))
	case !json.Valid(value):
		return invalid("it is not JSON")
	}
	return nil
}

// depth returns how deep the brackets of a JSON text are nested.
func depth(text []byte) int {
	if bytes.IndexByte(text, '{') < 0 && bytes.IndexByte(text, '[') < 0 {
		return 0
	}
	now, deepest, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			now++
			deepest = max(deepest, now)
		case b == '}' || b == ']':
			now--
		}
	}
	return deepest
}

// check reports what is wrong with a write, whatever the state of its key.
func (w *Write) check() error {
	if err := checkItemName(w.Kind, w.Name); err != nil {
		return err
	}
	if w.Kind == KindKey && strings.HasPrefix(w.Name, TopicsPrefix) && w.Op == WritePut { // what is not there cannot be patched either
		reason := "keys under " + TopicsPrefix + " are topics and cannot be created"
		return &Error{Kind: ErrInvalid, Detail: "Key is not valid: " + reason, Fields: []FieldError{{Path: "key", Reason: reason}}}
	}
	switch w.Op {
	case WriteDelete, WritePurge:
		return nil
	case WritePut:
		if w.Kind == KindKey && w.Value == nil {
			return missing("value")
		}
	case WritePatch:
		if w.Value == nil && !w.SetACL && !w.SetTTL {
			return missing("value, acls or ttl")
		}
	default:
		return Errorf(ErrInvalid, "%q is not an operation", string(w.Op))
	}
	if w.SetTTL && (w.TTL < 0 || w.TTL > MaxTTL || w.TTL%time.Second != 0) {
		return &Error{Kind: ErrInvalid, Detail: "ttl is a whole number of seconds, 1 to 315360000", Fields: []FieldError{{Path: "ttl", Reason: "not a whole number of seconds from 1 to 315360000"}}}
	}
	if err := w.ACL.Check(); err != nil {
		return err
	}
	if w.Value != nil {
		return CheckValue(w.Value)
	}
	return nil
}

func missing(what string) error {
	return &Error{Kind: ErrInvalid, Detail: "Send " + what, Fields: []FieldError{{Path: "", Reason: what + " is missing"}}}
}
