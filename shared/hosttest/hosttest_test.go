package hosttest_test

import (
	"net"
	"net/http/httptest"
	"testing"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

func TestInProcess(t *testing.T) {
	c := hosttest.Seed(t, hosttest.Backend(t))
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	// The recorder gives the response when it is whole.
	hosttest.Run(t, hosttest.In(h.GatewayHandler()), hosttest.Streams)
	hosttest.Cut(t, hosttest.In(h.GatewayHandler()), false)
}

// TestServer is boot's own server, which the container entry points use.
func TestServer(t *testing.T) {
	for k, v := range hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))) {
		t.Setenv(k, v)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go boot.Serve(t.Context(), l, boot.Lazy(boot.Gateway))
	hosttest.Run(t, hosttest.To("http://"+l.Addr().String()))
	hosttest.Cut(t, hosttest.To("http://"+l.Addr().String()), false)
	t.Run("HTTP/2", func(t *testing.T) {
		hosttest.Run(t, hosttest.ToHTTP2("http://"+l.Addr().String()))
		hosttest.Cut(t, hosttest.ToHTTP2("http://"+l.Addr().String()), false)
	})
}

func TestLazy(t *testing.T) {
	for k, v := range hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))) {
		t.Setenv(k, v)
	}
	s := httptest.NewServer(boot.Lazy(boot.Gateway))
	defer s.Close()
	hosttest.Run(t, hosttest.To(s.URL))
	hosttest.Cut(t, hosttest.To(s.URL), false)
}
