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
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the AssignMessage policy.
var Kind = policy.Define("AssignMessage", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AssignTo is the message to change.
	AssignTo AssignTo `xml:"AssignTo,once"`
	assignment.Changes
	// AssignVariable sets a variable.
	AssignVariable []assignment.Variable `xml:"AssignVariable"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// AssignTo names the message to change.
type AssignTo struct {
	bundle.Pos
	// Name is the variable; empty is the message of the flow: the request in the
	// request flow, the response in the response flow, the error in the error
	// flow.
	Name string `xml:",chardata"`
	// CreateNew true puts a new message in the place of the old one, false
	// refuses a variable that holds no message. Absent, a message is made if the
	// variable holds none.
	CreateNew *bool `xml:"createNew,attr"`
	// Transport is of no effect; http is the only one.
	Transport string `xml:"transport,attr"`
	// Type of a new message; absent, it is that of the flow's segment.
	Type string `xml:"type,attr" enum:"request,response"`
}

type step struct {
	to             destination
	program        *assignment.Program
	names          assignment.Names
	policy         string
	create, refuse bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	names := assignment.Names{
		Policy: "AssignMessage", Prefix: "steps.assignmessage.",
		Failed: []string{"assignmessage." + env.Name() + ".failed"},
	}
	to := c.AssignTo
	if to.Transport != "" && to.Transport != "http" {
		env.Warnf(to.Pos, "attribute transport of <AssignTo> is %q, http is the only one", to.Transport)
	}
	return &step{
		to:     destination{name: to.Name, kind: to.Type},
		create: to.CreateNew != nil && *to.CreateNew, refuse: to.CreateNew != nil && !*to.CreateNew,
		names: names, policy: env.Name(),
		program: assignment.Compile(env, env.Policy.Root, &c.Changes, c.AssignVariable, assignment.Options{
			Names: names, To: to.Name, IgnoreUnresolved: c.IgnoreUnresolvedVariables,
		}),
	}, nil
}

// Run changes the message.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	t := assignment.Target{Name: s.to.name, Message: s.to.find(fc)}
	switch {
	case s.create:
		t.Replaced = t.Message
		t.Message = s.to.install(fc)
	case t.Message == nil && s.refuse:
		return s.names.Fault(s.policy, "VariableOfNonMsgType", "value of variable "+s.to.name+" is not of type Message")
	case t.Message == nil:
		t.Message = s.to.install(fc)
	}
	return s.program.Run(ctx, fc, t)
}

// destination is where the message is: a variable, or the flow's own.
type destination struct{ name, kind string }

// find returns the message that is there; nil if there is none.
func (d destination) find(fc *flow.Context) *message.Message {
	switch {
	case d.name == "":
		return fc.Message()
	case d.name == "response" && fc.Response == nil && fc.Phase >= flow.TargetResponse:
		return fc.NewResponse() // a null route has no response yet
	}
	return fc.MessageNamed(d.name)
}

// install puts a new message there. It is a message of its own, so that the
// one it replaces can still be read.
func (d destination) install(fc *flow.Context) *message.Message {
	slot := d.slot(fc)
	m := message.NewRequest()
	if slot == "response" || slot == "error" || slot != "request" && d.isResponse(fc) {
		m = message.NewResponse()
	}
	switch slot {
	case "request":
		fc.Request = m
	case "response":
		fc.Response = m
	case "error":
		fc.Error = m
	default:
		fc.Put(slot, flow.MessageValue(m))
	}
	return m
}

// slot is the variable to assign: for the flow's own message the one it is in,
// unless type names another.
func (d destination) slot(fc *flow.Context) string {
	switch {
	case d.name != "" && d.name != "message":
		return d.name
	case d.kind == "request":
		return "request"
	case fc.InError:
		return "error"
	case d.isResponse(fc):
		return "response"
	}
	return "request"
}

func (d destination) isResponse(fc *flow.Context) bool {
	if d.kind != "" {
		return d.kind == "response"
	}
	return fc.InError || fc.Phase >= flow.TargetResponse
}
