package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// AuditFile is the name of the audit log in the data directory; older parts are audit.log.1, audit.log.2 …
const AuditFile = "audit.log"

// Shape of the audit log.
const (
	auditDelay = 100 * time.Millisecond // how long a record waits for others to be written with
	auditRetry = time.Second            // between tries while the log cannot be written
)

// AuditOptions are an Audit's optional parts; the zero value works.
type AuditOptions struct {
	MaxBytes int64            // of one file; 0: 64 MiB
	Files    int              // kept, the one being written included; 0: 8
	Queue    int              // records that wait in memory while the log cannot be written; 0: 65,536
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: none
}

// AuditStats are figures of an Audit.
type AuditStats = JournalStats

// Audit is the journal of writes and denials in the data directory. Run writes a record a tenth of a second after it came.
type Audit struct {
	*journal[core.AuditEntry]
	wake chan struct{}
}

var _ core.Audit = (*Audit)(nil)

// OpenAudit opens the audit log in dir, to be appended to. A last line that a crash tore is cut off.
func OpenAudit(dir string, o AuditOptions) (*Audit, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultFileBytes
	}
	if o.Files <= 0 {
		o.Files = defaultFiles
	}
	if o.Queue <= 0 {
		o.Queue = 1 << 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	j, err := openJournal(filepath.Join(dir, AuditFile), kind[core.AuditEntry]{
		name: "audit log", maxBytes: o.MaxBytes, files: o.Files, queue: o.Queue, now: o.Now, logger: o.Logger,
		weigh: func(core.AuditEntry) int { return 1 },
		encode: func(b *bytes.Buffer, e *core.AuditEntry) {
			out := json.NewEncoder(b)
			out.SetEscapeHTML(false)
			_ = out.Encode(e) // strings and numbers into memory: it cannot fail
		},
		loss: func(n uint64, at time.Time) core.AuditEntry {
			return core.AuditEntry{
				Time: at, Actor: "dynconfig", Action: "lost", Kind: core.KindAudit,
				Key: strconv.FormatUint(n, 10) + " records", Outcome: core.OutcomeFailed,
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return &Audit{journal: j, wake: make(chan struct{}, 1)}, nil
}

// Append queues records. After Close they are lost, and counted so.
func (a *Audit) Append(entries ...core.AuditEntry) {
	a.journal.Append(entries...)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends. What comes later is written by Close.
func (a *Audit) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		for pause := auditDelay; pause > 0; {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			pause = 0
			if a.flush() != nil {
				pause = auditRetry
			}
		}
	}
}
