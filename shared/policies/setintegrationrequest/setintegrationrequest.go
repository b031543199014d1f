// Package setintegrationrequest implements the <SetIntegrationRequest> policy: it
// makes the request that runs an integration of Application Integration. An
// IntegrationCallout or an IntegrationEndpoint sends it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/set-integration-request-policy
//
// Variables: the request message (request unless <Request> names another),
// integration.project.id, integration.project.region, integration.name,
// integration.request.
//
// Faults (500), which set setintegrationrequest.P.failed:
//
//   - steps.setintegrationrequest.UnresolvedVariable: a ref is not set and there
//     is no literal beside it, or a variable in a parameter is not set
//   - steps.setintegrationrequest.InvalidValue: a value is not of its type, or no
//     name of a project, region or integration
//
// The documentation has no table of faults; the names are perigee's.
package setintegrationrequest

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the SetIntegrationRequest policy.
var Kind = policy.Define("SetIntegrationRequest", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// ProjectID is the Google Cloud project of the integration; by default the
	// gateway's own.
	ProjectID *bundle.RefValue `xml:"ProjectId,once"`
	// IntegrationName is the integration to run; without it every integration
	// that has the trigger runs.
	IntegrationName *bundle.RefValue `xml:"IntegrationName,once"`
	// IntegrationRegion is where the integration is. Required.
	IntegrationRegion *bundle.RefValue `xml:"IntegrationRegion,once"`
	// APITrigger is the trigger to call, such as api_trigger/orders. Required.
	APITrigger *bundle.RefValue `xml:"ApiTrigger,once"`
	// ScheduleTime is when to run, in the form of RFC 3339; such a run is
	// scheduled and not waited for.
	ScheduleTime *bundle.RefValue `xml:"ScheduleTime,once"`
	// Parameters are the inputs of the integration.
	Parameters *Parameters `xml:"Parameters,once"`
	// Request is the variable for the request.
	Request string `xml:"Request,once" default:"request"`
}

// Parameters are the inputs of the integration.
type Parameters struct {
	bundle.Pos
	// SubstitutionVariableChar encloses names of variables in the values of
	// parameters: with "$", $name$ stands for the value of name.
	SubstitutionVariableChar string           `xml:"substitutionVariableChar,attr"`
	Parameters               []Parameter      `xml:"Parameter"`
	Arrays                   []ParameterArray `xml:"ParameterArray"`
}

// Parameter is one input.
type Parameter struct {
	bundle.RefValue
	Name string `xml:"name,attr"`
	// Type is integer, string, boolean, double or json.
	Type string `xml:"type,attr"`
}

// ParameterArray is an input that is a list.
type ParameterArray struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Type is integer, string, boolean or double.
	Type string `xml:"type,attr"`
	// Ref is a variable with the list: a list value, or a JSON array as text.
	Ref    string            `xml:"ref,attr"`
	Values []bundle.RefValue `xml:"Value"`
}

type step struct {
	policy                                   string
	project, name, region, trigger, schedule source
	request                                  string
	parameters                               []parameter
	arrays                                   []array
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	k := compiler{env: env}
	s := &step{
		policy: env.Name(), request: strings.TrimSpace(c.Request),
		project: k.source(c.ProjectID), name: k.source(c.IntegrationName), region: k.source(c.IntegrationRegion),
		trigger: k.source(c.APITrigger), schedule: k.source(c.ScheduleTime),
	}
	if !s.region.given() {
		env.Errorf(bundle.Pos{}, "<SetIntegrationRequest> has no <IntegrationRegion>")
	}
	if !s.trigger.given() {
		env.Errorf(bundle.Pos{}, "<SetIntegrationRequest> has no <ApiTrigger>")
	}
	k.check(c)
	if c.Parameters != nil {
		k.parameters(s, c.Parameters)
	}
	env.UsesMessage(s.request)
	return s, nil
}

// Run makes the request.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	call, err := s.call(fc)
	if err != nil {
		return err
	}
	trigger, err := s.text(fc, s.trigger)
	if err != nil {
		return err
	}
	when, err := s.when(fc)
	if err != nil {
		return err
	}
	call.Async = when != ""
	body, err := s.body(fc, trigger, when)
	if err != nil {
		return err
	}
	m := fc.MessageNamed(s.request)
	if m == nil || !m.IsRequest() {
		m = message.NewRequest()
		fc.Put(s.request, flow.MessageValue(m))
	}
	m.Verb = "POST"
	m.Header.Del("Content-Encoding")
	m.Header.Set("Content-Type", "application/json")
	m.SetContent(body)
	integration.Put(fc, s.request, call)
	return nil
}

func (s *step) call(fc *flow.Context) (*policy.IntegrationCall, error) {
	c := &policy.IntegrationCall{Name: integration.Any}
	var err error
	if c.Region, err = s.text(fc, s.region); err != nil {
		return nil, err
	}
	if s.project.given() {
		if c.Project, err = s.text(fc, s.project); err != nil {
			return nil, err
		}
	}
	if s.name.given() {
		if c.Name, err = s.text(fc, s.name); err != nil {
			return nil, err
		}
	}
	switch {
	case !integration.ValidName(c.Region):
		return nil, s.invalid("IntegrationRegion", c.Region)
	case !integration.ValidName(c.Name):
		return nil, s.invalid("IntegrationName", c.Name)
	case c.Project != "" && !integration.ValidProject(c.Project):
		return nil, s.invalid("ProjectId", c.Project)
	}
	return c, nil
}

func (s *step) when(fc *flow.Context) (string, error) {
	if !s.schedule.given() {
		return "", nil
	}
	when, err := s.text(fc, s.schedule)
	if err != nil {
		return "", err
	}
	if _, err := time.Parse(time.RFC3339, when); err != nil {
		return "", s.invalid("ScheduleTime", when)
	}
	return when, nil
}

// text returns a value that must be there.
func (s *step) text(fc *flow.Context, v source) (string, error) {
	text := strings.TrimSpace(v.text(fc))
	if text == "" {
		return "", s.unresolved(v.ref.Name())
	}
	return text, nil
}

// body is the request of integrations.execute and integrations.schedule.
func (s *step) body(fc *flow.Context, trigger, when string) ([]byte, error) {
	b := jsonpath.AppendString([]byte(`{"triggerId":`), trigger)
	if when != "" {
		b = jsonpath.AppendString(append(b, `,"scheduleTime":`...), when)
	}
	if len(s.parameters)+len(s.arrays) == 0 {
		return append(b, '}'), nil
	}
	b = append(b, `,"inputParameters":{`...)
	open := len(b)
	for i := range s.parameters {
		p := &s.parameters[i]
		text, err := s.value(fc, p)
		if err != nil {
			return nil, err
		}
		b = jsonpath.AppendString(comma(b, open), p.name)
		ok := false
		if b, ok = p.kind.append(append(b, ':'), text); !ok {
			return nil, s.invalid("Parameter "+p.name, text)
		}
	}
	for i := range s.arrays {
		a := &s.arrays[i]
		values, err := s.values(fc, a)
		if err != nil {
			return nil, err
		}
		b = jsonpath.AppendString(comma(b, open), a.name)
		bad, ok := "", false
		if b, bad, ok = a.kind.appendAll(append(b, ':'), values); !ok {
			return nil, s.invalid("ParameterArray "+a.name, bad)
		}
	}
	return append(b, "}}"...), nil
}

func (s *step) value(fc *flow.Context, p *parameter) (string, error) {
	if v := p.source.ref.Get(fc); !p.source.ref.IsZero() && !v.IsNull() {
		return v.String(), nil
	}
	if p.source.ref.IsZero() || p.source.literal != "" {
		text, missing := p.pieces.expand(fc)
		if missing != "" {
			return "", s.unresolved(missing)
		}
		return text, nil
	}
	return "", s.unresolved(p.source.ref.Name())
}

func (s *step) values(fc *flow.Context, a *array) ([]string, error) {
	if !a.ref.IsZero() {
		if v := a.ref.Get(fc); !v.IsNull() {
			return listOf(v), nil
		}
		if len(a.values) == 0 {
			return nil, s.unresolved(a.ref.Name())
		}
	}
	out := make([]string, 0, len(a.values))
	for i := range a.values {
		text, err := s.value(fc, &a.values[i])
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

// listOf takes a list, a JSON array, or one value.
func listOf(v flow.Value) []string {
	if v.Kind() == flow.List {
		return v.List()
	}
	text := v.String()
	var items []json.RawMessage
	if json.Unmarshal([]byte(text), &items) != nil {
		return []string{text}
	}
	out := make([]string, len(items))
	for i, item := range items {
		if json.Unmarshal(item, &out[i]) != nil {
			out[i] = string(item)
		}
	}
	return out
}

func comma(b []byte, open int) []byte {
	if len(b) > open {
		return append(b, ',')
	}
	return b
}

func (s *step) unresolved(name string) *fault.Fault {
	return s.fault("UnresolvedVariable", "SetIntegrationRequest["+s.policy+"]: unable to resolve variable "+name)
}

func (s *step) invalid(what, value string) *fault.Fault {
	return s.fault("InvalidValue", "SetIntegrationRequest["+s.policy+"]: value "+value+" of "+what+" is not valid")
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.setintegrationrequest."+name, 500, text).Failed("setintegrationrequest." + s.policy + ".failed")
}
