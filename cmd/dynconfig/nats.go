package main

import (
	"context"
	"log/slog"

	"github.com/dynconfig/dynconfig/backends/nats"
	"github.com/dynconfig/dynconfig/core"
)

// natsSettings are where NATS is, who this server is to it, and how its stream is made.
type natsSettings struct {
	url         string
	credentials string
	ca          string
	cert        string
	key         string
	prefix      string
	replicas    int
	syncAlways  bool
}

func openNATS(ctx context.Context, s Settings, logger *slog.Logger) (*core.Backend, error) {
	n := s.NATS
	return nats.Open(ctx, nats.Config{
		URL: n.url, Credentials: n.credentials, CA: n.ca, Certificate: n.cert, Key: n.key,
		Options: nats.Options{Prefix: n.prefix, Replicas: n.replicas, SyncAlways: n.syncAlways, Logger: logger},
	})
}
