package auth

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// verifierOf verifies the tokens of an issuer as serve does.
func verifierOf(i *Issuer) *Verifier {
	return NewVerifier(i, VerifierOptions{Issuer: i.Name(), Audience: i.Name()})
}

func TestIssuedTokenVerifiesUntilItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := must(newIssuer(edKey()))
		v := verifierOf(i)
		for ttl, lives := range map[time.Duration]time.Duration{0: time.Hour, time.Minute: time.Minute, MaxTTL: MaxTTL} {
			token := must(i.Issue("admin-user", ttl, map[string]any{"team": "a"}))
			subject := must(v.Verify(t.Context(), token))
			if left := time.Until(subject.Expires); left > lives || left <= lives-time.Second {
				t.Errorf("ttl %s: lives for %s, want %s", ttl, left, lives)
			}
			if subject.Username != "admin-user" || subject.Claims["team"] != "a" {
				t.Errorf("got %+v", subject)
			}
			time.Sleep(lives + Leeway)
			verifies(t, v, token, false)
		}
	})
}

func TestIssuerRefusesWhatItCannotStandFor(t *testing.T) {
	i := must(newIssuer(edKey()))
	for name, issue := range map[string]func() (string, error){
		"no name":         func() (string, error) { return i.Issue("", 0, nil) },
		"a wildcard":      func() (string, error) { return i.Issue("service:*", 0, nil) },
		"past 30 days":    func() (string, error) { return i.Issue("a", MaxTTL+time.Second, nil) },
		"negative":        func() (string, error) { return i.Issue("a", -time.Second, nil) },
		"under a second":  func() (string, error) { return i.Issue("a", time.Millisecond, nil) },
		"own exp":         func() (string, error) { return i.Issue("a", 0, map[string]any{"exp": 99999999999}) },
		"own username":    func() (string, error) { return i.Issue("a", 0, map[string]any{"username": "b"}) },
		"too many claims": func() (string, error) { return i.Issue("a", 0, map[string]any{"x": strings.Repeat("x", MaxToken)}) },
	} {
		if token, err := issue(); err == nil || errors.Is(core.KindOf(err), core.ErrInternal) {
			t.Errorf("%s: got %q, %v, want a refusal", name, token, err)
		}
	}
}

func TestTokensOfOneIssuerAreNothingToAnother(t *testing.T) {
	a, b := must(newIssuer(edKey())), must(newIssuer(edKey()))
	token := must(a.Issue("admin-user", 0, nil))
	verifies(t, verifierOf(a), token, true)
	verifies(t, verifierOf(b), token, false)
	verifies(t, NewVerifier(a, VerifierOptions{Issuer: b.Name(), Audience: b.Name()}), token, false)
	if a.Name() == b.Name() || !strings.HasPrefix(a.Name(), "dynconfig:") {
		t.Errorf("names are %s and %s", a.Name(), b.Name())
	}
}

func TestPublishedDocumentVerifiesAndHoldsNoPrivateKey(t *testing.T) {
	i := must(newIssuer(edKey()))
	set := must(ParseSet(i.Document()))
	verifies(t, NewVerifier(&fixed{set: set}, VerifierOptions{}), must(i.Issue("a", 0, nil)), true)
	if text := string(i.Document()); strings.Contains(text, `"d"`) || !strings.Contains(text, `"kid"`) {
		t.Errorf("published %s", text)
	}
}

func TestKeyIsMadeOnceAndFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	names := make([]string, 16)
	var wg sync.WaitGroup
	for n := range names {
		wg.Go(func() {
			i, err := OpenIssuer(dir)
			if err != nil {
				t.Error(err)
				return
			}
			names[n] = i.Name()
		})
	}
	wg.Wait()
	for _, name := range names {
		if name != names[0] {
			t.Fatalf("at once: got %s and %s, want one key", name, names[0])
		}
	}
	if again := must(OpenIssuer(dir)); again.Name() != names[0] {
		t.Fatal("another key the second time")
	}
	files := must(os.ReadDir(dir))
	info := must(os.Stat(filepath.Join(dir, KeyFile)))
	if len(files) != 1 || info.Mode().Perm() != 0o600 {
		t.Fatalf("left %v, key with mode %v, want the key alone with 0600", files, info.Mode())
	}
}

func TestKeyThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(OpenIssuer(dir))
	path := filepath.Join(dir, KeyFile)
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenIssuer(dir)
		if !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: got %v, want a sentence with chmod 600", mode, err)
		}
	}
}

func TestKeyFileWithoutAKeyIsRefusedAndKept(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "torn": "-----BEGIN PRIVATE KEY-----\nMC4CAQAw", "nonsense": "hello"} {
		dir := t.TempDir()
		path := filepath.Join(dir, KeyFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenIssuer(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
		if after := must(os.ReadFile(path)); string(after) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestSharedKeyIsPEMOrSeedOrPath(t *testing.T) {
	key := edKey()
	name := must(newIssuer(key)).Name()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
	file := func(content string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "shared")
		if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	for from, value := range map[string]string{
		"PEM": text, "base64": base64.StdEncoding.EncodeToString(key.Seed()), "base64url": base64.RawURLEncoding.EncodeToString(key.Seed()),
		"path of PEM": file(text, 0o600), "path of base64": file(base64.StdEncoding.EncodeToString(key.Seed())+"\n", 0o600),
	} {
		if i, err := ParseIssuer(value); err != nil || i.Name() != name {
			t.Errorf("%s: got %v, %v", from, i, err)
		}
	}
	rsaText := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey()))}))
	for from, value := range map[string]string{
		"nothing": "", "RSA": rsaText, "short seed": "c2VjcmV0", "no such file": filepath.Join(t.TempDir(), "hunter2"),
		"a directory": t.TempDir(), "readable by others": file(text, 0o644), "a NUL": "hunter2\x00",
	} {
		i, err := ParseIssuer(value)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: got %v, %v, want an error that does not repeat the value", from, i, err)
		}
	}
}
