package semanticcachepopulate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/semanticcache"
	"github.com/perigee-gateway/perigee/shared/semanticcache/vertextest"
)

// after is a lookup that a case ran before, as the name of the case says.
type after struct {
	policy.Policy
	search *semanticcache.Search
}

func (a after) Run(ctx context.Context, fc *flow.Context) error {
	if a.search != nil {
		semanticcache.Remember(fc, a.search)
	}
	return a.Policy.Run(ctx, fc)
}

// kind is the policy behind a lookup.
func kind(search *semanticcache.Search) policy.Kind {
	return policy.Define("SemanticCachePopulate", func(c *Config, env *policy.Env) (policy.Policy, error) {
		p, err := New(c, env)
		if p == nil || err != nil {
			return p, err
		}
		if strings.Contains(env.Name(), "unasked") {
			return p, nil
		}
		s := *search
		s.Hit = strings.Contains(env.Name(), "hit")
		return after{p, &s}, nil
	})
}

func TestCases(t *testing.T) {
	search := &semanticcache.Search{ID: "id-1", Vector: json.RawMessage("[0.5,0.25]")}
	policytest.Run(t, kind(search), policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "/not_offered") {
			return policy.Services{}
		}
		s := googleresttest.Services(t, vertextest.New())
		s.Caches = cachetest.New(t, func() time.Time { return policytest.Now })
		if strings.HasSuffix(t.Name(), "/no_token") {
			s.GoogleTokens = googleresttest.NoTokens{}
		}
		return s
	}))
}

const policyXML = `<SemanticCachePopulate name="SCP-1"><SimilaritySearch><VertexAI>
  <URL>https://l-aiplatform.googleapis.com/v1/projects/1/locations/l/indexes/2:upsertDatapoints</URL></VertexAI></SimilaritySearch></SemanticCachePopulate>`

func call(t testing.TB, body string) *flow.Context {
	fc := policytest.Context(t, map[string][]byte{"response": []byte("200 OK\nContent-Type: application/json\n\n" + body)})
	semanticcache.Remember(fc, &semanticcache.Search{ID: "id-1", Vector: json.RawMessage("[1]")})
	return fc
}

// TestKept checks what is in the cache afterwards.
func TestKept(t *testing.T) {
	s := googleresttest.Services(t, vertextest.New())
	s.Caches = cachetest.New(t, func() time.Time { return policytest.Now })
	p := policytest.Compile(t, Kind, policyXML, s)
	fc := call(t, `{"a":1}`)
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	data, ok := s.Caches.Get(t.Context(), semanticcache.Key(fc.Proxy, "id-1"), 0)
	if !ok {
		t.Fatal("nothing was kept")
	}
	m, body := semanticcache.Decode(data)
	if body != `{"a":1}` || m.Status != 200 || m.Header.Get("Content-Type") != "application/json" || m.Header.Get("Cached-Content") != "true" {
		t.Errorf("kept %q as %v", body, m.Header)
	}
}

// TestTooLarge checks that what no cache takes is not put into the index either.
func TestTooLarge(t *testing.T) {
	v := vertextest.New()
	s := googleresttest.Services(t, v)
	s.Caches = cachetest.New(t, time.Now)
	p := policytest.Compile(t, Kind, policyXML, s)
	if err := p.Run(t.Context(), call(t, strings.Repeat("x", policy.MaxCacheValue))); err != nil || v.Calls["upsertDatapoints"] != 0 {
		t.Errorf("%v after %v", err, v.Calls)
	}
}

// TestDeadline checks that the time of the call bounds that of Vertex AI.
func TestDeadline(t *testing.T) {
	release := make(chan struct{})
	s := googleresttest.Services(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	s.Caches = cachetest.New(t, time.Now)
	p := policytest.Compile(t, Kind, policyXML, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f *fault.Fault
	if err := p.Run(ctx, call(t, "{}")); !errors.As(err, &f) || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := googleresttest.Services(b, vertextest.New())
	s.Caches = cachetest.New(b, time.Now)
	p := policytest.Compile(b, kind(&semanticcache.Search{ID: "id-1", Vector: json.RawMessage("[0.5,0.25]")}), policyXML, s)
	policytest.Bench(b, p, map[string]string{"response": "200 OK\nContent-Type: application/json\n\n{\"answer\":\"It scatters.\"}"})
}
