package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// allowed asks nodes in turn, and returns how many of n requests passed, and whether Redis answered all of them in time: it
// has a quarter of a second, after which a node counts by itself.
func allowed(t *testing.T, token string, n int, nodes ...*Server) (passed int, shared bool) {
	t.Helper()
	shared = true
	for i := range n {
		node := nodes[i%len(nodes)]
		switch status, body := curl(t, "GET", node.URL+"/keys", token, ""); status {
		case http.StatusOK:
			passed++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("%d %s", status, body)
		}
		shared = shared && node.redis.Health() == core.Healthy
	}
	return passed, shared
}

// awaitRedis waits until a node's health has a word for Redis.
func awaitRedis(t *testing.T, c *client.Client, word string) {
	t.Helper()
	await(t, "Redis is "+word, func() bool {
		h, err := c.Health(t.Context())
		return err == nil && h.Components["redis"] == word
	})
}

func TestNodesShareLimitsAndEventsInRedisAndDoWithoutIt(t *testing.T) {
	t.Parallel()
	const limit = 200
	redis, store := services.StartRedis(t), services.StartEtcd(t)
	shared := []string{"--backend", "etcd", "--etcd-endpoints", store.Endpoint, "--redis-host", redis.Addr, "--redis-prefix", "mine", "--rate-limit", "200"}
	one, as := serving(t, shared...)
	two, _ := serving(t, append(shared, "--issuer-key", filepath.Join(one.settings.DataDir, "issuer.pem"))...)
	admin, other := as("admin-user"), clientOf(t, two.URL, issued(t, one, "admin-user"))
	_, changes := watched(t, other)
	put := func(value int) {
		t.Helper()
		if _, err := admin.Put(t.Context(), "app.a", value, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if c := <-changes; c.Is == nil || c.Is.Version != int64(value) {
			t.Errorf("the other node tells of %+v, want version %d", c.Is, value)
		}
	}
	put(1)
	for again := 0; ; again++ {
		start := time.Now()
		passed, shared := allowed(t, issued(t, one, fmt.Sprint("web", again)), 2*limit, one, two)
		if !shared { // then the nodes counted each by itself, rightly: when Redis is well again, others are counted
			awaitRedis(t, admin, core.Healthy)
			awaitRedis(t, other, core.Healthy)
			continue
		}
		if most := limit * (1 + time.Since(start).Minutes()); float64(passed) > most || passed < limit-2*2*limit/50 {
			t.Errorf("%d requests passed on two nodes, with a limit of %d", passed, limit)
		}
		break
	}
	keys, err := redis.Client(t).Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 || !strings.HasPrefix(keys[0], "mine:") {
		t.Errorf("keys in Redis: %q, %v", keys, err)
	}

	redis.Pause(t)
	put(2)
	awaitRedis(t, admin, core.Degraded)
	put(3)
	if passed, _ := allowed(t, issued(t, one, "api"), 2*limit+100, one, two); passed < 2*limit {
		t.Errorf("without Redis %d requests passed on two nodes, each with a limit of %d of its own", passed, limit)
	}
	redis.Resume(t)
	awaitRedis(t, admin, core.Healthy)
	put(4)
}

func TestAServerStartsWithoutItsRedisAndFindsIt(t *testing.T) {
	t.Parallel()
	redis := services.StartRedis(t)
	redis.Kill(t)
	s, as := serving(t, "--backend", "memory", "--redis-host", redis.Addr)
	admin := as("admin-user")
	if _, err := admin.Put(t.Context(), "app.a", 1, client.WriteOptions{}); err != nil {
		t.Error(err)
	}
	awaitRedis(t, admin, core.Degraded)
	redis.Start(t)
	awaitRedis(t, admin, core.Healthy)
	await(t, "the metrics tell that Redis is there", func() bool {
		_, text := curl(t, "GET", s.URL+"/metrics", "", "")
		return strings.Contains(text, "dynconfig_redis_away 0")
	})
}

func TestRedisBesideABackendThatServesAloneIsWarnedOf(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		var log bytes.Buffer
		b := memory.Open(memory.Options{Shared: shared})
		s := Settings{Redis: redisSettings{hosts: []string{"127.0.0.1:1"}, prefix: "mine"}}
		_, err := joinRedis(t.Context(), b, s, slog.New(slog.NewTextHandler(&log, nil)))
		closed := b.Close() // and nothing else is logged
		if err != nil || closed != nil || strings.Contains(log.String(), "Redis carries nothing between servers for backend memory") == shared {
			t.Errorf("shared %v: %v, %v, log %s", shared, err, closed, log.String())
		}
	}
}
