# METADATA
# description: |
#   A freeze: for a while nothing is changed, but by those who are named, and under break_glass.rego.
#
#     "freeze": {"on": true, "from": "2026-12-20T00:00:00Z", "until": "2027-01-03T00:00:00Z",
#                "environments": ["production"], "except": ["release-manager"], "why": "holidays"}
#
#   It holds for server admins too. The time makes that no decision is kept: delete the file if you do not use it.
# scope: package
# schemas:
#   - input: schema.input
package rules.freeze

deny := {"rule": "freeze", "reason": sprintf("Nothing is changed until %s: %s", [freeze.until, freeze.why])} if {
	freeze.on
	input.action in {"create", "write", "delete", "admin"}
	input.environment in freeze.environments
	time.now_ns() >= time.parse_rfc3339_ns(freeze.from)
	time.now_ns() < time.parse_rfc3339_ns(freeze.until)
	not input.subject.username in freeze.except
}

freeze := data.settings.freeze
