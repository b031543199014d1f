// Package target is the way from a proxy to its back end: from an
// HTTPTargetConnection to a Connector that sends the request of a call and
// installs the response, or says with Apigee's fault why it cannot. It also
// makes the calls of ServiceCallout and of scripts (policy.Callouts).
//
// A request goes through route.go (where to), coding.go (its body), headers.go
// (its fields), balanced.go (which server, and again), client.go (HTTP), and
// response.go (what is installed).
//
// Differences from Apigee:
//
//   - Certificates are verified in full unless <IgnoreValidationErrors> says
//     otherwise; Apigee checks no chain without <Enforce> or <TrustStore>.
//     Options.ExactTLS does as Apigee does.
//   - Health monitors probe beside calls, not from a timer, and what is known
//     of a server's health belongs to the instance.
//   - Suites of TLS 1.3 cannot be chosen in Go: a connection with one that
//     <Ciphers> does not name is refused after the handshake.
//   - <CRLStore> has no effect.
//   - Header names go out in their canonical form.
//
// Sources: https://cloud.google.com/apigee/docs/api-platform/reference/api-proxy-configuration-reference,
// https://cloud.google.com/apigee/docs/api-platform/deploy/load-balancing-across-backend-servers
package target

import (
	"context"
	"crypto/x509"
	"net/url"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Server is a TargetServer of the environment.
type Server struct {
	Host string
	Port int
	// Protocol is HTTP, HTTP2, GRPC_TARGET, GRPC or EXTERNAL_CALLOUT; empty is
	// HTTP.
	Protocol string
	Enabled  bool
	// SSLInfo overrides the connection's; nil leaves it in force.
	SSLInfo *bundle.SSLInfo
}

// Servers finds the TargetServers of the environment as deployed at this
// moment. The result may change between two calls.
type Servers interface {
	TargetServer(name string) (Server, bool)
}

// Options are what a Pool is made of.
type Options struct {
	// Keys finds client certificates and trust stores.
	Keys policy.Keys
	// Tokens mints the tokens of <Authentication>.
	Tokens policy.GoogleTokens
	// Servers finds TargetServers.
	Servers Servers
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// RootCAs are the roots trusted where no TrustStore is named; nil is the
	// host's, which SSL_CERT_FILE and SSL_CERT_DIR change.
	RootCAs *x509.CertPool
	// Enforce is the environment property features.SSLInfo.Enforce: its value
	// and whether it is set. nil is not set.
	Enforce func() (enforce, set bool)
	// Proxy is a forward proxy between this process and the targets; nil is
	// none. use.proxy and its kin apply to it.
	Proxy *url.URL
	// ExactTLS verifies certificates only as far as Apigee does: without
	// <Enforce> and <TrustStore> the chain is not checked.
	ExactTLS bool
}

// Pool holds what all connectors of an environment share: connections, TLS
// identities and tokens. It is safe for concurrent use.
type Pool struct {
	opts       Options
	proxy      *forwardProxy // nil: none
	transports transports
	plain      *sslInfo // without <SSLInfo>
	trustAll   *sslInfo // of monitors with <TrustAllSSL>
	direct     *Connector
}

// New returns a Pool. It opens nothing.
func New(opts Options) *Pool {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	p := &Pool{opts: opts, proxy: newForwardProxy(opts.Proxy), plain: newSSLInfo(nil, nil), trustAll: newSSLInfo(nil, nil)}
	p.trustAll.ignore = true
	p.direct = p.connector(&bundle.HTTPTargetConnection{}, policy.NewEnv("", "", nil, policy.Services{}, new(bundle.Problems)))
	return p
}

// CloseIdle closes the connections that no call uses. The pool stays usable.
func (p *Pool) CloseIdle() { p.transports.closeIdle() }

// Connector sends requests to one HTTPTargetConnection. It is immutable but
// for the health of its servers and safe for concurrent use.
type Connector struct {
	pool  *Pool
	name  string
	set   *settings
	url   text     // empty with a load balancer
	fixed *address // of a URL that does not depend on the call
	path  text     // after the host of a TargetServer
	lb    *balancer
	ssl   *sslInfo
	auth  *authentication
	base  identity // but for TLS, HTTP version and proxy
}

// Connect compiles the connection of the TargetEndpoint called name. Problems
// go to env.
func (p *Pool) Connect(conn *bundle.HTTPTargetConnection, name string, env *policy.Env) *Connector {
	c := p.connector(conn, env)
	c.name = name
	return c
}

func (p *Pool) connector(conn *bundle.HTTPTargetConnection, env *policy.Env) *Connector {
	c := &Connector{
		pool: p, set: newSettings(conn, env), path: newText(env, conn.PathPos, conn.Path),
		url: newText(env, conn.URLPos, conn.URL), ssl: p.plain, auth: newAuthentication(conn.Authentication, env),
	}
	c.base = identity{connect: c.set.connectTimeout, keepAlive: c.set.keepAlive, http10: !c.set.http11}
	if conn.SSLInfo != nil {
		c.ssl = newSSLInfo(conn.SSLInfo, env)
		if c.ssl.inert() {
			env.Warnf(conn.SSLInfo.Pos, "<SSLInfo> has no effect without <Enabled>true</Enabled>")
		}
	}
	if conn.LoadBalancer != nil {
		c.lb = newBalancer(conn.LoadBalancer, conn.HealthMonitor, p, env)
	} else if c.url.template == nil && c.url.literal != "" {
		a, err := parseAddress(c.url.literal)
		if err != nil {
			env.Errorf(conn.URLPos, "<URL> %q: %v", c.url.literal, err)
		}
		c.fixed = &a
	}
	if c.set.compression != "" {
		env.UsesContent(true, false) // it may have to be coded anew
	}
	return c
}

// Prepare fills fc.Target with what is known before the request is sent:
// target.name, target.url, target.scheme, target.basepath. The pipeline calls
// it at the start of the TargetEndpoint's request segment.
func (c *Connector) Prepare(fc *flow.Context) {
	t := &fc.Target
	t.Name = c.name
	if c.lb != nil {
		t.Scheme = "http"
		if on, err := c.ssl.on(fc); err == nil && on {
			t.Scheme = "https"
		}
		if base, err := c.path.value(fc); err == nil {
			t.BasePath = base
		}
		return
	}
	a := c.fixed
	if a == nil {
		s, err := c.url.value(fc)
		if err != nil {
			return // target.url is null until the variables are there
		}
		parsed, err := parseAddress(s)
		if err != nil {
			t.URL = s
			return
		}
		a = &parsed
		t.URL = s
	} else {
		t.URL = c.url.literal
	}
	t.Scheme, t.BasePath, t.Port = a.scheme, a.path, a.port
}

// Send sends fc.Request and installs fc.Response, its body a stream. It
// returns a *fault.Fault with Target set for transport failures and for a
// status outside success.codes; then fault.Message is the target's response.
func (c *Connector) Send(ctx context.Context, fc *flow.Context) error {
	x := exchange{c: c, fc: fc, target: &fc.Target, req: fc.Request, suffix: fc.PathSuffix, expectedCN: "target.expectedcn"}
	if err := x.needsLength(); err != nil {
		return err
	}
	if err := x.send(ctx); err != nil {
		return err
	}
	m := fc.NewResponse()
	x.install(m)
	return x.judge(m)
}

var _ policy.Callouts = (*Pool)(nil)
