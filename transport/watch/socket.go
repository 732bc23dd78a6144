package watch

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
	"github.com/dynconfig/dynconfig/wire"
)

// Sizes of the buffers between the WebSocket library and the connection. The reader's is small because clients say little
// and long messages pass it by; the writer's holds a whole control frame, so that each is one Write.
const (
	readBuffer  = 512
	writeBuffer = 256
)

// socket is the connection below a WebSocket. It gathers the frames of a batch, so that they leave in one write and
// together with control frames, and it knows whether the peer shows signs of life.
//
// Writing after Accept is the pump's alone, but for the answer to a peer's close frame, which the library writes while the
// reader reads.
type socket struct {
	net.Conn
	early []byte      // read by the HTTP server beyond the request
	heard atomic.Bool // something came from the peer since this was last asked
	sent  atomic.Int64

	mu     sync.Mutex
	batch  *[]byte // not nil while the pump gathers
	closed bool    // close when the batch has been sent

	broken bool // the pump's: a frame left in part
}

func (s *socket) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.heard.Store(true)
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.batch != nil {
		*s.batch = append(*s.batch, p...)
		s.mu.Unlock()
		return len(p), nil
	}
	s.mu.Unlock()
	return s.Conn.Write(p)
}

// Close closes the connection, after a batch that is being gathered: the answer to a peer's close frame may be in it.
func (s *socket) Close() error {
	s.mu.Lock()
	if s.batch != nil {
		s.closed = true
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return s.Conn.Close()
}

// gather begins a batch.
func (s *socket) gather(into *[]byte) {
	s.mu.Lock()
	s.batch = into
	s.mu.Unlock()
}

// frame puts a frame into the batch and returns how many bytes the batch then has. Between Accept and the close handshake
// frames are written here rather than by the library: it could send a ping only by waiting for its answer, which would
// take a goroutine for each connection, and its locks and buffers are a good part of what delivering a small event costs.
func (s *socket) frame(opcode byte, payload []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.batch = append(appendHeader(*s.batch, opcode, len(payload)), payload...)
	return len(*s.batch)
}

// appendHeader writes the header of a whole frame from a server: final, and not masked (RFC 6455, section 5.2).
func appendHeader(b []byte, opcode byte, size int) []byte {
	const final = 0x80
	switch {
	case size < 126:
		return append(b, final|opcode, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, final|opcode, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, final|opcode, 127), uint64(size))
}

// flush ends the batch and sends it, or drops it.
func (s *socket) flush(drop bool) error {
	s.mu.Lock()
	out, closed := *s.batch, s.closed
	s.batch = nil
	s.mu.Unlock()
	var err error
	if len(out) > 0 && !drop {
		var n int
		n, err = s.Conn.Write(out)
		s.broken = n > 0 && n < len(out)
		s.sent.Add(int64(n))
	}
	if closed {
		return s.Conn.Close()
	}
	return err
}

// Opcodes of frames.
const (
	opText = 0x1
	opPing = 0x9
	opPong = 0xa
)

// takeover is a ResponseWriter whose connection, once hijacked, is a socket with small buffers.
type takeover struct {
	http.ResponseWriter
	socket *socket
}

var _ http.Hijacker = (*takeover)(nil)

// Hijack is called by websocket.Accept.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.socket = &socket{Conn: conn}
	if n := rw.Reader.Buffered(); n > 0 {
		t.socket.early = make([]byte, n)
		if _, err := io.ReadFull(rw.Reader, t.socket.early); err != nil {
			return nil, nil, err
		}
	}
	return t.socket, bufio.NewReadWriter(bufio.NewReaderSize(t.socket, readBuffer), bufio.NewWriterSize(t.socket, writeBuffer)), nil
}

// upgrade turns a request into a WebSocket. pinged is called by the reader.
func upgrade(w http.ResponseWriter, r *http.Request, pinged func(payload []byte)) (*websocket.Conn, *socket, error) {
	t := &takeover{ResponseWriter: w}
	ws, err := websocket.Accept(t, r, &websocket.AcceptOptions{
		Subprotocols:       []string{wire.Subprotocol},
		InsecureSkipVerify: true, // checkOrigin has looked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     onPing(pinged),
	})
	if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(-1) // read has its own, whose close code is ours
	return ws, t.socket, nil
}
