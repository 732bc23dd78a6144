package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// routes finds the operations of a path. It looks at the path as it was sent: http.ServeMux would clean a//b and a/../b
// and redirect, and a key would then be another one than the client named.
type routes struct {
	exact  map[string]*route
	prefix []*route // longest suffix, then longest prefix first
}

// route is a path of the OpenAPI document with its operations. A path has one parameter at most; one at the end takes all
// that is left, slashes included.
type route struct {
	path           string
	prefix, suffix string // around the parameter
	ops            []*operation
	allow          string
}

// add puts an operation under its path.
func (rs *routes) add(op *operation) {
	prefix, rest, param := strings.Cut(op.path, "{")
	_, suffix, _ := strings.Cut(rest, "}")
	rt := rs.exact[op.path]
	if i := slices.IndexFunc(rs.prefix, func(rt *route) bool { return rt.path == op.path }); i >= 0 {
		rt = rs.prefix[i]
	}
	if rt == nil {
		rt = &route{path: op.path, prefix: prefix, suffix: suffix, allow: http.MethodOptions}
		if param {
			rs.prefix = append(rs.prefix, rt)
			slices.SortStableFunc(rs.prefix, func(a, b *route) int {
				if d := len(b.suffix) - len(a.suffix); d != 0 {
					return d
				}
				return len(b.prefix) - len(a.prefix)
			})
		} else {
			if rs.exact == nil {
				rs.exact = map[string]*route{}
			}
			rs.exact[op.path] = rt
		}
	}
	rt.ops = append(rt.ops, op)
	methods := []string{http.MethodOptions}
	for _, op := range rt.ops {
		methods = append(methods, op.method)
		if op.serves(http.MethodHead) {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	rt.allow = strings.Join(methods, ", ")
}

// find returns the route of an escaped path and its parameter, unescaped; nil if there is none.
func (rs *routes) find(path string) (rt *route, param string) {
	if rt := rs.exact[path]; rt != nil {
		return rt, ""
	}
	for _, rt := range rs.prefix {
		if len(path) < len(rt.prefix)+len(rt.suffix) || !strings.HasPrefix(path, rt.prefix) || !strings.HasSuffix(path, rt.suffix) {
			continue
		}
		param, err := url.PathUnescape(path[len(rt.prefix) : len(path)-len(rt.suffix)])
		if err != nil {
			return nil, ""
		}
		return rt, param
	}
	return nil, ""
}

// op returns the operation of a method.
func (rt *route) op(method string) *operation {
	for _, op := range rt.ops {
		if op.serves(method) {
			return op
		}
	}
	return nil
}

// serves reports whether the operation answers to a method: HEAD as GET, net/http leaving the body out, but for a stream,
// which would never end.
func (op *operation) serves(method string) bool {
	return method == op.method || method == http.MethodHead && op.method == http.MethodGet && !op.selfGuarded
}
