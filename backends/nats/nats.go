// Package nats keeps the commit log in one JetStream stream and the table of the present in every node: a node reads the
// stream through one consumer, evaluates a batch of transactions over its own view, and publishes it as one message that
// the server takes only behind the last message that the node has seen. Nothing in a node's view has to be written back:
// the stream is the store, and a snapshot in it, now and then, spares a start the reading of it all.
package nats

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// Config says where NATS is. URL is required.
type Config struct {
	URL         string // of one server or several, with commas between them; a user and a password or a token may stand in it
	Credentials string // file with a user's JWT and key; "": none
	CA          string // PEM file of the authorities that servers are verified by; "": the system's, where a URL begins with tls://
	Certificate string // PEM file of this client's certificate; "": none
	Key         string // and of its key
	Options
}

// Options are how a Store uses JetStream; the zero value works.
type Options struct {
	Prefix   string // name of the stream and first token of its subjects; "": dynconfig
	Replicas int    // of a stream that is made; 0: 1. A stream that is there keeps its own
	// SyncAlways says that every server runs with `sync_interval: always`, which no client can find out. Without it an
	// acknowledged commit may be lost when the power fails, and Limits.Durable is false.
	SyncAlways bool
	Timeout    time.Duration // of one request; 0: 5 s
	Logger     *slog.Logger  // nil: discard
	Now        func() time.Time

	snapshotEvery int           // messages of the log between snapshots, at least; 0: 1000
	tidyEvery     time.Duration // how often it is looked for what nothing refers to; 0: a minute
	partBytes     int           // the largest record in one message, and the size of the parts of a larger one; 0: 256 KiB
}

// Sizes and times that are not settings.
const (
	defaultPrefix    = "dynconfig"
	defaultTimeout   = 5 * time.Second
	defaultSnapshots = 1000
	defaultTidying   = time.Minute
	looseFor         = core.KeepIDs // how long what nothing refers to is kept
	defaultPart      = 256 << 10
	maxOps           = 1000
	maxRecord        = 64 << 20 // bytes of one record, ACLs included
	partMargin       = 16 << 10 // what a message has beside a part: headers, references
)

// prefixForm is what may be the name of a stream and a token of a subject alike.
var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.snapshotEvery == 0 {
		o.snapshotEvery = defaultSnapshots
	}
	if o.tidyEvery == 0 {
		o.tidyEvery = defaultTidying
	}
	if o.partBytes == 0 {
		o.partBytes = defaultPart
	}
	return o
}

// Open connects to NATS, makes the stream where there is none, and returns the backend as soon as this node has caught up
// with it. Closing the backend closes the connection.
func Open(ctx context.Context, c Config) (*core.Backend, error) {
	o := c.Options.withDefaults()
	if !prefixForm.MatchString(o.Prefix) {
		return nil, core.Errorf(core.ErrInvalid, "NATS prefix %q is not 1 to 64 letters, digits, _ and -", o.Prefix)
	}
	if !readable(c.URL) {
		return nil, core.Errorf(core.ErrInvalid, "NATS URL cannot be read: it is nats://user:password@host:port, with special characters of a password as %%40 and so on")
	}
	conn, err := connect(c, o.Timeout)
	if err != nil {
		return nil, core.Errorf(core.ErrUnavailable, "NATS does not answer or refuses this server's user").Because(err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(o.Timeout))
	if err != nil {
		conn.Close()
		return nil, core.Errorf(core.ErrUnavailable, "NATS does not answer").Because(err)
	}
	if o.partBytes+partMargin > int(conn.MaxPayload()) {
		o.partBytes = max(int(conn.MaxPayload())-partMargin, int(conn.MaxPayload())/2)
	}
	if !o.SyncAlways {
		o.Logger.Warn("NATS is not known to sync every write: an acknowledged commit may be lost when the power fails; " +
			"set `sync_interval: always` on every server and tell this one with --nats-sync-always")
	}
	s := newStore(conn, js, o)
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	conn.SetErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
		if errors.Is(err, natsgo.ErrPermissionViolation) { // which no answer says
			o.Logger.Error("NATS refuses something to this server's user", "error", err)
			refused(err)
		}
	})
	s.loops.Go(func() { s.follow(s.ctx) })
	s.loops.Go(func() { s.keep(s.ctx) })
	opening, cancel := context.WithTimeout(ctx, 2*o.Timeout)
	defer cancel()
	if err := s.await(opening, func(*view) bool { return true }); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fault(cause)
		}
		s.close()
		return nil, err
	}
	return &core.Backend{Name: "nats", Store: s, Bus: &Bus{store: s}, Limits: s.limits, Close: sync.OnceValue(func() error {
		s.close()
		return nil
	})}, nil
}

// readable reports whether addresses are such. nats.go would say why one is not, and show the password in it.
func readable(addresses string) bool {
	for address := range strings.SplitSeq(addresses, ",") {
		address = strings.TrimSpace(address)
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		if u, err := url.Parse(address); err != nil || u.Hostname() == "" {
			return false
		}
	}
	return true
}

// connect makes a connection that comes back by itself, as often and as long as it takes, and that fails what is sent
// while it is away: what lay in a buffer meanwhile would be written without having been evaluated again.
func connect(c Config, timeout time.Duration) (*natsgo.Conn, error) {
	options := []natsgo.Option{
		natsgo.Name("dynconfig"), natsgo.Timeout(timeout),
		natsgo.MaxReconnects(-1), natsgo.ReconnectWait(50 * time.Millisecond), natsgo.ReconnectJitter(50*time.Millisecond, time.Second),
		natsgo.ReconnectBufSize(-1), natsgo.PingInterval(timeout * 2 / 5), natsgo.MaxPingsOutstanding(2), // given up when a request would be
		natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}), // not to the standard error
	}
	if c.CA != "" {
		options = append(options, natsgo.RootCAs(c.CA))
	}
	if c.Certificate != "" {
		options = append(options, natsgo.ClientCert(c.Certificate, c.Key))
	}
	if c.Credentials != "" {
		options = append(options, natsgo.UserCredentials(c.Credentials))
	}
	return natsgo.Connect(c.URL, options...)
}
