package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// connection parses the XML of an HTTPTargetConnection; problems fail the test.
func connection(t testing.TB, xml string) *bundle.HTTPTargetConnection {
	t.Helper()
	var problems bundle.Problems
	el, err := bundle.ParseXML("targets/default.xml", []byte("<HTTPTargetConnection>"+xml+"</HTTPTargetConnection>"))
	if err != nil {
		t.Fatal(err)
	}
	conn := bundle.ParseHTTPTargetConnection(el, &problems)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func testEnv(problems *bundle.Problems) *policy.Env {
	return policy.NewEnv("org", "test", &bundle.Bundle{}, policy.Services{}, problems)
}

// connect compiles the connection with xml on p.
func connect(t testing.TB, p *Pool, xml string) *Connector {
	t.Helper()
	var problems bundle.Problems
	c := p.Connect(connection(t, xml), "default", testEnv(&problems))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func newPool(t testing.TB, opts Options) *Pool {
	p := New(opts)
	t.Cleanup(p.CloseIdle)
	return p
}

// call is a request with the parts of a call that matter to a target.
func call(t testing.TB, verb, suffix, body string, fields ...string) *flow.Context {
	fc := flow.New(&flow.Proxy{Organization: "org", Environment: "test", Name: "p", ServiceAccount: "sa@example.com"}, time.Now)
	t.Cleanup(fc.Release)
	suffix, query, _ := strings.Cut(suffix, "?")
	fc.PathSuffix = suffix
	fc.Request.Verb, fc.Request.Path, fc.Request.Query = verb, "/base"+suffix, message.ParseParams(query)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		fc.Request.Header.Add(name, value)
	}
	if body != "" {
		fc.Request.SetContent([]byte(body))
	}
	return fc
}

// send runs Prepare and Send as the pipeline does.
func send(c *Connector, fc *flow.Context) error {
	fc.Phase = flow.TargetRequest
	c.Prepare(fc)
	return c.Send(context.Background(), fc)
}

// faultOf returns the fault in err; the test fails if there is none.
func faultOf(t testing.TB, err error) *fault.Fault {
	t.Helper()
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Fatalf("error %v is no fault", err)
	}
	if !f.Target {
		t.Errorf("fault %s is not marked as the target's", f.Code)
	}
	return f
}

// short is a fault in one line: status, code, text, reason.
func short(f *fault.Fault) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %q %s", f.Status, f.Code, f.Text, f.Detail))
}

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	var lines []string
	for name, values := range r.Header {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	for _, e := range r.TransferEncoding {
		lines = append(lines, "Transfer-Encoding: "+e)
	}
	sort.Strings(lines)
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
	fmt.Fprintf(w, "\n%s", body)
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestURL(t *testing.T) {
	s := serve(t, echo)
	p := newPool(t, Options{})
	tests := []struct {
		name, url, suffix string
		vars              map[string]flow.Value
		want              string // request line
		target            string // target.url
	}{
		{name: "suffix", url: "/v1", suffix: "/pets", want: "/v1/pets"},
		{name: "no suffix", url: "/v1", want: "/v1"},
		{name: "no path at all", want: "/"},
		{name: "slash once", url: "/v1/", suffix: "/pets", want: "/v1/pets"},
		{name: "slash of the URL stays", url: "/v1/", want: "/v1/"},
		{name: "escapes as they came", url: "/v1", suffix: "/a%2Fb%20c/%7Eé", want: "/v1/a%2Fb%20c/%7E%C3%A9"},
		{name: "double slash", url: "/", suffix: "//pets", want: "//pets"},
		{name: "query", url: "/v1", suffix: "/pets?b=2&a=%20", want: "/v1/pets?b=2&a=%20"},
		{name: "own query first", url: "/v1?k=1", suffix: "/pets?a=2", want: "/v1/pets?k=1&a=2"},
		{name: "fragment", url: "/v1#top", suffix: "/pets", want: "/v1/pets"},
		{name: "no suffix wanted", url: "/v1", suffix: "/pets?a=1", vars: map[string]flow.Value{"target.copy.pathsuffix": flow.BoolValue(false)}, want: "/v1?a=1"},
		{name: "as text", url: "/v1", suffix: "/pets?a=1", vars: map[string]flow.Value{"target.copy.pathsuffix": flow.StringValue("False"), "target.copy.queryparams": flow.StringValue("false")}, want: "/v1"},
		{name: "true as text", url: "/v1", suffix: "/pets", vars: map[string]flow.Value{"target.copy.pathsuffix": flow.StringValue("true")}, want: "/v1/pets"},
		{name: "target.url verbatim", url: "/v1", suffix: "/pets?a=1", vars: map[string]flow.Value{"target.url": flow.StringValue("BASE/other?x=0")}, want: "/other?x=0&a=1"},
		{name: "target.evaluated.url", url: "/v1", suffix: "/pets", vars: map[string]flow.Value{"target.evaluated.url": flow.StringValue("BASE/e")}, want: "/e"},
		{name: "target.url without query", url: "/v1", suffix: "/pets?a=1", vars: map[string]flow.Value{"target.url": flow.StringValue("BASE/other"), "target.copy.queryparams": flow.BoolValue(false)}, want: "/other"},
		{name: "blank in a query", url: "/v1?q=a b", want: "/v1?q=a%20b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, p, "<URL>"+s.URL+tt.url+"</URL>")
			fc := call(t, "GET", tt.suffix, "")
			for name, v := range tt.vars {
				if err := fc.Set(name, flow.StringValue(strings.ReplaceAll(v.String(), "BASE", s.URL))); err != nil {
					t.Fatal(err)
				}
				if v.Kind() == flow.Bool {
					fc.Set(name, v)
				}
			}
			if err := send(c, fc); err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(fc.Response.Text(), "\n")
			if want := "GET " + tt.want + " HTTP/1.1"; line != want {
				t.Errorf("request line %q, want %q", line, want)
			}
		})
	}
}

func TestBadURL(t *testing.T) {
	p := newPool(t, Options{})
	tests := []struct {
		name, override, suffix, want string
	}{
		{"blank in the path", "http://127.0.0.1:1/a b", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"line break", "http://127.0.0.1:1/a\r\nX: y", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"no scheme", "127.0.0.1/a", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"other scheme", "file:///etc/passwd", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"user information", "http://a:b@127.0.0.1/", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"no host", "http:///x", "", `500 protocol.http.BadPath "Invalid request path"`},
		{"port", "http://127.0.0.1:99999/x", "", `500 protocol.http.BadPath "Invalid request path"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, p, "<URL>http://127.0.0.1:1</URL>")
			fc := call(t, "GET", tt.suffix, "")
			fc.Set("target.url", flow.StringValue(tt.override))
			if got := short(faultOf(t, send(c, fc))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRequestHeaders(t *testing.T) {
	s := serve(t, echo)
	host := strings.TrimPrefix(s.URL, "http://")
	p := newPool(t, Options{})
	tests := []struct {
		name, verb, body, properties string
		fields                       []string
		vars                         map[string]string
		want                         string // the echo, with HOST for the target's address
	}{
		{name: "hop by hop", verb: "GET", fields: []string{
			"Host: api.example.com", "Connection: keep-alive, X-Secret", "Keep-Alive: timeout=5", "X-Secret: 1", "TE: trailers", "Trailer: X",
			"Upgrade: h2c", "Proxy-Connection: x", "Proxy-Authorization: y", "Transfer-Encoding: chunked", "Expect: 100-continue",
			"Content-Length: 7", "X-Forwarded-For: 10.0.0.1", "Accept: */*", "Accept-Encoding: br",
		}, want: "GET / HTTP/1.1\nHost: HOST\nAccept-Encoding: br\nAccept: */*\nX-Forwarded-For: 10.0.0.1\n\n"},
		{name: "repeated", verb: "GET", fields: []string{"x-a: 1", "X-A: 2", "Cookie: a=b, c"}, want: "GET / HTTP/1.1\nHost: HOST\nCookie: a=b, c\nX-A: 1\nX-A: 2\n\n"},
		{name: "host variable", verb: "GET", vars: map[string]string{"target.header.host": "backend.example.com"}, want: "GET / HTTP/1.1\nHost: backend.example.com\n\n"},
		{name: "body", verb: "POST", body: "hello", fields: []string{"Content-Type: text/plain", "Content-Length: 99"}, want: "POST / HTTP/1.1\nHost: HOST\nContent-Length: 5\nContent-Type: text/plain\n\nhello"},
		{name: "GET with a body", verb: "GET", body: "q", want: "GET / HTTP/1.1\nHost: HOST\nContent-Length: 1\n\nq"},
		{name: "empty POST", verb: "POST", fields: []string{"Content-Length: 0"}, want: "POST / HTTP/1.1\nHost: HOST\nContent-Length: 0\n\n"},
		{name: "retain none", verb: "GET", fields: []string{"Accept: */*", "X-A: 1"}, properties: `<Property name="request.retain.headers.enabled">false</Property>`, want: "GET / HTTP/1.1\nHost: HOST\n\n"},
		{name: "retain some", verb: "GET", fields: []string{"Accept: */*", "x-a: 1", "User-Agent: me"}, properties: `<Property name="request.retain.headers.enabled">false</Property><Property name="request.retain.headers">User-Agent, X-A</Property>`, want: "GET / HTTP/1.1\nHost: HOST\nUser-Agent: me\nX-A: 1\n\n"},
		{name: "http 1.0", verb: "POST", body: "hello", properties: `<Property name="supports.http11">false</Property>`, want: "POST / HTTP/1.0\nHost: HOST\nConnection: close\nContent-Length: 5\n\nhello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, p, "<URL>"+s.URL+"</URL><Properties>"+tt.properties+"</Properties>")
			fc := call(t, tt.verb, "", tt.body, tt.fields...)
			for name, v := range tt.vars {
				fc.Set(name, flow.StringValue(v))
			}
			if err := send(c, fc); err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(fc.Response.Text(), host, "HOST"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestRetainQuery(t *testing.T) {
	s := serve(t, echo)
	p := newPool(t, Options{})
	for _, tt := range []struct{ properties, want string }{
		{`<Property name="retain.queryparams.enabled">false</Property>`, "/?k=1"},
		{`<Property name="retain.queryparams.enabled">false</Property><Property name="retain.queryparams">a</Property>`, "/?k=1&a=1"},
		{`<Property name="retain.queryparams">a</Property>`, "/?k=1&a=1&b=2"},
	} {
		c := connect(t, p, "<URL>"+s.URL+"?k=1</URL><Properties>"+tt.properties+"</Properties>")
		fc := call(t, "GET", "?a=1&b=2", "")
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		if line, _, _ := strings.Cut(fc.Response.Text(), "\n"); line != "GET "+tt.want+" HTTP/1.1" {
			t.Errorf("%s: %q, want %q", tt.properties, line, tt.want)
		}
	}
}

func TestStreamedRequest(t *testing.T) {
	s := serve(t, echo)
	c := connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>")
	for _, tt := range []struct {
		length int64
		want   string
	}{{-1, "Transfer-Encoding: chunked"}, {5, "Content-Length: 5"}} {
		fc := call(t, "POST", "", "")
		closed := false
		fc.Request.SetStream(&closeSpy{Reader: strings.NewReader("hello"), closed: &closed}, tt.length)
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		if got := fc.Response.Text(); !strings.Contains(got, tt.want) || !strings.HasSuffix(got, "hello") {
			t.Errorf("length %d: got %s", tt.length, got)
		}
		if !closed {
			t.Errorf("length %d: the caller's stream was not closed", tt.length)
		}
	}
}

type closeSpy struct {
	io.Reader
	mu     sync.Mutex
	closed *bool
}

func (c *closeSpy) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.closed = true
	return nil
}

func TestResponse(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=5")
		h.Set("Content-Type", "text/plain")
		h.Add("Set-Cookie", "a=1, 2")
		h.Add("Set-Cookie", "b=2")
		h["Date"] = nil
		w.WriteHeader(201)
		io.WriteString(w, "made")
	})
	c := connect(t, newPool(t, Options{}), "<URL>"+s.URL+"/v1</URL>")
	fc := call(t, "GET", "/x?a=1", "")
	if err := send(c, fc); err != nil {
		t.Fatal(err)
	}
	m := fc.Response
	if !m.Streaming() || m.Length() != 4 {
		t.Errorf("streaming %v, length %d", m.Streaming(), m.Length())
	}
	var got []string
	for name, v := range m.Header.All() {
		got = append(got, name+": "+v)
	}
	want := "Content-Type: text/plain|Set-Cookie: a=1, 2|Set-Cookie: b=2|Content-Length: 4"
	if g := strings.Join(got, "|"); g != want {
		t.Errorf("headers %s, want %s", g, want)
	}
	if m.Status != 201 || m.ReasonPhrase() != "Created" || m.Text() != "made" {
		t.Errorf("got %d %s %q", m.Status, m.ReasonPhrase(), m.Text())
	}
	fc.Phase = flow.TargetResponse
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	for name, want := range map[string]string{
		"target.host": "127.0.0.1", "target.ip": "127.0.0.1", "target.port": port, "target.scheme": "http", "target.name": "default",
		"target.url": s.URL + "/v1/x?a=1", "target.basepath": "/v1", "request.path": "/v1/x", "request.uri": "/v1/x?a=1", "target.ssl.enabled": "false",
	} {
		if got := fc.Text(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"target.sent.start.timestamp", "target.sent.end.timestamp", "target.received.start.timestamp", "target.received.end.timestamp"} {
		if fc.Get(name).IsNull() {
			t.Errorf("%s is not set", name)
		}
	}
}

func TestPrepare(t *testing.T) {
	c := connect(t, newPool(t, Options{}), "<URL>https://back.example.com:8443/v1?k=1</URL>")
	fc := call(t, "GET", "/x", "")
	c.Prepare(fc)
	for name, want := range map[string]string{
		"target.url": "https://back.example.com:8443/v1?k=1", "target.scheme": "https", "target.basepath": "/v1", "target.name": "default", "target.ssl.enabled": "true",
	} {
		if got := fc.Text(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestResponseRules(t *testing.T) {
	tests := []struct {
		name, properties string
		handler          http.HandlerFunc
		want             string // fault, "" for none
	}{
		{"3xx is success", "", status(302), ""},
		{"4xx is not", "", status(404), `404 messaging.adaptors.http.flow.ErrorResponseCode "ResponseCode 404 is treated as error"`},
		{"success.codes replaces", withProperty("success.codes", "2XX,404"), status(404), ""},
		{"success.codes replaces the default", withProperty("success.codes", "2xx,404"), status(302), `302 messaging.adaptors.http.flow.ErrorResponseCode "ResponseCode 302 is treated as error"`},
		{"405 passes", withProperty("success.codes", "2XX,405"), status(405), ""},
		{"405 without Allow", withProperty("success.codes", "2XX,405") + withProperty("ignore.allow.header.for.405", "false"), status(405), `502 protocol.http.Response405WithoutAllowHeader "Received 405 Response without Allow Header"`},
		{"405 with Allow", withProperty("success.codes", "2XX,405") + withProperty("ignore.allow.header.for.405", "false"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", "GET")
			w.WriteHeader(405)
		}, ""},
		{"duplicate", "", duplicate("Expires"), `502 protocol.http.DuplicateHeader "Duplicate Header \"Expires\""`},
		{"duplicate allowed", withProperty("HTTPHeader.allowDuplicates", "Expires,Date"), duplicate("Expires"), ""},
		{"duplicates of lists", "", duplicate("Vary"), ""},
		{"headers too big", "", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 70<<10)) }, `502 protocol.http.TooBigHeaders "response headers size exceeding 61,440"`},
	}
	p := newPool(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.handler)
			c := connect(t, p, "<URL>"+s.URL+"</URL><Properties>"+tt.properties+"</Properties>")
			fc := call(t, "GET", "", "")
			err := send(c, fc)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("unexpected %v", err)
			case tt.want != "":
				if got := short(faultOf(t, err)); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

func duplicate(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add(name, "a")
		w.Header().Add(name, "b")
	}
}

// The target's own error goes to the client as it is.
func TestErrorResponseKeepsMessage(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Why", "because")
		w.WriteHeader(503)
		io.WriteString(w, `{"no":1}`)
	})
	c := connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL>")
	f := faultOf(t, send(c, call(t, "GET", "", "")))
	m := f.Message
	if m == nil || m.Status != 503 || m.Header.Get("X-Why") != "because" || m.Text() != `{"no":1}` {
		t.Errorf("message %+v", m)
	}
}
