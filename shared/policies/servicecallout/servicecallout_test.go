package servicecallout

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/target"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{Callouts: network{}, LocalCallouts: network{}}
	}))
}

// network answers calls by the last part of the URL's path.
type network struct{ policy.Callouts }

func (network) Compile(c *bundle.HTTPTargetConnection, env *policy.Env) policy.Callout {
	return service(c.URL[strings.LastIndexByte(c.URL, '/')+1:])
}

func (network) CompileLocal(c *bundle.LocalTargetConnection, env *policy.Env) policy.Callout {
	return service("echo")
}

type service string

func (s service) Send(ctx context.Context, fc *flow.Context, req *message.Message) (*message.Message, error) {
	resp := message.NewResponse()
	resp.SetStream(io.NopCloser(bytes.NewReader(nil)), 0)
	switch s {
	case "echo":
		resp.Header.Add("Content-Type", "text/plain")
		resp.SetStream(io.NopCloser(strings.NewReader(policytest.Print(req))), -1)
		return resp, nil
	case "404":
		resp.Status = 404
		resp.SetStream(io.NopCloser(strings.NewReader("no such thing")), -1)
		f := fault.New("messaging.adaptors.http.flow.ErrorResponseCode", 404, "ResponseCode 404 is treated as error")
		f.Message = resp
		return resp, f
	case "slow":
		<-ctx.Done()
		return nil, fault.New("messaging.adaptors.http.flow.GatewayTimeout", 504, "Gateway Timeout").WithCause(ctx.Err())
	case "big":
		resp.Limit = 2
		resp.SetStream(io.NopCloser(strings.NewReader("123")), -1)
		return resp, nil
	case "token":
		return nil, fault.New("messaging.adaptors.http.filter.GoogleTokenGenerationFailure", 500, "Failed to generate Google token")
	case "late":
		return nil, fault.New("flow.APITimedOut", 504, "API timed out")
	case "ssl":
		return nil, fault.New("messaging.adaptors.http.flow.SslHandshakeFailed", 503, "SSL Handshake failed x")
	}
	return nil, fault.New("messaging.adaptors.http.flow.ServiceUnavailable", 503, "The Service is temporarily unavailable")
}

// TestOverHTTP calls a real service through the connector.
func TestOverHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.String()+" "+r.Header.Get("X-A")+" "+r.Header.Get("X-Client"))
		w.Write(body)
	}))
	defer srv.Close()
	p := policytest.Compile(t, Kind, `<ServiceCallout name="SC-1">
  <Request><Set>
    <Headers><Header name="X-A">{request.verb}</Header></Headers>
    <QueryParams><QueryParam name="q">a b</QueryParam></QueryParams>
    <Verb>POST</Verb><Payload contentType="text/plain">hi</Payload>
  </Set></Request>
  <Response>r</Response>
  <HTTPTargetConnection><URL>`+srv.URL+`/base/{request.queryparam.id}</URL></HTTPTargetConnection>
</ServiceCallout>`, policy.Services{Callouts: target.New(target.Options{})})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("PUT /v1/pets?id=7\nX-Client: 1\n")})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"r.status.code":             "200",
		"r.content":                 "hi",
		"r.header.x-seen":           "POST /base/7?q=a%20b PUT",
		"servicecallout.requesturi": "/base/7?q=a%20b",
	} {
		if got := strings.TrimSpace(fc.Text(name)); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// TestWithoutResponse checks that the flow does not wait, that the call still
// knows its variables, and that nothing of it is lost when the flow changes
// the request or the caller is gone.
func TestWithoutResponse(t *testing.T) {
	got := make(chan string, 1)
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(body)
	}))
	defer srv.Close()
	p := policytest.Compile(t, Kind, `<ServiceCallout name="SC-1">
  <Request variable="mine"><Set><Verb>POST</Verb><Payload>{who}</Payload></Set></Request>
  <HTTPTargetConnection><URL>`+srv.URL+`/{who}</URL></HTTPTargetConnection>
</ServiceCallout>`, policy.Services{Callouts: target.New(target.Options{})})
	fc := policytest.Context(t, nil)
	fc.PutText("who", "pat")
	ctx, cancel := context.WithCancel(t.Context())
	if err := p.Run(ctx, fc); err != nil {
		t.Fatal(err)
	}
	cancel()
	fc.PutText("who", "sam")
	if s := fc.Text("mine.content"); s != "" {
		t.Errorf("the payload %q was not cleared", s)
	}
	close(release)
	fc.Drain(t.Context())
	if s := <-got; s != "/pat pat" {
		t.Errorf("the service got %q", s)
	}
}

// TestCallersDeadline leaves the fault of the call itself alone.
func TestCallersDeadline(t *testing.T) {
	p := policytest.Compile(t, Kind, `<ServiceCallout name="SC-1"><Response>r</Response>
  <HTTPTargetConnection><URL>http://x/late</URL></HTTPTargetConnection></ServiceCallout>`, policy.Services{Callouts: network{}})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	f, ok := p.Run(ctx, policytest.Context(t, nil)).(*fault.Fault)
	if !ok || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", f)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ServiceCallout name="SC-1">
  <Request><Set><Headers><Header name="X-A">{request.verb}</Header></Headers></Set></Request>
  <Response>r</Response>
  <HTTPTargetConnection><URL>http://x/nothing</URL></HTTPTargetConnection>
</ServiceCallout>`, policy.Services{Callouts: nothing{}})
	policytest.Bench(b, p, nil)
}

// nothing answers at once.
type nothing struct{ policy.Callouts }

func (nothing) Compile(*bundle.HTTPTargetConnection, *policy.Env) policy.Callout { return nothing{} }

func (nothing) Send(context.Context, *flow.Context, *message.Message) (*message.Message, error) {
	return message.NewResponse(), nil
}
