// Package graphql implements the <GraphQL> policy: it reads a GraphQL request into
// flow variables, holds it against bounds and a schema, and tells the key and
// token checks that follow which operation it is.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/graphql-policy
//
// The request is a POST of application/graphql, a POST of application/json with
// the member query, or a GET with the query parameter query. A Source that is a
// string is the query itself.
//
// A document may hold several operations. All of them must be of the type that is
// allowed, so that none hides behind another; the one that operationName names, or
// else the first, is the operation of the call.
//
// Documents of more than 15000 tokens, the bound of the parser that Apigee uses,
// or nested deeper than 1000 levels, are refused.
//
// Faults, which set graphql.P.failed. The names are those of Apigee where it
// publishes any:
//
//   - steps.graphql.OperationTypeNotAllowed (400): an operation of another type
//   - steps.graphql.MaxDepthExceeded (500)
//   - steps.graphql.MaxCountExceeded (500): too many fragments
//   - steps.graphql.MaxPayloadSizeExceeded (500)
//   - steps.graphql.SchemaValidationFailed (500)
//   - steps.graphql.ParsingFailed (500): no GraphQL request
//   - steps.graphql.SourceUnavailable (500)
//
// Refused at deployment: verify without a schema, a schema that does not exist
// (ResourceDoesNotExist) or does not compile (ResourceCompileFailed).
package graphql

import (
	"context"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the GraphQL policy.
var Kind = policy.Define("GraphQL", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the message, or the variable with the query.
	Source string `xml:"Source,once" default:"request"`
	// Action is parse (set the variables, hold the request against MaxDepth and
	// MaxCount), verify (hold it against the schema and MaxCount) or parse_verify.
	Action string `xml:"Action,once" default:"parse" enum:"parse,verify,parse_verify"`
	// OperationType is the type of operation that is allowed; all and
	// query_mutation are the same.
	OperationType string `xml:"OperationType,once" default:"query" enum:"query,mutation,query_mutation,all"`
	// MaxDepth is how deep fields may be nested, fragments resolved.
	MaxDepth int `xml:"MaxDepth,once" default:"10"`
	// MaxCount is how many fragments the request may define.
	MaxCount int `xml:"MaxCount,once" default:"10"`
	// MaxPayloadSizeInBytes is how many bytes the payload may have; without it,
	// any number.
	MaxPayloadSizeInBytes int `xml:"MaxPayloadSizeInBytes,once"`
	// ResourceURL is the schema, graphql://NAME. Required for verify and
	// parse_verify.
	ResourceURL Resource `xml:"ResourceURL,once"`
}

// Resource is the URL of a resource.
type Resource struct {
	bundle.Pos
	URL string `xml:",chardata"`
}

type step struct {
	policy       string
	source       string
	sourceVar    flow.Var
	parse        bool
	queries      bool
	mutations    bool
	depth, count int
	size         int
	schema       *schema // nil if there is nothing to verify
	failed       string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source), failed: "graphql." + env.Name() + ".failed",
		parse: c.Action != "verify", queries: c.OperationType != "mutation", mutations: c.OperationType != "query",
		depth: c.MaxDepth, count: c.MaxCount, size: c.MaxPayloadSizeInBytes,
	}
	env.UsesMessage(c.Source)
	if c.Action == "parse" {
		return s, nil
	}
	s.schema = loadSchema(c, env)
	return s, nil
}

func loadSchema(c *Config, env *policy.Env) *schema {
	url := c.ResourceURL.URL
	if url == "" {
		env.Errorf(c.ResourceURL.Pos, "GraphQL %s: <Action> %s needs the schema in <ResourceURL>", env.Name(), c.Action)
		return nil
	}
	if !strings.HasPrefix(url, "graphql://") {
		env.Errorf(c.ResourceURL.Pos, "GraphQL %s: %q is no URL of the form graphql://name", env.Name(), url)
		return nil
	}
	data, err := env.Resource(url)
	if err != nil {
		env.Errorf(c.ResourceURL.Pos, "ResourceDoesNotExist: GraphQL %s: %v", env.Name(), err)
		return nil
	}
	sch, err := compileSchema(url, data)
	if err != nil {
		env.Errorf(c.ResourceURL.Pos, "ResourceCompileFailed: GraphQL %s: %v", env.Name(), err)
	}
	return sch
}

// Run reads and checks the request.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	req, err := s.request(fc)
	if err != nil {
		return err
	}
	doc, err := s.document(req)
	if err != nil {
		return err
	}
	if s.schema != nil {
		if reason := s.schema.verify(doc); reason != "" {
			return s.fault("SchemaValidationFailed", 500, "Payload failed schema validation: "+reason)
		}
	}
	op := req.choose(doc)
	policy.SetOperation(fc, func(o *policy.Operation) { o.GraphQLName, o.GraphQLType = op.Name, string(op.Operation) })
	if s.parse {
		fc.Provide("graphql.", &variables{op, doc.Fragments})
	}
	return nil
}

// document is the request parsed, within the bounds of the policy.
func (s *step) document(req *request) (*ast.QueryDocument, error) {
	doc, err := parse(req.query)
	if err != nil {
		return nil, s.parsingFailed(err.Error())
	}
	for _, op := range doc.Operations {
		allowed := op.Operation == ast.Query && s.queries || op.Operation == ast.Mutation && s.mutations
		if !allowed {
			return nil, s.fault("OperationTypeNotAllowed", 400, "Operation type "+string(op.Operation)+" is not allowed by the policy")
		}
	}
	if len(doc.Operations) == 0 {
		return nil, s.parsingFailed("there is no operation")
	}
	if len(doc.Fragments) > s.count {
		return nil, s.fault("MaxCountExceeded", 500, "Number of fragments exceeds the count set in the policy")
	}
	if s.parse && deeper(doc, s.depth) {
		return nil, s.fault("MaxDepthExceeded", 500, "Payload depth exceeds the depth set in the policy")
	}
	return doc, nil
}

func (s *step) parsingFailed(reason string) *fault.Fault {
	return s.fault("ParsingFailed", 500, "Payload is no GraphQL request: "+reason)
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("steps.graphql."+name, status, "GraphQL["+s.policy+"]: "+text).Failed(s.failed)
}
