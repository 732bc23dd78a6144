package main

import (
	"context"

	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/core"
)

// etcdSettings are where etcd is, who this server is to it, and what it takes at once.
type etcdSettings struct {
	endpoints       []string
	prefix          string
	ca, cert, key   string
	username        string
	password        string
	maxTxnOps       int
	maxRequestBytes int
}

func (e etcdSettings) open(ctx context.Context) (*core.Backend, error) {
	config, err := etcd.LoadTLS(e.ca, e.cert, e.key)
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, etcd.Config{
		Endpoints: e.endpoints, TLS: config, User: e.username, Password: e.password,
		Options: etcd.Options{Prefix: e.prefix, Request: etcd.Request{Ops: e.maxTxnOps, Bytes: e.maxRequestBytes}},
	})
}

// check finds what no single setting shows.
func (e etcdSettings) check() error {
	switch {
	case len(e.endpoints) == 0:
		return failf("Backend etcd needs ETCD_ENDPOINTS or --etcd-endpoints")
	case (e.cert == "") != (e.key == ""):
		return failf("--etcd-cert and --etcd-key belong together: set both or neither")
	case (e.username == "") != (e.password == ""):
		return failf("--etcd-username and --etcd-password belong together: set both or neither")
	}
	return nil
}
