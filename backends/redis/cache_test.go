package redis

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/core/seal"
)

func cachedAt(t testing.TB, c core.Cache, epoch string, key core.Key, version int64) *core.Entry {
	t.Helper()
	e, err := c.Get(t.Context(), epoch, key, version)
	if err != nil {
		t.Fatalf("a cache that fails: %v", err)
	}
	return e
}

func keep(t testing.TB, c core.Cache, epoch string, e core.Entry) {
	t.Helper()
	if err := c.Put(t.Context(), epoch, e); err != nil {
		t.Fatal(err)
	}
}

func TestTheCacheServesAnEntryOnEveryNodeForABoundedTime(t *testing.T) {
	server := services.StartRedis(t)
	_, _, parts := twoNodes(t, []string{server.Addr})
	want := entries()[2]
	keep(t, parts[0].cache, "epoch", want)
	await(t, "the other node finds it", func() bool { return cachedAt(t, parts[1].cache, "epoch", want.Key, want.Version) != nil })
	if diff := cmp.Diff(&want, cachedAt(t, parts[1].cache, "epoch", want.Key, want.Version)); diff != "" {
		t.Error(diff)
	}
	redis, key := server.Client(t), parts[0].cache.key("epoch", want.Key, want.Version)
	if left := redis.TTL(t.Context(), key).Val(); left <= 0 || left > cacheFor {
		t.Errorf("it stays for %v", left)
	}
}

func TestWhatLiesUnderAnotherNameIsAMiss(t *testing.T) {
	server := services.StartRedis(t)
	_, _, parts := twoNodes(t, []string{server.Addr})
	redis, cache := server.Client(t), parts[0].cache
	e := entries()[1]
	for what, b := range map[string][]byte{
		"another epoch's":   encodeEntry("other", &e),
		"another key's":     encodeEntry("epoch", &core.Entry{Key: "b", Version: e.Version}),
		"another version's": encodeEntry("epoch", &core.Entry{Key: e.Key, Version: e.Version + 1}),
		"cut short":         encodeEntry("epoch", &e)[:10],
		"nothing":           {},
		"not ours":          []byte("hello"),
	} {
		if err := redis.Set(t.Context(), cache.key("epoch", e.Key, e.Version), b, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got := cachedAt(t, cache, "epoch", e.Key, e.Version); got != nil {
			t.Errorf("%s is served as %+v", what, got)
		}
	}
	if err := redis.Del(t.Context(), cache.key("epoch", e.Key, e.Version)).Err(); err != nil {
		t.Fatal(err)
	}
	if err := redis.RPush(t.Context(), cache.key("epoch", e.Key, e.Version), "a list").Err(); err != nil {
		t.Fatal(err)
	}
	if got := cachedAt(t, cache, "epoch", e.Key, e.Version); got != nil {
		t.Errorf("a list is served as %+v", got)
	}
}

func TestALargeValueIsLeftToTheStore(t *testing.T) {
	server := services.StartRedis(t)
	_, _, parts := twoNodes(t, []string{server.Addr})
	small, large := core.Entry{Key: "small", Version: 1}, core.Entry{Key: "large", Version: 1}
	large.Doc.Value = bytes.Repeat([]byte("v"), cacheMost)
	keep(t, parts[0].cache, "epoch", large)
	keep(t, parts[0].cache, "epoch", small)
	await(t, "what was put later is there", func() bool { return cachedAt(t, parts[0].cache, "epoch", "small", 1) != nil })
	if e := cachedAt(t, parts[0].cache, "epoch", "large", 1); e != nil {
		t.Errorf("an entry with a value of %d bytes is kept", len(e.Doc.Value))
	}
}

func TestWithoutRedisEveryReadIsAMissAndNoError(t *testing.T) {
	server := services.StartRedis(t)
	_, _, parts := twoNodes(t, []string{server.Addr})
	cache, e := parts[0].cache, entries()[1]
	server.Kill(t)
	for range 1000 {
		keep(t, cache, "epoch", e)
		if got := cachedAt(t, cache, "epoch", e.Key, e.Version); got != nil {
			t.Fatalf("without a server, %+v is served", got)
		}
	}
	server.Start(t)
	await(t, "the cache keeps again", func() bool {
		keep(t, cache, "epoch", e)
		return cachedAt(t, cache, "epoch", e.Key, e.Version) != nil
	})
}

// The other node's values come through Redis twice: with a hint, and from the cache.
func TestRedisSeesSealedValuesOnly(t *testing.T) {
	server := services.StartRedis(t)
	plain, peer, parts := twoNodes(t, []string{server.Addr})
	keys, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"), true)
	if err != nil {
		t.Fatal(err)
	}
	one, two := seal.Backend(plain, keys), seal.Backend(peer, keys)
	sub := server.Client(t).Subscribe(t.Context(), parts[0].bus.channel())
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	hints := listen(t, two)
	subscribed(t, hints)
	const secret = "open sesame"
	c, err := one.Store.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "1"}, Ops: []core.Op{{Key: "k", Do: core.OpPut, Doc: core.Doc{Value: []byte(secret)}}}})
	if err != nil {
		t.Fatal(err)
	}
	announce(t, one, c)
	if h := hear(t, "the commit", hints, func(h core.Hint) bool { return h.Head == 1 }); h.Commit == nil || string(h.Commit.Changes[0].Entry.Doc.Value) != secret {
		t.Errorf("the other node hears %+v", h)
	}
	if m, err := sub.ReceiveMessage(t.Context()); err != nil || !strings.Contains(m.Payload, "k") || strings.Contains(m.Payload, secret) {
		t.Errorf("the message is %q, %v", m.Payload, err)
	}
	entry := c.Changes[0].Entry
	keep(t, one.Cache, "epoch", entry)
	await(t, "the cache keeps it", func() bool { return cachedAt(t, two.Cache, "epoch", "k", 1) != nil })
	if e := cachedAt(t, two.Cache, "epoch", "k", 1); string(e.Doc.Value) != secret {
		t.Errorf("the other node finds %q", e.Doc.Value)
	}
	raw, err := server.Client(t).Get(t.Context(), parts[0].cache.key("epoch", "k", 1)).Result()
	if err != nil || raw == "" || strings.Contains(raw, secret) {
		t.Errorf("the cache holds %q, %v", raw, err)
	}
}

// Two nodes start when the key is there: the first reads it from the store, the second from Redis.
func TestAReadOnAColdNodeComesFromRedis(t *testing.T) {
	server := services.StartRedis(t)
	store := memory.Open(memory.Options{Shared: true})
	write(t, engine(t, store, core.Options{}), "k", 1)
	node := func() (*core.Engine, *Redis) {
		b := store.Store.(*memory.Store).Peer()
		r := join(t, b, []string{server.Addr}, Options{})
		t.Cleanup(func() { _ = b.Close() })
		return engine(t, b, core.Options{}), r
	}
	first, _ := node()
	second, parts := node()
	read(t, first)
	await(t, "the value is in Redis", func() bool { return server.Client(t).DBSize(t.Context()).Val() > 0 })
	read(t, second)
	if s := parts.Stats(); s.CacheHits != 1 {
		t.Errorf("the second node's figures are %+v, want one hit", s)
	}
}

func read(t testing.TB, e *core.Engine) {
	t.Helper()
	if _, err := e.Get(t.Context(), tester, core.Read{Kind: core.KindKey, Name: "k"}); err != nil {
		t.Fatal(err)
	}
}
