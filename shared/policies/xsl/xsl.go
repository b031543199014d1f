// Package xsl implements the <XSL> policy: it transforms XML with a stylesheet. A
// message whose content type is not XML is left alone.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/xsl-transform-policy
//
// The result replaces the body of the source, or goes into <OutputVariable>. The
// content type of the message stays as it is but for its charset, which becomes that
// of the result. Stylesheets are compiled when the bundle is. Document type
// declarations are refused, in the source and in the stylesheet, so there are no
// entities but the five of XML itself; elements may be nested 1000 deep, templates
// 10000; source and results together may have two million nodes, a result 30 MiB.
//
// Faults (500), which set xsl.P.failed:
//
//   - steps.xsl.XSLSourceMessageNotAvailable: Source is not set
//   - steps.xsl.XSLVariableResolutionFailed: the variable of a parameter is not set
//   - steps.xsl.XSLEvaluationFailed: the source is malformed, the stylesheet fails or
//     ends with a message, or one of the bounds is passed
//
// Refused at deployment: XSLEmptyResourceUrl, XSLInvalidResourceType, a resource that
// does not exist, and a stylesheet with an error or with something that is not
// supported, with its file and line: xsl:import and xsl:include, as on Apigee,
// document() and extensions, and what the differences below say.
//
// Differences from Apigee: stylesheets are those of XSLT 1.0, with the functions and
// the syntax of 2.0 that are commonly used. Of 2.0 and 3.0 are refused:
// xsl:analyze-string, xsl:result-document, character maps, tunnel parameters, types
// other than the simplest, dates other than as text, and regular expressions that are
// not literals; where the host offers a Java virtual machine, it runs those
// stylesheets. A stylesheet of version 1.0 runs by the rules of 1.0, where Saxon uses
// those of 2.0 with its own numbers: a million is 1000000, not 1.0E6. xsl:sort with a
// language compares letters without their case first, not by that language. An
// OutputVariable that is a message is refused at deployment. Reasons in faults are
// perigee's words, not those of Saxon.
package xsl

import (
	"context"
	"errors"
	"mime"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xslt"
)

// Kind is the XSL policy.
var Kind = policy.Define("XSL", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// ResourceURL is the stylesheet: xsl://file.
	ResourceURL URL `xml:"ResourceURL,once"`
	// Source is the message to transform, or a variable with XML.
	Source string `xml:"Source,once" default:"message"`
	// OutputVariable is the variable that gets the result as text; it cannot be a
	// message. Without it the result replaces the source.
	OutputVariable Output `xml:"OutputVariable,once"`
	// Parameters are the values of parameters of the stylesheet.
	Parameters *Parameters `xml:"Parameters,once"`
}

// URL names a resource.
type URL struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// Output names a variable.
type Output struct {
	bundle.Pos
	Name string `xml:",chardata"`
}

// Parameters are the values of parameters.
type Parameters struct {
	// IgnoreUnresolvedVariables leaves a parameter whose variable is not set to the
	// stylesheet; else that is a fault.
	IgnoreUnresolvedVariables bool `xml:"ignoreUnresolvedVariables,attr"`
	// Parameter is a parameter.
	Parameter []Parameter `xml:"Parameter"`
}

// Parameter is the value of one parameter.
type Parameter struct {
	bundle.Pos
	// Name is the name of the xsl:param.
	Name string `xml:"name,attr"`
	// Ref is the variable with the value.
	Ref string `xml:"ref,attr"`
	// Value is the value, where there is no ref or its variable is not set.
	Value *string `xml:"value,attr"`
}

type step struct {
	policy    string
	sheet     *xslt.Stylesheet
	source    string
	sourceVar flow.Var
	output    string
	outputVar flow.Var
	params    []param
	lenient   bool // variables may be unset
}

type param struct {
	name, ref string
	from      flow.Var // where ref is not ""
	value     *string
}

// New compiles the policy and its stylesheet.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source), output: c.OutputVariable.Name}
	env.UsesMessage(c.Source)
	switch s.output {
	case "":
	case "message", "request", "response", "error":
		env.Errorf(c.OutputVariable.Pos, "<OutputVariable> is the message %s: the result can only go into a variable; without <OutputVariable> it replaces the source", s.output)
	default:
		s.outputVar = env.Var(s.output)
	}
	s.parameters(c.Parameters, env)
	sheet, other := stylesheet(c, env)
	if sheet == nil {
		return other, nil
	}
	s.sheet = sheet
	if c.Parameters != nil {
		for _, p := range c.Parameters.Parameter {
			if !sheet.HasParameter(p.Name) {
				env.Warnf(p.Pos, "the stylesheet has no parameter %s", p.Name)
			}
		}
	}
	return s, nil
}

func (s *step) parameters(list *Parameters, env *policy.Env) {
	if list == nil {
		return
	}
	s.lenient = list.IgnoreUnresolvedVariables
	seen := map[string]bool{}
	for _, p := range list.Parameter {
		switch {
		case !xmltoken.IsName(p.Name) || strings.Contains(p.Name, ":"):
			env.Errorf(p.Pos, "name %q of <Parameter> is not a name", p.Name)
		case seen[p.Name]:
			env.Errorf(p.Pos, "parameter %s is there twice", p.Name)
		case p.Ref == "" && p.Value == nil:
			env.Errorf(p.Pos, "parameter %s has neither ref nor value", p.Name)
		}
		seen[p.Name] = true
		out := param{name: p.Name, ref: p.Ref, value: p.Value}
		if p.Ref != "" {
			out.from = env.Var(p.Ref)
		}
		s.params = append(s.params, out)
	}
}

// stylesheet compiles the resource. What is not supported here a virtual machine may
// run, where there is one: that is the second result.
func stylesheet(c *Config, env *policy.Env) (*xslt.Stylesheet, policy.Policy) {
	pos, url := c.ResourceURL.Pos, strings.TrimSpace(c.ResourceURL.Value)
	typ, name, _ := strings.Cut(url, "://")
	switch {
	case url == "" || typ == "xsl" && name == "":
		env.Errorf(pos, "XSLEmptyResourceUrl: Resource Url cannot be empty in XSL %s", env.Name())
		return nil, nil
	case typ != "xsl":
		env.Errorf(pos, "XSLInvalidResourceType: XSL %s: Resource type must be xsl. Context %s", env.Name(), url)
		return nil, nil
	}
	text, err := env.Resource(url)
	if err != nil {
		env.Errorf(pos, "XSL %s: %v", env.Name(), err)
		return nil, nil
	}
	sheet, err := xslt.Compile(text)
	if err == nil {
		return sheet, nil
	}
	if env.JVM != nil {
		p, err := env.JVM.Compile(env.Policy, env.Resource)
		env.Problems().Add(pos, err)
		return nil, p
	}
	file := url
	if r := env.Bundle.Resource(typ, name); r != nil {
		file = r.File
	}
	var problems xslt.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		env.Lackf(bundle.Pos{File: file, Line: p.Line}, "%s", p.Msg)
	}
	return nil, nil
}

// Run transforms the source.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	m, text, err := s.read(fc)
	if err != nil {
		return err
	}
	opts := xslt.Options{Now: fc.Now()}
	if m != nil {
		typ, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if typ != "text/xml" && typ != "application/xml" && !strings.HasSuffix(typ, "+xml") {
			return nil
		}
		opts.Charset = params["charset"]
		if text, err = m.Content(); err != nil {
			return s.failed(err)
		}
	}
	if opts.Params, err = s.values(fc); err != nil {
		return err
	}
	res, err := s.sheet.Run(ctx, text, opts)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.failed(err)
	}
	return s.write(fc, m, res)
}

// read finds the source: a message, or a text.
func (s *step) read(fc *flow.Context) (*message.Message, []byte, error) {
	if m := fc.MessageNamed(s.source); m != nil {
		return m, nil, nil
	}
	v := s.sourceVar.Get(fc)
	switch {
	case v.IsNull():
		return nil, nil, s.fault("XSLSourceMessageNotAvailable", s.source+" message is not available for XSL: "+s.policy)
	case v.Message() != nil:
		return v.Message(), nil, nil
	}
	return nil, []byte(v.String()), nil
}

// values are those of the parameters.
func (s *step) values(fc *flow.Context) (xslt.Params, error) {
	if len(s.params) == 0 {
		return nil, nil
	}
	out := make(xslt.Params, len(s.params))
	for i := range s.params {
		p := &s.params[i]
		if p.ref != "" {
			if v := p.from.Get(fc); !v.IsNull() {
				out[p.name] = v.String()
				continue
			}
		}
		switch {
		case p.value != nil:
			out[p.name] = *p.value
		case !s.lenient:
			return nil, s.fault("XSLVariableResolutionFailed", "Failed to resolve variable "+p.ref)
		}
	}
	return out, nil
}

// write puts the result into the output, or in the place of the source.
func (s *step) write(fc *flow.Context, m *message.Message, res xslt.Result) error {
	name, to := s.output, s.outputVar
	switch {
	case name != "":
	case m != nil:
		m.SetContent(res.Bytes())
		setCharset(m, res.Encoding)
		s.observe(fc, s.source+".content", res)
		return nil
	default:
		name, to = s.source, s.sourceVar
	}
	if err := to.Set(fc, flow.StringValue(res.Text)); err != nil {
		return s.failed(err)
	}
	s.observe(fc, name, res)
	return nil
}

func (s *step) observe(fc *flow.Context, name string, res xslt.Result) {
	if fc.Observed() {
		fc.Emit(flow.Event{Kind: flow.VariableSet, Name: name, Value: flow.StringValue(res.Text)})
	}
}

// setCharset gives a content type that names a charset that of its body.
func setCharset(m *message.Message, encoding string) {
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if old, ok := params["charset"]; err == nil && ok && !strings.EqualFold(old, encoding) {
		params["charset"] = encoding
		m.Header.Set("Content-Type", mime.FormatMediaType(typ, params))
	}
}

func (s *step) failed(err error) error {
	return s.fault("XSLEvaluationFailed", "Evaluation of XSL "+s.policy+` failed with reason: "`+err.Error()+`"`).WithCause(err)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.xsl."+name, 500, text).Failed("xsl." + s.policy + ".failed")
}
