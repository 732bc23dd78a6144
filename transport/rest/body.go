package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// MaxBody bounds the body of a write of one item: a value, an ACL with every byte of it escaped, and white space.
const MaxBody = core.MaxValue + 6*core.MaxACLBytes + 1<<16

// bodyTime is how long a body may take to arrive.
const bodyTime = 30 * time.Second

// body reads the whole body of a request that must be JSON, of at most so many bytes. A body without Content-Type is taken
// for JSON.
func (c *call) body(most int64) ([]byte, error) {
	if err := checkType(c.r.Header); err != nil {
		return nil, err
	}
	tooLarge := core.Errorf(core.ErrTooLarge, "The body is larger than %d bytes", most)
	if c.r.ContentLength > most {
		return nil, tooLarge
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	if err == nil {
		c.bodyBy(time.Time{})
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, core.Errorf(core.ErrMalformed, "The body did not arrive whole").Because(err)
	}
	return text, nil
}

// bodyBy sets until when the body must have arrived; zero: it has. A connection that cannot has limits of its own.
func (c *call) bodyBy(at time.Time) { _ = http.NewResponseController(c.w).SetReadDeadline(at) }

func checkType(h http.Header) error {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return core.Errorf(core.ErrUnsupported, "A body with Content-Encoding is not taken")
	}
	sent := h.Get("Content-Type")
	if sent == "" || sent == "application/json" {
		return nil
	}
	media, params, err := mime.ParseMediaType(sent)
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return core.Errorf(core.ErrUnsupported, "Send application/json")
	}
	return nil
}

// readWrite fills w from a body. Which members there may be is the operation's choice.
func readWrite(w *core.Write, body []byte, members ...string) error {
	return wire.Object(body, func(name string, v wire.Value) error {
		known := false
		for _, m := range members {
			known = known || m == name
		}
		switch {
		case !known:
			return v.Unknown()
		case name == "value":
			if len(v.Raw) > core.MaxValue {
				return core.Errorf(core.ErrTooLarge, "The value is larger than %d bytes", core.MaxValue)
			}
			w.Value = v.Raw
		case name == "ttl":
			return readTTL(w, v)
		case name == "acls":
			return readACL(w, v)
		}
		return nil
	})
}

func readTTL(w *core.Write, v wire.Value) error {
	w.SetTTL = true
	if v.Null() {
		return nil
	}
	n, err := v.ReadInt()
	if err != nil || n < 1 || n > int64(core.MaxTTL/time.Second) {
		return v.Fault("must be a whole number of seconds, 1 to 315360000, or null")
	}
	w.TTL = time.Duration(n) * time.Second
	return nil
}

func readACL(w *core.Write, v wire.Value) error {
	w.SetACL = true
	if v.Null() {
		return nil
	}
	w.ACL = &core.ACL{}
	err := v.Members(func(name string, v wire.Value) (err error) {
		switch name {
		case "read":
			w.ACL.Read, err = v.ReadStrings()
		case "write":
			w.ACL.Write, err = v.ReadStrings()
		case "admin":
			w.ACL.Admin, err = v.ReadStrings()
		default:
			err = v.Unknown()
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.ACL.Check()
}

// required makes the fault of a member that is missing.
func required(member string) error { return wire.Fault(member, "is required") }
