package target

import (
	"slices"

	"github.com/perigee-gateway/perigee/shared/bundle"
)

// node is a server as deployed: where it is and how to speak to it.
type node struct {
	src    Server
	scheme string
	addr   address
	err    error
	ssl    *sslInfo // nil: the connection's
}

// node returns the server as deployed now, nil if it is not there or disabled.
func (c *Connector) node(x *exchange, s *server) (*node, error) {
	if !s.enabled || c.pool.opts.Servers == nil {
		return nil, nil
	}
	src, ok := c.pool.opts.Servers.TargetServer(s.name)
	if !ok || !src.Enabled {
		return nil, nil
	}
	s.mu.Lock()
	n := s.node
	s.mu.Unlock()
	ssl := (*sslInfo)(nil)
	if src.SSLInfo != nil {
		if n != nil && n.ssl != nil && sameSSLInfo(n.src.SSLInfo, src.SSLInfo) {
			ssl = n.ssl
		} else {
			ssl = newSSLInfo(src.SSLInfo, nil)
		}
	}
	scheme, err := c.serverScheme(x, ssl)
	if err != nil {
		return nil, err
	}
	if n != nil && n.scheme == scheme && n.ssl == ssl && sameServer(&n.src, &src) {
		return usableNode(n)
	}
	n = &node{src: src, scheme: scheme, ssl: ssl}
	n.addr, n.err = serverAddress(scheme, src.Host, src.Port)
	s.mu.Lock()
	s.node = n
	s.mu.Unlock()
	return usableNode(n)
}

func usableNode(n *node) (*node, error) {
	if n.err != nil {
		return nil, nil
	}
	return n, nil
}

// serverScheme: a TargetServer's own TLS settings win over the connection's.
func (c *Connector) serverScheme(x *exchange, own *sslInfo) (string, error) {
	ssl := c.ssl
	if own != nil {
		ssl = own
	}
	on, err := ssl.on(x.fc)
	if err != nil {
		return "", unresolved(err)
	}
	if on {
		return "https", nil
	}
	return "http", nil
}

func sameServer(a, b *Server) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Protocol == b.Protocol && a.Enabled == b.Enabled
}

func sameSSLInfo(a, b *bundle.SSLInfo) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	return a.Enabled == b.Enabled && a.Enforce == b.Enforce && a.ClientAuthEnabled == b.ClientAuthEnabled &&
		a.KeyStore == b.KeyStore && a.KeyAlias == b.KeyAlias && a.TrustStore == b.TrustStore &&
		a.IgnoreValidationErrors == b.IgnoreValidationErrors &&
		slices.Equal(a.Ciphers, b.Ciphers) && slices.Equal(a.Protocols, b.Protocols) &&
		(a.CommonName == b.CommonName || a.CommonName != nil && b.CommonName != nil && *a.CommonName == *b.CommonName)
}

func usesHTTP2(protocol string) bool {
	switch protocol {
	case "HTTP2", "GRPC", "GRPC_TARGET":
		return true
	}
	return false
}
