// Package semanticcachepopulate implements the <SemanticCachePopulate> policy: it
// keeps the answer to a prompt, for prompts that mean nearly the same.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/semantic-cache-populate-policy
//
// The prompt and its vector are those of the SemanticCacheLookup that ran before in
// the call. The vector goes into the index, with the access token of the deployment's
// service account, and the answer into the cache. Only responses with status 200 are
// kept, and no stream whose length is unknown; one larger than 256 KB is not either.
// Where the lookup found an answer, or did not run, or has no vector, nothing is kept.
//
// The datapoint has the numeric restricts time_millis and exp_millis: when the answer
// was kept, and until when.
//
// Variables, below SemanticCachePopulate.P.: upsert_index_request,
// upsert_index_response, failed.
//
// Faults (500), which set SemanticCachePopulate.P.failed:
//
//   - steps.semanticcache.populate.FailedToResolveURL: the URL has a variable that is
//     not set
//   - steps.semanticcache.populate.AuthenticationFailure: no access token, or one
//     that is not taken
//   - steps.semanticcache.populate.VectorSearchUpsertAPIFailed: the index does not
//     take the vector
//
// Refused at deployment: no <SimilaritySearch> with a <URL>, a <TTLInSeconds> that is
// not from 1 to 2592000.
//
// Differences from Apigee: which responses are kept Apigee does not say.
package semanticcachepopulate

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/googlerest"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/semanticcache"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the SemanticCachePopulate policy.
var Kind = policy.Define("SemanticCachePopulate", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// SimilaritySearch says where the vector goes.
	SimilaritySearch Search `xml:"SimilaritySearch,once,required"`
	// TTLInSeconds is how long the answer is kept; 30 days at most.
	TTLInSeconds Text `xml:"TTLInSeconds,once" default:"60"`
	// IgnoreUnresolvedVariables makes variables of the URL that are not set empty
	// text instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Text is a text with its place.
type Text struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// Search is a vector index.
type Search struct {
	bundle.Pos
	// VertexAI is the one kind there is.
	VertexAI struct {
		// URL is that of the index's method upsertDatapoints, a message template.
		URL Text `xml:"URL,once,required"`
	} `xml:"VertexAI,once,required"`
}

type step struct {
	client *googlerest.Client
	caches policy.Caches
	url    *template.Template
	ignore bool
	ttl    time.Duration
	prefix string // of the variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<SemanticCachePopulate> cannot run: there are no caches here")
	}
	env.UsesContent(false, true)
	u := &c.SimilaritySearch.VertexAI.URL
	s := &step{
		client: googlerest.New(env), caches: env.Caches, ignore: c.IgnoreUnresolvedVariables,
		url: env.Template(u.Pos, strings.TrimSpace(u.Value)), prefix: "SemanticCachePopulate." + env.Name() + ".",
	}
	text := strings.TrimSpace(c.TTLInSeconds.Value)
	seconds, err := strconv.ParseInt(text, 10, 32)
	s.ttl = time.Duration(seconds) * time.Second
	if err != nil || seconds < 1 || s.ttl > policy.MaxCacheExpiry {
		env.Errorf(c.TTLInSeconds.Pos, "<TTLInSeconds> is %q, want seconds from 1 to 2592000", text)
	}
	return s, nil
}

// datapoint is what goes into the index.
type datapoint struct {
	ID        string                   `json:"datapointId"`
	Vector    json.RawMessage          `json:"featureVector"`
	Restricts []semanticcache.Restrict `json:"numericRestricts"`
}

// Run keeps the answer.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	search, resp := semanticcache.Last(fc), fc.Response
	if search == nil || search.Hit || resp == nil || fc.InError || !kept(resp) {
		return nil
	}
	data, err := semanticcache.Encode(resp)
	if err != nil || len(data) > policy.MaxCacheValue {
		return nil // a body that cannot be read is the next step's business
	}
	now := fc.Now()
	until := now.Add(s.ttl)
	if err := s.upsert(ctx, fc, &datapoint{ID: search.ID, Vector: search.Vector, Restricts: []semanticcache.Restrict{
		{Namespace: "time_millis", Value: now.UnixMilli()},
		{Namespace: semanticcache.ExpiryNamespace, Value: until.UnixMilli()},
	}}); err != nil {
		return err
	}
	s.caches.Put(ctx, semanticcache.Key(fc.Proxy, search.ID), data, until)
	return nil
}

// kept reports whether a response may be kept.
func kept(m *message.Message) bool {
	if m.Streaming() && (m.Length() < 0 || m.Length() > policy.MaxCacheValue) {
		return false
	}
	return m.Status == 200
}

func (s *step) upsert(ctx context.Context, fc *flow.Context, d *datapoint) error {
	body, err := json.Marshal(map[string]any{"datapoints": []*datapoint{d}})
	if err != nil {
		return err
	}
	fc.PutText(s.prefix+"upsert_index_request", string(body))
	url, err := s.url.Expand(fc, s.ignore)
	if err != nil {
		return s.fault("FailedToResolveURL", "Failed to resolve the URL "+s.url.Source(), err)
	}
	data, err := s.client.Post(ctx, fc, url, body)
	var e *googlerest.Error
	switch {
	case err == nil:
		fc.PutText(s.prefix+"upsert_index_response", string(data))
		return nil
	case !errors.As(err, &e):
		return err // the call's own time is up
	case e.Reason == googlerest.NoToken:
		return s.fault("AuthenticationFailure", "Failed to authenticate with Vertex AI", err)
	}
	text := "Vector search upsert API call failed"
	if e.Status != 0 {
		text += " with " + e.Error()
	}
	return s.fault("VectorSearchUpsertAPIFailed", text, err)
}

func (s *step) fault(name, text string, err error) *fault.Fault {
	return fault.New("steps.semanticcache.populate."+name, 500, text).Failed(s.prefix + "failed").WithCause(err)
}
