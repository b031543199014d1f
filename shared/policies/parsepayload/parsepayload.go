// Package parsepayload implements the <ParsePayload> policy: it reads which
// operation a payload asks for, where one path serves them all, as with the Model
// Context Protocol (MCP). The key and token checks that follow hold it against the
// operations of the API product, and quotas count it apart.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/parse-payload-policy
// and https://cloud.google.com/apigee/docs/api-platform/apigee-mcp/manage-mcp-tool-access
//
// The operation of a call of a tool is tools/call/NAME, that of any other request
// and notification its method: tools/list. A payload that is empty, and one that
// answers a request (it has a result or an error), asks for none. Every other payload
// of a request must be one JSON-RPC 2.0 object, whatever its content type says: not a
// batch, and no member that decides may be there twice, or once more in other case,
// so that the target cannot read it otherwise. A response is looked at if it is JSON.
//
// Variables, both under parsepayload.P. and under apigee.payload., for Apigee's pages
// name the one and the other: operation, json-rpc.request.method and
// json-rpc.request.id.
//
// Faults, which set parsepayload.P.failed; Apigee publishes none:
//
//   - steps.parsepayload.InvalidPayload (400): it is no such request
//   - steps.parsepayload.SourceUnavailable (500): Source is not there
package parsepayload

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ParsePayload policy.
var Kind = policy.Define("ParsePayload", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the message to read.
	Source string `xml:"Source,once" default:"request" enum:"request,response"`
	// PayloadType is JSON-RPC-2.0. Required.
	PayloadType string `xml:"PayloadType,once,required" enum:"JSON-RPC-2.0"`
	// Protocol is MCP. Required.
	Protocol string `xml:"Protocol,once,required" enum:"MCP"`
}

type step struct {
	policy, source, failed string
	names                  [2]names // of variables
}

// names are those of the variables under a prefix.
type names struct{ operation, method, id string }

func namesUnder(prefix string) names {
	return names{prefix + ".operation", prefix + ".json-rpc.request.method", prefix + ".json-rpc.request.id"}
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	env.UsesMessage(c.Source)
	prefix := "parsepayload." + env.Name()
	return &step{
		policy: env.Name(), source: c.Source, failed: prefix + ".failed",
		names: [2]names{namesUnder(prefix), namesUnder("apigee.payload")},
	}, nil
}

// Run reads the payload.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	m := fc.MessageNamed(s.source)
	if m == nil {
		return s.fault("SourceUnavailable", 500, "Source "+s.source+" is not available")
	}
	var r request
	if m.IsRequest() || isJSON(m) {
		body, err := m.Content()
		if err != nil {
			return s.fault("InvalidPayload", 400, err.Error()).WithCause(err)
		}
		if r, err = parse(body); err != nil {
			return s.fault("InvalidPayload", 400, "Payload is no JSON-RPC 2.0 request: "+err.Error()).WithCause(err)
		}
	}
	op := r.operation()
	policy.SetOperation(fc, func(o *policy.Operation) { o.Payload = op })
	if r.method == "" {
		return nil
	}
	for i := range s.names {
		n := &s.names[i]
		fc.PutText(n.operation, op)
		fc.PutText(n.method, r.method)
		if r.id != "" {
			fc.PutText(n.id, r.id)
		}
	}
	return nil
}

func isJSON(m *message.Message) bool {
	ct, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(ct), "application/json")
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("steps.parsepayload."+name, status, "ParsePayload["+s.policy+"]: "+text).Failed(s.failed)
}
