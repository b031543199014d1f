// Package semanticcachelookup implements the <SemanticCacheLookup> policy: it answers
// a prompt with what was answered to one that means nearly the same.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/semantic-cache-lookup-policy
//
// The prompt is made a vector by Vertex AI's text embeddings, and its nearest neighbor
// is looked for in a Vector Search index, both with the access token of the
// deployment's service account. If it is near enough and its answer is still in the
// cache, that is the response, with the header Cached-Content: true, and no target is
// called; the rest of the flow segment runs, then the response flow of the proxy.
// Otherwise SemanticCachePopulate may keep the answer to come.
//
// Near enough is a dot product of Threshold or more, and any other distance of
// Threshold or less.
//
// Variables, below SemanticCacheLookup.P.: user_prompt, embeddings_request,
// embeddings_response, dense_embeddings, nearest_neighbor_request,
// nearest_neighbor_response, is_nearest_neighbor_hit, cache_hit, cached_llm_response,
// failed; and semanticcache.lookup.P.measure_type and
// semanticcache.lookup.P.nearest_neighbor_measure.
//
// Faults (500), which set SemanticCacheLookup.P.failed:
//
//   - steps.semanticcache.lookup.FailedToExtractUserPrompt: there is no prompt, or a
//     variable is not set and IgnoreUnresolvedVariables is false
//   - steps.semanticcache.lookup.FailedToResolveURL: a URL has a variable that is not
//     set
//   - steps.semanticcache.lookup.AuthenticationFailure: no access token, or one that
//     is not taken
//   - steps.semanticcache.lookup.EmbeddingsAPIFailed: there is no embedding
//   - steps.semanticcache.lookup.VectorSearchAPIFailed: the index does not answer
//
// Refused at deployment: no <SimilaritySearch>, <Embeddings>, <URL> or
// <DeployedIndexID>, a <Threshold> that is no number, <PrivateServiceConnect>.
//
// Differences from Apigee: <PrivateServiceConnect> is not supported. An answer is
// found by the proxy that kept it only. What of the response is kept Apigee does not
// say; here it is the body and the Content-Type.
package semanticcachelookup

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/googlerest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/semanticcache"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the SemanticCacheLookup policy.
var Kind = policy.Define("SemanticCacheLookup", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// UserPromptSource is a message template that gives the prompt; by default
	// the last part of Gemini's contents.
	UserPromptSource Text `xml:"UserPromptSource,once" default:"{jsonPath('$.contents[-1].parts[-1].text',request.content,true)}"`
	// Embeddings says what makes vectors of prompts.
	Embeddings Embeddings `xml:"Embeddings,once,required"`
	// SimilaritySearch says where to look for neighbors.
	SimilaritySearch Search `xml:"SimilaritySearch,once,required"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Text is a message template.
type Text struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// Embeddings is a model of text embeddings.
type Embeddings struct {
	bundle.Pos
	// VertexAI is the one kind there is.
	VertexAI struct {
		// URL is that of the model's method predict, a message template.
		URL Text `xml:"URL,once,required"`
	} `xml:"VertexAI,once,required"`
}

// Search is a vector index.
type Search struct {
	bundle.Pos
	// VertexAI is the one kind there is.
	VertexAI VertexAI `xml:"VertexAI,once,required"`
}

// VertexAI is an index of Vector Search.
type VertexAI struct {
	bundle.Pos
	// URL is that of the index end point's method findNeighbors, a message
	// template.
	URL Text `xml:"URL,once"`
	// PrivateServiceConnect is refused.
	PrivateServiceConnect *struct {
		bundle.Pos
		// GrpcEndpoint is the address of the index.
		GrpcEndpoint string `xml:"GrpcEndpoint,once"`
	} `xml:"PrivateServiceConnect,once"`
	// DeployedIndexID is the id of the index as deployed.
	DeployedIndexID string `xml:"DeployedIndexID,once,required"`
	// Threshold is how near is near enough.
	Threshold Text `xml:"Threshold,once" default:"0.9"`
	// DistanceMeasureType is that of the index.
	DistanceMeasureType string `xml:"DistanceMeasureType,once" default:"DOT_PRODUCT_DISTANCE" enum:"DOT_PRODUCT_DISTANCE,COSINE_DISTANCE,SQUARED_L2_DISTANCE,L1_DISTANCE"`
}

// dotProduct is the measure that grows with likeness.
const dotProduct = "DOT_PRODUCT_DISTANCE"

type step struct {
	client     *googlerest.Client
	caches     policy.Caches
	ignore     bool
	prompt     *template.Template
	embeddings *template.Template
	neighbors  *template.Template
	index      string
	threshold  float64
	measure    string
	prefix     string // of the variables
	other      string // of those with another prefix
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<SemanticCacheLookup> cannot run: there are no caches here")
	}
	v := &c.SimilaritySearch.VertexAI
	switch {
	case v.PrivateServiceConnect != nil:
		env.Errorf(v.PrivateServiceConnect.Pos, "<PrivateServiceConnect> is not supported; use <URL> with the public end point of the index")
	case v.URL.Value == "" && v.Pos != (bundle.Pos{}):
		env.Errorf(v.Pos, "<VertexAI> has no <URL>")
	}
	s := &step{
		client: googlerest.New(env), caches: env.Caches, ignore: c.IgnoreUnresolvedVariables,
		prompt:     c.UserPromptSource.compile(env),
		embeddings: c.Embeddings.VertexAI.URL.compile(env), neighbors: v.URL.compile(env),
		index: v.DeployedIndexID, measure: v.DistanceMeasureType,
		prefix: "SemanticCacheLookup." + env.Name() + ".", other: "semanticcache.lookup." + env.Name() + ".",
	}
	text := strings.TrimSpace(v.Threshold.Value)
	var err error
	s.threshold, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(s.threshold) || math.IsInf(s.threshold, 0) {
		env.Errorf(v.Threshold.Pos, "<Threshold> is %q, want a number such as 0.95", text)
	}
	return s, nil
}

func (t *Text) compile(env *policy.Env) *template.Template {
	return env.Template(t.Pos, strings.TrimSpace(t.Value))
}

// Run looks for an answer.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	fc.Put(s.prefix+"is_nearest_neighbor_hit", flow.BoolValue(false))
	fc.Put(s.prefix+"cache_hit", flow.BoolValue(false))
	prompt, err := s.prompt.Expand(fc, s.ignore)
	if err != nil || prompt == "" {
		return s.fault("FailedToExtractUserPrompt", "Failed to extract user prompt from "+s.prompt.Source(), err)
	}
	fc.PutText(s.prefix+"user_prompt", prompt)
	search := &semanticcache.Search{ID: semanticcache.ID(fc.Proxy, prompt)}
	if search.Vector, err = s.embed(ctx, fc, prompt); err != nil {
		return err
	}
	semanticcache.Remember(fc, search)
	id, err := s.nearest(ctx, fc, search.Vector)
	if err != nil || id == "" {
		return err
	}
	fc.Put(s.prefix+"is_nearest_neighbor_hit", flow.BoolValue(true))
	data, ok := s.caches.Get(ctx, semanticcache.Key(fc.Proxy, id), lookupTimeout)
	if !ok {
		return nil
	}
	resp, body := semanticcache.Decode(data)
	search.Hit = true
	fc.Put(s.prefix+"cache_hit", flow.BoolValue(true))
	fc.PutText(s.prefix+"cached_llm_response", body)
	fc.Early(resp, flow.AfterSegment)
	return nil
}

// lookupTimeout is after how long a cache that does not answer is a miss.
const lookupTimeout = 30 * time.Second

// embed is the vector of a prompt, as JSON.
func (s *step) embed(ctx context.Context, fc *flow.Context, prompt string) (json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{"instances": []any{map[string]string{"content": prompt}}})
	if err != nil {
		return nil, err
	}
	fc.PutText(s.prefix+"embeddings_request", string(body))
	const name = "EmbeddingsAPIFailed"
	data, err := s.post(ctx, fc, s.embeddings, name, body)
	if err != nil {
		return nil, err
	}
	fc.PutText(s.prefix+"embeddings_response", string(data))
	var answer struct {
		Predictions []struct {
			Embeddings struct {
				Values []float64 `json:"values"`
			} `json:"embeddings"`
		} `json:"predictions"`
	}
	err = json.Unmarshal(data, &answer)
	if err != nil || len(answer.Predictions) != 1 || len(answer.Predictions[0].Embeddings.Values) == 0 {
		return nil, s.fault(name, "Embeddings API gave no embedding", err)
	}
	vector, err := json.Marshal(answer.Predictions[0].Embeddings.Values)
	if err != nil {
		return nil, s.fault(name, "Embeddings API gave no embedding", err)
	}
	fc.PutText(s.prefix+"dense_embeddings", string(vector))
	return vector, nil
}

// query is a request of findNeighbors for the one nearest datapoint whose answer
// has not expired.
type query struct {
	Index   string `json:"deployedIndexId"`
	Queries [1]struct {
		Datapoint struct {
			Vector    json.RawMessage          `json:"featureVector"`
			Restricts []semanticcache.Restrict `json:"numericRestricts"`
		} `json:"datapoint"`
		Count int `json:"neighborCount"`
	} `json:"queries"`
}

// nearest is the id of the nearest neighbor, "" if there is none near enough.
func (s *step) nearest(ctx context.Context, fc *flow.Context, vector json.RawMessage) (string, error) {
	q := query{Index: s.index}
	q.Queries[0].Count = 1
	q.Queries[0].Datapoint.Vector = vector
	q.Queries[0].Datapoint.Restricts = []semanticcache.Restrict{{Namespace: semanticcache.ExpiryNamespace, Value: fc.Now().UnixMilli(), Op: "GREATER"}}
	body, err := json.Marshal(&q)
	if err != nil {
		return "", err
	}
	fc.PutText(s.prefix+"nearest_neighbor_request", string(body))
	const name = "VectorSearchAPIFailed"
	data, err := s.post(ctx, fc, s.neighbors, name, body)
	if err != nil {
		return "", err
	}
	fc.PutText(s.prefix+"nearest_neighbor_response", string(data))
	var answer struct {
		Nearest []struct {
			Neighbors []struct {
				Datapoint struct {
					ID string `json:"datapointId"`
				} `json:"datapoint"`
				Distance float64 `json:"distance"`
			} `json:"neighbors"`
		} `json:"nearestNeighbors"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", s.fault(name, "Vector search API gave no neighbors", err)
	}
	fc.PutText(s.other+"measure_type", s.measure)
	if len(answer.Nearest) == 0 || len(answer.Nearest[0].Neighbors) == 0 {
		return "", nil
	}
	n := answer.Nearest[0].Neighbors[0]
	fc.Put(s.other+"nearest_neighbor_measure", flow.FloatValue(n.Distance))
	if !s.near(n.Distance) {
		return "", nil
	}
	return n.Datapoint.ID, nil
}

func (s *step) near(distance float64) bool {
	if s.measure == dotProduct {
		return distance >= s.threshold
	}
	return distance <= s.threshold
}

// post calls an API; what goes wrong is the fault called name.
func (s *step) post(ctx context.Context, fc *flow.Context, to *template.Template, name string, body []byte) ([]byte, error) {
	url, err := to.Expand(fc, false)
	if err != nil {
		return nil, s.fault("FailedToResolveURL", "Failed to resolve the URL "+to.Source(), err)
	}
	data, err := s.client.Post(ctx, fc, url, body)
	var e *googlerest.Error
	switch {
	case err == nil:
		return data, nil
	case !errors.As(err, &e):
		return nil, err // the call's own time is up
	case e.Reason == googlerest.NoToken:
		return nil, s.fault("AuthenticationFailure", "Failed to authenticate with Vertex AI", err)
	}
	text := apis[name] + " API call failed"
	if e.Status != 0 {
		text += " with " + e.Error()
	}
	return nil, s.fault(name, text, err)
}

// apis names the API that a fault is about.
var apis = map[string]string{"EmbeddingsAPIFailed": "Embeddings", "VectorSearchAPIFailed": "Vector search"}

func (s *step) fault(name, text string, err error) *fault.Fault {
	return fault.New("steps.semanticcache.lookup."+name, 500, text).Failed(s.prefix + "failed").WithCause(err)
}
