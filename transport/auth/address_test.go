package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestForwardedAddressCountsFromTrustedProxiesOnly(t *testing.T) {
	proxies := must(ParseProxies([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8", "::ffff:172.16.0.0/108"}))
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "198.51.100.7:1234", nil, "198.51.100.7"},
		{"untrusted peer", "198.51.100.7:1234", []string{"203.0.113.9"}, "198.51.100.7"},
		{"trusted peer", "10.1.2.3:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		{"trusted peer without a word", "10.1.2.3:1234", nil, "10.1.2.3"},
		{"client adds a hop", "10.1.2.3:1234", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"client adds a header", "10.1.2.3:1234", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.1.2.3:1234", []string{"1.1.1.1, 203.0.113.9, 192.0.2.1"}, "203.0.113.9"},
		{"proxies all the way", "10.1.2.3:1234", []string{"10.9.9.9, 10.8.8.8"}, "10.9.9.9"},
		{"nonsense", "10.1.2.3:1234", []string{"1.1.1.1, unknown"}, "10.1.2.3"},
		{"nonsense behind a proxy", "10.1.2.3:1234", []string{"_hidden, 192.0.2.1"}, "192.0.2.1"},
		{"with a port", "10.1.2.3:1234", []string{"203.0.113.9:5555"}, "203.0.113.9"},
		{"IPv6", "[fd00::1]:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:1234", []string{"[2001:db8::7]:5555"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:1234", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"network written in IPv6", "172.16.5.5:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		{"zone", "[fe80::1%eth0]:1234", nil, "fe80::1"},
		{"Unix socket", "@", []string{"203.0.113.9"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header = c.peer, http.Header{"X-Forwarded-For": c.forwarded}
			if got := proxies.Address(r); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestProxiesThatAreNoNetworksAreRefused(t *testing.T) {
	for _, bad := range []string{"", "proxy", "10.0.0.0/33", "10.0.0", "fe80::1%eth0"} {
		if p, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q: got %v, want an error", bad, p)
		}
	}
}

func TestFailuresAreCountedByAddressAndOfIPv6ByTheSubscribersNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "": "",
	} {
		if got := network(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
