package environments_test

import data.rules.environments

settings := {"environments": {"on": true, "changes": {"production": "release", "staging": "developer"}, "readable": ["sandbox"]}}

ask(action, environment, claims) := {
	"subject": {"username": "ann", "claims": claims},
	"action": action,
	"environment": environment,
	"resource": {"kind": "key"},
}

test_changes_need_the_role if {
	environments.deny.reason == "Changes in production need the role release" with input as ask("write", "production", {"roles": ["developer"]})
		with data.settings as settings
	environments.deny with input as ask("delete", "production", {}) with data.settings as settings
	not environments.deny with input as ask("write", "production", {"roles": ["release"]}) with data.settings as settings
	not environments.deny with input as ask("write", "staging", {"roles": ["developer"]}) with data.settings as settings
}

test_reading_and_other_environments_need_none if {
	not environments.deny with input as ask("read", "production", {}) with data.settings as settings
	not environments.deny with input as ask("write", "sandbox", {}) with data.settings as settings
}

test_readable_environments_are_open if {
	environments.allow.rule == "environment-open" with input as ask("read", "sandbox", {}) with data.settings as settings
	not environments.allow with input as ask("read", "production", {}) with data.settings as settings
	not environments.allow with input as ask("write", "sandbox", {}) with data.settings as settings
}

test_off if {
	not environments.deny with input as ask("write", "production", {}) with data.settings.environments.on as false
	not environments.allow with input as ask("read", "sandbox", {}) with data.settings.environments.on as false
}
