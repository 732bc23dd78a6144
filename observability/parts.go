package observability

import (
	"bytes"
	"errors"
	"hash/fnv"
	"os"
)

// part is one file of the log, opened to be read.
type part struct {
	file  *os.File
	whole int64  // where its last whole line ends
	first []byte // the beginning of its first line
	id    uint64 // of that: a file keeps it when it is renamed
}

type parts []*part

// parts opens the files that hold lines, newest first, all at one moment between rotations.
func (l *DecisionLog) parts() (all parts, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	for i := range l.file.files {
		file, err := os.Open(l.file.part(i))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return all, err
		}
		p := &part{file: file}
		if p.whole, _, err = lastLine(file); err == nil && p.whole > 0 {
			p.first = make([]byte, min(p.whole, 256))
			_, err = file.ReadAt(p.first, 0)
		}
		if err != nil || p.whole == 0 {
			if err = errors.Join(err, file.Close()); err != nil {
				return all, err
			}
			continue
		}
		if i := bytes.IndexByte(p.first, '\n'); i >= 0 {
			p.first = p.first[:i]
		}
		h := fnv.New64a()
		_, _ = h.Write(p.first)
		p.id = h.Sum64()
		all = append(all, p)
	}
	return all, nil
}

// from drops the files that are newer than the one of an id.
func (all parts) from(id uint64) parts {
	for i, p := range all {
		if p.id == id {
			return all[i:]
		}
	}
	return nil
}

func (all parts) close() {
	for _, p := range all {
		_ = p.file.Close()
	}
}

// cut makes a file end where a line ends.
func (p *part) cut(end int64) error {
	last := []byte{0}
	if end > 0 && end <= p.whole {
		if _, err := p.file.ReadAt(last, end-1); err != nil {
			return err
		}
	}
	if end != 0 && last[0] != '\n' {
		return errPlace
	}
	p.whole = end
	return nil
}

// backwards reads a file from a line's end to the beginning.
type backwards struct {
	*part
	end   int64 // of the line that next returns
	chunk []byte
}

// fill reads the whole lines that fit a chunk, at least one.
func (b *backwards) fill() (n int64, err error) {
	for size := int64(readChunk); ; size *= 2 {
		start := max(0, b.end-size)
		b.chunk = make([]byte, b.end-start)
		if _, err := b.file.ReadAt(b.chunk, start); err != nil {
			return 0, err
		}
		if start == 0 {
			return b.end, nil
		}
		if i := bytes.IndexByte(b.chunk[:len(b.chunk)-1], '\n'); i >= 0 {
			n, b.chunk = int64(len(b.chunk)), b.chunk[i+1:]
			return n, nil
		}
	}
}

// next returns a line of the chunk, the last first, and nil after the first.
func (b *backwards) next() []byte {
	if len(b.chunk) == 0 {
		return nil
	}
	start := bytes.LastIndexByte(b.chunk[:len(b.chunk)-1], '\n') + 1
	line := b.chunk[start : len(b.chunk)-1]
	b.end -= int64(len(b.chunk) - start)
	b.chunk = b.chunk[:start]
	return line
}
