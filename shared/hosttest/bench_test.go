package hosttest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/hosttest"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
)

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

type bufferPool struct{ p sync.Pool }

func (b *bufferPool) Get() []byte {
	if v, ok := b.p.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(v []byte) { b.p.Put(&v) }

// BenchmarkPassThrough compares a proxy without policies with
// httputil.ReverseProxy on a tuned Transport; run it with -cpu 1.
func BenchmarkPassThrough(b *testing.B) {
	backend := hosttest.RawBackend(b)
	b.Run("reverseproxy", func(b *testing.B) {
		u, _ := url.Parse(backend)
		p := httputil.NewSingleHostReverseProxy(u)
		p.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true, IdleConnTimeout: time.Minute}
		p.BufferPool = new(bufferPool)
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

// chain is a proxy of 20 steps without I/O: what a careful team's proxy does to a
// request and its response.
func chain() fstest.MapFS {
	files := fstest.MapFS{}
	policies := map[string]string{
		"AM-Headers": `<AssignMessage name="AM-Headers"><Set><Headers><Header name="X-Request-Id">{messageid}</Header><Header name="X-Client">{client.ip}</Header></Headers></Set><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></AssignMessage>`,
		"AM-Remove":  `<AssignMessage name="AM-Remove"><Remove><Headers><Header name="X-Internal"/><Header name="X-Debug"/></Headers></Remove></AssignMessage>`,
		"AM-Vars":    `<AssignMessage name="AM-Vars"><AssignVariable><Name>flow.tenant</Name><Ref>request.header.x-tenant</Ref><Value>none</Value></AssignVariable><AssignVariable><Name>flow.key</Name><Template>{flow.tenant}-{request.verb}</Template></AssignVariable></AssignMessage>`,
		"EV-Path":    `<ExtractVariables name="EV-Path"><URIPath><Pattern>/{kind}/{id}</Pattern></URIPath><VariablePrefix>path</VariablePrefix><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></ExtractVariables>`,
		"EV-Query":   `<ExtractVariables name="EV-Query"><QueryParam name="limit"><Pattern>{limit}</Pattern></QueryParam><VariablePrefix>q</VariablePrefix><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></ExtractVariables>`,
		"RF-Limit":   `<RaiseFault name="RF-Limit"><FaultResponse><Set><StatusCode>400</StatusCode></Set></FaultResponse></RaiseFault>`,
		"AC-All":     `<AccessControl name="AC-All"><IPRules noRuleMatchAction="ALLOW"><MatchRule action="DENY"><SourceAddress mask="24">198.51.100.1</SourceAddress></MatchRule></IPRules></AccessControl>`,
		"SA":         `<SpikeArrest name="SA"><Rate>1000000ps</Rate></SpikeArrest>`,
	}
	for name, text := range policies {
		files["apiproxy/policies/"+name+".xml"] = &fstest.MapFile{Data: []byte(text)}
	}
	step := func(name, condition string) string {
		if condition != "" {
			condition = "<Condition>" + condition + "</Condition>"
		}
		return "<Step><Name>" + name + "</Name>" + condition + "</Step>"
	}
	request := step("SA", "") + step("AC-All", "") + step("EV-Path", "") + step("EV-Query", "") +
		step("AM-Vars", "") + step("RF-Limit", `q.limit = "0"`) + step("AM-Remove", "") + step("AM-Headers", "") +
		step("RF-Limit", `request.verb = "TRACE"`) + step("AM-Vars", `path.kind != null`)
	response := step("AM-Headers", "") + step("AM-Remove", "") + step("AM-Vars", "") + step("AM-Headers", `response.status.code = 200`) + step("RF-Limit", `response.status.code >= 500`)
	files["apiproxy/proxies/default.xml"] = &fstest.MapFile{Data: []byte(`<ProxyEndpoint name="default">
<PreFlow name="PreFlow"><Request>` + request + `</Request><Response>` + response + `</Response></PreFlow>
<PostFlow name="PostFlow"><Response>` + response + `</Response></PostFlow>
<HTTPProxyConnection><BasePath>/chain</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`)}
	return files
}

// BenchmarkChain runs the 20 steps in the pipeline alone.
func BenchmarkChain(b *testing.B) {
	bu, err := bundle.LoadFS(chain())
	if err != nil {
		b.Fatal(err)
	}
	p, problems := pipeline.Compile(bu, policy.NewKinds(policies.All...), pipeline.Options{Organization: "org", Environment: "test", Name: "chain", Revision: "1"})
	if p == nil {
		b.Fatal(problems)
	}
	ep := p.Endpoints[0]
	now := time.Now()
	clock := func() time.Time { now = now.Add(time.Millisecond); return now }
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		fc := flow.New(ep.Info, clock)
		fc.Client.IP, fc.Client.Scheme = "203.0.113.7", "https"
		m := fc.Request
		m.Verb, m.Path, m.Query = "GET", "/chain/pets/7", message.ParseParams("limit=10")
		m.Header.Add("Host", "api.example.com")
		m.Header.Add("X-Tenant", "acme")
		m.Header.Add("X-Debug", "1")
		m.Header.Add("Accept", "*/*")
		fc.BasePath, fc.PathSuffix, fc.RawURI = "/chain", "/pets/7", "/chain/pets/7?limit=10"
		if resp := ep.Run(ctx, fc); resp.Status != 200 {
			b.Fatal(resp.Status, resp.Text())
		}
		fc.Drain(ctx)
		fc.Release()
	}
}

// BenchmarkLoadAndCompile loads and compiles a bundle of 50 files from its zip.
func BenchmarkLoadAndCompile(b *testing.B) {
	files := chain()
	for i := range 42 - 1 {
		name := fmt.Sprintf("AM-%d", i)
		files["apiproxy/policies/"+name+".xml"] = &fstest.MapFile{Data: []byte(`<AssignMessage name="` + name + `"><Set><Headers><Header name="X-N">{request.header.n}</Header></Headers><Payload contentType="application/json">{"a":"{request.queryparam.a}","b":"{system.timestamp}"}</Payload></Set></AssignMessage>`)}
	}
	bu, err := bundle.LoadFS(files)
	if err != nil {
		b.Fatal(err)
	}
	zip, err := bundle.Zip(bu)
	if err != nil {
		b.Fatal(err)
	}
	kinds := policy.NewKinds(policies.All...)
	b.ReportAllocs()
	for b.Loop() {
		bu, err := bundle.LoadZip(zip, bundle.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if p, problems := pipeline.Compile(bu, kinds, pipeline.Options{Organization: "org", Environment: "test", Name: "chain", Revision: "1"}); p == nil {
			b.Fatal(problems)
		}
	}
}
