// Package target is the way from a proxy to its back end: from an
// HTTPTargetConnection to a Connector that sends the request of a call and
// installs the response, or says with Apigee's fault why it cannot.
package target

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
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
	// ExactTLS verifies certificates only as far as Apigee does: without
	// <Enforce> and <TrustStore> the chain is not checked.
	ExactTLS bool
}

// Pool holds what all connectors of an environment share: connections, TLS
// identities and tokens. It is safe for concurrent use.
type Pool struct{ opts Options }

// New returns a Pool. It opens nothing.
func New(opts Options) *Pool { return &Pool{opts: opts} }

// Connector sends requests to one HTTPTargetConnection. It is immutable but
// for the health of its servers and safe for concurrent use.
type Connector struct{ pool *Pool }

// Connect compiles the connection of the TargetEndpoint called name. Problems
// go to env.
func (p *Pool) Connect(conn *bundle.HTTPTargetConnection, name string, env *policy.Env) *Connector {
	return &Connector{pool: p}
}

// Prepare fills fc.Target with what is known before the request is sent:
// target.name, target.url, target.scheme, target.basepath. The pipeline calls
// it at the start of the TargetEndpoint's request segment.
func (c *Connector) Prepare(fc *flow.Context) {}

// Send sends fc.Request and installs fc.Response, its body a stream. It
// returns a *fault.Fault with Target set for transport failures and for a
// status outside success.codes; then fault.Message is the target's response.
func (c *Connector) Send(ctx context.Context, fc *flow.Context) error { return nil }

// Compile implements policy.Callouts for a ServiceCallout.
func (p *Pool) Compile(conn *bundle.HTTPTargetConnection, env *policy.Env) policy.Callout { return nil }

// Do implements policy.Callouts for calls to an absolute URL.
func (p *Pool) Do(ctx context.Context, url string, req *message.Message) (*message.Message, error) {
	return nil, nil
}

var _ policy.Callouts = (*Pool)(nil)
