package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestTokensAndCursorsOfOneNodeAreGoodOnAnother(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newCluster(t, 2, b.env, "--rate-limit", "0", "--keyset", keyset(t))
	for _, n := range c.nodes {
		c.feels(t, n, core.Healthy, "encryption")
		if strings.Contains(n.log.String(), "DYNCONFIG_") {
			t.Errorf("a node that shares everything warns: %s", n.log)
		}
	}
	b.toRedis.Cut() // from now on a node hears of the other's writes late
	for i := range 5 {
		if w, err := put(t.Context(), c.client(t, c.only(t, c.nodes[i%2])), fmt.Sprint("page.k", i), 1); err != nil || !w.Created {
			t.Fatalf("wrote %+v, %v", w, err)
		}
	}
	var keys []string // in pages from the last node that was written to, and the other, in turn
	for i, cursor := 0, ""; i == 0 || cursor != ""; i++ {
		var page struct {
			Keys       []string
			NextCursor string
		}
		a := c.insist(t, c.only(t, c.nodes[i%2]), c.token, http.MethodGet, "/keys?namespace=page&limit=2&cursor="+cursor, "")
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("page %d: %d %s", i, a.status, a.body)
		}
		keys, cursor = append(keys, page.Keys...), page.NextCursor
	}
	if got := strings.Join(keys, " "); got != "page.k0 page.k1 page.k2 page.k3 page.k4" {
		t.Errorf("the pages of both nodes hold %s", got)
	}
}

func TestANodeSaysWhatItDoesNotShareWithOthers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, newBackend(t).env)
	c.env = append([]string{"NOTHING="}, c.env[1:]...)
	own := c.add(t)
	for _, part := range []string{"DYNCONFIG_ISSUER_KEY", "DYNCONFIG_KEYSET"} {
		if !strings.Contains(own.log.String(), part) {
			t.Errorf("nothing is said of %s: %s", part, own.log)
		}
	}
	c.feels(t, own, core.Degraded, "encryption")
	if a := c.ask(t, c.only(t, own), c.token, http.MethodGet, "/keys/k", ""); a.status != http.StatusUnauthorized {
		t.Errorf("a token of another node's key is answered %d", a.status)
	}
}
