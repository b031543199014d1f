package gateway

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// maxLocalDepth bounds proxies that call each other through
// LocalTargetConnection.
const maxLocalDepth = 10

// localTarget calls another proxy of the environment in process: no network, no
// TLS, its full flows.
type localTarget struct {
	e                     *environment
	name                  string
	proxy, endpoint, path *template.Template
}

func (e *environment) local(c *bundle.LocalTargetConnection, name string, env *policy.Env) pipeline.Target {
	return &localTarget{
		e: e, name: name,
		proxy:    env.Template(c.Pos, c.APIProxy),
		endpoint: env.Template(c.Pos, c.ProxyEndpoint),
		path:     env.Template(c.Pos, c.Path),
	}
}

// Prepare names the target; it has no URL of its own.
func (t *localTarget) Prepare(fc *flow.Context) { fc.Target.Name = t.name }

// Send runs the called proxy on a copy of the request and makes its response
// the target's.
func (t *localTarget) Send(ctx context.Context, fc *flow.Context) error {
	if fc.Depth >= maxLocalDepth {
		return targetFault("messaging.runtime.LocalTargetLoop", 500, "Too many local target calls")
	}
	path, err := t.target(fc)
	if err != nil {
		return err
	}
	ep, base, err := t.find(ctx, fc, path)
	if err != nil {
		return err
	}
	resp, err := t.e.call(ctx, fc, ep, base, path)
	if err != nil {
		return err
	}
	fc.Target.Called, fc.Target.Path, fc.Target.Query = true, path, fc.Request.Query.Encode()
	fc.Response = resp
	if resp.Status >= 400 {
		f := fault.New("messaging.adaptors.http.flow.ErrorResponseCode", resp.Status, "Received "+resp.ReasonPhrase()+" from local target")
		f.Target, f.Message = true, resp
		return f
	}
	return nil
}

func targetFault(code string, status int, text string) *fault.Fault {
	f := fault.New(code, status, text)
	f.Target = true
	return f
}

// target is the path to call: the connection's own, or the suffix of this call.
func (t *localTarget) target(fc *flow.Context) (string, error) {
	path, err := t.path.Expand(fc, false)
	if err != nil {
		return "", targetFault("entities.UnresolvedVariable", 500, "Unresolved variable : "+err.Error())
	}
	return path, nil
}

func (t *localTarget) find(ctx context.Context, fc *flow.Context, path string) (*pipeline.Endpoint, string, error) {
	if path != "" {
		r, err := t.e.g.current.Load().find(ctx, []string{t.e.name}, path)
		if err != nil || r.Route == nil {
			return nil, "", targetFault("messaging.runtime.TargetMissing", 500, "No API proxy at "+path).WithCause(err)
		}
		ep, err := r.endpoint(ctx)
		return ep, r.base, err
	}
	proxy, _ := t.proxy.Expand(fc, true)
	endpoint, _ := t.endpoint.Expand(fc, true)
	r, err := t.e.g.current.Load().byName(ctx, t.e.name, proxy, endpoint)
	if err != nil || r.Route == nil {
		return nil, "", targetFault("messaging.runtime.TargetMissing", 500, "API proxy "+proxy+" is not deployed").WithCause(err)
	}
	ep, err := r.endpoint(ctx)
	return ep, r.base, err
}

// call runs ep for a copy of the request of fc.
func (e *environment) call(ctx context.Context, fc *flow.Context, ep *pipeline.Endpoint, base, path string) (*message.Message, error) {
	inner := flow.New(ep.Info, fc.Now)
	inner.Client, inner.Virtual, inner.Depth = fc.Client, fc.Virtual, fc.Depth+1
	req := inner.Request
	req.Verb, req.Header, req.Query, req.Proto = fc.Request.Verb, fc.Request.Header.Clone(), fc.Request.Query.Clone(), fc.Request.Proto
	if path == "" {
		path = base + fc.PathSuffix
	}
	req.Path = path
	data, stream, length, err := fc.Request.Body()
	if err != nil {
		return nil, err
	}
	if stream != nil {
		req.SetStream(stream, length)
	} else if len(data) > 0 {
		req.SetContent(data)
	}
	inner.BasePath, inner.PathSuffix, inner.RawURI = base, strings.TrimPrefix(path, base), req.URI()
	m := ep.Run(ctx, inner)
	out := *m
	out.Header = m.Header.Clone()
	inner.Retain()
	fc.After(func(ctx context.Context) {
		ep.PostClient(ctx, inner)
		inner.Drain(ctx)
	})
	return &out, nil
}
