package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

const (
	rootPassword = "root-secret"
	password     = "node-secret"
)

// secured is a server with a user node who may do everything below dynconfig/ and nothing else, and a client of its root.
func secured(t *testing.T) (*services.Etcd, *clientv3.Client) {
	t.Helper()
	e := services.StartEtcd(t)
	plain := operator(t, e, "", "")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	must(plain.UserAdd(ctx, "root", rootPassword))
	must(plain.UserGrantRole(ctx, "root", "root"))
	must(plain.RoleAdd(ctx, "config"))
	must(plain.RoleGrantPermission(ctx, "config", "dynconfig/", clientv3.GetPrefixRangeEnd("dynconfig/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	must(plain.UserAdd(ctx, "node", password))
	must(plain.UserGrantRole(ctx, "node", "config"))
	must(plain.AuthEnable(ctx))
	return e, operator(t, e, "root", rootPassword)
}

// operator is a client of etcd itself.
func operator(t *testing.T, e *services.Etcd, user, password string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, Username: user, Password: password, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantRefusal(t *testing.T, what string, err error) {
	t.Helper()
	var public *core.Error
	if !errors.As(err, &public) || !errors.Is(err, core.ErrUnavailable) || public.Detail != "Store refuses this server's user" {
		t.Errorf("%s: got %v, want a refusal of the user", what, err)
	}
	if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "wrong-secret")) {
		t.Errorf("%s: the error holds the password: %v", what, err)
	}
}

func TestAUserNeedsTheRightPasswordAndThePrefixAlone(t *testing.T) {
	t.Parallel()
	e, root := secured(t)
	open := func(user, password, prefix string) (*core.Backend, error) {
		b, err := Open(t.Context(), Config{Endpoints: []string{e.Endpoint}, User: user, Password: password, Options: Options{Prefix: prefix, Timeout: patient}})
		if err == nil {
			t.Cleanup(func() { _ = b.Close() })
		}
		return b, err
	}
	_, err := open("node", "wrong-secret", "")
	wantRefusal(t, "a wrong password", err)
	_, err = open("", "", "")
	wantRefusal(t, "no user", err)
	_, err = open("node", password, "elsewhere")
	wantRefusal(t, "a prefix without a right to it", err)

	b, err := open("node", password, "")
	if err != nil {
		t.Fatal(err)
	}
	hints, err := b.Bus.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-hints
	write(t, b.Store, "one", op("k", []byte("1")))
	if h := <-hints; h.Head != 1 {
		t.Errorf("the hint is of head %d, want 1", h.Head)
	}
	if err := b.Store.Compact(t.Context(), 1, 0); err != nil {
		t.Error(err)
	}

	if _, err := root.UserChangePassword(t.Context(), "node", "another"); err != nil {
		t.Fatal(err)
	}
	_, err = b.Store.Commit(t.Context(), core.Txn{Ops: []core.Op{op("k", []byte("2"))}})
	wantRefusal(t, "a commit after the password was changed", err)
	_, err = b.Store.Sync(t.Context())
	wantRefusal(t, "a read after the password was changed", err)
	if _, err := root.UserChangePassword(t.Context(), "node", password); err != nil {
		t.Fatal(err)
	}
	persist(t, b.Store, "two", op("k", []byte("2")))

	e.Restart(t) // forgets the tokens it gave out
	persist(t, b.Store, "three", op("k", []byte("3")))
	for h := range hints { // those of before may come first
		if h.Head == 0 {
			break
		}
	}
}

func TestTLSNeedsTheRightAuthorityAndACertificate(t *testing.T) {
	t.Parallel()
	ours, others := services.NewAuthority(t), services.NewAuthority(t)
	cert, key := ours.Pair(t, "server")
	e := services.StartEtcdTLS(t, ours.CA(), cert, key)
	cert, key = ours.Pair(t, "client")
	strangeCert, strangeKey := others.Pair(t, "client")
	open := func(ctx context.Context, ca, cert, key string) (*core.Backend, error) {
		config, err := LoadTLS(ca, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return Open(ctx, Config{Endpoints: []string{e.Endpoint}, TLS: config, Options: Options{Timeout: patient}})
	}
	b, err := open(t.Context(), ours.CA(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	write(t, b.Store, "", op("k", []byte("1")))
	for what, files := range map[string]struct{ ca, cert, key, reason string }{
		"a server of another authority": {others.CA(), cert, key, "x509: certificate signed by unknown authority"},
		"a client of another authority": {ours.CA(), strangeCert, strangeKey, "etcd does not answer"},
		"no certificate":                {ours.CA(), "", "", "etcd does not answer"},
	} {
		if err := refusal(t, func(ctx context.Context) (*core.Backend, error) { return open(ctx, files.ca, files.cert, files.key) }); !strings.Contains(err.Error(), files.reason) {
			t.Errorf("%s: got %v, want one with %q", what, err, files.reason)
		}
	}
}

// refusal returns why nothing can be opened, which is not that it took too long.
func refusal(t *testing.T, open func(context.Context) (*core.Backend, error)) (err error) {
	t.Helper()
	for wait := time.Second; wait < patient; wait *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err = open(ctx)
		cancel()
		if !errors.Is(err, core.ErrUnavailable) {
			t.Fatalf("got %v, want unavailable", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	t.Fatal(err)
	return nil
}

func TestACertificateThatWasRenewedIsUsed(t *testing.T) {
	t.Parallel()
	a := services.NewAuthority(t)
	cert, key := a.Pair(t, "client")
	c, err := LoadTLS(a.CA(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		pair, err := c.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	a.Pair(t, "client")
	if serial() == first {
		t.Error("the old certificate is used")
	}
}

func TestFilesForTLSThatDoNotServeGetAClearError(t *testing.T) {
	t.Parallel()
	a := services.NewAuthority(t)
	cert, key := a.Pair(t, "one")
	_, otherKey := a.Pair(t, "two")
	for want, files := range map[string][3]string{
		"etcd CA /none cannot be read: no such file or directory":                   {"/none", "", ""},
		"etcd CA " + key + " holds no certificate in PEM":                           {key, "", ""},
		"etcd certificate and key belong together":                                  {"", cert, ""},
		"etcd certificate or key /none cannot be read: no such file or directory":   {a.CA(), cert, "/none"},
		"etcd certificate " + cert + " and key " + otherKey + " are no pair in PEM": {"", cert, otherKey},
	} {
		_, err := LoadTLS(files[0], files[1], files[2])
		var public *core.Error
		if !errors.As(err, &public) || public.Detail != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if c, err := LoadTLS("", "", ""); c != nil || err != nil {
		t.Errorf("without files: got %v and %v", c, err)
	}
}

func TestAddressesThatWouldBetraySomethingAreRefused(t *testing.T) {
	t.Parallel()
	some := &tls.Config{MinVersion: tls.VersionTLS12}
	for what, c := range map[string]Config{
		"none":                   {},
		"a user in an address":   {Endpoints: []string{"http://user:secret@127.0.0.1:1"}},
		"TLS that is not used":   {Endpoints: []string{"http://127.0.0.1:1"}, TLS: some},
		"partly TLS":             {Endpoints: []string{"https://127.0.0.1:1", "127.0.0.1:2"}},
		"an unknown scheme":      {Endpoints: []string{"ftp://127.0.0.1:1"}},
		"a user alone":           {Endpoints: []string{"127.0.0.1:1"}, User: "node"},
		"a prefix of one letter": {Endpoints: []string{"127.0.0.1:1"}, Options: Options{Prefix: "team/e"}},
		"an empty segment":       {Endpoints: []string{"127.0.0.1:1"}, Options: Options{Prefix: "team//config"}},
	} {
		_, err := Open(t.Context(), c)
		if !errors.Is(err, core.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want invalid", what, err)
		}
	}
}
