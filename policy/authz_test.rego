package dynconfig.authz_test

import data.dynconfig.authz

test_shipped_set_answers_as_the_lists_do if {
	authz.decision == {"allow": true} with data.dynconfig.acl.decision as {"allow": true}
}
