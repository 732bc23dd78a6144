package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
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

// certificate writes a certificate that vouches for itself, for 127.0.0.1 and for clients.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestServersAndClientsKnowEachOtherByTheirCertificates(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	server := services.StartNatsTLS(t, cert, key)
	for name, c := range map[string]Config{
		"no authority":          {Certificate: cert, Key: key},
		"no certificate":        {CA: cert},
		"authority not a file":  {CA: "none.pem", Certificate: cert, Key: key},
		"certificate not there": {CA: cert, Certificate: "none.pem", Key: key},
	} {
		c.URL = server.URL
		if _, err := Open(t.Context(), c); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("%s is answered %v", name, err)
		}
	}
	b, err := Open(t.Context(), Config{URL: server.URL, CA: cert, Certificate: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b.Store, "", op("a", []byte("1")))
	_ = b.Close()
}

// documentedRights are those of the user in docs/OPERATIONS.md.
func documentedRights(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	rights := regexp.MustCompile(`(?s)permissions: \{.*?\n    \}`).Find(page)
	if rights == nil {
		t.Fatal("the page names no permissions")
	}
	return string(rights)
}

func TestTheDocumentedRightsAreEnough(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t, fmt.Sprintf(`authorization { users: [
		{ user: admin, password: right-secret }
		{ user: dynconfig, password: right-secret, %s }
	] }`, documentedRights(t)))
	as := func(user string) string {
		return strings.Replace(server.URL, "nats://", "nats://"+user+":right-secret@", 1)
	}
	b, s := openAt(t, as("dynconfig"), Options{snapshotEvery: 10, remember: 50 * time.Millisecond})
	js := admin(t, as("admin"))
	for i := range 100 {
		put(t, s, "", op("a", make([]byte, i<<13)))
	}
	eventually(t, func() error { // by then it has done all that it ever does
		if err := s.Compact(t.Context(), 100, 1); err != nil {
			t.Fatal(err)
		}
		if first := info(t, js).State.FirstSeq; first < 50 {
			return fmt.Errorf("the stream still begins at %d", first)
		}
		return nil
	})
	_ = b.Close()
	_, again := openAt(t, as("dynconfig"), Options{})
	if v := valueOf(t, again, "a"); len(v) != 99<<13 {
		t.Errorf("after a start a value has %d bytes", len(v))
	}
	if err := js.DeleteStream(t.Context(), defaultPrefix); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, again, "", op("a", nil))
}
