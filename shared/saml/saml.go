// Package saml makes, signs and validates SAML 2.0 assertions in XML messages.
//
// Validation believes nothing but what a trusted key signed: the values of an
// assertion are read from the very elements whose digest was checked, at the
// place that the caller names. Certificates inside a message help to find the
// key; they are trusted only as far as the trust store goes.
//
// Sources: Assertions and Protocols for SAML 2.0 (saml-core-2.0-os, sections 2
// and 5.4), XML Signature Syntax and Processing, and "On Breaking SAML: Be
// Whoever You Want to Be" (Somorovsky and others, 2012) for the attacks.
package saml

import (
	"fmt"
	"strings"
	"time"

	"github.com/antchfx/xmlquery"
	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Namespace is that of SAML 2.0 assertions.
const Namespace = "urn:oasis:names:tc:SAML:2.0:assertion"

// Reason is the kind of an Error, and the last part of its fault code.
type Reason string

// The kinds of error.
const (
	InvalidXML         Reason = "InvalidXML"       // not well-formed, or with a document type
	ElementNotFound    Reason = "ElementNotFound"  // an XPath selects nothing
	AmbiguousElement   Reason = "AmbiguousElement" // there are several, or one that is not signed beside it
	InvalidAssertion   Reason = "InvalidAssertion" // no assertion of SAML 2.0, or not as SAML has it
	InvalidSignature   Reason = "InvalidSignature" // none, wrong, or of something else
	UntrustedSigner    Reason = "UntrustedSigner"  // nobody in the trust store stands for the key
	AssertionNotYet    Reason = "AssertionNotYetValid"
	AssertionExpired   Reason = "AssertionExpired"
	UnsupportedSigning Reason = "UnsupportedAlgorithm" // an algorithm that is not accepted
)

// Error says why a message or assertion is refused.
type Error struct {
	Reason Reason
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

func refuse(r Reason, format string, args ...any) error {
	return &Error{r, fmt.Sprintf(format, args...)}
}

// Document is an XML message: its elements, and where they are in its text.
type Document struct {
	data     []byte
	root     *etree.Element
	elements map[*etree.Element]span
	tree     *xpath.Doc
	byNode   map[*xmlquery.Node]*etree.Element
}

// span is where an element is in the text: its start tag from begin to inner,
// its end tag from outer to end. In an empty element the last three are equal.
type span struct{ begin, inner, outer, end int }

// Parse reads a message. Error is of InvalidXML.
func Parse(data []byte) (*Document, error) {
	doc, err := xmldsig.Parse(data)
	if err != nil {
		return nil, refuse(InvalidXML, "%v", err)
	}
	d := &Document{data: data, root: doc.Root()}
	if err := d.locate(); err != nil {
		return nil, err
	}
	d.link()
	return d, nil
}

// locate finds the elements in the text. The scanner is another parser than the
// one that made the tree: that both see the same elements is checked, too.
func (d *Document) locate() error {
	var all []*etree.Element
	xmldsig.Walk(d.root, func(el *etree.Element) { all = append(all, el) })
	d.elements = make(map[*etree.Element]span, len(all))
	var s xmltoken.Scanner
	s.Reset(d.data, xmldsig.MaxDepth, 0)
	var open []*etree.Element
	next := 0
	for {
		at := s.Offset()
		kind, err := s.Next()
		if err != nil {
			return refuse(InvalidXML, "%v", err)
		}
		switch kind {
		case xmltoken.Start:
			if next == len(all) || all[next].FullTag() != string(s.Name()) {
				return refuse(InvalidXML, "the XML is ambiguous at line %d", s.Line())
			}
			el := all[next]
			next++
			d.elements[el] = span{begin: at, inner: s.Offset()}
			open = append(open, el)
		case xmltoken.End:
			el := open[len(open)-1]
			open = open[:len(open)-1]
			sp := d.elements[el]
			sp.outer, sp.end = at, s.Offset()
			d.elements[el] = sp
		case xmltoken.EOF:
			if next != len(all) {
				return refuse(InvalidXML, "the XML is ambiguous")
			}
			return nil
		}
	}
}

// link makes the tree that XPath expressions walk.
func (d *Document) link() {
	d.byNode = make(map[*xmlquery.Node]*etree.Element, len(d.elements))
	top := &xmlquery.Node{Type: xmlquery.DocumentNode}
	d.node(top, d.root)
	d.tree = xpath.FromTree(top)
}

func (d *Document) node(parent *xmlquery.Node, el *etree.Element) {
	n := &xmlquery.Node{Type: xmlquery.ElementNode, Data: el.Tag, Prefix: el.Space, NamespaceURI: el.NamespaceURI()}
	for i := range el.Attr {
		a := &el.Attr[i]
		attr := xmlquery.Attr{Value: a.Value}
		attr.Name.Space, attr.Name.Local = a.Space, a.Key
		if a.Space != "" && a.Space != "xmlns" {
			attr.NamespaceURI = a.NamespaceURI()
		}
		n.Attr = append(n.Attr, attr)
	}
	d.byNode[n] = el
	xmlquery.AddChild(parent, n)
	for _, t := range el.Child {
		switch t := t.(type) {
		case *etree.Element:
			d.node(n, t)
		case *etree.CharData:
			xmlquery.AddChild(n, &xmlquery.Node{Type: xmlquery.TextNode, Data: t.Data})
		case *etree.Comment:
			xmlquery.AddChild(n, &xmlquery.Node{Type: xmlquery.CommentNode, Data: t.Data})
		}
	}
}

// Select returns the one element that an expression selects.
func (d *Document) Select(x *xpath.Expr) (*etree.Element, error) {
	r, err := x.Eval(d.tree)
	if err != nil {
		return nil, refuse(ElementNotFound, "%v", err)
	}
	nodes := r.Nodes()
	switch {
	case len(nodes) == 0:
		return nil, refuse(ElementNotFound, "%s selects nothing", x)
	case len(nodes) > 1:
		return nil, refuse(AmbiguousElement, "%s selects %d elements", x, len(nodes))
	}
	el := d.byNode[nodes[0]]
	if el == nil {
		return nil, refuse(ElementNotFound, "%s selects no element", x)
	}
	return el, nil
}

// With returns the message with xml as the last child of el. Nothing else is
// changed: other signatures in the message stay valid.
func (d *Document) With(el *etree.Element, xml string) []byte {
	sp := d.elements[el]
	out := make([]byte, 0, len(d.data)+len(xml)+2*len(el.FullTag())+8)
	if sp.inner == sp.end { // <el/>
		out = append(out, d.data[:sp.inner-len("/>")]...)
		out = append(append(out, '>'), xml...)
		out = append(append(append(out, "</"...), el.FullTag()...), '>')
		return append(out, d.data[sp.end:]...)
	}
	out = append(append(out, d.data[:sp.outer]...), xml...)
	return append(out, d.data[sp.outer:]...)
}

// Without returns the message without el. Nothing else is changed.
func (d *Document) Without(el *etree.Element) []byte {
	sp := d.elements[el]
	out := make([]byte, 0, len(d.data)-(sp.end-sp.begin))
	return append(append(out, d.data[:sp.begin]...), d.data[sp.end:]...)
}

// IsRoot reports whether el is the element that all others are in.
func (d *Document) IsRoot(el *etree.Element) bool { return el == d.root }

const timeFormat = "2006-01-02T15:04:05.000Z"

// FormatTime writes a time as SAML does: UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// parseTime reads an xs:dateTime. SAML times are UTC, with or without saying so
// (saml-core, section 1.3.3).
func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return t, err
}
