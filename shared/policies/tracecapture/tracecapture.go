// Package tracecapture implements the <TraceCapture> policy: it adds flow variables
// to the span of the call, where the host traces calls.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/trace-capture-policy
//
// The span is that of the request's context; without one nothing is captured, and
// the faults are the same. Numbers and booleans keep their type. A value may have 256
// bytes.
//
// Faults (500), which set tracecapture.P.failed:
//
//   - steps.tracecapture.UnresolvedVariable: a variable is not set, without a default
//     and with IgnoreUnresolvedVariables false
//   - steps.tracecapture.VariableValueLimitExceeded: a value is too long, with
//     ThrowExceptionOnLimit; without, it is cut
package tracecapture

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the TraceCapture policy.
var Kind = policy.Define("TraceCapture", New)

// maxValue is how many bytes a value may have.
const maxValue = 256

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Variables are what is captured. Required.
	Variables []Variable `xml:"Variables>Variable"`
	// ThrowExceptionOnLimit makes a value that is too long a fault.
	ThrowExceptionOnLimit bool `xml:"ThrowExceptionOnLimit,once"`
	// IgnoreUnresolvedVariables leaves out variables that are not set.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Variable is a <Variable>.
type Variable struct {
	bundle.Pos
	// Name is the attribute's. Required.
	Name string `xml:"name,attr"`
	// Ref is the flow variable. Required.
	Ref string `xml:"ref,attr"`
	// Default is the value where the variable is not set.
	Default string `xml:",chardata"`
}

type step struct {
	policy        string
	ignore, throw bool
	captures      []capture
}

type capture struct {
	name     string
	ref      flow.Var
	fallback string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), ignore: c.IgnoreUnresolvedVariables, throw: c.ThrowExceptionOnLimit}
	if len(c.Variables) == 0 {
		env.Errorf(bundle.Pos{}, "<TraceCapture> has no <Variables> with a <Variable>")
	}
	for _, v := range c.Variables {
		switch {
		case v.Name == "" || v.Ref == "":
			env.Errorf(v.Pos, "<Variable> needs the attributes name and ref")
		case strings.HasPrefix(v.Ref, "private."):
			env.Warnf(v.Pos, "%s is not captured: private variables never leave the call", v.Ref)
		default:
			s.captures = append(s.captures, capture{v.Name, env.Var(v.Ref), v.Default})
		}
	}
	return s, nil
}

// Run adds the attributes.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	span := trace.SpanFromContext(ctx)
	for i := range s.captures {
		c := &s.captures[i]
		v := c.ref.Get(fc)
		if v.IsNull() && c.fallback != "" {
			v = flow.StringValue(c.fallback)
		}
		if v.IsNull() {
			if s.ignore {
				continue
			}
			return s.fault("UnresolvedVariable", "Unresolved variable : "+c.ref.Name())
		}
		a, cut := attributeOf(c.name, v)
		if cut && s.throw {
			return s.fault("VariableValueLimitExceeded", "Value of variable "+c.ref.Name()+" exceeds the limit of 256 bytes")
		}
		span.SetAttributes(a)
	}
	return nil
}

// attributeOf is the attribute for a value, and whether its text was cut.
func attributeOf(name string, v flow.Value) (a attribute.KeyValue, cut bool) {
	switch v.Kind() {
	case flow.Int:
		n, _ := v.Int()
		return attribute.Int64(name, n), false
	case flow.Float:
		f, _ := v.Float()
		return attribute.Float64(name, f), false
	case flow.Bool:
		return attribute.Bool(name, v.Truth()), false
	}
	text := v.String()
	if len(text) > maxValue {
		text, cut = strings.ToValidUTF8(text[:maxValue], ""), true
	}
	return attribute.String(name, text), cut
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.tracecapture."+name, 500, text).Failed("tracecapture." + s.policy + ".failed")
}
