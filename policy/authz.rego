package dynconfig.authz

# An operator's set replaces this module. It may add to the shipped rules, narrow them, or ignore them.
decision := data.dynconfig.acl.decision
