package nats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestServersAndClientsKnowEachOtherByTheirCertificates(t *testing.T) {
	t.Parallel()
	a, other := services.NewAuthority(t), services.NewAuthority(t)
	cert, key := a.Pair(t, "server")
	server := services.StartNatsTLS(t, a.CA(), cert, key)
	cert, key = a.Pair(t, "node")
	foreign, foreignKey := other.Pair(t, "node")
	for name, c := range map[string]Config{
		"no authority":             {Certificate: cert, Key: key},
		"another authority":        {CA: other.CA(), Certificate: cert, Key: key},
		"no certificate":           {CA: a.CA()},
		"another's certificate":    {CA: a.CA(), Certificate: foreign, Key: foreignKey},
		"authority not a file":     {CA: "none.pem", Certificate: cert, Key: key},
		"certificate not there":    {CA: a.CA(), Certificate: "none.pem", Key: key},
		"key of other certificate": {CA: a.CA(), Certificate: cert, Key: foreignKey},
	} {
		c.URL, c.Timeout = server.URL, patient
		if _, err := Open(t.Context(), c); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("%s is answered %v", name, err)
		}
	}
	b, err := Open(t.Context(), Config{URL: server.URL, CA: a.CA(), Certificate: cert, Key: key, Options: Options{Timeout: patient}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b.Store, "", op("a", []byte("1")))
	_ = b.Close()
}

// identity makes a key pair and returns it with its public half.
func identity(t *testing.T, make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := make()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

// signed encodes claims.
func signed(t *testing.T, c jwt.Claims, by nkeys.KeyPair) string {
	t.Helper()
	text, err := c.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// accounts are the settings of a server that knows its users by credentials, and a file with those of one of them.
func accounts(t *testing.T) (settings, credentials string) {
	t.Helper()
	operator, issuer := identity(t, nkeys.CreateOperator)
	account, id := identity(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(id)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	_, system := identity(t, nkeys.CreateAccount) // without which there is no JetStream
	settings = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }",
		signed(t, jwt.NewOperatorClaims(issuer), operator), system,
		system, signed(t, jwt.NewAccountClaims(system), operator), id, signed(t, claims, operator))
	user, name := identity(t, nkeys.CreateUser)
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	content, err := jwt.FormatUserConfig(signed(t, jwt.NewUserClaims(name), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	credentials = filepath.Join(t.TempDir(), "node.creds")
	if err := os.WriteFile(credentials, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return settings, credentials
}

func TestAUserIsKnownByCredentials(t *testing.T) {
	t.Parallel()
	settings, credentials := accounts(t)
	_, others := accounts(t)
	server := services.StartNats(t, settings)
	for name, file := range map[string]string{"none": "", "another operator's": others, "no file": "none.creds"} {
		if _, err := Open(t.Context(), Config{URL: server.URL, Credentials: file, Options: Options{Timeout: patient}}); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("credentials %s are answered %v", name, err)
		}
	}
	b, err := Open(t.Context(), Config{URL: server.URL, Credentials: credentials, Options: Options{Timeout: patient}})
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
	var c clock
	b, s := openAt(t, as("dynconfig"), Options{snapshotEvery: 10, tidyEvery: 50 * time.Millisecond, Now: c.now})
	js := admin(t, as("admin"))
	for i := range 100 {
		put(t, s, "", op("a", make([]byte, i<<13)))
	}
	awaitSweep(t, s, &c)
	eventually(t, func() error { // by then it has done all that it ever does
		c.forward(core.KeepIDs)
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
	if _, err := again.List(t.Context(), core.Query{}); err != nil {
		t.Fatal(err)
	}
	put(t, again, "", op("a", nil))
}

func TestNoSecretIsInAnError(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t, `authorization { user: someone, password: "right-secret" }`)
	for _, login := range []string{"someone:wrong-secret", "wrong-secret"} {
		_, err := Open(t.Context(), Config{URL: strings.Replace(server.URL, "nats://", "nats://"+login+"@", 1), Options: Options{Timeout: patient}})
		if !errors.Is(err, core.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("a user who is refused is told %v", err)
		}
	}
	for _, url := range []string{
		"", "nats://", "nats://someone:secret@", "nats://someone:%zsecret@host:4222", "nats://someone:secret", "someone:se,cret@host",
		"nats://someone:se/cret@host", "nats://someone:my secret@host", "nats://someone:secret@[::1", "nats://host,nats://someone:secret@host:port",
	} {
		if _, err := Open(t.Context(), Config{URL: url}); !errors.Is(err, core.ErrInvalid) || strings.Contains(err.Error(), "cret") {
			t.Errorf("address %q is answered %v", url, err)
		}
	}
	b, err := Open(t.Context(), Config{URL: strings.Replace(server.URL, "nats://", "nats://someone:right-secret@", 1), Options: Options{Timeout: patient}})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
}

func TestAServerThatIsNotSetUpForUsSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	user := func(name, publish, subscribe string) string {
		return fmt.Sprintf("{ user: %s, password: x, permissions: { publish: %s, subscribe: %q } }", name, publish, subscribe)
	}
	server := services.StartNats(t, fmt.Sprintf("accounts { A: { jetstream: enabled, users: [ %s, %s, %s, { user: all, password: x } ] }, B: { users: [ { user: plain, password: x } ] } }",
		user("nothing", `["orders.>"]`, "_INBOX.>"), user("silent", `["$JS.API.>"]`, "_INBOX.>"), user("deaf", `["$JS.API.>", "dynconfig.>"]`, "orders.>")))
	for _, c := range []struct {
		user, want string
		replicas   int
	}{
		{user: "all", want: "as many servers as replicas", replicas: 3},
		{user: "nothing", want: "refuses this server's user"},
		{user: "silent", want: "refuses this server's user"},
		{user: "deaf", want: "refuses this server's user"},
		{user: "plain", want: "JetStream switched off"},
	} {
		_, err := Open(t.Context(), Config{URL: strings.Replace(server.URL, "nats://", "nats://"+c.user+":x@", 1), Options: Options{
			Replicas: c.replicas, Timeout: patient, // not what a server is given that does not answer
		}})
		if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("user %s is answered %v, want %q", c.user, err, c.want)
		}
	}
}
