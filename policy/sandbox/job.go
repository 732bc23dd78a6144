package sandbox

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// What a worker can do.
const (
	jobCheck  = "check"
	jobTest   = "test"
	jobReplay = "replay"
)

// job is what a worker reads first. For a replay the records follow.
type job struct {
	Do     string
	Set    wire.PolicySet
	Admins []string
	Hosts  []string
	Caller *core.Caller `json:",omitempty"`
	Time   time.Duration
	Until  time.Time // for a replay: when to stop with what there is
	Memory int64
}

// answer is what a worker writes, once.
type answer struct {
	Verdict  policy.Verdict
	Tests    wire.PolicyTests
	Replayed wire.Replayed
	Error    *failure `json:",omitempty"`
}

// failure is a core.Error on its way.
type failure struct {
	Kind   string
	Detail string
	Fields []core.FieldError
}

func failureOf(err error) *failure {
	f := &failure{Kind: core.KindOf(err).Error(), Detail: err.Error()}
	if e, ok := err.(*core.Error); ok { //nolint:errorlint // what is around it would not be public
		f.Detail, f.Fields = e.Detail, e.Fields
	}
	return f
}

func (f *failure) err() error {
	for _, kind := range core.Kinds() {
		if kind.Error() == f.Kind && kind != core.ErrInternal { //nolint:errorlint // these are the sentinels
			return &core.Error{Kind: kind, Detail: f.Detail, Fields: f.Fields}
		}
	}
	return core.Errorf(core.ErrInternal, "").Because(errorText(f.Detail))
}

type errorText string

func (e errorText) Error() string { return string(e) }

// setOf reads a set as it is sent, with every digit of its numbers.
func setOf(sent wire.PolicySet) (policy.Set, error) {
	set := policy.Set{Modules: sent.Modules}
	if len(sent.Data) == 0 {
		return set, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(sent.Data))
	decoder.UseNumber()
	if err := decoder.Decode(&set.Data); err != nil {
		return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy data is not an object in JSON").Because(err)
	}
	return set, nil
}
