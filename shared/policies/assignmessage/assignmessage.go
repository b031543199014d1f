// Package assignmessage implements the <AssignMessage> policy: it changes the
// message of the flow, or a message in a variable, or makes a new one, and it
// sets variables. <Add>, <Copy>, <Remove>, <Set> and <AssignVariable> run in
// the order in which they stand in the file.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/assign-message-policy
//
// Faults (500), which set assignmessage.P.failed:
//
//   - steps.assignmessage.UnresolvedVariable: a variable is not set and
//     IgnoreUnresolvedVariables is false
//   - steps.assignmessage.VariableOfNonMsgType: AssignTo or Copy's source is no message
//   - steps.assignmessage.SetVariableFailed: a variable is read-only, or the
//     value is none for it
//   - steps.assignmessage.GoogleTokenGenerationFailure: no token for <Authentication>
//
// Refused at deployment: InvalidIndex, InvalidVariableName, InvalidPayload.
package assignmessage

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the AssignMessage policy.
var Kind = policy.Define("AssignMessage", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AssignTo is the message to change.
	AssignTo assignment.AssignTo `xml:"AssignTo,once"`
	assignment.Changes
	// AssignVariable sets a variable.
	AssignVariable []assignment.Variable `xml:"AssignVariable"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

type step struct {
	to      *assignment.Destination
	program *assignment.Program
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	names := assignment.Names{
		Policy: "AssignMessage", Prefix: "steps.assignmessage.",
		Failed: []string{"assignmessage." + env.Name() + ".failed"},
	}
	options := assignment.Options{Names: names, To: c.AssignTo.Name, IgnoreUnresolved: c.IgnoreUnresolvedVariables}
	return &step{
		to:      c.AssignTo.Compile(env, names),
		program: assignment.Compile(env, env.Policy.Root, &c.Changes, c.AssignVariable, options),
	}, nil
}

// Run changes the message.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	t, err := s.to.Target(fc)
	if err != nil {
		return err
	}
	return s.program.Run(ctx, fc, t)
}
