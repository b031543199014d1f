// Package datacapture implements the <DataCapture> policy: it takes values from
// variables and messages and puts them into the call's analytics record, as
// values of data collectors.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/data-capture-policy
//
// A collector of type INTEGER or FLOAT is a metric, one of another type a
// dimension. A value of DATETIME is a time in RFC 3339 or in milliseconds of Unix
// time. An empty value is none. Where there is none, the attribute default of
// Collect is captured.
//
// A policy captures at most 100 values of at most 400 bytes. What is beyond is
// left out, and dataCapturePolicyErrors says so, or the policy fails with
// ThrowExceptionOnLimit.
//
// Faults (500), which set datacapture.P.failed:
//
//   - steps.datacapture.UnresolvedVariable: there is no value, no default, and
//     IgnoreUnresolvedVariables is false
//   - steps.datacapture.DataCollectorTypeMismatch: the value is not of the
//     collector's type
//   - steps.datacapture.VariableCountLimitExceeded, VariableValueLimitExceeded:
//     with ThrowExceptionOnLimit
//   - steps.datacapture.PrivateVariableAccess: ref names a private variable
//   - steps.datacapture.NonMsgVariable: Source is no message
//   - steps.datacapture.InvalidMsgContentType: the message is not JSON, or not XML
//   - steps.datacapture.MsgContentParsingFailed: the payload is malformed
//   - steps.datacapture.XPathEvaluationFailed: an expression has no result
//   - steps.datacapture.ExtractionFailure: the payload cannot be read
//
// Refused at deployment: DeploymentAssertionError (a collector is named twice, or
// nothing is collected), JsonPathCompilationFailed, XPathCompilationFailed,
// PatternCompilationFailed. A collector that does not exist is a warning.
package datacapture

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the DataCapture policy.
var Kind = policy.Define("DataCapture", New)

// Limits of a policy.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	maxCaptures = 100
	maxValue    = 400 // bytes
)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// IgnoreUnresolvedVariables captures nothing where there is no value, instead
	// of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
	// ThrowExceptionOnLimit fails the policy where a limit is passed, instead of
	// leaving values out.
	ThrowExceptionOnLimit bool `xml:"ThrowExceptionOnLimit,once"`
	// Capture captures one value. Required.
	Capture []Capture `xml:"Capture"`
}

// Capture is a <Capture>.
type Capture struct {
	bundle.Pos
	// DataCollector is the data collector's name.
	DataCollector DataCollector `xml:"DataCollector,once"`
	// Collect says what to take.
	Collect *Collect `xml:"Collect,once"`
}

// DataCollector names a data collector.
type DataCollector struct {
	Name string `xml:",chardata"`
	// Scope is "monetization" for collectors of rate plans. It changes nothing
	// about what is captured.
	Scope string `xml:"scope,attr"`
}

// Collect takes a value: from the variable in Ref, or from a part of Source.
type Collect struct {
	bundle.Pos
	// Ref is a variable.
	Ref string `xml:"ref,attr"`
	// Default is captured where there is no value.
	Default *string `xml:"default,attr"`
	// Source is the message to take a part of; the flow's if absent.
	Source *extraction.Source `xml:"Source,once"`
	// URIPath takes the path after the base path apart (proxy.pathsuffix). In the
	// patterns of DataCapture {$} is what is captured, and there is no other
	// variable; the first pattern that matches counts.
	URIPath *extraction.Patterns `xml:"URIPath,once"`
	// QueryParam takes a query parameter. Without patterns the whole value is
	// captured, here as in Header and FormParam.
	QueryParam *extraction.NamedPatterns `xml:"QueryParam,once"`
	// Header takes a header.
	Header *extraction.NamedPatterns `xml:"Header,once"`
	// FormParam takes a form parameter.
	FormParam *extraction.NamedPatterns `xml:"FormParam,once"`
	// JSONPayload takes a part of a JSON body.
	JSONPayload *JSONPayload `xml:"JSONPayload,once"`
	// XMLPayload takes a part of an XML body.
	XMLPayload *XMLPayload `xml:"XMLPayload,once"`
}

// JSONPayload takes the first of JSONPath that leads somewhere.
type JSONPayload struct {
	bundle.Pos
	JSONPath []string `xml:"JSONPath"`
	// Misspelt is how the published schema of the policy writes JSONPath.
	Misspelt []string `xml:"JSONPAth"`
}

// XMLPayload takes what XPath selects.
type XMLPayload struct {
	bundle.Pos
	// Namespaces are the prefixes that the expression uses.
	Namespaces []extraction.Namespace `xml:"Namespaces>Namespace"`
	XPath      string                 `xml:"XPath,once"`
}

type step struct {
	policy     string
	ignore     bool
	throw      bool
	collectors policy.Collectors
	analytics  policy.Analytics
	captures   []capture
	errors     flow.Var
}

// capture is one compiled <Capture>.
type capture struct {
	collector string
	from      reader
	fallback  *string
}

// reader gives the text to capture; false if there is none.
type reader interface {
	read(fc *flow.Context, s *step) (string, bool, error)
}

// Run captures the values.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	for i := range s.captures {
		c := &s.captures[i]
		if i >= maxCaptures {
			return s.limit(fc, "VariableCountLimitExceeded", "DataCapture "+s.policy+" captures more than 100 values")
		}
		text, ok, err := c.from.read(fc, s)
		if err != nil {
			return err
		}
		if (!ok || text == "") && c.fallback != nil {
			text, ok = *c.fallback, true
		}
		if !ok && !s.ignore {
			return s.fault("UnresolvedVariable", "DataCapture "+s.policy+": there is no value for data collector "+c.collector)
		}
		if text == "" {
			continue
		}
		if err := s.record(fc, c, text); err != nil {
			return err
		}
	}
	return nil
}

// record captures one value.
func (s *step) record(fc *flow.Context, c *capture, text string) error {
	if len(text) > maxValue {
		return s.limit(fc, "VariableValueLimitExceeded", "DataCapture "+s.policy+": the value for data collector "+c.collector+" has more than 400 bytes")
	}
	typ, _ := s.collectors.Collector(c.collector)
	v, ok := convert(text, typ)
	if !ok {
		return s.fault("DataCollectorTypeMismatch", "DataCapture "+s.policy+": the value for data collector "+c.collector+" is not of type "+typ)
	}
	s.analytics.Record(fc, c.collector, v)
	return nil
}

// limit fails the policy, or leaves a note of what was left out.
func (s *step) limit(fc *flow.Context, name, text string) error {
	if s.throw {
		return s.fault(name, text)
	}
	if before := s.errors.Get(fc).String(); before != "" {
		text = before + "; " + text
	}
	return s.errors.Set(fc, flow.StringValue(strings.Clone(text)))
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.datacapture."+name, 500, text).Failed("datacapture." + s.policy + ".failed")
}
