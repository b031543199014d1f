// Package flowcallout implements the <FlowCallout> policy: it runs a shared flow
// that is deployed in the environment. What the shared flow does it does to
// this call; a fault in it is a fault of the endpoint that called it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/flow-callout-policy
//
// Variables: apigee.edge.sharedflow.name while the shared flow runs, and the
// parameters, which get back their old values afterwards.
//
// Faults (500), which set flow.P.failed:
//
//   - flow.SharedFlowNotFound: the shared flow is not deployed
//   - flow.SharedFlowTooDeep: shared flows call each other more than 20 deep
package flowcallout

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the FlowCallout policy.
var Kind = policy.Define("FlowCallout", New)

// maxDepth bounds shared flows that call each other.
const maxDepth = 20

// Config is the policy's XML.
type Config struct {
	policy.Header
	// SharedFlowBundle is the name of the shared flow. Required.
	SharedFlowBundle string `xml:"SharedFlowBundle,once,required"`
	// Parameters are variables that only the shared flow sees.
	Parameters []Parameter `xml:"Parameters>Parameter"`
}

// Parameter is one variable for the shared flow. The value is that of the
// variable in ref if it is set, else the text in value, else the content, a
// template.
type Parameter struct {
	bundle.Pos
	Name  string  `xml:"name,attr"`
	Value *string `xml:"value,attr"`
	Ref   string  `xml:"ref,attr"`
	Text  string  `xml:",chardata"`
}

type step struct {
	name        string
	failed      string
	sharedFlows policy.SharedFlows
	parameters  []parameter
}

type parameter struct {
	variable flow.Var
	ref      flow.Var
	text     *template.Template // nil: there is only ref
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.SharedFlows == nil {
		env.Errorf(bundle.Pos{}, "this host has no shared flows")
		return nil, nil
	}
	s := &step{name: c.SharedFlowBundle, failed: "flow." + env.Name() + ".failed", sharedFlows: env.SharedFlows}
	for _, p := range c.Parameters {
		if strings.TrimSpace(p.Name) == "" {
			env.Errorf(p.Pos, "<Parameter> has no attribute name")
			continue
		}
		s.parameters = append(s.parameters, newParameter(p, env))
	}
	if sf, ok := env.SharedFlows.SharedFlow(s.name); ok {
		env.UsesContent(sf.UsesContent())
	} else {
		env.UsesContent(true, true) // unknown until it is deployed
	}
	return s, nil
}

func newParameter(p Parameter, env *policy.Env) parameter {
	out := parameter{variable: env.Var(p.Name)}
	text := p.Text
	if p.Value != nil {
		text = *p.Value
	}
	if p.Ref != "" {
		out.ref = env.Var(p.Ref)
	}
	if p.Ref == "" || text != "" {
		out.text = env.Template(p.Pos, text)
	}
	return out
}

func (p *parameter) eval(fc *flow.Context) flow.Value {
	if !p.ref.IsZero() {
		if v := p.ref.Get(fc); !v.IsNull() || p.text == nil {
			return v
		}
	}
	text, err := p.text.Expand(fc, true)
	if err != nil {
		return flow.Value{}
	}
	return flow.StringValue(text)
}

// Run runs the shared flow.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	sf, ok := s.sharedFlows.SharedFlow(s.name)
	if !ok {
		return s.fault("SharedFlowNotFound", "Shared Flow "+s.name+" Not Found")
	}
	if fc.Depth >= maxDepth {
		return s.fault("SharedFlowTooDeep", "Shared Flow "+s.name+" is called too deep")
	}
	outer := fc.SharedFlow
	defer s.restore(fc, s.assign(fc))
	fc.SharedFlow = s.name
	fc.Depth++
	defer func() { fc.SharedFlow, fc.Depth = outer, fc.Depth-1 }()
	return sf.Run(ctx, fc)
}

// assign sets the parameters, all evaluated beforehand, and returns what they
// were.
func (s *step) assign(fc *flow.Context) []flow.Value {
	if len(s.parameters) == 0 {
		return nil
	}
	values := make([]flow.Value, 2*len(s.parameters))
	old, values := values[:len(s.parameters)], values[len(s.parameters):]
	for i := range s.parameters {
		values[i] = s.parameters[i].eval(fc)
	}
	for i, p := range s.parameters {
		old[i] = p.variable.Get(fc)
		set(fc, p.variable, values[i])
	}
	return old
}

func (s *step) restore(fc *flow.Context, old []flow.Value) {
	for i := len(old) - 1; i >= 0; i-- { // a name may stand twice
		set(fc, s.parameters[i].variable, old[i])
	}
}

// set assigns a parameter. One that is named like a read-only variable keeps
// that variable's value.
func set(fc *flow.Context, v flow.Var, val flow.Value) {
	if val.IsNull() {
		_ = fc.Remove(v.Name())
		return
	}
	_ = v.Set(fc, val)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("flow."+name, 500, text).Failed(s.failed)
}
