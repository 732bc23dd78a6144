package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/dynconfig/dynconfig/core"
)

// line tells requests how the connection is: nats.go lets one that was under way when it broke wait for an answer that
// will never come, and refuses one that comes before it is mended.
type line struct {
	mu     sync.Mutex
	live   context.Context // ends when the connection breaks
	cut    context.CancelFunc
	asking context.Context // ends with it, and when what was asked will not be answered
	end    context.CancelFunc
	mended chan struct{} // closed when there is one again
}

func newLine(conn *natsgo.Conn) *line {
	l := &line{mended: make(chan struct{})}
	l.live, l.cut = context.WithCancel(context.Background())
	l.asking, l.end = context.WithCancel(l.live)
	conn.SetDisconnectErrHandler(func(*natsgo.Conn, error) { l.broke() })
	conn.SetReconnectHandler(func(*natsgo.Conn) { l.mend() })
	return l
}

func (l *line) broke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut()
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut() // whatever was under way
	l.live, l.cut = context.WithCancel(context.Background())
	l.asking, l.end = context.WithCancel(l.live)
	close(l.mended)
	l.mended = make(chan struct{})
}

// renew ends the requests that are under way, on a connection that goes on.
func (l *line) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	l.asking, l.end = context.WithCancel(l.live)
}

// errCut is the cause of a request that ended because the connection broke, or the stream that it went to is gone.
var errCut = errors.New("connection or stream was lost")

// await returns contexts that end with the connection, and with the requests that are made now, of the connection that
// there is or will be before ctx ends.
func (l *line) await(ctx context.Context) (live, asking context.Context, err error) {
	for {
		l.mu.Lock()
		live, asking, mended := l.live, l.asking, l.mended
		l.mu.Unlock()
		if live.Err() == nil {
			return live, asking, nil
		}
		select {
		case <-mended:
		case <-ctx.Done():
			return nil, nil, core.Errorf(core.ErrUnavailable, "Store does not answer").Because(ctx.Err())
		}
	}
}

// request calls ask while there is a connection, with a context that ends with it, when nobody will answer any more, or when
// a request has taken too long, and returns its error, which is also errCut in the first two cases.
func (s *Store) request(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	_, asking, err := s.line.await(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(asking, func() { end(errCut) })()
	err = ask(ctx)
	if err != nil && (errors.Is(context.Cause(ctx), errCut) || errors.Is(err, natsgo.ErrReconnectBufExceeded)) {
		return errors.Join(errCut, err)
	}
	return err
}

// retry calls ask like request, and once more each time that errCut is the answer: ask changes nothing.
func (s *Store) retry(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	for {
		err := s.request(ctx, ask)
		if !errors.Is(err, errCut) {
			return err
		}
		select {
		case <-time.After(minPause):
		case <-ctx.Done():
			return err
		}
	}
}
