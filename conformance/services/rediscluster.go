package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisCluster is a Redis Cluster of masters alone, each with a third of the slots.
type RedisCluster struct {
	Nodes []*Redis
}

const (
	clusterNodes = 3
	clusterSlots = 16384
)

// StartRedisCluster starts a cluster and waits until every node knows every other. It ends with the test.
func StartRedisCluster(t testing.TB) *RedisCluster {
	t.Helper()
	c := &RedisCluster{}
	var ports, buses [clusterNodes]string
	for i := range clusterNodes {
		ports[i], buses[i] = FreePort(t), FreePort(t)
		c.Nodes = append(c.Nodes, startRedis(t, directory(t), redis.Options{Addr: net.JoinHostPort("127.0.0.1", ports[i])},
			"--bind", "127.0.0.1", "--port", ports[i], "--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-node-timeout", "1000"))
	}
	first := c.Nodes[0].Client(t)
	for i, node := range c.Nodes {
		client := node.Client(t)
		from, to := i*clusterSlots/clusterNodes, (i+1)*clusterSlots/clusterNodes-1
		errs := []error{
			client.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(),
			client.ClusterAddSlotsRange(t.Context(), from, to).Err(),
		}
		if i > 0 {
			errs = append(errs, first.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", ports[i], buses[i]).Err())
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range c.Nodes {
		client := node.Client(t)
		until(t, "the cluster does not form", func(ctx context.Context) error {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprint("cluster_known_nodes:", clusterNodes))) {
				err = errors.New(info)
			}
			return err
		})
	}
	return c
}

// Addrs are the nodes, host:port.
func (c *RedisCluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr
	}
	return addrs
}
