package target

import (
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
)

func properties(pairs ...string) *bundle.HTTPTargetConnection {
	c := &bundle.HTTPTargetConnection{URL: "http://x"}
	for i := 0; i < len(pairs); i += 2 {
		c.Properties = append(c.Properties, bundle.Property{Pos: bundle.Pos{File: "targets/default.xml", Line: i + 1}, Name: pairs[i], Value: pairs[i+1]})
	}
	return c
}

func TestDefaults(t *testing.T) {
	var problems bundle.Problems
	s := newSettings(properties(), testEnv(&problems))
	if s.connectTimeout != 3*time.Second || s.ioTimeout != 55*time.Second || s.keepAlive != time.Minute || s.limit != 10<<20 {
		t.Errorf("times and limits: %+v", s)
	}
	if s.emptyPost || s.emptyPut || !s.resumeTLS || !s.bare405 || !s.http11 || !s.useProxy || !s.tunnel || !s.targetHost {
		t.Errorf("flags: %+v", s)
	}
	if s.requestHeaders != nil || s.responseHeaders != nil || s.query != nil || s.compression != "" || len(problems) != 0 {
		t.Errorf("%+v %v", s, problems)
	}
	for code, want := range map[int]bool{100: true, 200: true, 302: true, 399: true, 400: false, 500: false, 99: false, 600: false} {
		if s.success.has(code) != want {
			t.Errorf("success of %d is %v", code, !want)
		}
	}
}

func TestWrongProperties(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"connect.timeout.millis", "3s", "a whole number, not negative"},
		{"io.timeout.millis", "-1", "a whole number, not negative"},
		{"keepalive.timeout.millis", "{var}", "a whole number, not negative"},
		{"success.codes", "2XX,abc", "status codes and classes such as 1XX,2XX,404"},
		{"success.codes", "9XX", "status codes and classes such as 1XX,2XX,404"},
		{"compression.algorithm", "br", "gzip, deflate, none"},
		{"response.payload.parse.limit", "10", "a number of megabytes such as 10M"},
		{"supports.http11", "yes", "true or false"},
		{"retain.queryparams.enabled", "no", "true or false"},
	}
	for _, tt := range tests {
		var problems bundle.Problems
		newSettings(properties(tt.name, tt.value), testEnv(&problems))
		want := `targets/default.xml:1: property ` + tt.name + ` is "` + tt.value + `", want ` + tt.want
		if got := problems.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTimeoutCeiling(t *testing.T) {
	var problems bundle.Problems
	s := newSettings(properties("io.timeout.millis", "900000", "connect.timeout.millis", "0"), testEnv(&problems))
	if s.ioTimeout != 300*time.Second || s.connectTimeout != 3*time.Second {
		t.Errorf("%v %v", s.ioTimeout, s.connectTimeout)
	}
}

// Templates in URL and Path are evaluated when the call goes out.
func TestTemplates(t *testing.T) {
	s := serve(t, echo)
	host := strings.TrimPrefix(s.URL, "http://")
	env := &environment{servers: map[string]Server{"a": at(s.URL)}}
	p := newPool(t, Options{Servers: env})
	for _, xml := range []string{"<URL>http://{backend}/v1/{request.header.tenant}</URL>", `<LoadBalancer><Server name="a"/></LoadBalancer><Path>/v1/{request.header.tenant}</Path>`} {
		c := connect(t, p, xml)
		fc := call(t, "GET", "/x", "", "Tenant: acme")
		c.Prepare(fc)
		fc.Set("backend", flow.StringValue(host)) // in the target's request flow
		if err := c.Send(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
		if line, _, _ := strings.Cut(fc.Response.Text(), "\n"); line != "GET /v1/acme/x HTTP/1.1" {
			t.Errorf("%s: %q", xml, line)
		}
		fc = call(t, "GET", "/x", "")
		fc.Set("backend", flow.StringValue(host))
		if got := short(faultOf(t, send(c, fc))); got != `500 entities.UnresolvedVariable "Unresolved variable : request.header.tenant"` {
			t.Errorf("%s: %s", xml, got)
		}
	}
}

func TestConnectProblems(t *testing.T) {
	for url, want := range map[string]string{
		"ftp://x":         `<URL> "ftp://x": not an absolute http or https URL`,
		"http://":         `<URL> "http://": host is missing or malformed`,
		"http://x:http/":  `<URL> "http://x:http/": port is not a number from 1 to 65535`,
		"http://{a/b":     "",
		"https://{a}.b/c": "",
	} {
		var problems bundle.Problems
		newPool(t, Options{}).Connect(&bundle.HTTPTargetConnection{URL: url}, "t", testEnv(&problems))
		if got := problems.String(); want != "" && got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

func TestTransportsAreBounded(t *testing.T) {
	var ts transports
	for i := range 3 * maxTransports {
		ts.get(identity{keepAlive: time.Duration(i)}, func() roundTripper { return New(Options{}).newClient(identity{}, &tlsIdentity{}) })
	}
	if n := len(ts.byKey); n > maxTransports {
		t.Errorf("%d transports", n)
	}
}

// FuzzParseAddress: what is accepted has a host, and says the same when it is
// parsed again.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"http://h", "https://h:8443/a?b=c#d", "http://[::1]:80/", "HTTP://é/", "http://h?q", "http://a@b/", "http://h:/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if a.name == "" || a.port < 1 || a.port > 65535 || strings.ContainsAny(a.host, " \r\n@/") {
			t.Fatalf("%q gives %+v", s, a)
		}
		b, err := parseAddress(a.url())
		if err != nil || (b != a && strings.TrimSpace(a.url()) == a.url()) {
			t.Fatalf("%q: %+v, then %+v, %v", s, a, b, err)
		}
	})
}

// FuzzEncodeUnsafe: nothing that could break a request line is left, and
// encoding twice changes nothing.
func FuzzEncodeUnsafe(f *testing.F) {
	f.Add("/a b\r\nX: y")
	f.Fuzz(func(t *testing.T, s string) {
		e := encodeUnsafe(s)
		if strings.ContainsAny(e, " \r\n\t#") || encodeUnsafe(e) != e {
			t.Fatalf("%q gives %q", s, e)
		}
	})
}
