package core

import (
	"slices"
	"strconv"
	"strings"
)

// Limits of an ACL.
const (
	MaxACLEntries  = 10_000
	MaxACLBytes    = 256 << 10
	MaxACLPrefixes = 1000
)

// Empty reports whether a says nothing, as nil does.
func (a *ACL) Empty() bool { return a == nil || a.Read == nil && a.Write == nil && a.Admin == nil }

// Equal reports whether two ACLs say the same in the same words; a nil list is not an empty one.
func (a *ACL) Equal(b *ACL) bool {
	if a.Empty() || b.Empty() {
		return a.Empty() && b.Empty()
	}
	return equalList(a.Read, b.Read) && equalList(a.Write, b.Write) && equalList(a.Admin, b.Admin)
}

func equalList(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// SameSets reports whether two ACLs grant the same, their lists compared as sets.
func (a *ACL) SameSets(b *ACL) bool {
	if a.Empty() || b.Empty() {
		return a.Empty() && b.Empty()
	}
	return equalList(set(a.Read), set(b.Read)) && equalList(set(a.Write), set(b.Write)) && equalList(set(a.Admin), set(b.Admin))
}

func set(l []string) []string {
	if l == nil {
		return nil
	}
	sorted := append([]string{}, l...) // stays other than nil where it is empty
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Check reports what is wrong with an ACL: an element that is no principal, or one that ends in "*"; too many.
func (a *ACL) Check() error {
	if a == nil {
		return nil
	}
	var faults []FieldError
	entries, size, prefixes := 0, 0, 0
	for _, l := range []struct {
		name string
		list []string
	}{{"read", a.Read}, {"write", a.Write}, {"admin", a.Admin}} {
		for i, e := range l.list {
			entries, size = entries+1, size+len(e)
			exact, wildcard := strings.CutSuffix(e, "*")
			if wildcard {
				prefixes++
			}
			if reason := elementFault(exact, wildcard); reason != "" && len(faults) < 20 {
				faults = append(faults, FieldError{Path: "acls." + l.name + "[" + strconv.Itoa(i) + "]", Reason: reason})
			}
		}
	}
	switch {
	case entries > MaxACLEntries:
		faults = append(faults, FieldError{Path: "acls", Reason: "more than 10000 entries"})
	case size > MaxACLBytes:
		faults = append(faults, FieldError{Path: "acls", Reason: "more than 256 KiB"})
	case prefixes > MaxACLPrefixes:
		faults = append(faults, FieldError{Path: "acls", Reason: "more than 1000 entries that end in *"})
	}
	if faults == nil {
		return nil
	}
	return &Error{Kind: ErrInvalid, Detail: "ACL is not valid: " + faults[0].Reason, Fields: faults}
}

func elementFault(exact string, wildcard bool) string {
	const reason = `not a principal (1 to 256 bytes of UTF-8, no control characters, no outer blanks), perhaps with one "*" at its end`
	if wildcard && exact == "" {
		return ""
	}
	probe := exact
	if wildcard {
		probe += "x" // a blank before the star is not an outer one
	}
	if len(exact) > MaxUsername || usernameFault(probe) != "" {
		return reason
	}
	return ""
}
