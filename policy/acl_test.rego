package dynconfig.acl_test

import data.dynconfig.acl

# A list as the server writes it.
list(entries) := {
	"any": "*" in entries,
	"names": {e: true | some e in entries; not endswith(e, "*")},
	"prefixes": [trim_suffix(e, "*") | some e in entries; endswith(e, "*"); e != "*"],
}

acls(lists) := {name: list(entries) | some name, entries in lists}

at(namespace, lists) := {"namespace": namespace, "acls": acls(lists)}

decide(who, action, kind, own, around) := answer if {
	answer := acl.decision with input as {
		"subject": {"username": who, "claims": {}},
		"action": action,
		"environment": "default",
		"resource": {"kind": kind, "exists": true, "acls": own, "namespace_acls": around},
	}
		with data.dynconfig.config as {"admins": ["admin-user"]}
}

rule(who, action, kind, own, around) := decide(who, action, kind, own, around).rule

test_malformed_is_denied_to_server_admins_too if {
	rule("", "read", "key", null, []) == "malformed"
	rule("admin-user", "steal", "key", null, []) == "malformed"
	rule("admin-user", "read", "box", null, []) == "malformed"
	acl.decision.rule == "malformed" with input as {} with data.dynconfig.config as {"admins": ["admin-user"]}
	not decide("admin-user", "steal", "key", null, []).allow
}

test_no_user_is_not_everyone if {
	everyone := {
		"action": "read",
		"resource": {"kind": "key", "acls": acls({"read": ["*"]}), "namespace_acls": []},
	}
	acl.decision.rule == "malformed" with input as everyone
}

test_server_admin_may_everything_else if {
	every kind in ["key", "document", "namespace", "environment", "policy", "audit"] {
		every action in ["read", "list", "watch", "create", "write", "delete", "admin"] {
			rule("admin-user", action, kind, acls({"read": [], "write": [], "admin": []}), []) == "server-admin"
		}
	}
}

test_admin_lists_add_up if {
	own := acls({"admin": ["ann"], "read": [], "write": []})
	around := [at("*", {"admin": ["root"]}), at("app", {"admin": ["lead"]})]
	every action in ["read", "create", "write", "delete", "admin"] {
		every kind in ["key", "document"] {
			rule("ann", action, kind, own, around) == "key-admin"
			rule("lead", action, kind, own, around) == "namespace-admin"
			rule("root", action, kind, own, around) == "namespace-admin"
		}
	}
	decide("root", "read", "key", own, around).grant == {"source": "namespace", "name": "*", "list": "admin", "entry": "root"}
}

test_innermost_admin_list_is_named if {
	around := [at("a", {"admin": ["ann"]}), at("a.b", {"admin": ["a*"]}), at("a.b.c", {"admin": ["bob"]})]
	decide("ann", "admin", "key", null, around).grant == {"source": "namespace", "name": "a.b", "list": "admin", "entry": "a*"}
}

test_nearest_read_list_decides if {
	rule("ann", "read", "key", acls({"read": ["ann"]}), [at("app", {"read": []})]) == "key-read"
	rule("ann", "read", "key", null, [at("*", {"read": []}), at("app", {"read": ["*"]})]) == "namespace-read"
	rule("ann", "read", "key", acls({"read": []}), [at("app", {"read": ["*"]})]) == "no-read"
	rule("ann", "read", "key", null, [at("*", {"read": ["*"]}), at("app", {"read": []})]) == "no-read"
	rule("ann", "read", "key", null, []) == "no-read"
}

test_write_alone_never_reads if {
	rule("ann", "read", "key", acls({"write": ["ann"]}), [at("app", {"write": ["*"]})]) == "no-read"
}

test_create_asks_the_namespaces_alone if {
	rule("ann", "create", "key", acls({"write": ["ann"]}), []) == "no-create"
	rule("ann", "create", "key", acls({"write": []}), [at("app", {"write": ["ann"]})]) == "namespace-create"
	rule("ann", "create", "key", null, [at("*", {"write": ["ann"]}), at("app", {"write": []})]) == "no-create"
}

test_write_and_delete_ask_the_nearest_write_list if {
	around := [at("app", {"write": ["ann"]})]
	every action in ["write", "delete"] {
		rule("ann", action, "key", acls({"read": ["*"]}), around) == concat("-", ["namespace", action])
		rule("bob", action, "key", acls({"write": ["bob"]}), around) == concat("-", ["key", action])
		rule("ann", action, "key", acls({"write": []}), around) == concat("-", ["no", action])
	}
}

test_namespace_record_is_read_by_readers_and_writers if {
	outer := [at("app", {"write": ["dan"], "admin": ["lead"]})]
	rule("ann", "read", "namespace", acls({"read": ["ann"]}), outer) == "namespace-read"
	rule("dan", "read", "namespace", acls({"read": ["ann"]}), outer) == "namespace-read"
	rule("dan", "read", "namespace", acls({"read": ["ann"], "write": []}), outer) == "no-read"
	rule("lead", "read", "namespace", acls({"read": ["ann"]}), outer) == "namespace-admin"
	decide("dan", "read", "namespace", null, outer).grant.list == "write"
}

test_namespace_record_is_changed_by_admins if {
	outer := [at("app", {"write": ["dan"], "admin": ["lead"]})]
	rule("lead", "admin", "namespace", null, outer) == "namespace-admin"
	rule("ann", "admin", "namespace", acls({"admin": ["ann"]}), []) == "namespace-admin"
	rule("dan", "admin", "namespace", null, outer) == "no-admin"
	rule("ann", "admin", "namespace", null, []) == "no-admin"
	rule("lead", "write", "namespace", null, outer) == "no-write"
}

test_everyone_lists_and_watches if {
	every action in ["list", "watch"] {
		rule("ann", action, "key", acls({"read": []}), [at("*", {"read": []})]) == action
	}
}

test_environments_policy_and_audit if {
	rule("ann", "read", "environment", null, []) == "environment-read"
	rule("ann", "admin", "environment", null, []) == "no-admin"
	rule("ann", "read", "policy", null, []) == "no-read"
	rule("ann", "read", "audit", null, []) == "no-read"
	rule("ann", "read", "audit", acls({"admin": ["ann"]}), []) == "key-admin"
	rule("ann", "admin", "audit", acls({"admin": ["ann"]}), []) == "no-admin"
	rule("lead", "read", "audit", null, [at("app", {"admin": ["lead"]})]) == "namespace-admin"
	rule("ann", "read", "audit", acls({"read": ["ann"]}), []) == "no-read"
}

test_entries_match_bytes_for_byte if {
	own := acls({"read": ["Ann", "service:*", `o"ne`, "é"]})
	decide("service:pay", "read", "key", own, []).grant.entry == "service:*"
	decide("service:", "read", "key", own, []).allow
	decide("Ann", "read", "key", own, []).grant.entry == "Ann"
	decide(`o"ne`, "read", "key", own, []).allow
	decide("é", "read", "key", own, []).allow
	every who in ["ann", "Anna", "servic", "xservice:pay", "any", "names", "e\u0301"] {
		not decide(who, "read", "key", own, []).allow
	}
}

test_everyone_is_named_as_star if {
	decide("ann", "read", "key", acls({"read": ["*"]}), []).grant == {"source": "key", "name": "", "list": "read", "entry": "*"}
}

test_refusal_names_the_list_and_where_it_stands if {
	reason("read", "key", acls({"read": ["bob"]}), []) == "The read list of this key does not name you, nor does an admin list"
	reason("write", "document", null, [at("app", {"write": ["bob"]})]) == "The write list of namespace app does not name you, nor does an admin list"
	reason("create", "key", acls({"write": ["ann"]}), [at("*", {"write": []})]) == "The write list of the root namespace does not name you, nor does an admin list"
	reason("delete", "key", null, []) == "No write list around this key names you, nor does an admin list"
	reason("admin", "key", acls({"admin": ["bob"]}), []) == "No admin list around this key names you"
	reason("read", "policy", null, []) == "This is for server admins"
}

reason(action, kind, own, around) := decide("ann", action, kind, own, around).reason
