package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// serveEtcd runs an etcd server of its own with its JSON gateway until ctx ends.
func serveEtcd(ctx context.Context, dir string) error {
	client, err := freeURL()
	if err != nil {
		return err
	}
	peer, err := freeURL()
	if err != nil {
		return err
	}
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs = dir, "error", []string{"stderr"}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	defer e.Close()
	select {
	case <-e.Server.ReadyNotify():
		fmt.Println(client.String())
	case err := <-e.Err():
		return err
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

// freeURL finds a port for a server that cannot choose one itself.
func freeURL() (url.URL, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	defer func() { _ = l.Close() }()
	return url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}

// etcdPut is a put through etcd's JSON gateway, of the same value.
func etcdPut(host string, worker int) []byte {
	key := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "bench.put.k%d", worker))
	body := fmt.Sprintf(`{"key":%q,"value":%q}`, key, base64.StdEncoding.EncodeToString([]byte(value)))
	return request("POST", host, "/v3/kv/put", "", body)
}
