package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/startup"
)

type serveCmd struct {
	Gateway      string   `default:"127.0.0.1:8080" help:"Address of the gateway."`
	Management   string   `default:"127.0.0.1:8081" help:"Address of the Management API; loopback only, unless it authenticates."`
	Authenticate bool     `help:"Ask callers of the Management API for Google tokens, as PERIGEE_ADMINS and PERIGEE_AUDIENCE say; then --management may be any address."`
	Org          string   `default:"local" help:"Organization, made if it does not exist."`
	Env          string   `default:"test" help:"Environment, made if it does not exist."`
	Store        string   `help:"embedded:DIR, memory: or firestore:PROJECT[/DATABASE]; default embedded in the user's cache folder." placeholder:"STORE"`
	Keystore     string   `help:"local:DIR or secretmanager:PROJECT; default beside the embedded store." placeholder:"KEYSTORE"`
	LogLevel     string   `default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
	Bundles      []string `arg:"" optional:"" name:"bundle" help:"Bundle directories or zips, deployed at start and again when their files change."`
}

// Run serves both planes until it is interrupted.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	startup.Done() // a laptop's process lives long, and starts with many bundles
	if err := loopback(c.Management); err != nil && !c.Authenticate {
		return err
	}
	log, err := boot.NewLogger(s.err, "text", c.LogLevel)
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	config, err := c.config()
	if err != nil {
		return err
	}
	host, err := boot.Open(ctx, config)
	if err != nil {
		return err
	}
	defer host.Close()
	if err := host.Ensure(ctx, c.Env); err != nil {
		return err
	}
	gateway, err := net.Listen("tcp", c.Gateway)
	if err != nil {
		return err
	}
	management, err := net.Listen("tcp", c.Management)
	if err != nil {
		return err
	}
	api, err := host.ManagementHandler()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return boot.Serve(ctx, gateway, host.GatewayHandler()) })
	group.Go(func() error { return boot.Serve(ctx, management, api) })
	fmt.Fprintf(s.out, "gateway     http://%s\nmanagement  http://%s/v1/organizations/%s (environment %s)\n", gateway.Addr(), management.Addr(), c.Org, c.Env)
	d := &deployer{host: host, env: c.Env, out: s.out, base: "http://" + gateway.Addr().String()}
	group.Go(func() error { return d.watch(ctx, c.Bundles) })
	return group.Wait()
}

// config is the configuration of a local process.
func (c *serveCmd) config() (boot.Config, error) {
	env, err := boot.FromEnv()
	if err != nil {
		return env, err
	}
	config := boot.Config{
		Admins: env.Admins, Audiences: env.Audiences, OAuthClients: env.OAuthClients,
		Organization: c.Org, Store: c.Store, Keystore: c.Keystore, Refresh: time.Second,
		AnyHost: true, Ingress: true, LogFormat: "text", LogLevel: c.LogLevel, InsecureManagement: !c.Authenticate,
		Project: env.Project, Local: true, LogDir: env.LogDir, PubSubEmulator: env.PubSubEmulator,
	}
	cache, err := os.UserCacheDir()
	if err != nil && (config.Store == "" || config.Keystore == "") {
		return config, fmt.Errorf("name a --store and a --keystore: %w", err)
	}
	dir := filepath.Join(cache, "perigee", c.Org)
	if config.Keystore == "" {
		config.Keystore = "local:" + filepath.Join(dir, "keystore")
		if strings.HasPrefix(config.Store, "embedded:") {
			config.Keystore = boot.KeystoreOf(config.Store)
		}
	}
	if config.Store == "" {
		config.Store = "embedded:" + dir
	}
	if config.LogDir == "" && err == nil {
		config.LogDir = filepath.Join(dir, "logs")
	}
	return config, nil
}

// loopback refuses an address that others than this machine can reach.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--management %q: %w", addr, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("--management " + addr + ": perigee serve asks for no credentials, so the Management API binds loopback addresses only; --authenticate makes it ask for them")
}
