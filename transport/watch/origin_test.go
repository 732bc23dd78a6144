package watch

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestOriginMustBeTheServersOwnOrAllowed(t *testing.T) {
	allowed := []string{"https://console.example.com", "null-not"}
	for _, c := range []struct {
		origin, host string
		tls, want    bool
	}{
		{"", "a:8080", false, true},
		{"http://a:8080", "a:8080", false, true},
		{"http://A:8080", "a:8080", false, true},
		{"http://a", "a:80", false, true},
		{"http://a:80", "a", false, true},
		{"https://a", "a", true, true},
		{"https://a:443", "a", true, true},
		{"http://[::1]:8080", "[::1]:8080", false, true},
		{"http://[::1]", "[::1]", false, true},
		{"https://console.example.com", "a:8080", false, true},

		{"https://a:8080", "a:8080", false, false},
		{"http://a", "a", true, false},
		{"http://a:8081", "a:8080", false, false},
		{"http://a", "a:8080", false, false},
		{"http://b:8080", "a:8080", false, false},
		{"http://a:8080.evil.example", "a:8080", false, false},
		{"http://evil@a:8080", "a:8080", false, false},
		{"http://a:8080/path", "a:8080", false, false},
		{"null", "a:8080", false, false},
		{"a:8080", "a:8080", false, false},
		{"http://console.example.com", "a:8080", false, false},
		{"https://console.example.com:8443", "a:8080", false, false},
		{"https://CONSOLE.example.com", "a:8080", false, false},
	} {
		r := &http.Request{Host: c.host, Header: http.Header{}}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := checkOrigin(r, allowed) == nil; got != c.want {
			t.Errorf("origin %q at host %q (TLS %v): allowed %v, want %v", c.origin, c.host, c.tls, got, c.want)
		}
	}
}

func TestOriginThatStandsTwiceIsRefused(t *testing.T) {
	r := &http.Request{Host: "a", Header: http.Header{"Origin": {"http://a", "http://b"}}}
	if checkOrigin(r, nil) == nil {
		t.Error("allowed")
	}
}
