package authoring_test

import (
	"testing"

	"github.com/dynconfig/dynconfig/conformance"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }
