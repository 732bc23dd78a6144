package main

import (
	"path/filepath"
	"testing"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
)

func TestNodesOnOneNATSHearOfEachOther(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	one, as := serving(t, "--nats-url", server.URL, "--nats-sync-always")
	two, _ := serving(t, "--nats-url", server.URL, "--nats-sync-always", "--issuer-key", filepath.Join(one.settings.DataDir, "issuer.pem"))
	admin := as("admin-user")
	_, changes := watched(t, clientOf(t, two.URL, issued(t, one, "admin-user")))
	for version := range int64(10) {
		if version == 5 {
			server.Restart(t)
		}
		if _, err := admin.Put(t.Context(), "app.a", version, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if c := <-changes; c.Is == nil || c.Is.Version != version+1 {
			t.Errorf("the other node tells of %+v, want version %d", c.Is, version+1)
		}
	}
}
