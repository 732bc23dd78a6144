// Package core is the domain of DynConfig: the contracts that backends, policies and transports meet, and the Engine
// between them. It imports the standard library only.
//
// This file holds every type and interface that crosses a package boundary below the Engine, and no logic.
// What the Engine offers to transports is in request.go.
package core

import (
	"context"
	"time"
)

// Revision numbers the commits of a deployment: the first is 1, each next exactly one more; 0 is before everything.
type Revision int64

// Doc is what an entry carries. A Store keeps it and never acts on it.
// Times here and below are UTC with microsecond precision.
type Doc struct {
	Value   []byte            // the value as sent; nil in a tombstone
	ACL     *ACL              // who may what; nil: nothing said, everything is inherited
	TTL     time.Duration     // how long a written value lives; 0: for ever
	Expires time.Time         // the instant at which it ends; zero: never
	Attrs   map[string]string // small facts about the entry, such as AttrExpired on a tombstone
}

// ACL lists the principals who may read, write and administer an item. An element is an exact name, or ends in one "*"
// and stands for every name that begins so. A nil list was not set and is inherited; an empty one means nobody.
type ACL struct {
	Read, Write, Admin []string
}

// Entry is the present state of a key. A tombstone (Deleted) keeps key, version and ACL, and has no value.
type Entry struct {
	Key      Key
	Doc      Doc
	Deleted  bool
	Version  int64     // 1, 2, 3 …: one more at every change of the key, deletions included
	Revision Revision  // the commit that last changed it
	Rules    Revision  // the commit that last created, deleted or re-ruled it (its ACL or TTL became another)
	Modified time.Time // that commit's Meta.Time
	Author   string    // that commit's Meta.Author
}

// OpKind says what an Op does to its key.
type OpKind uint8

// The operations of a transaction.
const (
	OpPut    OpKind = iota + 1 // the entry becomes Op.Doc
	OpDelete                   // the entry becomes a tombstone with its old ACL and Op.Doc.Attrs; nothing where none is live
	OpPurge                    // the entry is gone, its next version is 1; nothing where there is none
)

// Op is one change of a transaction. A key stands in at most one Op of a Txn.
type Op struct {
	Key Key
	Do  OpKind
	Doc Doc
	// Version is the one that the entry gets; 0: the next. It is for those who copy a history, whose beginning may no longer
	// be there: it must be greater than the one held, else ErrInvalid, and OpDelete with it leaves a tombstone with the ACL
	// of Doc, whatever there was.
	Version int64
}

// Check is what must still hold when a transaction commits.
// Version 0 and Rules 0 mean that there is no entry at all, not even a tombstone.
type Check struct {
	Key     Key
	Version *int64
	Rules   *Revision
}

// Meta says who made a commit, when, and why.
type Meta struct {
	ID     string    // unique to the attempt; a repeat within 10 minutes is answered with the first commit
	Time   time.Time // never goes back from commit to commit: the store raises it
	Author string
	Note   string
	Attrs  map[string]string
}

// Txn is a set of changes that happen together, if every Check holds, or not at all.
type Txn struct {
	Meta   Meta
	Checks []Check
	Ops    []Op
}

// Was is what matters of an entry before a change.
type Was struct {
	Exists  bool // there was an entry, perhaps a tombstone
	Deleted bool // it was a tombstone
	ACL     *ACL
}

// Change is one key's part of a commit. Entry is what the key became; after OpPurge, which leaves none, it is a
// tombstone that is one version further and stored nowhere but in the log.
type Change struct {
	Do    OpKind
	Entry Entry
	Was   Was
}

// Commit is one atomic step of the log and its own audit record. Changes are in key order; an Op that found nothing to
// do leaves none, so they may be empty.
type Commit struct {
	Revision Revision
	Meta     Meta
	Changes  []Change
}

// Record is one key's part of a commit, as History returns it.
type Record struct {
	Revision Revision
	Meta     Meta
	Change   Change
}

// Query selects the entries with From <= key < To in byte order; an empty To is the end.
type Query struct {
	From, To Key
	Limit    int      // at most so many entries; 0: as many as fit a page
	NoValue  bool     // leave Doc.Value out
	Deleted  bool     // tombstones too
	AtLeast  Revision // the page must show at least this revision
}

// Page is a consistent read: exactly the state at Revision.
type Page struct {
	Revision Revision
	Entries  []Entry // in key order, keys without an entry left out
	More     bool    // the range goes on after the last entry
}

// Status is a store's view of itself.
type Status struct {
	Epoch string    // [a-z0-9]{8,32}: changes only when history was lost or rewritten
	Head  Revision  // the newest commit
	Floor Revision  // Log answers for after >= Floor
	Clock time.Time // the store's own clock; zero if it has none
}

// A Store is an atomic, dense commit log with a table of the present beside it, and nothing else: no clock, no watchers,
// no TTL, no permissions, no callbacks. It promises:
//
//   - Atomic: a Txn happens whole or not at all, and is seen whole or not at all.
//   - Dense: revisions are 1, 2, 3 … in commit order.
//   - Ordered: once anyone has seen R, nothing at or below R appears later.
//   - Durable: what was acknowledged survives kill -9 and power loss, unless Limits.Durable is false.
//   - Timed: Meta.Time never goes back; the store raises it.
//
// Every error is one of this package's kinds (errors.go). Arguments are not kept after the call returns, and results
// belong to the caller but for byte slices, ACLs and maps, which nobody changes. Keys are opaque bytes, not empty, at most
// 1 KiB long.
type Store interface {
	// Commit applies a transaction. A failed Check gives a *ConflictError and writes nothing; a Meta.ID known from the
	// last 10 minutes gives the first commit again. ErrUnavailable leaves the outcome unknown: repeat with the same ID.
	// One Txn is not larger than Limits: ErrTooLarge.
	Commit(ctx context.Context, txn Txn) (Commit, error)
	// Sync returns a revision at or after every commit that was acknowledged, on any node, before the call.
	Sync(ctx context.Context) (Revision, error)
	// Get returns the entries of keys, tombstones included, in key order, all at one revision of at least atLeast, and
	// ErrUnavailable if that is ahead of what the store can show. At most MaxGet keys.
	Get(ctx context.Context, keys []Key, atLeast Revision) (Page, error)
	// List returns a page of a range, about PageBytes at most but at least one entry.
	List(ctx context.Context, q Query) (Page, error)
	// Log returns the commits after a revision, in order, whole: at most limit (0: as many as fit), about PageBytes, at
	// least one if there is one. Below the floor it is ErrCompacted; ahead of the head it is empty.
	Log(ctx context.Context, after Revision, limit int) ([]Commit, error)
	// History returns a key's changes before a revision (0: all), newest first: at most limit, about PageBytes, at least
	// one if there is one, and none is missing that was acknowledged before the call. Purging a key purges its history.
	History(ctx context.Context, key Key, before Revision, limit int) ([]Record, error)
	// Compact drops the log up to and including a revision, after raising the floor to it. History keeps the changes above
	// it and the last keep of each key. Entries stay.
	Compact(ctx context.Context, upTo Revision, keep int) error
	// Status reports the store's state and writes nothing, so that it serves as the health probe.
	Status(ctx context.Context) (Status, error)
}

// Sizes that every Store keeps to.
const (
	PageBytes = 4 << 20   // about how much one List or Log answer holds
	MaxGet    = 1000      // keys in one Get
	MaxValue  = 1_048_576 // bytes of one value as users send it; a Store also takes MaxOverhead more
	// MaxOverhead is what a decorator, such as encryption, may add to a value.
	MaxOverhead = 4096
	MinOps      = 50        // every backend takes this many operations in one Txn,
	MinBytes    = 1_048_576 // and this many bytes of values
	KeepIDs     = 10 * time.Minute
)

// Hint says that the log has grown to Head. It may carry the commit itself. Head 0: hints may have been missed, look.
type Hint struct {
	Head   Revision
	Commit *Commit
}

// A Bus carries hints between nodes. They may be lost, repeated, reordered or late: only latency depends on them.
type Bus interface {
	// Announce tells the other nodes of a commit. It does not wait for them.
	Announce(ctx context.Context, c Commit) error
	// Listen returns a channel of hints, closed when ctx ends. The first hint is Head 0.
	Listen(ctx context.Context) (<-chan Hint, error)
}

// Subject is who asks: the verified claims of a token.
type Subject struct {
	Username string
	Claims   map[string]any // as the token had them; numbers are json.Number
	Expires  time.Time      // of the token; zero: never
	// Lapses reports whether the token counts no longer: its time is up, with all leeway, or the key that it is signed with is
	// gone. It is asked often, and costs no more than an atomic load. nil: it always counts.
	Lapses func(now time.Time) bool `json:"-"`
}

// Lapsed reports whether the token counts no longer, although it did when the Subject was verified.
func (s *Subject) Lapsed(now time.Time) bool { return s != nil && s.Lapses != nil && s.Lapses(now) }

// Action is what a subject wants to do to an item.
type Action string

// The actions a policy is asked about.
const (
	ActionRead   Action = "read"
	ActionList   Action = "list"
	ActionWatch  Action = "watch"
	ActionCreate Action = "create"
	ActionWrite  Action = "write"
	ActionDelete Action = "delete"
	ActionAdmin  Action = "admin"
)

// Changes is the set of members that a write sends, for the policy's request.changes.
type Changes uint8

// The members of Changes, in the order in which a policy sees them.
const (
	ChangesValue Changes = 1 << iota
	ChangesTTL
	ChangesACLs
	ChangesSchema
)

// Access is one question to the policy.
type Access struct {
	Action      Action
	Kind        Kind
	Environment string // name, not id
	Key         string // name of the item; for list and watch the namespace or pattern
	Exists      bool
	ACL         *Rules // the item's own, or its tombstone's; nil: none
	Chain       *Chain // the records of its namespaces; nil: none
	Operation   string // what the caller is doing: get, list, put, patch, delete, watch …
	Changes     Changes
	Address     string
	Time        time.Time

	// For records of the decision; no policy sees them.
	Request  string // the id of the request that asks
	Hides    bool   // a denial leaves something out of an answer, and refuses nothing
	Supposed bool   // nobody asks: it is found out what somebody would be told
}

// Grant is the line that allowed an access.
type Grant struct {
	Source string // key, namespace or server
	Name   string // the key or namespace
	List   string // read, write or admin
	Entry  string // the element of the list
}

// Decision answers an Access. The zero Decision denies.
type Decision struct {
	Allow  bool
	Late   bool // it denies because there was no answer in time: there may be one the next time
	Rule   string
	Reason string
	Grant  *Grant
}

// An Authorizer decides. An error denies all.
type Authorizer interface {
	// Authorize answers one question. who and what ask points to are not changed or kept, but for interned rules.
	Authorize(ctx context.Context, who *Subject, ask Access) (Decision, error)
	// Generation changes whenever an earlier answer may have changed for another reason than its Access. It does not wait, and
	// asks nothing of the Engine, which calls it under a lock.
	Generation() uint64
}

// Budget is what a Limiter leaves to a principal.
type Budget struct {
	Allowed   bool
	Limit     int           // requests a minute; 0: no limit
	Remaining int           // left now
	Reset     time.Duration // until the bucket is full again
	Retry     time.Duration // when not allowed: until the next one would be
}

// A Limiter counts requests against a token bucket for each principal.
type Limiter interface {
	// Take asks for n requests of the principal's budget. An error means that the limiter is away; the caller then counts
	// by itself.
	Take(ctx context.Context, principal string, n int) (Budget, error)
}

// Outcome is how an audited action ended.
type Outcome string

// The outcomes of an audited action.
const (
	OutcomeAllowed Outcome = "allowed"
	OutcomeDenied  Outcome = "denied"
	OutcomeFailed  Outcome = "failed"
)

// AuditEntry says who did what, when, and what came of it. It never holds a value.
type AuditEntry struct {
	Time        time.Time `json:"time"`
	Actor       string    `json:"actor"`
	Action      string    `json:"action"`
	Kind        Kind      `json:"kind"`
	Key         string    `json:"key"`
	Environment string    `json:"environment"`
	Outcome     Outcome   `json:"outcome"`
	Rule        string    `json:"rule,omitempty"`
	Revision    Revision  `json:"revision,omitempty"`
	RequestID   string    `json:"requestId,omitempty"`
	Address     string    `json:"address,omitempty"`
}

// An Audit keeps records of writes and denials. Append does not wait for the disk and does not fail: an Audit that cannot
// keep a record counts it and says so in its own health.
type Audit interface {
	Append(entries ...AuditEntry)
}

// A Cache keeps immutable entries, shared by nodes. A miss is (nil, nil).
type Cache interface {
	Get(ctx context.Context, epoch string, key Key, version int64) (*Entry, error)
	Put(ctx context.Context, epoch string, e Entry) error
}

// A Sealer encrypts values at rest. bound is authenticated with the value: opening with another fails.
type Sealer interface {
	Seal(plain, bound []byte) ([]byte, error)
	Open(sealed, bound []byte) ([]byte, error)
}

// Limits are a backend's sizes and facts, never semantics.
type Limits struct {
	MaxOps   int  // operations in one Txn, at least MinOps
	MaxBytes int  // bytes of values in one Txn, at least MinBytes
	Shared   bool // other processes may write to the same store
	Durable  bool // acknowledged commits survive power loss
}

// Backend is an opened backend. Store alone is required. Optional parts are nil fields, never type assertions, so that no
// decorator can hide them.
type Backend struct {
	Name    string
	Store   Store
	Bus     Bus     // nil: the Engine polls
	Limiter Limiter // nil: counted in this process
	Audit   Audit   // nil: JSON lines in the data directory
	Cache   Cache   // nil: none
	Limits  Limits
	Close   func() error // ends everything; a second call does nothing
}
