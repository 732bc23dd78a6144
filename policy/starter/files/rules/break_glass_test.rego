package break_glass_test

import data.dynconfig.authz
import data.rules.break_glass

settings := {
	"break_glass": {"on": true, "group": "on-call", "shortest": 10},
	"freeze": {
		"on": true,
		"from": "2026-12-20T00:00:00Z",
		"until": "2027-01-03T00:00:00Z",
		"environments": ["production"],
		"except": [],
		"why": "holidays",
	},
}

ask(claims) := {
	"subject": {"username": "ann", "claims": claims},
	"action": "write",
	"environment": "production",
	"resource": {"kind": "key", "key": "app.k", "namespaces": ["app"], "exists": true, "acls": null, "namespace_acls": []},
}

emergency := {"groups": ["on-call"], "break_glass_reason": "INC-4711: payments are down"}

test_note_and_group_open if {
	break_glass.allow.reason == "Break-glass: INC-4711: payments are down" with input as ask(emergency) with data.settings as settings
	break_glass.lift with input as ask(emergency) with data.settings as settings
}

test_without_a_note_nothing_opens if {
	every note in ["", "short", "                    "] {
		not break_glass.allow with input as ask({"groups": ["on-call"], "break_glass_reason": note}) with data.settings as settings
	}
	not break_glass.lift with input as ask({"groups": ["on-call"]}) with data.settings as settings
}

test_note_that_is_no_text_opens_nothing if {
	not break_glass.lift with input as ask({"groups": ["on-call"], "break_glass_reason": null}) with data.settings as settings
}

test_others_gain_nothing if {
	not break_glass.lift with input as ask(object.union(emergency, {"groups": ["staff"]})) with data.settings as settings
}

test_it_allows_reading_and_writing_of_keys_alone if {
	not break_glass.allow with input as object.union(ask(emergency), {"action": "admin"}) with data.settings as settings
	not break_glass.allow with input as object.union(ask(emergency), {"resource": {"kind": "namespace"}}) with data.settings as settings
}

test_freeze_gives_way if {
	during := time.parse_rfc3339_ns("2026-12-24T18:00:00Z")
	authz.decision.rule == "break-glass" with input as ask(emergency) with data.settings as settings with time.now_ns as during
	not authz.decision.allow with input as ask({}) with data.settings as settings with time.now_ns as during
}

test_off if not break_glass.lift with input as ask(emergency) with data.settings.break_glass.on as false
