package trace_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
	"github.com/perigee-gateway/perigee/shared/trace"
)

// proxy reads a private variable, shows it to its backend and answers with parts
// of what it got.
const proxy = `
-- apiproxy/p.xml --
<APIProxy name="p"/>
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow"><Request>
    <Step><Name>AM-Key</Name></Step>
    <Step><Name>EV-Body</Name><Condition>request.verb = "POST"</Condition></Step>
    <Step><Name>RF</Name><Condition>request.queryparam.fail = "yes"</Condition></Step>
  </Request></PreFlow>
  <HTTPProxyConnection><BasePath>/p</BasePath></HTTPProxyConnection>
  <RouteRule name="default"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default">
  <PreFlow name="PreFlow"><Response><Step><Name>EV-Answer</Name></Step></Response></PreFlow>
  <HTTPTargetConnection><URL>BACKEND</URL></HTTPTargetConnection>
</TargetEndpoint>
-- apiproxy/policies/AM-Key.xml --
<AssignMessage name="AM-Key">
  <AssignVariable><Name>private.key</Name><Value>backend-key-1</Value></AssignVariable>
  <Set><Headers><Header name="X-Backend">{private.key}</Header></Headers></Set>
</AssignMessage>
-- apiproxy/policies/EV-Body.xml --
<ExtractVariables name="EV-Body"><Source>request</Source>
  <JSONPayload><Variable name="card.number"><JSONPath>$.card.number</JSONPath></Variable></JSONPayload>
</ExtractVariables>
-- apiproxy/policies/EV-Answer.xml --
<ExtractVariables name="EV-Answer"><Source>response</Source>
  <XMLPayload><Variable name="answer.pin"><XPath>/a/pin</XPath></Variable></XMLPayload>
</ExtractVariables>
-- apiproxy/policies/RF.xml --
<RaiseFault name="RF"><FaultResponse><Set><Payload contentType="application/json">{"why":"fault-secret"}</Payload><StatusCode>403</StatusCode></Set></FaultResponse></RaiseFault>
`

type stack struct {
	t       *testing.T
	host    *boot.Host
	api     string
	gateway string
	seen    *http.Header // by the backend
	running atomic.Int64 // calls that the gateway has not done with
}

func start(t *testing.T, refresh time.Duration) *stack {
	t.Helper()
	s := &stack{t: t, seen: &http.Header{}}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*s.seen = r.Header.Clone()
		w.Header().Set("Content-Type", "application/xml")
		io.WriteString(w, `<a><pin code="c-9876">pin-4711</pin><x>plain</x></a>`)
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(strings.ReplaceAll(proxy, "BACKEND", backend.URL))).Files {
		path := filepath.Join(dir, f.Name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "o", Store: enginestest.Place(), Keystore: "memory:", AnyHost: true, InsecureManagement: true, Refresh: refresh, LogFormat: "text", LogLevel: "error",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.DeployBundle(t.Context(), "test", dir); err != nil {
		t.Fatal(err)
	}
	management, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	m, g := httptest.NewServer(management), httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Add(-1)
		h.GatewayHandler().ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	t.Cleanup(g.Close)
	s.host = h
	s.api, s.gateway = m.URL+"/v1/organizations/o/", g.URL
	return s
}

// call sends to the Management API and decodes the answer into out.
func (s *stack) call(method, path, body string, out any) int {
	s.t.Helper()
	r, err := http.NewRequest(method, s.api+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, data)
		}
	}
	return resp.StatusCode
}

func (s *stack) send(method, path, body string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.gateway+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer caller-token")
	r.Header.Set("X-Tenant", "tenant-77")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

const sessions = "environments/test/apis/p/revisions/1/debugsessions"

// session starts one and returns its path.
func (s *stack) session(body string) string {
	s.t.Helper()
	var session apigee.GoogleCloudApigeeV1DebugSession
	if status := s.call("POST", sessions+"?timeout=300", body, &session); status != 200 || session.Name == "" {
		s.t.Fatalf("%d %+v", status, session)
	}
	return sessions + "/" + session.Name
}

func (s *stack) ids(session string) (ids []string) {
	s.t.Helper()
	for s.running.Load() > 0 { // a call is stored when the client has its answer
		time.Sleep(time.Millisecond)
	}
	if status := s.call("GET", session+"/data", "", &ids); status != 200 {
		s.t.Fatalf("status %d", status)
	}
	return ids
}

// transaction returns a transaction and its text.
func (s *stack) transaction(session, id string) (*apigee.GoogleCloudApigeeV1DebugSessionTransaction, string) {
	s.t.Helper()
	var raw json.RawMessage
	if status := s.call("GET", session+"/data/"+id, "", &raw); status != 200 {
		s.t.Fatalf("status %d: %s", status, raw)
	}
	tx := new(apigee.GoogleCloudApigeeV1DebugSessionTransaction)
	if err := json.Unmarshal(raw, tx); err != nil {
		s.t.Fatal(err)
	}
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(tx); err != nil {
		s.t.Fatal(err)
	}
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(plain.String())
	return tx, text
}

// A session records what a call did; what is masked is nowhere in it, and the
// backend gets it all the same.
func TestRecord(t *testing.T) {
	s := start(t, 0)
	mask := `{"namespaces":{"n":"urn:n"},"requestJSONPaths":["$.card.number","$..cvv"],"responseXPaths":["/a/pin","/a/pin/@code"],
		"faultJSONPaths":["$.why"],"variables":["request.header.X-Tenant","request.queryparam.q"]}`
	if status := s.call("PATCH", "environments/test/debugmask", mask, nil); status != 200 {
		t.Fatalf("mask: %d", status)
	}
	s.send("GET", "/p/before", "") // is warm, and not recorded
	session := s.session(`{"filter":"proxy.pathsuffix MatchesPath \"/wanted\"","count":5}`)
	s.send("GET", "/p/other", "")
	s.send("POST", "/p/wanted?q=query-secret&r=shown", `{"card":{"number":"4111-1111"},"list":[{"cvv":"cvv-123"}],"access_token":"body-token","item":"tea"}`)
	if got := s.seen.Get("X-Backend"); got != "backend-key-1" {
		t.Errorf("the backend received %q", got)
	}
	s.send("GET", "/p/wanted?fail=yes", "")
	if ids := s.ids(session); len(ids) != 2 || ids[0] != "1" || ids[1] != "2" {
		t.Fatalf("transactions %v", ids)
	}
	tx, text := s.transaction(session, "1")
	for _, secret := range []string{"backend-key-1", "caller-token", "tenant-77", "query-secret", "4111-1111", "cvv-123", "body-token", "pin-4711", "c-9876"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is recorded:\n%s", secret, text)
		}
	}
	for _, want := range []string{
		`"name":"From","value":"REQ_START"`, `"verb":"POST"`, `"uRI":"/p/wanted?q=*****&r=shown"`,
		`{"name":"stepDefinition-name","value":"AM-Key"}`, `{"name":"type","value":"AssignMessage"}`, `{"name":"result","value":"true"}`,
		`"Set":{"name":"private.key","success":true,"value":"*****"}`, `"Set":{"name":"card.number","success":true,"value":"*****"}`,
		`"name":"Expression","value":"request.verb = \"POST\""`, `"Get":{"name":"request.verb","value":"POST"}`,
		`\"item\":\"tea\"`, `<x>plain</x>`, `{"name":"X-Backend","value":"*****"}`, `"name":"To","value":"END"`, `"statusCode":"200"`,
		`PROXY_REQ_FLOW`, `TARGET_RESP_FLOW`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if !tx.Completed || tx.Point[0].Id != "StateChange" {
		t.Errorf("completed %v, first point %s", tx.Completed, tx.Point[0].Id)
	}
	_, text = s.transaction(session, "2")
	if strings.Contains(text, "fault-secret") || !strings.Contains(text, `"id":"Error"`) || !strings.Contains(text, `\"why\":\"*****\"`) || !strings.Contains(text, `"statusCode":"403"`) {
		t.Errorf("the fault:\n%s", text)
	}
}

// A payload that is to be masked and cannot be read is not recorded, and neither
// is any where a path of the mask is none.
func TestMaskFailsClosed(t *testing.T) {
	s := start(t, 0)
	s.call("PATCH", "environments/test/debugmask", `{"requestJSONPaths":["$.card"],"responseXPaths":["/n:a[","/a/pin"]}`, nil)
	session := s.session(`{}`)
	s.send("POST", "/p/x", `{"card":"4111-1111"`)
	s.send("POST", "/p/x", `{"card":{"number":"4111-1111"}}`)
	for _, id := range s.ids(session) {
		if _, text := s.transaction(session, id); strings.Contains(text, "4111-1111") || strings.Contains(text, "pin-4711") || strings.Contains(text, "plain") {
			t.Errorf("transaction %s:\n%s", id, text)
		}
	}
}

// No more calls than the session's count are recorded, whoever records them.
func TestCount(t *testing.T) {
	s := start(t, 0)
	session := s.session(`{"count":3}`)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { s.send("GET", "/p/x", "") })
	}
	wg.Wait()
	if ids := s.ids(session); len(ids) != 3 {
		t.Errorf("transactions %v, want 3", ids)
	}
	if status := s.call("DELETE", session+"/data", "", nil); status != 200 {
		t.Errorf("delete: %d", status)
	}
	if status := s.call("GET", session+"/data/1", "", nil); status != 404 {
		t.Errorf("a deleted transaction: %d", status)
	}
	if status := s.call("GET", session, "", nil); status != 404 {
		t.Errorf("the session: %d", status)
	}
}

// A payload is recorded as far as the session says.
func TestTracesize(t *testing.T) {
	s := start(t, 0)
	session := s.session(`{"tracesize":7}`)
	s.send("POST", "/p/x", `{"item":"tea"}`)
	if _, text := s.transaction(session, s.ids(session)[0]); !strings.Contains(text, `"content":"{\"item\""`) {
		t.Errorf("%s", text)
	}
}

func TestSessions(t *testing.T) {
	s := start(t, 0)
	for body, want := range map[string]int{
		`{"count":16}`: 400, `{"count":-1}`: 400, `{"tracesize":5121}`: 400, `{"validity":16}`: 400, `{"filter":"request.verb = ="}`: 400,
		`{"timeout":"4000"}`: 400, `{"none":1}`: 400,
	} {
		if status := s.call("POST", sessions, body, nil); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	if status := s.call("POST", strings.Replace(sessions, "revisions/1", "revisions/2", 1), `{}`, nil); status != 400 {
		t.Errorf("a revision that is not deployed: %d", status)
	}
	var got apigee.GoogleCloudApigeeV1DebugSession
	session := s.session(`{"timeout":"60"}`)
	s.call("GET", session, "", &got)
	if got.Count != 10 || got.Tracesize != 5120 || got.Validity != 10 || got.Timeout != 60 || got.CreateTime == "" {
		t.Errorf("%+v", got)
	}
	s.session(`{}`)
	var page apigee.GoogleCloudApigeeV1ListDebugSessionsResponse
	s.call("GET", sessions+"?pageSize=1", "", &page)
	if len(page.Sessions) != 1 || page.NextPageToken == "" || page.Sessions[0].TimestampMs == 0 {
		t.Errorf("%+v", page)
	}
	var all apigee.GoogleCloudApigeeV1ListApiDebugSessionsResponse
	s.call("GET", "apis/p/debugsessions", "", &all)
	if len(all.Sessions) != 2 || all.Sessions[0].EnvironmentId != "test" || all.Sessions[0].ApiProxyRevisionId != "1" {
		t.Errorf("%+v", all)
	}
}

// A gateway that is warm learns of a session that somebody else started with the
// version stamp. The other one is a registry of its own over the same store.
func TestWarmGateway(t *testing.T) {
	s := start(t, time.Nanosecond)
	s.send("GET", "/p/x", "")
	other := registry.New(s.host.Store, nil)
	err := other.DebugSessions.Create(t.Context(), &apigee.GoogleCloudApigeeV1DebugSession{}, "o", "test", "p", "1", "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the first may be served while the stamp is read
		s.send("GET", "/p/x", "")
	}
	if ids := s.ids(sessions + "/elsewhere"); len(ids) < 2 {
		t.Errorf("transactions %v", ids)
	}
}

// A session that is over records nothing.
func TestEnded(t *testing.T) {
	s := start(t, 0)
	session := s.session(`{"timeout":"1"}`)
	time.Sleep(1100 * time.Millisecond)
	s.send("GET", "/p/x", "")
	if ids := s.ids(session); len(ids) != 0 {
		t.Errorf("transactions %v", ids)
	}
}

// Without a session that wants the call there is nothing to pay.
func BenchmarkObserve(b *testing.B) {
	tracer := trace.New(trace.Options{})
	fc := flow.New(&flow.Proxy{Organization: "o", Environment: "test", Name: "p", Revision: "1"}, time.Now)
	config := &entity.Config{DebugSessions: map[string]entity.DebugSession{"s": {API: "other", Revision: "1", Count: 1, Ends: 1 << 60}}}
	b.ReportAllocs()
	for b.Loop() {
		if tracer.Observe(fc, config) != nil {
			b.Fatal("recorded")
		}
	}
}
