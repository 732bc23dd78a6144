# METADATA
# description: |
#   Time windows: outside of them nothing is changed in the environments named.
#
#     "hours": {"on": true, "environments": ["production"], "zone": "Europe/Berlin",
#               "days": ["Monday", "Tuesday", "Wednesday", "Thursday"], "from": 9, "until": 17}
#
#   From 9 until 17 is from 09:00:00 to 16:59:59 in that zone. Reading is never refused. What looks at the time is decided
#   anew each time: if you do not use this file, delete it, and decisions are kept.
# scope: package
# schemas:
#   - input: schema.input
package rules.hours

deny := {"rule": "hours", "reason": "Changes are made in working hours"} if {
	data.settings.hours.on
	input.action in {"create", "write", "delete", "admin"}
	input.environment in data.settings.hours.environments
	not open
}

open if {
	now := [time.now_ns(), data.settings.hours.zone]
	time.weekday(now) in data.settings.hours.days
	[hour, _, _] := time.clock(now)
	hour >= data.settings.hours.from
	hour < data.settings.hours.until
}
