package freeze_test

import data.rules.freeze

settings := {"freeze": {
	"on": true,
	"from": "2026-12-20T00:00:00Z",
	"until": "2027-01-03T00:00:00Z",
	"environments": ["production"],
	"except": ["release-manager"],
	"why": "holidays",
}}

ask(who, action, environment) := {"subject": {"username": who}, "action": action, "environment": environment}

denied(asked, moment) if {
	freeze.deny.rule == "freeze" with input as asked
		with data.settings as settings
		with time.now_ns as time.parse_rfc3339_ns(moment)
}

test_nothing_is_changed_meanwhile if {
	every action in ["create", "write", "delete", "admin"] {
		denied(ask("ann", action, "production"), "2026-12-24T18:00:00Z")
	}
	not denied(ask("ann", "read", "production"), "2026-12-24T18:00:00Z")
}

test_it_begins_and_ends if {
	not denied(ask("ann", "write", "production"), "2026-12-19T23:59:59Z")
	denied(ask("ann", "write", "production"), "2026-12-20T00:00:00Z")
	not denied(ask("ann", "write", "production"), "2027-01-03T00:00:00Z")
}

test_exceptions_and_other_environments if {
	not denied(ask("release-manager", "write", "production"), "2026-12-24T18:00:00Z")
	not denied(ask("ann", "write", "staging"), "2026-12-24T18:00:00Z")
}

test_reason_says_until_when_and_why if {
	freeze.deny.reason == "Nothing is changed until 2027-01-03T00:00:00Z: holidays" with input as ask("ann", "write", "production")
		with data.settings as settings
		with time.now_ns as time.parse_rfc3339_ns("2026-12-24T18:00:00Z")
}

test_off if not freeze.deny with input as ask("ann", "write", "production") with data.settings.freeze.on as false
