// Package semanticcache is what the policies SemanticCacheLookup and
// SemanticCachePopulate have in common: what a call looked for, and how an answer is
// kept. The cache of the environment holds the answers, by the ids of datapoints;
// the vector index holds the prompts that they are to.
//
// Sources: the policies' pages,
// https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api,
// https://cloud.google.com/vertex-ai/docs/vector-search/query-index-public-endpoint
package semanticcache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// ExpiryNamespace is the numeric restrict of a datapoint that says until when its
// answer is kept, in milliseconds since 1970.
const ExpiryNamespace = "exp_millis"

// Restrict is a numeric restrict of a datapoint, or of a query for some. Its value
// is an int64, which JSON has as a string.
type Restrict struct {
	Namespace string `json:"namespace"`
	Value     int64  `json:"valueInt,string"`
	Op        string `json:"op,omitempty"`
}

// Search is what a call looked for in the index.
type Search struct {
	// ID is that of the prompt's datapoint, and Vector its embedding as JSON.
	ID     string
	Vector json.RawMessage
	// Hit says that an answer was found.
	Hit bool
}

// ID is the id of the datapoint of a prompt. It is the same for the same prompt to
// the same proxy, so that an answer kept again takes the place of the one before.
func ID(p *flow.Proxy, prompt string) string {
	sum := sha256.Sum256([]byte(p.Organization + "\x00" + p.Environment + "\x00" + p.Name + "\x00" + prompt))
	return hex.EncodeToString(sum[:])
}

// Key is where the answer of a datapoint is kept. It has the proxy's name: proxies
// that share an index do not share answers.
func Key(p *flow.Proxy, id string) policy.CacheKey {
	return policy.CacheKey{Cache: "semantic-cache", Key: p.Name + "__" + id}
}

// session is the key in Context.Session of the last search.
type session struct{}

// Remember keeps what the call looked for.
func Remember(fc *flow.Context, s *Search) {
	if fc.Session == nil {
		fc.Session = map[any]any{}
	}
	fc.Session[session{}] = s
}

// Last is what the call looked for last, nil if it has not.
func Last(fc *flow.Context) *Search {
	s, _ := fc.Session[session{}].(*Search)
	return s
}

// Encode is an answer as it is kept: the content type, a line feed, the body.
func Encode(m *message.Message) ([]byte, error) {
	body, err := m.Content()
	if err != nil {
		return nil, err
	}
	return append([]byte(m.Header.Get("Content-Type")+"\n"), body...), nil
}

// Decode is the response of an answer that was kept, and its body.
func Decode(data []byte) (*message.Message, string) {
	contentType, body, _ := strings.Cut(string(data), "\n")
	m := message.NewResponse()
	if contentType != "" {
		m.Header.Add("Content-Type", contentType)
	}
	m.Header.Add("Cached-Content", "true")
	m.SetContent([]byte(body))
	return m, body
}
