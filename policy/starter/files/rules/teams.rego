# METADATA
# description: |
#   Teams by claim: who has a team in the claim "teams" of the token may read, or also write, the namespaces of that team.
#
#     "teams": {"on": true, "namespaces": {"payments": {"read": ["support"], "write": ["payments"]}}}
#
#   A namespace counts with all that is below it. Whoever issues the tokens decides who is in a team; the lists of keys and
#   namespaces still allow what they allowed.
# scope: package
# schemas:
#   - input: schema.input
package rules.teams

allow := {"rule": "team", "reason": "Your team may"} if {
	data.settings.teams.on
	input.resource.kind in {"key", "document"}
	some namespace in input.resource.namespaces
	some list in lists[input.action]
	some team in data.settings.teams.namespaces[namespace][list]
	team in input.subject.claims.teams
}

# Who may write may read.
lists := {
	"read": ["read", "write"],
	"create": ["write"],
	"write": ["write"],
	"delete": ["write"],
}
