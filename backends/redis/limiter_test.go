package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// count makes a node that does nothing but count.
func count(t testing.TB, addr string, o Options) *Redis {
	t.Helper()
	r, err := Open([]string{addr}, patient(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func take(t testing.TB, r *Redis, principal string, n int) core.Budget {
	t.Helper()
	b, err := r.limiter.Take(t.Context(), principal, n)
	if err != nil {
		t.Fatalf("Take(%q, %d): %v", principal, n, err)
	}
	return b
}

// drain takes until it is refused, and returns how many there were.
func drain(t testing.TB, principal string, nodes ...*Redis) (taken int) {
	t.Helper()
	for _, r := range nodes {
		for take(t, r, principal, 1).Allowed {
			taken++
		}
	}
	return taken
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("in vain waited: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// bound is what a bucket of a limit gives out at most since a time.
func bound(limit int, since time.Time) float64 {
	return float64(limit) * (1 + time.Since(since).Minutes())
}

func TestTwoNodesGrantTheLimitAndTheStatedBitLessAtMost(t *testing.T) {
	server := services.StartRedis(t)
	for _, limit := range []int{1, 7, 100, 1000, 20_000} {
		one, two := count(t, server.Addr, Options{Limit: limit}), count(t, server.Addr, Options{Limit: limit})
		who, start, taken := fmt.Sprint(limit), time.Now(), 0
		for range limit / 3 {
			for _, r := range []*Redis{one, two} {
				if take(t, r, who, 1).Allowed {
					taken++
				}
			}
		}
		taken += drain(t, who, one, two)
		least := limit - 2*2*one.limiter.block
		if most := bound(limit, start); float64(taken) > most || taken < least {
			t.Errorf("limit %d: %d were granted, want %d to %.1f", limit, taken, least, most)
		}
	}
}

func TestWhatLiesIdleOnAnotherNodeIsItsBlockAtMost(t *testing.T) {
	const limit = 1000
	server := services.StartRedis(t)
	one, two := count(t, server.Addr, Options{Limit: limit}), count(t, server.Addr, Options{Limit: limit})
	take(t, two, "ann", 1)
	if taken := drain(t, "ann", one); taken < limit-1-two.limiter.block {
		t.Errorf("%d were granted while another node held a block of %d of a limit of %d", taken, two.limiter.block, limit)
	}
	if taken := drain(t, "ann", two); taken < two.limiter.block-1 {
		t.Errorf("the other node could spend %d, less than it held", taken)
	}
}

// Three nodes take as it comes, with leases that run out under way. One bucket with perfect knowledge would have allowed
// every single request.
func TestNodesNeverGrantWhatOneBucketWouldNot(t *testing.T) {
	const limit = 12_000 // 200 a second, in blocks of 240
	server := services.StartRedis(t)
	random := rand.New(rand.NewPCG(1, 2))
	var nodes []*Redis
	for range 3 {
		nodes = append(nodes, count(t, server.Addr, Options{Limit: limit, Lease: 200 * time.Millisecond}))
	}
	level, last, slowest, granted := float64(limit), time.Now(), time.Duration(0), 0
	start := time.Now()
	for time.Since(start) < 3*time.Second || granted < limit/2 {
		if time.Since(start) > patience {
			t.Fatalf("only %d were granted within %v", granted, patience)
		}
		if random.IntN(200) == 0 { // long enough for leases to run out, or short
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
		r, n, before := nodes[random.IntN(len(nodes))], 1+random.IntN(20), time.Now()
		b := take(t, r, "ann", n)
		now := time.Now()
		slowest = max(slowest, now.Sub(before))
		level = min(limit, level+now.Sub(last).Minutes()*limit)
		last = now
		if !b.Allowed {
			continue
		}
		granted += n
		// When within a call a request was granted is unknown, and so is as much of what flowed in.
		if level -= float64(n); level < -1-slowest.Minutes()*limit {
			t.Fatalf("after %d, a request for %d was granted where one bucket would have lacked %.1f", granted, n, -level)
		}
	}
}

// While one node holds a block, the bucket flows as full as it gets. Both together must not hold more than the limit.
func TestWhatANodeHoldsBackCountsAgainstTheLimit(t *testing.T) {
	const limit = 60_000
	server := services.StartRedis(t)
	one, two := count(t, server.Addr, Options{Limit: limit}), count(t, server.Addr, Options{Limit: limit})
	start := time.Now()
	take(t, one, "ann", 1)
	await(t, "what was leased would have flowed in again", func() bool { return time.Since(start) > one.limiter.flow(float64(one.limiter.block)) })
	start = time.Now()
	if taken := drain(t, "ann", two, one); float64(taken) > bound(limit, start) {
		t.Errorf("%d were granted at once, with a limit of %d", taken, limit)
	}
}

func TestARequestWhoseNodeHoldsTokensAsksNobody(t *testing.T) {
	const limit = 10_000
	server := services.StartRedis(t)
	r := count(t, server.Addr, Options{Limit: limit})
	for range limit / 2 {
		if !take(t, r, "ann", 1).Allowed {
			t.Fatal("refused")
		}
	}
	if asked, most := r.Stats().LeasesAsked, uint64(2*limit/2/r.limiter.block+10); asked > most {
		t.Errorf("for %d requests Redis was asked %d times, want at most %d", limit/2, asked, most)
	}
}

func TestANodeThatClosesGivesUnspentTokensBack(t *testing.T) {
	const limit = 5000
	server := services.StartRedis(t)
	one, two := count(t, server.Addr, Options{Limit: limit}), count(t, server.Addr, Options{Limit: limit})
	take(t, one, "ann", 1)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if b := take(t, two, "ann", limit-1); !b.Allowed {
		t.Errorf("after one request and a close the budget is %+v", b)
	}
}

func TestALeaseThatIsNotUsedIsGivenBack(t *testing.T) {
	server := services.StartRedis(t)
	r := count(t, server.Addr, Options{Limit: 1000, Lease: time.Second})
	redis := server.Client(t)
	key := r.limiter.key("ann")
	await(t, "a node that takes a token holds others", func() bool { // once more, if it has given them back already
		take(t, r, "ann", 1)
		return redis.HExists(t.Context(), key, r.node).Val()
	})
	await(t, "the node gives back what it does not use", func() bool { return !redis.HExists(t.Context(), key, r.node).Val() })
	await(t, "the node forgets the principal", func() bool {
		names := 0
		r.limiter.each(func(*lease) { names++ })
		return names == 0
	})
}

// A killed node takes its block with it. When its lease is over, what flows in is whole again.
func TestTheLeaseOfAKilledNodeEnds(t *testing.T) {
	const limit = 60_000
	server := services.StartRedis(t)
	killed, other := count(t, server.Addr, Options{Limit: limit, Lease: time.Second}), count(t, server.Addr, Options{Limit: limit, Lease: time.Second})
	take(t, killed, "ann", 1)
	killed.limiter.cancel()
	killed.limiter.done.Wait()
	await(t, "all of the limit is there for the other node", func() bool { return take(t, other, "ann", 0).Remaining == limit })
}

func TestWhileRedisIsAwayTakeFailsAndThenCountsAgain(t *testing.T) {
	server := services.StartRedis(t)
	r := count(t, server.Addr, Options{Limit: 10, Timeout: defaultTimeout})
	for what, gone := range map[string][2]func(testing.TB){"killed": {server.Kill, server.Start}, "stopped": {server.Pause, server.Resume}} {
		counts := func() bool {
			_, err := r.limiter.Take(t.Context(), what, 1)
			return err == nil
		}
		await(t, what+": Take counts", counts)
		gone[0](t)
		await(t, what+": Take fails, and the health says why", func() bool { return !counts() && r.Health() == core.Degraded })
		gone[1](t)
		await(t, what+": Take counts again", counts)
		await(t, what+": healthy again", func() bool { return r.Health() == core.Healthy })
	}
}

// A server with no memory left refuses the script. Then, too, the node counts by itself.
func TestARefusedCommandFailsTakeAndShowsInTheHealth(t *testing.T) {
	server := services.StartRedis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	r := count(t, server.Addr, Options{Limit: 10})
	await(t, "the health says so", func() bool {
		if b, err := r.limiter.Take(t.Context(), "ann", 1); err == nil {
			t.Fatalf("without memory for a bucket the budget is %+v", b)
		}
		return r.Health() == core.Degraded
	})
	if r.Stats().Away {
		t.Error("a Redis that answers is away")
	}
}

func TestPrincipalsDoNotStandInRedis(t *testing.T) {
	server := services.StartRedis(t)
	r := count(t, server.Addr, Options{Limit: 10, Prefix: "mine"})
	take(t, r, "ann@example.com", 1)
	keys, err := server.Client(t).Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "mine:limit:{") || strings.Contains(keys[0], "ann") {
		t.Errorf("the keys are %q, %v", keys, err)
	}
}

func TestABucketIsForgottenWhenItIsFull(t *testing.T) {
	server := services.StartRedis(t)
	r := count(t, server.Addr, Options{Limit: 10})
	take(t, r, "ann", 10)
	left, err := server.Client(t).PTTL(t.Context(), r.limiter.key("ann")).Result()
	if most := time.Minute + 2*r.limiter.life; err != nil || left <= 0 || left > most {
		t.Errorf("the bucket stays for %v, %v, want at most %v", left, err, most)
	}
}
