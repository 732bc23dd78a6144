package client

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// rawValue returns a value as JSON text. What is raw already keeps its bytes.
func rawValue(value any) ([]byte, error) {
	if raw, ok := value.(json.RawMessage); ok {
		if !json.Valid(raw) {
			return nil, core.Errorf(core.ErrMalformed, "Value is not JSON")
		}
		return raw, nil
	}
	return encode(value)
}

// encode is json.Marshal that leaves < > & as they are.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, core.Errorf(core.ErrMalformed, "Value cannot be written as JSON").Because(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// body composes the object that a write sends. It is put together by hand because encoding/json would compact the value,
// which the server returns byte for byte.
func (o WriteOptions) body(value []byte) ([]byte, error) {
	var members [][]byte
	add := func(name string, raw []byte) {
		members = append(members, append([]byte(strconv.Quote(name)+":"), raw...))
	}
	if value != nil {
		add("value", value)
	}
	switch {
	case o.ClearTTL:
		add("ttl", []byte("null"))
	case o.TTL != 0:
		if o.TTL%time.Second != 0 {
			return nil, core.Errorf(core.ErrInvalid, "TTL is not a whole number of seconds")
		}
		add("ttl", strconv.AppendInt(nil, int64(o.TTL/time.Second), 10))
	}
	switch {
	case o.ClearACLs:
		add("acls", []byte("null"))
	case o.ACLs != nil:
		raw, err := encode(o.ACLs)
		if err != nil {
			return nil, err
		}
		add("acls", raw)
	}
	return append(append([]byte("{"), bytes.Join(members, []byte(","))...), '}'), nil
}

// header holds a write's conditions and the key under which it may be repeated.
func (o WriteOptions) header() http.Header {
	h := http.Header{}
	if o.IfVersion != 0 {
		h.Set("If-Match", strconv.Quote(strconv.FormatInt(o.IfVersion, 10)))
	}
	if o.IfAbsent {
		h.Set("If-None-Match", "*")
	}
	if o.IdempotencyKey == "" {
		o.IdempotencyKey = rand.Text()
	}
	h.Set(wire.HeaderIdempotency, o.IdempotencyKey)
	return h
}
