// Package oasvalidation implements the <OASValidation> policy: it holds a request
// or a response against an OpenAPI document.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/oas-validation-policy
//
// Documents are OpenAPI 3.0 or 3.1, JSON or YAML, and are compiled when the proxy
// is deployed. References to other files are refused. The base path is the
// proxy's; servers and security of the document are ignored. Path and verb are
// always checked, parameters of a request, and headers of a response, too; a body
// whose type is JSON, a form or plain text is checked where
// <ValidateMessageBody> says so. A property that is readOnly is not required of a
// request, one that is writeOnly not of a response.
//
// The words are those of Apigee's own engine, Atlassian's
// swagger-request-validator over json-schema-validator; the order of several
// mistakes is by their place.
//
// Faults (500), which set oasvalidation.P.failed:
//
//   - steps.oasvalidation.Failed: the message is not what the document says;
//     fault.subcategory is OASValidationFailure
//   - steps.oasvalidation.SourceMessageNotAvailable: Source is not set
//   - steps.oasvalidation.NotMessageVariable: Source is no message
//   - steps.oasvalidation.ResourceDoesNotExist, ResourceCompileFailed: the document
//     that a template names; of any other it refuses the deployment
//
// Refused at deployment: BadResourceURL, ResourceDoesNotExist,
// ResourceCompileFailed.
package oasvalidation

import (
	"context"
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the OASValidation policy.
var Kind = policy.Define("OASValidation", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// OASResource is the document, oas://NAME, or a template that gives it.
	// Required.
	OASResource Resource `xml:"OASResource,once,required"`
	// Source is the message to check.
	Source string `xml:"Source,once" default:"request"`
	// Options say how far to go.
	Options Options `xml:"Options,once"`
}

// Resource is the URL of a resource.
type Resource struct {
	bundle.Pos
	URL string `xml:",chardata"`
}

// Options say how far to go.
type Options struct {
	// ValidateMessageBody checks the body too.
	ValidateMessageBody bool `xml:"ValidateMessageBody,once"`
	// AllowUnspecifiedParameters says which parameters may be there that the
	// document does not name.
	AllowUnspecifiedParameters Unspecified `xml:"AllowUnspecifiedParameters,once"`
}

// Unspecified are parameters that the document does not name.
type Unspecified struct {
	// Header allows headers. Where it does not, those that HTTP itself and the
	// hosts on the way use are allowed.
	Header bool `xml:"Header,once" default:"true"`
	// Query allows query parameters.
	Query bool `xml:"Query,once" default:"true"`
	// Cookie allows cookies.
	Cookie bool `xml:"Cookie,once" default:"true"`
}

type step struct {
	policy    string
	source    string
	sourceVar flow.Var
	options   Options
	url       *template.Template
	fixed     *document // nil if the document depends on the call
	library   *library
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source), options: c.Options,
		url: env.Template(c.OASResource.Pos, c.OASResource.URL),
	}
	if c.Options.ValidateMessageBody {
		env.UsesMessage(c.Source)
	}
	s.library = newLibrary(env)
	url, fixed := s.url.Constant()
	if !fixed {
		s.library.compileAll(env, c.OASResource.Pos)
		return s, nil
	}
	name, ok := strings.CutPrefix(url, "oas://")
	if !ok || name == "" {
		env.Errorf(c.OASResource.Pos, "BadResourceURL: OASValidation %s: %q is no URL of the form oas://name", env.Name(), url)
		return s, nil
	}
	data, err := env.Resource(url)
	if err != nil {
		env.Errorf(c.OASResource.Pos, "ResourceDoesNotExist: OASValidation %s: %v", env.Name(), err)
		return s, nil
	}
	doc, err := compile(data)
	if err != nil {
		env.Errorf(c.OASResource.Pos, "ResourceCompileFailed: OASValidation %s: %s: %v", env.Name(), url, err)
		return s, nil
	}
	for _, w := range doc.warnings {
		env.Warnf(c.OASResource.Pos, "%s: %s", url, w)
	}
	s.fixed = doc
	return s, nil
}

// Run checks the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	m, err := s.message(fc)
	if err != nil {
		return err
	}
	url, doc, err := s.document(fc)
	if err != nil {
		return err
	}
	r := report{}
	c := call{message: m, options: &s.options, report: &r, verb: fc.Request.Verb, suffix: fc.PathSuffix, path: fc.BasePath + fc.PathSuffix}
	if m.IsRequest() && m != fc.Request {
		c.of(fc)
	}
	if m.IsRequest() {
		doc.request(&c)
	} else {
		doc.response(&c)
	}
	if len(r.messages) == 0 {
		return nil
	}
	f := s.fault("Failed", `OASValidation `+s.policy+` with resource "`+url+`": failed with reason: "`+r.String()+`"`)
	f.Subcategory = "OASValidationFailure"
	return f
}

// of takes verb and path from a request that is not the call's own.
func (c *call) of(fc *flow.Context) {
	c.verb, c.path = c.message.Verb, c.message.Path
	c.suffix = strings.TrimPrefix(c.path, fc.BasePath)
}

func (s *step) message(fc *flow.Context) (*message.Message, error) {
	if m := fc.MessageNamed(s.source); m != nil {
		return m, nil
	}
	v := s.sourceVar.Get(fc)
	switch {
	case v.IsNull():
		return nil, s.fault("SourceMessageNotAvailable", s.source+" message is not available for OASValidation: "+s.policy)
	case v.Message() == nil:
		return nil, s.fault("NotMessageVariable", "Variable "+s.source+" does not resolve to a Message")
	}
	return v.Message(), nil
}

func (s *step) document(fc *flow.Context) (string, *document, error) {
	if s.fixed != nil {
		return s.url.Source(), s.fixed, nil
	}
	url, err := s.url.Expand(fc, true)
	if err != nil {
		return "", nil, s.fault("ResourceDoesNotExist", "OASValidation "+s.policy+": "+err.Error()).WithCause(err)
	}
	doc, err := s.library.find(strings.TrimSpace(url))
	switch {
	case errors.Is(err, errNoDocument):
		return "", nil, s.fault("ResourceDoesNotExist", "OASValidation "+s.policy+": resource "+url+" does not exist")
	case err != nil:
		return "", nil, s.fault("ResourceCompileFailed", "OASValidation "+s.policy+": failed to compile resource "+url).WithCause(err)
	}
	return url, doc, nil
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.oasvalidation."+name, 500, text).Failed("oasvalidation." + s.policy + ".failed")
}
