package observability

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"time"
)

// DecisionFile is the name of the decision log in the data directory; older parts are decisions.log.1, decisions.log.2 …
const DecisionFile = "decisions.log"

// Shape of a log's files, unless something else is said.
const (
	defaultFileBytes = 64 << 20
	defaultFiles     = 8
)

// DecisionLogOptions are a DecisionLog's optional parts; the zero value works.
type DecisionLogOptions struct {
	MaxBytes int64                               // of one file; 0: 64 MiB
	Files    int                                 // kept, the one being written included; 0: 8
	Queue    int                                 // bytes that wait in memory while the log cannot be written; 0: 32 MiB
	Lost     func(n uint64, at time.Time) []byte // makes the line that records a loss; nil: none is recorded
	Now      func() time.Time                    // nil: time.Now
	Logger   *slog.Logger                        // nil: none
}

// DecisionLog is the journal of the policy's decisions in the data directory. What its lines say is the policy's business:
// here each is a JSON object whose first member "timestamp" is a time in RFC 3339, and a line is not much older than the one
// before.
type DecisionLog struct{ *journal[[]byte] }

// OpenDecisionLog opens the decision log in dir, to be appended to. A last line that a crash tore is cut off.
func OpenDecisionLog(dir string, o DecisionLogOptions) (*DecisionLog, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultFileBytes
	}
	if o.Files <= 0 {
		o.Files = defaultFiles
	}
	if o.Queue <= 0 {
		o.Queue = 32 << 20
	}
	if o.Lost == nil {
		o.Lost = func(uint64, time.Time) []byte { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	j, err := openJournal(filepath.Join(dir, DecisionFile), kind[[]byte]{
		name: "decision log", maxBytes: o.MaxBytes, files: o.Files, queue: o.Queue, now: o.Now, logger: o.Logger,
		weigh: func(line []byte) int { return len(line) },
		encode: func(b *bytes.Buffer, line *[]byte) {
			if len(*line) > 0 {
				b.Write(*line)
				b.WriteByte('\n')
			}
		},
		loss: o.Lost,
	})
	if err != nil {
		return nil, err
	}
	return &DecisionLog{j}, nil
}

// Flush writes the lines that were appended. While that fails they wait, and the next Flush tries again.
func (l *DecisionLog) Flush() error { return l.flush() }
