package watch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
	"github.com/google/go-cmp/cmp"
)

func TestMessageThatIsNotOneIsRefused(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `null`, `"subscribe"`, `{} {}`, `{"subscribe":["a"]}x`, "{\"subscribe\":[\"\xff\"]}",
		`{}`, `{"id":1}`, `{"snapshot":true}`,
		`{"Subscribe":["a"]}`, `{"subscribe":["a"],"ID":1}`, `{"subscribe":["a"],"since_Version":1}`,
		`{"subscribe":["a"],"unknown":1}`, `{"subscribe":["a"],"sinceVersion":1}`,
		`{"subscribe":["a"],"subscribe":["b"]}`, `{"subscribe":["a"],"\u0073ubscribe":["b"]}`, `{"subscribe":["a"],"id":1,"id":1}`,
		`{"subscribe":"a"}`, `{"subscribe":null}`, `{"subscribe":[null]}`, `{"subscribe":[1]}`, `{"subscribe":{"a":1}}`,
		`{"unsubscribe":"a"}`, `{"unsubscribe":null}`, `{"token":null}`, `{"token":1}`, `{"token":""}`,
		`{"subscribe":["a"],"since_version":"3"}`, `{"subscribe":["a"],"since_version":1.5}`, `{"subscribe":["a"],"since_version":null}`,
		`{"subscribe":["a"],"since_version":99999999999999999999}`,
		`{"subscribe":["a"],"since_revision":3}`, `{"subscribe":["a"],"since_revision":null}`,
		`{"subscribe":["a"],"snapshot":1}`, `{"subscribe":["a"],"snapshot":"true"}`, `{"subscribe":["a"],"every":null}`,
		`{"subscribe":["a"],"unsubscribe":["b"]}`, `{"unsubscribe":["b"],"token":"t"}`, `{"subscribe":["a"],"unsubscribe":["b"],"token":"t"}`,
		`{"unsubscribe":["a"],"snapshot":true}`, `{"token":"t","since_version":3}`, `{"unsubscribe":["a"],"every":false}`,
	} {
		if m, err := parseMessage([]byte(text)); err == nil {
			t.Errorf("parseMessage(%q) = %+v, want an error", text, m)
		}
	}
}

func TestMessageSaysWhatWasSent(t *testing.T) {
	three := int64(3)
	for _, c := range []struct {
		text string
		want message
	}{
		{`{"subscribe":["app.*","a"]}`, message{subscribe: &core.Subscription{Patterns: []string{"app.*", "a"}}}},
		{" {\"subscribe\" : [ ] }\n", message{subscribe: &core.Subscription{Patterns: []string{}}}},
		{`{"subscribe":["a"],"since_version":3,"id":"x"}`, message{id: `"x"`, subscribe: &core.Subscription{ID: `"x"`, Patterns: []string{"a"}, SinceVersion: &three}}},
		{`{"subscribe":["a"],"since_revision":"e:4.2"}`, message{subscribe: &core.Subscription{Patterns: []string{"a"}, SinceRevision: "e:4.2"}}},
		{`{"subscribe":["a"],"snapshot":true,"every":true}`, message{subscribe: &core.Subscription{Patterns: []string{"a"}, Snapshot: true, Every: true}}},
		{`{"subscribe":["a"],"token":"t"}`, message{token: "t", subscribe: &core.Subscription{Patterns: []string{"a"}}}},
		{`{"unsubscribe":["a"],"id":null}`, message{id: "null", unsubscribe: []string{"a"}}},
		{`{"token":"t"}`, message{token: "t"}},
	} {
		got, err := parseMessage([]byte(c.text))
		if err != nil {
			t.Errorf("parseMessage(%q): %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(message{}, fault{})); d != "" {
			t.Errorf("parseMessage(%q): -want +got\n%s", c.text, d)
		}
	}
}

func TestMessageEchoesAnyIDAsItWas(t *testing.T) {
	for _, id := range []string{`1`, `-0.10e5`, `"\u0041"`, `null`, `true`, `[1, {"a" : "b"}]`, `{"b":1,"a":2}`, `12345678901234567890`} {
		m, err := parseMessage([]byte(`{"subscribe":["a"],"id": ` + id + ` }`))
		if err != nil || m.subscribe.ID != id {
			t.Errorf("id %s came back as %+v, %v", id, m.subscribe, err)
		}
	}
}

func TestMessageWithOptionsThatExcludeEachOtherIsAnErrorEvent(t *testing.T) {
	for text, code := range map[string]string{
		`{"subscribe":["a"],"since_version":1,"snapshot":true}`:                        core.CodeBadMessage,
		`{"subscribe":["a"],"since_version":1,"since_revision":"e:1"}`:                 core.CodeBadMessage,
		`{"subscribe":["a"],"since_revision":"e:1","snapshot":true}`:                   core.CodeBadMessage,
		`{"subscribe":["a"],"since_version":-1}`:                                       core.CodeBadMessage,
		`{"subscribe":["a"],"since_revision":""}`:                                      core.CodeBadRevision,
		`{"subscribe":["a"],"since_revision":"417"}`:                                   core.CodeBadRevision,
		`{"subscribe":["a"],"since_revision":"e:-1"}`:                                  core.CodeBadRevision,
		`{"subscribe":["a"],"since_revision":"e:1","since_version":1,"snapshot":true}`: core.CodeBadMessage,
	} {
		m, err := parseMessage([]byte(text))
		if err != nil || m.fault == nil || m.fault.code != code {
			t.Errorf("parseMessage(%q) = %+v, %v, want the error event %s", text, m.fault, err, code)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(`{"subscribe":["app.*","system.logging.level"],"since_version":3,"id":[1]}`)
	f.Add(`{"unsubscribe":["app.*"]}`)
	f.Add(`{"token":"eyJ","subscribe":["*"],"snapshot":true,"every":false}`)
	f.Add(`{"subscribe":["a"],"since_revision":"e:1.2"}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMessage([]byte(text))
		if err != nil {
			if r := reasonOf(err); r == "" || len(r) > 123 {
				t.Fatalf("reason %q does not fit a close frame", r)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("took %q, which is not JSON", text)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		asked := 0
		for name := range members {
			switch name {
			case "subscribe", "unsubscribe":
				asked++
			case "token", "id", "since_version", "since_revision", "snapshot", "every":
			default:
				t.Fatalf("took member %q", name)
			}
		}
		if asked > 1 || asked == 0 && m.token == "" {
			t.Fatalf("took %q", text)
		}
		if m.id != "" && !strings.Contains(text, m.id) {
			t.Fatalf("id %q is not as sent in %q", m.id, text)
		}
	})
}
