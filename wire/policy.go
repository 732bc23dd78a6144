package wire

import (
	"encoding/json"
	"time"
)

// PolicySet is a policy as it is sent: what PUT /policy, POST /policy/test and a replay take.
type PolicySet struct {
	Modules map[string]string `json:"modules,omitzero" doc:"Rego by file name; none: the shipped rules alone. Files that end in _test.rego are for its tests alone."`
	Data    json.RawMessage   `json:"data,omitempty" doc:"An object that the modules find under data."`
	Note    string            `json:"note,omitempty" doc:"Why, for the history."`
}

// PolicyCondition is what must be so for the policy to be changed.
type PolicyCondition struct {
	IfMatch     []string // revisions of which one must be the present one; nil: any
	IfNoneMatch []string // revisions of which none may be the present one; "*" is any
}

// PutPolicy is how to put a set.
type PutPolicy struct {
	PolicyCondition
	DryRun  bool          // check it only
	Confirm time.Duration // it makes room for the one before unless it is confirmed within this; 0: it stays
}

// RollbackPolicy is how to put an earlier set in force again.
type RollbackPolicy struct {
	PolicyCondition
	Note string // why, for the history
}

// PolicyState answers GET /policy, and whatever changes it.
type PolicyState struct {
	Source    string            `json:"source" enum:"shipped,server,directory,bundle" doc:"Where the policy in force comes from."`
	Revision  string            `json:"revision" doc:"Names this policy: a commit for server, else a digest or the bundle's own revision."`
	LoadedAt  time.Time         `json:"loadedAt" doc:"Since when this node decides by it."`
	LastError string            `json:"lastError,omitempty" doc:"Why a newer one was not loaded."`
	Modules   map[string]string `json:"modules,omitempty" doc:"Rego by file name, beside the shipped rules."`
	Data      json.RawMessage   `json:"data,omitempty" doc:"What the modules find under data."`
	Note      string            `json:"note,omitempty" doc:"What its author said of it."`
	Author    string            `json:"author,omitempty" doc:"Who put it."`
	ConfirmBy *time.Time        `json:"confirmBy,omitempty" doc:"When it makes room for the one before, unless confirmed."`
	Rescue    bool              `json:"rescue,omitempty" doc:"The server was started with the shipped rules although others are stored."`
	Reads     []string          `json:"reads,omitzero" doc:"What its rules look at beside username, environment, kind, action, existence and ACLs."`
	Warnings  []string          `json:"warnings,omitzero" doc:"What the checks before it could not see."`
	DryRun    bool              `json:"dryRun,omitempty" doc:"It was checked and not put."`
	Tests     *PolicyTests      `json:"tests,omitempty" doc:"What its own tests gave."`
}

// PolicyTests answers POST /policy/test.
type PolicyTests struct {
	Passed   int                 `json:"passed" doc:"Tests that passed."`
	Failed   []PolicyTestFailure `json:"failed" doc:"Those that did not."`
	Coverage float64             `json:"coverage" doc:"Percent of the set's lines that the tests ran."`
	Files    []PolicyCoverage    `json:"files,omitzero" doc:"The same for each file, and what was not run."`
}

// PolicyTestFailure is one test that did not pass.
type PolicyTestFailure struct {
	Test     string `json:"test" doc:"Package and name."`
	Location string `json:"location" doc:"File and line."`
	Message  string `json:"message" doc:"What came of it."`
}

// PolicyCoverage is how much of a file the tests ran.
type PolicyCoverage struct {
	File     string   `json:"file" doc:"Its name."`
	Coverage float64  `json:"coverage" doc:"Percent of its lines."`
	NotRun   [][2]int `json:"notRun,omitzero" doc:"Lines that no test ran, as ranges."`
}

// PolicyVersion is one of PolicyHistory.
type PolicyVersion struct {
	Revision string    `json:"revision" doc:"Names it, for a rollback."`
	Author   string    `json:"author" doc:"Who put it."`
	Time     time.Time `json:"time" doc:"When."`
	Note     string    `json:"note,omitempty" doc:"Why."`
	Modules  []string  `json:"modules" doc:"The names of its files; none: the shipped rules alone."`
	Event    string    `json:"event" enum:"put,confirm,rollback,revert" doc:"How it came to be."`
}

// PolicyHistory answers GET /policy/history, newest first.
type PolicyHistory struct {
	Versions []PolicyVersion `json:"versions" doc:"The stored sets."`
}

// Asker is on whose behalf a policy is asked.
type Asker struct {
	Username string         `json:"username" doc:"A principal."`
	Claims   map[string]any `json:"claims,omitempty" doc:"Claims as of a verified token."`
}

// Question is what POST /policy/explain and POST /policy/who-can ask. Subject is for explain alone: absent, the caller.
type Question struct {
	Subject     *Asker `json:"subject,omitempty" doc:"Who asks; absent: the caller."`
	Action      string `json:"action" enum:"read,list,watch,create,write,delete,admin" doc:"What is to be done."`
	Key         string `json:"key" doc:"The item."`
	Kind        string `json:"kind,omitempty" enum:"key,document,namespace,environment,policy,audit" doc:"What it is; absent: a key."`
	Environment string `json:"environment,omitempty" doc:"Where it is; absent: the request's."`
}

// Line is an entry of an access control list and where it stands.
type Line struct {
	Source string `json:"source" enum:"key,namespace,server" doc:"Whose list it is."`
	Name   string `json:"name" doc:"The key or namespace; the root is *."`
	List   string `json:"list" enum:"read,write,admin" doc:"Which list."`
	Entry  string `json:"entry" doc:"The entry of the list."`
}

// Nearest is the smallest change of a list that would allow what was denied.
type Nearest struct {
	Change string `json:"change" enum:"add" doc:"What to do with the line."`
	Line
	Text string `json:"text" doc:"The same as a sentence."`
}

// Explanation answers POST /policy/explain.
type Explanation struct {
	Allow   bool            `json:"allow" doc:"The decision."`
	Rule    string          `json:"rule" doc:"The rule that took it."`
	Reason  string          `json:"reason" doc:"Why, as a sentence."`
	Key     string          `json:"key" doc:"The item asked about."`
	Action  string          `json:"action" doc:"The action asked about."`
	File    string          `json:"file,omitempty" doc:"Where the rule stands."`
	Line    int             `json:"line,omitempty" doc:"Its line there."`
	Grant   *Line           `json:"grant,omitempty" doc:"The line of a list that allowed it."`
	Nearest *Nearest        `json:"nearest,omitempty" doc:"What would allow it."`
	Input   json.RawMessage `json:"input" doc:"What the policy saw; others' entries are left out for those who do not administer the item."`
}

// WhoCan answers POST /policy/who-can.
type WhoCan struct {
	Principals []Holder `json:"principals" doc:"Principals, and patterns of them, that the policy allows it."`
	Partial    bool     `json:"partial,omitempty" doc:"The policy looks at more than names and lists: others may be allowed it too."`
}

// Holder is a principal or a pattern that may do something, and by what.
type Holder struct {
	Principal string `json:"principal" doc:"An exact name, or one that ends in *."`
	Rule      string `json:"rule" doc:"The rule that allows it."`
	Grant     *Line  `json:"grant,omitempty" doc:"The line that it follows from."`
}

// ReplayRequest is what POST /policy/replay takes: a draft, or the revision of a stored set.
type ReplayRequest struct {
	PolicySet
	Revision string    `json:"revision,omitempty" doc:"A stored set, instead of modules."`
	Since    time.Time `json:"since,omitzero" doc:"Decisions from then on."`
	Until    time.Time `json:"until,omitzero" doc:"Decisions before then; absent: now."`
}

// Replayed answers POST /policy/replay.
type Replayed struct {
	Decisions int64          `json:"decisions" doc:"Recorded ones in the period, merged ones counted each."`
	Changed   int64          `json:"changed" doc:"Those that the draft answers differently."`
	Changes   []ReplayChange `json:"changes" doc:"They, grouped; most frequent first."`
	Truncated bool           `json:"truncated,omitempty" doc:"There are more groups, or more decisions than were replayed."`
	Warnings  []string       `json:"warnings,omitzero" doc:"What the replay could not see."`
}

// ReplayChange is a group of decisions that a draft answers differently.
type ReplayChange struct {
	Principal   string `json:"principal" doc:"Who asked."`
	Action      string `json:"action" doc:"For what."`
	Kind        string `json:"kind" doc:"Of which kind of item."`
	Key         string `json:"key" doc:"The item."`
	Environment string `json:"environment" doc:"Where."`
	Allowed     bool   `json:"allowed" doc:"What was answered."`
	Allows      bool   `json:"allows" doc:"What the draft answers."`
	Rule        string `json:"rule" doc:"The rule that answered."`
	NewRule     string `json:"newRule" doc:"The draft's."`
	Count       int64  `json:"count" doc:"How many decisions."`
}

// Decision is one record of GET /policy/decisions: a decision, or several equal ones.
type Decision struct {
	ID          string          `json:"id" doc:"Names the record."`
	Time        time.Time       `json:"time" doc:"Of the first."`
	Last        time.Time       `json:"last,omitzero" doc:"Of the last, if they are several."`
	Count       int64           `json:"count" doc:"How many equal ones."`
	Principal   string          `json:"principal" doc:"Who asked."`
	Action      string          `json:"action" doc:"For what."`
	Kind        string          `json:"kind" doc:"Of which kind of item."`
	Key         string          `json:"key" doc:"The item; of several that a list or stream left out, the first."`
	Environment string          `json:"environment" doc:"Where."`
	Operation   string          `json:"operation" doc:"What the caller was doing."`
	Allow       bool            `json:"allow" doc:"The decision."`
	Rule        string          `json:"rule" doc:"The rule that took it."`
	Reason      string          `json:"reason,omitempty" doc:"Why."`
	Grant       *Line           `json:"grant,omitempty" doc:"The line that allowed it."`
	Policy      string          `json:"policy" doc:"The revision of the policy."`
	Cached      bool            `json:"cached,omitempty" doc:"It was answered from the cache of decisions."`
	Nanoseconds int64           `json:"nanoseconds" doc:"How long the first took."`
	Address     string          `json:"address,omitempty" doc:"Where the first came from."`
	RequestIDs  []string        `json:"requestIds,omitzero" doc:"The requests."`
	Input       json.RawMessage `json:"input" doc:"What the policy saw: no values, and of the claims only those that it reads."`
	Incomplete  bool            `json:"incomplete,omitempty" doc:"The input alone does not lead to the decision again: it was too long to be kept whole, it stands for several unlike ones, or records were lost."`
}

// Decisions answers GET /policy/decisions, newest first.
type Decisions struct {
	Decisions  []Decision `json:"decisions" doc:"Records of this node."`
	NextCursor string     `json:"nextCursor,omitempty" doc:"Continues; absent on the last page."`
}

// DecisionFilter selects records of decisions; zero members select all.
type DecisionFilter struct {
	Principal, Action, Kind, Key, Environment, Rule, RequestID string
	Allow                                                      *bool
	Since, Until                                               time.Time
	Limit                                                      int
	Cursor                                                     string
}
