package services

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// EtcdCluster is the members of an etcd cluster, each a process of its own.
type EtcdCluster []*Etcd

// StartEtcdCluster starts a cluster of n members and waits until all serve. It ends with the test.
func StartEtcdCluster(t testing.TB, n int, args ...string) EtcdCluster {
	t.Helper()
	dir := directory(t)
	var peers []string
	for i := range n {
		peers = append(peers, fmt.Sprintf("m%d=unix://m%d:1", i, i)) // files in dir: a host and a port to etcd
	}
	c := make(EtcdCluster, n)
	for i := range c {
		name, url, _ := strings.Cut(peers[i], "=")
		c[i] = newEtcd(t, dir, name, append([]string{
			"--listen-peer-urls=" + url, "--initial-advertise-peer-urls=" + url, "--initial-cluster=" + strings.Join(peers, ","),
			"--heartbeat-interval=50", "--election-timeout=500",
		}, append(syncing(t), args...)...))
		c[i].launch(t)
	}
	for _, e := range c {
		e.await(t)
	}
	return c
}

// Endpoints are those of all members.
func (c EtcdCluster) Endpoints() []string {
	var all []string
	for _, e := range c {
		all = append(all, e.Endpoint)
	}
	return all
}

// Leader asks the members until one of them says that it leads.
func (c EtcdCluster) Leader(t testing.TB) *Etcd {
	t.Helper()
	client := connect(t, c.Endpoints()...)
	defer func() { _ = client.Close() }()
	for until := time.Now().Add(startTime); time.Now().Before(until); {
		for _, e := range c {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			status, err := client.Status(ctx, e.Endpoint)
			cancel()
			if err == nil && status.Leader == status.Header.MemberId {
				return e
			}
		}
	}
	t.Fatal("no member says that it leads")
	return nil
}

// Follower is a member that does not lead.
func (c EtcdCluster) Follower(t testing.TB) *Etcd {
	t.Helper()
	leader := c.Leader(t)
	for _, e := range c {
		if e != leader {
			return e
		}
	}
	t.Fatal("a cluster of one has no follower")
	return nil
}
