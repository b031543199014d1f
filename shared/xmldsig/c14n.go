package xmldsig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// Canonicalization algorithms.
const (
	Exclusive               = "http://www.w3.org/2001/10/xml-exc-c14n#"
	ExclusiveWithComments   = Exclusive + "WithComments"
	Inclusive               = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	InclusiveWithComments   = Inclusive + "#WithComments"
	Inclusive11             = "http://www.w3.org/2006/12/xml-c14n11"
	Inclusive11WithComments = Inclusive11 + "#WithComments"
)

const nsXML = "http://www.w3.org/XML/1998/namespace"

// Canonical returns the canonical form of el and all beneath it, where it stands
// in its document; prefixes is the PrefixList of InclusiveNamespaces.
//
// Sources: Canonical XML 1.0 and 1.1, Exclusive XML Canonicalization 1.0.
func Canonical(el *etree.Element, algorithm, prefixes string) ([]byte, error) {
	c := &canon{}
	switch algorithm {
	case Exclusive, ExclusiveWithComments:
		c.exclusive = true
		for _, p := range strings.Fields(prefixes) {
			if p == "#default" {
				p = ""
			}
			c.list = append(c.list, p)
		}
	case Inclusive, InclusiveWithComments, Inclusive11, Inclusive11WithComments:
	default:
		return nil, fmt.Errorf("canonicalization %q is not supported", algorithm)
	}
	c.comments = strings.HasSuffix(algorithm, "WithComments")
	inherited, err := c.ancestors(el, strings.HasPrefix(algorithm, Inclusive11))
	if err != nil {
		return nil, err
	}
	if err := c.element(el, inherited); err != nil {
		return nil, err
	}
	return c.out, nil
}

// Referenced returns the canonical form of el as a reference by its id sees it:
// without comments, whatever the algorithm (XML Signature, section 4.4.3.3).
func Referenced(el *etree.Element, algorithm, prefixes string) ([]byte, error) {
	algorithm = strings.TrimSuffix(strings.TrimSuffix(algorithm, "WithComments"), "#")
	if algorithm+"#" == Exclusive {
		algorithm = Exclusive
	}
	return Canonical(el, algorithm, prefixes)
}

// binding is a namespace declaration; prefix "" is the default, uri "" none.
type binding struct{ prefix, uri string }

// bindings are declarations, the inner ones last.
type bindings []binding

func (b bindings) find(prefix string) string {
	for i := range slices.Backward(b) {
		if b[i].prefix == prefix {
			return b[i].uri
		}
	}
	return ""
}

type canon struct {
	exclusive, comments bool
	list                []string // prefixes that are treated as inclusive
	scope               bindings // what is declared in the document
	rendered            bindings // what is declared in the output
	out                 []byte
}

// declaration returns the binding of an attribute that declares a namespace.
func declaration(a *etree.Attr) (binding, bool) {
	switch {
	case a.Space == "xmlns":
		return binding{a.Key, a.Value}, true
	case a.Space == "" && a.Key == "xmlns":
		return binding{"", a.Value}, true
	}
	return binding{}, false
}

// ancestors reads the declarations around el, and the attributes of the prefix
// xml that an inclusive form takes over (Canonical XML 1.0, section 2.4; 1.1 has
// it otherwise: no xml:id, and xml:base would have to be joined).
func (c *canon) ancestors(el *etree.Element, version11 bool) (inherited []etree.Attr, err error) {
	var up []*etree.Element
	for p := el.Parent(); p != nil; p = p.Parent() {
		up = append(up, p)
	}
	for _, p := range slices.Backward(up) {
		for i := range p.Attr {
			a := &p.Attr[i]
			if b, ok := declaration(a); ok {
				c.scope = append(c.scope, b)
			}
			if a.Space != "xml" || c.exclusive {
				continue
			}
			switch {
			case version11 && a.Key == "base":
				return nil, fmt.Errorf("canonicalization with an inherited xml:base is not supported")
			case version11 && a.Key == "id":
				continue
			}
			inherited = slices.DeleteFunc(inherited, func(b etree.Attr) bool { return b.Key == a.Key })
			inherited = append(inherited, *a)
		}
	}
	return slices.DeleteFunc(inherited, func(a etree.Attr) bool { return el.SelectAttr("xml:"+a.Key) != nil }), nil
}

// attribute is one that is no declaration.
type attribute struct{ uri, local, name, value string }

func (c *canon) element(el *etree.Element, inherited []etree.Attr) error {
	scope, rendered := len(c.scope), len(c.rendered)
	var attrs []etree.Attr
	for i := range el.Attr {
		b, ok := declaration(&el.Attr[i])
		if !ok {
			attrs = append(attrs, el.Attr[i])
			continue
		}
		if b.prefix != "" && b.uri == "" {
			return fmt.Errorf("the prefix %s is bound to nothing", b.prefix)
		}
		c.scope = append(c.scope, b)
	}
	attrs = append(attrs, inherited...)
	name := el.FullTag()
	c.out = append(append(c.out, '<'), name...)
	if err := c.declare(el.Space, attrs); err != nil {
		return err
	}
	if err := c.attributes(attrs); err != nil {
		return err
	}
	c.out = append(c.out, '>')
	if err := c.children(el); err != nil {
		return err
	}
	c.out = append(append(append(c.out, "</"...), name...), '>')
	c.scope, c.rendered = c.scope[:scope], c.rendered[:rendered]
	return nil
}

// declare writes the declarations that the element needs.
func (c *canon) declare(space string, attrs []etree.Attr) error {
	used := []string{space}
	for _, a := range attrs {
		if a.Space != "" {
			used = append(used, a.Space)
		}
	}
	for _, p := range used {
		if p != "" && p != "xml" && c.scope.find(p) == "" {
			return fmt.Errorf("the prefix %s is not declared", p)
		}
	}
	if c.exclusive {
		used = append(used, c.list...)
	} else {
		used = append(used, "")
		for _, b := range c.scope {
			used = append(used, b.prefix)
		}
	}
	slices.Sort(used)
	for _, p := range slices.Compact(used) {
		uri := c.scope.find(p)
		if p == "xml" || uri == c.rendered.find(p) || p != "" && uri == "" {
			continue
		}
		c.rendered = append(c.rendered, binding{p, uri})
		c.out = append(c.out, " xmlns"...)
		if p != "" {
			c.out = append(append(c.out, ':'), p...)
		}
		c.value(uri)
	}
	return nil
}

// attributes writes the attributes in the order of their namespaces and names.
func (c *canon) attributes(list []etree.Attr) error {
	attrs := make([]attribute, len(list))
	for i, a := range list {
		attrs[i] = attribute{local: a.Key, name: a.FullKey(), value: a.Value}
		switch a.Space {
		case "":
		case "xml":
			attrs[i].uri = nsXML
		default:
			attrs[i].uri = c.scope.find(a.Space)
		}
	}
	slices.SortFunc(attrs, func(a, b attribute) int {
		return cmp.Or(cmp.Compare(a.uri, b.uri), cmp.Compare(a.local, b.local))
	})
	for i, a := range attrs {
		if i > 0 && a.uri == attrs[i-1].uri && a.local == attrs[i-1].local {
			return fmt.Errorf("the attribute %s is there twice", a.name)
		}
		c.out = append(append(c.out, ' '), a.name...)
		c.value(a.value)
	}
	return nil
}

// What is written for the bytes that cannot stand for themselves (Canonical XML
// 1.0, section 2.3), in values of attributes and in text.
var (
	valueEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
	textEscapes  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
)

func (c *canon) value(s string) {
	c.out = append(append(append(c.out, `="`...), valueEscapes.Replace(s)...), '"')
}

func (c *canon) children(el *etree.Element) error {
	for _, t := range el.Child {
		switch t := t.(type) {
		case *etree.Element:
			if err := c.element(t, nil); err != nil {
				return err
			}
		case *etree.CharData:
			c.out = append(c.out, textEscapes.Replace(t.Data)...)
		case *etree.Comment:
			if c.comments {
				c.out = append(append(append(c.out, "<!--"...), t.Data...), "-->"...)
			}
		case *etree.ProcInst:
			c.out = append(append(c.out, "<?"...), t.Target...)
			if t.Inst != "" {
				c.out = append(append(c.out, ' '), t.Inst...)
			}
			c.out = append(c.out, "?>"...)
		default:
			return fmt.Errorf("%T cannot be canonicalized", t)
		}
	}
	return nil
}
