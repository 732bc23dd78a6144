package e2e

import (
	"testing"

	"github.com/dynconfig/dynconfig/conformance/services"
)

// backend is the services that the nodes of a test share.
type backend struct {
	env []string
}

func etcd(t *testing.T) *backend {
	t.Helper()
	return &backend{env: []string{"ETCD_ENDPOINTS=" + services.StartEtcd(t).Endpoint, "DYNCONFIG_BACKEND=etcd"}}
}
