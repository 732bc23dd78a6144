package policy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestFailureThatQuotesAnOperandIsLoggedWithoutIt(t *testing.T) {
	var log bytes.Buffer
	a, err := New(t.Context(), Options{
		Admins: []string{"admin-user"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Set: module(`decision := {"allow": json.marshal_with_options({}, input.subject.claims) == "{}"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	who := &core.Subject{Username: "ann", Claims: map[string]any{"hush": "x"}}
	if d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil)); err != nil || d.Rule != RuleError {
		t.Errorf("got %+v, %v", d, err)
	}
	if text := log.String(); !strings.Contains(text, "authz.rego:3: eval_type_error: json.marshal_with_options") || strings.Contains(text, "hush") {
		t.Errorf("got log %s", text)
	}
}
