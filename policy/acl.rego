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
	"rule": "key-admin",
	"reason": "Its admin list names you",
	"grant": {"source": "key", "name": "", "list": "admin", "entry": entry(input.resource.acls.admin, input.subject.username)},
} if {
	input.resource.acls.admin
	input.resource.kind != "namespace"
	open_to_admins[input.resource.kind][input.action]
} else := {
	"allow": true,
	"rule": "namespace-admin",
	"reason": "Its admin list names you",
	"grant": {"source": "namespace", "name": "", "list": "admin", "entry": entry(input.resource.acls.admin, input.subject.username)},
} if {
	input.resource.kind == "namespace"
	input.resource.acls.admin
	open_to_admins.namespace[input.action]
} else := {
	"allow": true,
	"rule": "namespace-admin",
	"reason": "The admin list of a namespace around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "admin", "entry": entry(link.acls.admin, input.subject.username)},
} if {
	link := administering(input.resource.namespace_acls, input.subject.username)
	open_to_admins[input.resource.kind][input.action]
} else := {
	# Of the read lists, and of the write lists, the nearest hides all further out, even if it is empty.
	"allow": true,
	"rule": "key-read",
	"reason": "Its read list names you",
	"grant": {"source": "key", "name": "", "list": "read", "entry": entry(input.resource.acls.read, input.subject.username)},
} if {
	input.action == "read"
	input.resource.acls.read
	input.resource.kind in {"key", "document"}
} else := {
	"allow": true,
	"rule": "namespace-read",
	"reason": "Its read list names you",
	"grant": {"source": "namespace", "name": "", "list": "read", "entry": entry(input.resource.acls.read, input.subject.username)},
} if {
	input.action == "read"
	input.resource.acls.read
	input.resource.kind == "namespace"
} else := {
	"allow": true,
	"rule": "namespace-read",
	"reason": "The nearest read list around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "read", "entry": entry(link.acls.read, input.subject.username)},
} if {
	input.action == "read"
	input.resource.kind in {"key", "document", "namespace"}
	not input.resource.acls.read
	link := nearest(input.resource.namespace_acls, "read")
} else := {
	# A new item has no say about itself, even where one was deleted.
	"allow": true,
	"rule": "namespace-create",
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "write", "entry": entry(link.acls.write, input.subject.username)},
} if {
	input.action == "create"
	input.resource.kind in {"key", "document"}
	link := nearest(input.resource.namespace_acls, "write")
} else := {
	"allow": true,
	"rule": concat("-", ["key", input.action]),
	"reason": "Its write list names you",
	"grant": {"source": "key", "name": "", "list": "write", "entry": entry(input.resource.acls.write, input.subject.username)},
} if {
	input.action in {"write", "delete"}
	input.resource.acls.write
	input.resource.kind in {"key", "document"}
} else := {
	"allow": true,
	"rule": concat("-", ["namespace", input.action]),
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "write", "entry": entry(link.acls.write, input.subject.username)},
} if {
	input.action in {"write", "delete"}
	not input.resource.acls.write
	input.resource.kind in {"key", "document"}
	link := nearest(input.resource.namespace_acls, "write")
} else := {
	# Who may write in a namespace may see its record.
	"allow": true,
	"rule": "namespace-read",
	"reason": "Its write list names you",
	"grant": {"source": "namespace", "name": "", "list": "write", "entry": entry(input.resource.acls.write, input.subject.username)},
} if {
	input.resource.kind == "namespace"
	input.action == "read"
	input.resource.acls.write
} else := {
	"allow": true,
	"rule": "namespace-read",
	"reason": "The nearest write list around it names you",
	"grant": {"source": "namespace", "name": link.namespace, "list": "write", "entry": entry(link.acls.write, input.subject.username)},
} if {
	input.resource.kind == "namespace"
	input.action == "read"
	not input.resource.acls.write
	link := nearest(input.resource.namespace_acls, "write")
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
	"rule": rule,
	"reason": refusal,
} if {
	input.subject.username
	rule := {
		"read": "no-read",
		"list": "no-list",
		"watch": "no-watch",
		"create": "no-create",
		"write": "no-write",
		"delete": "no-delete",
		"admin": "no-admin",
	}[input.action]
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

# entry is what in a list matches a user; undefined if nothing does.
entry(list, user) := user if {
	list.names[user]
} else := "*" if {
	list.any
} else := concat("", [matching[0], "*"]) if {
	strings.any_prefix_match(user, list.prefixes)
	matching := [p | some p in list.prefixes; startswith(user, p)]
}

# nearest is the innermost namespace that has a list.
nearest(links, list) := links[max([i | links[i].acls[list]])]

# administering is the innermost namespace whose admin list matches a user.
administering(links, user) := links[max([i | entry(links[i].acls.admin, user)])]

# omits is the sentence about a namespace's list that does not name the user.
omits(list, namespace) := concat(" ", ["The", list, "list of the root namespace does not name you, nor does an admin list"]) if {
	namespace == "*"
} else := concat(" ", ["The", list, "list of namespace", namespace, "does not name you, nor does an admin list"])

# Why nobody but an admin could: the list that decided and where it stands, never who is in it. Of a kind that does not
# exist there is no refusal.
refusal := concat(" ", ["The read list of this", input.resource.kind, "does not name you, nor does an admin list"]) if {
	input.action == "read"
	input.resource.acls.read
	input.resource.kind in {"key", "document", "namespace"}
} else := concat(" ", ["The write list of this", input.resource.kind, "does not name you, nor does an admin list"]) if {
	input.action in {"write", "delete"}
	input.resource.acls.write
	input.resource.kind in {"key", "document"}
} else := omits("read", link.namespace) if {
	input.action == "read"
	input.resource.kind in {"key", "document", "namespace"}
	link := nearest(input.resource.namespace_acls, "read")
} else := omits("write", link.namespace) if {
	input.action in {"create", "write", "delete"}
	input.resource.kind in {"key", "document"}
	link := nearest(input.resource.namespace_acls, "write")
} else := concat(" ", ["No read list around this", input.resource.kind, "names you, nor does an admin list"]) if {
	input.action == "read"
	input.resource.kind in {"key", "document", "namespace"}
} else := concat(" ", ["No write list around this", input.resource.kind, "names you, nor does an admin list"]) if {
	input.action in {"create", "write", "delete"}
	input.resource.kind in {"key", "document"}
} else := concat(" ", ["No admin list around this", input.resource.kind, "names you"]) if {
	open_to_admins[input.resource.kind][input.action]
} else := "This is for server admins" if {
	input.resource.kind in {"key", "document", "namespace", "environment", "policy", "audit"}
}
