package teams_test

import data.rules.teams

settings := {"teams": {"on": true, "namespaces": {"payments": {"read": ["support"], "write": ["payments"]}}}}

ask(action, claims) := {
	"subject": {"username": "ann", "claims": claims},
	"action": action,
	"resource": {"kind": "key", "key": "payments.api.limit", "namespaces": ["payments", "payments.api"]},
}

test_team_reads_and_writes_its_namespace if {
	every action in ["read", "create", "write", "delete"] {
		teams.allow.rule == "team" with input as ask(action, {"teams": ["payments"]}) with data.settings as settings
	}
}

test_reading_team_does_not_write if {
	teams.allow with input as ask("read", {"teams": ["x", "support"]}) with data.settings as settings
	not teams.allow with input as ask("write", {"teams": ["x", "support"]}) with data.settings as settings
}

test_no_team_administers if not teams.allow with input as ask("admin", {"teams": ["payments"]}) with data.settings as settings

test_other_teams_and_other_namespaces_gain_nothing if {
	not teams.allow with input as ask("read", {"teams": ["other"]}) with data.settings as settings
	not teams.allow with input as ask("read", {}) with data.settings as settings
	elsewhere := object.union(ask("read", {"teams": ["payments"]}), {"resource": {"namespaces": ["paymentsx"]}})
	not teams.allow with input as elsewhere with data.settings as settings
}

test_off if not teams.allow with input as ask("read", {"teams": ["payments"]}) with data.settings.teams.on as false
