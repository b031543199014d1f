// Package gateway is the data plane: an http.Handler that finds the API proxy
// for a host and path, runs the call through its pipeline, and answers. It
// holds a snapshot of what is deployed and looks for a newer one while it
// serves; proxies are loaded and compiled when they are first called.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
)

var errNotUpgradable = errors.New("the target's connection cannot be upgraded")

// Options configure a Gateway.
type Options struct {
	Organization string
	// Environments are those this gateway serves; empty means all.
	Environments []string
	// AnyHost answers host names that no environment group has.
	AnyHost bool
	// Ingress does what an ingress in front does elsewhere: X-Forwarded-For.
	Ingress bool
	// Refresh is how often changes are looked for; 0 is one second.
	Refresh time.Duration
	Kinds   policy.Kinds
	Source  Source
	// Runtime makes what the proxies of an environment run on. config gives the
	// environment's configuration at any later moment.
	Runtime func(env string, config func() *entity.Config) Runtime
	// Changed is told of every new stamp: caches are dropped there.
	Changed func(old, new *entity.Stamp)
	// Observe, if set, may give a call an observer (tracing).
	Observe func(ctx context.Context, fc *flow.Context) flow.Observer
	// Debug, if set, is asked for another one while the call's environment has
	// debug sessions; nil is none.
	Debug func(fc *flow.Context, config *entity.Config) flow.Observer
	// Record, if set, is told of every finished call (analytics, metrics). What
	// takes time it leaves to fc.After.
	Record func(ctx context.Context, fc *flow.Context, m *message.Message)
	// Count, if set, is told of every finished call, too, and is quick: what
	// takes time it leaves to fc.After.
	Count func(ctx context.Context, fc *flow.Context, m *message.Message)
	// Loaded, if set, is told of every proxy that a call had loaded and
	// compiled, and how long that took.
	Loaded func(ctx context.Context, env, proxy string, took time.Duration)
	Log    *slog.Logger
	Now    func() time.Time
	// Project is the Google Cloud project, for the trace field of log lines.
	Project string
}

// Gateway serves API proxies.
type Gateway struct {
	opts   Options
	source Source
	log    *slog.Logger
	now    func() time.Time

	current atomic.Pointer[snapshot]
	stale   atomic.Bool
	mu      sync.Mutex // one refresh at a time
	failed  error      // why the first snapshot could not be read, under mu
	tries   atomic.Int64
	checked atomic.Int64
}

// New returns a gateway. It reads nothing before the first request.
func New(opts Options) *Gateway {
	if opts.Refresh <= 0 {
		opts.Refresh = time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Gateway{opts: opts, source: opts.Source, log: opts.Log, now: opts.Now}
}

// Invalidate makes the next request look for changes before it is served: the
// Management API of the same process calls it after every change.
func (g *Gateway) Invalidate() { g.stale.Store(true) }

// ServeHTTP answers one call. It panics with http.ErrAbortHandler when the
// target died in the middle of its answer: the host must end the response so
// that nobody takes it for whole.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait := func() {}
	defer func() { wait() }() // after recovered: waiting sends what was written
	defer g.recovered(w, r)
	path := r.URL.EscapedPath()
	if f := tooBig(r); f != nil {
		writeFault(w, r, f)
		g.log.LogAttrs(r.Context(), slog.LevelInfo, "request too big", slog.String("host", r.Host), slog.String("fault", f.Code), slog.Int("status", f.Status))
		return
	}
	snap, err := g.snapshot(r.Context(), path)
	if err != nil {
		g.log.Error("configuration cannot be read", "error", err)
		Unavailable(w, r)
		return
	}
	wait = g.refreshBeside(w, r, path)
	route, err := snap.find(r.Context(), snap.environmentsOf(hostName(r.Host)), path)
	if err != nil {
		g.log.Error("route cannot be read", "path", path, "error", err)
		Unavailable(w, r)
		return
	}
	if route.Route == nil {
		g.notFound(w, r, path)
		return
	}
	ep, err := route.endpoint(r.Context())
	if err != nil {
		g.log.Error("proxy cannot be loaded", "proxy", route.Proxy, "revision", route.Revision, "error", err)
		writeFault(w, r, fault.New("messaging.runtime.ProxyNotLoaded", 500, "Unable to load API proxy "+route.Proxy))
		return
	}
	g.serve(w, r, ep, route.base, route.env.Config())
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, ep *pipeline.Endpoint, base string, config *entity.Config) {
	fc := flow.New(ep.Info, g.now)
	defer fc.Release()
	g.readRequest(fc, r)
	fc.BasePath = base
	fc.PathSuffix = strings.TrimPrefix(fc.Request.Path, base)
	ctx := r.Context()
	if g.opts.Observe != nil {
		fc.Observe(g.opts.Observe(ctx, fc))
	}
	if g.opts.Debug != nil && len(config.DebugSessions) > 0 {
		fc.Join(g.opts.Debug(fc, config))
	}
	m := ep.Run(ctx, fc)
	fc.SentStart = g.now()
	size, err := writeResponse(w, r, m)
	if ep.HasPostClient() || fc.Pending() || err != nil {
		flush(w, m)
	}
	fc.SentEnd, fc.SentBytes = g.now(), size
	after := context.WithoutCancel(ctx)
	if perr := ep.PostClient(after, fc); perr != nil {
		g.log.Warn("PostClientFlow failed", "proxy", ep.Info.Name, "error", perr)
	}
	if g.opts.Record != nil {
		if g.opts.Record(after, fc, m); fc.Pending() {
			flush(w, m)
		}
	}
	if g.opts.Count != nil {
		g.opts.Count(after, fc, m)
	}
	fc.Drain(after)
	g.logCall(ctx, r, fc, m, size, err)
	if isCut(err) {
		panic(http.ErrAbortHandler) // the end of a whole response must not follow
	}
}

// flush sends what was written so far: what comes next takes time.
func flush(w http.ResponseWriter, m *message.Message) {
	if f, ok := w.(http.Flusher); ok && m.Status != http.StatusSwitchingProtocols {
		f.Flush()
	}
}

func (g *Gateway) notFound(w http.ResponseWriter, r *http.Request, path string) {
	f := fault.New("messaging.adaptors.http.flow.ApplicationNotFound", http.StatusNotFound,
		"Unable to identify proxy for host: "+hostName(r.Host)+" and url: "+path)
	writeFault(w, r, f)
	g.log.LogAttrs(r.Context(), slog.LevelInfo, "no proxy", slog.String("host", r.Host), slog.String("path", path), slog.Int("status", f.Status))
}

// Unavailable answers 503 as Apigee does, where there is no configuration to
// serve from.
func Unavailable(w http.ResponseWriter, r *http.Request) {
	writeFault(w, r, fault.New("messaging.adaptors.http.flow.ServiceUnavailable", http.StatusServiceUnavailable, "The Service is temporarily unavailable"))
}

// writeFault answers without a proxy's pipeline.
func writeFault(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	m := message.NewResponse()
	m.Status = f.Status
	m.Header.Set("Content-Type", "application/json")
	m.SetContent(f.JSON())
	writeResponse(w, r, m)
}

// recovered turns a panic into the last-resort 500.
func (g *Gateway) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	g.log.Error("panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	writeFault(w, r, fault.New("messaging.runtime.InternalError", http.StatusInternalServerError, "Internal server error"))
}

// logCall writes the access log line of a call.
func (g *Gateway) logCall(ctx context.Context, r *http.Request, fc *flow.Context, m *message.Message, size int64, err error) {
	level := slog.LevelInfo
	if m.Status >= 500 || err != nil {
		level = slog.LevelWarn
	}
	if !g.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", m.Status),
		slog.String("proxy", fc.Proxy.Name), slog.String("revision", fc.Proxy.Revision), slog.String("environment", fc.Proxy.Environment),
		slog.Float64("latencyMs", float64(g.now().Sub(fc.Start).Microseconds())/1000), slog.Int64("bytes", size), slog.String("messageId", fc.MessageID()))
	if trace := g.trace(r); trace != "" {
		attrs = append(attrs, slog.String("logging.googleapis.com/trace", trace))
	}
	if fc.Fault != nil {
		attrs = append(attrs, slog.String("fault", fc.Fault.Code))
		if fc.Fault.Policy != "" {
			attrs = append(attrs, slog.String("policy", fc.Fault.Policy))
		}
		if fc.Fault.Cause != nil {
			attrs = append(attrs, slog.String("cause", fc.Fault.Cause.Error()))
		}
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	g.log.LogAttrs(ctx, level, "call", attrs...)
}

// trace is the trace id of a call: W3C traceparent, or Cloud Run's own header.
func (g *Gateway) trace(r *http.Request) string {
	id := ""
	if tp := r.Header.Get("Traceparent"); len(tp) >= 35 {
		id = tp[3:35]
	} else if ct := r.Header.Get("X-Cloud-Trace-Context"); ct != "" {
		id, _, _ = strings.Cut(ct, "/")
	}
	if id == "" || g.opts.Project == "" {
		return id
	}
	return "projects/" + g.opts.Project + "/traces/" + id
}

// hostName is the host without port, in lower case.
func hostName(host string) string {
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.ToLower(host)
}
