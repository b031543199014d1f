package bundle

import (
	"iter"
	"slices"
	"strings"
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

	src string // the whole document
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

// equals reports whether another element says the same, white space around its
// content aside.
func (e *Element) equals(other *Element) bool {
	return slices.Equal(e.Attrs, other.Attrs) && strings.TrimSpace(e.InnerXML()) == strings.TrimSpace(other.InnerXML())
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
func (e *Element) InnerXML() string { return e.src[e.Start:e.End] }

// Content returns the markup when the element has child elements (a payload of
// XML), else its text with entities and CDATA resolved. White space stays.
func (e *Element) Content() string {
	if len(e.Children) > 0 {
		return e.InnerXML()
	}
	return e.Text
}
