package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// This file holds what transports say to the Engine and hear from it.

// Caller is on whose behalf the Engine acts, and where. Environment is a name.
type Caller struct {
	Subject     *Subject
	Environment string
	Address     string // of the peer, for policy and audit
	RequestID   string // for audit and logs

	supposed bool  // somebody else asks what this one would be told
	once     *Once // a change of the policy under an idempotency key
}

// Position is a place in the log: after commit Revision or, if Sub is not 0, after the first Sub changes of it.
// Users see it as an opaque string: "epoch:417", "epoch:417.2".
type Position struct {
	Epoch    string
	Revision Revision
	Sub      int
}

func (p Position) String() string {
	s := p.Epoch + ":" + strconv.FormatInt(int64(p.Revision), 10)
	if p.Sub > 0 {
		s += "." + strconv.Itoa(p.Sub)
	}
	return s
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	epoch, rest, ok := strings.Cut(s, ":")
	number, sub, hasSub := strings.Cut(rest, ".")
	rev, err := strconv.ParseInt(number, 10, 64)
	p := Position{Epoch: epoch, Revision: Revision(rev)}
	if hasSub && err == nil {
		p.Sub, err = strconv.Atoi(sub)
	}
	if !ok || epoch == "" || err != nil || p.String() != s || rev < 0 || p.Sub < 0 {
		return Position{}, Errorf(ErrMalformed, "Revision is not one that this server gave out")
	}
	return p, nil
}

// Read is what to read of one item, and how.
type Read struct {
	Kind   Kind
	Name   string
	Since  *int64        // answer only with another version than this one (a greater one, or the count began anew)
	Wait   time.Duration // hold the answer until then, at most MaxWait
	Strong bool          // linearizable: at least every write acknowledged before
	Min    *Position     // at least this
	Op     string        // what the policy sees as operation; "get" if empty
	Admin  bool          // find out Item.Admin, too
	Hide   bool          // a denied item is held as an absent one is, so that a hold does not tell them apart

	denied bool // it was, and that is recorded
}

// MaxWait is the longest a Read is held; MinRevisionWait how long it waits for Read.Min.
const (
	MaxWait         = 60 * time.Second
	MinRevisionWait = 5 * time.Second
)

// Item is one entry as a caller may see it.
type Item struct {
	Name        string
	Entry       Entry
	NotModified bool          // Since was not passed by: Entry has its Version but not its Value
	Stale       time.Duration // for how long the store has been away; 0: it is not
	Admin       bool          // with Read.Admin: the caller may see Entry.Doc.ACL
}

// Filter is what to list: the items in a namespace that the caller may read (and may do Access to).
type Filter struct {
	Kind      Kind
	Namespace string // "" or RootName: everything
	After     string // names after this one
	Limit     int    // 1–MaxLimit; 0: DefaultLimit
	Access    Action // ActionRead or ActionWrite; "": read
	Principal string // what this one may see, of the items that the caller administers; "": the caller
	Values    bool

	as *Caller // Principal, if that is another
}

// Sizes of a list.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	MaxCounted   = 10_000
	MaxKeys      = 100 // exact keys in one request
)

// Listing is a page of a list.
type Listing struct {
	Names      []string
	Items      []Item // with Filter.Values or exact keys: those of Names whose value the caller may read
	Total      int    // visible items in the namespace, at all pages
	LowerBound bool   // counting stopped at MaxCounted
	Next       string // the After of the next page; "": this was the last
	Position   Position
	Stale      time.Duration // for how long the store has been away; 0: it is not

	administered bool // the caller administers an item that was looked at
}

// WriteOp is what a Write does.
type WriteOp string

// The kinds of Write.
const (
	WritePut    WriteOp = "put"
	WritePatch  WriteOp = "patch"
	WriteDelete WriteOp = "delete"
	WritePurge  WriteOp = "purge" // for server admins: the key's versions begin anew
)

// Write is one change that a caller wants.
type Write struct {
	Op   WriteOp
	Kind Kind
	Name string

	Value   []byte // JSON text without outer white space; nil: not sent
	ACL     *ACL
	SetACL  bool // ACL was sent; nil removes it
	TTL     time.Duration
	SetTTL  bool // TTL was sent; 0 removes it
	IfMatch *Match
	IfNone  *Match
}

// Match is a list of versions in a condition, or any version at all ("*").
type Match struct {
	Any      bool
	Versions []int64
}

// Holds reports whether an item of that version is matched; version 0 is an absent item.
func (m *Match) Holds(version int64) bool {
	if version == 0 {
		return false
	}
	if m.Any {
		return true
	}
	for _, v := range m.Versions {
		if v == version {
			return true
		}
	}
	return false
}

// Request is a set of Writes that happen together, if their conditions hold.
type Request struct {
	Writes []Write
	Note   string
	// Idempotency is the client's key for repeating the request; "": none. Digest identifies the request's content.
	Idempotency string
	Digest      [32]byte
}

// Limits of a request.
const (
	MaxTTL            = 315_360_000 * time.Second
	MaxIdempotency    = 255
	IdempotencyWindow = 24 * time.Hour
)

// Result is what became of a Request.
type Result struct {
	Position Position
	Written  []Written // as Request.Writes
	Repeated bool      // answered from an earlier success of the same Idempotency
}

// Written is what became of one Write.
type Written struct {
	Name     string
	Version  int64
	Modified time.Time
	Created  bool // absent before
}

// Subscription is one subscribe message.
type Subscription struct {
	ID       string // echoed, as raw JSON
	Patterns []string
	// At most one of these; none follows from now on.
	SinceRevision string
	SinceVersion  *int64
	Snapshot      bool

	Every bool // end with ErrSlow rather than conflate
}

// EventKind is what an Event tells.
type EventKind string

// The kinds of Event.
const (
	EventSubscribed   EventKind = "subscribed"
	EventUnsubscribed EventKind = "unsubscribed"
	EventUpdate       EventKind = "update"
	EventDelete       EventKind = "delete"
	EventExpired      EventKind = "expired"
	EventBookmark     EventKind = "bookmark"
	EventReset        EventKind = "reset"
	EventRevoked      EventKind = "revoked"
	EventGranted      EventKind = "granted"
	EventExpiring     EventKind = "token_expiring"
	EventError        EventKind = "error"
)

// Event is one frame to a watcher. Only the members of its kind are set.
type Event struct {
	Kind       EventKind
	ID         string // of the message it answers, as raw JSON
	Patterns   []string
	Key        string
	Version    int64
	Value      []byte
	Modified   time.Time
	Position   Position
	More       bool // further frames of the same commit follow
	Snapshot   bool
	Conflated  bool
	Synced     bool
	Expires    time.Time // of the token
	Code, Text string    // of an error

	shared *frame
}

// frame is a place for the encoding of an event that many watchers get.
type frame struct{ once onceBytes }

// Encoded returns encode(e), computed once for all watchers that get the same event. The bytes are not to be changed.
func (e *Event) Encoded(encode func(*Event) []byte) []byte {
	if e.shared == nil {
		return encode(e)
	}
	return e.shared.once.get(func() []byte { return encode(e) })
}

// Codes of error events.
const (
	CodeTooMany     = "too_many_subscriptions"
	CodeBadPattern  = "bad_pattern"
	CodeBadRevision = "bad_revision"
	CodeBadMessage  = "bad_message"
	CodeEnvironment = "environment_not_found"
)

// MaxPatterns is how many patterns one watcher may follow.
const MaxPatterns = 1000

// ErrSlow ends a watcher that asked for every event and fell too far behind.
var ErrSlow = fmt.Errorf("watcher is too slow: %w", ErrTooLarge)
