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
	mended chan struct{} // closed when there is one again
}

func newLine(conn *natsgo.Conn) *line {
	l := &line{mended: make(chan struct{})}
	l.live, l.cut = context.WithCancel(context.Background())
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
	close(l.mended)
	l.mended = make(chan struct{})
}

// errCut is the cause of a request that ended because the connection broke.
var errCut = errors.New("connection was lost")

// await returns a context that ends with the connection that there is, or that there will be before ctx ends.
func (l *line) await(ctx context.Context) (context.Context, error) {
	for {
		l.mu.Lock()
		live, mended := l.live, l.mended
		l.mu.Unlock()
		if live.Err() == nil {
			return live, nil
		}
		select {
		case <-mended:
		case <-ctx.Done():
			return nil, core.Errorf(core.ErrUnavailable, "Store does not answer").Because(ctx.Err())
		}
	}
}

// request calls ask while there is a connection, with a context that ends with it or when a request has taken too long,
// and returns its error, which is also errCut if the connection broke.
func (s *Store) request(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	live, err := s.line.await(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(live, func() { end(errCut) })()
	err = ask(ctx)
	if err != nil && (errors.Is(context.Cause(ctx), errCut) || errors.Is(err, natsgo.ErrReconnectBufExceeded)) {
		return errors.Join(errCut, err)
	}
	return err
}

// retry calls ask like request, and once more each time the connection breaks meanwhile: ask changes nothing.
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
