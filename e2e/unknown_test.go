package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
)

func TestAWriteWhoseAnswerIsLostIsAppliedOnce(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newCluster(t, 2, b.env, "--rate-limit", "0")
	a, other := c.once(t, c.only(t, c.nodes[0])), c.once(t, c.only(t, c.nodes[1]))
	start, err := once(t, a, "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 4, "lost.*", start.Revision, func(i int) *http.Client { return c.only(t, c.nodes[i%2]) })
	want := map[string]int64{}
	for n := range 12 {
		key, times := fmt.Sprintf("lost.%d", n%3), n%3+1
		if n%2 == 1 { // so that the next of this node is not written over what it knows
			if _, err := once(t, other, "between", n); err != nil {
				t.Fatal(err)
			}
		}
		lost := b.toPostgres.lost.Load()
		marker := fmt.Sprintf("the answer to this is lost: %d", n)
		b.toPostgres.LoseAnswers(marker, times)
		written, err := once(t, a, key, marker)
		want[key]++
		if err != nil || written.Version != want[key] {
			t.Errorf("write %d of %s, with %d lost answers: version %d, %v", want[key], key, times, written.Version, err)
		}
		if lost = b.toPostgres.lost.Load() - lost; lost == 0 {
			t.Errorf("write %d lost no answer", n)
		}
	}
	crowd.await(t, want)

	// and a client that has given up may come again, to any node
	const marker = "given up"
	o := client.WriteOptions{IdempotencyKey: "again"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b.toPostgres.LoseAnswers("", 1_000_000) // of everything
	if _, err := a.Put(ctx, "lost.0", marker, o); err == nil {
		t.Error("a write was acknowledged without an answer of the store")
	}
	b.toPostgres.LoseAnswers("", 0)
	want["lost.0"]++
	for _, h := range []*http.Client{c.only(t, c.nodes[1]), c.only(t, c.nodes[0])} {
		written, err := c.client(t, h).Put(t.Context(), "lost.0", marker, o)
		if err != nil || written.Version != want["lost.0"] {
			t.Errorf("a write that was repeated: version %d, %v, want %d", written.Version, err, want["lost.0"])
		}
	}
	crowd.await(t, want)
	crowd.agree(t)
}
