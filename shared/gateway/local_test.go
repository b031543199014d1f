package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http/httptest"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// read reads the body of the request; echo answers with it.
var (
	read = policy.Define("Read", func(_ *struct{ policy.Header }, env *policy.Env) (policy.Policy, error) {
		content := env.Var("request.content")
		return policy.Func(func(_ context.Context, fc *flow.Context) error { content.Get(fc); return nil }), nil
	})
	echo = policy.Define("Echo", func(_ *struct{ policy.Header }, env *policy.Env) (policy.Policy, error) {
		from, to := env.Var("request.content"), env.Var("response.content")
		return policy.Func(func(_ context.Context, fc *flow.Context) error { return to.Set(fc, from.Get(fc)) }), nil
	})
)

// TestLocalTargetEncodedBody hands a compressed body on to another proxy, whether
// the first one has read it or not.
func TestLocalTargetEncodedBody(t *testing.T) {
	for name, step := range map[string]string{
		"read":   `<Step><Name>R</Name></Step>`,
		"unread": ``,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(o *gateway.Options) { o.Kinds = policy.NewKinds(read, echo) })
			f.deployZip("inner", zipOf(t, map[string]string{
				"apiproxy/proxies/default.xml": `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Response><Step><Name>E</Name></Step></Response></PreFlow><HTTPProxyConnection><BasePath>/inner</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`,
				"apiproxy/policies/E.xml":      `<Echo name="E"/>`,
			}))
			f.deployZip("outer", zipOf(t, map[string]string{
				"apiproxy/proxies/default.xml": `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Request>` + step + `</Request></PreFlow><HTTPProxyConnection><BasePath>/outer</BasePath></HTTPProxyConnection><RouteRule name="r"><TargetEndpoint>default</TargetEndpoint></RouteRule></ProxyEndpoint>`,
				"apiproxy/targets/default.xml": `<TargetEndpoint name="default"><LocalTargetConnection><APIProxy>inner</APIProxy><ProxyEndpoint>default</ProxyEndpoint></LocalTargetConnection></TargetEndpoint>`,
				"apiproxy/policies/R.xml":      `<Read name="R"/>`,
			}))
			var body bytes.Buffer
			z := gzip.NewWriter(&body)
			z.Write([]byte("hello"))
			f.must(z.Close())
			r := httptest.NewRequest("POST", "http://api.example.com/outer", &body)
			r.Header.Set("Content-Encoding", "gzip")
			w := httptest.NewRecorder()
			f.g.ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != "hello" {
				t.Errorf("got %d %q, want 200 and hello", w.Code, w.Body)
			}
		})
	}
}
