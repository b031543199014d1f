// Package jsontoxml implements the <JSONToXML> policy: it turns a JSON payload
// into XML. A message whose content type is not application/json is left alone.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/json-xml-policy
//
// Members become elements in the order of the document, those of an array one
// element each. An object that has one member, which is no array, is the root
// element by that name; any other object, and every object where
// <ObjectRootElementName> is given, is wrapped. Null and the text of <NullValue>
// are an empty element. A member for attributes that holds an object or an array
// becomes an element.
//
// Faults (500), which set jsontoxml.P.failed:
//
//   - steps.jsontoxml.SourceUnavailable: Source is not set
//   - steps.jsontoxml.InvalidSourceType: Source is neither message nor text
//   - steps.jsontoxml.OutputVariableIsNotAvailable: Source is a text and there is
//     no OutputVariable, or it cannot be written
//   - steps.jsontoxml.InCompatibleTypes: one of Source and OutputVariable is a
//     message, the other a text
//   - steps.jsontoxml.ExecutionFailed: the payload is empty, malformed, or neither
//     object nor array
//
// Objects and arrays may be nested 500 deep.
package jsontoxml

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/conversion"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Kind is the JSONToXML policy.
var Kind = policy.Define("JSONToXML", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the variable with the JSON: a message, or a text. Without it, it
	// is the message of the flow.
	Source string `xml:"Source,once"`
	// OutputVariable is where the XML goes. Without it, it is the source, which
	// then must be a message.
	OutputVariable string `xml:"OutputVariable,once"`
	// Options say how JSON becomes XML.
	Options Options `xml:"Options,once"`
}

// Options say how JSON becomes XML.
type Options struct {
	bundle.Pos
	// OmitXmlDeclaration leaves the XML declaration out.
	OmitXMLDeclaration bool `xml:"OmitXmlDeclaration,once"`
	// NullValue is the text that stands for null.
	NullValue string `xml:"NullValue,once" default:"NULL"`
	// NamespaceBlockName is the member that declares namespaces.
	NamespaceBlockName string `xml:"NamespaceBlockName,once" default:"#namespaces"`
	// DefaultNamespaceNodeName is the default namespace's name in that member.
	DefaultNamespaceNodeName string `xml:"DefaultNamespaceNodeName,once" default:"$default"`
	// NamespaceSeparator is between prefix and name.
	NamespaceSeparator string `xml:"NamespaceSeparator,once" default:":"`
	// AttributeBlockName is the member whose members become attributes.
	AttributeBlockName string `xml:"AttributeBlockName,once" default:"#attrs"`
	// AttributePrefix begins the names of members that become attributes.
	AttributePrefix string `xml:"AttributePrefix,once" default:"@"`
	// TextNodeName is the member that becomes text.
	TextNodeName string `xml:"TextNodeName,once" default:"#text"`
	// InvalidCharsReplacement stands for each run of characters that XML names, or
	// XML, cannot hold.
	InvalidCharsReplacement string `xml:"InvalidCharsReplacement,once" default:"_"`
	// ObjectRootElementName is the element around an object: by default Root, where
	// the object has no one member to be the root.
	ObjectRootElementName string `xml:"ObjectRootElementName,once"`
	// ArrayRootElementName is the element around an array.
	ArrayRootElementName string `xml:"ArrayRootElementName,once" default:"Array"`
	// ArrayItemElementName is the element around each element of an array that has
	// no name.
	ArrayItemElementName string `xml:"ArrayItemElementName,once" default:"Item"`
	// Indent writes one element to a line.
	Indent bool `xml:"Indent,once"`
	// OutputPrefix goes before the XML.
	OutputPrefix string `xml:"OutputPrefix,once"`
	// OutputSuffix goes behind the XML.
	OutputSuffix string `xml:"OutputSuffix,once"`
}

// defaults are the options of a policy without <Options>.
var defaults = Options{
	NullValue: "NULL", NamespaceBlockName: "#namespaces", DefaultNamespaceNodeName: "$default", NamespaceSeparator: ":",
	AttributeBlockName: "#attrs", AttributePrefix: "@", TextNodeName: "#text", InvalidCharsReplacement: "_",
	ArrayRootElementName: "Array", ArrayItemElementName: "Item",
}

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 500

type step struct {
	*conversion.Exchange
	options Options
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	names := conversion.Names{Policy: "JSONToXML", Prefix: "steps.jsontoxml.", Failed: "jsontoxml"}
	s := &step{Exchange: conversion.Compile(env, names, c.Source, c.OutputVariable), options: c.Options}
	if env.Policy.Root.Child("Options") == nil {
		s.options = defaults
	}
	s.options.fill()
	s.options.check(env)
	return s, nil
}

// fill gives empty elements their default: the policy's template has them.
func (o *Options) fill() {
	for _, f := range []struct{ value, fallback *string }{
		{&o.NullValue, &defaults.NullValue}, {&o.NamespaceBlockName, &defaults.NamespaceBlockName},
		{&o.DefaultNamespaceNodeName, &defaults.DefaultNamespaceNodeName}, {&o.NamespaceSeparator, &defaults.NamespaceSeparator},
		{&o.AttributeBlockName, &defaults.AttributeBlockName}, {&o.AttributePrefix, &defaults.AttributePrefix},
		{&o.TextNodeName, &defaults.TextNodeName}, {&o.InvalidCharsReplacement, &defaults.InvalidCharsReplacement},
		{&o.ArrayRootElementName, &defaults.ArrayRootElementName}, {&o.ArrayItemElementName, &defaults.ArrayItemElementName},
	} {
		if *f.value == "" {
			*f.value = *f.fallback
		}
	}
}

func (o *Options) check(env *policy.Env) {
	for _, f := range []struct{ element, name string }{
		{"ObjectRootElementName", o.ObjectRootElementName}, {"ArrayRootElementName", o.ArrayRootElementName}, {"ArrayItemElementName", o.ArrayItemElementName},
	} {
		if f.name != "" && !xmltoken.IsName(f.name) {
			env.Errorf(o.Pos, "<%s> is %q, want the name of an element", f.element, f.name)
		}
	}
	for _, r := range o.InvalidCharsReplacement {
		if r == ':' || !xmltoken.IsNameRune(r, false) {
			env.Errorf(o.Pos, "<InvalidCharsReplacement> is %q, which is not allowed in names either", o.InvalidCharsReplacement)
			return
		}
	}
}

// Run converts the source.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	in, err := s.Source(fc)
	if err != nil {
		return err
	}
	if in.Message != nil && in.MediaType() != "application/json" {
		return nil
	}
	if err := s.Read(&in); err != nil {
		return err
	}
	out, err := s.options.convert(in.Text)
	if err != nil {
		return s.Fault("ExecutionFailed", "Execution failed due to reason: "+err.Error()).WithCause(err)
	}
	return s.Write(fc, &in, out, "text/xml")
}
