package seal

import (
	"context"

	"github.com/dynconfig/dynconfig/core"
)

// Cache returns cache with its values behind s.
func Cache(cache core.Cache, s core.Sealer) core.Cache {
	return &sealedCache{Cache: cache, sealer: sealer{s}}
}

type sealedCache struct {
	core.Cache
	sealer sealer
}

func (c *sealedCache) Put(ctx context.Context, epoch string, e core.Entry) (err error) {
	if e.Doc.Value, err = c.sealer.seal(e.Key, e.Doc.Value); err != nil {
		return err
	}
	return c.Cache.Put(ctx, epoch, e)
}

// Get treats a value that does not open as a miss: the store has the truth.
func (c *sealedCache) Get(ctx context.Context, epoch string, key core.Key, version int64) (*core.Entry, error) {
	found, err := c.Cache.Get(ctx, epoch, key, version)
	if err != nil || found == nil {
		return nil, err
	}
	e := *found
	if c.sealer.open(&e) != nil {
		return nil, nil
	}
	return &e, nil
}
