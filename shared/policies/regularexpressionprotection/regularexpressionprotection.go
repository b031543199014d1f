// Package regularexpressionprotection implements the
// <RegularExpressionProtection> policy: it refuses a message in which a regular
// expression is found.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/regular-expression-protection
//
// Expressions are Java's. A path and parameters are looked at as they were sent
// and decoded; of parameters and headers every value. What is not there is no
// threat; only a <Variable> that is not set is a fault. Of JSON and XML every
// value that a path leads to is looked at, of objects and elements their markup.
//
// An expression that needs backtracking may take a second in all; then the
// message is refused.
//
// Faults (500), which set regularexpressionprotection.P.failed and
// regexprotection.P.failed:
//
//   - steps.regexprotection.ThreatDetected: an expression was found
//   - steps.regexprotection.ExecutionFailed: the payload is malformed, or an
//     expression takes too long
//   - steps.regexprotection.VariableResolutionFailed: a <Variable> is not set
//   - steps.regexprotection.SourceMessageNotAvailable: Source is not set
//   - steps.regexprotection.NonMessageVariable: Source is no message
//
// Refused at deployment: NothingToEnforce, NoPatternsToEnforce,
// EmptyXPathExpression, EmptyJSONPathExpression, DuplicatePrefix,
// NONEmptyPrefixMappedToEmptyURI, InvalidRegularExpression,
// CannotBeConvertedToNodeset, XPathCompilationFailed, JSONPathCompilationFailed.
package regularexpressionprotection

import (
	"context"
	"strconv"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javaregex"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the RegularExpressionProtection policy.
var Kind = policy.Define("RegularExpressionProtection", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the message to look at. Without it, it is the message of the flow.
	Source string `xml:"Source,once" default:"message"`
	// IgnoreUnresolvedVariables makes a <Variable> that is not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
	// URIPath looks at the path of a request.
	URIPath []Patterns `xml:"URIPath"`
	// QueryParam looks at a query parameter of a request.
	QueryParam []NamedPatterns `xml:"QueryParam"`
	// Header looks at a header.
	Headers []NamedPatterns `xml:"Header"`
	// FormParam looks at a form parameter of a request.
	FormParam []NamedPatterns `xml:"FormParam"`
	// Variable looks at any variable.
	Variable []NamedPatterns `xml:"Variable"`
	// JSONPayload looks at a body whose content type is JSON.
	JSONPayload []JSONPayload `xml:"JSONPayload"`
	// XMLPayload looks at a body whose content type is XML.
	XMLPayload []XMLPayload `xml:"XMLPayload"`
}

// Patterns are expressions, any of which is a threat.
type Patterns struct {
	bundle.Pos
	Patterns []Pattern `xml:"Pattern"`
}

// NamedPatterns are expressions for the value called Name.
type NamedPatterns struct {
	bundle.Pos
	Name     string    `xml:"name,attr"`
	Patterns []Pattern `xml:"Pattern"`
}

// Pattern is one expression.
type Pattern struct {
	bundle.Pos
	Text string `xml:",chardata"`
	// IgnoreCase finds it in any case.
	IgnoreCase bool `xml:"ignoreCase,attr"`
}

// JSONPayload looks at parts of JSON.
type JSONPayload struct {
	bundle.Pos
	// EscapeSlashCharacter writes / as \/ in what the expressions are held against.
	EscapeSlashCharacter bool       `xml:"escapeSlashCharacter,attr"`
	JSONPath             []JSONPath `xml:"JSONPath"`
}

// JSONPath are expressions for what a path leads to.
type JSONPath struct {
	bundle.Pos
	// Expression is the JSONPath.
	Expression string    `xml:"Expression,once"`
	Patterns   []Pattern `xml:"Pattern"`
}

// XMLPayload looks at parts of XML.
type XMLPayload struct {
	bundle.Pos
	// Namespaces are the prefixes that the expressions use.
	Namespaces []extraction.Namespace `xml:"Namespaces>Namespace"`
	XPath      []XPath                `xml:"XPath"`
}

// XPath are expressions for what a path leads to.
type XPath struct {
	bundle.Pos
	// Expression is the XPath.
	Expression string `xml:"Expression,once"`
	// Type is string, for the text of the nodes, or nodeset, for their markup too.
	Type     string    `xml:"Type,once" default:"string" enum:"string,nodeset"`
	Patterns []Pattern `xml:"Pattern"`
}

type step struct {
	policy string
	source extraction.Origin
	ignore bool
	checks []check
}

// check is one element of the policy.
type check interface {
	run(fc *flow.Context, r *run) error
}

// run is one execution.
type run struct {
	ctx     context.Context
	step    *step
	message *message.Message
	json    jsonDoc
	xml     xmlDoc
	spent   time.Duration // in backtracking
	tested  int           // bytes of text
}

// budget bounds the time that all expressions together may backtrack.
const budget = time.Second

// maxTested bounds the text of one execution, in bytes: paths that overlap give
// more of it than the message has. Only a test changes it.
var maxTested = 128 << 20

// Run looks at the source.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	m, err := s.message(fc)
	if err != nil {
		return err
	}
	r := run{ctx: ctx, step: s, message: m}
	for _, c := range s.checks {
		if err := c.run(fc, &r); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) message(fc *flow.Context) (*message.Message, error) {
	m, v := s.source.Get(fc)
	switch {
	case m == nil && v.IsNull():
		return nil, s.fault("SourceMessageNotAvailable", s.source.Name()+" message is not available for RegularExpressionProtection StepDefinition "+s.policy)
	case m == nil:
		return nil, s.fault("NonMessageVariable", "Variable "+s.source.Name()+" does not resolve to a Message")
	}
	return m, nil
}

// test holds the expressions against a text.
func (r *run) test(patterns []*javaregex.Regexp, text string) error {
	if err := r.spend(len(text)); err != nil {
		return err
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	for _, p := range patterns {
		found, err := r.find(p, text)
		switch {
		case err != nil:
			return r.step.failed("regex " + p.String() + " takes too long").WithCause(err)
		case found:
			return r.step.fault("ThreatDetected", "Regular Expression Threat Detected in "+r.step.policy+": regex: "+p.String()+" input: "+clip(text))
		}
	}
	return nil
}

// spend counts text that is about to be looked at.
func (r *run) spend(n int) error {
	r.tested += n
	return r.afford(0)
}

// afford says whether n bytes more may be looked at.
func (r *run) afford(n int) error {
	if r.tested+n > maxTested {
		return r.step.failed("more than " + strconv.Itoa(maxTested) + " bytes to look at")
	}
	return nil
}

func (r *run) find(p *javaregex.Regexp, text string) (bool, error) {
	if p.Linear() {
		return p.Find(text)
	}
	start := time.Now()
	found, err := p.Find(text)
	r.spent += time.Since(start)
	if err == nil && !found && r.spent > budget {
		err = context.DeadlineExceeded
	}
	return found, err
}

// maxInput is how much of the text the fault string shows.
const maxInput = 4 << 10

func clip(text string) string {
	if len(text) > maxInput {
		return text[:maxInput]
	}
	return text
}

func (s *step) failed(reason string) *fault.Fault {
	return s.fault("ExecutionFailed", "Failed to execute the RegularExpressionProtection StepDefinition "+s.policy+". Reason: "+reason)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.regexprotection."+name, 500, text).
		Failed("regularexpressionprotection."+s.policy+".failed", "regexprotection."+s.policy+".failed")
}
