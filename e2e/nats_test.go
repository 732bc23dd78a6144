package e2e

import (
	"testing"

	"github.com/dynconfig/dynconfig/conformance/services"
)

func TestWatchersOnEveryNodeHearEveryVersionOnceThoughANodeAndTheLeaderOfTheirNATSAreKilled(t *testing.T) {
	t.Parallel()
	store := services.StartNatsCluster(t)
	env := []string{"NATS_URL=" + store.URL, "DYNCONFIG_NATS_REPLICAS=3", "DYNCONFIG_NATS_SYNC_ALWAYS=true", "DYNCONFIG_NATS_PREFIX=team-config"}
	everyVersionOnce(t, newCluster(t, 3, env, "--rate-limit", "0"), 60, func() {
		leader := store.Leader(t, "team-config")
		leader.Kill(t)
		store.Except(leader).Leader(t, "team-config")
		leader.Start(t)
	})
}
