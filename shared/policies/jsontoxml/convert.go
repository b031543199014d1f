package jsontoxml

import (
	"bytes"
	"sync"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/jsontoken"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// node is a value. Nodes refer to each other by their index; 0 stands for none.
type node struct {
	kind  jsontoken.Kind
	role  role
	named bool
	name  []byte // of a member, as written
	data  []byte // of a scalar, as written
	first int32  // member or element
	last  int32
	next  int32
}

// converter holds one text.
type converter struct {
	*Options
	scan  jsontoken.Scanner
	nodes []node
	open  []int32
	text  []byte
	names []byte // of the elements that are open
	seen  map[string]bool
	level int
}

var converters = sync.Pool{New: func() any { return new(converter) }}

// maxKept is the largest number of nodes that a converter keeps for later.
const maxKept = 1 << 14

// convert converts a text.
func (o *Options) convert(src []byte) ([]byte, error) {
	c := converters.Get().(*converter)
	defer c.release()
	c.Options, c.level = o, 0
	c.nodes, c.names = append(c.nodes[:0], node{}), c.names[:0]
	if err := c.parse(src); err != nil {
		return nil, err
	}
	dst := make([]byte, 0, len(src)+len(src)/2+128)
	dst = append(dst, o.OutputPrefix...)
	if !o.OmitXMLDeclaration {
		dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`...)
		dst = c.newline(dst)
	}
	dst = c.root(dst)
	return append(dst, o.OutputSuffix...), nil
}

// release gives the converter back, without the text.
func (c *converter) release() {
	if cap(c.nodes) > maxKept || cap(c.text) > maxKept {
		return
	}
	clear(c.nodes)
	c.Options = nil
	c.scan.Reset(nil, 0)
	converters.Put(c)
}

// errNoContainer is what a text that is a lone string or number gets.
type errNoContainer struct{}

func (errNoContainer) Error() string { return "Expecting { or [ at line 1" }

// parse reads the text into nodes; the first is the whole.
func (c *converter) parse(src []byte) error {
	c.scan.Reset(src, MaxDepth)
	c.open = append(c.open[:0], 0)
	member := node{}
	for {
		kind, err := c.scan.Next()
		if err != nil {
			return err
		}
		switch kind {
		case jsontoken.EOF:
			return nil
		case jsontoken.Name:
			member.name, member.named = c.scan.Data(), true
			continue
		case jsontoken.ObjectEnd, jsontoken.ArrayEnd:
			c.open = c.open[:len(c.open)-1]
			continue
		case jsontoken.ObjectStart, jsontoken.ArrayStart:
		default:
			if len(c.open) == 1 {
				return errNoContainer{}
			}
			member.data = c.scan.Data()
		}
		member.kind = kind
		member.role = c.roleOf(&member)
		i := c.add(c.open[len(c.open)-1], member)
		member = node{}
		if kind == jsontoken.ObjectStart || kind == jsontoken.ArrayStart {
			c.open = append(c.open, i)
		}
	}
}

func (c *converter) add(parent int32, n node) int32 {
	i := int32(len(c.nodes))
	c.nodes = append(c.nodes, n)
	p := &c.nodes[parent]
	if p.last == 0 {
		p.first = i
	} else {
		c.nodes[p.last].next = i
	}
	p.last = i
	return i
}

// root appends the root element.
func (c *converter) root(dst []byte) []byte {
	top := &c.nodes[1]
	if top.kind == jsontoken.ArrayStart {
		return c.element(dst, []byte(c.ArrayRootElementName), 1)
	}
	only := top.first
	name := c.ObjectRootElementName
	switch n := &c.nodes[only]; {
	case name != "":
	case only != 0 && only == top.last && n.role == asElement && n.kind != jsontoken.ArrayStart:
		return c.element(dst, c.nameOf(n), only)
	default:
		name = "Root"
	}
	return c.element(dst, []byte(name), 1)
}

type role uint8

const (
	asElement role = iota
	asAttribute
	asAttributes
	asNamespaces
	asText
)

// roleOf says what becomes of a member.
func (c *converter) roleOf(n *node) role {
	if !n.named {
		return asElement
	}
	c.text = jsontoken.AppendText(c.text[:0], n.name)
	object := n.kind == jsontoken.ObjectStart
	scalar := !object && n.kind != jsontoken.ArrayStart
	switch {
	case object && string(c.text) == c.NamespaceBlockName:
		return asNamespaces
	case object && string(c.text) == c.AttributeBlockName:
		return asAttributes
	case string(c.text) == c.TextNodeName && !object:
		return asText
	case scalar && len(c.text) > len(c.AttributePrefix) && bytes.HasPrefix(c.text, []byte(c.AttributePrefix)):
		return asAttribute
	}
	return asElement
}

// element appends an element with the value of a node.
func (c *converter) element(dst, name []byte, i int32) []byte {
	dst = append(append(dst, '<'), name...)
	dst = c.attributes(dst, i)
	dst = append(dst, '>')
	dst = c.content(dst, i)
	return append(append(append(dst, "</"...), name...), '>')
}

// attributes appends the attributes and namespaces of an object. Of several of
// one name the first counts.
func (c *converter) attributes(dst []byte, i int32) []byte {
	if c.nodes[i].kind != jsontoken.ObjectStart {
		return dst
	}
	c.forget()
	for k := c.nodes[i].first; k != 0; k = c.nodes[k].next {
		n := &c.nodes[k]
		switch n.role {
		case asAttribute:
			dst = c.attribute(dst, c.attributeName(n, c.AttributePrefix), n)
		case asAttributes:
			for a := n.first; a != 0; a = c.nodes[a].next {
				dst = c.attribute(dst, c.attributeName(&c.nodes[a], ""), &c.nodes[a])
			}
		case asNamespaces:
			for a := n.first; a != 0; a = c.nodes[a].next {
				dst = c.attribute(dst, c.namespaceName(&c.nodes[a]), &c.nodes[a])
			}
		}
	}
	return dst
}

// forget empties the set of attributes; one that grew large is not kept, since
// emptying it takes as long as filling it.
func (c *converter) forget() {
	if len(c.seen) == 0 && c.seen != nil {
		return
	}
	if c.seen == nil || len(c.seen) > 64 {
		c.seen = map[string]bool{}
		return
	}
	clear(c.seen)
}

func (c *converter) attribute(dst, name []byte, n *node) []byte {
	if n.kind == jsontoken.ObjectStart || n.kind == jsontoken.ArrayStart || c.seen[string(name)] {
		return dst
	}
	c.seen[string(name)] = true
	dst = append(append(append(dst, ' '), name...), `="`...)
	return append(c.scalar(dst, n, true), '"')
}

func (c *converter) attributeName(n *node, prefix string) []byte {
	c.text = jsontoken.AppendText(c.text[:0], n.name)
	from := len(c.text)
	c.text = c.appendQualified(c.text, c.text[len(prefix):])
	return c.text[from:]
}

// nameOf returns the name of an element. It stays as it is while names is not cut
// back.
func (c *converter) nameOf(n *node) []byte {
	c.text = jsontoken.AppendText(c.text[:0], n.name)
	from := len(c.names)
	c.names = c.appendQualified(c.names, c.text)
	return c.names[from:]
}

func (c *converter) namespaceName(n *node) []byte {
	c.text = jsontoken.AppendText(c.text[:0], n.name)
	if string(c.text) == c.DefaultNamespaceNodeName || string(c.text) == "xmlns" {
		return []byte("xmlns")
	}
	return c.appendValid([]byte("xmlns:"), bytes.TrimPrefix(c.text, []byte("xmlns:")))
}

// appendQualified appends a member's name as that of an element or attribute.
func (c *converter) appendQualified(dst, name []byte) []byte {
	prefix, local, ok := bytes.Cut(name, []byte(c.NamespaceSeparator))
	if !ok || len(prefix) == 0 || len(local) == 0 {
		return c.appendValid(dst, name)
	}
	return c.appendValid(append(c.appendValid(dst, prefix), ':'), local)
}

// appendValid appends a name with what is not allowed in it replaced.
func (c *converter) appendValid(dst, name []byte) []byte {
	start, replaced := len(dst), false
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		first := len(dst) == start
		if r == ':' || r == utf8.RuneError || !xmltoken.IsNameRune(r, first) {
			if !replaced {
				dst = c.appendReplacement(dst, first)
			}
			replaced = true
		} else {
			dst, replaced = append(dst, name[:n]...), false
		}
		name = name[n:]
	}
	if len(dst) == start {
		return c.appendReplacement(dst, true)
	}
	return dst
}

func (c *converter) appendReplacement(dst []byte, first bool) []byte {
	if r, _ := utf8.DecodeRuneInString(c.InvalidCharsReplacement); first && !xmltoken.IsNameRune(r, true) {
		dst = append(dst, '_')
	}
	return append(dst, c.InvalidCharsReplacement...)
}

// content appends what is between the tags.
func (c *converter) content(dst []byte, i int32) []byte {
	n := &c.nodes[i]
	if n.kind != jsontoken.ObjectStart && n.kind != jsontoken.ArrayStart {
		return c.scalar(dst, n, false)
	}
	if n.first == 0 {
		return dst
	}
	mixed := c.mixed(i)
	from := len(dst)
	c.level++
	for k := n.first; k != 0; k = c.nodes[k].next {
		dst = c.child(dst, k, mixed)
	}
	c.level--
	if len(dst) > from && !mixed {
		dst = c.newline(dst)
	}
	return dst
}

// mixed reports whether an object has text of its own, so that white space
// counts.
func (c *converter) mixed(i int32) bool {
	for k := c.nodes[i].first; k != 0; k = c.nodes[k].next {
		if c.nodes[k].role == asText {
			return true
		}
	}
	return false
}

func (c *converter) child(dst []byte, k int32, mixed bool) []byte {
	n := &c.nodes[k]
	switch r := n.role; {
	case r == asText && n.kind == jsontoken.ArrayStart:
		for t := n.first; t != 0; t = c.nodes[t].next {
			dst = c.content(dst, t)
		}
		return dst
	case r == asText:
		return c.scalar(dst, n, false)
	case r != asElement:
		return dst
	case !n.named:
		return c.line(dst, []byte(c.ArrayItemElementName), k, mixed)
	}
	open := len(c.names)
	name := c.nameOf(n)
	if n.kind != jsontoken.ArrayStart {
		dst = c.line(dst, name, k, mixed)
	} else {
		for item := n.first; item != 0; item = c.nodes[item].next {
			dst = c.line(dst, name, item, mixed)
		}
	}
	c.names = c.names[:open]
	return dst
}

// line appends an element, on a line of its own where that is asked for.
func (c *converter) line(dst, name []byte, i int32, mixed bool) []byte {
	if !mixed {
		dst = c.newline(dst)
	}
	return c.element(dst, name, i)
}

func (c *converter) newline(dst []byte) []byte {
	if !c.Indent {
		return dst
	}
	dst = append(dst, '\n')
	for range c.level {
		dst = append(dst, "  "...)
	}
	return dst
}

// scalar appends the text of a string, a number or a boolean; null is none.
func (c *converter) scalar(dst []byte, n *node, quoted bool) []byte {
	if n.kind == jsontoken.Null {
		return dst
	}
	if n.kind != jsontoken.String {
		return append(dst, n.data...)
	}
	c.text = jsontoken.AppendText(c.text[:0], n.data)
	if string(c.text) == c.NullValue {
		return dst
	}
	return c.escape(dst, c.text, quoted)
}

// escape appends text as XML writes it.
func (c *converter) escape(dst, s []byte, quoted bool) []byte {
	replaced := false
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		valid := xmltoken.IsChar(r) && (r != utf8.RuneError || n > 1)
		switch {
		case !valid && replaced:
		case !valid:
			dst = append(dst, c.InvalidCharsReplacement...)
		default:
			dst = appendEscaped(dst, s[:n], r, quoted)
		}
		replaced = !valid
		s = s[n:]
	}
	return dst
}

func appendEscaped(dst, raw []byte, r rune, quoted bool) []byte {
	switch {
	case r == '&':
		return append(dst, "&amp;"...)
	case r == '<':
		return append(dst, "&lt;"...)
	case r == '>':
		return append(dst, "&gt;"...)
	case r == '\r':
		return append(dst, "&#xD;"...)
	case quoted && r == '"':
		return append(dst, "&quot;"...)
	case quoted && r == '\n':
		return append(dst, "&#xA;"...)
	case quoted && r == '\t':
		return append(dst, "&#x9;"...)
	}
	return append(dst, raw...)
}
