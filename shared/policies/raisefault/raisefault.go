// Package raisefault implements the <RaiseFault> policy: it ends the flow and
// starts the error flow with an error message of its own, made like a response
// of AssignMessage.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/raise-fault-policy
//
// Fault: steps.raisefault.RaiseFault with the status that was set, else 500,
// and the string "Raising fault. Fault name : P". fault.name is RaiseFault;
// raisefault.failed and raisefault.P.failed are set. While the message is made
// the faults of AssignMessage may occur with the prefix steps.raisefault.
//
// Without a payload the client gets the default body under the status that was
// set.
package raisefault

import (
	"context"
	"slices"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the RaiseFault policy.
var Kind = policy.Define("RaiseFault", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// FaultResponse makes the error message. Its elements run in the order of
	// the file, on an empty response with status 500.
	FaultResponse FaultResponse `xml:"FaultResponse,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text;
	// unlike in AssignMessage it is the default.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once" default:"true"`
	// ShortFaultReason leaves "Raising fault. Fault name : " out of the fault
	// string.
	ShortFaultReason bool `xml:"ShortFaultReason,once"`
}

// FaultResponse is the grammar of AssignMessage, for a response.
type FaultResponse struct {
	bundle.Pos
	assignment.Changes
	// AssignVariable sets a variable.
	AssignVariable []assignment.Variable `xml:"AssignVariable"`
	// AsssignVariable, with three s, is what Apigee's published schema allows in
	// place of AssignVariable, so bundles that were checked against it may have it.
	// The runtime knows no such element: it assigns nothing, here as there.
	AsssignVariable []*bundle.Element `xml:"AsssignVariable"`
}

type step struct {
	program *assignment.Program
	text    string
	failed  []string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		text:   "Raising fault. Fault name : " + env.Name(),
		failed: []string{"raisefault.failed", "raisefault." + env.Name() + ".failed"},
	}
	if c.ShortFaultReason {
		s.text = env.Name()
	}
	el := env.Policy.Root.Child("FaultResponse")
	checkOrder(el, env)
	for _, e := range c.FaultResponse.AsssignVariable {
		env.Warnf(e.Pos, "<AsssignVariable> has no effect: the element is <AssignVariable>")
	}
	s.program = assignment.Compile(env, el, &c.FaultResponse.Changes, c.FaultResponse.AssignVariable, assignment.Options{
		Names: assignment.Names{Policy: "RaiseFault", Prefix: "steps.raisefault.", Failed: s.failed},
		To:    "-", IgnoreUnresolved: c.IgnoreUnresolvedVariables,
	})
	return s, nil
}

// order is how Apigee's schema wants the children of <Set>; Apigee has been seen
// to ignore a <FaultResponse> with another order.
var order = []string{"Headers", "Payload", "StatusCode", "ReasonPhrase"}

func checkOrder(el *bundle.Element, env *policy.Env) {
	if el == nil {
		return
	}
	for set := range el.All("Set") {
		last := -1
		for _, child := range set.Children {
			i := slices.Index(order, child.Name)
			if i >= 0 && i < last {
				env.Warnf(child.Pos, "<%s> stands after <%s>: Apigee may ignore a <FaultResponse> in which <Set> has not the order Headers, Payload, StatusCode, ReasonPhrase", child.Name, order[last])
			}
			last = max(last, i)
		}
	}
}

// Run makes the message and raises the fault.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	m := message.NewResponse()
	m.Status = 500
	if err := s.program.Run(ctx, fc, assignment.Target{Name: "error", Message: m}); err != nil {
		return err
	}
	length := m.Length() // writes form parameters into the body
	f := &fault.Fault{
		Code: "steps.raisefault.RaiseFault", Name: "RaiseFault", Text: s.text,
		Status: m.Status, Reason: m.Reason, FailedVariables: s.failed,
	}
	if length > 0 || m.Changed() {
		f.Message = m
		return f
	}
	for i := range m.Header.Len() { // the default body, with these
		f.Header = append(f.Header, m.Header.At(i))
	}
	return f
}
