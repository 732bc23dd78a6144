package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/source"
)

const module = "package dynconfig.authz\n\ndecision := data.dynconfig.acl.decision\n"

// pack is a bundle of files. With a key it is signed.
func pack(t *testing.T, files map[string]string, key any, algorithm string) []byte {
	t.Helper()
	if key != nil {
		var text bytes.Buffer
		text.Write(pack(t, files, nil, ""))
		read, err := bundle.NewReader(&text).WithSkipBundleVerification(true).Read()
		if err != nil {
			t.Fatal(err)
		}
		if err := read.GenerateSignature(bundle.NewSigningConfig(string(private(t, key)), algorithm, ""), "release", false); err != nil {
			t.Fatal(err)
		}
		sum, err := json.Marshal(read.Signatures)
		if err != nil {
			t.Fatal(err)
		}
		signed := map[string]string{".signatures.json": string(sum)}
		for name, text := range files {
			signed[name] = text
		}
		files = signed
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for name, text := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func private(t *testing.T, key any) []byte {
	t.Helper()
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

func public(t *testing.T, key any) []byte {
	t.Helper()
	text, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})
}

func inFile(t *testing.T, text []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, from string, o source.BundleOptions) *source.Bundle {
	t.Helper()
	b, err := source.NewBundle(from, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused demands an error of a kind whose sentence says something.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || !strings.Contains(e.Detail, says) {
		t.Errorf("got %v, want %v with %q", err, kind, says)
	}
}

func TestABundleIsReadFromAFileAndAgainWhenItIsAnother(t *testing.T) {
	name := inFile(t, pack(t, map[string]string{"/authz.rego": module, "./teams/a.rego": "package teams\n", ".shipped/acl.rego": "package dynconfig.acl\n", "teams/data.json": `{"size":12345678901234567890}`}, nil, ""))
	b := open(t, name, source.BundleOptions{})
	set, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if set.Modules["authz.rego"] != module || set.Modules["teams/a.rego"] == "" || len(set.Modules) != 2 || set.Revision == "" {
		t.Errorf("it holds %+v", set)
	}
	if want := map[string]any{"teams": map[string]any{"size": json.Number("12345678901234567890")}}; !reflect.DeepEqual(set.Data, want) {
		t.Errorf("data is %#v", set.Data)
	}
	if again, err := b.Read(t.Context()); err != nil || again.Revision != set.Revision {
		t.Errorf("again it is %s, %v", again.Revision, err)
	}
	if err := os.WriteFile(name, pack(t, map[string]string{"a.rego": module, ".manifest": `{"revision":"v2","roots":["dynconfig/authz"]}`}, nil, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	if next, err := b.Read(t.Context()); err != nil || next.Revision != "v2" {
		t.Errorf("the next one is %s, %v", next.Revision, err)
	}
}

func TestWhatIsNoBundleOfRegoIsRefused(t *testing.T) {
	many := map[string]string{}
	for i := range 1100 {
		many[strings.Repeat("d", i+1)+".txt"] = ""
	}
	for name, c := range map[string]struct {
		text []byte
		kind error
		says string
	}{
		"not packed":     {[]byte(module), core.ErrInvalid, "cannot be read"},
		"cut off":        {pack(t, map[string]string{"a.rego": module}, nil, "")[:40], core.ErrInvalid, "cannot be read"},
		"empty":          {pack(t, nil, nil, ""), core.ErrInvalid, "no .rego file"},
		"wrong Rego":     {pack(t, map[string]string{"a.rego": "package {"}, nil, ""), core.ErrInvalid, "a.rego:1"},
		"old Rego":       {pack(t, map[string]string{"a.rego": "package a\np { true }"}, nil, ""), core.ErrInvalid, "a.rego:2"},
		"a delta":        {pack(t, map[string]string{"patch.json": `{"data":[{"op":"remove","path":"/x"}]}`}, nil, ""), core.ErrInvalid, "delta"},
		"compiled":       {pack(t, map[string]string{"policy.wasm": "\x00asm", "a.rego": module}, nil, ""), core.ErrInvalid, "only Rego"},
		"a bomb":         {pack(t, map[string]string{"a.rego": strings.Repeat("#", source.MaxBytes+1)}, nil, ""), core.ErrTooLarge, "more than"},
		"a bomb of many": {pack(t, map[string]string{"a.rego": strings.Repeat("#", source.MaxBytes/2), "b.rego": strings.Repeat("#", source.MaxBytes/2+1)}, nil, ""), core.ErrTooLarge, "more than"},
		"many files":     {pack(t, many, nil, ""), core.ErrTooLarge, "more than"},
		"too large":      {make([]byte, source.MaxBytes+1), core.ErrTooLarge, "more than"},
	} {
		_, err := open(t, inFile(t, c.text), source.BundleOptions{}).Read(t.Context())
		t.Run(name, func(t *testing.T) { refused(t, err, c.kind, c.says) })
	}
	_, err := open(t, filepath.Join(t.TempDir(), "none"), source.BundleOptions{}).Read(t.Context())
	refused(t, err, core.ErrInvalid, "cannot be read")
}

func TestASignedBundleIsTakenFromWhoHoldsTheKeyAlone(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"a.rego": module, "data.json": `{"x":1}`}
	for _, c := range []struct {
		algorithm string
		key, pub  any
	}{{"RS256", rsaKey, &rsaKey.PublicKey}, {"ES256", ecKey, &ecKey.PublicKey}, {"EdDSA", edKey, edPublic}} {
		set, err := open(t, inFile(t, pack(t, files, c.key, c.algorithm)), source.BundleOptions{Key: public(t, c.pub)}).Read(t.Context())
		if err != nil || len(set.Modules) != 1 {
			t.Errorf("%s: %+v, %v", c.algorithm, set, err)
		}
	}
	key := source.BundleOptions{Key: public(t, &rsaKey.PublicKey)}
	for name, text := range map[string][]byte{
		"not signed":      pack(t, files, nil, ""),
		"by another":      pack(t, files, ecKey, "ES256"),
		"other algorithm": pack(t, files, rsaKey, "RS512"),
		"a file more":     pack(t, with(t, files, rsaKey, "b.rego", "package b\n"), nil, ""),
		"another file":    pack(t, with(t, files, rsaKey, "a.rego", module+"x := 1\n"), nil, ""),
	} {
		_, err := open(t, inFile(t, text), key).Read(t.Context())
		t.Run(name, func(t *testing.T) { refused(t, err, core.ErrInvalid, "cannot be read") })
	}
	for name, text := range map[string][]byte{"no PEM": []byte("key"), "a private key": private(t, rsaKey), "empty": {}} {
		_, err := source.NewBundle("bundle.tar.gz", source.BundleOptions{Key: text})
		t.Run(name, func(t *testing.T) { refused(t, err, core.ErrInvalid, "key of the policy bundle") })
	}
}

// with is files with the signature of what they were before one of them became another.
func with(t *testing.T, files map[string]string, key any, name, text string) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(pack(t, files, key, "RS256")))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if err != nil {
			break
		}
		var content bytes.Buffer
		_, _ = content.ReadFrom(archive)
		all[header.Name] = content.String()
	}
	all[name] = text
	return all
}

func TestABundleIsFetchedOnceWhileItStaysTheSame(t *testing.T) {
	text := pack(t, map[string]string{"a.rego": module}, nil, "")
	var away atomic.Bool
	var sent, unchanged atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case away.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.Header.Get("If-None-Match") == `"1"`:
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
		default:
			sent.Add(1)
			w.Header().Set("ETag", `"1"`)
			_, _ = w.Write(text)
		}
	}))
	defer server.Close()
	b := open(t, strings.Replace(server.URL, "https://", "https://user:se-cret@", 1)+"/p.tar.gz?token=se-cret", source.BundleOptions{Client: server.Client()})
	var revision string
	for i := range 3 {
		set, err := b.Read(t.Context())
		if err != nil || i > 0 && set.Revision != revision {
			t.Fatalf("%d: %+v, %v", i, set, err)
		}
		revision = set.Revision
	}
	if sent.Load() != 1 || unchanged.Load() != 2 {
		t.Errorf("it was sent %d times, and %d times it was not", sent.Load(), unchanged.Load())
	}
	away.Store(true)
	_, err := b.Read(t.Context())
	refused(t, err, core.ErrUnavailable, "cannot be fetched from 127.0.0.1")
	server.Close()
	if _, err = b.Read(t.Context()); err == nil || strings.Contains(err.Error(), "se-cret") {
		t.Errorf("away: %v", err)
	}
}

func TestAnUnsignedBundleIsNotTakenOverPlainHTTP(t *testing.T) {
	_, err := source.NewBundle("http://127.0.0.1/p.tar.gz", source.BundleOptions{})
	refused(t, err, core.ErrInvalid, "must be signed")

	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := pack(t, map[string]string{"a.rego": module, "data.json": "{}"}, key, "EdDSA")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(signed) }))
	defer plain.Close()
	b := open(t, plain.URL, source.BundleOptions{Key: public(t, key.Public())})
	if _, err := b.Read(t.Context()); err != nil {
		t.Errorf("a signed one: %v", err)
	}
	elsewhere := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer elsewhere.Close()
	_, err = open(t, elsewhere.URL, source.BundleOptions{Client: elsewhere.Client()}).Read(t.Context())
	refused(t, err, core.ErrUnavailable, "cannot be fetched")
	if _, err := open(t, elsewhere.URL, source.BundleOptions{Client: elsewhere.Client(), Key: public(t, key.Public())}).Read(t.Context()); err != nil {
		t.Errorf("a signed one, by way of another server: %v", err)
	}
}
