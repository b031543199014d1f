// Package setdialogflowresponse implements the <SetDialogflowResponse> policy: it makes
// the WebhookResponse for a Dialogflow CX agent of what a back end answered.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/set-dialogflow-response-policy
// and https://cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookResponse
//
// Phrases and parameters come from a header or, by JSONPath, from the body of the
// source, from a flow variable, or are given. Parameters by JSONPath keep their JSON
// type. The response becomes the content of the message of the flow, as
// application/json.
//
// Faults (500), which set setdialogflowresponse.P.failed:
//
//   - steps.setdialogflowresponse.SourceUnavailable: Source is no message
//   - steps.setdialogflowresponse.UnresolvedVariable: there is no such header, member
//     or variable, with IgnoreUnresolvedVariables false; else it is left out
//   - steps.setdialogflowresponse.ExecutionFailed: the body of the source is no JSON
package setdialogflowresponse

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the SetDialogflowResponse policy.
var Kind = policy.Define("SetDialogflowResponse", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the message that headers and JSONPaths are about; the message of
	// the flow if empty.
	Source string `xml:"Source,once"`
	// DialogflowVersion is the version of the agent; see ParseDialogflowRequest.
	DialogflowVersion string `xml:"DialogflowVersion,once"`
	// NaturalLanguageResponse is what the agent says.
	NaturalLanguageResponse NaturalLanguageResponse `xml:"NaturalLanguageResponse,once"`
	// Parameters are set in the session.
	Parameters []Parameter `xml:"Parameters>Parameter"`
	// IgnoreUnresolvedVariables leaves out what is not there.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// NaturalLanguageResponse is a <NaturalLanguageResponse>.
type NaturalLanguageResponse struct {
	// MergeBehavior says whether the phrases are added to those of the agent.
	MergeBehavior string   `xml:"MergeBehavior,once" enum:"APPEND,REPLACE"`
	Phrases       []Origin `xml:"Phrases>Phrase"`
}

// Parameter is a <Parameter>.
type Parameter struct {
	Origin
	Name string `xml:"name,attr"`
}

// Origin is where a text comes from: the one of these that is there.
type Origin struct {
	bundle.Pos
	Header   *Header `xml:"Header,once"`
	JSONPath string  `xml:"JSONPath,once"`
	Ref      string  `xml:"Ref,once"`
	Value    string  `xml:"Value,once"`
}

// Header names a header.
type Header struct {
	Name string `xml:"name,attr"`
}

type step struct {
	policy     string
	source     string
	ignore     bool
	merge      string
	phrases    []origin
	parameters []parameter
	json       bool // some origin is a JSONPath
}

type parameter struct {
	name string
	origin
}

// origin is a compiled Origin.
type origin struct {
	header string
	path   *jsonpath.Path
	ref    flow.Var
	value  string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), source: c.Source, ignore: c.IgnoreUnresolvedVariables, merge: c.NaturalLanguageResponse.MergeBehavior}
	if s.source == "" {
		s.source = "message"
	}
	env.UsesMessage("message") // is written
	for _, p := range c.NaturalLanguageResponse.Phrases {
		s.phrases = append(s.phrases, s.compile(p, "Phrase", env))
	}
	for _, p := range c.Parameters {
		if p.Name == "" {
			env.Errorf(p.Pos, "<Parameter> has no attribute name")
		}
		s.parameters = append(s.parameters, parameter{p.Name, s.compile(p.Origin, "Parameter", env)})
	}
	if s.json {
		env.UsesMessage(s.source)
	}
	return s, nil
}

func (s *step) compile(c Origin, element string, env *policy.Env) origin {
	o := origin{value: c.Value}
	switch {
	case c.Header != nil && c.Header.Name != "":
		o.header = c.Header.Name
	case c.JSONPath != "":
		path, err := jsonpath.Compile(c.JSONPath)
		if err != nil {
			env.Errorf(c.Pos, "JSONPathCompilationFailed: %v", err)
		}
		o.path, s.json = path, true
	case c.Ref != "":
		o.ref = env.Var(c.Ref)
	case c.Value == "":
		env.Errorf(c.Pos, "<%s> has neither <Header>, <JSONPath>, <Ref> nor <Value>", element)
	}
	return o
}

// Run makes the response.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	r := reader{fc: fc, step: s, source: fc.MessageNamed(s.source)}
	if r.source == nil {
		return s.fault("SourceUnavailable", "Source "+s.source+" is not available")
	}
	body, err := s.response(&r)
	if err != nil {
		return err
	}
	m := fc.Message()
	m.SetContent(body)
	m.Header.Set("Content-Type", "application/json")
	return nil
}

// response is a WebhookResponse.
func (s *step) response(r *reader) ([]byte, error) {
	b := []byte(`{"fulfillmentResponse":{"messages":[`)
	for i, n := 0, 0; i < len(s.phrases); i++ {
		text, ok, err := r.read(&s.phrases[i])
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(jsonpath.AppendString(append(b, `{"text":{"text":[`...), text.Text()), `]}}`...)
	}
	b = append(b, ']')
	if s.merge != "" {
		b = append(b, `,"mergeBehavior":"`+s.merge+`"`...)
	}
	b = append(b, '}')
	if len(s.parameters) > 0 {
		var err error
		if b, err = s.session(r, b); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (s *step) session(r *reader, b []byte) ([]byte, error) {
	b = append(b, `,"sessionInfo":{"parameters":{`...)
	for i, n := 0, 0; i < len(s.parameters); i++ {
		p := &s.parameters[i]
		v, ok, err := r.read(&p.origin)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = v.append(append(jsonpath.AppendString(b, p.name), ':'))
	}
	return append(b, `}}`...), nil
}

// reader reads the origins of one response.
type reader struct {
	fc     *flow.Context
	step   *step
	source *message.Message
	root   *jsonpath.Value // of the source, once it is wanted
}

// found is a text, or a JSON value.
type found struct {
	text string
	json *jsonpath.Value
}

// Text is what is found as a phrase.
func (f found) Text() string {
	if f.json != nil {
		return f.json.Text()
	}
	return f.text
}

func (f found) append(b []byte) []byte {
	if f.json != nil {
		return f.json.AppendJSON(b)
	}
	return jsonpath.AppendString(b, f.text)
}

// read is the value of an origin; ok is false where it is left out.
func (r *reader) read(o *origin) (v found, ok bool, err error) {
	name := o.value
	switch {
	case o.header != "":
		name = o.header
		v.text, ok = r.source.Header.Lookup(o.header)
	case o.path != nil:
		if err := r.parse(); err != nil {
			return v, false, err
		}
		name = o.path.String()
		v.json, ok = o.path.Eval(r.root)
	case !o.ref.IsZero():
		name = o.ref.Name()
		val := o.ref.Get(r.fc)
		v.text, ok = val.String(), !val.IsNull()
	default:
		v.text, ok = o.value, true
	}
	if !ok && !r.step.ignore {
		return v, false, r.step.fault("UnresolvedVariable", "Unresolved variable : "+name)
	}
	return v, ok, nil
}

func (r *reader) parse() error {
	if r.root != nil {
		return nil
	}
	body, err := r.source.Content()
	if err == nil {
		r.root, err = jsonpath.Parse(body)
	}
	if err != nil {
		return r.step.fault("ExecutionFailed", "the content of "+r.step.source+" is no JSON").WithCause(err)
	}
	return nil
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.setdialogflowresponse."+name, 500, "SetDialogflowResponse["+s.policy+"]: "+text).
		Failed("setdialogflowresponse." + s.policy + ".failed")
}
