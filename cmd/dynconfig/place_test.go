package main

import (
	"slices"
	"strings"
	"testing"
)

func TestAURLSaysWhereABackendIs(t *testing.T) {
	read := func(u string) Settings {
		t.Helper()
		s, err := settingsAt(u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
		}
		return s
	}
	for u, dir := range map[string]string{
		"embedded:///var/lib/d": "/var/lib/d", "embedded:/var/lib/d": "/var/lib/d", "embedded:./d": "./d", "embedded://d/e": "d/e",
	} {
		if s := read(u); s.Backend != "embedded" || s.DataDir != dir {
			t.Errorf("%s is %s in %s", u, s.Backend, s.DataDir)
		}
	}
	for u, prefix := range map[string]string{
		"etcd://a:1,[::1]:2": "dynconfig", "etcd://a:1,[::1]:2/": "dynconfig", "etcd://a:1,[::1]:2/team/x": "team/x", "etcd://a:1,[::1]:2?prefix=x": "x",
	} {
		if s := read(u); s.Backend != "etcd" || !slices.Equal(s.Etcd.endpoints, []string{"a:1", "[::1]:2"}) || s.Etcd.prefix != prefix {
			t.Errorf("%s is %s at %q below %s", u, s.Backend, s.Etcd.endpoints, s.Etcd.prefix)
		}
	}
	for _, u := range []string{"postgres://u:p@a,b/d?sslmode=disable&pool_max_conns=3", "postgresql://h"} {
		if s := read(u); s.Backend != "postgres" || s.Postgres.url != u {
			t.Errorf("%s is %s at %s", u, s.Backend, s.Postgres.url)
		}
	}
	if s := read("nats://a:1,b:2?replicas=3"); s.Backend != "nats" || s.NATS.url != "nats://a:1,b:2" || s.NATS.replicas != 3 || s.NATS.prefix != "dynconfig" {
		t.Errorf("NATS is %+v", s.NATS)
	}
}

func TestAURLThatIsNoneIsRefusedWithTheKnownOnesAndWithoutItsPassword(t *testing.T) {
	for u, want := range map[string]string{
		"":                              "its backends are embedded:///path/to/data, etcd://",
		"se-cret":                       "its backends are",
		"redis://:se-cret@h":            "its backends are",
		"etcd://":                       "URL is not such as etcd://host:port,host:port/prefix",
		"etcd://a:1?color=se-cret":      "unknown parameter color; it takes prefix",
		"etcd://a:1/x?prefix=se-cret":   "unknown parameter prefix",
		"nats://a:se-cret@h?replicas=9": "nats-replicas is",
		"embedded:d?%zz":                "has parameters that cannot be read",
	} {
		if _, err := settingsAt(u); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "se-cret") {
			t.Errorf("%s: %v, want %q", u, err, want)
		}
	}
}
