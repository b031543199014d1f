package gateway

import (
	"bytes"
	"context"
	"io"
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

// localConnection calls another proxy of the environment in process: no
// network, no TLS, its full flows.
type localConnection struct {
	e                     *environment
	proxy, endpoint, path *template.Template
}

func (e *environment) connectLocal(c *bundle.LocalTargetConnection, env *policy.Env) *localConnection {
	return &localConnection{
		e:        e,
		proxy:    env.Template(c.Pos, c.APIProxy),
		endpoint: env.Template(c.Pos, c.ProxyEndpoint),
		path:     env.Template(c.Pos, c.Path),
	}
}

// localTarget is the LocalTargetConnection of a TargetEndpoint.
type localTarget struct {
	*localConnection
	name string
}

func (e *environment) local(c *bundle.LocalTargetConnection, name string, env *policy.Env) pipeline.Target {
	return &localTarget{e.connectLocal(c, env), name}
}

// CompileLocal implements policy.LocalCallouts.
func (e *environment) CompileLocal(c *bundle.LocalTargetConnection, env *policy.Env) policy.Callout {
	return e.connectLocal(c, env)
}

// Prepare names the target; it has no URL of its own.
func (t *localTarget) Prepare(fc *flow.Context) { fc.Target.Name = t.name }

// Send runs the called proxy on a copy of the request and makes its response
// the target's.
func (t *localTarget) Send(ctx context.Context, fc *flow.Context) error {
	req := *fc.Request
	req.Header, req.Query = fc.Request.Header.Clone(), fc.Request.Query.Clone()
	data, stream, length, err := fc.Request.Body()
	if err != nil {
		return err
	}
	setBody(&req, data, stream, length)
	resp, path, err := t.call(ctx, fc, &req, fc.PathSuffix)
	if err != nil {
		return err
	}
	fc.Target.Called, fc.Target.Path, fc.Target.Query = true, path, req.Query.Encode()
	fc.Response = resp
	if resp.Status < 400 {
		return nil
	}
	f := targetFault("messaging.adaptors.http.flow.ErrorResponseCode", resp.Status, "Received "+resp.ReasonPhrase()+" from a local target")
	f.Message = resp
	return f
}

// Send implements policy.Callout.
func (l *localConnection) Send(ctx context.Context, fc *flow.Context, req *message.Message) (*message.Message, error) {
	resp, _, err := l.call(ctx, fc, req, "")
	return resp, err
}

func targetFault(code string, status int, text string) *fault.Fault {
	f := fault.New(code, status, text)
	f.Target = true
	return f
}

// call runs the proxy that the connection names on req. Without a <Path> the
// path is the proxy's base path and suffix.
func (l *localConnection) call(ctx context.Context, fc *flow.Context, req *message.Message, suffix string) (resp *message.Message, path string, err error) {
	if fc.Depth >= maxLocalDepth {
		return nil, "", targetFault("messaging.runtime.LocalTargetLoop", 500, "Too many local target calls inside each other")
	}
	if path, err = l.path.Expand(fc, false); err != nil {
		return nil, "", targetFault("entities.UnresolvedVariable", 500, "Unresolved variable : "+err.Error())
	}
	ep, base, err := l.find(ctx, fc, path)
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		path = base + suffix
	}
	return run(ctx, fc, ep, base, path, req), path, nil
}

// find returns the ProxyEndpoint that a path or the names in the connection
// lead to, and its base path.
func (l *localConnection) find(ctx context.Context, fc *flow.Context, path string) (*pipeline.Endpoint, string, error) {
	snap := l.e.g.current.Load()
	var r route
	var err error
	what := "at " + path
	if path != "" {
		r, err = snap.find(ctx, []string{l.e.name}, path)
	} else {
		proxy, _ := l.proxy.Expand(fc, true)
		endpoint, _ := l.endpoint.Expand(fc, true)
		what = proxy
		r, err = snap.byName(ctx, l.e.name, proxy, endpoint)
	}
	if err != nil || r.Route == nil {
		return nil, "", targetFault("messaging.runtime.TargetMissing", 500, "No API proxy "+what+" is deployed").WithCause(err)
	}
	ep, err := r.endpoint(ctx)
	if err != nil {
		return nil, "", targetFault("messaging.runtime.TargetMissing", 500, "API proxy "+r.Proxy+" cannot be loaded").WithCause(err)
	}
	return ep, r.base, nil
}

// run takes a copy of req through ep on behalf of the call fc. The inner call
// ends with the outer one.
func run(ctx context.Context, fc *flow.Context, ep *pipeline.Endpoint, base, path string, req *message.Message) *message.Message {
	inner := flow.New(ep.Info, fc.Now)
	inner.Retain() // its response outlives it
	inner.Client, inner.Virtual, inner.Depth = fc.Client, fc.Virtual, fc.Depth+1
	in := inner.Request
	in.Verb, in.Header, in.Query, in.Proto, in.Path = req.Verb, req.Header.Clone(), req.Query.Clone(), req.Proto, path
	if data, stream, length, err := req.Body(); err == nil {
		setBody(in, data, stream, length)
	}
	inner.BasePath, inner.PathSuffix, inner.RawURI = base, strings.TrimPrefix(path, base), in.URI()
	m := ep.Run(ctx, inner)
	fc.After(func(ctx context.Context) {
		ep.PostClient(ctx, inner)
		inner.Drain(ctx)
	})
	return m
}

// setBody gives m what Body returned, which is encoded as the header says.
func setBody(m *message.Message, data []byte, stream io.ReadCloser, length int64) {
	if stream == nil && m.Header.Has("Content-Encoding") {
		stream = io.NopCloser(bytes.NewReader(data))
	}
	if stream != nil {
		m.SetStream(stream, length)
	} else {
		m.SetContent(data)
	}
}
