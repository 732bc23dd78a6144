package main

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// have fetches an image unless the engine has it. It tries once: testcontainers-go by itself tries for minutes, which a
// machine without a network would spend for nothing.
func have(ctx context.Context, image string) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = docker.Close() }()
	if _, err = docker.ImageInspect(ctx, image); !errdefs.IsNotFound(err) {
		return err
	}
	var o client.ImagePullOptions
	if _, auth, err := testcontainers.DockerImageAuth(ctx, image); err == nil { // else as anybody
		if o.RegistryAuth, err = authconfig.Encode(auth); err != nil {
			return err
		}
	}
	pull, err := docker.ImagePull(ctx, image, o)
	if err != nil {
		return err
	}
	return pull.Wait(ctx)
}
