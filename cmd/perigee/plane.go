package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/perigee-gateway/perigee/shared/boot"
)

type gatewayCmd struct{}

// Run serves the data plane on $PORT.
func (gatewayCmd) Run(ctx context.Context, s streams) error {
	return servePlane(ctx, s, boot.Gateway)
}

type managementCmd struct{}

// Run serves the Management API on $PORT.
func (managementCmd) Run(ctx context.Context, s streams) error {
	return servePlane(ctx, s, boot.Management)
}

func servePlane(ctx context.Context, s streams, build func(context.Context, boot.Config) (http.Handler, error)) error {
	config, err := boot.FromEnv()
	if err != nil {
		return err
	}
	log, err := boot.NewLogger(s.err, config.LogFormat, config.LogLevel)
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	l, err := net.Listen("tcp", ":"+config.Port)
	if err != nil {
		return err
	}
	log.Info("listening", "address", l.Addr().String())
	h := boot.Lazy(build)
	err = boot.Serve(ctx, l, h)
	h.Flush()
	return errors.Join(err, h.Close())
}
