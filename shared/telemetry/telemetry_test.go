package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collecttrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
	"github.com/perigee-gateway/perigee/shared/telemetry"
)

// receiver is an OTLP receiver.
type receiver struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex
	// spans and metrics are what arrived; raw all of it as bytes.
	spans    []*tracepb.Span
	metrics  map[string]*metricpb.Metric
	service  string
	raw      bytes.Buffer
	exports  int
	status   int // of answers, if not 0
	requests int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, metrics: map[string]*metricpb.Metric{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	body, _ := io.ReadAll(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			r.t.Error(err)
			return
		}
		body, _ = io.ReadAll(zr)
	}
	r.raw.Write(body)
	r.exports++
	switch req.URL.Path {
	case "/v1/traces":
		var e collecttrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &e); err != nil {
			r.t.Error(err)
		}
		for _, rs := range e.ResourceSpans {
			r.service = attr(rs.Resource.Attributes, "service.name")
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	case "/v1/metrics":
		var e collectmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &e); err != nil {
			r.t.Error(err)
		}
		for _, rm := range e.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					r.metrics[m.Name] = m
				}
			}
		}
	default:
		r.t.Errorf("call of %s", req.URL.Path)
	}
}

func (r *receiver) span(name string) *tracepb.Span {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Name == name {
			return s
		}
	}
	r.t.Fatalf("there is no span %q", name)
	return nil
}

func attr(list []*commonpb.KeyValue, key string) string {
	for _, a := range list {
		if a.Key == key {
			if s := a.Value.GetStringValue(); s != "" {
				return s
			}
			return a.Value.String()
		}
	}
	return ""
}

// gateway is a gateway over the bundles of hosttest, whose target notes the
// headers it gets.
func gateway(t *testing.T, change func(*boot.Config)) (http.Handler, *boot.Host, func() http.Header) {
	t.Helper()
	var mu sync.Mutex
	var got http.Header
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = r.Header.Clone()
		_, _ = io.WriteString(w, "backend")
	}))
	t.Cleanup(backend.Close)
	c := hosttest.Seed(t, backend.URL)
	if change != nil {
		change(&c)
	}
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h.GatewayHandler(), h, func() http.Header { mu.Lock(); defer mu.Unlock(); return got }
}

func call(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://api.example.com"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// The spans of a call are with the receiver when its handler has returned; they
// continue the caller's trace, and the target is told of its span.
func TestTraces(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
	t.Setenv("OTEL_SERVICE_NAME", "gateway-of-test")
	g, _, got := gateway(t, nil)
	w := call(t, g, "POST", "/read/x?hidden=hunter2", `{"n":1,"s":"hunter2"}`, "Content-Type", "application/json", "Traceparent", parent, "Authorization", "Bearer hunter2")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	root, target := r.span("POST /read"), r.span("target default")
	if r.service != "gateway-of-test" {
		t.Errorf("service is %q", r.service)
	}
	for name, want := range map[string]string{
		"perigee.proxy": "read", "perigee.revision": "1", "perigee.environment": "test", "http.request.method": "POST", "http.route": "/read",
		"http.response.status_code": "int_value:200",
	} {
		if v := attr(root.Attributes, name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if hex.EncodeToString(root.TraceId) != traceID || hex.EncodeToString(root.ParentSpanId) != "00f067aa0ba902b7" || root.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the call's span is %v", root)
	}
	if !bytes.Equal(target.ParentSpanId, root.SpanId) || target.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("the target's span is %v", target)
	}
	if want := "00-" + traceID + "-" + hex.EncodeToString(target.SpanId) + "-01"; got().Get("Traceparent") != want {
		t.Errorf("the target got %q, want %q", got().Get("Traceparent"), want)
	}
	policies := 0
	for _, s := range r.spans {
		if strings.HasPrefix(s.Name, "policy ") {
			policies++
			if !bytes.Equal(s.ParentSpanId, root.SpanId) || attr(s.Attributes, "perigee.policy.type") == "" || attr(s.Attributes, "perigee.phase") == "" {
				t.Errorf("the policy's span is %v", s)
			}
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.EndTimeUnixNano == 0 {
			t.Errorf("span %s ends before it starts", s.Name)
		}
	}
	if policies == 0 {
		t.Error("there is no span of a policy")
	}
	if r.exports != 1 {
		t.Errorf("the call cost %d exports", r.exports)
	}
	if strings.Contains(r.raw.String(), "hunter2") {
		t.Error("a span holds what the caller sent")
	}
}

func TestFaults(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	g, _, _ := gateway(t, nil)
	if w := call(t, g, "DELETE", "/hello", ""); w.Code != 405 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	root := r.span("DELETE /hello")
	if attr(root.Attributes, "error.type") == "" || len(root.Events) == 0 {
		t.Errorf("the call's span is %v", root)
	}
	failed := false
	for _, s := range r.spans {
		failed = failed || strings.HasPrefix(s.Name, "policy ") && s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
	}
	if !failed {
		t.Error("no policy's span failed")
	}
}

// A caller that is not traced is not, and the target still gets its context.
func TestNotSampled(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	g, _, got := gateway(t, nil)
	unsampled := strings.TrimSuffix(parent, "01") + "00"
	call(t, g, "GET", "/echo/x", "", "Traceparent", unsampled)
	if len(r.spans) > 0 {
		t.Errorf("spans: %v", r.spans)
	}
	if v := got().Get("Traceparent"); v != unsampled {
		t.Errorf("the target got %q", v)
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	g, _, _ = gateway(t, nil)
	call(t, g, "GET", "/echo/x", "")
	if len(r.spans) > 0 {
		t.Errorf("spans: %v", r.spans)
	}
}

func TestMetrics(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", r.URL+"/v1/metrics")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
	g, _, got := gateway(t, nil)
	call(t, g, "GET", "/echo/x", "")
	call(t, g, "DELETE", "/hello", "")
	time.Sleep(2 * time.Millisecond) // the interval
	call(t, g, "GET", "/echo/x", "")
	if got().Get("Traceparent") != "" || len(r.spans) > 0 {
		t.Error("traces are on")
	}
	for _, name := range []string{
		"perigee.requests", "perigee.request.duration", "perigee.target.duration", "perigee.faults", "perigee.cold.loads", "perigee.cold.duration",
		"perigee.store.reads", "perigee.store.round_trips",
	} {
		if r.metrics[name] == nil {
			t.Errorf("there is no metric %s", name)
		}
	}
	total := int64(0)
	for _, p := range r.metrics["perigee.requests"].GetSum().GetDataPoints() {
		total += p.GetAsInt()
		if attr(p.Attributes, "perigee.proxy") == "" || attr(p.Attributes, "http.response.status_code") == "" {
			t.Errorf("attributes are %v", p.Attributes)
		}
	}
	if total != 3 {
		t.Errorf("%d requests", total)
	}
}

// What is not exported for a minute is exported when the process ends.
func TestClose(t *testing.T) {
	r := newReceiver(t)
	g, h, _ := gateway(t, func(*boot.Config) { t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL) })
	call(t, g, "GET", "/echo/x", "")
	if len(r.metrics) > 0 {
		t.Error("metrics are exported before it is time")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if r.metrics["perigee.requests"] == nil {
		t.Error("metrics are lost")
	}
}

// A receiver that is away or refuses costs no call its answer.
func TestReceiverAway(t *testing.T) {
	r := newReceiver(t)
	r.status = 400
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
	g, _, _ := gateway(t, nil)
	for range 2 {
		if w := call(t, g, "GET", "/echo/x", ""); w.Code != 200 || w.Body.String() != "backend" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if r.requests == 0 {
		t.Error("nothing was tried")
	}
}

func TestOff(t *testing.T) {
	for name, env := range map[string][]string{
		"nothing":  {},
		"disabled": {"OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
		"none":     {"OTEL_TRACES_EXPORTER", "none", "OTEL_METRICS_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(env); i += 2 {
				t.Setenv(env[i], env[i+1])
			}
			got, err := telemetry.New(t.Context(), telemetry.Options{})
			if got != nil || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			if got.Traces() || got.Metrics() || got.Close(context.Background()) != nil {
				t.Error("what is off does something")
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER is "zipkin", want otlp or none`},
		{"OTEL_METRICS_EXPORTER", "console", `OTEL_METRICS_EXPORTER is "console"`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", want http/protobuf`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(c.name, c.value)
			if _, err := telemetry.New(t.Context(), telemetry.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v", err)
			}
			// The gateway serves all the same.
			g, _, _ := gateway(t, nil)
			if w := call(t, g, "GET", "/echo/x", ""); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// perigee serve has /metrics beside its Management API, as long as nobody else
// can reach that.
func TestPrometheus(t *testing.T) {
	g, h, _ := gateway(t, func(c *boot.Config) { c.Local, c.InsecureManagement = true, true })
	call(t, g, "GET", "/echo/x", "")
	call(t, g, "GET", "/echo/x", "")
	call(t, g, "DELETE", "/hello", "")
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://127.0.0.1:8081/metrics", nil)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %s", w.Code, w.Header())
	}
	for _, want := range []string{
		"# TYPE perigee_requests_total counter\n", `perigee_requests_total{http_response_status_code="200",environment="test",proxy="echo"} 2` + "\n",
		`perigee_requests_total{http_response_status_code="405",environment="test",proxy="hello"} 1` + "\n",
		`perigee_request_duration_seconds_count{environment="test",proxy="echo"} 2` + "\n", `perigee_request_duration_seconds_bucket{environment="test",proxy="echo",le="+Inf"} 2` + "\n",
		`perigee_target_duration_seconds_count{environment="test",proxy="echo",target="default"} 2` + "\n", `perigee_cold_loads_total{environment="test",proxy="echo"} 1` + "\n",
		"perigee_faults_total{", "perigee_store_reads_total ", "perigee_store_round_trips_total ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %q:\n%s", want, w.Body)
		}
	}
	_, closed, _ := gateway(t, func(c *boot.Config) { c.Local, c.InsecureManagement = true, false })
	if api, err = closed.ManagementHandler(); err != nil {
		t.Fatal(err)
	}
	w = httptest.NewRecorder()
	api.ServeHTTP(w, r)
	if w.Code != 404 && w.Code != 401 {
		t.Errorf("with authentication /metrics answers %d", w.Code)
	}
}

// BenchmarkCall compares calls without telemetry, with metrics, and with traces
// that are not sampled.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name string
		env  []string
	}{
		{"off", nil},
		{"metrics", []string{"OTEL_METRICS_EXPORTER", "otlp"}},
		{"unsampled", []string{"OTEL_TRACES_EXPORTER", "otlp", "OTEL_TRACES_SAMPLER", "always_off"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for i := 0; i < len(c.env); i += 2 {
				b.Setenv(c.env[i], c.env[i+1])
			}
			h, err := boot.Open(b.Context(), hosttest.Seed(b, "http://127.0.0.1:1"))
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			g := h.GatewayHandler()
			b.ReportAllocs()
			for b.Loop() {
				g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://api.example.com/hello/Ada", nil))
			}
		})
	}
}
