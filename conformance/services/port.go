package services

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// The ports of servers. The system hands out those above 32767 to whoever wants any.
const (
	firstPort = 20_000
	ports     = 4_000
)

// FreePort returns a port on which nobody listens. Until the test ends no other test is given it, in this process or in
// another one: neither before the server listens, nor while it is down.
func FreePort(t testing.TB) string {
	t.Helper()
	dir := cache(t)
	for range 1000 {
		port := strconv.Itoa(firstPort + rand.IntN(ports))
		lock, err := fileutil.TryLockFile(filepath.Join(dir, "port-"+port+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			continue // somebody has it
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			_ = lock.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = lock.Close() })
		return port
	}
	t.Fatal("no port is free")
	return ""
}
