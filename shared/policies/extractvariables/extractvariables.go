// Package extractvariables implements the <ExtractVariables> policy: it sets
// variables from parts of a message or of a text, found by patterns, JSONPath
// and XPath. The elements run in the order of the file; a later one overwrites
// what an earlier one set.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/extract-variables-policy
//
// Faults (500), which set extractvariables.P.failed:
//
//   - steps.extractvariables.SourceMessageNotAvailable: Source is not set
//   - steps.extractvariables.ExecutionFailed: the payload is empty or malformed
//   - steps.extractvariables.JsonPathParsingFailure: Source is a text that is not JSON
//   - steps.extractvariables.InvalidJSONPath: a path leads nowhere, or is none
//   - steps.extractvariables.UnableToCast: a value has not the declared type
//   - steps.extractvariables.ImmutableVariable: a variable is read-only
//   - steps.extractvariables.SetVariableFailed: a variable could not be set
//
// IgnoreUnresolvedVariables leaves variables unset instead of the first, and of
// InvalidJSONPath for a path that leads nowhere.
//
// Refused at deployment: NothingToExtract, NONEmptyPrefixMappedToEmptyURI,
// DuplicatePrefix, NoXPathsToEvaluate, EmptyXPathExpression,
// NoJSONPathsToEvaluate, EmptyJSONPathExpression, MissingName,
// PatternWithoutVariable, CannotBeConvertedToNodeset,
// JSONPathCompilationFailed, XPathCompilationFailed, InvalidPattern,
// InstantiationFailed.
package extractvariables

import (
	"context"
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ExtractVariables policy.
var Kind = policy.Define("ExtractVariables", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the variable to take parts of: a message, or a text.
	Source extraction.Source `xml:"Source,once" default:"message"`
	// VariablePrefix goes before the name of every variable, with a dot.
	VariablePrefix string `xml:"VariablePrefix,once"`
	// IgnoreUnresolvedVariables leaves variables unset where the source, or what
	// a JSONPath leads to, is missing.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
	// URIPath takes the path after the base path (proxy.pathsuffix) apart. Of the
	// patterns that match, the one with the most segments is taken, else the first.
	URIPath []extraction.Patterns `xml:"URIPath"`
	// QueryParam takes a query parameter of a request apart; "NAME.N" is its
	// N-th value.
	QueryParam []extraction.NamedPatterns `xml:"QueryParam"`
	// Header takes a header apart; "NAME.N" is its N-th value, "NAME.values"
	// all of them.
	Headers []extraction.NamedPatterns `xml:"Header"`
	// FormParam takes a form parameter apart, where the content type is a form.
	FormParam []extraction.NamedPatterns `xml:"FormParam"`
	// Variable takes the text of any variable apart.
	Variable []extraction.NamedPatterns `xml:"Variable"`
	// JSONPayload reads a body whose content type is application/json, or the
	// text that Source holds.
	JSONPayload *JSONPayload `xml:"JSONPayload,once"`
	// XMLPayload reads a body whose content type is text/xml, application/xml
	// or application/*+xml, or the text that Source holds.
	XMLPayload *XMLPayload `xml:"XMLPayload,once"`
}

// JSONPayload holds the variables to set from JSON.
type JSONPayload struct {
	bundle.Pos
	// StopPayloadProcessing ends with the first variable that was set.
	StopPayloadProcessing bool           `xml:"stopPayloadProcessing,attr"`
	Variables             []JSONVariable `xml:"Variable"`
}

// JSONVariable is a variable to set from JSON.
type JSONVariable struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Type is the type of the variable: string, boolean, integer, long, float,
	// double or nodeset, in any case.
	Type string `xml:"type,attr" default:"string"`
	// JSONPath is a JSONPath, or a template that gives one.
	JSONPath []string `xml:"JSONPath"`
}

// XMLPayload holds the variables to set from XML.
type XMLPayload struct {
	bundle.Pos
	// StopPayloadProcessing ends with the first variable that was set.
	StopPayloadProcessing bool `xml:"stopPayloadProcessing,attr"`
	// Namespaces are the prefixes that the expressions use.
	Namespaces []extraction.Namespace `xml:"Namespaces>Namespace"`
	Variables  []XMLVariable          `xml:"Variable"`
}

// XMLVariable is a variable to set from XML.
type XMLVariable struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Type is the type of the variable: string, boolean, integer, long, float,
	// double or nodeset, in any case.
	Type string `xml:"type,attr" default:"string"`
	// XPath is an XPath 1.0 expression.
	XPath []string `xml:"XPath"`
}

type step struct {
	policy     string
	source     extraction.Origin
	clear      bool
	ignore     bool
	extractors []extractor
}

// origin is where values come from: a message or a text.
type origin struct {
	message *message.Message
	text    flow.Value
}

// extractor is one element of the policy.
type extractor interface {
	extract(fc *flow.Context, s *step, from origin) error
}

// Run extracts the variables.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	from, err := s.from(fc)
	if err != nil {
		return err
	}
	for _, e := range s.extractors {
		if err := e.extract(fc, s, from); err != nil {
			return err
		}
	}
	if s.clear && from.message != nil {
		from.message.SetContent(nil)
	}
	return nil
}

func (s *step) from(fc *flow.Context) (origin, error) {
	m, v := s.source.Get(fc)
	if name := s.source.Name(); m == nil && v.IsNull() && !s.ignore && !strings.Contains(name, ".") {
		return origin{}, s.fault("SourceMessageNotAvailable", name+" message is not available for ExtractVariable: "+s.policy)
	}
	return origin{m, v}, nil
}

// set writes one variable.
func (s *step) set(fc *flow.Context, v flow.Var, val flow.Value) error {
	err := v.Set(fc, val)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flow.ErrReadOnly):
		return s.fault("ImmutableVariable", "Variable "+v.Name()+" is immutable").WithCause(err)
	}
	return s.fault("SetVariableFailed", "Failed to set variable "+v.Name()+" value "+val.String()+" from ExtractVariables: "+s.policy).WithCause(err)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.extractvariables."+name, 500, text).Failed("extractvariables." + s.policy + ".failed")
}

func (s *step) executionFailed(err error) *fault.Fault {
	return s.fault("ExecutionFailed", "Failed to execute the ExtractVariables: "+s.policy).WithCause(err)
}
