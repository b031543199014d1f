// Package messagevalidation implements the <MessageValidation> policy: it refuses
// a message whose XML or JSON is not well-formed, and, where the gateway has a Java
// virtual machine, one that a schema or a WSDL does not allow.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/message-validation-policy
//
// Without <ResourceURL> the content type decides: application/json and +json are
// JSON, application/xml, text/xml and +xml are XML, anything else, and a message
// without a content type, passes. <SOAPMessage> and <Element> say what is validated
// against a resource, and do nothing without one. Document type declarations are
// not well-formed here.
//
// Faults (500), which set messagevalidation.P.failed:
//
//   - steps.messagevalidation.Failed: with the reason and the line
//   - steps.messagevalidation.SourceMessageNotAvailable: Source is not set
//   - steps.messagevalidation.NonMessageVariable: Source is no message
//
// Refused at deployment: InvalidResourceType, RootElementNameUnspecified,
// InvalidRootElementName, a resource that does not exist, and any resource where
// there is no Java virtual machine.
package messagevalidation

import (
	"context"
	"fmt"
	"mime"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jsontoken"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Kind is the MessageValidation policy.
var Kind = policy.Define("MessageValidation", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the message to check.
	Source string `xml:"Source,once" default:"request"`
	// ResourceURL is the schema (xsd://NAME) or the description (wsdl://NAME) to
	// validate against.
	ResourceURL Resource `xml:"ResourceURL,once"`
	// SOAPMessage says that messages are SOAP.
	SOAPMessage *SOAPMessage `xml:"SOAPMessage,once"`
	// Element is the root element of a message, or of the body of a SOAP message.
	Element []Element `xml:"Element"`
}

// Resource is the URL of a resource.
type Resource struct {
	bundle.Pos
	URL string `xml:",chardata"`
}

// SOAPMessage is a <SOAPMessage>.
type SOAPMessage struct {
	bundle.Pos
	// Version is the version of SOAP; any, if empty.
	Version string `xml:"version,attr" enum:"1.1,1.2,1.1/1.2"`
}

// Element is an <Element>.
type Element struct {
	bundle.Pos
	// Namespace is the URI of the namespace.
	Namespace string `xml:"namespace,attr"`
	Name      string `xml:",chardata"`
}

type step struct {
	policy    string
	source    string
	sourceVar flow.Var
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	env.UsesMessage(c.Source)
	for _, e := range c.Element {
		switch {
		case e.Name == "":
			env.Errorf(e.Pos, "RootElementNameUnspecified: MessageValidation %s: RootElement name is not specified", env.Name())
		case strings.ContainsAny(e.Name, " \t\r\n<>&:/"):
			env.Errorf(e.Pos, "InvalidRootElementName: MessageValidation %s: RootElement name %s is invalid", env.Name(), e.Name)
		}
	}
	if url := c.ResourceURL.URL; url != "" {
		return validator(c.ResourceURL, env)
	}
	if len(c.Element) > 0 {
		env.Warnf(c.Element[0].Pos, "<Element> has no effect without <ResourceURL>: the message is only checked to be well-formed")
	}
	return &step{policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source)}, nil
}

// validator is what validates against a resource.
func validator(r Resource, env *policy.Env) (policy.Policy, error) {
	if typ, _, _ := strings.Cut(r.URL, "://"); typ != "xsd" && typ != "wsdl" {
		env.Errorf(r.Pos, "InvalidResourceType: MessageValidation %s: Invalid Resource Type %s. It should be xsd or wsdl", env.Name(), typ)
		return nil, nil
	}
	if _, err := env.Resource(r.URL); err != nil {
		env.Errorf(r.Pos, "MessageValidation %s: %v", env.Name(), err)
		return nil, nil
	}
	if env.JVM == nil {
		env.Lackf(r.Pos, "MessageValidation %s: <ResourceURL> %s: %s", env.Name(), r.URL, policy.NoJVM)
		return nil, nil
	}
	return env.JVM.Compile(env.Policy, env.Resource)
}

// Run checks the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	m, err := s.message(fc)
	if err != nil {
		return err
	}
	check, charset := checker(m)
	if check == nil {
		return nil
	}
	body, err := m.Content()
	if err != nil {
		return s.failed(err)
	}
	if err := check(body, charset); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *step) message(fc *flow.Context) (*message.Message, error) {
	if m := fc.MessageNamed(s.source); m != nil {
		return m, nil
	}
	v := s.sourceVar.Get(fc)
	switch {
	case v.IsNull():
		return nil, s.fault("SourceMessageNotAvailable", s.source+" message is not available for MessageValidation: "+s.policy)
	case v.Message() == nil:
		return nil, s.fault("NonMessageVariable", "Variable "+s.source+" does not resolve to a Message")
	}
	return v.Message(), nil
}

// checker is what checks the content type of a message; nil if nothing does.
func checker(m *message.Message) (func(body []byte, charset string) error, string) {
	typ, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	switch {
	case typ == "application/json" || strings.HasSuffix(typ, "+json"):
		return checkJSON, ""
	case typ == "application/xml" || typ == "text/xml" || strings.HasSuffix(typ, "+xml"):
		return checkXML, params["charset"]
	}
	return nil, ""
}

var (
	jsonScanners = sync.Pool{New: func() any { return new(jsontoken.Scanner) }}
	xmlScanners  = sync.Pool{New: func() any { return new(xmltoken.Scanner) }}
)

func checkJSON(body []byte, _ string) error {
	s := jsonScanners.Get().(*jsontoken.Scanner)
	defer jsonScanners.Put(s)
	defer s.Reset(nil, 0)
	s.Reset(body, 0)
	for {
		if kind, err := s.Next(); kind == jsontoken.EOF || err != nil {
			return err
		}
	}
}

func checkXML(body []byte, charset string) error {
	doc, err := xmltoken.Decode(body, charset)
	if err != nil {
		return err
	}
	s := xmlScanners.Get().(*xmltoken.Scanner)
	defer xmlScanners.Put(s)
	defer s.Reset(nil, 0, 0)
	s.Reset(doc, xmltoken.MaxDepth, xmltoken.MaxAttributes)
	for {
		if kind, err := s.Next(); kind == xmltoken.EOF || err != nil {
			return err
		}
	}
}

// failed says why a message is not well-formed, with the line where it is known.
func (s *step) failed(err error) error {
	reason := err.Error()
	switch e := err.(type) {
	case *jsontoken.Error:
		reason = fmt.Sprintf("%s [Line %d]", e.Msg, e.Line)
	case *xmltoken.Error:
		reason = fmt.Sprintf("%s [Line %d]", e.Msg, e.Line)
	}
	return s.fault("Failed", "MessageValidation "+s.policy+` failed with reason: "`+reason+`"`).WithCause(err)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.messagevalidation."+name, 500, text).Failed("messagevalidation." + s.policy + ".failed")
}
