package graphql

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// request is what a client sent.
type request struct {
	query string
	// operation is operationName, or "".
	operation string
}

// choose returns the operation of the call. Apigee takes the first; a server that
// is given several runs the one that is named, and what is checked here must be
// what is run there.
func (r *request) choose(doc *ast.QueryDocument) *ast.OperationDefinition {
	if r.operation != "" {
		if op := doc.Operations.ForName(r.operation); op != nil {
			return op
		}
	}
	return doc.Operations[0]
}

// request reads the source.
func (s *step) request(fc *flow.Context) (*request, error) {
	m := fc.MessageNamed(s.source)
	if m == nil {
		v := s.sourceVar.Get(fc)
		if v.IsNull() {
			return nil, s.fault("SourceUnavailable", 500, "Source "+s.source+" is not available")
		}
		if m = v.Message(); m == nil {
			query := v.String()
			return &request{query: query}, s.tooLarge(len(query))
		}
	}
	return s.read(m)
}

func (s *step) tooLarge(n int) error {
	if s.size > 0 && n > s.size {
		return s.fault("MaxPayloadSizeExceeded", 500, "Payload size exceeds the size set in the policy")
	}
	return nil
}

func (s *step) read(m *message.Message) (*request, error) {
	if m.IsRequest() && m.Verb == "GET" {
		query, ok := m.Query.Lookup("query")
		if !ok {
			return nil, s.parsingFailed("there is no query parameter query")
		}
		return &request{query, m.Query.Get("operationName")}, s.tooLarge(len(query))
	}
	body, err := m.Content()
	if err != nil {
		return nil, s.parsingFailed(err.Error()).WithCause(err)
	}
	if err := s.tooLarge(len(body)); err != nil {
		return nil, err
	}
	switch mediaType(m) {
	case "application/graphql":
		return &request{query: string(body)}, nil
	case "application/json":
		r, err := fromJSON(body)
		if err != nil {
			return nil, s.parsingFailed(err.Error()).WithCause(err)
		}
		return r, nil
	}
	return nil, s.parsingFailed("the content type is neither application/graphql nor application/json")
}

func mediaType(m *message.Message) string {
	t, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// fromJSON reads {"query": ..., "operationName": ...}. Names count as they are
// written: encoding/json would take "QUERY" for query, which no server does.
func fromJSON(body []byte) (*request, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, errors.New("malformed JSON")
	}
	r := &request{}
	if err := json.Unmarshal(members["query"], &r.query); err != nil || r.query == "" {
		return nil, errors.New("there is no query")
	}
	if name := members["operationName"]; name != nil && json.Unmarshal(name, &r.operation) != nil {
		return nil, errors.New("operationName is no string")
	}
	return r, nil
}
