package semanticcachelookup

import (
	"context"
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

// known are the prompts in the index; the answer to the second has expired.
const (
	known   = "Why is the sky blue?"
	expired = "Who was Mozart?"
)

func services(t testing.TB) policy.Services {
	v := vertextest.New()
	s := googleresttest.Services(t, v)
	s.Caches = cachetest.New(t, func() time.Time { return policytest.Now })
	p := &flow.Proxy{Organization: "org", Environment: "test", Name: "proxy"}
	for _, prompt := range []string{known, expired} {
		v.Add(semanticcache.ID(p, prompt), prompt)
	}
	s.Caches.Put(context.Background(), semanticcache.Key(p, semanticcache.ID(p, known)),
		[]byte("application/json\n{\"answer\":\"It scatters.\"}"), policytest.Now.Add(time.Minute))
	return s
}

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "/not_offered") {
			return policy.Services{}
		}
		s := services(t)
		if strings.HasSuffix(t.Name(), "/no_token") {
			s.GoogleTokens = googleresttest.NoTokens{}
		}
		return s
	}))
}

const policyXML = `<SemanticCacheLookup name="SCL-1">
  <Embeddings><VertexAI><URL>https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/m:predict</URL></VertexAI></Embeddings>
  <SimilaritySearch><VertexAI><URL>https://1.l-2.vdb.vertexai.goog/v1/projects/2/locations/l/indexEndpoints/3:findNeighbors</URL>
    <DeployedIndexID>i</DeployedIndexID><Threshold>0.95</Threshold></VertexAI></SimilaritySearch>
</SemanticCacheLookup>`

// TestDeadline checks that the time of the call bounds that of Vertex AI.
func TestDeadline(t *testing.T) {
	release := make(chan struct{})
	s := googleresttest.Services(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	s.Caches = cachetest.New(t, time.Now)
	p := policytest.Compile(t, Kind, policyXML, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\n\n" + `{"contents":[{"parts":[{"text":"Why?"}]}]}`)})
	var f *fault.Fault
	if err := p.Run(ctx, fc); !errors.As(err, &f) || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, policyXML, services(b))
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\n\n" + `{"contents":[{"parts":[{"text":"Why is the sky blue?"}]}]}`})
}
