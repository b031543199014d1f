package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Source is what the gateway reads; *deployment.Source is one. A cold start is
// Stamp, Fill and Load, one after the other.
type Source interface {
	Stamp(ctx context.Context, org string) (*entity.Stamp, error)
	Fill(ctx context.Context, path string, indexes ...*deployment.Index) error
	Load(ctx context.Context, archives ...entity.Archive) ([][]byte, error)
	Deployment(ctx context.Context, org, env string, kind entity.Kind, name string) (*entity.Deployment, error)
}

// snapshot is what the gateway knows of what is deployed, as of one stamp.
type snapshot struct {
	g     *Gateway
	stamp *entity.Stamp
	hosts map[string][]string
	all   []string // environments this gateway serves
	org   *deployment.Index
	envs  map[string]*environmentView
	named sync.Map // "environment/proxy" -> []entity.Route, for local calls
}

// environmentView is an environment in one snapshot.
type environmentView struct {
	*environment
	index *deployment.Index
	// last is the index of the snapshot before, which still answers when the
	// store does not.
	last *deployment.Index
	// ready are the endpoints of routes that were called: *entity.Route, which
	// belongs to index, to *pipeline.Endpoint.
	ready sync.Map
}

// route is where a call goes.
type route struct {
	*entity.Route
	env  *environmentView
	base string
}

// endpoint returns the compiled ProxyEndpoint of the route.
func (r route) endpoint(ctx context.Context) (*pipeline.Endpoint, error) {
	if ep, ok := r.env.ready.Load(r.Route); ok {
		return ep.(*pipeline.Endpoint), nil
	}
	p, err := r.env.proxy(ctx, r.Route)
	if err != nil {
		return nil, err
	}
	ep := p.Endpoint(r.Endpoint)
	if ep == nil {
		return nil, fmt.Errorf("revision %s has no ProxyEndpoint %s", r.Revision, r.Endpoint)
	}
	r.env.ready.Store(r.Route, ep)
	return ep, nil
}

// staleAfter is how many refresh intervals old a snapshot may be to serve a
// request while it is being checked; an older one (an instance that was frozen)
// is checked first.
const staleAfter = 2

// refreshTimeout bounds a look for changes: 2 s.
const refreshTimeout = 2 * time.Second

// loadTimeout bounds what a request waits for that needs configuration which is
// not here yet: 10 s.
const loadTimeout = 10 * time.Second

// refreshWait is how long a request waits for its look for changes once it is
// answered: 200 ms, many times what a store takes that answers.
const refreshWait = 200 * time.Millisecond

// snapshot returns the current snapshot: read on first use, and checked first
// when a change is known or the last check is long ago. When the store cannot be
// read the last one keeps serving.
func (g *Gateway) snapshot(ctx context.Context, path string) (*snapshot, error) {
	s := g.current.Load()
	switch {
	case s == nil:
		return g.first(context.WithoutCancel(ctx), path)
	case g.stale.Load() || g.age() > staleAfter*g.opts.Refresh:
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.stale.Load() || g.age() > staleAfter*g.opts.Refresh {
			g.check(context.WithoutCancel(ctx), path)
		}
		return g.current.Load(), nil
	}
	return s, nil
}

// first reads the first snapshot. Requests that waited for one that could not be
// read share its error.
func (g *Gateway) first(ctx context.Context, path string) (*snapshot, error) {
	tried := g.tries.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.current.Load(); s != nil {
		return s, nil
	}
	if g.tries.Load() != tried {
		return nil, g.failed
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	s, err := g.read(ctx, path)
	g.failed = err
	g.tries.Add(1)
	return s, err
}

func (g *Gateway) age() time.Duration { return time.Duration(g.now().UnixNano() - g.checked.Load()) }

// refreshBeside looks for changes beside the request that finds it is time to.
// The function it returns waits for the end, since an instance may be frozen
// after; the client has its answer by then. While it runs, other requests are
// served by the snapshot there is: a store that does not answer holds up none,
// and the next request of the same connection no longer than refreshWait.
func (g *Gateway) refreshBeside(w http.ResponseWriter, r *http.Request, path string) (wait func()) {
	if g.age() < g.opts.Refresh || !g.mu.TryLock() {
		return func() {}
	}
	g.checked.Store(g.now().UnixNano())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer g.mu.Unlock()
		g.check(context.WithoutCancel(r.Context()), path)
	}()
	return func() {
		select {
		case <-done:
			return
		default:
		}
		http.NewResponseController(w).Flush()
		select {
		case <-done:
		case <-time.After(refreshWait):
		}
	}
}

// check re-reads the stamp and swaps the snapshot if it changed. The caller
// holds mu.
func (g *Gateway) check(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	g.stale.Store(false)
	began := g.now()
	_, err := g.read(ctx, path)
	if err != nil {
		g.log.Warn("changes cannot be read, serving what is known", "error", err)
	}
	// A look that failed because the instance was frozen in it was none.
	if end := g.now(); err == nil || end.Sub(began) < 2*refreshTimeout {
		g.checked.Store(end.UnixNano())
	}
}

// read reads the stamp, and if it differs from that of the current snapshot,
// makes a new one and what path needs of it.
func (g *Gateway) read(ctx context.Context, path string) (*snapshot, error) {
	return g.readAgain(ctx, path, 3)
}

// readAgain is read with so many tries: what a stamp leads to may change while it
// is read, then the stamp did too.
func (g *Gateway) readAgain(ctx context.Context, path string, tries int) (*snapshot, error) {
	stamp, err := g.source.Stamp(ctx, g.opts.Organization)
	if err != nil {
		return nil, fmt.Errorf("organization %s: %w", g.opts.Organization, err)
	}
	old := g.current.Load()
	if old != nil && old.stamp.Version == stamp.Version {
		return old, nil
	}
	s := g.build(stamp, old)
	if err := g.source.Fill(ctx, path, s.indexes(s.all)...); errors.Is(err, registry.ErrChanged) && tries > 1 {
		return g.readAgain(ctx, path, tries-1)
	} else if err != nil {
		return nil, err
	}
	s.publish()
	g.current.Store(s)
	g.checked.Store(g.now().UnixNano())
	if g.opts.Changed != nil {
		var before *entity.Stamp
		if old != nil {
			before = old.stamp
		}
		g.opts.Changed(before, stamp)
	}
	return s, nil
}

// build makes the snapshot of a stamp. What did not change is taken over.
func (g *Gateway) build(stamp *entity.Stamp, old *snapshot) *snapshot {
	s := &snapshot{g: g, stamp: stamp, hosts: stamp.Hosts(), envs: map[string]*environmentView{}}
	orgChanged := old == nil || old.org.Version() != stamp.Changed[""]
	if orgChanged {
		s.org = deployment.NewIndex(stamp, "")
	} else {
		s.org = old.org
	}
	for _, env := range stamp.Environments {
		if len(g.opts.Environments) > 0 && !slices.Contains(g.opts.Environments, env) {
			continue
		}
		s.all = append(s.all, env)
		s.envs[env] = g.view(stamp, old, env, orgChanged)
	}
	return s
}

// view takes the environment over if nothing of it changed. What belongs to the
// organization (resource files) is compiled into proxies, so a change there
// counts too.
func (g *Gateway) view(stamp *entity.Stamp, old *snapshot, env string, orgChanged bool) *environmentView {
	if old != nil {
		if v, ok := old.envs[env]; ok {
			if v.index.Version() == stamp.Changed[env] && !orgChanged {
				return v
			}
			return &environmentView{environment: v.environment, index: deployment.NewIndex(stamp, env), last: v.index}
		}
	}
	e := &environment{name: env, g: g}
	e.host = g.opts.Runtime(env, e.Config)
	return &environmentView{environment: e, index: deployment.NewIndex(stamp, env)}
}

// publish makes the configurations that were read those in force.
func (s *snapshot) publish() {
	for _, v := range s.envs {
		v.adopt(s.org)
	}
}

func (v *environmentView) adopt(org *deployment.Index) {
	if c := v.index.Config(); c != nil {
		v.config.Store(c)
	}
	if c := org.Config(); c != nil {
		v.orgConfig.Store(c)
	}
}

func (s *snapshot) indexes(envs []string) []*deployment.Index {
	list := make([]*deployment.Index, 0, len(envs)+1)
	for _, env := range envs {
		if v, ok := s.envs[env]; ok {
			list = append(list, v.index)
		}
	}
	return append(list, s.org)
}

// environmentsOf returns the environments that a host name leads to, nil if
// none does.
func (s *snapshot) environmentsOf(host string) []string {
	if envs, ok := s.hosts[host]; ok {
		return envs
	}
	if s.g.opts.AnyHost {
		return s.all
	}
	return nil
}

// find returns the route for a path (raw, without query) among environments; its
// Route is nil if there is none.
func (s *snapshot) find(ctx context.Context, envs []string, path string) (route, error) {
	if m, known := s.match(envs, path); known {
		return s.route(m), nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	// Once more than the depth of a split index there is nothing left to read.
	for range 3 {
		err := s.g.source.Fill(ctx, path, s.indexes(envs)...)
		if errors.Is(err, registry.ErrChanged) {
			s.g.Invalidate()
			if next, err := s.g.snapshot(ctx, path); err == nil && next != s {
				return next.find(ctx, envs, path)
			}
		}
		if err != nil {
			if m, known := s.before(envs, path); known {
				return s.route(m), nil
			}
			return route{}, err
		}
		for _, env := range envs {
			if v, ok := s.envs[env]; ok {
				v.adopt(s.org)
			}
		}
		if m, known := s.match(envs, path); known {
			return s.route(m), nil
		}
	}
	return route{}, fmt.Errorf("routes of %s stay incomplete", path)
}

func (s *snapshot) match(envs []string, path string) (deployment.Match, bool) {
	if len(envs) == 1 {
		if v, ok := s.envs[envs[0]]; ok {
			return v.index.Match(path)
		}
		return deployment.Match{}, true
	}
	list := make([]*deployment.Index, 0, len(envs))
	for _, env := range envs {
		if v, ok := s.envs[env]; ok {
			list = append(list, v.index)
		}
	}
	return deployment.Find(path, list...)
}

// before is match over the indexes of the snapshot before.
func (s *snapshot) before(envs []string, path string) (deployment.Match, bool) {
	var list []*deployment.Index
	for _, env := range envs {
		v, ok := s.envs[env]
		switch {
		case !ok:
		case v.last != nil:
			list = append(list, v.last)
		default:
			list = append(list, v.index)
		}
	}
	m, known := deployment.Find(path, list...)
	return m, known && m.Route != nil
}

func (s *snapshot) route(m deployment.Match) route {
	if m.Route == nil {
		return route{}
	}
	return route{Route: m.Route, env: s.envs[m.Route.Environment], base: m.Base}
}

// byName returns the route of a proxy that is called by name.
func (s *snapshot) byName(ctx context.Context, env, proxy, endpoint string) (route, error) {
	v, ok := s.envs[env]
	if !ok {
		return route{}, nil
	}
	key := env + "/" + proxy
	routes, ok := s.named.Load(key)
	if !ok {
		d, err := s.g.source.Deployment(ctx, s.g.opts.Organization, env, entity.API, proxy)
		if err != nil {
			return route{}, err
		}
		routes, _ = s.named.LoadOrStore(key, d.Routes())
	}
	list := routes.([]entity.Route)
	for i := range list {
		if endpoint == "" || list[i].Endpoint == endpoint {
			return route{Route: &list[i], env: v, base: trimSlash(list[i].BasePath)}, nil
		}
	}
	return route{}, nil
}

func trimSlash(p string) string {
	if p == "/" {
		return ""
	}
	return p
}
