# METADATA
# description: |
#   Break-glass: in an emergency those on call get past freeze.rego, hours.rego and environments.rego, and may read and write
#   what the lists refuse them, if they say why.
#
#     "break_glass": {"on": true, "group": "on-call", "shortest": 10}
#
#   A policy does not see the body of a request, so the note cannot stand there. It is a claim of the token,
#   "break_glass_reason", which the issuer asks for and signs: who has no note, or one that is too short, gains nothing. Give
#   such tokens a short life. The note becomes part of the reason; decisions are recorded with the claims that the policy
#   reads, so the note is found there (dynconfig policy decisions --rule break-glass), and the audit names the rule.
# scope: package
# schemas:
#   - input: schema.input
package rules.break_glass

lift if emergency

allow := {"rule": "break-glass", "reason": concat("", ["Break-glass: ", note])} if {
	emergency
	input.resource.kind in {"key", "document"}
	input.action in {"read", "create", "write", "delete"}
}

emergency if {
	data.settings.break_glass.on
	data.settings.break_glass.group in input.subject.claims.groups
	count(note) >= data.settings.break_glass.shortest
}

# A claim may be anything; a builtin that is given what it does not take is an error, and an error denies.
note := trim_space(input.subject.claims.break_glass_reason) if is_string(input.subject.claims.break_glass_reason)
