package pipeline

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// put sets a variable, read keeps one.
type putConfig struct {
	policy.Header
	Name  string `xml:"Name"`
	Value string `xml:"Value"`
}

var put = policy.Define("Put", func(c *putConfig, env *policy.Env) (policy.Policy, error) {
	v, text := env.Var(c.Name), env.Template(bundle.Pos{}, c.Value)
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		s, err := text.Expand(fc, true)
		if err != nil {
			return err
		}
		return v.Set(fc, flow.StringValue(s))
	}), nil
})

// answers is a target that hands its response over and keeps what it was sent.
type answers struct {
	fields []message.Field
	body   io.Reader
	length int64
	sent   string
	err    error // of reading the request's body
}

func (a *answers) Prepare(*flow.Context) {}

func (a *answers) Send(_ context.Context, fc *flow.Context) error {
	data, stream, _, err := fc.Request.Body()
	if stream != nil {
		data, err = io.ReadAll(stream)
	}
	a.sent, a.err = string(data), err
	if errors.Is(err, message.ErrTooBig) {
		return fault.New("protocol.http.TooBigBody", 413, "Body buffer overflow")
	}
	m := fc.NewResponse()
	for _, f := range a.fields {
		m.Header.Add(f.Name, f.Value)
	}
	if a.body != nil {
		m.SetStream(io.NopCloser(a.body), a.length)
	}
	return nil
}

// endpoints is a proxy of one ProxyEndpoint and one TargetEndpoint, with what is
// inside them.
type endpoints struct {
	proxy, proxyProperties   string
	target, targetProperties string
	policies                 map[string]string
	hooks                    map[string]Hook
}

func (e endpoints) compile(t testing.TB, target Target) *Endpoint {
	t.Helper()
	files := fstest.MapFS{
		"apiproxy/proxies/default.xml": {Data: []byte(`<ProxyEndpoint name="default">` + e.proxy + `<HTTPProxyConnection><BasePath>/v1</BasePath><Properties>` + e.proxyProperties + `</Properties></HTTPProxyConnection>
			<RouteRule name="t"><TargetEndpoint>back</TargetEndpoint></RouteRule></ProxyEndpoint>`)},
		"apiproxy/targets/back.xml": {Data: []byte(`<TargetEndpoint name="back">` + e.target + `<HTTPTargetConnection><URL>http://back</URL><Properties>` + e.targetProperties + `</Properties></HTTPTargetConnection></TargetEndpoint>`)},
	}
	for name, xml := range e.policies {
		files["apiproxy/policies/"+name+".xml"] = &fstest.MapFile{Data: []byte(xml)}
	}
	b, err := bundle.LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	p, problems := Compile(b, policy.NewKinds(mark, fail, put), Options{
		Target: func(*bundle.HTTPTargetConnection, string, *policy.Env) Target { return target },
		Hook:   func(name string) (Hook, bool) { h, ok := e.hooks[name]; return h, ok },
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return p.Endpoints[0]
}

func property(name, value string) string {
	return `<Property name="` + name + `">` + value + `</Property>`
}

func newCall(t testing.TB, e *Endpoint, fields ...string) *flow.Context {
	fc := flow.New(e.Info, time.Now)
	t.Cleanup(fc.Release)
	fc.Request.Verb, fc.Request.Path = "POST", "/v1"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		fc.Request.Header.Add(name, value)
	}
	return fc
}

// outcome is the status and the short name of the fault of a finished call.
func outcome(fc *flow.Context, m *message.Message) (int, string) {
	if fc.Fault == nil {
		return m.Status, ""
	}
	return m.Status, fc.Fault.ShortName()
}

const overflow = "TooBigBody"

// TestPayloadLimits sends and receives bodies around the limits, of known length
// and not, read by a policy and not, streamed and not.
func TestPayloadLimits(t *testing.T) {
	const mb = 1 << 20
	reader := map[string]string{"R": `<Put name="R"><Name>x</Name><Value>{request.content}{response.content}</Value></Put>`}
	const reads = `<PreFlow><Request><Step><Name>R</Name></Step></Request><Response><Step><Name>R</Name></Step></Response></PreFlow>`
	upload, download := property("request.streaming.enabled", "true"), property("response.streaming.enabled", "true")
	for _, tt := range []struct {
		name             string
		proxy, target    string // properties
		reads            bool
		request, answer  int // MB
		chunked          bool
		status           int
		fault            string
		cut              bool // the response ends in an error on its way to the client
		requestTruncated bool
	}{
		{name: "10 MB both ways", request: 10, answer: 10, status: 200},
		{name: "10 MB read", reads: true, request: 10, answer: 10, status: 200},
		{name: "request over the default", request: 11, status: 413, fault: overflow},
		{name: "read request over the default", reads: true, request: 11, status: 413, fault: overflow},
		{name: "chunked request over the default", request: 11, chunked: true, status: 413, fault: overflow},
		{name: "read chunked request over the default", reads: true, request: 11, chunked: true, status: 413, fault: overflow},
		{name: "request under a larger limit", proxy: property("request.payload.parse.limit", "15M"), reads: true, request: 11, status: 200},
		{name: "30M is the most", proxy: property("request.payload.parse.limit", "40M"), reads: true, request: 31, status: 413, fault: overflow},
		{name: "response over the default", answer: 11, status: 502, fault: overflow},
		{name: "read response over the default", reads: true, answer: 11, status: 502, fault: overflow},
		{name: "chunked response over the default", answer: 11, chunked: true, status: 200, cut: true},
		{name: "read chunked response over the default", reads: true, answer: 11, chunked: true, status: 502, fault: overflow},
		{name: "response under a larger limit", target: property("response.payload.parse.limit", "15M"), reads: true, answer: 11, status: 200},
		{name: "streamed request", proxy: upload, target: upload, request: 11, status: 200},
		{name: "streamed chunked request", proxy: upload, target: upload, request: 11, chunked: true, status: 200},
		{name: "request streamed by the proxy only", proxy: upload, request: 11, status: 413, fault: overflow},
		{name: "chunked request streamed by the proxy only", proxy: upload, request: 11, chunked: true, status: 413, fault: overflow},
		{name: "request streamed by the target only", target: upload, request: 11, status: 413, fault: overflow},
		{name: "streamed response", proxy: download, target: download, answer: 11, status: 200},
		{name: "streamed chunked response", proxy: download, target: download, answer: 11, chunked: true, status: 200},
		{name: "response streamed by the proxy only", proxy: download, answer: 11, status: 502, fault: overflow},
		{name: "response streamed by the target only", target: download, answer: 11, status: 502, fault: overflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			length := func(n int) int64 {
				if tt.chunked {
					return -1
				}
				return int64(n * mb)
			}
			back := &answers{body: bytes.NewReader(make([]byte, tt.answer*mb)), length: length(tt.answer)}
			ends := endpoints{proxyProperties: tt.proxy, targetProperties: tt.target}
			if tt.reads {
				ends.proxy, ends.policies = reads, reader
			}
			e := ends.compile(t, back)
			fc := newCall(t, e)
			fc.Request.SetStream(io.NopCloser(bytes.NewReader(make([]byte, tt.request*mb))), length(tt.request))
			m := e.Run(t.Context(), fc)
			if status, name := outcome(fc, m); status != tt.status || name != tt.fault {
				t.Fatalf("%d %s, want %d %s", status, name, tt.status, tt.fault)
			}
			if tt.status != 200 {
				return
			}
			if len(back.sent) != tt.request*mb {
				t.Errorf("the target got %d bytes", len(back.sent))
			}
			data, stream, _, err := m.Body()
			if stream != nil {
				data, err = io.ReadAll(stream)
			}
			if tt.cut != errors.Is(err, message.ErrTooBig) || !tt.cut && len(data) != tt.answer*mb || tt.cut && len(data) > 10*mb {
				t.Errorf("the client gets %d bytes, %v", len(data), err)
			}
		})
	}
}

// Streams that are meant to last have no limit: gRPC, server-sent events.
func TestNoLimitOfLongStreams(t *testing.T) {
	for _, ct := range []string{"text/event-stream", "application/grpc", "application/grpc+proto"} {
		back := &answers{fields: []message.Field{{Name: "Content-Type", Value: ct}}, body: bytes.NewReader(make([]byte, 11<<20)), length: -1}
		e := endpoints{}.compile(t, back)
		m := e.Run(t.Context(), newCall(t, e))
		_, stream, _, _ := m.Body()
		if n, err := io.Copy(io.Discard, stream); err != nil || n != 11<<20 {
			t.Errorf("%s: %d bytes, %v", ct, n, err)
		}
	}
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

// TestResponseCompression is compression.algorithm of a ProxyEndpoint: how the
// client gets the response, whatever coding the target used.
func TestResponseCompression(t *testing.T) {
	for _, tt := range []struct{ algorithm, from, want string }{
		{"", "gzip", "gzip"}, {"", "", ""},
		{"gzip", "", "gzip"}, {"gzip", "gzip", "gzip"}, {"deflate", "gzip", "deflate"}, {"deflate", "", "deflate"},
		{"none", "gzip", ""}, {"none", "", ""},
		{"gzip", "br", "br"}, // cannot be undone
	} {
		body := []byte("hello")
		if tt.from == "gzip" {
			body = gzipped("hello")
		}
		back := &answers{body: bytes.NewReader(body), length: int64(len(body))}
		if tt.from != "" {
			back.fields = []message.Field{{Name: "Content-Encoding", Value: tt.from}}
		}
		ends := endpoints{}
		if tt.algorithm != "" {
			ends.proxyProperties = property("compression.algorithm", tt.algorithm)
		}
		e := ends.compile(t, back)
		m := e.Run(t.Context(), newCall(t, e))
		data, stream, _, err := m.Body()
		if stream != nil {
			data, err = io.ReadAll(stream)
		}
		if got := m.Header.Get("Content-Encoding"); got != tt.want || err != nil {
			t.Errorf("%s from %q: coding %q, %v, want %q", tt.algorithm, tt.from, got, err, tt.want)
		}
		sent := message.NewResponse()
		sent.Header.Set("Content-Encoding", m.Header.Get("Content-Encoding"))
		sent.SetStream(io.NopCloser(bytes.NewReader(data)), int64(len(data)))
		if sent.Text() != "hello" {
			t.Errorf("%s from %q: the client reads %q", tt.algorithm, tt.from, sent.Text())
		}
	}
}

// TestForwardedFor is the property X-Forwarded-For: the address that took the
// call is added to the header.
func TestForwardedFor(t *testing.T) {
	for _, tt := range []struct{ properties, had, want string }{
		{"", "10.0.0.1", "10.0.0.1"},
		{property("X-Forwarded-For", "false"), "10.0.0.1", "10.0.0.1"},
		{property("X-Forwarded-For", "true"), "10.0.0.1", "10.0.0.1,192.0.2.1"},
		{property("X-Forwarded-For", "true"), "", "192.0.2.1"},
	} {
		e := endpoints{proxyProperties: tt.properties}.compile(t, &answers{})
		fc := newCall(t, e)
		fc.Client.Host = "192.0.2.1"
		if tt.had != "" {
			fc.Request.Header.Set("X-Forwarded-For", tt.had)
		}
		e.Run(t.Context(), fc)
		if got := fc.Request.Header.Joined("X-Forwarded-For"); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.properties, tt.had, got, tt.want)
		}
	}
}

// TestQueryCharset is the table of request.queryparams.ignore.content.type.charset
// in the reference: a + is a blank only where a charset is named and not ignored.
func TestQueryCharset(t *testing.T) {
	for _, tt := range []struct{ value, contentType, want string }{
		{"", "", "john.doe+test@example.com"},
		{"false", "application/json", "john.doe+test@example.com"},
		{"false", "application/json; charset=utf-8", "john.doe test@example.com"},
		{"true", "application/json", "john.doe+test@example.com"},
		{"true", "application/json;Charset=utf-8", "john.doe+test@example.com"},
	} {
		ends := endpoints{}
		if tt.value != "" {
			ends.proxyProperties = property("request.queryparams.ignore.content.type.charset", tt.value)
		}
		e := ends.compile(t, &answers{})
		fc := newCall(t, e, "Content-Type: "+tt.contentType)
		fc.Request.Query = message.ParseParams("email=john.doe+test%40example.com")
		e.Run(t.Context(), fc)
		if got := fc.Text("request.queryparam.email"); got != tt.want {
			t.Errorf("%q %q: %q, want %q", tt.value, tt.contentType, got, tt.want)
		}
		if got := fc.Request.Query.Encode(); got != "email=john.doe+test%40example.com" {
			t.Errorf("%q %q: the query goes out as %s", tt.value, tt.contentType, got)
		}
	}
}

// TestDuplicateHeaders is HTTPHeader.allowDuplicates and HTTPHeader.multiValued.
func TestDuplicateHeaders(t *testing.T) {
	twice := []string{"Authorization: a", "Authorization: b"}
	for _, tt := range []struct {
		properties string
		fields     []string
		status     int
	}{
		{"", twice, 400},
		{"", []string{"X-A: 1", "X-A: 2"}, 200},
		{property("HTTPHeader.allowDuplicates", "Content-Type, authorization"), twice, 200},
		{property("HTTPHeader.allowDuplicates", "Content-Type"), twice, 400},
		{property("HTTPHeader.multiValued", "Authorization"), twice, 200},
	} {
		e := endpoints{proxyProperties: tt.properties}.compile(t, &answers{})
		fc := newCall(t, e, tt.fields...)
		m := e.Run(t.Context(), fc)
		if m.Status != tt.status || tt.status == 400 && fc.Fault.Code != "protocol.http.DuplicateHeader" {
			t.Errorf("%s %v: %d %s", tt.properties, tt.fields, m.Status, m.Text())
		}
	}
}

// slow waits for the end of its call.
type slow struct{}

func (slow) Prepare(*flow.Context) {}
func (slow) Send(ctx context.Context, _ *flow.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestAPITimeout is api.timeout: the budget of the whole call.
func TestAPITimeout(t *testing.T) {
	e := endpoints{proxyProperties: property("api.timeout", "30")}.compile(t, slow{})
	fc := newCall(t, e)
	m := e.Run(t.Context(), fc)
	fc.Drain(t.Context())
	if status, name := outcome(fc, m); status != 504 || name != "APITimedOut" {
		t.Errorf("%d %s", status, name)
	}
	late := newCall(t, e)
	late.Start = time.Now().Add(-time.Second)
	m = e.Run(t.Context(), late)
	late.Drain(t.Context())
	if status, name := outcome(late, m); status != 504 || name != "APITimedOut" {
		t.Errorf("no time left before the target: %d %s", status, name)
	}
}

// TestEventFlow runs the steps of an EventFlow once for each event.
func TestEventFlow(t *testing.T) {
	const events = "event: a\ndata: one\n\n: comment\ndata: two\ndata: lines\n\nid: 3\ndata: drop\n\ndata: last"
	const flows = `<EventFlow name="EventFlow" content-type="text/event-stream"><Response>
		<Step><Name>Note</Name></Step>
		<Step><Name>Drop</Name><Condition>response.event.current.data = "drop"</Condition></Step>
		<Step><Name>Upper</Name><Condition>response.event.current.count = 1</Condition></Step>
		<Step><Name>Bad</Name><Condition>response.event.current.data = "bad"</Condition></Step></Response></EventFlow>`
	policies := map[string]string{
		"Note":  `<Put name="Note"><Name>seen</Name><Value>{seen}[{response.event.current.count}:{response.event.current.data}]</Value></Put>`,
		"Drop":  `<Put name="Drop"><Name>response.event.current.content</Name><Value></Value></Put>`,
		"Upper": `<Put name="Upper"><Name>response.event.current.content</Name><Value>data: ONE</Value></Put>`,
		"Bad":   `<Fail name="Bad"><Code>steps.test.Bad</Code><Status>500</Status></Fail>`,
	}
	ends := endpoints{target: flows, policies: policies}
	run := func(ct, body string) (string, *flow.Context, error) {
		back := &answers{fields: []message.Field{{Name: "Content-Type", Value: ct}, {Name: "Content-Length", Value: "5"}}, body: strings.NewReader(body), length: int64(len(body))}
		e := ends.compile(t, back)
		fc := newCall(t, e)
		m := e.Run(t.Context(), fc)
		if m.Header.Has("Content-Length") && strings.HasPrefix(ct, "text/event-stream") {
			t.Error("a stream of events has a length")
		}
		_, stream, _, _ := m.Body()
		data, err := io.ReadAll(stream)
		return string(data), fc, err
	}
	got, fc, err := run("text/event-stream;charset=utf-8", events)
	if want := "data: ONE\n\n: comment\ndata: two\ndata: lines\n\ndata: last\n\n"; got != want || err != nil {
		t.Errorf("the client got %q, %v, want %q", got, err, want)
	}
	if got, want := fc.Text("seen"), "[1:one][2:two\nlines][3:drop][4:last]"; got != want {
		t.Errorf("steps saw %q, want %q", got, want)
	}
	got, _, err = run("text/event-stream", "data: bad\n\ndata: never\n\n")
	if want := "event: error\ndata: {\"fault\":{\"faultstring\":\"failed by Bad\",\"detail\":{\"errorcode\":\"steps.test.Bad\"}}}\n\n"; got != want || err != nil {
		t.Errorf("after a fault %q, %v, want %q", got, err, want)
	}
	if got, fc, _ = run("text/plain", events); got != events || fc.Text("seen") != "" {
		t.Errorf("what is no stream of events went through the EventFlow: %q", got)
	}
	ends = endpoints{proxy: flows, policies: policies}
	if got, fc, err = run("text/event-stream", events); !strings.HasPrefix(got, "data: ONE\n\n: comment") || err != nil || fc.Text("seen") == "" {
		t.Errorf("EventFlow of the ProxyEndpoint: %q, %v, seen %q", got, err, fc.Text("seen"))
	}
	ends = endpoints{
		proxy:    `<EventFlow name="EventFlow" content-type="text/event-stream"><Response><Step><Name>Note</Name></Step></Response></EventFlow>`,
		target:   `<EventFlow name="EventFlow" content-type="text/event-stream"><Response><Step><Name>Drop</Name></Step></Response></EventFlow>`,
		policies: policies,
	}
	if got, fc, err = run("text/event-stream", "data: 1\n\n"); got != "" || fc.Text("seen") != "" || err != nil {
		t.Errorf("an event that the target's EventFlow drops reaches the proxy's: %q", got)
	}
}

// TestEventsArrive: an event is passed on when it is whole, not when the next
// one or the end comes.
func TestEventsArrive(t *testing.T) {
	r, w := io.Pipe()
	back := &answers{fields: []message.Field{{Name: "Content-Type", Value: "text/event-stream"}}, body: r, length: -1}
	e := endpoints{
		target:   `<EventFlow name="e" content-type="text/event-stream"><Response><Step><Name>M</Name></Step></Response></EventFlow>`,
		policies: map[string]string{"M": `<Mark name="M"/>`},
	}.compile(t, back)
	m := e.Run(t.Context(), newCall(t, e))
	_, stream, _, _ := m.Body()
	for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
		go io.WriteString(w, event)
		buf := make([]byte, 64)
		n, err := stream.Read(buf)
		if string(buf[:n]) != event || err != nil {
			t.Errorf("%q, %v, want %q", buf[:n], err, event)
		}
	}
	w.Close()
	stream.Close()
}

// hookFlow is a shared flow that leaves its mark, and fails if it is told to.
type hookFlow struct{ fail bool }

func (h hookFlow) Run(_ context.Context, fc *flow.Context) error {
	fc.PutText("trail", strings.TrimSpace(fc.Text("trail")+" "+fc.FlowHook))
	if h.fail {
		return fault.New("steps.test.Hook", 500, "hook")
	}
	return nil
}

func (hookFlow) UsesContent() (request, response bool) { return false, false }

// TestFlowHooks: where the shared flows of an environment's hooks run, and what
// continueOnError does.
func TestFlowHooks(t *testing.T) {
	all := []string{PreProxyFlowHook, PreTargetFlowHook, PostTargetFlowHook, PostProxyFlowHook}
	step := func(n string) string { return "<Step><Name>" + n + "</Name></Step>" }
	ends := endpoints{
		proxy:    `<PreFlow><Request>` + step("M1") + `</Request></PreFlow><PostFlow><Response>` + step("M4") + `</Response></PostFlow>`,
		target:   `<PreFlow><Request>` + step("M2") + `</Request></PreFlow><PostFlow><Response>` + step("M3") + `</Response></PostFlow>`,
		policies: map[string]string{"M1": `<Mark name="M1"/>`, "M2": `<Mark name="M2"/>`, "M3": `<Mark name="M3"/>`, "M4": `<Mark name="M4"/>`},
		hooks:    map[string]Hook{},
	}
	for _, name := range all {
		ends.hooks[name] = Hook{Name: "sf", Flow: hookFlow{}}
	}
	run := func(hooks map[string]Hook) (int, string, string) {
		ends := ends
		ends.hooks = hooks
		e := ends.compile(t, &answers{})
		fc := newCall(t, e)
		m := e.Run(t.Context(), fc)
		status, name := outcome(fc, m)
		return status, name, fc.Text("trail")
	}
	const want = "PreProxyFlowHook M1@PreFlow PreTargetFlowHook M2@PreFlow M3@PostFlow PostTargetFlowHook M4@PostFlow PostProxyFlowHook"
	if status, name, trail := run(ends.hooks); status != 200 || trail != want {
		t.Errorf("%d %s %s, want %s", status, name, trail, want)
	}
	for _, at := range all {
		for _, tt := range []struct {
			hook   Hook
			status int
			name   string
		}{
			{Hook{Name: "sf", Flow: hookFlow{fail: true}}, 500, "Hook"},
			{Hook{Name: "sf", Flow: hookFlow{fail: true}, ContinueOnError: true}, 200, ""},
			{Hook{Name: "gone"}, 500, "SharedFlowNotFound"},
			{Hook{Name: "gone", ContinueOnError: true}, 200, ""},
		} {
			hooks := maps.Clone(ends.hooks)
			hooks[at] = tt.hook
			status, name, trail := run(hooks)
			if status != tt.status || name != tt.name {
				t.Errorf("%s %+v: %d %s", at, tt.hook, status, name)
			}
			if tt.status == 500 && tt.hook.Flow != nil && !strings.HasSuffix(trail, at) {
				t.Errorf("%s: the call went on: %s", at, trail)
			}
		}
	}
}

// TestFaultInTarget: rules of the TargetEndpoint, top down, for what fails in
// its segments; rules of the ProxyEndpoint, bottom up, for the rest.
func TestFaultInTarget(t *testing.T) {
	rule := func(name, cond string) string {
		return `<FaultRule name="` + name + `"><Condition>` + cond + `</Condition><Step><Name>` + name + `</Name><Condition>true</Condition></Step></FaultRule>`
	}
	policies := map[string]string{"F": `<Fail name="F"><Code>steps.test.F</Code><Status>500</Status></Fail>`}
	for _, n := range []string{"P1", "P2", "PD", "T1", "T2", "TD"} {
		policies[n] = `<Mark name="` + n + `"/>`
	}
	const f = `<PreFlow><Request><Step><Name>F</Name></Step></Request></PreFlow>`
	for _, tt := range []struct{ name, proxy, target, want string }{
		{"proxy, last rule first", f + `<FaultRules>` + rule("P1", "true") + rule("P2", `fault.name = "F"`) + `</FaultRules>`, "", "P2"},
		{"target, first rule first", `<FaultRules>` + rule("P1", "true") + `</FaultRules>`, f + `<FaultRules>` + rule("T1", "true") + rule("T2", "true") + `</FaultRules>`, "T1"},
		{"target without rules", `<FaultRules>` + rule("P1", "true") + `</FaultRules>`, f, ""},
		{"default rule", f + `<FaultRules>` + rule("P1", "false") + `</FaultRules><DefaultFaultRule name="d"><Step><Name>PD</Name></Step></DefaultFaultRule>`, "", "PD"},
		{"default rule of the target", "", f + `<DefaultFaultRule name="d"><Step><Name>TD</Name></Step></DefaultFaultRule>`, "TD"},
		{"default rule not after another", f + `<FaultRules>` + rule("P1", "true") + `</FaultRules><DefaultFaultRule name="d"><Step><Name>PD</Name></Step></DefaultFaultRule>`, "", "P1"},
		{"default rule always", f + `<FaultRules>` + rule("P1", "true") + `</FaultRules><DefaultFaultRule name="d"><AlwaysEnforce>true</AlwaysEnforce><Step><Name>PD</Name></Step></DefaultFaultRule>`, "", "P1 PD"},
	} {
		e := endpoints{proxy: tt.proxy, target: tt.target, policies: policies}.compile(t, &answers{})
		fc := newCall(t, e)
		e.Run(t.Context(), fc)
		var ran []string
		for m := range strings.FieldsSeq(fc.Text("trail")) {
			name, _, _ := strings.Cut(m, "@")
			ran = append(ran, name)
		}
		if got := strings.Join(ran, " "); got != tt.want {
			t.Errorf("%s: ran %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestDescriptions: names and descriptions of flows can be read.
func TestDescriptions(t *testing.T) {
	note := func(n string) string { return "<Step><Name>" + n + "</Name></Step>" }
	policies := map[string]string{"N": `<Put name="N"><Name>trail</Name><Value>{trail}[{current.flow.name}:{current.flow.description}]</Value></Put>`}
	e := endpoints{
		proxy: `<Description>of the endpoint</Description><PreFlow name="Before"><Description>first</Description><Request>` + note("N") + `</Request></PreFlow>
			<Flows><Flow name="one"><Description>second</Description><Condition>true</Condition><Request>` + note("N") + `</Request></Flow></Flows>
			<PostFlow><Request>` + note("N") + `</Request></PostFlow>
			<PostClientFlow name="After"><Description>last</Description><Response>` + note("N") + `</Response></PostClientFlow>`,
		policies: policies,
	}.compile(t, &answers{})
	fc := newCall(t, e)
	e.Run(t.Context(), fc)
	if err := e.PostClient(t.Context(), fc); err != nil {
		t.Error(err)
	}
	if got, want := fc.Text("trail"), "[Before:first][one:second][PostFlow:][After:last]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// names keeps what a debug session sees.
type names struct{ flows, steps []string }

func (n *names) Observe(_ *flow.Context, e flow.Event) {
	switch e.Kind {
	case flow.FlowChange:
		n.flows = append(n.flows, e.Name)
	case flow.StepEnd:
		n.steps = append(n.steps, e.Name)
	}
}

// TestNames: the names of endpoints, rules and flows are what variables and
// debug sessions show.
func TestNames(t *testing.T) {
	e := endpoints{
		target: `<FaultRules><FaultRule name="my rule"><Condition>true</Condition><Step><Name>M</Name><Condition>false</Condition></Step></FaultRule></FaultRules>
			<DefaultFaultRule name="my default"><AlwaysEnforce>true</AlwaysEnforce><Step><Name>M</Name></Step></DefaultFaultRule>
			<PreFlow name="before"><Request><Step><Name>F</Name></Step></Request></PreFlow>`,
		policies: map[string]string{"M": `<Mark name="M"/>`, "F": `<Fail name="F"><Code>steps.test.F</Code><Status>500</Status></Fail>`},
	}.compile(t, &answers{})
	fc := newCall(t, e)
	n := new(names)
	fc.Observe(n)
	e.Run(t.Context(), fc)
	if got, want := strings.Join(n.flows, ", "), "before, my rule, my default"; got != want {
		t.Errorf("flows %s, want %s", got, want)
	}
	if got, want := strings.Join(n.steps, ", "), "F, M, M"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	for name, want := range map[string]string{"proxy.name": "default", "target.name": "back", "route.name": "t", "route.target": "back", "proxy.basepath": "/v1"} {
		if got := fc.Text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := fc.Text("trail"); got != "M@before" {
		t.Errorf("trail %q", got)
	}
}

// TestDirectURL: a RouteRule with a <URL> calls it without a TargetEndpoint.
func TestDirectURL(t *testing.T) {
	b, err := bundle.LoadFS(fstest.MapFS{"apiproxy/proxies/default.xml": {Data: []byte(`<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/</BasePath></HTTPProxyConnection>
		<RouteRule name="u"><URL>http://direct/v2</URL></RouteRule></ProxyEndpoint>`)}})
	if err != nil {
		t.Fatal(err)
	}
	url, back := "", &answers{}
	p, problems := Compile(b, policy.NewKinds(mark), Options{
		Target: func(c *bundle.HTTPTargetConnection, name string, _ *policy.Env) Target { url = c.URL; return back },
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	fc := newCall(t, p.Endpoints[0])
	fc.Request.SetContent([]byte("sent"))
	m := p.Endpoints[0].Run(t.Context(), fc)
	if m.Status != 200 || back.sent != "sent" || url != "http://direct/v2" || fc.RouteName != "u" {
		t.Errorf("%d, sent %q to %s by %s", m.Status, back.sent, url, fc.RouteName)
	}
}
