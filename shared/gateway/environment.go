package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// environment is what the gateway keeps of one environment: its configuration,
// which is swapped when it changes, and the proxies and shared flows compiled
// so far.
type environment struct {
	name      string
	g         *Gateway
	host      Runtime
	config    atomic.Pointer[entity.Config]
	orgConfig atomic.Pointer[entity.Config]
	parsed    atomic.Pointer[parsedSets]

	proxies programs[pipeline.Proxy]      // by proxy name
	flows   programs[pipeline.SharedFlow] // by shared flow name
	flight  singleflight.Group
}

// programs are compiled programs by name, one each: a new revision takes the
// place of the old one, which calls in flight keep until they end.
type programs[T any] struct{ m sync.Map }

type program[T any] struct {
	key string
	p   *T
}

func (ps *programs[T]) load(name, key string) (*T, bool) {
	if v, ok := ps.m.Load(name); ok {
		if c := v.(*program[T]); c.key == key {
			return c.p, true
		}
	}
	return nil, false
}

func (ps *programs[T]) store(name, key string, p *T) { ps.m.Store(name, &program[T]{key, p}) }

// Runtime is what an environment's proxies run on. The composition root makes
// one per environment.
type Runtime struct {
	Services policy.Services
	Target   func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) pipeline.Target
	// Integration compiles an IntegrationEndpoint; nil if there is none.
	Integration func(i *bundle.IntegrationEndpoint, env *policy.Env) pipeline.Target
}

// Config returns the environment's configuration as of now.
func (e *environment) Config() *entity.Config {
	if c := e.config.Load(); c != nil {
		return c
	}
	return &entity.Config{}
}

// properties are the property sets of a bundle in front of those of the
// environment, which are parsed once per configuration.
type properties struct {
	e      *environment
	bundle registry.PropertySets
}

type parsedSets struct {
	of   *entity.Config
	sets registry.PropertySets
}

// Property implements flow.PropertySource.
func (p *properties) Property(set, key string) (string, bool) {
	return registry.Properties{Bundle: p.bundle, Environment: p.e.propertySets()}.Property(set, key)
}

func (e *environment) propertySets() registry.PropertySets {
	config := e.Config()
	cur := e.parsed.Load()
	if cur == nil || cur.of != config {
		cur = &parsedSets{of: config, sets: registry.EnvironmentProperties(config)}
		e.parsed.Store(cur)
	}
	return cur.sets
}

// Collector implements policy.Collectors. A collector that was deleted after a
// proxy that uses it was deployed goes on for values of any type: it must not
// keep the proxy from running.
func (e *environment) Collector(name string) (typ string, ok bool) {
	if c := e.orgConfig.Load(); c != nil {
		typ = c.DataCollectors[name]
	}
	return typ, true
}

// SharedFlow implements policy.SharedFlows: the flow deployed under name now.
// It is compiled on first use, outside any call's deadline.
func (e *environment) SharedFlow(name string) (policy.SharedFlow, bool) {
	ref, ok := e.Config().SharedFlows[name]
	if !ok {
		return nil, false
	}
	sf, err := e.sharedFlow(context.Background(), name, ref)
	if err != nil {
		e.g.log.Error("shared flow does not load", "environment", e.name, "sharedflow", name, "revision", ref.Revision, "error", err)
		return nil, false
	}
	return sf, true
}

func (e *environment) sharedFlow(ctx context.Context, name string, ref entity.SharedFlowRef) (*pipeline.SharedFlow, error) {
	key := e.flowKey(ref)
	if sf, ok := e.flows.load(name, key); ok {
		return sf, nil
	}
	v, err, _ := e.flight.Do(key, func() (any, error) {
		resources, archives := e.resources(ref.Uses)
		data, err := e.g.source.Load(ctx, append([]entity.Archive{ref.Archive}, archives...)...)
		if err != nil {
			return nil, err
		}
		return e.compileFlow(name, ref, data[0], resourceSet(resources, data[1:]))
	})
	if err != nil {
		return nil, err
	}
	e.flows.store(name, key, v.(*pipeline.SharedFlow))
	return v.(*pipeline.SharedFlow), nil
}

// resources are the resource files outside the bundle that uses names: their
// URLs and where they are stored.
func (e *environment) resources(uses entity.Uses) (urls []string, archives []entity.Archive) {
	for _, url := range uses.Resources {
		if a, ok := registry.ResourceArchive(url, e.Config(), e.orgConfig.Load()); ok {
			urls, archives = append(urls, url), append(archives, a)
		}
	}
	return urls, archives
}

func resourceSet(urls []string, data [][]byte) registry.ResourceSet {
	set := registry.ResourceSet{}
	for i, url := range urls {
		set[url] = data[i]
	}
	return set
}

func (e *environment) compileFlow(name string, ref entity.SharedFlowRef, data []byte, resources registry.ResourceSet) (*pipeline.SharedFlow, error) {
	b, err := bundle.LoadZip(data, bundle.Limits{Kind: bundle.KindSharedFlow})
	if err != nil {
		return nil, err
	}
	opts, err := e.options(b, name, ref.Revision, ref.ServiceAccount, resources)
	if err != nil {
		return nil, err
	}
	sf, problems := pipeline.CompileSharedFlow(b, e.g.opts.Kinds, opts)
	return sf, problems.Err()
}

// key identifies a compiled program: the archive, and whatever else of the
// environment was compiled into it.
func (e *environment) key(a entity.Archive, serviceAccount string, uses entity.Uses) string {
	var b strings.Builder
	b.WriteString(a.ID)
	b.WriteByte('|')
	b.WriteString(serviceAccount)
	config := e.Config()
	for _, r := range uses.Resources {
		a, _ := registry.ResourceArchive(r, config, e.orgConfig.Load())
		fmt.Fprintf(&b, "|%s=%s", r, a.ID)
	}
	for _, s := range uses.SharedFlows {
		fmt.Fprintf(&b, "|%s=%s", s, config.SharedFlows[s].Archive.ID)
	}
	return b.String()
}

func (e *environment) options(b *bundle.Bundle, name, revision, serviceAccount string, resources registry.ResourceSet) (pipeline.Options, error) {
	sets, err := registry.BundleProperties(b)
	if err != nil {
		return pipeline.Options{}, err
	}
	services := e.host.Services
	services.SharedFlows, services.Resources, services.LocalCallouts, services.Collectors = e, resources, e, e
	return pipeline.Options{
		Organization: e.g.opts.Organization, Environment: e.name,
		Name: name, Revision: revision, ServiceAccount: serviceAccount,
		Properties:  &properties{e: e, bundle: sets},
		Services:    services,
		Target:      e.host.Target,
		Integration: e.host.Integration,
		Local:       e.local,
		Hook:        e.hook,
	}, nil
}

// proxy returns the compiled proxy of a route, loading it and the shared flows
// it calls in one exchange with the store on first use.
func (e *environment) proxy(ctx context.Context, r *entity.Route) (*pipeline.Proxy, error) {
	key := e.key(r.Archive, r.ServiceAccount, r.Uses)
	if p, ok := e.proxies.load(r.Proxy, key); ok {
		return p, nil
	}
	v, err, _ := e.flight.Do(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return e.timed(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	e.proxies.store(r.Proxy, key, v.(*pipeline.Proxy))
	return v.(*pipeline.Proxy), nil
}

// load reads a proxy, the shared flows it reaches that are not compiled yet, and
// the resource files all of them use, in one exchange, and compiles them.
// timed is load, told of.
func (e *environment) timed(ctx context.Context, r *entity.Route) (*pipeline.Proxy, error) {
	start := e.g.now()
	p, err := e.load(ctx, r)
	if err == nil && e.g.opts.Loaded != nil {
		e.g.opts.Loaded(ctx, e.name, r.Proxy, e.g.now().Sub(start))
	}
	return p, err
}

func (e *environment) load(ctx context.Context, r *entity.Route) (*pipeline.Proxy, error) {
	config := e.Config()
	archives := []entity.Archive{r.Archive}
	var names []string
	uses := entity.Uses{Resources: slices.Clone(r.Uses.Resources)}
	for _, name := range deployment.Needs(config, r.Uses) {
		ref := config.SharedFlows[name]
		if _, ok := e.flows.load(name, e.flowKey(ref)); !ok {
			names, archives = append(names, name), append(archives, ref.Archive)
			uses.Resources = append(uses.Resources, ref.Uses.Resources...)
		}
	}
	urls, more := e.resources(uses)
	data, err := e.g.source.Load(ctx, append(archives, more...)...)
	if err != nil {
		return nil, err
	}
	resources := resourceSet(urls, data[len(archives):])
	for i, name := range slices.Backward(names) { // callees come after callers
		ref := config.SharedFlows[name]
		sf, err := e.compileFlow(name, ref, data[i+1], resources)
		if err != nil {
			return nil, fmt.Errorf("shared flow %s revision %s: %w", name, ref.Revision, err)
		}
		e.flows.store(name, e.flowKey(ref), sf)
	}
	return e.compile(r, data[0], resources)
}

func (e *environment) flowKey(ref entity.SharedFlowRef) string {
	return e.key(ref.Archive, ref.ServiceAccount, ref.Uses)
}

func (e *environment) compile(r *entity.Route, data []byte, resources registry.ResourceSet) (*pipeline.Proxy, error) {
	b, err := bundle.LoadZip(data, bundle.Limits{Kind: bundle.KindAPIProxy})
	if err != nil {
		return nil, err
	}
	opts, err := e.options(b, r.Proxy, r.Revision, r.ServiceAccount, resources)
	if err != nil {
		return nil, err
	}
	p, problems := pipeline.Compile(b, e.g.opts.Kinds, opts)
	return p, problems.Err()
}

// hook returns the shared flow attached to a flow hook now.
func (e *environment) hook(point string) (pipeline.Hook, bool) {
	h, ok := e.Config().FlowHooks[point]
	if !ok || h == nil || h.SharedFlow == "" {
		return pipeline.Hook{}, false
	}
	out := pipeline.Hook{Name: h.SharedFlow, ContinueOnError: h.ContinueOnError}
	if sf, ok := e.SharedFlow(h.SharedFlow); ok {
		out.Flow = sf
	}
	return out, true
}
