package target

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// fixed answers every request on a connection with the same bytes: the server
// adds next to nothing to what is measured.
func fixed(b *testing.B, response string) string {
	return raw(b, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					break
				}
			}
			io.WriteString(c, response)
		}
	})
}

var response1K = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Wed, 01 Apr 2026 12:00:00 GMT\r\nServer: x\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)

var benchFields = []string{"Accept: */*", "User-Agent: bench", "X-Forwarded-For: 10.0.0.1", "Accept-Encoding: gzip"}

func benchmarkSend(b *testing.B, p *Pool, xml string) {
	c := connect(b, p, xml)
	proxy := &flow.Proxy{Name: "p"}
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		fc := flow.New(proxy, time.Now)
		fc.PathSuffix, fc.Request.Verb = "/pets/7", "GET"
		for _, f := range benchFields {
			name, value, _ := strings.Cut(f, ": ")
			fc.Request.Header.Add(name, value)
		}
		if err := send(c, fc); err != nil {
			b.Fatal(err)
		}
		_, stream, _, _ := fc.Response.Body()
		for {
			if _, err := stream.Read(buf); err != nil {
				break
			}
		}
		stream.Close()
		fc.Release()
	}
}

func BenchmarkSend(b *testing.B) {
	addr := fixed(b, response1K)
	b.Run("URL", func(b *testing.B) { benchmarkSend(b, newPool(b, Options{}), "<URL>http://"+addr+"/v1</URL>") })
	b.Run("LoadBalancer", func(b *testing.B) {
		env := &environment{servers: map[string]Server{"a": at(addr), "b": at(addr)}}
		benchmarkSend(b, newPool(b, Options{Servers: env}), `<LoadBalancer><Server name="a"/><Server name="b"/></LoadBalancer><Path>/v1</Path>`)
	})
}

// BenchmarkTransport is what net/http alone costs for the same request.
func BenchmarkTransport(b *testing.B) {
	addr := fixed(b, response1K)
	t := &http.Transport{DisableCompression: true}
	defer t.CloseIdleConnections()
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest("GET", "http://"+addr+"/v1/pets/7", nil)
		for _, f := range benchFields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Set(name, value)
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := resp.Body.Read(buf); err != nil {
				break
			}
		}
		resp.Body.Close()
	}
}
