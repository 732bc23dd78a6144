package policy

import (
	"embed"
	"io/fs"
)

//go:embed acl.rego acl_test.rego
var reference embed.FS

// Reference is the shipped rules with their tests, to be read, and for tools that must find them.
func Reference() fs.FS { return reference }
