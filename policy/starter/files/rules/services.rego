# METADATA
# description: |
#   Service accounts by prefix: service:pay reads services.pay and all that is below it, and no service account changes lists
#   or administers anything, whatever the lists say.
#
#     "services": {"on": true, "prefix": "service:", "namespace": "services"}
# scope: package
# schemas:
#   - input: schema.input
package rules.services

allow := {"rule": "service-own", "reason": "It lies in the namespace of this service"} if {
	name != ""
	input.action == "read"
	input.resource.kind in {"key", "document"}
	concat(".", [data.settings.services.namespace, name]) in input.resource.namespaces
}

deny := {"rule": "service-admin", "reason": "Service accounts administer nothing"} if {
	name
	input.action == "admin"
}

# What stands after the prefix; undefined for everyone else.
name := trim_prefix(input.subject.username, data.settings.services.prefix) if {
	data.settings.services.on
	startswith(input.subject.username, data.settings.services.prefix)
}
