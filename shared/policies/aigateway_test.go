package policies_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/counter/countertest"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/modelarmor/modelarmortest"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/semanticcache/vertextest"
	"github.com/perigee-gateway/perigee/shared/target"
)

// gatewayFor compiles a proxy to a model: requestSteps in its PreFlow, events in its
// EventFlow, responseSteps in the PreFlow of its target's response.
func gatewayFor(t *testing.T, model *httptest.Server, s policy.Services, files map[string]string, requestSteps, events, responseSteps string) *pipeline.Endpoint {
	t.Helper()
	steps := func(names string) string {
		var b strings.Builder
		for _, n := range strings.Fields(names) {
			name, condition, _ := strings.Cut(n, "?")
			fmt.Fprintf(&b, "<Step><Name>%s</Name><Condition>%s</Condition></Step>", name, strings.ReplaceAll(condition, "~", " "))
		}
		return b.String()
	}
	fsys := fstest.MapFS{
		"apiproxy/p.xml": {Data: []byte(`<APIProxy name="p"/>`)},
		"apiproxy/proxies/default.xml": {Data: []byte(`<ProxyEndpoint name="default"><PreFlow><Request>` + steps(requestSteps) + `</Request></PreFlow>
			<HTTPProxyConnection><BasePath>/llm</BasePath></HTTPProxyConnection><RouteRule name="r"><TargetEndpoint>default</TargetEndpoint></RouteRule></ProxyEndpoint>`)},
		"apiproxy/targets/default.xml": {Data: []byte(`<TargetEndpoint name="default"><PreFlow><Response>` + steps(responseSteps) + `</Response></PreFlow>` + events + `
			<HTTPTargetConnection><URL>` + model.URL + `</URL></HTTPTargetConnection></TargetEndpoint>`)},
	}
	for name, xml := range files {
		fsys["apiproxy/policies/"+name+".xml"] = &fstest.MapFile{Data: []byte(xml)}
	}
	b, err := bundle.LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	pool := target.New(target.Options{})
	p, problems := pipeline.Compile(b, policies.Kinds(), pipeline.Options{
		Organization: "org", Environment: "test", Name: "p", Revision: "1", Services: s,
		Target: func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) pipeline.Target {
			return pool.Connect(c, name, env)
		},
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return p.Endpoints[0]
}

// ask sends a prompt in Gemini's form.
func ask(t *testing.T, e *pipeline.Endpoint, prompt string) (*message.Message, *flow.Context) {
	t.Helper()
	fc := flow.New(e.Info, time.Now)
	fc.Request.Verb, fc.Request.Path = "POST", "/llm"
	fc.Request.Header.Add("Content-Type", "application/json")
	fc.Request.SetContent(fmt.Appendf(nil, `{"contents":[{"parts":[{"text":%q}]}]}`, prompt))
	return e.Run(t.Context(), fc), fc
}

// TestSemanticCache asks the same thing in two ways: the model answers once.
func TestSemanticCache(t *testing.T) {
	asked := 0
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"answer":"It scatters."}`)
	}))
	defer model.Close()
	s := googleresttest.Services(t, vertextest.New())
	s.Caches = cachetest.New(t, time.Now)
	e := gatewayFor(t, model, s, map[string]string{
		"SCL": `<SemanticCacheLookup name="SCL">
			<Embeddings><VertexAI><URL>https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/m:predict</URL></VertexAI></Embeddings>
			<SimilaritySearch><VertexAI><URL>https://1.l-2.vdb.vertexai.goog/v1/projects/2/locations/l/indexEndpoints/3:findNeighbors</URL>
			<DeployedIndexID>i</DeployedIndexID><Threshold>0.95</Threshold></VertexAI></SimilaritySearch></SemanticCacheLookup>`,
		"SCP": `<SemanticCachePopulate name="SCP"><SimilaritySearch><VertexAI>
			<URL>https://l-aiplatform.googleapis.com/v1/projects/2/locations/l/indexes/4:upsertDatapoints</URL></VertexAI></SimilaritySearch>
			<TTLInSeconds>60</TTLInSeconds></SemanticCachePopulate>`,
	}, "SCL", "", "SCP")
	for i, prompt := range []string{"Why is the sky blue?", "Why is the blue sky?", "What do pandas eat?"} {
		m, _ := ask(t, e, prompt)
		cached := m.Header.Get("Cached-Content")
		if m.Status != 200 || m.Text() != `{"answer":"It scatters."}` || (cached == "true") != (i == 1) || m.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %v", prompt, m.Status, m.Text(), m.Header)
		}
	}
	if asked != 2 {
		t.Errorf("the model was asked %d times, want 2", asked)
	}
}

const armor = `<ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>`

// TestSanitizeBothWays refuses prompts before the model, and answers before the
// client.
func TestSanitizeBothWays(t *testing.T) {
	asked := 0
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, _ := io.ReadAll(r.Body)
		text := "fine"
		if strings.Contains(string(body), "insult") {
			text = "hate"
		}
		fmt.Fprintf(w, `{"candidates":[{"content":{"parts":[{"text":%q}]}}]}`, text)
	}))
	defer model.Close()
	s := googleresttest.Services(t, http.HandlerFunc(modelarmortest.Handler))
	e := gatewayFor(t, model, s, map[string]string{
		"SUP": `<SanitizeUserPrompt name="SUP">` + armor + `</SanitizeUserPrompt>`,
		"SMR": `<SanitizeModelResponse name="SMR">` + armor + `<LLMResponseSource>{jsonPath('$.candidates[-1].content.parts[-1].text',response.content,true)}</LLMResponseSource></SanitizeModelResponse>`,
	}, "SUP", "", "SMR")
	for _, tt := range []struct {
		prompt string
		status int
		code   string
	}{
		{"hello", 200, ""},
		{"jailbreak", 400, "steps.sanitize.user.prompt.FilterMatched"},
		{"insult me", 400, "steps.sanitize.model.response.FilterMatched"},
	} {
		m, _ := ask(t, e, tt.prompt)
		if m.Status != tt.status || !strings.Contains(m.Text(), tt.code) {
			t.Errorf("%s: %d %s", tt.prompt, m.Status, m.Text())
		}
	}
	if asked != 2 {
		t.Errorf("the model was asked %d times, want 2", asked)
	}
}

// events is an EventFlow as the sample llm-sse-security has it.
const events = `<EventFlow name="EventFlow" content-type="text/event-stream"><Response>
	<Step><Name>SMR</Name></Step>
	<Step><Name>JS</Name><Condition>SanitizeModelResponse.SMR.filterMatchState = "MATCH_FOUND"</Condition></Step>
	<Step><Name>LTQ</Name></Step>
</Response></EventFlow>`

// TestSanitizeEvents checks that an event reaches the client before the next one is
// sent, that one with a match is replaced, and that tokens are counted.
func TestSanitizeEvents(t *testing.T) {
	next := make(chan bool)
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, data := range []string{`{"text":"fine"}`, `{"text":"hate"}`, `{"text":"done","usageMetadata":{"totalTokenCount":42}}`} {
			io.WriteString(w, "data: "+data+"\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	defer model.Close()
	s := googleresttest.Services(t, http.HandlerFunc(modelarmortest.Handler))
	s.Quotas, _ = countertest.New(t, time.Now)
	e := gatewayFor(t, model, s, map[string]string{
		"SMR": `<SanitizeModelResponse name="SMR" continueOnError="true">` + armor + `<LLMResponseSource>{response.event.current.content}</LLMResponseSource></SanitizeModelResponse>`,
		"JS":  `<Javascript name="JS" timeLimit="5000"><Source>context.setVariable("response.event.current.content", "data: {\"text\":\"removed\"}\n\n")</Source></Javascript>`,
		"LTQ": `<LLMTokenQuota name="LTQ"><SharedName>s</SharedName><Allow count="100"/><TimeUnit>hour</TimeUnit><CountOnly>true</CountOnly><LLMTokenUsageSource>{jsonPath('$.usageMetadata.totalTokenCount',response.event.current.data,true)}</LLMTokenUsageSource></LLMTokenQuota>`,
	}, "", events, "")
	m, fc := ask(t, e, "hello")
	_, stream, _, err := m.Body()
	if err != nil || stream == nil {
		t.Fatalf("the response is no stream: %v", err)
	}
	in := bufio.NewReader(stream)
	for _, want := range []string{`data: {"text":"fine"}`, `data: {"text":"removed"}`, `data: {"text":"done","usageMetadata":{"totalTokenCount":42}}`} {
		line, _ := in.ReadString('\n')
		if line != want+"\n" {
			t.Errorf("event is %q, want %q", line, want)
		}
		in.ReadString('\n')
		next <- true
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("after the last event: %q %v", rest, err)
	}
	if used := fc.Text("ratelimit.LTQ.used.count"); used != "42" {
		t.Errorf("%s tokens were counted", used)
	}
}

// TestEventFault ends the stream with an error event: the status is already sent.
func TestEventFault(t *testing.T) {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: fine\n\ndata: hate\n\ndata: secret\n\n")
	}))
	defer model.Close()
	s := googleresttest.Services(t, http.HandlerFunc(modelarmortest.Handler))
	e := gatewayFor(t, model, s, map[string]string{
		"SMR": `<SanitizeModelResponse name="SMR">` + armor + `<LLMResponseSource>{response.event.current.content}</LLMResponseSource></SanitizeModelResponse>`,
	}, "", `<EventFlow name="EventFlow" content-type="text/event-stream"><Response><Step><Name>SMR</Name></Step></Response></EventFlow>`, "")
	m, _ := ask(t, e, "hello")
	_, stream, _, err := m.Body()
	if err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(stream)
	if text := string(data); m.Status != 200 || !strings.HasPrefix(text, "data: fine\n\nevent: error\n") || strings.Contains(text, "hate") ||
		strings.Contains(text, "secret") || !strings.Contains(text, "steps.sanitize.model.response.FilterMatched") {
		t.Errorf("%d %s", m.Status, data)
	}
}
