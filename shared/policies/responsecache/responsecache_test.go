package responsecache

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no_caches") {
			return policy.Services{}
		}
		c := cachetest.New(t, func() time.Time { return policytest.Now })
		hit := policytest.ParseMessage(t, message.Response, []byte("203 Custom\nContent-Type: text/plain\nSet-Cookie: a=1\nSet-Cookie: b=2\n\nkept"))
		data, err := encode(hit)
		if err != nil {
			t.Fatal(err)
		}
		c.Put(t.Context(), policy.CacheKey{Key: "p__hit"}, data, time.Time{})
		c.Put(t.Context(), policy.CacheKey{Key: "p__broken"}, []byte("stext"), time.Time{})
		return policy.Services{Caches: c}
	}))
}

// host runs one proxy whose target counts its calls and answers with respond.
type host struct {
	t       testing.TB
	now     atomic.Int64
	calls   atomic.Int64
	respond func(n int64, fc *flow.Context) *message.Message
	ep      *pipeline.Endpoint
}

func (h *host) clock() time.Time        { return time.Unix(0, h.now.Load()).UTC() }
func (h *host) advance(d time.Duration) { h.now.Add(int64(d)) }
func (h *host) Prepare(*flow.Context)   {}
func (h *host) Send(_ context.Context, fc *flow.Context) error {
	n := h.calls.Add(1)
	if h.respond != nil {
		fc.Response = h.respond(n, fc)
		return nil
	}
	m := fc.NewResponse()
	m.Header.Add("Content-Type", "text/plain")
	m.SetContent(fmt.Appendf(nil, "answer %d", n))
	return nil
}

const proxy = `<ProxyEndpoint name="default">
  <PreFlow name="PreFlow"><Request><Step><Name>RC-1</Name></Step></Request></PreFlow>
  <HTTPProxyConnection><BasePath>/</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>back</TargetEndpoint></RouteRule>
</ProxyEndpoint>`

const target = `<TargetEndpoint name="back">
  <PostFlow name="TPost"><Response><Step><Name>RC-1</Name></Step></Response></PostFlow>
  <HTTPTargetConnection><URL>http://back.test</URL></HTTPTargetConnection>
</TargetEndpoint>`

func newHost(t testing.TB, elements string) *host {
	h := &host{t: t}
	h.now.Store(policytest.Now.UnixNano())
	h.ep = h.compile(elements, proxy, target)
	return h
}

func (h *host) compile(elements, proxy, target string) *pipeline.Endpoint {
	h.t.Helper()
	p, problems := compile(h, cachetest.New(h.t, h.clock), elements, proxy, target)
	if err := problems.Err(); err != nil {
		h.t.Fatal(err)
	}
	return p.Endpoint("default")
}

func compile(h *host, caches policy.Caches, elements, proxy, target string) (*pipeline.Proxy, bundle.Problems) {
	files := fstest.MapFS{
		"proxies/default.xml": {Data: []byte(proxy)},
		"targets/back.xml":    {Data: []byte(target)},
		"policies/RC-1.xml":   {Data: []byte(`<ResponseCache name="RC-1"><CacheKey><KeyFragment ref="request.uri"/></CacheKey>` + elements + `</ResponseCache>`)},
	}
	b, err := bundle.LoadFS(files)
	if b == nil {
		h.t.Fatal(err)
	}
	return pipeline.Compile(b, policy.NewKinds(Kind), pipeline.Options{
		Organization: "org", Environment: "test", Name: "p", Revision: "1",
		Services: policy.Services{Caches: caches, Now: h.clock},
		Target:   func(*bundle.HTTPTargetConnection, string, *policy.Env) pipeline.Target { return h },
	})
}

// call makes a call described as "VERB URI" and header lines, and returns status,
// body and whether it was a hit.
func (h *host) call(request string) string {
	fc := flow.New(h.ep.Info, h.clock)
	defer fc.Release()
	*fc.Request = *policytest.ParseMessage(h.t, message.Request, []byte(request))
	m := h.ep.Run(context.Background(), fc)
	out := fmt.Sprintf("%d %s %s", m.Status, m.Text(), fc.Text("responsecache.RC-1.cachehit"))
	fc.Drain(context.Background())
	return out
}

func (h *host) want(request, want string) {
	h.t.Helper()
	if got := h.call(request); got != want {
		h.t.Errorf("%q: got %q, want %q", request, got, want)
	}
}

// TestHit keeps a response in the target's flow that a lookup in the proxy's
// finds, though the scope Exclusive has another prefix there.
func TestHit(t *testing.T) {
	h := newHost(t, `<ExpirySettings><TimeoutInSeconds>60</TimeoutInSeconds></ExpirySettings>`)
	h.want("GET /a?x=1", "200 answer 1 false")
	h.want("GET /a?x=1", "200 answer 1 true")
	h.want("GET /a?x=2", "200 answer 2 false")
	h.want("HEAD /a?x=3", "200 answer 3 false")
	h.want("GET /a?x=3", "200 answer 4 false")
	h.want("HEAD /a?x=3", "200 answer 4 true")
	h.want("GET /a?x=1", "200 answer 1 true")
	h.advance(time.Minute)
	h.want("GET /a?x=1", "200 answer 5 false")
	h.want("GET /a?x=1", "200 answer 5 true")
}

// TestVerbs keeps responses to any verb, as Apigee does out of the box; conditions or
// the key tell them apart.
// Source: https://discuss.google.dev/t/using-the-responsecache-policy-responsibly-or-dont-cache-post-requests/17540
func TestVerbs(t *testing.T) {
	h := newHost(t, ``)
	h.want("POST /a", "200 answer 1 false")
	h.want("POST /a", "200 answer 1 true")
	h.want("GET /a", "200 answer 1 true")
	const only = `NOT (request.verb ~~ "(GET|HEAD)")`
	h = newHost(t, `<SkipCacheLookup>`+only+`</SkipCacheLookup><SkipCachePopulation>`+only+`</SkipCachePopulation>`)
	h.want("POST /a", "200 answer 1 false")
	h.want("GET /a", "200 answer 2 false")
	h.want("GET /a", "200 answer 2 true")
	h.want("POST /a", "200 answer 3 false")
}

func TestSettings(t *testing.T) {
	for _, tt := range []struct {
		name, elements, response string // of the target
		calls                    []string
		want                     string // a letter each: h, hit; m, miss
	}{
		{"errors are left out", ``, "500 Oops", []string{"GET /", "GET /"}, "mm"},
		{"status 206 is left out", `<ExcludeErrorResponse>false</ExcludeErrorResponse>`, "206 Partial", []string{"GET /", "GET /"}, "mm"},
		{"status 205 is kept", ``, "205 Reset", []string{"GET /", "GET /"}, "mh"},
		{"errors are kept", `<ExcludeErrorResponse>false</ExcludeErrorResponse>`, "404 No", []string{"GET /", "GET /"}, "mh"},
		{"skip lookup", `<SkipCacheLookup>request.header.x-bypass = "true"</SkipCacheLookup>`, "200 OK", []string{"GET /", "GET /\nX-Bypass: true", "GET /"}, "mmh"},
		{"skip population", `<SkipCachePopulation>request.header.x-bypass = "true"</SkipCachePopulation>`, "200 OK", []string{"GET /\nX-Bypass: true", "GET /", "GET /"}, "mmh"},
		{"population may look at the response", `<SkipCachePopulation>response.header.x-no = "1"</SkipCachePopulation>`, "200 OK\nX-No: 1", []string{"GET /", "GET /"}, "mm"},
		{"by accept", `<UseAcceptHeader>true</UseAcceptHeader>`, "200 OK", []string{"GET /\nAccept: a/a", "GET /\nAccept: b/b", "GET /", "GET /\nAccept: b/b", "GET /\nAccept-Language: b/b", "GET /\nAccept: a/a"}, "mmmhmh"},
		{"not by accept", ``, "200 OK", []string{"GET /\nAccept: a/a", "GET /\nAccept: b/b"}, "mh"},
		{"no-store", `<UseResponseCacheHeaders>true</UseResponseCacheHeaders>`, "200 OK\nCache-Control: no-store", []string{"GET /", "GET /"}, "mm"},
		{"private", `<UseResponseCacheHeaders>true</UseResponseCacheHeaders>`, "200 OK\nCache-Control: max-age=60, Private", []string{"GET /", "GET /"}, "mm"},
		{"no-store is not asked", ``, "200 OK\nCache-Control: no-store", []string{"GET /", "GET /"}, "mh"},
		{"too large", ``, "200 OK\n\n" + strings.Repeat("x", 256<<10), []string{"GET /", "GET /"}, "mm"},
		{"too large by its own limit", `<SkipCacheIfElementSizeInKBExceeds>1</SkipCacheIfElementSizeInKBExceeds>`, "200 OK\n\n" + strings.Repeat("x", 1<<10), []string{"GET /", "GET /"}, "mm"},
		{"key too long", ``, "200 OK", []string{"GET /" + strings.Repeat("x", 2048), "GET /" + strings.Repeat("x", 2048)}, "mm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, tt.elements)
			h.respond = func(int64, *flow.Context) *message.Message {
				return policytest.ParseMessage(t, message.Response, []byte(tt.response))
			}
			got := ""
			for _, c := range tt.calls {
				if before := h.calls.Load(); h.call(c) != "" && h.calls.Load() == before {
					got += "h"
				} else {
					got += "m"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestFreshness checks how long a response is kept, in seconds.
func TestFreshness(t *testing.T) {
	for _, tt := range []struct {
		settings, header string
		seconds          int
	}{
		{"60", "Cache-Control: max-age=10", 10},
		{"60", "Cache-Control: max-age=100", 60},
		{"60", "Cache-Control: max-age=10, s-maxage=20", 20},
		{"60", `Cache-Control: public, s-maxage="30"`, 30},
		{"60", "Cache-Control: max-age=0", 0},
		{"60", "Cache-Control: max-age=soon", 60},
		{"60", "Expires: Wed, 01 Apr 2026 12:00:15 GMT", 15},
		{"60", "Expires: Wed, 01 Apr 2026 12:00:15 GMT\nCache-Control: max-age=20", 20},
		{"60", "Expires: Wed, 01 Apr 2026 11:00:15 GMT", 0},
		{"60", "Expires: 0", 0},
		{"60", "X-Other: 1", 60},
		{"", "Cache-Control: max-age=1000", 1000},
		{"", "X-Other: 1", 300},
	} {
		t.Run(tt.settings+" "+tt.header, func(t *testing.T) {
			h := newHost(t, `<UseResponseCacheHeaders>true</UseResponseCacheHeaders><ExpirySettings><TimeoutInSeconds>`+tt.settings+`</TimeoutInSeconds></ExpirySettings>`)
			h.respond = func(int64, *flow.Context) *message.Message {
				return policytest.ParseMessage(t, message.Response, []byte("200 OK\n"+tt.header))
			}
			h.want("GET /", "200  false")
			if tt.seconds > 0 {
				h.advance(time.Duration(tt.seconds)*time.Second - time.Microsecond)
				h.want("GET /", "200  true")
				h.advance(time.Microsecond)
			}
			h.want("GET /", "200  false")
		})
	}
}

// TestMessage checks that a hit is the same message, encoded as it was.
func TestMessage(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "plain text")
	z.Close()
	h := newHost(t, ``)
	h.respond = func(int64, *flow.Context) *message.Message {
		m := message.NewResponse()
		m.Status, m.Reason = 201, "Made Up"
		for _, f := range []string{"Content-Type: text/plain", "X-A: 1", "x-a: 2", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "Content-Encoding: gzip", "Connection: close", "Empty:"} {
			name, value, _ := strings.Cut(f, ":")
			m.Header.Add(name, strings.TrimSpace(value))
		}
		m.SetStream(io.NopCloser(bytes.NewReader(zipped.Bytes())), int64(zipped.Len()))
		return m
	}
	var all []string
	for range 2 {
		fc := flow.New(h.ep.Info, h.clock)
		fc.Request.Verb = "GET"
		m := h.ep.Run(t.Context(), fc)
		m.Header.Del("Connection")
		data, stream, _, err := m.Body()
		if err != nil || stream != nil {
			t.Fatal(stream, err)
		}
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r)
		all = append(all, fmt.Sprintf("%d %s %v %s", m.Status, m.ReasonPhrase(), m.Header, body))
		fc.Drain(t.Context())
		fc.Release()
	}
	if all[0] != all[1] || h.calls.Load() != 1 {
		t.Errorf("%d calls\nmade: %s\nkept: %s", h.calls.Load(), all[0], all[1])
	}
}

// TestStampede has 200 calls that miss at once.
func TestStampede(t *testing.T) {
	h := newHost(t, ``)
	started := make(chan struct{})
	h.respond = func(n int64, _ *flow.Context) *message.Message {
		<-started
		m := message.NewResponse()
		m.SetContent(fmt.Appendf(nil, "answer %d", n))
		return m
	}
	var calls sync.WaitGroup
	answers := make(chan string, 200)
	for range 200 {
		calls.Go(func() { answers <- h.call("GET /hot") })
	}
	close(started)
	calls.Wait()
	hits := 0
	for range 200 {
		a := <-answers
		if !strings.HasPrefix(a, "200 answer 1 ") {
			t.Fatalf("answered %q", a)
		}
		if strings.HasSuffix(a, " true") {
			hits++
		}
	}
	if h.calls.Load() != 1 || hits != 199 {
		t.Errorf("%d calls of the target, %d hits", h.calls.Load(), hits)
	}
}

func TestAttachment(t *testing.T) {
	h := &host{t: t}
	caches := cachetest.New(t, time.Now)
	twice := strings.NewReplacer("<Step><Name>RC-1</Name></Step>", "<Step><Name>RC-1</Name></Step><Step><Name>RC-1</Name></Step>")
	for _, tt := range []struct{ proxy, target, want string }{
		{proxy, target, ""},
		{twice.Replace(proxy), target, "ResponseCacheStepAttachmentNotAllowedReq"},
		{proxy, twice.Replace(target), "ResponseCacheStepAttachmentNotAllowedResp"},
		{proxy, strings.Replace(target, "<PostFlow", "<PreFlow><Request><Step><Name>RC-1</Name></Step></Request></PreFlow><PostFlow", 1), "ResponseCacheStepAttachmentNotAllowedReq"},
	} {
		_, problems := compile(h, caches, "", tt.proxy, tt.target)
		err := problems.Err()
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want+":") {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	m := policytest.ParseMessage(f, message.Response, []byte("203 Custom\nA: b\nA: c\n\nbody"))
	data, err := encode(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("r1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := decode(data)
		if m == nil {
			return
		}
		again, err := encode(m)
		if err != nil {
			return // a body that is not what its Content-Encoding says
		}
		if n := decode(again); n == nil || policytest.Print(n) != policytest.Print(m) && m.Header.Get("Content-Encoding") == "" && !strings.Contains(policytest.Print(m), "onnection") {
			t.Errorf("%q becomes %q", data, again)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	c := cachetest.New(b, func() time.Time { return policytest.Now })
	data, err := encode(policytest.ParseMessage(b, message.Response, []byte("200 OK\nContent-Type: application/json\nETag: x\n\n"+strings.Repeat("x", 1024))))
	if err != nil {
		b.Fatal(err)
	}
	c.Put(b.Context(), policy.CacheKey{Key: "org__test__proxy__1__default__/v1/x?a=1"}, data, time.Time{})
	p := policytest.Compile(b, Kind, `<ResponseCache name="RC-1"><CacheKey><KeyFragment ref="request.uri"/></CacheKey></ResponseCache>`, policy.Services{Caches: c})
	fc := policytest.Context(b, map[string][]byte{"request": []byte("GET /v1/x?a=1\n")})
	b.ReportAllocs()
	for b.Loop() {
		clear(fc.Session)
		if p.Run(b.Context(), fc) != nil || fc.Answered() == flow.NoAnswer {
			b.Fatal("no hit")
		}
	}
}
