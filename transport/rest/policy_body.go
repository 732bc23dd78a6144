package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// object reads a body that is one JSON object.
func (c *call) object(most int64, visit func(name string, v wire.Value) error) error {
	body, err := c.body(most)
	if err != nil {
		return err
	}
	return wire.Object(body, visit)
}

// object200 answers with a value that may hold JSON of others, which could be broken.
func (c *call) object200(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return core.Errorf(core.ErrInternal, "").Because(err)
	}
	c.json(http.StatusOK, text)
	return nil
}

func readText(v wire.Value, most int) (string, error) {
	s, err := v.ReadString()
	if err == nil && len(s) > most {
		return "", v.Fault("is too long")
	}
	return s, err
}

// readWord reads one of a few words.
func readWord(v wire.Value, words []string) (string, error) {
	s, err := v.ReadString()
	if err == nil && !slices.Contains(words, s) {
		return "", v.Fault("must be one of " + quoted(words))
	}
	return s, err
}

// revisionBody reads {"revision","note"?}.
func (c *call) revisionBody(noted bool) (revision, note string, err error) {
	err = c.object(maxQuestionBody, func(name string, v wire.Value) (err error) {
		switch {
		case name == "revision":
			if revision, err = readText(v, maxRevision); err == nil && revision == "" {
				err = v.Fault("is empty")
			}
		case name == "note" && noted:
			note, err = readText(v, maxNote)
		default:
			err = v.Unknown()
		}
		return err
	})
	if err == nil && revision == "" {
		err = required("revision")
	}
	return revision, note, err
}

// question reads what is asked and returns it with the caller in the environment that it is about.
func (c *call) question(subject bool) (q wire.Question, caller core.Caller, err error) {
	err = c.object(maxQuestionBody, func(name string, v wire.Value) (err error) {
		switch {
		case name == "subject" && subject:
			q.Subject, err = readAsker(v)
		case name == "action":
			q.Action, err = readWord(v, actions())
		case name == "key":
			q.Key, err = readText(v, core.MaxName)
		case name == "kind":
			q.Kind, err = readWord(v, kinds())
		case name == "environment":
			if q.Environment, err = v.ReadString(); err == nil {
				err = at(v, core.CheckEnvironment(q.Environment))
			}
		default:
			err = v.Unknown()
		}
		return err
	})
	if err != nil {
		return q, caller, err
	}
	q.Kind = cmp.Or(q.Kind, string(core.KindKey))
	switch {
	case q.Action == "":
		return q, caller, required("action")
	case q.Key == "" && !slices.Contains([]core.Kind{core.KindEnvironment, core.KindPolicy, core.KindAudit}, core.Kind(q.Kind)):
		return q, caller, required("key")
	}
	q.Environment = cmp.Or(q.Environment, c.in.env)
	caller = c.caller()
	caller.Environment = q.Environment
	return q, caller, nil
}

// at makes what is wrong with a text a fault of the member that holds it.
func at(v wire.Value, err error) error {
	var e *core.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return v.Fault(e.Fields[0].Reason)
	}
	return err
}

func readAsker(v wire.Value) (*wire.Asker, error) {
	var a wire.Asker
	err := v.Members(func(name string, v wire.Value) (err error) {
		switch name {
		case "username":
			if a.Username, err = v.ReadString(); err != nil {
				return err
			}
			return at(v, core.CheckUsername(a.Username))
		case "claims":
			var claims any
			if claims, err = readAny(v); err != nil {
				return err
			}
			var ok bool
			if a.Claims, ok = claims.(map[string]any); !ok {
				return v.Fault("must be an object")
			}
		default:
			return v.Unknown()
		}
		return nil
	})
	if err == nil && a.Username == "" {
		err = required(v.Path + ".username")
	}
	return &a, err
}

// replayBody reads {"modules" and "data", or "revision"; "since", "until"?}.
func (c *call) replayBody() (r wire.ReplayRequest, err error) {
	now := time.Now()
	err = c.object(maxSetBody, func(name string, v wire.Value) (err error) {
		switch name {
		case "revision":
			if r.Revision, err = readText(v, maxRevision); err == nil && r.Revision == "" {
				err = v.Fault("is empty")
			}
		case "since":
			r.Since, err = readMoment(v, now)
		case "until":
			r.Until, err = readMoment(v, now)
		default:
			err = readSet(&r.PolicySet, name, v)
		}
		return err
	})
	switch {
	case err != nil:
		return r, err
	case r.Revision == "":
		err = checkSet(r.PolicySet)
	case r.Modules != nil || r.Data != nil:
		err = wire.Fault("revision", "does not go with modules or data")
	}
	switch {
	case err != nil:
	case r.Since.IsZero():
		err = required("since")
	case !r.Until.IsZero() && !r.Since.Before(r.Until):
		err = wire.Fault("until", "must be after since")
	}
	return r, err
}

func readMoment(v wire.Value, now time.Time) (time.Time, error) {
	s := string(v.Raw) // a number of seconds, perhaps
	if v.Raw[0] == '"' {
		var err error
		if s, err = v.ReadString(); err != nil {
			return time.Time{}, err
		}
	}
	t, ok := moment(s, now)
	if !ok {
		return t, v.Fault("must be a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90m")
	}
	return t, nil
}

func replayBody() *huma.RequestBody {
	s := setSchema()
	s.Description, s.Required = "The draft: `modules`, or the `revision` of a stored set.", []string{"since"}
	s.Properties["revision"] = &huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(maxRevision), Description: "A stored set, instead of modules."}
	s.Properties["since"] = &huma.Schema{Type: "string", Description: "Decisions from then on: a time as of RFC 3339, or how long ago, such as `90m`."}
	s.Properties["until"] = &huma.Schema{Type: "string", Description: "Decisions before then, likewise; absent: now."}
	return jsonBody(s, `{"revision":"k3v9x2p7:407","since":"24h"}`)
}
