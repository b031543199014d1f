package target

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// monitor is a <HealthMonitor>. Apigee probes from a timer; a serverless
// instance has none it could trust, so a probe that is due runs beside the
// next call: an idle instance probes nothing. A call waits for probes only
// when no server is in the rotation.
type monitor struct {
	interval time.Duration
	tcp      *bundle.TCPMonitor
	http     *bundle.HTTPMonitor
	success  *expectedResponse
	header   []message.Field
	id       string // ORG/ENV/UUID of X-Apigee-Healthcheck-Id, "" for none
}

// defaultProbeTimeout is what 0 means for the timeouts of an HTTPMonitor.
const defaultProbeTimeout = 30 * time.Second

// probe is the state of one server's probes.
type probe struct {
	mu      sync.Mutex
	last    time.Time
	running chan struct{} // closed when the probe under way ends, nil without one
}

func newMonitor(hm *bundle.HealthMonitor, env *policy.Env) *monitor {
	m := &monitor{interval: time.Duration(hm.IntervalInSec) * time.Second, tcp: hm.TCPMonitor, http: hm.HTTPMonitor}
	if m.http == nil {
		return m
	}
	m.success = newExpectedResponse(m.http.SuccessResponse)
	r := m.http.Request
	if r == nil {
		r = &bundle.MonitorRequest{Verb: "GET"}
		m.http = &bundle.HTTPMonitor{Request: r}
	}
	for _, h := range r.Headers {
		m.header = append(m.header, message.Field{Name: h.Name, Value: h.Value})
	}
	if r.IncludeHealthCheckIDHeader {
		m.id = env.Organization + "/" + env.Environment + "/" + uuid.NewString()
	}
	return m
}

// begin starts a probe if one is due: it returns the function that ends it.
func (p *probe) begin(now time.Time, interval time.Duration) (end func(), due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.IsZero() { // first seen: what is new is taken for well
		p.last = now
		return nil, false
	}
	if p.running != nil || now.Sub(p.last) < interval {
		return nil, false
	}
	done := make(chan struct{})
	p.last, p.running = now, done
	return func() {
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
		close(done)
	}, true
}

func (p *probe) underWay() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// probeDue starts the probes that are due.
func (b *balancer) probeDue(ctx context.Context, c *Connector, x *exchange) {
	now := c.pool.opts.Now()
	for _, s := range b.servers {
		if !s.enabled {
			continue
		}
		end, due := s.probe.begin(now, b.monitor.interval)
		if !due {
			continue
		}
		n, err := c.node(x, s)
		if err != nil || n == nil {
			end()
			continue
		}
		run := func() {
			defer end()
			if b.monitor.well(context.WithoutCancel(ctx), c, n) {
				s.recovered()
			} else {
				s.failed(c.pool.opts.Now(), b)
			}
		}
		if x.fc != nil {
			x.fc.Go(run)
		} else {
			run()
		}
	}
}

// await waits for the probes under way. It reports whether there were any.
func (b *balancer) await(ctx context.Context) bool {
	waited := false
	for _, s := range b.servers {
		running := s.probe.underWay()
		if running == nil {
			continue
		}
		waited = true
		select {
		case <-running:
		case <-ctx.Done():
			return false
		}
	}
	return waited
}

// well probes one server.
func (m *monitor) well(ctx context.Context, c *Connector, n *node) bool {
	if m.tcp != nil {
		return m.connects(ctx, n)
	}
	return m.answers(ctx, c, n)
}

func (m *monitor) connects(ctx context.Context, n *node) bool {
	d := net.Dialer{Timeout: seconds(m.tcp.ConnectTimeoutInSec)}
	conn, err := d.DialContext(ctx, "tcp", joinPort(n.addr.name, or(m.tcp.Port, n.addr.port)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (m *monitor) answers(ctx context.Context, c *Connector, n *node) bool {
	r := m.http.Request
	scheme := "http"
	if r.IsSSL || r.UseTargetServerSSLInfo && n.scheme == "https" {
		scheme = "https"
	}
	addr, err := serverAddress(scheme, n.addr.name, or(r.Port, n.addr.port))
	if err != nil {
		return false
	}
	addr.path = encodeUnsafe(joinPath("/", r.Path))
	base := c.base
	base.connect, base.http2 = seconds(r.ConnectTimeoutInSec), usesHTTP2(n.src.Protocol)
	rt, err := m.ssl(c, n).client(ctx, nil, c.pool, base, c.set.resumeTLS, "")
	if err != nil {
		return false
	}
	out := &outgoing{verb: r.Verb, addr: addr, host: addr.host, header: m.fields(), ioTimeout: seconds(r.SocketReadTimeoutInSec),
		body: &payload{data: []byte(r.Payload), length: int64(len(r.Payload))}}
	var in incoming
	if err := rt.roundTrip(ctx, out, &in); err != nil {
		return false
	}
	if in.body != nil {
		io.CopyN(io.Discard, in.body, 64<<10) // so that the connection can be used again
		in.body.Close()
	}
	return m.success.matches(in.status, in.header)
}

// ssl is the TLS configuration of a probe.
func (m *monitor) ssl(c *Connector, n *node) *sslInfo {
	switch r := m.http.Request; {
	case r.TrustAllSSL:
		return c.pool.trustAll
	case !r.UseTargetServerSSLInfo:
		return c.pool.plain
	case n.ssl != nil:
		return n.ssl
	}
	return c.ssl
}

func (m *monitor) fields() []message.Field {
	if m.id == "" {
		return m.header
	}
	id := m.id + "/" + strconv.FormatInt(time.Now().UnixMilli(), 10)
	return append(append([]message.Field(nil), m.header...), message.Field{Name: "X-Apigee-Healthcheck-Id", Value: id})
}

func seconds(n int) time.Duration {
	if n == 0 {
		return defaultProbeTimeout
	}
	return time.Duration(n) * time.Second
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// expectedResponse describes answers by status and headers; all must match.
type expectedResponse struct {
	codes  statusSet
	header []message.Field
}

func newExpectedResponse(r *bundle.MonitorResponse) *expectedResponse {
	e := &expectedResponse{}
	if r == nil {
		e.codes[200] = true
		return e
	}
	for _, code := range r.ResponseCodes {
		if code >= 100 && code < len(e.codes) {
			e.codes[code] = true
		}
	}
	if len(r.ResponseCodes) == 0 {
		e.codes[200] = true
	}
	for _, h := range r.Headers {
		e.header = append(e.header, message.Field{Name: h.Name, Value: h.Value})
	}
	return e
}

func (e *expectedResponse) matches(status int, header []message.Field) bool {
	if !e.codes.has(status) {
		return false
	}
	h := message.NewHeader(header...)
	for _, f := range e.header {
		if v, ok := h.Lookup(f.Name); !ok || v != f.Value {
			return false
		}
	}
	return true
}
