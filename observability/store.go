package observability

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/dynconfig/dynconfig/core"
)

// Store counts and traces the calls of another Store. A span is made only within a request's, so that the engine's own
// reading of the log leaves no traces.
type Store struct {
	inner   core.Store
	backend string
	metrics *Metrics
	tracer  trace.Tracer

	commit, sync, get, list, log, history, compact, status operation
}

// operation is one method of the store with its figures, looked up once.
type operation struct {
	name    string
	ok      prometheus.Counter
	seconds prometheus.Observer
}

var _ core.Store = (*Store)(nil)

// NewStore decorates inner, a store of the backend of that name.
func NewStore(inner core.Store, backend string, m *Metrics, tracer trace.Tracer) *Store {
	op := func(name string) operation {
		return operation{name, m.operations.WithLabelValues(backend, name, "ok"), m.operationSeconds.WithLabelValues(backend, name)}
	}
	return &Store{
		inner: inner, backend: backend, metrics: m, tracer: tracer,
		commit: op("commit"), sync: op("sync"), get: op("get"), list: op("list"), log: op("log"), history: op("history"),
		compact: op("compact"), status: op("status"),
	}
}

// Commit passes a transaction on.
func (s *Store) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	ctx, c := s.begin(ctx, &s.commit)
	commit, err := s.inner.Commit(ctx, txn)
	c.count(len(txn.Ops))
	c.end(err)
	return commit, err
}

// Sync passes the question on.
func (s *Store) Sync(ctx context.Context) (core.Revision, error) {
	ctx, c := s.begin(ctx, &s.sync)
	revision, err := s.inner.Sync(ctx)
	c.end(err)
	return revision, err
}

// Get passes the question on.
func (s *Store) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	ctx, c := s.begin(ctx, &s.get)
	page, err := s.inner.Get(ctx, keys, atLeast)
	c.count(len(page.Entries))
	c.end(err)
	return page, err
}

// List passes the question on.
func (s *Store) List(ctx context.Context, q core.Query) (core.Page, error) {
	ctx, c := s.begin(ctx, &s.list)
	page, err := s.inner.List(ctx, q)
	c.count(len(page.Entries))
	c.end(err)
	return page, err
}

// Log passes the question on.
func (s *Store) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	ctx, c := s.begin(ctx, &s.log)
	commits, err := s.inner.Log(ctx, after, limit)
	c.count(len(commits))
	c.end(err)
	return commits, err
}

// History passes the question on.
func (s *Store) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	ctx, c := s.begin(ctx, &s.history)
	records, err := s.inner.History(ctx, key, before, limit)
	c.count(len(records))
	c.end(err)
	return records, err
}

// Compact passes the order on.
func (s *Store) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	ctx, c := s.begin(ctx, &s.compact)
	err := s.inner.Compact(ctx, upTo, keep)
	c.end(err)
	return err
}

// Status passes the question on.
func (s *Store) Status(ctx context.Context) (core.Status, error) {
	ctx, c := s.begin(ctx, &s.status)
	status, err := s.inner.Status(ctx)
	c.end(err)
	return status, err
}

// call is one call of the store under way.
type call struct {
	s     *Store
	op    *operation
	began time.Time
	span  trace.Span // nil: not traced
}

func (s *Store) begin(ctx context.Context, op *operation) (context.Context, call) {
	c := call{s: s, op: op, began: time.Now()}
	if trace.SpanContextFromContext(ctx).IsValid() {
		ctx, c.span = s.tracer.Start(ctx, "store "+op.name, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("dynconfig.backend", s.backend), attribute.String("dynconfig.operation", op.name)))
	}
	return ctx, c
}

// count says how many entries a call was about.
func (c call) count(n int) {
	if c.span != nil {
		c.span.SetAttributes(attribute.Int("dynconfig.entries", n))
	}
}

// end counts the call. Of an error it shows the kind alone: its text may name keys.
func (c call) end(err error) {
	c.op.seconds.Observe(time.Since(c.began).Seconds())
	outcome := "ok"
	if err == nil {
		c.op.ok.Inc()
	} else {
		outcome = core.KindOf(err).Error()
		c.s.metrics.operations.WithLabelValues(c.s.backend, c.op.name, outcome).Inc()
	}
	if c.span == nil {
		return
	}
	c.span.SetAttributes(attribute.String("dynconfig.outcome", outcome))
	if err != nil {
		c.span.SetStatus(codes.Error, outcome)
	}
	c.span.End()
}
