package bundle

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Bounds of one XML file.
const (
	MaxXMLDepth = 100      // elements inside each other
	MaxXMLBytes = 10 << 20 // bytes, before decoding
)

// Attr is one attribute; Name is as written, prefix included.
type Attr struct {
	Name, Value string
}

// Element is one XML element. Names are as written, prefix included: policies
// carry whole SOAP payloads whose prefixes must survive.
type Element struct {
	Name     string
	Attrs    []Attr
	Children []*Element
	Text     string // direct character data and CDATA, concatenated, not trimmed
	Pos      Pos    // of the start tag's "<"

	// Start and End bound the inner XML, in bytes of the decoded text (UTF-8,
	// no byte order mark, line ends "\n").
	Start, End int

	raw []byte
}

// Attr returns the value of the attribute name.
func (e *Element) Attr(name string) (string, bool) {
	for _, a := range e.Attrs {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// Child returns the first child called name, or nil.
func (e *Element) Child(name string) *Element {
	for _, c := range e.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// All yields the children called name, in document order.
func (e *Element) All(name string) iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		for _, c := range e.Children {
			if c.Name == name && !yield(c) {
				return
			}
		}
	}
}

// TrimText returns Text without surrounding white space.
func (e *Element) TrimText() string { return strings.TrimSpace(e.Text) }

// InnerXML returns what stands between the start and the end tag, as written.
func (e *Element) InnerXML() string { return string(e.raw[e.Start:e.End]) }

// Content returns the markup when the element has child elements (a payload of
// XML), else its text with entities and CDATA resolved. White space stays.
func (e *Element) Content() string {
	if len(e.Children) > 0 {
		return e.InnerXML()
	}
	return e.Text
}

// ParseXML reads one XML document. file names it in positions and errors. DTDs
// are refused, so no entity beyond the five standard ones exists. The error is
// a Problems with one entry.
func ParseXML(file string, data []byte) (*Element, error) {
	if len(data) > MaxXMLBytes {
		return nil, xmlError(Pos{File: file}, "file is larger than %d bytes", MaxXMLBytes)
	}
	text, err := decodeText(data)
	if err != nil {
		return nil, xmlError(Pos{file, 1}, "%s", err)
	}
	p := parser{file: file, text: text, dec: xml.NewDecoder(bytes.NewReader(text))}
	p.dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	return p.run()
}

func xmlError(pos Pos, format string, args ...any) error {
	var ps Problems
	ps.Errorf(pos, format, args...)
	return ps
}

// parser builds the tree from raw tokens; RawToken leaves prefixes alone and
// leaves the matching of tags to us.
type parser struct {
	file  string
	text  []byte
	dec   *xml.Decoder
	root  *Element
	stack []*Element
	line  int // of the token in hand
}

func (p *parser) run() (*Element, error) {
	for {
		start := int(p.dec.InputOffset())
		p.line, _ = p.dec.InputPos()
		tok, err := p.dec.RawToken()
		if err == io.EOF {
			return p.finish()
		}
		if err != nil {
			return nil, p.syntax(err)
		}
		if err := p.token(tok, start); err != nil {
			return nil, err
		}
	}
}

func (p *parser) pos() Pos { return Pos{p.file, p.line} }

func (p *parser) syntax(err error) error {
	var se *xml.SyntaxError
	if errors.As(err, &se) {
		return xmlError(Pos{p.file, se.Line}, "%s", se.Msg)
	}
	return xmlError(p.pos(), "%s", err)
}

func (p *parser) finish() (*Element, error) {
	if n := len(p.stack); n > 0 {
		return nil, xmlError(p.stack[n-1].Pos, "<%s> is not closed", p.stack[n-1].Name)
	}
	if p.root == nil {
		return nil, xmlError(Pos{p.file, 1}, "no XML element")
	}
	return p.root, nil
}

func (p *parser) token(tok xml.Token, start int) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return p.open(t)
	case xml.EndElement:
		return p.close(t, start)
	case xml.CharData:
		return p.chars(t)
	case xml.Directive:
		return xmlError(p.pos(), "document type declarations are not allowed")
	}
	return nil
}

func (p *parser) open(t xml.StartElement) error {
	if p.root != nil && len(p.stack) == 0 {
		return xmlError(p.pos(), "second root element <%s>", qname(t.Name))
	}
	if len(p.stack) >= MaxXMLDepth {
		return xmlError(p.pos(), "elements are nested deeper than %d", MaxXMLDepth)
	}
	el := &Element{Name: qname(t.Name), Pos: p.pos(), Start: int(p.dec.InputOffset()), raw: p.text}
	for _, a := range t.Attr {
		name := qname(a.Name)
		if _, dup := el.Attr(name); dup {
			return xmlError(p.pos(), "attribute %s appears twice in <%s>", name, el.Name)
		}
		el.Attrs = append(el.Attrs, Attr{name, a.Value})
	}
	if n := len(p.stack); n > 0 {
		p.stack[n-1].Children = append(p.stack[n-1].Children, el)
	} else {
		p.root = el
	}
	p.stack = append(p.stack, el)
	return nil
}

func (p *parser) close(t xml.EndElement, start int) error {
	n := len(p.stack)
	if n == 0 || p.stack[n-1].Name != qname(t.Name) {
		return xmlError(p.pos(), "unexpected </%s>", qname(t.Name))
	}
	el := p.stack[n-1]
	el.End = max(start, el.Start)
	p.stack = p.stack[:n-1]
	return nil
}

func (p *parser) chars(t xml.CharData) error {
	if n := len(p.stack); n > 0 {
		p.stack[n-1].Text += string(t)
		return nil
	}
	if len(bytes.TrimSpace(t)) > 0 {
		return xmlError(p.pos(), "text outside of the root element")
	}
	return nil
}

func qname(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// decodeText turns data into UTF-8 without a byte order mark and with "\n" as
// the only line end (XML 1.0 section 2.11).
func decodeText(data []byte) ([]byte, error) {
	text, err := toUTF8(data)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if bytes.IndexByte(text, '\r') < 0 {
		return text, nil
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\r"), []byte("\n")), nil
}
