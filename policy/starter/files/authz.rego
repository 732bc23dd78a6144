# METADATA
# description: |
#   Decides every access. The server asks data.dynconfig.authz.decision, and nothing else.
#
#   The lists of keys and namespaces decide, as they do without a policy of your own: data.dynconfig.acl.decision is always
#   there. What else you want stands in rules/, a file for each, which you keep, change or delete. Each may define
#
#     deny   an answer that refuses what the lists allow
#     lift   an answer that sets such refusals aside
#     allow  an answer that allows what the lists refuse
#
#   with a "rule" to find it by and a "reason" that the caller is shown.
# scope: package
# schemas:
#   - input: schema.input
package dynconfig.authz

import data.dynconfig.acl

decision := acl.decision if {
	# The policy itself stays in the hands of the server admins, so that no rule can lock them out.
	input.resource.kind == "policy"
} else := acl.decision if {
	# To be shown lists, or to ask about others, takes an admin and changes nothing: explanations go on in a freeze.
	input.action == "admin"
	input.request.operation in {"get", "list", "explain", "who-can"}
} else := answer("deny", false) if {
	some name
	data.rules[name].deny
	not lifted
} else := acl.decision if {
	acl.decision.allow
} else := answer("allow", true) if {
	some name
	data.rules[name].allow
} else := acl.decision

lifted if {
	some name
	data.rules[name].lift
}

# The answer of the first rule by name: there must be one alone, whatever the order of evaluation.
answer(member, allow) := {"allow": allow, "rule": said.rule, "reason": said.reason} if {
	name := min({n | data.rules[n][member]})
	said := data.rules[name][member]
}
