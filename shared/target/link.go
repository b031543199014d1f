package target

import (
	"context"
	"crypto/tls"
	"sync/atomic"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Link is the TLS side of connections that carry something else than HTTP: to
// syslog servers, to gRPC services. It makes no connection itself.
type Link struct {
	pool   *Pool
	ssl    *sslInfo
	http2  bool
	latest atomic.Pointer[linkIdentity]
}

// linkIdentity is what an <SSLInfo> resolved to.
type linkIdentity struct {
	resolved
	tls *tlsIdentity
	id  string
}

// Link compiles s, which may be nil for plain connections. Without env, for a
// TargetServer, what is wrong fails the calls instead of the deployment. http2
// asks the server for HTTP/2.
func (p *Pool) Link(s *bundle.SSLInfo, env *policy.Env, http2 bool) *Link {
	return &Link{pool: p, ssl: newSSLInfo(s, env), http2: http2}
}

// TLS returns the configuration for a connection to host, nil if it is to be
// plain. id is the same as long as connections made with an earlier one are
// good: it changes with certificates and trust stores. fc may be nil where s
// had no templates. Errors are *fault.Fault.
func (l *Link) TLS(ctx context.Context, fc *flow.Context, host string) (c *tls.Config, id string, err error) {
	on, err := l.ssl.on(fc)
	if err != nil {
		return nil, "", unresolved(err)
	}
	if !on {
		return nil, "", nil
	}
	if l.ssl.impossible != "" {
		return nil, "", sslFault(l.ssl.impossible)
	}
	i, err := l.identity(ctx, fc)
	if err != nil {
		return nil, "", err
	}
	return i.tls.config(host, l.pool.opts.Now), i.id, nil
}

// identity costs few comparisons while nothing changed.
func (l *Link) identity(ctx context.Context, fc *flow.Context) (*linkIdentity, error) {
	now := resolved{check: l.ssl.checking(&l.pool.opts), expected: l.ssl.common}
	if err := l.ssl.certificates(ctx, fc, l.pool, &now); err != nil {
		return nil, err
	}
	if old := l.latest.Load(); old != nil && old.same(&now) {
		return old, nil
	}
	id, err := l.ssl.identity(ctx, fc, l.pool, &now, identity{http2: l.http2}, true)
	if err != nil {
		return nil, err
	}
	i := &linkIdentity{resolved: now, tls: id, id: id.fingerprint()}
	l.latest.Store(i)
	return i, nil
}
