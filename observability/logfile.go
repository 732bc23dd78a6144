package observability

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
)

// logFile is a file of lines that is appended to and, when it is large, put aside for a new one.
type logFile struct {
	path  string
	max   int64
	files int
	file  *os.File
	size  int64
}

// openLogFile opens or makes the file. torn is how many bytes of a last line without its end were cut off.
func openLogFile(path string, maxBytes int64, files int) (f *logFile, torn int64, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	whole, size, err := lastLine(file)
	if err == nil {
		err = file.Chmod(0o600) // made by hand, perhaps
	}
	if err == nil && whole < size {
		err = file.Truncate(whole)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return &logFile{path: path, max: maxBytes, files: files, file: file, size: whole}, size - whole, nil
}

// lastLine returns where the last whole line ends, and the size.
func lastLine(file *os.File) (whole, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	const block = 64 << 10
	buffer := make([]byte, block)
	for end := info.Size(); end > 0; {
		start := max(0, end-block)
		n, err := file.ReadAt(buffer[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, info.Size(), nil
		}
		end = start
	}
	return 0, info.Size(), nil
}

// Write appends p. After an error n bytes of it are there.
func (f *logFile) Write(p []byte) (n int, err error) {
	n, err = f.file.Write(p)
	f.size += int64(n)
	return n, err
}

// makeRoom puts the file aside if n more bytes would be too many for it. It is called between lines. The new file is made
// first: if that fails nothing has changed, and the old one is still written.
func (f *logFile) makeRoom(n int64) error {
	if f.size == 0 || f.size+n <= f.max {
		return nil
	}
	next, err := os.OpenFile(f.path+".next", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := f.shift(); err != nil {
		return errors.Join(err, next.Close(), os.Remove(next.Name()))
	}
	old := f.file
	f.file, f.size = next, 0
	return errors.Join(old.Sync(), old.Close())
}

// shift renames the files to one number more each, the last one away, and the next one to the front.
func (f *logFile) shift() error {
	for i := f.files - 1; i > 0; i-- {
		err := os.Rename(f.part(i-1), f.part(i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Rename(f.path+".next", f.path)
}

// part names a file: 0 is the one being written.
func (f *logFile) part(i int) string {
	if i == 0 {
		return f.path
	}
	return f.path + "." + strconv.Itoa(i)
}

func (f *logFile) close() error { return errors.Join(f.file.Sync(), f.file.Close()) }
