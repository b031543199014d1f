package flowcallout

import (
	"context"
	"errors"
	"testing"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{SharedFlows: flows{"echo": echo, "fail": fail}}
	}))
}

// flows are the deployed shared flows.
type flows map[string]sharedFlow

func (f flows) SharedFlow(name string) (policy.SharedFlow, bool) {
	sf, ok := f[name]
	return sf, ok
}

type sharedFlow func(fc *flow.Context) error

func (f sharedFlow) Run(_ context.Context, fc *flow.Context) error { return f(fc) }
func (f sharedFlow) UsesContent() (request, response bool)         { return false, false }

// echo keeps what it sees of its parameters and of the flow.
func echo(fc *flow.Context) error {
	for _, name := range []string{"a", "b", "c", "apigee.edge.sharedflow.name"} {
		fc.Put("seen."+name, fc.Get(name))
	}
	fc.PutText("a", "changed")
	return nil
}

func fail(fc *flow.Context) error {
	fc.Put("seen.a", fc.Get("a"))
	return fault.New("steps.raisefault.RaiseFault", 400, "inside")
}

// TestCycle calls a shared flow that calls itself.
func TestCycle(t *testing.T) {
	services := policy.Services{}
	all := flows{}
	services.SharedFlows = all
	p := policytest.Compile(t, Kind, `<FlowCallout name="FC-1"><SharedFlowBundle>again</SharedFlowBundle></FlowCallout>`, services)
	runs := 0
	all["again"] = func(fc *flow.Context) error {
		runs++
		return p.Run(t.Context(), fc)
	}
	fc := policytest.Context(t, nil)
	var f *fault.Fault
	if err := p.Run(t.Context(), fc); !errors.As(err, &f) || f.Code != "flow.SharedFlowTooDeep" || f.Status != 500 {
		t.Errorf("error is %v", err)
	}
	if runs != maxDepth || fc.Depth != 0 || fc.SharedFlow != "" {
		t.Errorf("%d runs, depth %d and shared flow %q afterwards", runs, fc.Depth, fc.SharedFlow)
	}
}

// TestRedeployed looks a shared flow up for each call.
func TestRedeployed(t *testing.T) {
	all := flows{}
	p := policytest.Compile(t, Kind, `<FlowCallout name="FC-1"><SharedFlowBundle>later</SharedFlowBundle></FlowCallout>`, policy.Services{SharedFlows: all})
	fc := policytest.Context(t, nil)
	if err := p.Run(t.Context(), fc); err == nil {
		t.Error("no fault before the shared flow is deployed")
	}
	all["later"] = func(*flow.Context) error { return nil }
	if err := p.Run(t.Context(), fc); err != nil {
		t.Errorf("after it is deployed: %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<FlowCallout name="FC-1">
  <Parameters><Parameter name="a" ref="request.verb"/><Parameter name="b" value="x"/></Parameters>
  <SharedFlowBundle>nothing</SharedFlowBundle>
</FlowCallout>`, policy.Services{SharedFlows: flows{"nothing": func(*flow.Context) error { return nil }}})
	policytest.Bench(b, p, nil)
}
