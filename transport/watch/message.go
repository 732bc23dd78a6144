package watch

import (
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// maxMessage is the most bytes of one client message.
const maxMessage = 1 << 20

// message is what a client frame asks for: one of subscribe, unsubscribe and token, or a token beside subscribe.
type message struct {
	subscribe   *core.Subscription
	unsubscribe []string // not nil: asked for, perhaps of nothing
	token       string
	id          string // raw JSON to be echoed; "" for none
	fault       *fault // the message can be read, but what it asks for cannot be done
}

// fault is what an error event says.
type fault struct{ code, text string }

// options is how a subscription begins. What excludes each other is told by an error event, not by closing, because the
// message is well-formed.
type options struct {
	revision *string
	version  *int64
	snapshot bool
	every    bool
}

// apply writes the options into s.
func (o options) apply(s *core.Subscription) *fault {
	chosen := 0
	for _, set := range []bool{o.revision != nil, o.version != nil, o.snapshot} {
		if set {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return &fault{core.CodeBadMessage, "since_version, since_revision and snapshot exclude each other"}
	case o.version != nil && *o.version < 0:
		return &fault{core.CodeBadMessage, "since_version must not be negative"}
	}
	if o.revision != nil {
		if _, err := core.ParsePosition(*o.revision); err != nil {
			return &fault{core.CodeBadRevision, sentence(err)}
		}
		s.SinceRevision = *o.revision
	}
	s.SinceVersion, s.Snapshot, s.Every = o.version, o.snapshot, o.every
	return nil
}

// parseMessage reads a client frame strictly. An error means that the frame is not a message at all: its text is the
// reason of the close.
func parseMessage(text []byte) (message, error) {
	var (
		m         message
		o         options
		optional  string // a member that only stands beside subscribe
		subscribe []string
	)
	err := wire.Object(text, func(name string, member wire.Value) (err error) {
		switch name {
		case "subscribe":
			subscribe, err = patterns(member)
		case "unsubscribe":
			m.unsubscribe, err = patterns(member)
		case "token":
			if m.token, err = member.ReadString(); err == nil && m.token == "" {
				err = member.Fault("must not be empty")
			}
		case "id":
			m.id = string(member.Raw)
		case "since_revision":
			var s string
			s, err = member.ReadString()
			o.revision, optional = &s, name
		case "since_version":
			var n int64
			n, err = member.ReadInt()
			o.version, optional = &n, name
		case "snapshot":
			o.snapshot, err = member.ReadBool()
			optional = name
		case "every":
			o.every, err = member.ReadBool()
			optional = name
		default:
			return member.Unknown()
		}
		return err
	})
	switch {
	case err != nil:
		return message{}, err
	case subscribe != nil && m.unsubscribe != nil, m.unsubscribe != nil && m.token != "",
		subscribe == nil && m.unsubscribe == nil && m.token == "":
		return message{}, core.Errorf(core.ErrMalformed, "Send exactly one of subscribe, unsubscribe and token")
	case optional != "" && subscribe == nil:
		return message{}, core.Errorf(core.ErrMalformed, "%s stands only beside subscribe", optional)
	}
	if subscribe != nil {
		m.subscribe = &core.Subscription{ID: m.id, Patterns: subscribe}
		m.fault = o.apply(m.subscribe)
	}
	return m, nil
}

// patterns reads a list of strings; what they say is judged by the Engine.
func patterns(v wire.Value) ([]string, error) {
	if v.Null() {
		return nil, v.Fault("must be an array")
	}
	return v.ReadStrings()
}

// sentence is the public text of an error.
func sentence(err error) string {
	return wire.ProblemOf(err, "").Detail
}
