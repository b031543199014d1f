package boot

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/cache"
	"github.com/perigee-gateway/perigee/shared/cloudlogging"
	"github.com/perigee-gateway/perigee/shared/counter"
	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/grpccallout"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/logfile"
	"github.com/perigee-gateway/perigee/shared/monetization"
	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/pubsub"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/target"
)

// Live is a bundle that was deployed.
type Live struct {
	Name, Revision string
	BasePaths      []string // none for a shared flow
	Warnings       bundle.Problems
}

// DeployBundle imports the bundle at path and deploys the new revision in env,
// in place of the one deployed before. A bundle.Problems is the error of a
// bundle that is refused.
func (h *Host) DeployBundle(ctx context.Context, env, path string) (*Live, error) {
	b, err := bundle.Load(path)
	if b == nil {
		return nil, err
	}
	problems := h.Validate(ctx, h.Config.Organization, env, b)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	data, err := bundle.Zip(b)
	if err != nil {
		return nil, err
	}
	kind, name := entity.API, bundleName(b, path)
	if b.Kind == bundle.KindSharedFlow {
		kind = entity.SharedFlow
	}
	org := h.Config.Organization
	rev, err := h.Deployments.Import(ctx, deployment.Upload{Organization: org, Kind: kind, Name: name, Zip: data, Bundle: b})
	if err != nil {
		return nil, err
	}
	_, err = h.Deployments.Deploy(ctx, deployment.Request{
		Organization: org, Environment: env, Kind: kind, Name: name, Revision: rev.Revision, Override: true, HostIdentity: true,
	})
	if err != nil {
		return nil, err
	}
	return &Live{Name: name, Revision: rev.Revision, BasePaths: b.BasePaths(), Warnings: problems.Warnings()}, nil
}

// bundleName is the bundle's own name, or that of the folder or zip it is in.
func bundleName(b *bundle.Bundle, path string) string {
	if b.Name != "" {
		return b.Name
	}
	path = filepath.Clean(path)
	if base := filepath.Base(path); base == b.Kind.Folder() {
		path = filepath.Dir(path)
	}
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// Validate compiles a bundle as a gateway would, and returns everything that was
// found. env is "" where it is not to be deployed yet.
func (h *Host) Validate(ctx context.Context, org, env string, b *bundle.Bundle) bundle.Problems {
	p := place{org: org, env: env, files: h.Config.LogDir != ""}
	if env != "" && slices.ContainsFunc(b.Policies, func(p *bundle.Policy) bool { return p.Kind == "DataCapture" }) {
		c, err := h.Registry.Config(ctx, org, "")
		if err != nil {
			var problems bundle.Problems
			problems.Add(bundle.Pos{}, err)
			return problems
		}
		p.collectors = collectors(c.DataCollectors)
	}
	return validate(b, h.kinds, p)
}

// Lint returns the problems of the bundle at path.
func Lint(path string) (bundle.Problems, error) {
	b, err := bundle.Load(path)
	if b == nil {
		return nil, err
	}
	return validate(b, policies.Kinds(), place{org: "local", env: "test", files: true}), nil
}

// place is what is known of where a bundle is to run.
type place struct {
	org, env   string
	files      bool              // there is a directory for log files
	collectors policy.Collectors // nil: not known
}

// LintZip is why a bundle would be refused, nil if it would not.
func LintZip(data []byte) error {
	b, err := bundle.LoadZip(data, bundle.Limits{})
	if b == nil {
		return err
	}
	return validate(b, policies.Kinds(), place{org: "local", env: "test", files: true}).Err()
}

// validate compiles with services that answer nothing: no policy calls one
// while it is compiled.
func validate(b *bundle.Bundle, kinds policy.Kinds, p place) bundle.Problems {
	pool := target.New(target.Options{Servers: targetServers(func() *entity.Config { return &entity.Config{} })})
	sets, err := registry.BundleProperties(b)
	opts := pipeline.Options{
		Organization: p.org, Environment: p.env, Name: b.Name, Revision: "0",
		Properties: registry.Properties{Bundle: sets},
		Services:   offered(pool, p),
		Target: func(c *bundle.HTTPTargetConnection, name string, e *policy.Env) pipeline.Target {
			return pool.Connect(c, name, e)
		},
		Local: func(c *bundle.LocalTargetConnection, name string, e *policy.Env) pipeline.Target { return nil },
		Integration: func(i *bundle.IntegrationEndpoint, e *policy.Env) pipeline.Target {
			return integration.Connect(i, nil, e)
		},
	}
	var problems bundle.Problems
	problems.Add(bundle.Pos{}, err)
	if b.Kind == bundle.KindSharedFlow {
		_, found := pipeline.CompileSharedFlow(b, kinds, opts)
		return append(problems, found...)
	}
	_, found := pipeline.Compile(b, kinds, opts)
	return append(problems, found...)
}

// offered are services a gateway offers, for policies that refuse to be
// deployed without one.
func offered(pool *target.Pool, p place) policy.Services {
	s := policy.Services{
		Callouts: pool, LocalCallouts: noLocal{}, KeyValueMaps: (*registry.MapCache)(nil),
		SharedFlows: noFlows{}, GoogleTokens: (*googletoken.Source)(nil), Keys: (*keystore.Keys)(nil),
		Credentials: (*credentials.Service)(nil), Entities: (*credentials.Service)(nil), Tokens: (*oauth.Service)(nil),
		Caches: (*cache.Caches)(nil), Quotas: (*counter.Quotas)(nil),
		Logs: (*cloudlogging.Writer)(nil), Syslog: syslogOver(pool, slog.Default()), Publisher: (*pubsub.Publisher)(nil),
		Analytics: (*analytics.Recorder)(nil), Collectors: p.collectors,
		Monetization: (*monetization.Service)(nil),
		Integrations: (*integration.Service)(nil), GRPC: (*grpccallout.Client)(nil),
	}
	if p.files {
		s.LogFiles = (*logfile.Dir)(nil)
	}
	return s
}

// noFlows knows no shared flow: they may be deployed later.
type noFlows struct{}

func (noFlows) SharedFlow(string) (policy.SharedFlow, bool) { return nil, false }

type noLocal struct{}

func (noLocal) CompileLocal(c *bundle.LocalTargetConnection, env *policy.Env) policy.Callout {
	return nil
}
