package assignment

import (
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

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

// Destination is a compiled AssignTo.
type Destination struct {
	names          Names
	policy         string
	name, kind     string
	create, refuse bool
}

// Compile compiles a. Problems go to env.
func (a *AssignTo) Compile(env *policy.Env, names Names) *Destination {
	if a.Transport != "" && a.Transport != "http" {
		env.Warnf(a.Pos, "attribute transport of <AssignTo> is %q, http is the only one", a.Transport)
	}
	return &Destination{
		names: names, policy: env.Name(), name: a.Name, kind: a.Type,
		create: a.CreateNew != nil && *a.CreateNew, refuse: a.CreateNew != nil && !*a.CreateNew,
	}
}

// Target returns the message to change, made if there has to be a new one.
func (d *Destination) Target(fc *flow.Context) (Target, error) {
	t := Target{Name: d.name, Message: d.find(fc)}
	switch {
	case d.create:
		t.Replaced = t.Message
		t.Message = d.install(fc)
	case t.Message == nil && d.refuse:
		return t, d.names.Fault(d.policy, "VariableOfNonMsgType", "value of variable "+d.name+" is not of type Message")
	case t.Message == nil:
		t.Message = d.install(fc)
	}
	return t, nil
}

// find returns the message that is there; nil if there is none.
func (d *Destination) find(fc *flow.Context) *message.Message {
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
func (d *Destination) install(fc *flow.Context) *message.Message {
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
		if fc.Error != nil { // the fault's, until the policy sets another
			m.Status, m.Reason = fc.Error.Status, fc.Error.Reason
		}
		fc.Error = m
	default:
		fc.Put(slot, flow.MessageValue(m))
	}
	return m
}

// slot is the variable to assign: for the flow's own message the one it is in,
// unless type names another.
func (d *Destination) slot(fc *flow.Context) string {
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

func (d *Destination) isResponse(fc *flow.Context) bool {
	if d.kind != "" {
		return d.kind == "response"
	}
	return fc.InError || fc.Phase >= flow.TargetResponse
}
