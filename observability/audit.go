package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// AuditFile is the name of the audit log in the data directory; older parts are audit.log.1, audit.log.2 …
const AuditFile = "audit.log"

// Shape of the audit log.
const (
	auditDelay   = 100 * time.Millisecond // how long a record waits for others to be written with
	auditRetry   = time.Second            // between tries while the log cannot be written
	auditBatch   = 1024                   // records in one write
	auditLostFor = 10 * time.Minute       // how long a loss shows in Health
	auditRemind  = time.Minute            // between lines of the server's log about losses that go on
)

// AuditOptions are an Audit's optional parts; the zero value works.
type AuditOptions struct {
	MaxBytes int64            // of one file; 0: 64 MiB
	Files    int              // kept, the one being written included; 0: 8
	Queue    int              // records that wait in memory while the log cannot be written; 0: 65,536
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: none
}

// AuditStats are figures of an Audit, counted since it was opened; Waiting is as it is now.
type AuditStats struct{ Written, Lost, Waiting uint64 }

// Audit keeps records as JSON lines in the data directory. Run writes them, a tenth of a second after the first came.
//
// Append never waits: a request is not held up by a disk. While the log cannot be written, as on a full disk, records wait
// in memory; past Queue of them further ones are lost. A loss is counted, logged, shown in Health for ten minutes, and
// recorded in the log itself once that can be written again.
type Audit struct {
	o    AuditOptions
	path string
	wake chan struct{}

	mu      sync.Mutex
	queue   []core.AuditEntry
	stats   AuditStats
	lostAt  time.Time
	failing bool
	closed  bool

	writing  sync.Mutex // held by who writes; guards what follows
	file     *logFile
	batch    bytes.Buffer // encoded, not yet written
	batched  uint64       // records in batch
	reported uint64       // how many of stats.Lost are recorded in the file,
	told     uint64       // and in the server's log,
	toldAt   time.Time    // when
	unturned bool         // the last rotation failed
}

var _ core.Audit = (*Audit)(nil)

// OpenAudit opens the audit log in dir, to be appended to. A last line that a crash tore is cut off.
func OpenAudit(dir string, o AuditOptions) (*Audit, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 64 << 20
	}
	if o.Files <= 0 {
		o.Files = 8
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
	path := filepath.Join(dir, AuditFile)
	file, torn, err := openLogFile(path, o.MaxBytes, o.Files)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if torn > 0 {
		o.Logger.Warn("audit log ended in half a record, which was cut off", "bytes", torn)
	}
	return &Audit{o: o, path: path, wake: make(chan struct{}, 1), file: file}, nil
}

// Append queues records. After Close they are lost, and counted so.
func (a *Audit) Append(entries ...core.AuditEntry) {
	a.mu.Lock()
	room := max(0, a.o.Queue-len(a.queue))
	if a.closed {
		room = 0
	}
	kept := min(room, len(entries))
	a.queue = append(a.queue, entries[:kept]...)
	if lost := len(entries) - kept; lost > 0 {
		a.stats.Lost += uint64(lost)
		a.lostAt = a.o.Now()
	}
	a.mu.Unlock()
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

// Close writes what is left, makes it durable and closes the file. A second call does nothing.
func (a *Audit) Close() error {
	a.mu.Lock()
	closed := a.closed
	a.closed = true
	a.mu.Unlock()
	if closed {
		return nil
	}
	err := a.flush()
	a.writing.Lock()
	defer a.writing.Unlock()
	if err != nil {
		err = fmt.Errorf("%d audit records were not written: %w", a.batched+a.Stats().Waiting, err)
	}
	return errors.Join(err, a.file.close())
}

// Health is degraded while the log cannot be written, and for ten minutes after a record was lost.
func (a *Audit) Health() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failing || !a.lostAt.IsZero() && a.o.Now().Sub(a.lostAt) < auditLostFor {
		return core.Degraded
	}
	return core.Healthy
}

// Stats returns the figures as they are now.
func (a *Audit) Stats() AuditStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Waiting = uint64(len(a.queue))
	return s
}

// flush writes everything that is queued.
func (a *Audit) flush() error {
	a.writing.Lock()
	defer a.writing.Unlock()
	for {
		if a.batch.Len() == 0 && !a.encode() {
			a.report(nil)
			return nil
		}
		// What a failed write has written already leaves the batch, so that no line is torn when the disk has room again.
		if _, err := a.batch.WriteTo(a.file); err != nil {
			a.report(err)
			return err
		}
		a.mu.Lock()
		a.stats.Written += a.batched
		a.mu.Unlock()
	}
}

// encode takes records from the queue into the batch, in a new file if the present one would grow too large. It reports
// whether there is anything to write.
func (a *Audit) encode() bool {
	a.mu.Lock()
	n := min(len(a.queue), auditBatch)
	records := a.queue[:n:n]
	a.queue = a.queue[n:]
	if len(a.queue) == 0 {
		a.queue = nil
	}
	lost := a.stats.Lost
	a.mu.Unlock()

	a.batch.Reset()
	a.batched = uint64(n)
	out := json.NewEncoder(&a.batch)
	out.SetEscapeHTML(false)
	for i := range records {
		_ = out.Encode(&records[i]) // strings and numbers into memory: it cannot fail
	}
	if lost > a.reported {
		_ = out.Encode(core.AuditEntry{
			Time: a.o.Now().UTC(), Actor: "dynconfig", Action: "lost", Kind: core.KindAudit,
			Key: strconv.FormatUint(lost-a.reported, 10) + " records", Outcome: core.OutcomeFailed,
		})
		a.reported = lost
	}
	if a.batch.Len() == 0 {
		return false
	}
	err := a.file.makeRoom(int64(a.batch.Len()))
	if err != nil && !a.unturned {
		a.o.Logger.Warn("audit log is not rotated and grows", "cause", err)
	}
	a.unturned = err != nil
	return true
}

// report logs when writing begins to fail, when it works again, and now and then that records are lost.
func (a *Audit) report(err error) {
	a.mu.Lock()
	was := a.failing
	a.failing = err != nil
	lost := a.stats.Lost
	a.mu.Unlock()
	switch {
	case err != nil && !was:
		a.o.Logger.Error("audit log cannot be written; records wait in memory", "cause", err, "lost", lost)
	case err == nil && was:
		a.o.Logger.Warn("audit log is written again", "lost", lost)
	case lost > a.told && a.o.Now().Sub(a.toldAt) >= auditRemind:
		a.o.Logger.Error("audit records were lost", "lost", lost)
	default:
		return
	}
	a.told, a.toldAt = lost, a.o.Now()
}
