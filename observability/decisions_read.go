package observability

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// Bounds of a reading of the log.
const (
	readChunk = 256 << 10              // read at once
	readBytes = 32 << 20               // read by one call of Backward,
	readTime  = 500 * time.Millisecond // about
	// readSlack is how far a line's time may be from those around it: it was taken before the line was written.
	readSlack = time.Minute
)

// Backward visits the whole lines with a time in [since, until), a zero time being no bound, newest first: from a place that
// an earlier call returned, or "" for the newest line. It ends when visit answers false, or after a bounded amount of work,
// and returns the place where to go on, "" if nothing older is left. Places stay where they are when the log grows or is
// rotated; the place in a file that is gone has nothing older. A line is visit's only until it returns.
func (l *DecisionLog) Backward(ctx context.Context, from string, since, until time.Time, visit func(line []byte) bool) (string, error) {
	at, err := parsePlace(from)
	if err != nil {
		return "", err
	}
	parts, err := l.parts()
	if err != nil {
		return "", err
	}
	defer parts.close()
	if from != "" {
		if parts = parts.from(at.file); len(parts) == 0 {
			return "", nil
		}
		if err := parts[0].cut(at.end); err != nil {
			return "", err
		}
	}
	left, deadline := int64(readBytes), time.Now().Add(readTime)
	for i, p := range parts {
		if first := stamp(p.first); !until.IsZero() && first.After(until.Add(readSlack)) {
			continue
		}
		for lines := (backwards{part: p, end: p.whole}); lines.end > 0; {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if left <= 0 || time.Now().After(deadline) {
				return place{p.id, lines.end}.String(), nil
			}
			n, err := lines.fill()
			if err != nil {
				return "", err
			}
			left -= n
			for line := lines.next(); line != nil; line = lines.next() {
				t := stamp(line)
				if t.Before(since.Add(-readSlack)) && !since.IsZero() {
					return "", nil
				}
				if t.Before(since) || !until.IsZero() && !t.Before(until) || visit(line) {
					continue
				}
				if lines.end == 0 && i == len(parts)-1 {
					return "", nil
				}
				return place{p.id, lines.end}.String(), nil
			}
		}
	}
	return "", nil
}

// Forward visits the whole lines with a time in [since, until), a zero time being no bound, oldest first. An error of visit
// ends it.
func (l *DecisionLog) Forward(ctx context.Context, since, until time.Time, visit func(line []byte) error) error {
	parts, err := l.parts()
	if err != nil {
		return err
	}
	defer parts.close()
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		newest := backwards{part: p, end: p.whole}
		if _, err := newest.fill(); err != nil {
			return err
		}
		if stamp(newest.next()).Before(since.Add(-readSlack)) && !since.IsZero() {
			continue
		}
		in := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, p.whole), readChunk)
		for {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			line, err := in.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			t := stamp(line)
			if !until.IsZero() && t.After(until.Add(readSlack)) {
				return nil
			}
			if t.Before(since) || !until.IsZero() && !t.Before(until) {
				continue
			}
			if err := visit(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
	}
	return nil
}

// stamp is the time of a line, zero if it has none.
func stamp(line []byte) (t time.Time) {
	const member = `"timestamp":`
	if _, rest, ok := bytes.Cut(line, []byte(member+`"`)); ok {
		if text, _, ok := bytes.Cut(rest, []byte(`"`)); ok {
			_ = t.UnmarshalText(text)
		}
	}
	return t
}
