package policy

import (
	"context"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// searchLimit is how long is looked for a change that would allow what was denied.
const searchLimit = time.Second

// candidate is a change that might allow what was denied: one more entry in one list.
type candidate struct {
	line   wire.Line
	text   string
	ask    core.Access
	rules  *core.Rules // the ACL that it changes, after it
	admins []string    // of the server, after it; nil: as they are
}

// nearest finds the smallest change of a list that would allow a denied access, by trying each with the policy in force.
// exhausted says that there is none, rather than that the search broke off.
func (a *Authorizer) nearest(ctx context.Context, p *policy, who *core.Subject, ask *core.Access) (near *wire.Nearest, exhausted bool) {
	ctx, done := within(ctx, searchLimit)
	defer done()
	refused := false
	for _, c := range a.candidates(who.Username, ask) {
		if c.rules != nil && c.rules.ACL.Check() != nil {
			refused = true // the server would not take it: the list is as long as may be
			continue
		}
		allow, err := a.wouldAllow(ctx, p, who, &c)
		switch {
		case allow:
			return &wire.Nearest{Change: "add", Line: c.line, Text: c.text}, false
		case ctx.Err() != nil, err != nil:
			return nil, false
		}
	}
	return nil, !refused
}

func (a *Authorizer) wouldAllow(ctx context.Context, p *policy, who *core.Subject, c *candidate) (bool, error) {
	input, err := p.complete(a.terms, who, &c.ask)
	if err != nil {
		return false, err
	}
	if c.admins == nil {
		d, err := p.evaluate(ctx, input, c.ask.Time)
		return d.Allow, err
	}
	answer, err := p.traced(ctx, input, c.ask.Time, nil, c.admins...)
	if err != nil {
		return false, err
	}
	d, err := decisionOf(answer)
	return d.Allow, err
}

// candidates are the changes to try, those that give the least first. None hides a list that is inherited: it would take
// from others what it gives to one.
func (a *Authorizer) candidates(username string, ask *core.Access) []candidate {
	s := search{username: username, ask: ask}
	links := 0
	if ask.Chain != nil {
		links = len(ask.Chain.Links)
	}
	item := ask.Kind == core.KindKey || ask.Kind == core.KindDocument || ask.Kind == core.KindNamespace
	asking := ask.Action == core.ActionList || ask.Action == core.ActionWatch // about many items, which it names none of
	own := ask.Exists && item && !asking
	if list := deciding(ask); list != "" {
		at := s.innermost(list)
		switch mine := own && ask.Action != core.ActionCreate; {
		case mine && has(ask.ACL, list):
			s.own(list)
		case at >= 0:
			s.link(at, list)
		default: // nothing is inherited
			if links > 0 {
				s.link(links-1, list)
			}
			if mine {
				s.own(list)
			}
			if links == 0 && !mine && !asking {
				s.record(list)
			}
		}
	}
	if own || ask.Kind == core.KindAudit && ask.Key != "" && ask.Exists {
		s.own("admin")
	}
	for i := links - 1; i >= 0; i-- {
		s.link(i, "admin")
	}
	if item && links == 0 && !own && !asking {
		s.record("admin")
	}
	if ask.Kind != core.KindKey && ask.Kind != core.KindDocument && !slices.Contains(a.admins, username) {
		s.found = append(s.found, candidate{
			line: wire.Line{Source: "server", List: "admin", Entry: username}, text: "Add " + username + " to ADMINS of the server",
			ask: *ask, admins: append(slices.Clone(a.admins), username),
		})
	}
	return s.found
}

// deciding is the list that the shipped rules ask for an access, beside the admin lists.
func deciding(ask *core.Access) string {
	switch ask.Kind {
	case core.KindKey, core.KindDocument:
		switch ask.Action {
		case core.ActionRead, core.ActionList, core.ActionWatch:
			return "read"
		case core.ActionCreate, core.ActionWrite, core.ActionDelete:
			return "write"
		}
	case core.KindNamespace:
		if ask.Action == core.ActionRead {
			return "read"
		}
	}
	return ""
}

// search collects candidates for one access.
type search struct {
	username string
	ask      *core.Access
	found    []candidate
}

func (s *search) add(source, name, list string, ask core.Access, rules *core.Rules) {
	at := source + " " + name
	switch {
	case source == "namespace" && name == core.RootName:
		at = "the root namespace"
	case source == "key" && ask.Kind == core.KindDocument:
		at = "document " + name
	}
	s.found = append(s.found, candidate{
		line: wire.Line{Source: source, Name: name, List: list, Entry: s.username},
		text: "Add " + s.username + " to the " + list + " list of " + at, ask: ask, rules: rules,
	})
}

// own adds to a list of the item itself.
func (s *search) own(list string) {
	ask := *s.ask
	ask.ACL = with(ask.ACL, list, s.username)
	source := "key"
	if ask.Kind == core.KindNamespace {
		source = "namespace"
	}
	s.add(source, ask.Key, list, ask, ask.ACL)
}

// link adds to a list of a namespace's record.
func (s *search) link(i int, list string) {
	ask := *s.ask
	links := slices.Clone(ask.Chain.Links)
	links[i].Rules = with(links[i].Rules, list, s.username)
	ask.Chain = core.InternChain(links)
	s.add("namespace", links[i].Namespace, list, ask, links[i].Rules)
}

// record adds a first record around the item, where there is none at all: that of the innermost namespace.
func (s *search) record(list string) {
	name := core.RootName
	if around := core.Namespaces(s.ask.Key); len(around) > 0 {
		name = around[len(around)-1]
	} else if s.ask.Kind == core.KindNamespace && s.ask.Key == core.RootName {
		return
	}
	ask, rules := *s.ask, with(nil, list, s.username)
	ask.Chain = core.InternChain([]core.Link{{Namespace: name, Rules: rules}})
	s.add("namespace", name, list, ask, rules)
}

// innermost is the place in the chain of the record whose list of that name governs, -1 for none.
func (s *search) innermost(list string) int {
	if s.ask.Chain == nil {
		return -1
	}
	for i, l := range slices.Backward(s.ask.Chain.Links) {
		if has(l.Rules, list) {
			return i
		}
	}
	return -1
}

func has(r *core.Rules, list string) bool {
	if r == nil {
		return false
	}
	acl := r.ACL
	return *listOf(&acl, list) != nil
}

// with is rules with one entry more in a list.
func with(r *core.Rules, list, entry string) *core.Rules {
	var acl core.ACL
	if r != nil {
		acl = r.ACL
	}
	entries := listOf(&acl, list)
	*entries = append(slices.Clone(*entries), entry)
	return core.Intern(&acl)
}

func listOf(acl *core.ACL, name string) *[]string {
	switch {
	case name == "read":
		return &acl.Read
	case name == "write":
		return &acl.Write
	}
	return &acl.Admin
}
