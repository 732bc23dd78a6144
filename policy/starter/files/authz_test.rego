package dynconfig.authz_test

import data.dynconfig.authz

# A list as the server writes it: list(["ann", "service:*"]).
list(entries) := {
	"any": "*" in entries,
	"names": {e: true | some e in entries; not endswith(e, "*")},
	"prefixes": [trim_suffix(e, "*") | some e in entries; endswith(e, "*"); e != "*"],
}

ask(who, action) := {
	"subject": {"username": who, "claims": {}},
	"action": action,
	"environment": "default",
	"resource": {
		"kind": "key",
		"key": "app.ui.theme",
		"namespaces": ["app", "app.ui"],
		"exists": true,
		"acls": {"read": list(["ann", "service:*"]), "write": list(["ann"])},
		"namespace_acls": [],
	},
	"request": {"operation": "get", "changes": [], "time": "2026-03-04T12:00:00Z", "address": "192.0.2.7"},
}

policy_admin(who) := {
	"subject": {"username": who, "claims": {}},
	"action": "admin",
	"environment": "default",
	"resource": {"kind": "policy", "key": "set", "namespaces": [], "exists": true, "acls": null, "namespace_acls": []},
	"request": {"operation": "put", "changes": [], "time": "2026-03-04T12:00:00Z", "address": "192.0.2.7"},
}

test_lists_decide_while_no_rule_is_on if {
	authz.decision.rule == "key-read" with input as ask("ann", "read") with data.settings as {}
	authz.decision.rule == "key-read" with input as ask("service:pay", "read") with data.settings as {}
	authz.decision.rule == "no-write" with input as ask("service:pay", "write") with data.settings as {}
	authz.decision.rule == "no-read" with input as ask("bob", "read") with data.settings as {}
}

# As the files are, none of the rules is on.
test_starter_answers_as_the_lists_do if {
	every who in ["ann", "bob", "service:pay", "admin-user", ""] {
		every action in ["read", "create", "write", "delete", "admin"] {
			asked := ask(who, action)
			answered := authz.decision with input as asked
			listed := data.dynconfig.acl.decision with input as asked
			answered == listed
		}
	}
}

test_server_admins_keep_the_policy_whatever_the_rules_say if {
	rules := {"no": {"deny": {"rule": "no", "reason": "No"}}}
	authz.decision.rule == "server-admin" with input as policy_admin("admin-user") with data.rules as rules
	not authz.decision.allow with input as policy_admin("ann") with data.rules as rules
}

test_admins_are_told_about_others_whatever_the_rules_say if {
	rules := {"no": {"deny": {"rule": "no", "reason": "No"}}}
	put := object.union(ask("admin-user", "admin"), {"request": {"operation": "put"}})
	every operation in ["explain", "who-can", "list", "get"] {
		asked := object.union(put, {"request": {"operation": operation}})
		authz.decision.rule == "server-admin" with input as asked with data.rules as rules
	}
	authz.decision.rule == "no" with input as put with data.rules as rules
}

test_denial_goes_before_the_lists_and_the_first_is_named if {
	rules := {"b": {"deny": {"rule": "b", "reason": "B"}}, "a": {"deny": {"rule": "a", "reason": "A"}}}
	authz.decision == {"allow": false, "rule": "a", "reason": "A"} with input as ask("ann", "read") with data.rules as rules
}

test_lifted_denial_leaves_it_to_the_lists if {
	rules := {"a": {"deny": {"rule": "a", "reason": "A"}}, "b": {"lift": true}}
	authz.decision.rule == "key-read" with input as ask("ann", "read") with data.rules as rules
	authz.decision.rule == "no-read" with input as ask("bob", "read") with data.rules as rules
}

test_rule_allows_what_the_lists_refuse if {
	rules := {"a": {"allow": {"rule": "a", "reason": "A"}}}
	authz.decision == {"allow": true, "rule": "a", "reason": "A"} with input as ask("bob", "read") with data.rules as rules
	authz.decision.rule == "key-read" with input as ask("ann", "read") with data.rules as rules
}
