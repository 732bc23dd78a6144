package main

import "testing"

func TestAnOriginIsTakenAsBrowsersWriteIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://console.example.com":      "https://console.example.com",
		"HTTPS://Console.Example.com":      "https://console.example.com",
		"https://console.example.com:443":  "https://console.example.com",
		"http://localhost:80":              "http://localhost",
		"http://localhost:443":             "http://localhost:443",
		"http://localhost:3000":            "http://localhost:3000",
		"http://127.0.0.1:3000":            "http://127.0.0.1:3000",
		"http://[::1]:3000":                "http://[::1]:3000",
		"https://xn--bcher-kva.example:99": "https://xn--bcher-kva.example:99",
	} {
		var got []string
		if err := origins(&got)(text); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, %v; want %s", text, got, err, want)
		}
	}
}

func TestWhatIsNoOriginIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"*", "null", "https://*", "https://*.example.com", "console.example.com", "//h", "https://", "https:", "ftp://h", "ws://h",
		"https://h/", "https://h/path", "https://h?", "https://h?q=1", "https://h#", "https://h#f", "https://u@h", "https://u:p@h",
		"https://h:", "https://h:0", "https://h:080", "https://h:65536", "https://h:-1", "https://h:x", "https://:443", "https://[::1", "https://::1",
		"https://[fe80::1%25eth0]", "https://[127.0.0.1]", "https://a b", "https://a,null", "https://bücher.example", "https://a..b",
	} {
		var got []string
		if err := origins(&got)(text); err == nil {
			t.Errorf("%s passes as %q", text, got)
		}
	}
}

func TestAHostThatPoliciesMayCallHasNoPortAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"api.example.com": true, "localhost,10.0.0.1": true, "": true,
		"a b": false, "https://h": false, "h:80": false, "h/path": false, "*": false, "*.example.com": false, "u@h": false, "[::1]": false, "a,b c": false,
	} {
		var got []string
		if err := httpHosts(&got)(text); (err == nil) != good {
			t.Errorf("%q: %v, want it taken: %v", text, err, good)
		}
	}
}

func TestTheBackendIsPostgresIfThereIsOneElseWhatTheOneAddressSays(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Settings{
		"embedded": {},
		"memory":   {Backend: "memory", Postgres: postgresSettings{url: "x"}},
		"postgres": {Postgres: postgresSettings{url: "x"}, Etcd: etcdSettings{endpoints: []string{"x"}}, NATS: natsSettings{url: "x"}},
		"etcd":     {Etcd: etcdSettings{endpoints: []string{"x"}}},
		"nats":     {NATS: natsSettings{url: "x"}},
	} {
		if err := s.infer(); err != nil || s.Backend != want {
			t.Errorf("it is %q, %v; want %s", s.Backend, err, want)
		}
	}
}
