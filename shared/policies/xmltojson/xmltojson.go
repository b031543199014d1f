// Package xmltojson implements the <XMLToJSON> policy: it turns an XML payload
// into JSON. A message whose content type is not XML is left alone.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/xml-json-policy
//
// Elements become members in the order of the document, repeated ones an array
// at the place of the first. White space between elements is dropped. Attributes
// stay text, whatever <RecognizeNumber> says. Members that would have one name
// (an attribute and a child) become an array.
//
// Faults (500), which set xmltojson.P.failed:
//
//   - steps.xml2json.SourceUnavailable: Source is not set
//   - steps.xml2json.InvalidSourceType: Source is neither message nor text
//   - steps.xml2json.OutputVariableIsNotAvailable: Source is a text and there is
//     no OutputVariable, or it cannot be written
//   - steps.xml2json.InCompatibleTypes: one of Source and OutputVariable is a
//     message, the other a text
//   - steps.xml2json.ExecutionFailed: the payload is empty or malformed
//
// Document type declarations are refused, so there are no entities but the five
// of XML itself; elements may be nested 500 deep.
//
// Refused at deployment: EitherOptionOrFormat, UnknownFormat, FormatUnavailable.
package xmltojson

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/conversion"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Kind is the XMLToJSON policy.
var Kind = policy.Define("XMLToJSON", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the variable with the XML: a message, or a text. Without it, it is
	// the message of the flow.
	Source string `xml:"Source,once"`
	// OutputVariable is where the JSON goes. Without it, it is the source, which
	// then must be a message.
	OutputVariable string `xml:"OutputVariable,once"`
	// Format is a known convention: xml.com, yahoo, google or badgerFish. Either
	// this or Options.
	Format *Format `xml:"Format,once"`
	// Options is a convention of one's own.
	Options *Options `xml:"Options,once"`
}

// Format is the name of a convention.
type Format struct {
	bundle.Pos
	Name string `xml:",chardata"`
}

// Options say how XML becomes JSON.
type Options struct {
	bundle.Pos
	// RecognizeNumber makes text that is a number a number.
	RecognizeNumber bool `xml:"RecognizeNumber,once"`
	// RecognizeBoolean makes the texts true and false a boolean.
	RecognizeBoolean bool `xml:"RecognizeBoolean,once"`
	// RecognizeNull makes empty elements, and those with the text of NullValue,
	// null; otherwise an empty element is {}.
	RecognizeNull bool `xml:"RecognizeNull,once"`
	// NullValue is the text that stands for null.
	NullValue string `xml:"NullValue,once" default:"NULL"`
	// NamespaceBlockName is the member that lists namespace declarations. Without
	// it they are dropped.
	NamespaceBlockName string `xml:"NamespaceBlockName,once"`
	// DefaultNamespaceNodeName is the default namespace's name in that member.
	DefaultNamespaceNodeName string `xml:"DefaultNamespaceNodeName,once" default:"$default"`
	// NamespaceSeparator goes between prefix and name. Without it prefixes are
	// dropped.
	NamespaceSeparator string `xml:"NamespaceSeparator,once"`
	// TextAlwaysAsProperty makes every text a member called TextNodeName.
	TextAlwaysAsProperty bool `xml:"TextAlwaysAsProperty,once"`
	// TextNodeName is the member for text beside child elements or attributes.
	TextNodeName string `xml:"TextNodeName,once" default:"#text"`
	// AttributeBlockName is a member that holds the attributes.
	AttributeBlockName string `xml:"AttributeBlockName,once"`
	// AttributePrefix goes before the names of attributes.
	AttributePrefix string `xml:"AttributePrefix,once"`
	// OutputPrefix goes before the JSON.
	OutputPrefix string `xml:"OutputPrefix,once"`
	// OutputSuffix goes behind the JSON.
	OutputSuffix string `xml:"OutputSuffix,once"`
	// StripLevels is how many outer levels are left out.
	StripLevels int `xml:"StripLevels,once"`
	// TreatAsArray lists elements that are an array even if there is one.
	TreatAsArray []Path `xml:"TreatAsArray>Path"`
}

// Path is a path of element names from the root, separated by slashes.
type Path struct {
	bundle.Pos
	Names string `xml:",chardata"`
	// Unwrap leaves the level of the element itself out.
	Unwrap bool `xml:"unwrap,attr"`
}

// MaxDepth is how deep elements may be nested.
const MaxDepth = 500

type step struct {
	*conversion.Exchange
	rules *rules
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	names := conversion.Names{Policy: "XMLToJSON", Prefix: "steps.xml2json.", Failed: "xmltojson"}
	s := &step{Exchange: conversion.Compile(env, names, c.Source, c.OutputVariable)}
	switch {
	case (c.Format == nil) == (c.Options == nil):
		return nil, fmt.Errorf("EitherOptionOrFormat: XMLToJSON %s needs one of <Options> and <Format>", env.Name())
	case c.Options != nil:
		s.rules = c.Options.compile(env)
	case c.Format.Name == "":
		env.Errorf(c.Format.Pos, "FormatUnavailable: XMLToJSON %s: <Format> is empty", env.Name())
	default:
		o, ok := formats[c.Format.Name]
		if !ok {
			env.Errorf(c.Format.Pos, "UnknownFormat: XMLToJSON %s: unknown format %q, want xml.com, yahoo, google or badgerFish", env.Name(), c.Format.Name)
		}
		s.rules = &o
	}
	return s, nil
}

// Run converts the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	in, err := s.Source(fc)
	if err != nil {
		return err
	}
	if in.Message != nil && !isXML(in.MediaType()) {
		return nil
	}
	if err := s.Read(&in); err != nil {
		return err
	}
	doc, err := decode(&in)
	if err != nil {
		return s.Failed(err.Error()).WithCause(err)
	}
	out, err := s.rules.convert(doc)
	if err != nil {
		return s.Failed(reason(err)).WithCause(err)
	}
	return s.Write(fc, &in, out, "application/json")
}

// decode returns the document in UTF-8. A text is so already, whatever it declares.
func decode(in *conversion.Input) ([]byte, error) {
	if in.Message == nil {
		return xmltoken.Redeclare(in.Text), nil
	}
	return xmltoken.Decode(in.Text, in.Message.Charset())
}

// reason is the text of a parser's error, in the form that is documented for a
// payload that ends too early; then the place is always 0.
func reason(err error) string {
	var e *xmltoken.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	at := e.Offset
	if e.Reason == xmltoken.Premature {
		at = 0
	}
	return fmt.Sprintf("%s while parsing at line %d(possibly  around char %d)", e.Msg, e.Line, at)
}

func isXML(mediaType string) bool {
	return mediaType == "text/xml" || mediaType == "application/xml" || strings.HasSuffix(mediaType, "+xml")
}
