package pipeline

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// read reads the content of the response, as any policy may whatever the
// endpoint says of streaming.
var read = policy.Define("Read", func(c *markConfig, env *policy.Env) (policy.Policy, error) {
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		fc.PutText("seen", fc.Text("response.content"))
		return nil
	}), nil
})

// brokenTarget answers with a body that ends in an error.
type brokenTarget struct{}

func (brokenTarget) Prepare(*flow.Context) {}

func (brokenTarget) Send(_ context.Context, fc *flow.Context) error {
	m := fc.NewResponse()
	m.SetStream(io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("reset")))), -1)
	return nil
}

// A step that reads a body which does not come whole gets the fault of the
// target, not an empty text; fault rules still run.
func TestUnreadableResponse(t *testing.T) {
	for _, streaming := range []string{"true", "false"} {
		b, err := bundle.LoadFS(fstest.MapFS{
			"apiproxy/proxies/default.xml": {Data: []byte(`<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/</BasePath><Properties><Property name="response.streaming.enabled">` + streaming + `</Property></Properties></HTTPProxyConnection><RouteRule name="t"><TargetEndpoint>back</TargetEndpoint></RouteRule></ProxyEndpoint>`)},
			"apiproxy/targets/back.xml": {Data: []byte(`<TargetEndpoint name="back"><FaultRules><FaultRule name="r"><Condition>fault.name = "UnexpectedEOFAtTarget"</Condition><Step><Name>M</Name></Step></FaultRule></FaultRules>
				<PreFlow><Response><Step><Name>R</Name></Step></Response></PreFlow>
				<HTTPTargetConnection><URL>http://back</URL><Properties><Property name="response.streaming.enabled">` + streaming + `</Property></Properties></HTTPTargetConnection></TargetEndpoint>`)},
			"apiproxy/policies/R.xml": {Data: []byte(`<Read name="R"/>`)},
			"apiproxy/policies/M.xml": {Data: []byte(`<Mark name="M"/>`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		p, problems := Compile(b, policy.NewKinds(read, mark), Options{
			Target: func(*bundle.HTTPTargetConnection, string, *policy.Env) Target { return brokenTarget{} },
		})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		fc := flow.New(p.Endpoints[0].Info, time.Now)
		defer fc.Release()
		m := p.Endpoints[0].Run(t.Context(), fc)
		const want = `{"fault":{"faultstring":"Unexpected EOF at target","detail":{"errorcode":"messaging.adaptors.http.flow.UnexpectedEOFAtTarget"}}}`
		if m.Status != 502 || m.Text() != want {
			t.Errorf("streaming %s: %d %s", streaming, m.Status, m.Text())
		}
		if got := fc.Text("trail"); !strings.HasPrefix(got, "M@") {
			t.Errorf("streaming %s: the fault rule did not run: %q", streaming, got)
		}
	}
}
