package rest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
)

func TestHealthAndItsKinNeedNoToken(t *testing.T) {
	s := start(t, nil, nil)
	if m := s.want(200, "GET", "/health", "", "as", "").json(t); m["status"] != "healthy" || m["components"] == nil {
		t.Errorf("health %v", m)
	}
	s.want(200, "GET", "/livez", "", "as", "")
	s.want(200, "GET", "/readyz", "", "as", "")
	m := s.want(200, "GET", "/version", "", "as", "").json(t)
	limits, _ := m["limits"].(map[string]any)
	if m["version"] != "1.2.3" || m["backend"] != "memory" || limits["maxOperations"].(float64) < 50 || limits["maxValueBytes"] != 1048576.0 {
		t.Errorf("version %v", m)
	}
	s.want(404, "GET", "/metrics", "", "as", "")
	s.want(404, "GET", "/.well-known/jwks.json", "", "as", "")
}

func TestAServerThatGoesAwayIsNotReady(t *testing.T) {
	s := start(t, func(o *rest.Options) { o.Draining = func() bool { return true } }, nil)
	s.want(503, "GET", "/readyz", "", "as", "")
	s.want(200, "GET", "/livez", "", "as", "")
}

func TestWithoutItsStoreAServerIsUnhealthy(t *testing.T) {
	var store *away
	s := start(t, nil, func(inner core.Store) core.Store { store = &away{Store: inner}; return store })
	store.gone.Store(true)
	if m := s.want(503, "GET", "/health", "", "as", "").json(t); m["status"] != "unhealthy" {
		t.Errorf("health %v", m)
	}
	s.want(503, "GET", "/readyz", "", "as", "")
	s.want(200, "GET", "/livez", "", "as", "")
}

func TestTheDocumentationNeedsNoTokenAndNoOtherHost(t *testing.T) {
	s := start(t, nil, nil)
	page := s.want(200, "GET", "/docs", "", "as", "")
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http") || strings.Contains(page.body, "http") {
		t.Errorf("policy %q, page %s", policy, page.body)
	}
	for _, part := range strings.Split(page.body, `"`) {
		if strings.HasPrefix(part, "/") {
			if a := s.want(200, "GET", part, "", "as", ""); a.body == "" {
				t.Errorf("%s is empty", part)
			}
		}
	}
	s.want(200, "GET", "/docs/", "", "as", "")
	s.want(404, "GET", "/docs/../pages.go", "", "as", "")
	s.want(404, "GET", "/docs/SHA256SUMS", "", "as", "")
	if a := s.want(200, "GET", "/openapi.yaml", "", "as", ""); !strings.Contains(a.body, "\nopenapi: 3.1.0") && !strings.HasPrefix(a.body, "openapi: 3.1.0") {
		t.Errorf("YAML %s", clip(a.body))
	}
	if m := s.want(200, "GET", "/openapi.json", "", "as", "").json(t); m["openapi"] != "3.1.0" {
		t.Errorf("document of version %v", m["openapi"])
	}
}

func TestTheFilesOfTheDocumentationAreThoseOfTheirPackage(t *testing.T) {
	sums, err := os.ReadFile("docs/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); n++ {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		b, err := os.ReadFile("docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s was changed", name)
		}
	}
	if n != 4 {
		t.Errorf("%d checksums, want 4", n)
	}
}
