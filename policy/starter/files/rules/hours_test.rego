package hours_test

import data.rules.hours

settings := {"hours": {
	"on": true,
	"environments": ["production"],
	"zone": "Europe/Berlin",
	"days": ["Monday", "Tuesday", "Wednesday", "Thursday"],
	"from": 9,
	"until": 17,
}}

write(environment) := {"action": "write", "environment": environment}

denied(asked, moment) if {
	hours.deny.rule == "hours" with input as asked
		with data.settings as settings
		with time.now_ns as time.parse_rfc3339_ns(moment)
}

# 2026-03-04 is a Wednesday; Berlin is an hour ahead.
test_window if {
	not denied(write("production"), "2026-03-04T08:00:00Z")
	not denied(write("production"), "2026-03-04T15:59:59Z")
	denied(write("production"), "2026-03-04T07:59:59Z")
	denied(write("production"), "2026-03-04T16:00:00Z")
}

test_days if denied(write("production"), "2026-03-06T12:00:00Z")

test_other_environments_are_open if not denied(write("staging"), "2026-03-07T12:00:00Z")

test_reading_is_never_refused if not denied({"action": "read", "environment": "production"}, "2026-03-07T12:00:00Z")

test_off if not hours.deny with input as write("production") with data.settings.hours.on as false
