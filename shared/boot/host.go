package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/cache"
	"github.com/perigee-gateway/perigee/shared/counter"
	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/grpccallout"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/local"
	memorykeys "github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager"
	"github.com/perigee-gateway/perigee/shared/monetization"
	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
	"github.com/perigee-gateway/perigee/shared/target"
	"github.com/perigee-gateway/perigee/shared/telemetry"
	"github.com/perigee-gateway/perigee/shared/trace"
	"github.com/perigee-gateway/perigee/shared/vault"
)

// Host is everything one process runs on: store, keystore, registry, and the
// two planes over them.
type Host struct {
	Config      Config
	Store       *store.Store
	Registry    *registry.Registry
	Deployments *deployment.Deployments
	Keystore    *keystore.Store
	Log         *slog.Logger

	keys         *keystore.Cached
	credentials  *credentials.Service
	monetization *monetization.Service
	oauth        *oauth.Service
	tokens       *googletoken.Source
	kinds        policy.Kinds
	cipher       *vault.Cipher
	outlets      outlets
	recorder     *analytics.Recorder
	gateway      func() *gateway.Gateway
	// telemetry is nil unless OpenTelemetry or Prometheus is to be told.
	telemetry func() *telemetry.Telemetry
	told      atomic.Pointer[telemetry.Telemetry] // what telemetry gave, once it was asked

	mu           sync.Mutex
	environments map[string]*services
}

// Open makes a Host. Cloud clients connect on first use; an embedded store is
// opened here.
func Open(ctx context.Context, c Config) (*Host, error) {
	log, err := NewLogger(os.Stderr, c.LogFormat, c.LogLevel)
	if err != nil {
		return nil, err
	}
	driver, err := openStore(c.Store)
	if err != nil {
		return nil, err
	}
	keys, err := openKeystore(c.Keystore)
	if err != nil {
		driver.Close()
		return nil, err
	}
	h := &Host{Config: c, Log: log, Store: store.New(driver), Keystore: keystore.New(keys), kinds: policies.Kinds(), environments: map[string]*services{}}
	h.cipher = vault.New(keys)
	h.Registry = registry.New(h.Store, h.cipher)
	h.Deployments = deployment.New(h.Registry)
	h.keys = keystore.NewCached(h.Keystore, h.aliases)
	h.credentials = credentials.New(h.Registry, c.Organization)
	h.monetization = monetization.New(h.Registry, c.Organization)
	h.oauth = oauth.New(h.Registry, h.credentials, c.Organization)
	h.tokens = googletoken.New(googletoken.Options{})
	h.outlets = newOutlets(c, h.tokens, log)
	h.recorder = newRecorder(h)
	h.gateway = sync.OnceValue(h.newGateway)
	h.telemetry = sync.OnceValue(h.newTelemetry)
	h.Registry.Subscribe(func(registry.Change) { h.gateway().Invalidate() })
	return h, nil
}

// Flush sends what waits to be sent and stores what was counted, within 5 s: the
// process ends.
func (h *Host) Flush() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	h.mu.Lock()
	for _, s := range h.environments {
		s.quotas.Flush(ctx)
	}
	h.mu.Unlock()
	if h.recorder != nil {
		h.recorder.Close(ctx)
	}
	h.outlets.logs.Flush(ctx)
}

// Close is Flush, and closes the store.
func (h *Host) Close() error {
	h.Flush()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(h.outlets.close(), h.told.Load().Close(ctx), h.Store.Close())
}

// Tokens is the token service of the organization.
func (h *Host) Tokens() *oauth.Service { return h.oauth }

// closeTimeout bounds what is done before a process ends.
const closeTimeout = 5 * time.Second

func openStore(s string) (store.Driver, error) {
	engine, where, _ := strings.Cut(s, ":")
	switch engine {
	case "memory":
		return embedded.Memory()
	case "embedded":
		if where == "" {
			return nil, fmt.Errorf("store %q names no directory", s)
		}
		return embedded.Open(where)
	case "firestore":
		project, database, _ := strings.Cut(where, "/")
		if project == "" {
			return nil, fmt.Errorf("store %q names no project: set PERIGEE_STORE or GOOGLE_CLOUD_PROJECT", s)
		}
		return firestore.New(project, database), nil
	}
	return nil, fmt.Errorf("store %q is none of embedded:DIR, memory: and firestore:PROJECT[/DATABASE]", s)
}

func openKeystore(s string) (keystore.Driver, error) {
	engine, where, _ := strings.Cut(s, ":")
	switch engine {
	case "memory":
		return memorykeys.New(), nil
	case "local":
		if where == "" {
			return nil, fmt.Errorf("keystore %q names no directory", s)
		}
		return local.New(where), nil
	case "secretmanager":
		if where == "" {
			return nil, fmt.Errorf("keystore %q names no project: set PERIGEE_KEYSTORE or GOOGLE_CLOUD_PROJECT", s)
		}
		return secretmanager.New(where, nil), nil
	}
	return nil, fmt.Errorf("keystore %q is neither local:DIR nor secretmanager:PROJECT", s)
}

// Ensure makes the organization, the environment and an environment group that
// leads to it, where they do not exist, and finishes what a crash left undone.
func (h *Host) Ensure(ctx context.Context, env string) error {
	org := h.Config.Organization
	alone := strings.HasPrefix(h.Config.Store, "embedded:")
	if err := h.Registry.FinishJobs(ctx, org, alone); err != nil {
		return err
	}
	if err := h.Registry.EnsureOrganization(ctx, org); err != nil {
		return err
	}
	if err := h.Registry.EnsureEnvironment(ctx, org, env); err != nil {
		return err
	}
	return h.Registry.EnsureGroup(ctx, org, "default", []string{"localhost"}, env)
}

// GatewayHandler is the data plane.
func (h *Host) GatewayHandler() http.Handler { return h.gateway() }

func (h *Host) newGateway() *gateway.Gateway {
	opts := gateway.Options{
		Organization: h.Config.Organization,
		Environments: h.Config.Environments,
		AnyHost:      h.Config.AnyHost,
		Ingress:      h.Config.Ingress,
		Refresh:      h.Config.Refresh,
		Kinds:        h.kinds,
		Source:       deployment.NewSource(h.Registry),
		Runtime:      h.runtime,
		Changed:      h.changed,
		Record:       h.record(),
		Debug:        trace.New(trace.Options{Registry: h.Registry, Log: h.Log}).Observe,
		Log:          h.Log,
		Project:      h.Config.Project,
	}
	h.observe(&opts)
	return gateway.New(opts)
}

// services are what the proxies of one environment use.
type services struct {
	policy.Services
	pool   *target.Pool
	maps   *registry.MapCache
	quotas *counter.Quotas
	config func() *entity.Config
}

// runtime makes the services of an environment; config gives its configuration
// at any later moment.
func (h *Host) runtime(env string, config func() *entity.Config) gateway.Runtime {
	s := h.services(env, config)
	h.mu.Lock()
	h.environments[env] = s
	h.mu.Unlock()
	return gateway.Runtime{
		Services: s.Services,
		Target: func(c *bundle.HTTPTargetConnection, name string, e *policy.Env) pipeline.Target {
			return s.pool.Connect(c, name, e)
		},
		Integration: func(i *bundle.IntegrationEndpoint, e *policy.Env) pipeline.Target {
			return integration.Connect(i, s.Integrations, e)
		},
	}
}

func (h *Host) services(env string, config func() *entity.Config) *services {
	org := h.Config.Organization
	s := &services{maps: h.Registry.MapCache(org, env), config: config}
	s.quotas = counter.New(counter.Options{Store: h.Store, Organization: org, Environment: env, Log: h.Log})
	keys := h.keys.Keys(keystore.Scope{Organization: org, Environment: env}, references(config))
	s.pool = target.New(target.Options{
		Keys:     keys,
		Tokens:   h.tokens,
		Servers:  targetServers(config),
		ExactTLS: h.Config.PermissiveTLS,
		Enforce:  enforcesTLS(config),
	})
	s.Services = policy.Services{
		KeyValueMaps: s.maps,
		Credentials:  h.credentials,
		Entities:     h.credentials,
		Tokens:       h.oauth,
		Callouts:     s.pool,
		Keys:         keys,
		GoogleTokens: h.tokens,
		Caches:       h.counted(env, h.caches(env, config)),
		Quotas:       s.quotas,
		GRPC:         grpccallout.New(s.pool, targetServers(config)),
		Integrations: integration.New(integration.Options{Send: s.pool.Send, Tokens: h.tokens, Project: h.project()}),
		Analytics:    h.recorder,
		Monetization: h.monetization,
	}
	h.outlets.offer(&s.Services, s.pool, h.Log)
	return s
}

// project is the Google Cloud project that integrations are in unless a request
// names another: the host's, or that of the organization, whose name is a
// project's on Apigee.
func (h *Host) project() string {
	if h.Config.Project != "" {
		return h.Config.Project
	}
	return h.Config.Organization
}

// caches are the caches of an environment. A named one becomes known to the
// Management API when it is first used.
func (h *Host) caches(env string, config func() *entity.Config) policy.Caches {
	org := h.Config.Organization
	used := func(ctx context.Context, name string) {
		if _, known := config().Caches[name]; known {
			return
		}
		err := h.Registry.Caches.Create(ctx, &entity.Cache{}, org, env, name)
		if err != nil && !entity.IsAlreadyExists(err) {
			h.Log.WarnContext(ctx, "cache cannot be listed", "cache", name, "error", err)
		}
	}
	return cache.New(cache.Options{Store: h.Store, Organization: org, Environment: env, Cipher: h.cipher, Used: used, Log: h.Log})
}

// aliases implements keystore.Index: the versions of a keystore's aliases as the
// environment's configuration has them.
func (h *Host) aliases(_ context.Context, sc keystore.Scope, name string) (map[string]string, error) {
	h.mu.Lock()
	s := h.environments[sc.Environment]
	h.mu.Unlock()
	if s != nil {
		if aliases, ok := s.config().Keystores[name]; ok {
			return aliases, nil
		}
	}
	return nil, keystore.Errorf(keystore.NotFound, "keystore %s does not exist", name)
}

// changed drops what was cached under an older stamp.
func (h *Host) changed(old, stamp *entity.Stamp) {
	if old == nil {
		return
	}
	h.credentials.Refresh()
	if old.Revoked != stamp.Revoked {
		h.credentials.Drop()
		h.oauth.Drop()
		h.monetization.Drop()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old.KeyValueMaps != stamp.KeyValueMaps {
		for _, s := range h.environments {
			s.maps.Drop()
		}
	}
	h.keys.Invalidate()
}

// Gateway builds the data plane for functions and containers.
func Gateway(ctx context.Context, c Config) (http.Handler, error) {
	h, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &plane{h.GatewayHandler(), h}, nil
}

// plane is a handler with the host that it runs on.
type plane struct {
	http.Handler
	host *Host
}

// Flush is Host.Flush.
func (p *plane) Flush() { p.host.Flush() }

// Close is Host.Close.
func (p *plane) Close() error { return p.host.Close() }

// Management builds the control plane for functions and containers.
func Management(ctx context.Context, c Config) (http.Handler, error) {
	h, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := h.Registry.FinishJobs(ctx, c.Organization, false); err != nil {
		h.Log.Warn("what a crash left undone stays so for now", "error", err)
	}
	m, err := h.ManagementHandler()
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &plane{m, h}, nil
}
