// Package xmlthreatprotection implements the <XMLThreatProtection> policy: it
// refuses an XML body that is malformed, or larger in one respect than it is
// allowed to be. The body is read token by token and is never built up in memory.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/xml-threat-protection-policy
//
// Only messages whose content type is XML are looked at. Document type
// declarations are refused whatever the limits: there are no entities that could
// expand. Where the policy does not say, elements may be nested 10000 deep and
// have 10000 attributes.
//
// Lengths are in UTF-16 units, references resolved; names are measured without
// their prefix. Text goes on over CDATA sections. White space between elements is
// no text, and declarations of namespaces are no attributes.
//
// Faults (500), which set xmlattack.P.failed:
//
//   - steps.xmlthreatprotection.ExecutionFailed: a limit is exceeded, or the body
//     is no XML; the fault string says which and where
//   - steps.xmlthreatprotection.SourceUnavailable: Source is not set
//   - steps.xmlthreatprotection.NonMessageVariable: Source is no message
package xmlthreatprotection

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Kind is the XMLThreatProtection policy.
var Kind = policy.Define("XMLThreatProtection", New)

// Config is the policy's XML. A limit that is absent or negative is none.
type Config struct {
	policy.Header
	// Source is the message to look at. Without it, it is the message of the flow.
	Source string `xml:"Source,once"`
	// NameLimits are how long names may be, in characters.
	NameLimits NameLimits `xml:"NameLimits,once"`
	// StructureLimits are how much of something there may be.
	StructureLimits StructureLimits `xml:"StructureLimits,once"`
	// ValueLimits are how long values may be, in characters.
	ValueLimits ValueLimits `xml:"ValueLimits,once"`
	// FailOnEmptyXML refuses an empty body too.
	FailOnEmptyXML bool `xml:"FailOnEmptyXml,once"`
}

// NameLimits are how long names may be.
type NameLimits struct {
	// Element is of the names of elements.
	Element int `xml:"Element,once" default:"-1"`
	// Attribute is of the names of attributes.
	Attribute int `xml:"Attribute,once" default:"-1"`
	// NamespacePrefix is of prefixes.
	NamespacePrefix int `xml:"NamespacePrefix,once" default:"-1"`
	// ProcessingInstructionTarget is of the targets of processing instructions.
	ProcessingInstructionTarget int `xml:"ProcessingInstructionTarget,once" default:"-1"`
}

// StructureLimits are how much of something there may be.
type StructureLimits struct {
	// NodeDepth is how deep elements may be nested.
	NodeDepth int `xml:"NodeDepth,once" default:"-1"`
	// AttributeCountPerElement is how many attributes an element may have.
	AttributeCountPerElement int `xml:"AttributeCountPerElement,once" default:"-1"`
	// NamespaceCountPerElement is how many namespaces an element may declare.
	NamespaceCountPerElement int `xml:"NamespaceCountPerElement,once" default:"-1"`
	// ChildCount is how many children an element may have.
	ChildCount ChildCount `xml:"ChildCount,once"`
}

// ChildCount is how many children an element may have, and which count.
type ChildCount struct {
	Limit int `xml:",chardata" default:"-1"`
	// IncludeComment counts comments.
	IncludeComment bool `xml:"includeComment,attr" default:"true"`
	// IncludeElement counts elements.
	IncludeElement bool `xml:"includeElement,attr" default:"true"`
	// IncludeProcessingInstruction counts processing instructions.
	IncludeProcessingInstruction bool `xml:"includeProcessingInstruction,attr" default:"true"`
	// IncludeProcessingInstructions is another spelling of it.
	IncludeProcessingInstructions *bool `xml:"includeProcessingInstructions,attr"`
	// IncludeText counts pieces of text.
	IncludeText bool `xml:"includeText,attr" default:"true"`
}

// ValueLimits are how long values may be.
type ValueLimits struct {
	// Text is of pieces of text.
	Text int `xml:"Text,once" default:"-1"`
	// Attribute is of the values of attributes.
	Attribute int `xml:"Attribute,once" default:"-1"`
	// NamespaceURI is of the names of namespaces.
	NamespaceURI int `xml:"NamespaceURI,once" default:"-1"`
	// Comment is of comments.
	Comment int `xml:"Comment,once" default:"-1"`
	// ProcessingInstructionData is of what follows the target of a processing
	// instruction.
	ProcessingInstructionData int `xml:"ProcessingInstructionData,once" default:"-1"`
}

type step struct {
	policy    string
	source    string
	sourceVar flow.Var
	limits    limits
	failEmpty bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if c.Source == "" {
		c.Source = "message"
	}
	env.UsesMessage(c.Source)
	if p := c.StructureLimits.ChildCount.IncludeProcessingInstructions; p != nil {
		c.StructureLimits.ChildCount.IncludeProcessingInstruction = *p
	}
	return &step{
		policy: env.Name(), source: c.Source, sourceVar: env.Var(c.Source), failEmpty: c.FailOnEmptyXML,
		limits: limits{c.NameLimits, c.StructureLimits, c.ValueLimits},
	}, nil
}

// Run looks at the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	m, err := s.message(fc)
	if err != nil {
		return err
	}
	mediaType, charset := contentType(m)
	if !isXML(mediaType) {
		return nil
	}
	body, err := m.Content()
	if err != nil {
		return s.failed(err.Error()).WithCause(err)
	}
	if !s.failEmpty && len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		return nil
	}
	doc, err := xmltoken.Decode(body, charset)
	if err != nil {
		return s.failed(err.Error()).WithCause(err)
	}
	return s.inspect(doc)
}

func (s *step) message(fc *flow.Context) (*message.Message, error) {
	if m := fc.MessageNamed(s.source); m != nil {
		return m, nil
	}
	v := s.sourceVar.Get(fc)
	switch {
	case v.IsNull():
		return nil, s.fault("SourceUnavailable", "Source "+s.source+" is not available")
	case v.Message() == nil:
		return nil, s.fault("NonMessageVariable", "Variable "+s.source+" does not resolve to a Message")
	}
	return v.Message(), nil
}

// contentType returns the type without parameters in lower case, and the
// charset.
func contentType(m *message.Message) (mediaType, charset string) {
	mediaType, params, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			charset = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return strings.ToLower(strings.TrimSpace(mediaType)), charset
}

func isXML(mediaType string) bool {
	return mediaType == "text/xml" || mediaType == "application/xml" || strings.HasSuffix(mediaType, "+xml")
}

var inspections = sync.Pool{New: func() any { return new(inspection) }}

// inspect reads the document.
func (s *step) inspect(doc []byte) error {
	in := inspections.Get().(*inspection)
	defer in.release()
	over, err := in.run(doc, &s.limits)
	switch {
	case err != nil:
		return s.failed(reason(err)).WithCause(err)
	case over.what != "":
		return s.failed(fmt.Sprintf("XMLThreatProtection[%s]: %s exceeded %d at line %d(possibly around char %d)",
			s.policy, over.what, over.limit, in.scan.Line(), over.at))
	}
	return nil
}

// reason is the text of a parser's error.
func reason(err error) string {
	e, ok := err.(*xmltoken.Error)
	if !ok {
		return err.Error()
	}
	at := e.Offset
	if e.Reason == xmltoken.Premature {
		at = 0
	}
	return fmt.Sprintf("%s while parsing at line %d(possibly  around char %d)", e.Msg, e.Line, at)
}

func (s *step) failed(reason string) *fault.Fault {
	return s.fault("ExecutionFailed", "Execution failed. reason: "+reason)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.xmlthreatprotection."+name, 500, "XMLThreatProtection["+s.policy+"]: "+text).
		Failed("xmlattack." + s.policy + ".failed")
}
