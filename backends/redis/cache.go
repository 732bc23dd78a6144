package redis

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Cache = (*Cache)(nil)

// Cache keeps entries under their immutable name, for whichever node asks next. It never fails: whatever goes wrong is a
// miss.
type Cache struct {
	redis *Redis
	out   *outbox

	hits, misses atomic.Uint64
}

const (
	// cacheFor bounds how long an entry stays that nobody supersedes, such as one of an epoch that is no more.
	cacheFor = 24 * time.Hour
	// cacheMost is the largest entry that is kept: a larger one costs Redis, which does one thing at a time, more than the
	// store.
	cacheMost = 256 << 10
)

func newCache(r *Redis) *Cache {
	return &Cache{redis: r, out: newOutbox(r.client, r.o.Timeout, r.monitor)}
}

func (c *Cache) close() { c.out.close() }

// key is the name of an entry in Redis. All versions of a key are on one node of a cluster.
func (c *Cache) key(epoch string, key core.Key, version int64) string {
	return c.redis.o.Prefix + ":value:{" + name(epoch, string(key)) + "}:" + strconv.FormatInt(version, 10)
}

// Get implements core.Cache.
func (c *Cache) Get(ctx context.Context, epoch string, key core.Key, version int64) (*core.Entry, error) {
	e := c.get(ctx, epoch, key, version)
	if e == nil {
		c.misses.Add(1)
	} else {
		c.hits.Add(1)
	}
	return e, nil
}

func (c *Cache) get(ctx context.Context, epoch string, key core.Key, version int64) *core.Entry {
	if c.redis.monitor.away() {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, c.redis.o.Timeout)
	defer cancel()
	b, err := c.redis.client.Get(call, c.key(epoch, key, version)).Bytes()
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, goredis.Nil) {
			c.redis.monitor.failed(err)
		}
		return nil
	}
	of, e, err := decodeEntry(b)
	if err != nil || of != epoch || e.Key != key || e.Version != version {
		return nil
	}
	return &e
}

// Put implements core.Cache. It does not wait.
func (c *Cache) Put(_ context.Context, epoch string, e core.Entry) error {
	if len(e.Doc.Value) > cacheMost || c.redis.monitor.away() {
		return nil
	}
	b := encodeEntry(epoch, &e)
	if len(b) > cacheMost {
		return nil
	}
	key := c.key(epoch, e.Key, e.Version)
	if !c.out.put(len(b), func(ctx context.Context, p goredis.Pipeliner) { p.Set(ctx, key, b, cacheFor) }) {
		return errClosed
	}
	return nil
}
