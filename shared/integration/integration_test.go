package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policies/integrationcallout"
	"github.com/perigee-gateway/perigee/shared/policies/setintegrationrequest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/target"
)

// tokens mints tokens that say whose they are.
type tokens struct{ err error }

func (t tokens) IDToken(context.Context, string, string, bool) (string, error) {
	return "", errors.New("not an ID token")
}

func (t tokens) AccessToken(_ context.Context, account string, scopes []string, life time.Duration) (string, error) {
	return fmt.Sprintf("%s|%s|%v", account, strings.Join(scopes, " "), life), t.err
}

// api is Application Integration: it says what it was asked.
func api(t *testing.T) (*httptest.Server, *[]string) {
	var calls []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body))
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.Contains(r.URL.Path, "/integrations/missing:"):
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":{"code":404}}`)
		case strings.HasSuffix(r.URL.Path, ":schedule"):
			io.WriteString(w, `{"executionInfoIds":["e-1"]}`)
		default:
			io.WriteString(w, `{"executionId":"e-2","outputParameters":{"total":7}}`)
		}
	}))
	t.Cleanup(s.Close)
	return s, &calls
}

type gateway struct {
	t      *testing.T
	pool   *target.Pool
	server string
	tokens policy.GoogleTokens
}

// call runs one request through a proxy made of policies and an integration
// endpoint.
func (g gateway) call(files map[string]string) (*message.Message, *flow.Context) {
	g.t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree["apiproxy/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	b, err := bundle.LoadFS(tree)
	if b == nil {
		g.t.Fatal(err)
	}
	service := integration.New(integration.Options{
		Send: g.pool.Send, Tokens: g.tokens, Project: "own-project",
		Endpoint: func(region string) string { return g.server + "/" + region },
	})
	p, problems := pipeline.Compile(b, policy.NewKinds(setintegrationrequest.Kind, integrationcallout.Kind), pipeline.Options{
		Organization: "org", Environment: "test", Name: "p", Revision: "1", ServiceAccount: "sa@example.com",
		Services: policy.Services{Integrations: service},
		Integration: func(i *bundle.IntegrationEndpoint, env *policy.Env) pipeline.Target {
			return integration.Connect(i, service, env)
		},
	})
	if err := problems.Err(); err != nil {
		g.t.Fatal(err)
	}
	fc := flow.New(p.Endpoints[0].Info, time.Now)
	g.t.Cleanup(fc.Release)
	fc.Request.Verb = "GET"
	return p.Endpoints[0].Run(g.t.Context(), fc), fc
}

const setRequest = `<SetIntegrationRequest name="SI"><IntegrationName>NAME</IntegrationName><IntegrationRegion>us-east1</IntegrationRegion>
	<ApiTrigger>api_trigger/orders</ApiTrigger><Parameters><Parameter name="n" type="integer">7</Parameter></Parameters>EXTRA</SetIntegrationRequest>`

func proxy(steps, route string) string {
	return `<ProxyEndpoint name="default"><PreFlow><Request>` + steps + `</Request></PreFlow>
	<HTTPProxyConnection><BasePath>/</BasePath></HTTPProxyConnection><RouteRule name="r">` + route + `</RouteRule></ProxyEndpoint>`
}

const step = `<Step><Name>SI</Name></Step>`

func endpoint(async string) string {
	return `<IntegrationEndpoint name="my-int"><AsyncExecution>` + async + `</AsyncExecution></IntegrationEndpoint>`
}

func request(name, extra string) string {
	return strings.NewReplacer("NAME", name, "EXTRA", extra).Replace(setRequest)
}

const (
	auth = " Bearer sa@example.com|https://www.googleapis.com/auth/cloud-platform|1h0m0s application/json "
	body = `{"triggerId":"api_trigger/orders","inputParameters":{"n":{"intValue":"7"}}}`
)

// TestEndpoint runs integrations as a target, waiting for them and not.
func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		name, async, integration, extra string
		status                          int
		answer, call                    string
	}{
		{"sync", "false", "orders", "", 200, `{"executionId":"e-2","outputParameters":{"total":7}}`,
			"POST /us-east1/v1/projects/own-project/locations/us-east1/integrations/orders:execute" + auth + body},
		{"async", "true", "orders", "", 200, `{"executionInfoIds":["e-1"]}`,
			"POST /us-east1/v1/projects/own-project/locations/us-east1/integrations/orders:schedule" + auth + body},
		{"scheduled", "false", "orders", "<ScheduleTime>2026-04-01T12:00:00Z</ScheduleTime><ProjectId>other</ProjectId>", 200, `{"executionInfoIds":["e-1"]}`,
			"POST /us-east1/v1/projects/other/locations/us-east1/integrations/orders:schedule" + auth +
				`{"triggerId":"api_trigger/orders","scheduleTime":"2026-04-01T12:00:00Z","inputParameters":{"n":{"intValue":"7"}}}`},
		{"error passes", "false", "missing", "", 404, `{"error":{"code":404}}`,
			"POST /us-east1/v1/projects/own-project/locations/us-east1/integrations/missing:execute" + auth + body},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, calls := api(t)
			g := gateway{t, target.New(target.Options{}), s.URL, tokens{}}
			m, fc := g.call(map[string]string{
				"proxies/default.xml":              proxy(step, "<IntegrationEndpoint>my-int</IntegrationEndpoint>"),
				"policies/SI.xml":                  request(tt.integration, tt.extra),
				"integration-endpoints/my-int.xml": endpoint(tt.async),
			})
			if m.Status != tt.status || m.Text() != tt.answer {
				t.Errorf("%d %s", m.Status, m.Text())
			}
			if got := strings.Join(*calls, "\n"); got != tt.call {
				t.Errorf("called\n%s\nwant\n%s", got, tt.call)
			}
			if url := fc.Text("integration.target.url"); !strings.HasPrefix(url, s.URL) {
				t.Errorf("integration.target.url %q", url)
			}
		})
	}
}

func TestEndpointFaults(t *testing.T) {
	s, calls := api(t)
	dead := httptest.NewServer(nil)
	dead.Close()
	for _, tt := range []struct {
		name, server, steps string
		tokens              policy.GoogleTokens
		want                string
	}{
		{"no SetIntegrationRequest", s.URL, "", tokens{}, "500 messaging.runtime.IntegrationRequestMissing"},
		{"no token", s.URL, step, tokens{errors.New("denied")}, "500 messaging.adaptors.http.filter.GoogleTokenGenerationFailure"},
		{"no tokens at all", s.URL, step, nil, "500 messaging.adaptors.http.filter.GoogleTokenGenerationFailure"},
		{"unreachable", dead.URL, step, tokens{}, "503 messaging.adaptors.http.flow.ServiceUnavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			*calls = nil
			g := gateway{t, target.New(target.Options{}), tt.server, tt.tokens}
			m, fc := g.call(map[string]string{
				"proxies/default.xml":              proxy(tt.steps, "<IntegrationEndpoint>my-int</IntegrationEndpoint>"),
				"policies/SI.xml":                  request("orders", ""),
				"integration-endpoints/my-int.xml": endpoint("false"),
			})
			if fc.Fault == nil || fmt.Sprintf("%d %s", m.Status, fc.Fault.Code) != tt.want || !fc.Fault.Target {
				t.Errorf("%d %+v, want %s", m.Status, fc.Fault, tt.want)
			}
			if len(*calls) > 0 {
				t.Errorf("called %v", *calls)
			}
		})
	}
}

// TestCallout runs integrations in the flow; two requests at once are kept
// apart.
func TestCallout(t *testing.T) {
	for _, tt := range []struct{ name, integration, async, want, answer string }{
		{"sync", "orders", "false", "", `{"executionId":"e-2","outputParameters":{"total":7}}`},
		{"async", "orders", "true", "", `{"executionInfoIds":["e-1"]}`},
		{"error", "missing", "false", `{"fault":{"faultstring":"Execution of IntegrationCallout IC failed. Reason: ResponseCode 404 is treated as error","detail":{"errorcode":"steps.integrationcallout.ExecutionFailed"}}}`, `{"error":{"code":404}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, calls := api(t)
			g := gateway{t, target.New(target.Options{}), s.URL, tokens{}}
			m, fc := g.call(map[string]string{
				"proxies/default.xml": proxy(step+`<Step><Name>SI2</Name></Step><Step><Name>IC</Name></Step>`, ""),
				"policies/SI.xml":     request(tt.integration, "<Request>mine</Request>"),
				"policies/SI2.xml":    strings.Replace(request("second", "<Request>second</Request>"), `"SI"`, `"SI2"`, 1),
				"policies/IC.xml":     `<IntegrationCallout name="IC"><AsyncExecution>` + tt.async + `</AsyncExecution><Request clearPayload="true">mine</Request><Response>answer</Response></IntegrationCallout>`,
			})
			if got := fc.Text("answer.content"); got != tt.answer {
				t.Errorf("answer %s", got)
			}
			if m.Text() != tt.want {
				t.Errorf("%d %s", m.Status, m.Text())
			}
			if len(*calls) != 1 || !strings.Contains((*calls)[0], "/integrations/"+tt.integration+":") {
				t.Errorf("called %v", *calls)
			}
			if fc.Text("mine.content") != "" {
				t.Error("the payload is not cleared")
			}
		})
	}
}

// TestNames: nothing of a variable may change where the token goes.
func TestNames(t *testing.T) {
	s, calls := api(t)
	service := integration.New(integration.Options{Send: target.New(target.Options{}).Send, Tokens: tokens{}, Endpoint: func(string) string { return s.URL }})
	for _, c := range []policy.IntegrationCall{
		{Project: "p", Region: "evil.example/#", Name: "n"},
		{Project: "p", Region: "r", Name: "../x"},
		{Project: "p/../q", Region: "r", Name: "n"},
		{Project: "", Region: "r", Name: "n"},
	} {
		if _, _, err := service.Run(t.Context(), "", &c); err == nil {
			t.Errorf("%+v is called", c)
		}
	}
	if len(*calls) > 0 {
		t.Errorf("called %v", *calls)
	}
	if !integration.ValidProject("example.com:my-project") || integration.ValidProject("a:b:c") || integration.ValidProject("a.b") {
		t.Error("ValidProject")
	}
}
