package nats

import "sync"

// cache keeps what messages of the stream hold, by their sequence: those that came last, and those that were asked for. It
// has two generations: when the young one is full, the old one is dropped.
type cache struct {
	mu         sync.Mutex
	young, old map[uint64][]byte
	size       int // of the young
}

// cacheBytes is how much one generation holds.
const cacheBytes = 16 << 20

func newCache() *cache { return &cache{young: map[uint64][]byte{}} }

func (c *cache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.size = map[uint64][]byte{}, nil, 0
}

func (c *cache) get(seq uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.young[seq]; b != nil {
		return b
	}
	b := c.old[seq]
	if b != nil {
		c.add(seq, b)
	}
	return b
}

func (c *cache) put(seq uint64, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[seq] == nil {
		c.add(seq, b)
	}
}

func (c *cache) add(seq uint64, b []byte) {
	const overhead = 100
	if c.size += len(b) + overhead; c.size > cacheBytes {
		c.old, c.young, c.size = c.young, map[uint64][]byte{}, len(b)+overhead
	}
	c.young[seq] = b
}
