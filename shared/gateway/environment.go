package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javaproperties"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// environment is what the gateway keeps of one environment: its configuration,
// which is swapped when it changes, and the proxies and shared flows compiled
// so far.
type environment struct {
	name   string
	g      *Gateway
	host   Runtime
	config atomic.Pointer[entity.Config]

	proxies sync.Map // compile key -> *pipeline.Proxy
	flows   sync.Map // compile key -> *pipeline.SharedFlow
	flight  singleflight.Group
}

// Runtime is what an environment's proxies run on. The composition root makes
// one per environment.
type Runtime struct {
	Services policy.Services
	Target   func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) pipeline.Target
	// Integration compiles an IntegrationEndpoint; nil if there is none.
	Integration func(i *bundle.IntegrationEndpoint, env *policy.Env) pipeline.Target
}

// Config returns the environment's configuration as of now.
func (e *environment) Config() *entity.Config { return e.config.Load() }

// Property implements flow.PropertySource for the environment's property sets.
type environmentProperties struct {
	e      *environment
	parsed atomic.Pointer[parsedSets]
}

type parsedSets struct {
	of   *entity.Config
	sets map[string]map[string]string
}

// Property returns a property of the environment's sets. They are parsed once
// per configuration.
func (p *environmentProperties) Property(set, key string) (string, bool) {
	config := p.e.Config()
	cur := p.parsed.Load()
	if cur == nil || cur.of != config {
		cur = &parsedSets{of: config, sets: map[string]map[string]string{}}
		for name, text := range config.PropertySets {
			if m, err := javaproperties.Parse([]byte(text)); err == nil {
				cur.sets[name] = m
			}
		}
		p.parsed.Store(cur)
	}
	v, ok := cur.sets[set][key]
	return v, ok
}

// bundleProperties are the property sets of a bundle, which hide those of the
// environment.
type bundleProperties struct {
	sets  map[string]map[string]string
	outer flow.PropertySource
}

// Property returns a property of the bundle's set, or of the environment's if
// the bundle has no set of that name.
func (p *bundleProperties) Property(set, key string) (string, bool) {
	if m, ok := p.sets[set]; ok {
		v, ok := m[key]
		return v, ok
	}
	if p.outer == nil {
		return "", false
	}
	return p.outer.Property(set, key)
}

// PropertySets returns the property sets in a bundle in front of outer. A set
// that cannot be read is a problem.
func PropertySets(b *bundle.Bundle, outer flow.PropertySource, problems *bundle.Problems) flow.PropertySource {
	p := &bundleProperties{sets: map[string]map[string]string{}, outer: outer}
	for _, r := range b.Resources {
		name, ok := strings.CutSuffix(r.Name, ".properties")
		if r.Type != "properties" || !ok {
			continue
		}
		m, err := javaproperties.Parse(r.Data)
		if err != nil {
			problems.Errorf(bundle.Pos{File: r.File}, "%v", err)
			continue
		}
		p.sets[name] = m
	}
	return p
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
	key := "flow/" + e.key(ref.Archive, ref.ServiceAccount, ref.Uses)
	if sf, ok := e.flows.Load(key); ok {
		return sf.(*pipeline.SharedFlow), nil
	}
	v, err, _ := e.flight.Do(key, func() (any, error) {
		data, err := e.g.source.Load(ctx, ref.Archive)
		if err != nil {
			return nil, err
		}
		return e.compileFlow(name, ref, data[0])
	})
	if err != nil {
		return nil, err
	}
	e.flows.Store(key, v)
	return v.(*pipeline.SharedFlow), nil
}

func (e *environment) compileFlow(name string, ref entity.SharedFlowRef, data []byte) (*pipeline.SharedFlow, error) {
	b, err := bundle.LoadZip(data, bundle.DefaultLimits)
	if err != nil {
		return nil, err
	}
	opts, problems := e.options(b, name, ref.Revision, ref.ServiceAccount)
	sf, found := pipeline.CompileSharedFlow(b, e.g.opts.Kinds, opts)
	if err := append(problems, found...).Err(); err != nil {
		return nil, err
	}
	return sf, nil
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
		fmt.Fprintf(&b, "|%s=%s", r, config.Resources[r].ID)
	}
	for _, s := range uses.SharedFlows {
		fmt.Fprintf(&b, "|%s=%s", s, config.SharedFlows[s].Archive.ID)
	}
	return b.String()
}

func (e *environment) options(b *bundle.Bundle, name, revision, serviceAccount string) (pipeline.Options, bundle.Problems) {
	var problems bundle.Problems
	services := e.host.Services
	services.SharedFlows = e
	return pipeline.Options{
		Organization: e.g.opts.Organization, Environment: e.name,
		Name: name, Revision: revision, ServiceAccount: serviceAccount,
		Properties:  PropertySets(b, &environmentProperties{e: e}, &problems),
		Services:    services,
		Target:      e.host.Target,
		Integration: e.host.Integration,
		Local:       e.local,
		Hook:        e.hook,
	}, problems
}

// proxy returns the compiled proxy of a route, loading it and the shared flows
// it calls in one exchange with the store on first use.
func (e *environment) proxy(ctx context.Context, r *entity.Route) (*pipeline.Proxy, error) {
	key := e.key(r.Archive, r.ServiceAccount, r.Uses)
	if p, ok := e.proxies.Load(key); ok {
		return p.(*pipeline.Proxy), nil
	}
	v, err, _ := e.flight.Do(key, func() (any, error) { return e.load(context.WithoutCancel(ctx), r) })
	if err != nil {
		return nil, err
	}
	e.proxies.Store(key, v)
	return v.(*pipeline.Proxy), nil
}

func (e *environment) load(ctx context.Context, r *entity.Route) (*pipeline.Proxy, error) {
	config := e.Config()
	archives := []entity.Archive{r.Archive}
	var names []string
	for _, name := range e.needed(config, r.Uses) {
		ref := config.SharedFlows[name]
		if _, ok := e.flows.Load("flow/" + e.key(ref.Archive, ref.ServiceAccount, ref.Uses)); !ok {
			names, archives = append(names, name), append(archives, ref.Archive)
		}
	}
	data, err := e.g.source.Load(ctx, archives...)
	if err != nil {
		return nil, err
	}
	// Inner flows come last in the list: they are compiled first.
	for i := len(names) - 1; i >= 0; i-- {
		ref := config.SharedFlows[names[i]]
		sf, err := e.compileFlow(names[i], ref, data[i+1])
		if err != nil {
			return nil, fmt.Errorf("shared flow %s revision %s: %w", names[i], ref.Revision, err)
		}
		e.flows.Store("flow/"+e.key(ref.Archive, ref.ServiceAccount, ref.Uses), sf)
	}
	return e.compile(r, data[0])
}

// needed lists the shared flows that a bundle reaches, callers before callees,
// and those of the environment's flow hooks.
func (e *environment) needed(config *entity.Config, uses entity.Uses) []string {
	var out []string
	seen := map[string]bool{}
	queue := append([]string(nil), uses.SharedFlows...)
	for _, h := range config.FlowHooks {
		queue = append(queue, h.SharedFlow)
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		ref, ok := config.SharedFlows[name]
		if seen[name] || !ok {
			continue
		}
		seen[name] = true
		out = append(out, name)
		queue = append(queue, ref.Uses.SharedFlows...)
	}
	return out
}

func (e *environment) compile(r *entity.Route, data []byte) (*pipeline.Proxy, error) {
	b, err := bundle.LoadZip(data, bundle.DefaultLimits)
	if err != nil {
		return nil, err
	}
	opts, problems := e.options(b, r.Proxy, r.Revision, r.ServiceAccount)
	p, found := pipeline.Compile(b, e.g.opts.Kinds, opts)
	if err := append(problems, found...).Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// hook returns the shared flow attached to a flow hook now.
func (e *environment) hook(point string) (pipeline.Hook, bool) {
	h, ok := e.Config().FlowHooks[point]
	if !ok || h.SharedFlow == "" {
		return pipeline.Hook{}, false
	}
	out := pipeline.Hook{Name: h.SharedFlow, ContinueOnError: h.ContinueOnError}
	if sf, ok := e.SharedFlow(h.SharedFlow); ok {
		out.Flow = sf
	}
	return out, true
}

// forget drops compiled programs that no route or reference leads to any more;
// calls in flight keep what they hold.
func (e *environment) forget(keep func(key string) bool) {
	for _, m := range []*sync.Map{&e.proxies, &e.flows} {
		m.Range(func(k, _ any) bool {
			if !keep(k.(string)) {
				m.Delete(k)
			}
			return true
		})
	}
}
