// Package jsonthreatprotection implements the <JSONThreatProtection> policy: it
// refuses a JSON body that is malformed, or larger in one respect than it is
// allowed to be. The body is read token by token and is never built up in
// memory: however it is nested, a bit per level is all it takes.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/json-threat-protection-policy
//
// Only messages whose content type is application/json, or ends in +json, are
// looked at. An empty body passes. Lengths are in UTF-16 units, escapes resolved.
// Without <ContainerDepth> 10000 levels are allowed. Names may repeat: each counts.
//
// Faults (500), which set jsonattack.P.failed:
//
//   - steps.jsonthreatprotection.ExecutionFailed: a limit is exceeded, or the body
//     is no JSON; the fault string says which and on which line
//   - steps.jsonthreatprotection.SourceUnavailable: Source is not set
//   - steps.jsonthreatprotection.NonMessageVariable: Source is no message
package jsonthreatprotection

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the JSONThreatProtection policy.
var Kind = policy.Define("JSONThreatProtection", New)

// Config is the policy's XML. A limit that is absent or negative is none.
type Config struct {
	policy.Header
	// Source is the message to look at. Without it, it is the message of the flow.
	Source string `xml:"Source,once"`
	// ArrayElementCount is how many elements an array may have.
	ArrayElementCount int `xml:"ArrayElementCount,once" default:"-1"`
	// ContainerDepth is how deep objects and arrays may be nested.
	ContainerDepth int `xml:"ContainerDepth,once" default:"-1"`
	// ObjectEntryCount is how many members an object may have.
	ObjectEntryCount int `xml:"ObjectEntryCount,once" default:"-1"`
	// ObjectEntryNameLength is how long the name of a member may be.
	ObjectEntryNameLength int `xml:"ObjectEntryNameLength,once" default:"-1"`
	// StringValueLength is how long a string may be.
	StringValueLength int `xml:"StringValueLength,once" default:"-1"`
}

type step struct {
	policy    string
	source    string
	sourceVar flow.Var
	limits    limits
}

// limits are the numbers of a policy; negative ones limit nothing.
type limits struct{ elements, depth, entries, name, text int }

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if c.Source == "" {
		c.Source = "message"
	}
	env.UsesMessage(c.Source)
	return &step{
		policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source),
		limits: limits{c.ArrayElementCount, c.ContainerDepth, c.ObjectEntryCount, c.ObjectEntryNameLength, c.StringValueLength},
	}, nil
}

// Run looks at the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	m, err := s.message(fc)
	if err != nil {
		return err
	}
	if !isJSON(m) {
		return nil
	}
	body, err := m.Content()
	if err != nil {
		return s.fault("ExecutionFailed", "Execution failed. reason: "+err.Error()).WithCause(err)
	}
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		return nil
	}
	return s.inspect(body)
}

func (s *step) message(fc *flow.Context) (*message.Message, error) {
	if m := fc.MessageNamed(s.source); m != nil {
		return m, nil
	}
	v := s.sourceVar.Get(fc)
	switch {
	case v.IsNull():
		return nil, s.fault("SourceUnavailable", "Source "+s.source+" is not available")
	case v.Message() == nil:
		return nil, s.fault("NonMessageVariable", "Variable "+s.source+" does not resolve to a Message")
	}
	return v.Message(), nil
}

func isJSON(m *message.Message) bool {
	ct, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	ct = strings.ToLower(strings.TrimSpace(ct))
	return ct == "application/json" || strings.HasSuffix(ct, "+json")
}

var inspections = sync.Pool{New: func() any { return new(inspection) }}

// inspect reads the body.
func (s *step) inspect(body []byte) error {
	in := inspections.Get().(*inspection)
	defer in.release()
	what, err := in.run(body, &s.limits)
	switch {
	case err != nil:
		return s.fault("ExecutionFailed", "Execution failed. reason: "+err.Error())
	case what != "":
		return s.fault("ExecutionFailed", "Execution failed. reason: JSONThreatProtection["+s.policy+"]: Exceeded "+what+" at line "+strconv.Itoa(in.scan.Line()))
	}
	return nil
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.jsonthreatprotection."+name, 500, "JSONThreatProtection["+s.policy+"]: "+text).
		Failed("jsonattack." + s.policy + ".failed")
}
