package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
)

func TestAKeySetThatIsNonsenseIsAskedForAgainUntilItIsOne(t *testing.T) {
	t.Parallel()
	issuer, err := auth.OpenIssuer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var good atomic.Bool
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if good.Load() {
			_, _ = w.Write(issuer.Document())
			return
		}
		fmt.Fprint(w, "<html>nonsense")
	}))
	defer keys.Close()
	s, _ := serving(t, "--backend", "memory", "--jwks-url", keys.URL, "--jwt-issuer", issuer.Name())
	if s.Issuer != nil {
		t.Error("the server is its own issuer too")
	}
	token, err := issuer.Issue("admin-user", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := curl(t, "GET", s.URL+"/keys/a", token, ""); status != http.StatusServiceUnavailable {
		t.Errorf("with a token: %d, want 503", status)
	}
	res, err := newHTTPClient(t).Get(s.URL + "/keys/a")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d, want 401", res.StatusCode)
	}
	good.Store(true)
	if _, err := clientOf(t, s.URL, token).Get(t.Context(), "a", client.GetOptions{}); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("with the right keys: %v, want %v", err, core.ErrNotFound)
	}
}

func TestHealthTellsOfKeysThatNeverCame(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, "--backend", "memory", "--jwks-url", "http://127.0.0.1:1/keys", "--jwt-issuer", "i", "--jwt-audience", "a")
	h, err := clientOf(t, s.URL, "").Health(t.Context())
	if err != nil || h.Components["keys"] == core.Healthy || h.Components["encryption"] != core.Healthy {
		t.Errorf("health is %+v, %v; want keys that are not healthy", h, err)
	}
}

func TestTooManyRequestsAre429(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, "--backend", "memory", "--rate-limit", "1") // the next one flows in a whole minute later
	token := issued(t, s, "web")
	if status, body := curl(t, "GET", s.URL+"/keys", token, ""); status != http.StatusOK {
		t.Errorf("within the limit: %d %s", status, body)
	}
	status, body := curl(t, "GET", s.URL+"/keys", token, "")
	if status != http.StatusTooManyRequests || !strings.Contains(body, "Exceed 1 req/min") {
		t.Errorf("past the limit: %d %s, want 429", status, body)
	}
}

// certificate writes one for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(cert, certPEM, 0o600), os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, key, pool
}

func TestTLSIsServedFromVersion13On(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	s, _ := serving(t, "--backend", "memory", "--tls-cert", cert, "--tls-key", key)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.URL, client.Options{Token: client.StaticToken(issued(t, s, "admin-user")), HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), "app.a", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for e, err := range c.Watch(t.Context(), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Synced {
			break
		}
	}
	if !strings.HasPrefix(s.URL, "https://") {
		t.Errorf("it says that it listens on %s", s.URL)
	}
	_, err = tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 is served")
	}
}
