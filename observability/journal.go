package observability

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Shape of every journal.
const (
	journalBatch   = 1024             // records in one write,
	journalWrite   = 1 << 20          // and about how many bytes
	journalLostFor = 10 * time.Minute // how long a loss shows in Health
	journalRemind  = time.Minute      // between lines of the server's log about losses that go on
)

// JournalStats are figures of a journal, counted since it was opened; Waiting is as it is now.
type JournalStats struct{ Written, Lost, Waiting uint64 }

// kind says what a journal is of. Every member is required.
type kind[E any] struct {
	name     string // "audit log"
	maxBytes int64  // of one file
	files    int    // kept, the one being written included
	queue    int    // how much may wait in memory,
	weigh    func(E) int
	encode   func(*bytes.Buffer, *E)
	loss     func(n uint64, at time.Time) E // the record of a loss
	now      func() time.Time
	logger   *slog.Logger
}

// journal keeps records as lines of a file. Its owner calls flush.
//
// Append never waits: a request is not held up by a disk. While the file cannot be written, as on a full disk, records wait
// in memory; past what the queue holds further ones are lost. A loss is counted, logged, shown in Health for ten minutes,
// and recorded in the file itself once that can be written again.
type journal[E any] struct {
	of   kind[E]
	path string

	mu      sync.Mutex
	queue   []E
	weight  int // of queue
	stats   JournalStats
	lostAt  time.Time
	failing bool
	closed  bool

	writing  sync.Mutex // held by who writes, or looks for the files; guards what follows
	file     *logFile
	batch    bytes.Buffer // encoded, not yet written
	batched  uint64       // records in batch
	reported uint64       // how many of stats.Lost are recorded in the file,
	told     uint64       // and in the server's log,
	toldAt   time.Time    // when
	unturned bool         // the last rotation failed
}

// openJournal opens a file to be appended to. A last line that a crash tore is cut off.
func openJournal[E any](path string, of kind[E]) (*journal[E], error) {
	file, torn, err := openLogFile(path, of.maxBytes, of.files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", of.name, err)
	}
	if torn > 0 {
		of.logger.Warn(of.name+" ended in half a record, which was cut off", "bytes", torn)
	}
	return &journal[E]{of: of, path: path, file: file}, nil
}

// Append queues records. After Close they are lost, and counted so.
func (j *journal[E]) Append(records ...E) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, r := range records {
		w := j.of.weigh(r)
		if j.closed || j.weight+w > j.of.queue {
			j.lose(uint64(len(records) - i))
			return
		}
		j.queue, j.weight = append(j.queue, r), j.weight+w
	}
}

// Lose counts records that there was no room for before they came here.
func (j *journal[E]) Lose(n uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lose(n)
}

func (j *journal[E]) lose(n uint64) {
	if n > 0 {
		j.stats.Lost += n
		j.lostAt = j.of.now()
	}
}

// Close writes what is left, makes it durable and closes the file. A second call does nothing.
func (j *journal[E]) Close() error {
	j.mu.Lock()
	closed := j.closed
	j.closed = true
	j.mu.Unlock()
	if closed {
		return nil
	}
	err := j.flush()
	j.writing.Lock()
	defer j.writing.Unlock()
	if err != nil {
		err = fmt.Errorf("%d records of the %s were not written: %w", j.batched+j.Stats().Waiting, j.of.name, err)
	}
	return errors.Join(err, j.file.close())
}

// Health is degraded while the file cannot be written, and for ten minutes after a record was lost.
func (j *journal[E]) Health() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failing || !j.lostAt.IsZero() && j.of.now().Sub(j.lostAt) < journalLostFor {
		return core.Degraded
	}
	return core.Healthy
}

// Stats returns the figures as they are now.
func (j *journal[E]) Stats() JournalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Waiting = uint64(len(j.queue))
	return s
}

// flush writes everything that is queued.
func (j *journal[E]) flush() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	for {
		if j.batch.Len() == 0 && !j.fill() {
			j.report(nil)
			return nil
		}
		// What a failed write has written already leaves the batch, so that no line is torn when the disk has room again.
		if _, err := j.batch.WriteTo(j.file); err != nil {
			j.report(err)
			return err
		}
		j.mu.Lock()
		j.stats.Written += j.batched
		j.mu.Unlock()
	}
}

// fill takes records from the queue into the batch, in a new file if the present one would grow too large. It reports
// whether there is anything to write.
func (j *journal[E]) fill() bool {
	records, lost := j.take()
	j.batch.Reset()
	j.batched = uint64(len(records))
	for i := range records {
		j.of.encode(&j.batch, &records[i])
	}
	if lost > j.reported {
		r := j.of.loss(lost-j.reported, j.of.now().UTC())
		j.of.encode(&j.batch, &r)
		j.reported = lost
	}
	if j.batch.Len() == 0 {
		return false
	}
	err := j.file.makeRoom(int64(j.batch.Len()))
	if err != nil && !j.unturned {
		j.of.logger.Warn(j.of.name+" is not rotated and grows", "cause", err)
	}
	j.unturned = err != nil
	return true
}

// take removes the records of one write from the queue, and tells how many were ever lost.
func (j *journal[E]) take() (records []E, lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, weight := 0, 0
	for n < min(len(j.queue), journalBatch) && weight < journalWrite {
		weight += j.of.weigh(j.queue[n])
		n++
	}
	records = j.queue[:n:n]
	j.queue, j.weight = j.queue[n:], j.weight-weight
	if len(j.queue) == 0 {
		j.queue = nil
	}
	return records, j.stats.Lost
}

// report logs when writing begins to fail, when it works again, and now and then that records are lost.
func (j *journal[E]) report(err error) {
	j.mu.Lock()
	was := j.failing
	j.failing = err != nil
	lost := j.stats.Lost
	j.mu.Unlock()
	switch {
	case err != nil && !was:
		j.of.logger.Error(j.of.name+" cannot be written; records wait in memory", "cause", err, "lost", lost)
	case err == nil && was:
		j.of.logger.Warn(j.of.name+" is written again", "lost", lost)
	case lost > j.told && j.of.now().Sub(j.toldAt) >= journalRemind:
		j.of.logger.Error("records of the "+j.of.name+" were lost", "lost", lost)
	default:
		return
	}
	j.told, j.toldAt = lost, j.of.now()
}
