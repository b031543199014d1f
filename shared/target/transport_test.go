package target

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// raw is a server that speaks as serve tells it to.
func raw(t testing.TB, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// readHead reads a request's head.
func readHead(c net.Conn) *bufio.Reader {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return r
		}
	}
}

func refused(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTransportFaults(t *testing.T) {
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			readHead(c)
			io.WriteString(c, text)
		}
	}
	tests := []struct{ name, url, want string }{
		{"refused", "http://" + refused(t), `503 messaging.adaptors.http.flow.ServiceUnavailable "The Service is temporarily unavailable" TARGET_CONNECT_HOST_NOT_REACHABLE`},
		{"no such host", "http://nowhere.invalid", `503 messaging.adaptors.http.flow.ServiceUnavailable "The Service is temporarily unavailable" TARGET_CONNECT_HOST_NOT_REACHABLE`},
		{"closed at once", "http://" + raw(t, func(net.Conn) {}), `502 messaging.adaptors.http.flow.UnexpectedEOFAtTarget "Unexpected EOF at target"`},
		{"closed in the head", "http://" + raw(t, answer("HTTP/1.1 200 OK\r\nX: y\r\n")), `502 messaging.adaptors.http.flow.UnexpectedEOFAtTarget "Unexpected EOF at target"`},
		{"not HTTP", "http://" + raw(t, answer("SSH-2.0-OpenSSH\r\n\r\n")), `502 protocol.http.BadResponse "Invalid response from target"`},
		{"two lengths", "http://" + raw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")), `502 protocol.http.BadResponse "Invalid response from target"`},
	}
	p := newPool(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, p, "<URL>"+tt.url+"</URL>")
			f := faultOf(t, send(c, call(t, "GET", "", "")))
			if got := short(f); got != tt.want {
				t.Errorf("got %s (%v), want %s", got, f.Cause, tt.want)
			}
		})
	}
}

func TestTruncatedBody(t *testing.T) {
	addr := raw(t, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
	})
	c := connect(t, newPool(t, Options{}), "<URL>http://"+addr+"</URL>")
	fc := call(t, "GET", "", "")
	if err := send(c, fc); err != nil {
		t.Fatal(err)
	}
	_, err := fc.Response.Content()
	if got := short(faultOf(t, err)); got != `502 messaging.adaptors.http.flow.UnexpectedEOFAtTarget "Unexpected EOF at target"` {
		t.Errorf("got %s", got)
	}
}

func TestParseLimit(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 11<<20)) })
	p := newPool(t, Options{})
	for properties, want := range map[string]error{"": message.ErrTooBig, withProperty("response.payload.parse.limit", "15M"): nil} {
		c := connect(t, p, "<URL>"+s.URL+"</URL><Properties>"+properties+"</Properties>")
		fc := call(t, "GET", "", "")
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		if _, err := fc.Response.Content(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", properties, err, want)
		}
	}
}

// Silence is a fault wherever it happens, but only silence: a target that
// keeps talking may take longer than io.timeout.millis.
func TestIOTimeout(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	silentHead := raw(t, func(c net.Conn) { readHead(c); <-hold })
	silentBody := raw(t, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		<-hold
	})
	deaf := raw(t, func(c net.Conn) { <-hold })
	slow := raw(t, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
		for range 8 {
			time.Sleep(50 * time.Millisecond)
			io.WriteString(c, "x")
		}
	})
	p := newPool(t, Options{})
	conn := func(addr string) *Connector {
		return connect(t, p, "<URL>http://"+addr+"</URL><Properties>"+withProperty("io.timeout.millis", "250")+"</Properties>")
	}
	t.Run("head", func(t *testing.T) {
		got := short(faultOf(t, send(conn(silentHead), call(t, "GET", "", ""))))
		if got != `504 messaging.adaptors.http.flow.GatewayTimeout "Gateway Timeout" TARGET_READ_TIMEOUT` {
			t.Errorf("got %s", got)
		}
	})
	t.Run("body", func(t *testing.T) {
		fc := call(t, "GET", "", "")
		if err := send(conn(silentBody), fc); err != nil {
			t.Fatal(err)
		}
		_, err := fc.Response.Content()
		if got := short(faultOf(t, err)); got != `504 messaging.adaptors.http.flow.GatewayTimeout "Gateway Timeout" TARGET_READ_TIMEOUT` {
			t.Errorf("got %s", got)
		}
	})
	t.Run("write", func(t *testing.T) {
		fc := call(t, "POST", "", strings.Repeat("x", 20<<20))
		if got := short(faultOf(t, send(conn(deaf), fc))); got != `504 messaging.adaptors.http.flow.GatewayTimeout "Gateway Timeout" TARGET_WRITE_TIMEOUT` {
			t.Errorf("got %s", got)
		}
	})
	t.Run("caller", func(t *testing.T) {
		fc := call(t, "POST", "", "")
		r, w := io.Pipe()
		defer w.Close()
		fc.Request.SetStream(r, 10)
		if got := short(faultOf(t, send(conn(silentHead), fc))); got != `408 messaging.adaptors.http.flow.RequestTimeOut "Request timed out"` {
			t.Errorf("got %s", got)
		}
	})
	t.Run("slow but alive", func(t *testing.T) {
		fc := call(t, "GET", "", "")
		if err := send(conn(slow), fc); err != nil {
			t.Fatal(err)
		}
		if b, err := fc.Response.Content(); err != nil || string(b) != "xxxxxxxx" {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("slow reader", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
		fc := call(t, "GET", "", "")
		if err := send(conn(strings.TrimPrefix(s.URL, "http://")), fc); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		if b, err := fc.Response.Content(); err != nil || len(b) != 1<<20 {
			t.Errorf("got %d bytes, %v", len(b), err)
		}
	})
}

func TestDeadline(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	addr := raw(t, func(c net.Conn) { readHead(c); <-hold })
	c := connect(t, newPool(t, Options{}), "<URL>http://"+addr+"</URL>")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got := short(faultOf(t, c.Send(ctx, call(t, "GET", "", "")))); got != `504 messaging.adaptors.http.flow.GatewayTimeout "Gateway Timeout" TARGET_READ_TIMEOUT` {
		t.Errorf("got %s", got)
	}
	if got := short(faultOf(t, c.Send(ctx, call(t, "GET", "", "")))); got != `504 flow.APITimedOut "API timed out"` {
		t.Errorf("no time left: got %s", got)
	}

	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	f := faultOf(t, c.Send(ctx, call(t, "GET", "", "")))
	if f.Status != 499 || !errors.Is(f, context.Canceled) {
		t.Errorf("caller gone: got %s, cause %v", short(f), f.Cause)
	}
}

// An address nobody answers at: RFC 5737 keeps it for documentation, yet a
// network may refuse at once. The dialer is told to be late instead.
func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := dialFault(&dialError{context.DeadlineExceeded})
		if got := short(f); got != `503 messaging.adaptors.http.flow.ServiceUnavailable "The Service is temporarily unavailable" TARGET_CONNECT_TIMEOUT` {
			t.Errorf("got %s", got)
		}
	})
}

func TestWatchCountsOnlyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var w watch
		w.start(time.Minute, cancel)
		time.Sleep(50 * time.Second)
		w.progress()
		time.Sleep(50 * time.Second)
		w.pause()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("cancelled though nobody waited")
		}
		w.resume()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("cancelled early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), errSilent) {
			t.Fatalf("cause %v", context.Cause(ctx))
		}
	})
}

func TestLengthRequired(t *testing.T) {
	s := serve(t, echo)
	p := newPool(t, Options{})
	const want = `411 messaging.adaptors.http.flow.LengthRequired "'Content-Length' is missing"`
	tests := []struct {
		verb, properties string
		fields           []string
		want             string
	}{
		{"POST", "", nil, want},
		{"PUT", "", nil, want},
		{"GET", "", nil, ""},
		{"PATCH", "", nil, ""},
		{"POST", "", []string{"Content-Length: 0"}, ""},
		{"POST", withProperty("allow.post.without.content.length", "true"), nil, ""},
		{"PUT", withProperty("allow.post.without.content.length", "true"), nil, want},
		{"PUT", withProperty("allow.put.without.content.length", "true"), nil, ""},
	}
	for _, tt := range tests {
		c := connect(t, p, "<URL>"+s.URL+"</URL><Properties>"+tt.properties+"</Properties>")
		err := send(c, call(t, tt.verb, "", "", tt.fields...))
		var f *fault.Fault
		got := ""
		if errors.As(err, &f) {
			got = short(f)
		}
		if got != tt.want {
			t.Errorf("%s %s %v: got %q, want %q", tt.verb, tt.properties, tt.fields, got, tt.want)
		}
	}
}

func TestCompression(t *testing.T) {
	var encoding string
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := message.NewResponse()
		encoding = r.Header.Get("Content-Encoding")
		m.Header.Set("Content-Encoding", encoding)
		m.SetStream(r.Body, -1)
		body, _ = m.Content()
	})
	p := newPool(t, Options{})
	packed := string(encode("gzip", []byte("hello")))
	tests := []struct {
		algorithm, body string
		fields          []string
		want            string
	}{
		{"gzip", "hello", nil, "gzip"},
		{"deflate", "hello", nil, "deflate"},
		{"none", "hello", nil, ""},
		{"none", packed, []string{"Content-Encoding: gzip"}, ""},
		{"deflate", packed, []string{"Content-Encoding: gzip"}, "deflate"},
		{"gzip", packed, []string{"Content-Encoding: gzip"}, "gzip"},
		{"", packed, []string{"Content-Encoding: gzip"}, "gzip"},
	}
	for _, tt := range tests {
		properties := ""
		if tt.algorithm != "" {
			properties = withProperty("compression.algorithm", tt.algorithm)
		}
		c := connect(t, p, "<URL>"+s.URL+"</URL><Properties>"+properties+"</Properties>")
		fc := call(t, "POST", "", "", tt.fields...)
		fc.Request.SetStream(io.NopCloser(strings.NewReader(tt.body)), int64(len(tt.body)))
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		if encoding != tt.want || string(body) != "hello" {
			t.Errorf("%s %v: sent %q as %q, want %q", tt.algorithm, tt.fields, body, encoding, tt.want)
		}
	}
}

// A gzip answer goes through untouched: the transport must not decode it.
func TestEncodedResponseUntouched(t *testing.T) {
	packed := encode("gzip", []byte("hello"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed)
	})
	fc := call(t, "GET", "", "", "Accept-Encoding: gzip")
	if err := send(connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>"), fc); err != nil {
		t.Fatal(err)
	}
	_, stream, _, _ := fc.Response.Body()
	if b, _ := io.ReadAll(stream); string(b) != string(packed) || fc.Response.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %q", b)
	}
}

func TestWebSocket(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "k" {
			http.Error(w, "no", 400)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, "got "+line)
	})
	c := connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>")
	ctx, cancel := context.WithCancel(t.Context())
	fc := call(t, "GET", "", "", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
	if err := c.Send(ctx, fc); err != nil {
		t.Fatal(err)
	}
	if fc.Response.Status != 101 || fc.Response.Header.Get("Upgrade") != "websocket" || fc.Response.Header.Get("Sec-WebSocket-Accept") != "a" {
		t.Errorf("head %+v", fc.Response)
	}
	_, stream, _, _ := fc.Response.Body()
	rwc, ok := stream.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body %T cannot be written to", stream)
	}
	io.WriteString(rwc, "hello\n")
	if line, err := bufio.NewReader(rwc).ReadString('\n'); line != "got hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
	cancel()
	if _, err := rwc.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives its call")
	}
}

func TestTrailers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	})
	fc := call(t, "GET", "", "")
	if err := send(connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>"), fc); err != nil {
		t.Fatal(err)
	}
	fc.Response.Text()
	if tr := fc.Response.Trailer(); len(tr) != 1 || tr[0] != (message.Field{Name: "X-Sum", Value: "42"}) {
		t.Errorf("trailer %v", tr)
	}
}

func TestForwardProxy(t *testing.T) {
	s := serve(t, echo)
	tlsServer := httptest.NewTLSServer(http.HandlerFunc(echo))
	t.Cleanup(tlsServer.Close)
	var log []string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		log = append(log, r.Method+" "+r.RequestURI+" "+r.Host)
		if r.Method != "CONNECT" {
			io.WriteString(w, "proxied")
			return
		}
		if strings.HasPrefix(r.Host, "refused.") {
			w.WriteHeader(403)
			return
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		w.WriteHeader(200)
		c, rw, _ := http.NewResponseController(w).Hijack()
		go func() { io.Copy(up, rw); up.Close() }() // the server may hold the first byte already
		go func() { io.Copy(c, up); c.Close() }()
	})
	pu := mustURL(proxy.URL)
	p := newPool(t, Options{Proxy: pu, RootCAs: rootsOf(tlsServer)})
	host := strings.TrimPrefix(s.URL, "http://")
	tests := []struct{ name, url, properties, log, want string }{
		{"tunnel", s.URL + "/x", "", "CONNECT " + host + " " + host, "GET /x "},
		{"tunnel for TLS", tlsServer.URL + "/x", withProperty("use.proxy.tunneling", "false"), "CONNECT " + strings.TrimPrefix(tlsServer.URL, "https://") + " " + strings.TrimPrefix(tlsServer.URL, "https://"), "GET /x "},
		{"forward", s.URL + "/x", withProperty("use.proxy.tunneling", "false"), "GET " + s.URL + "/x " + host, "proxied"},
		{"forward, host of the proxy", s.URL + "/x", withProperty("use.proxy.tunneling", "false") + withProperty("use.proxy.host.header.with.target.uri", "false"), "GET http://" + host + "/x " + host, "proxied"},
		{"no proxy", s.URL + "/x", withProperty("use.proxy", "false"), "", "GET /x "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log = nil
			fc := call(t, "GET", "", "")
			if err := send(connect(t, p, "<URL>"+tt.url+"</URL><Properties>"+tt.properties+"</Properties>"), fc); err != nil {
				t.Fatal(err)
			}
			if got := fc.Response.Text(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q", got)
			}
			if got := strings.Join(log, "|"); got != tt.log {
				t.Errorf("proxy saw %q, want %q", got, tt.log)
			}
		})
	}
	f := faultOf(t, send(connect(t, p, "<URL>http://refused.example.com/</URL>"), call(t, "GET", "", "")))
	if got := short(f); got != `503 protocol.http.ProxyTunnelCreationFailed "Proxy refused to create tunnel"` {
		t.Errorf("got %s", got)
	}
}

func TestHeaderInjection(t *testing.T) {
	s := serve(t, echo)
	fc := call(t, "GET", "", "")
	fc.Request.Header.Add("X-A", "1\r\nX-B: 2")
	f := faultOf(t, send(connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>"), fc))
	if got := short(f); got != `500 protocol.http.InvalidHeader "Invalid request header"` {
		t.Errorf("got %s", got)
	}
}

func TestStaleConnection(t *testing.T) {
	// The server closes after each answer without saying so: the next request
	// on that connection must be repeated on a new one.
	addr := raw(t, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	c := connect(t, newPool(t, Options{}), "<URL>http://"+addr+"</URL>")
	for range 5 {
		fc := call(t, "GET", "", "")
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		if got := fc.Response.Text(); got != "ok" {
			t.Errorf("got %q", got)
		}
	}
}

func TestDo(t *testing.T) {
	s := serve(t, echo)
	gone := serve(t, status(410))
	p := newPool(t, Options{})
	req := message.NewRequest()
	req.Verb, req.Query = "POST", message.ParseParams("b=2")
	req.SetContent([]byte("x"))
	m, err := p.Do(t.Context(), s.URL+"/a?a=1", req)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Text(); !strings.HasPrefix(got, "POST /a?a=1&b=2 ") || !strings.HasSuffix(got, "\n\nx") {
		t.Errorf("got %s", got)
	}
	if m, err := p.Do(t.Context(), gone.URL, message.NewRequest()); err != nil || m.Status != 410 {
		t.Errorf("410: %v, %v", m, err)
	}
	if _, err := p.Do(t.Context(), "ftp://x/", message.NewRequest()); err == nil {
		t.Error("ftp is called")
	}
}

func TestCallout(t *testing.T) {
	s := serve(t, echo)
	gone := serve(t, status(410))
	p := newPool(t, Options{})
	compile := func(xml string) interface {
		Send(context.Context, *flow.Context, *message.Message) (*message.Message, error)
	} {
		return p.Compile(connection(t, xml), calloutEnv("SC-1"))
	}
	fc := call(t, "GET", "/suffix?caller=1", "")
	fc.Set("target.url", flow.StringValue("http://elsewhere.invalid/"))
	req := message.NewRequest()
	req.Query = message.ParseParams("own=1")
	m, err := compile("<URL>"+s.URL+"/v1</URL>").Send(t.Context(), fc, req)
	if err != nil {
		t.Fatal(err)
	}
	if line, _, _ := strings.Cut(m.Text(), "\n"); line != "GET /v1?own=1 HTTP/1.1" {
		t.Errorf("got %q", line)
	}
	if got := fc.Text("servicecallout.requesturi"); got != "/v1?own=1" {
		t.Errorf("requesturi %q", got)
	}
	if fc.Target.Called || fc.Target.Host != "" {
		t.Errorf("a callout changed the target's variables: %+v", fc.Target)
	}
	fc.Set("servicecallout.SC-1.target.url", flow.StringValue(s.URL+"/other"))
	if m, err = compile("<URL>"+gone.URL+"/v1</URL>").Send(t.Context(), fc, message.NewRequest()); err != nil || !strings.HasPrefix(m.Text(), "GET /other ") {
		t.Errorf("assigned URL: %v", err)
	}
	_, err = compile("<URL>"+gone.URL+"</URL>").Send(t.Context(), call(t, "GET", "", ""), message.NewRequest())
	var f *fault.Fault
	if !errors.As(err, &f) || f.Text != "ResponseCode 410 is treated as error" {
		t.Errorf("got %v", err)
	}
}
