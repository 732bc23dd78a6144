package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dynconfig/dynconfig/core"
)

// read gathers the members of an object as their raw text.
func read(text string) (map[string]string, error) {
	got := map[string]string{}
	err := Object([]byte(text), func(name string, v Value) error {
		got[name] = string(v.Raw)
		return nil
	})
	return got, err
}

func TestAValueKeepsEveryByteButOuterWhiteSpace(t *testing.T) {
	for _, value := range []string{
		`123456789012345678901234567890.000e+7`, `{"b":1,"a":2,"b":3}`, `"\u0000"`, `"\ud800"`, `"é😀\/"`, `{ "a" : [ 1 , 2 ] }`,
		`null`, `true`, `false`, `-0`, `""`, `[]`, `{}`, "[\n]", strings.Repeat("[", 64) + strings.Repeat("]", 64),
	} {
		got, err := read("{ \"value\" :\t" + value + "\r\n }\n")
		if err != nil || got["value"] != value {
			t.Errorf("value %s: got %q, %v", value, got["value"], err)
		}
	}
}

func TestBrokenJSONIsMalformed(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1}x`, `{"a":1}{}`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":+1}`,
		`{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":NaN}`, `{"a":tru}`, `{"a":nul`, `{"a":"\x"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", `{"a":"`,
		`{"a":[1,]}`, `{"a":[1 2]}`, `{"a":{"b"}}`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", `{"a":1/**/}`, `[1`, `{"a":"\`, `{"\ud800":1}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":{},"a":2}`,
	} {
		if _, err := read(text); !errors.Is(err, core.ErrMalformed) {
			t.Errorf("%q: got %v, want malformed", text, err)
		}
	}
}

func TestWhatIsJSONButNoObjectIsInvalid(t *testing.T) {
	for _, text := range []string{`1`, `null`, `"a"`, `[]`, `{"a":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`} {
		if _, err := read(text); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: got %v, want invalid", text, err)
		}
	}
}

func TestFaultsAreGatheredWithPathAndReason(t *testing.T) {
	err := Object([]byte(`{"acls":{"read":["a",7,"\ud800"],"x":1},"Value":1}`), func(name string, v Value) error {
		if name != "acls" {
			return v.Unknown()
		}
		return v.Members(func(name string, v Value) error {
			if name == "read" {
				_, err := v.ReadStrings()
				return err
			}
			return v.Unknown()
		})
	})
	var e *core.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	want := []core.FieldError{
		{Path: "acls.read[1]", Reason: "must be a string"},
		{Path: "acls.read[2]", Reason: "holds half a surrogate pair"},
		{Path: "acls.x", Reason: "unknown member"},
		{Path: "Value", Reason: "unknown member"},
	}
	if len(e.Fields) != len(want) {
		t.Fatalf("got %v, want %v", e.Fields, want)
	}
	for i := range want {
		if e.Fields[i] != want[i] {
			t.Errorf("fault %d: got %v, want %v", i, e.Fields[i], want[i])
		}
	}
}

func TestARepeatedMemberIsFoundAtEveryLevelAndAmongMany(t *testing.T) {
	many := strings.Builder{}
	many.WriteString(`{"z":0`)
	for i := range 30 {
		many.WriteString(`,"m` + strings.Repeat("x", i) + `":1`)
	}
	for _, text := range []string{`{"acls":{"read":[],"read":[]}}`, many.String() + `,"mxxxxxxxxxxxxxxxxxxxxxxxxx":2}`} {
		err := Object([]byte(text), func(_ string, v Value) error {
			if v.Raw[0] != '{' {
				return nil
			}
			return v.Members(func(string, Value) error { return nil })
		})
		if !errors.Is(err, core.ErrMalformed) {
			t.Errorf("%s: got %v, want malformed", text, err)
		}
	}
}

func FuzzObjectAgreesWithTheStandardLibrary(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":"\u00e9\ud83d\ude00"}`, `{"a":[1,{"b":null}],"c":-1.5e+3}`, `{"a":1,"a":2}`, ` {} `, `[`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text)
		var want map[string]json.RawMessage
		std := json.Unmarshal([]byte(text), &want)
		if err != nil {
			if errors.Is(err, core.ErrMalformed) && std == nil && utf8.ValidString(text) && want != nil &&
				!strings.Contains(err.Error(), "twice") && !strings.Contains(text, `\u`) {
				t.Fatalf("%q: refused with %v", text, err)
			}
			return
		}
		if std != nil || len(want) != len(got) {
			t.Fatalf("%q: taken, but the standard library says %v, %d members", text, std, len(want))
		}
		for name, raw := range want {
			if got[name] != string(raw) {
				t.Fatalf("%q: member %q is %q, want %q", text, name, got[name], raw)
			}
			if s := (Value{Raw: raw}); raw[0] == '"' {
				text, err := s.ReadString()
				var std string
				if json.Unmarshal(raw, &std) != nil || err == nil && text != std {
					t.Fatalf("string %s is %q, want %q", raw, text, std)
				}
			}
		}
	})
}
