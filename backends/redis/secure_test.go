package redis

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t testing.TB) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, roots
}

// documentedRights are those of the user in docs/OPERATIONS.md.
func documentedRights(t testing.TB) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile("`user dynconfig on >… ([^`]+)`").FindSubmatch(page)
	if user == nil {
		t.Fatal("the page names no user")
	}
	return strings.Fields(string(user[1]))
}

func TestTLSAndAUserOpenTheDoorAndNothingElseDoes(t *testing.T) {
	const password = "correct horse"
	certFile, keyFile, roots := certificate(t)
	server := services.StartRedisTLS(t, certFile, keyFile, roots, "dynconfig", password, documentedRights(t)...)
	trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	r := count(t, server.Addr, Options{Username: "dynconfig", Password: password, TLS: trusting, Limit: 10})
	if b := take(t, r, "ann", 1); !b.Allowed {
		t.Errorf("the budget is %+v", b)
	}
	one, two, _ := twoNodesWith(t, []string{server.Addr}, Options{Username: "dynconfig", Password: password, TLS: trusting})
	hints := listen(t, two)
	subscribed(t, hints)
	announce(t, one, commitOf())
	hear(t, "the commit", hints, func(h core.Hint) bool { return h.Head > 0 })
	keep(t, one.Cache, "epoch", entries()[1])
	await(t, "the cache keeps", func() bool { return cachedAt(t, two.Cache, "epoch", entries()[1].Key, entries()[1].Version) != nil })
	for what, o := range map[string]Options{
		"wrong password":    {Username: "dynconfig", Password: "wrong battery", TLS: trusting},
		"no user":           {TLS: trusting},
		"no TLS":            {Username: "dynconfig", Password: password},
		"untrusted":         {Username: "dynconfig", Password: password, TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		"for another name":  {Username: "dynconfig", Password: password, TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "example.com"}},
		"as the other user": {Username: "default", Password: password, TLS: trusting},
	} {
		t.Run(what, func(t *testing.T) {
			var log bytes.Buffer
			o.Limit, o.Timeout, o.Logger = 10, defaultTimeout, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			r := count(t, server.Addr, o)
			await(t, "the door stays shut", func() bool { return r.Health() == core.Degraded })
			_, err := r.limiter.Take(t.Context(), "ann", 1)
			if err == nil {
				t.Error("a limiter counts")
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			for _, secret := range []string{password, o.Password} {
				if secret != "" && (strings.Contains(log.String(), secret) || err != nil && strings.Contains(err.Error(), secret)) {
					t.Errorf("the password is in the error %q or in the log:\n%s", err, log.String())
				}
			}
		})
	}
}
