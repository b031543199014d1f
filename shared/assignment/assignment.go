// Package assignment changes messages: it is what AssignMessage, RaiseFault,
// HTTPModifier and the <Request> of ServiceCallout have in common. Compile
// turns <Add>, <Copy>, <Remove>, <Set> and <AssignVariable> into operations
// that run in the order in which they stand in the file.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/assign-message-policy
//
// Faults, with the prefix of the policy and status 500: SetVariableFailed,
// UnresolvedVariable, VariableOfNonMsgType, GoogleTokenGenerationFailure.
package assignment

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// Changes are the elements that change a message. Embed them in the Config of
// a policy.
type Changes struct {
	// Add appends values; a name that exists gets one value more.
	Add []Add `xml:"Add"`
	// Copy takes parts of another message.
	Copy []Copy `xml:"Copy"`
	// Remove takes parts of the message away.
	Remove []Remove `xml:"Remove"`
	// Set replaces parts of the message.
	Set []Set `xml:"Set"`
}

// Add is an <Add>.
type Add struct {
	bundle.Pos
	// Headers are header fields; values are templates.
	Headers []Field `xml:"Headers>Header"`
	// QueryParams are query parameters of a request; values are templates.
	QueryParams []Field `xml:"QueryParams>QueryParam"`
	// FormParams are form parameters of a request; values are templates. They set
	// the content type and replace a body that is no form.
	FormParams []Field `xml:"FormParams>FormParam"`
}

// Field is one header or parameter to add or set.
type Field struct {
	bundle.Pos
	Name  string `xml:"name,attr"`
	Value string `xml:",chardata"` // template
}

// Copy is a <Copy>.
type Copy struct {
	bundle.Pos
	// Source is the variable of the message to copy from; the message of the
	// flow if empty.
	Source string `xml:"source,attr"`
	// Headers, QueryParams and FormParams are copied by name, or all of them.
	Headers     *Headers     `xml:"Headers"`
	QueryParams *QueryParams `xml:"QueryParams"`
	FormParams  *FormParams  `xml:"FormParams"`
	// Payload copies the body and its Content-Type.
	Payload bool `xml:"Payload"`
	// Verb, Version and Path are copied from request to request.
	Verb    bool `xml:"Verb"`
	Version bool `xml:"Version"`
	Path    bool `xml:"Path"`
	// StatusCode and ReasonPhrase are copied from response to response.
	StatusCode   bool `xml:"StatusCode"`
	ReasonPhrase bool `xml:"ReasonPhrase"`
}

// Remove is a <Remove>.
type Remove struct {
	bundle.Pos
	// Headers, QueryParams and FormParams are removed by name, or all of them.
	Headers     *Headers     `xml:"Headers"`
	QueryParams *QueryParams `xml:"QueryParams"`
	FormParams  *FormParams  `xml:"FormParams"`
	// Payload removes the body.
	Payload bool `xml:"Payload"`
}

// Headers are the header fields to copy or remove: the text "true" or no
// content at all means all of them.
type Headers struct {
	bundle.Pos
	All  string `xml:",chardata"` // true or false
	List []Name `xml:"Header"`
}

// QueryParams are the query parameters to copy or remove, as in Headers.
type QueryParams struct {
	bundle.Pos
	All  string `xml:",chardata"` // true or false
	List []Name `xml:"QueryParam"`
}

// FormParams are the form parameters to copy or remove, as in Headers.
type FormParams struct {
	bundle.Pos
	All  string `xml:",chardata"` // true or false
	List []Name `xml:"FormParam"`
}

// Name names a header or parameter; "NAME.N" is its N-th value.
type Name struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	Text string `xml:",chardata"` // no effect but for "false", which leaves it out
}

// Set is a <Set>. Whatever the order of its children, they are applied in the
// order of these fields.
type Set struct {
	bundle.Pos
	// Headers are header fields; values are templates.
	Headers []Field `xml:"Headers>Header"`
	// QueryParams are query parameters of a request; values are templates.
	QueryParams []Field `xml:"QueryParams>QueryParam"`
	// FormParams are form parameters of a request; values are templates. They set
	// the content type and replace a body that is no form.
	FormParams []Field `xml:"FormParams>FormParam"`
	// Payload is the new body: a template, or markup. See Payload.
	Payload *bundle.Element `xml:"Payload"`
	// Verb, Path and Version are templates, for requests only.
	Verb    *string `xml:"Verb"`
	Path    *string `xml:"Path"`
	Version *string `xml:"Version"`
	// StatusCode and ReasonPhrase are templates, for responses only.
	StatusCode   *string `xml:"StatusCode"`
	ReasonPhrase *string `xml:"ReasonPhrase"`
	// Authentication puts a Google token into a header; see
	// bundle.Authentication.
	Authentication *bundle.Element `xml:"Authentication"`
}

// Payload is the <Payload> of a <Set>.
type Payload struct {
	bundle.Pos
	// ContentType becomes the Content-Type of the message.
	ContentType string `xml:"contentType,attr"`
	// VariablePrefix and VariableSuffix enclose a variable in the text.
	VariablePrefix string `xml:"variablePrefix,attr" default:"{"`
	VariableSuffix string `xml:"variableSuffix,attr" default:"}"`
	// Template is a resource (template://NAME) that holds the text instead.
	Template string `xml:"template,attr"`

	Text   string            `xml:",chardata,raw"`
	Markup []*bundle.Element `xml:",any"`
}

// Variable is an <AssignVariable>. Of several sources the first counts in the
// order ResourceURL, Template, Ref, Value, PropertySetRef.
type Variable struct {
	bundle.Pos
	// Name is the variable to set. Names that start with "ratelimit" are
	// reserved.
	Name string `xml:"Name"`
	// ResourceURL is a resource file that holds a template.
	ResourceURL string `xml:"ResourceURL"`
	// Template is a template, or the variable in ref holds one.
	Template *Template `xml:"Template"`
	// Ref is the variable to copy, with its type. An empty one with no other source
	// leaves the variable without a value.
	Ref *string `xml:"Ref"`
	// Value is literal text; with Ref it is the value when Ref is not set.
	Value *string `xml:"Value,raw"`
	// PropertySetRef is a template that gives SET.KEY of a property set.
	PropertySetRef string `xml:"PropertySetRef"`
}

// Template is the <Template> of an AssignVariable.
type Template struct {
	bundle.Pos
	Text string `xml:",chardata,raw"`
	Ref  string `xml:"ref,attr"`
}

// Names are what faults are called in the policy at hand.
type Names struct {
	// Policy is the kind in fault strings, "AssignMessage".
	Policy string
	// Prefix of the fault codes, with the dot.
	Prefix string
	// Failed are the variables set to true by a fault.
	Failed []string
}

// Fault returns the fault called name; its string starts with kind and name of
// the policy, as Apigee's do.
func (n *Names) Fault(policy, name, text string) *fault.Fault {
	return fault.New(n.Prefix+name, 500, n.Policy+"["+policy+"]: "+text).Failed(n.Failed...)
}

// Program is a compiled list of operations. It is immutable and shared by all
// calls.
type Program struct {
	names  Names
	policy string
	ignore bool
	ops    []operation
}

// Target is the message that a Program changes.
type Target struct {
	// Name is the message's variable, for debug sessions.
	Name    string
	Message *message.Message
	// Replaced is the message that Message has just taken the place of, if any:
	// a <Copy> from Name still reads it.
	Replaced *message.Message
}

// operation is one step of a Program.
type operation interface {
	apply(ctx context.Context, fc *flow.Context, p *Program, t Target) error
}

// Run executes the operations on t.
func (p *Program) Run(ctx context.Context, fc *flow.Context, t Target) error {
	for _, op := range p.ops {
		if err := op.apply(ctx, fc, p, t); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) fault(name, text string) *fault.Fault {
	return p.names.Fault(p.policy, name, text)
}

func (p *Program) unresolved(name string) *fault.Fault {
	return p.fault("UnresolvedVariable", "unable to resolve variable "+name)
}

func (p *Program) setFailed(name string, err error) *fault.Fault {
	return p.fault("SetVariableFailed", "unable to set variable "+name).WithCause(err)
}

func (p *Program) notMessage(name string) *fault.Fault {
	return p.fault("VariableOfNonMsgType", "value of variable "+name+" is not of type Message")
}
