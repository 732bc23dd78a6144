package policy

import (
	"context"
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

var _ topdown.BaseCache = baseData{}

// baseData answers for a policy's data, which never changes, in place of a cache that every run would have to fill anew.
type baseData struct{ root ast.Object }

func baseDataOf(ctx context.Context, store storage.Store, txn storage.Transaction) (baseData, error) {
	all, err := store.Read(ctx, txn, storage.Path{})
	if err != nil {
		return baseData{}, err
	}
	root, ok := all.(ast.Object)
	if !ok {
		return baseData{}, errors.New("policy data is not an object")
	}
	return baseData{root}, nil
}

// Get returns what stands at a path, nil for nothing. The whole is left to the store, which hides a part of it.
func (d baseData) Get(path ast.Ref) ast.Value {
	if len(path) < 2 {
		return nil
	}
	v, err := d.root.Find(path[1:])
	if err != nil {
		return nil
	}
	return v
}

// Put has nothing to keep.
func (baseData) Put(ast.Ref, ast.Value) {}
