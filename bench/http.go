package main

import (
	"context"
	"fmt"
)

const readers = 32

// get reads one key that an ACL guards, beside a handler that answers the same bytes.
func (b *bencher) get(ctx context.Context) error {
	ours, other, err := turns(ctx, b.plan, readers,
		b.ourSide(func(int) []byte { return request("GET", b.ours.host(), "/keys/bench.get", b.reader, "") }),
		b.bareSide(func(int) []byte { return request("GET", b.bare.host(), "/keys/bench.get", b.reader, "") }))
	if err != nil {
		return err
	}
	b.compare(fmt.Sprintf("authorized GET, %d readers", readers), "net/http", ">= 60 %", ours, other)
	return nil
}

const value = `{"value":{"enabled":true,"percent":25,"note":"a small value of about a hundred bytes, as many are"}}`

// put writes keys, one for each writer, beside a handler that reads the body and keeps nothing.
func (b *bencher) put(ctx context.Context) error {
	const writers = 8
	ours, other, err := turns(ctx, b.plan, writers,
		b.ourSide(func(w int) []byte { return b.putRequest(w) }),
		b.bareSide(func(int) []byte { return request("PUT", b.bare.host(), "/keys/bench.put", b.admin, value) }))
	if err != nil {
		return err
	}
	b.compare(fmt.Sprintf("PUT, %d writers", writers), "net/http (keeps nothing)", "", ours, other)
	return nil
}

// putBesideEtcd writes as etcd's JSON gateway does: both put it on the disk before they answer.
func (b *bencher) putBesideEtcd(ctx context.Context) error {
	const writers = 64
	if err := b.startEtcd(); err != nil {
		return err
	}
	ours, other, err := turns(ctx, b.plan, writers,
		b.ourSide(func(w int) []byte { return b.putRequest(w) }),
		side{b.etcd.host(), func(w int) []byte { return etcdPut(b.etcd.host(), w) }})
	if err != nil {
		return err
	}
	b.compare(fmt.Sprintf("PUT, %d writers", writers), "etcd's JSON gateway", ">= 100 %", ours, other)
	return nil
}

func (b *bencher) putRequest(w int) []byte {
	return request("PUT", b.ours.host(), fmt.Sprintf("/keys/bench.put.k%d", w), b.admin, value)
}

func (b *bencher) ourSide(make func(int) []byte) side  { return side{b.ours.host(), make} }
func (b *bencher) bareSide(make func(int) []byte) side { return side{b.bare.host(), make} }
