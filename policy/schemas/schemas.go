// Package schemas describes what a policy is asked and what it answers, as JSON Schema, for those who write one.
package schemas

import "embed"

// Files holds input.json and decision.json.
//
//go:embed input.json decision.json
var Files embed.FS
