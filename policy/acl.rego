# The shipped rules: who may do what, by the access control lists of an item and of the namespaces around it.
#
# They look at the username, the kind, the action and the lists, and at nothing else, so that one answer serves every key
# under the same lists. That is why a grant on the item itself has the name "": the key's would tie the answer to one key.
#
# The order of the rules is their meaning: the first that holds answers. Within a rule, what fails most often comes first.
package dynconfig.acl

decision := malformed if {
	input.subject.username == ""
} else := {
	"allow": true,
	"rule": "server-admin",
	"reason": "You are a server admin",
	"grant": {"source": "server", "name": "", "list": "admin", "entry": input.subject.username},
} if {
	input.subject.username in data.dynconfig.config.admins
	well_formed
} else := {
	# Inner admin lists do not hide outer ones.
	"allow": true,
	"rule": concat("-", [source, "admin"]),
	"reason": "Its admin list names you",
	"grant": {"source": source, "name": "", "list": "admin", "entry": entry(input.resource.acls.admin)},
} if {
	input.resource.acls.admin
	input.action in open_to_admins[input.resource.kind]
} else := {
	"allow": true,
	"rule": "namespace-admin",
	"reason": "The admin list of a namespace around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "admin", "entry": entry(link.acls.admin)},
} if {
	link := input.resource.namespace_acls[max([i | entry(input.resource.namespace_acls[i].acls.admin)])]
	input.action in open_to_admins[input.resource.kind]
} else := {
	# Of the read lists, and of the write lists, the nearest hides all further out, even if it is empty.
	"allow": true,
	"rule": concat("-", [source, "read"]),
	"reason": "Its read list names you",
	"grant": {"source": source, "name": "", "list": "read", "entry": entry(input.resource.acls.read)},
} if {
	input.action == "read"
	input.resource.acls.read
	input.resource.kind in {"key", "document", "namespace"}
} else := {
	"allow": true,
	"rule": "namespace-read",
	"reason": "The nearest read list around it names you",
	"grant": {"source": "namespace", "name": reading.namespace, "list": "read", "entry": entry(reading.acls.read)},
} if {
	input.action == "read"
	not input.resource.acls.read
	input.resource.kind in {"key", "document", "namespace"}
} else := {
	# A new item has no say about itself, even where one was deleted.
	"allow": true,
	"rule": "namespace-create",
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": writing.namespace, "list": "write", "entry": entry(writing.acls.write)},
} if {
	input.action == "create"
	input.resource.kind in {"key", "document"}
} else := {
	"allow": true,
	"rule": concat("-", ["key", input.action]),
	"reason": "Its write list names you",
	"grant": {"source": "key", "name": "", "list": "write", "entry": entry(input.resource.acls.write)},
} if {
	input.action in {"write", "delete"}
	input.resource.acls.write
	input.resource.kind in {"key", "document"}
} else := {
	"allow": true,
	"rule": concat("-", ["namespace", input.action]),
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": writing.namespace, "list": "write", "entry": entry(writing.acls.write)},
} if {
	input.action in {"write", "delete"}
	not input.resource.acls.write
	input.resource.kind in {"key", "document"}
} else := {
	# Who may write in a namespace may see its record.
	"allow": true,
	"rule": "namespace-read",
	"reason": "Its write list names you",
	"grant": {"source": "namespace", "name": "", "list": "write", "entry": entry(input.resource.acls.write)},
} if {
	input.resource.kind == "namespace"
	input.action == "read"
	input.resource.acls.write
} else := {
	"allow": true,
	"rule": "namespace-read",
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": writing.namespace, "list": "write", "entry": entry(writing.acls.write)},
} if {
	input.resource.kind == "namespace"
	input.action == "read"
	not input.resource.acls.write
} else := {
	"allow": true,
	"rule": input.action,
	"reason": "Everyone may ask; each item is then decided on its own",
} if {
	input.action in {"list", "watch"}
	well_formed
} else := {
	"allow": true,
	"rule": "environment-read",
	"reason": "The names of environments are open to everyone",
} if {
	input.resource.kind == "environment"
	input.action == "read"
} else := {
	"allow": false,
	"rule": concat("-", ["no", input.action]),
	"reason": refusal,
} if {
	well_formed
} else := malformed

malformed := {
	"allow": false,
	"rule": "malformed",
	"reason": "The question names no user, or a kind or an action that does not exist",
}

well_formed if {
	input.subject.username != ""
	input.resource.kind in {"key", "document", "namespace", "environment", "policy", "audit"}
	input.action in {"read", "list", "watch", "create", "write", "delete", "admin"}
}

# What the admin lists around an item open, beside the server admins. The audit of a key is open to the key's admins.
open_to_admins := {
	"key": {"read", "create", "write", "delete", "admin"},
	"document": {"read", "create", "write", "delete", "admin"},
	"namespace": {"read", "admin"},
	"audit": {"read"},
}

# The innermost namespaces that have a read list, and a write list.
reading := input.resource.namespace_acls[max([i | input.resource.namespace_acls[i].acls.read])]

writing := input.resource.namespace_acls[max([i | input.resource.namespace_acls[i].acls.write])]

# Where the item's own lists stand.
source := "namespace" if {
	input.resource.kind == "namespace"
} else := "key"

# entry is what in a list matches the user; undefined if nothing does.
entry(list) := input.subject.username if {
	list.names[input.subject.username]
} else := "*" if {
	list.any
	input.subject.username
} else := concat("", [matching[0], "*"]) if {
	strings.any_prefix_match(input.subject.username, list.prefixes)
	matching := [p | some p in list.prefixes; startswith(input.subject.username, p)]
}

named(link) := "the root namespace" if {
	link.namespace == "*"
} else := concat(" ", ["namespace", link.namespace])

# Why nobody but an admin could: the list that decided and where it stands, never who is in it.
refusal := concat(" ", ["The", deciding, "list of this", input.resource.kind, "does not name you, nor does an admin list"]) if {
	input.resource.acls[deciding]
	input.action != "create"
} else := concat(" ", ["The read list of", named(reading), "does not name you, nor does an admin list"]) if {
	deciding == "read"
} else := concat(" ", ["The write list of", named(writing), "does not name you, nor does an admin list"]) if {
	deciding == "write"
} else := concat(" ", ["No", deciding, "list around this", input.resource.kind, "names you, nor does an admin list"]) if {
	deciding
} else := concat(" ", ["No admin list around this", input.resource.kind, "names you"]) if {
	input.action in open_to_admins[input.resource.kind]
} else := "This is for server admins"

deciding := "read" if {
	input.action == "read"
	input.resource.kind in {"key", "document", "namespace"}
} else := "write" if {
	input.action in {"create", "write", "delete"}
	input.resource.kind in {"key", "document"}
}
