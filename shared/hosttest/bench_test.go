package hosttest_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// rawBackend answers every request with the same 1 KiB, with as little work as
// can be: what is measured is the proxy.
func rawBackend(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// discard is a response writer that keeps nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) Flush()                      {}

func request(path string) *http.Request {
	r, _ := http.NewRequest("GET", "http://api.example.com"+path, nil)
	r.RemoteAddr = "203.0.113.7:4711"
	r.Header.Set("User-Agent", "bench/1.0")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "gzip")
	return r
}

func bench(b *testing.B, h http.Handler, path string) {
	b.ReportAllocs()
	w := &discard{h: http.Header{}}
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, request(path))
	}
}

// BenchmarkPassThrough compares a proxy without policies with
// httputil.ReverseProxy on a tuned Transport; run it with -cpu 1.
func BenchmarkPassThrough(b *testing.B) {
	backend := rawBackend(b)
	b.Run("reverseproxy", func(b *testing.B) {
		u, _ := url.Parse(backend)
		p := httputil.NewSingleHostReverseProxy(u)
		p.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true, IdleConnTimeout: time.Minute}
		bench(b, p, "/x?a=1")
	})
	c := hosttest.Seed(b, backend)
	h, err := boot.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	g := h.GatewayHandler()
	b.Run("perigee", func(b *testing.B) { bench(b, g, "/echo/x?a=1") })
	b.Run("perigee-nullroute", func(b *testing.B) { bench(b, g, "/hello/Ada") })
}
