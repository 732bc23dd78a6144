# METADATA
# description: |
#   Rules by environment: in some, changes need a role in the claim "roles"; some are open to be read by everyone who has a
#   token.
#
#     "environments": {"on": true, "changes": {"production": "release", "staging": "developer"}, "readable": ["sandbox"]}
#
#   The lists must allow the change as well: a role alone opens nothing.
# scope: package
# schemas:
#   - input: schema.input
package rules.environments

deny := {"rule": "environment-role", "reason": sprintf("Changes in %s need the role %s", [input.environment, role])} if {
	data.settings.environments.on
	input.action in {"create", "write", "delete", "admin"}
	role := data.settings.environments.changes[input.environment]
	not has(role)
}

allow := {"rule": "environment-open", "reason": "Everyone may read here"} if {
	data.settings.environments.on
	input.action == "read"
	input.resource.kind in {"key", "document"}
	input.environment in data.settings.environments.readable
}

has(role) if role in input.subject.claims.roles
