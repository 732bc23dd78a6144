package services

import (
	"os"
	"strings"
	"testing"
)

func TestImagesAreOfTheVersionsThatTheComposeFileAndTheModuleName(t *testing.T) {
	for file, wants := range map[string][]string{
		"../../docker-compose.yml": {"image: " + postgresImage + "\n", "image: " + redisImage + "\n"},
		"../../go.mod": {
			"go.etcd.io/etcd/server/v3 " + strings.TrimPrefix(etcdImage, "gcr.io/etcd-development/etcd:"),
			"github.com/nats-io/nats-server/v2 v" + strings.TrimPrefix(natsImage, "nats:"),
		},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not name %q", file, want)
			}
		}
	}
}
