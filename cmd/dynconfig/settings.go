package main

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/backends/redis"
	"github.com/dynconfig/dynconfig/core"
)

// Settings are what `dynconfig serve` can be told, valid and complete.
type Settings struct {
	Backend  string
	DataDir  string
	Etcd     etcdSettings
	Redis    redisSettings
	Postgres postgresSettings
	NATS     natsSettings

	Listen         string
	TLSCert        string
	TLSKey         string
	MaxConnections int
	AllowOrigins   []string
	TrustedProxies []string
	HideDenied     bool
	Drain          time.Duration
	MaxStale       time.Duration

	JWKSURL        string
	JWTIssuer      string
	JWTAudience    string
	IssuerKey      string
	AllowOwnIssuer bool
	Admins         []string
	RateLimit      int
	Policy         policySettings

	Keyset            string
	RequireEncryption bool
	Allows            float64 // the share of allowed accesses that is recorded
	Retention         core.Retention

	LogLevel  string
	LogFormat string
}

// setting is one row of the table of settings. Its name is that of the flag and of the line in the file; the variable is
// DYNCONFIG_ and the name in capitals.
type setting struct {
	name  string
	other string // a variable's other name: the one in the source document
	def   string
	usage string
	parse parser
}

// table is every setting there is. Those of parts that this build does not have are known, so that they are told from a
// slip of the pen.
func (s *Settings) table() []setting {
	return []setting{
		{"backend", "", "", "where the data is: embedded, postgres, etcd, nats or memory; unset: what a postgres-url, else etcd-endpoints or a nats-url says, else embedded", text(&s.Backend)},
		{"data-dir", "", "./data", "directory of keys, audit records and the embedded store", path(&s.DataDir)},
		{"etcd-endpoints", "ETCD_ENDPOINTS", "", "addresses of an etcd cluster, with commas between them", list(&s.Etcd.endpoints)},
		{"etcd-prefix", "", "dynconfig", "what keys in etcd begin with, so that a cluster can be shared", path(&s.Etcd.prefix)},
		{"etcd-ca", "", "", "PEM file of the authorities that etcd is verified by; unset: the system's", text(&s.Etcd.ca)},
		{"etcd-cert", "", "", "PEM file of the certificate that etcd knows this server by", text(&s.Etcd.cert)},
		{"etcd-key", "", "", "PEM file of that certificate's key", text(&s.Etcd.key)},
		{"etcd-username", "", "", "user of etcd", text(&s.Etcd.username)},
		{"etcd-password", "", "", "its password; better as a variable, which no list of processes shows", text(&s.Etcd.password)},
		{"etcd-max-txn-ops", "", "128", "what the members of etcd have for --max-txn-ops", whole(&s.Etcd.maxTxnOps, 1, 1_000_000)},
		{"etcd-max-request-bytes", "", "1572864", "what the members of etcd have for --max-request-bytes", whole(&s.Etcd.maxRequestBytes, 1, 1<<30)},
		{"postgres-url", "POSTGRES_URL", "", "connection string of PostgreSQL; better as a variable, which no list of processes shows", text(&s.Postgres.url)},
		{"postgres-migrate", "", "auto", "auto: upgrade its tables at the start; off: dynconfig db upgrade does", oneOf(&s.Postgres.migrate, "auto", "off")},
		{"nats-url", "NATS_URL", "", "addresses of NATS servers with JetStream, with commas between them; better as a variable if a password is in them", text(&s.NATS.url)},
		{"nats-credentials", "", "", "file with the JWT and the key of the user there", text(&s.NATS.credentials)},
		{"nats-ca", "", "", "PEM file of the authorities that NATS servers are verified by; unset: the system's", text(&s.NATS.ca)},
		{"nats-cert", "", "", "PEM file of the certificate that NATS knows this server by", text(&s.NATS.cert)},
		{"nats-key", "", "", "PEM file of that certificate's key", text(&s.NATS.key)},
		{"nats-prefix", "", "dynconfig", "name of the stream and beginning of its subjects, one for each deployment", path(&s.NATS.prefix)},
		{"nats-replicas", "", "1", "servers that hold the stream, where it is made", whole(&s.NATS.replicas, 1, 5)},
		{"nats-sync-always", "", "false", "say that every NATS server has sync_interval: always, without which power loss may take commits", yes(&s.NATS.syncAlways)},
		{"redis-host", "REDIS_HOST", "", "Redis of the nodes, host[:port]; of a cluster several, with commas between them", redisHosts(&s.Redis.hosts)},
		{"redis-username", "REDIS_USERNAME", "", "its user", text(&s.Redis.username)},
		{"redis-password", "REDIS_PASSWORD", "", "its password; better as a variable, which no list of processes shows", text(&s.Redis.password)},
		{"redis-tls", "REDIS_TLS", "false", "speak TLS with it", yes(&s.Redis.tls)},
		{"redis-prefix", "", redis.DefaultPrefix, "what its keys and channels begin with, one for each deployment", word(&s.Redis.prefix)},

		{"listen", "", "127.0.0.1:8080", "address to serve on, host:port", address(&s.Listen)},
		{"tls-cert", "", "", "PEM file of the certificate chain; TLS 1.3 is then served", text(&s.TLSCert)},
		{"tls-key", "", "", "PEM file of the certificate's key", text(&s.TLSKey)},
		{"max-connections", "", "10000", "watchers at one time; a tenth of it, at least 16, may beside them wait for their token", whole(&s.MaxConnections, 1, 10_000_000)},
		{"allow-origin", "", "", "origins, beside its own, whose pages may watch, with commas between them", origins(&s.AllowOrigins)},
		{"trusted-proxy", "", "", "networks whose X-Forwarded-For is believed, with commas between them", list(&s.TrustedProxies)},
		{"hide-denied", "", "false", "answer a denied read as if the key did not exist", yes(&s.HideDenied)},
		{"max-stale", "", "60s", "how long reads go on while a shared store is away, marked X-DynConfig-Stale", duration(&s.MaxStale, time.Second, 24*time.Hour)},
		{"drain", "", "20s", "how long SIGTERM waits for what is under way", duration(&s.Drain, 0, time.Hour)},

		{"jwks-url", "JWKS_URL", "", "key set that tokens are verified by; unset: the server is its own issuer", httpURL(&s.JWKSURL)},
		{"jwt-issuer", "JWT_ISSUER", "", "what a token's iss must be", text(&s.JWTIssuer)},
		{"jwt-audience", "JWT_AUDIENCE", "", "what a token's aud must hold", text(&s.JWTAudience)},
		{"issuer-key", "", "", "the own issuer's key, or its file, where several nodes share it", text(&s.IssuerKey)},
		{"allow-own-issuer", "", "false", "let the server be its own issuer on an address beyond loopback", yes(&s.AllowOwnIssuer)},
		{"admins", "ADMINS", "admin-user", "server admins, with commas between them", list(&s.Admins)},
		{"rate-limit", "RATE_LIMIT", "1000", "requests a minute of each principal; 0: no limit", whole(&s.RateLimit, 0, 1_000_000_000)},

		{"policy", "", "server", "server: the policy that is put through the server; shipped: the shipped rules, whatever is stored, as a way back in", oneOf(&s.Policy.choice, "server", "shipped")},
		{"policy-dir", "", "", "directory of Rego files that are the policy, read again when they change", text(&s.Policy.dir)},
		{"policy-bundle", "", "", "OPA bundle that is the policy: a file, or an address of which https is looked at every 30 s", text(&s.Policy.bundle)},
		{"policy-bundle-key", "", "", "PEM file of the public key that the bundle must be signed by", text(&s.Policy.bundleKey)},
		{"policy-http-hosts", "", "", "hosts that a policy may call by http.send, without ports and with commas between them; unset: none", httpHosts(&s.Policy.hosts)},

		{"keyset", "", "", "file with the keyset that values are encrypted with; unset: the embedded backend makes its own", text(&s.Keyset)},
		{"require-encryption", "", "false", "do not start where values would be stored as they are; backend memory stores none", yes(&s.RequireEncryption)},
		{"retention", "", "age=168h,commits=1000000,versions=10", "how much of the log is kept", retention(&s.Retention)},

		{"decision-log", "", "denied", "which decisions are recorded beside denials: denied: none; all; sampled=0.01: that share of the allowed", decisionLog(&s.Allows)},
		{"log-level", "", "info", "debug, info, warn or error", oneOf(&s.LogLevel, "debug", "info", "warn", "error")},
		{"log-format", "", "auto", "json, text or auto: text on a terminal", oneOf(&s.LogFormat, "auto", "json", "text")},

		{"project", "", "", "", missing("config documents")},
	}
}

// check finds what no single setting shows.
func (s *Settings) check() error {
	if err := s.infer(); err != nil {
		return err
	}
	if _, ok := openers()[s.Backend]; !ok {
		return failf("This build has no backend %q; it has %s", s.Backend, backendNames())
	}
	if s.Backend == "etcd" {
		if err := s.Etcd.check(); err != nil {
			return err
		}
	}
	if s.Backend == "postgres" && s.Postgres.url == "" {
		return failf("Backend postgres needs POSTGRES_URL or --postgres-url")
	}
	if s.Backend == "nats" && s.NATS.url == "" {
		return failf("Backend nats needs NATS_URL or --nats-url")
	}
	if (s.NATS.cert == "") != (s.NATS.key == "") {
		return failf("--nats-cert and --nats-key belong together: set both or neither")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return failf("--tls-cert and --tls-key belong together: set both or neither")
	}
	if err := s.Policy.check(); err != nil {
		return err
	}
	if s.JWKSURL == "" && !s.AllowOwnIssuer && !loopback(s.Listen) {
		return failf("%s is beyond loopback, where the server must not be its own issuer of tokens: set JWKS_URL or give --allow-own-issuer", s.Listen)
	}
	return nil
}

// infer finds out where the data is, if nobody said so: in Postgres if there is an address of one, else at the one other
// place that there is an address of.
func (s *Settings) infer() error {
	switch {
	case s.Backend != "":
	case s.Postgres.url != "":
		s.Backend = "postgres"
	case len(s.Etcd.endpoints) > 0 && s.NATS.url != "":
		return failf("There are etcd-endpoints and a nats-url: say with --backend where the data is")
	case len(s.Etcd.endpoints) > 0:
		s.Backend = "etcd"
	case s.NATS.url != "":
		s.Backend = "nats"
	default:
		s.Backend = "embedded"
	}
	return nil
}

// loopback reports whether only this machine can reach an address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reachableURL is the address at which this machine reaches the server.
func reachableURL(listen net.Addr, tls bool) string {
	u := url.URL{Scheme: "http", Host: listen.String()}
	if tls {
		u.Scheme = "https"
	}
	if host, port, err := net.SplitHostPort(u.Host); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			u.Host = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return strings.TrimSuffix(u.String(), "/")
}
