package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var cachePromises = []promise{
	{name: "the cache never serves a value of another version", needs: needsCache, test: cacheServesExact},
	{name: "the cache keeps what it was given", needs: needsCache, test: cacheKeeps},
}

// cached is the immutable entry of a name.
func cached(epoch string, key core.Key, version int64) core.Entry {
	return core.Entry{
		Key: key, Version: version, Revision: core.Revision(version + 3), Rules: 2, Modified: now(), Author: "ann",
		Doc: core.Doc{Value: fmt.Appendf(nil, "%s %q %d", epoch, key, version), ACL: &core.ACL{Read: []string{}, Write: []string{"bob"}}, Attrs: map[string]string{"a": "b"}},
	}
}

func keep(ctx context.Context, b *core.Backend, epoch string, e core.Entry) error {
	return present(ctx, func() error { return b.Cache.Put(ctx, epoch, e) })
}

func lookUp(ctx context.Context, b *core.Backend, epoch string, key core.Key, version int64) (e *core.Entry, err error) {
	err = present(ctx, func() error {
		e, err = b.Cache.Get(ctx, epoch, key, version)
		return err
	})
	return e, err
}

func cacheServesExact(t testing.TB, s *subject) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	epochs := []string{"aaaaaaaa", "aaaaaaaaa", "bbbbbbbb"}
	keys := []core.Key{"a", "a:1", "a1", "a/1", "1", "a\x00", "é", "%", "a aaaaaaaa"}
	together(t, 4, func(i int) error {
		b := nodes[i%2]
		for n := range 400 {
			epoch, key, version := epochs[n%len(epochs)], keys[n/2%len(keys)], int64(1+n%13)
			if (n+i)%3 == 0 {
				if err := keep(t.Context(), b, epoch, cached(epoch, key, version)); err != nil {
					return err
				}
				continue
			}
			e, err := lookUp(t.Context(), b, epoch, key, version)
			if err != nil {
				return err
			}
			if e == nil {
				continue
			}
			if want := cached(epoch, key, version); e.Key != key || e.Version != version || string(e.Doc.Value) != string(want.Doc.Value) {
				return fmt.Errorf("version %d of %q in epoch %s is served as version %d of %q, %q", version, key, epoch, e.Version, e.Key, e.Doc.Value)
			}
		}
		return nil
	})
}

// cacheKeeps leaves a cache a moment: Put may go on when it has returned.
func cacheKeeps(t testing.TB, s *subject) {
	peer := s.peer(t)
	end := time.Now().Add(s.patience())
	for version := int64(1); time.Now().Before(end); version++ {
		want := cached("aaaaaaaa", "key", version)
		if e, err := lookUp(t.Context(), peer, "aaaaaaaa", "key", version); e != nil || err != nil {
			t.Fatalf("a cache that was given nothing answers %+v, %v", e, err)
		}
		if err := keep(t.Context(), s.Backend, "aaaaaaaa", want); err != nil {
			t.Fatalf("Put: %v", err)
		}
		for range 20 {
			<-retry()
			e, err := lookUp(t.Context(), peer, "aaaaaaaa", "key", version)
			if err != nil {
				t.Fatalf("Get: %v", err)
			}
			if e != nil {
				same(t, "the cached entry", &want, e)
				return
			}
		}
	}
	t.Errorf("entries were put for %v and none was kept", s.patience())
}
