package services_test

import data.rules.services

settings := {"services": {"on": true, "prefix": "service:", "namespace": "services"}}

ask(who, action, namespaces) := {
	"subject": {"username": who},
	"action": action,
	"resource": {"kind": "key", "namespaces": namespaces},
}

test_service_reads_its_own if {
	services.allow.rule == "service-own" with input as ask("service:pay", "read", ["services", "services.pay"]) with data.settings as settings
	not services.allow with input as ask("service:pay", "write", ["services", "services.pay"]) with data.settings as settings
}

test_service_reads_no_other if {
	not services.allow with input as ask("service:pay", "read", ["services", "services.payments"]) with data.settings as settings
	not services.allow with input as ask("service:", "read", ["services", "services."]) with data.settings as settings
	not services.allow with input as ask("ann", "read", ["services", "services.ann"]) with data.settings as settings
}

test_service_administers_nothing if {
	services.deny.rule == "service-admin" with input as ask("service:pay", "admin", []) with data.settings as settings
	not services.deny with input as ask("ann", "admin", []) with data.settings as settings
	not services.deny with input as ask("service:pay", "write", []) with data.settings as settings
}

test_off if {
	not services.allow with input as ask("service:pay", "read", ["services", "services.pay"]) with data.settings.services.on as false
	not services.deny with input as ask("service:pay", "admin", []) with data.settings.services.on as false
}
