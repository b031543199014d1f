package target

import (
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/url"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

func withProperty(name, value string) string {
	return `<Property name="` + name + `">` + value + `</Property>`
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func rootsOf(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

// calloutEnv is an Env in which the policy called name is being compiled.
func calloutEnv(name string) *policy.Env {
	env := testEnv(new(bundle.Problems))
	env.Policy = &bundle.Policy{Name: name}
	return env
}

// eat reads part of a body and hangs up.
func eat(c net.Conn) {
	readHead(c).Discard(1000)
	c.(*net.TCPConn).SetLinger(0)
}
