package policy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// claimsTerm converts verified claims for a policy. Numbers keep every digit they came with.
func claimsTerm(claims map[string]any) (*ast.Term, error) {
	if claims == nil {
		return ast.ObjectTerm(), nil
	}
	v, err := ast.InterfaceToValue(claims)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return ast.NewTerm(v), nil
}

// appendClaims writes the claims of some names so that different ones never give the same bytes; an absent claim is not
// the same as a null one.
func appendClaims(b []byte, claims map[string]any, names []string) []byte {
	for _, name := range names {
		v, ok := claims[name]
		if !ok {
			b = append(b, '-')
			continue
		}
		b = appendClaim(append(b, '+'), v)
	}
	return b
}

// appendClaim writes one claim. Every value begins with its type, and strings and containers with their length, so that no
// value's bytes begin another's.
func appendClaim(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'z')
	case bool:
		if v {
			return append(b, 't')
		}
		return append(b, 'f')
	case string:
		return appendText(append(b, 's'), v)
	case json.Number:
		return appendText(append(b, 'n'), v.String())
	case []any:
		b = binary.AppendUvarint(append(b, 'a'), uint64(len(v)))
		for _, e := range v {
			b = appendClaim(b, e)
		}
		return b
	case map[string]any:
		b = binary.AppendUvarint(append(b, 'o'), uint64(len(v)))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = appendClaim(appendText(b, name), v[name])
		}
		return b
	}
	return appendText(append(b, '?'), fmt.Sprintf("%T %#v", v, v)) // no claim that came as JSON
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
