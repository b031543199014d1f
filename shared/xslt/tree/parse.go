package tree

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Options say how a document is parsed.
type Options struct {
	// Charset is the encoding that the message says, or "".
	Charset string
	// Strip reports whether white space alone in an element is left out; nil keeps
	// all. xml:space="preserve" keeps it in any case.
	Strip func(element Name) bool
	// Lines asks for the lines of elements.
	Lines bool
}

// Parse parses a document. A document type declaration is refused, and so is
// nesting of more than xmltoken.MaxDepth. What is more than the budget allows gives
// a Limit. Errors of syntax are *xmltoken.Error.
func Parse(text []byte, b *Budget, o Options) (t *Tree, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case Limit:
			t, err = nil, r
		default:
			panic(r)
		}
	}()
	doc, err := xmltoken.Decode(text, o.Charset)
	if err != nil {
		return nil, err
	}
	p := &parser{Options: o, doc: doc, line: 1, tree: New(b)}
	p.scan.Reset(doc, 0, maxAttributes)
	p.at = p.tree.Root
	if err := p.run(); err != nil {
		return nil, err
	}
	return p.tree, nil
}

type parser struct {
	Options
	scan xmltoken.Scanner
	doc  []byte
	tree *Tree
	at   *Node
	text []byte // of the node being read

	names map[string]string // interned

	counted, line int // lines up to an offset
}

func (p *parser) run() error {
	for {
		before := p.scan.Offset()
		kind, err := p.scan.Next()
		if err != nil {
			return err
		}
		switch kind {
		case xmltoken.Text:
			p.text = xmltoken.AppendText(p.text, p.scan.Data())
			continue
		case xmltoken.CData:
			p.text = xmltoken.AppendCData(p.text, p.scan.Data())
			continue
		}
		p.flush()
		switch kind {
		case xmltoken.EOF:
			return nil
		case xmltoken.Start:
			if err := p.start(before); err != nil {
				return err
			}
		case xmltoken.End:
			p.at = p.at.Parent
		case xmltoken.Comment:
			p.tree.Append(p.at, Comment).Data = strings.ReplaceAll(string(p.scan.Data()), "\r\n", "\n")
		case xmltoken.Instruction:
			n := p.tree.Append(p.at, Instruction)
			n.Name.Local, n.Data = p.intern(p.scan.Name()), string(p.scan.Data())
		}
	}
}

// flush makes a node of the text that was read.
func (p *parser) flush() {
	if len(p.text) == 0 {
		return
	}
	s := string(p.text)
	p.text = p.text[:0]
	if p.Strip != nil && IsSpace(s) && p.Strip(p.at.Name) && !Preserved(p.at) {
		return
	}
	p.tree.budget.Text(len(s))
	p.tree.Append(p.at, Text).Data = s
}

// Preserved reports whether xml:space="preserve" is in force in an element.
func Preserved(n *Node) bool {
	for ; n != nil; n = n.Parent {
		for _, a := range n.Attrs {
			if a.Name.Local == "space" && a.Name.Space == XML {
				return a.Data == "preserve"
			}
		}
	}
	return false
}

func (p *parser) intern(b []byte) string {
	if s, ok := p.names[string(b)]; ok {
		return s
	}
	if p.names == nil {
		p.names = map[string]string{}
	}
	s := string(b)
	p.names[s] = s
	return s
}

func (p *parser) fail(format string, args ...any) error {
	return &xmltoken.Error{Offset: p.scan.Offset(), Line: p.scan.Line(), Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) start(before int) error {
	parent := p.at
	n := p.tree.Append(parent, Element)
	if p.Lines {
		p.line += bytes.Count(p.doc[p.counted:before], []byte{'\n'})
		p.counted, n.Line = before, int32(p.line)
	}
	n.Scope = parent.Scope
	p.at = n
	for i := range p.scan.Attrs() {
		if err := p.declare(n, p.scan.Attr(i)); err != nil {
			return err
		}
	}
	var err error
	if n.Name, n.Prefix, err = p.resolve(n.Scope, p.scan.Name(), true); err != nil {
		return err
	}
	for i := range p.scan.Attrs() {
		if err := p.attribute(n, p.scan.Attr(i)); err != nil {
			return err
		}
	}
	return nil
}

// declare takes a namespace declaration (Namespaces in XML 1.0, section 3).
func (p *parser) declare(n *Node, a xmltoken.Attr) error {
	name := string(a.Name)
	prefix, ok := strings.CutPrefix(name, "xmlns:")
	if !ok && name != "xmlns" {
		return nil
	}
	if !ok {
		prefix = ""
	}
	uri := p.intern(xmltoken.AppendValue(nil, a.Value))
	switch {
	case prefix == "xml" && uri == XML:
		return nil
	case prefix == "xmlns" || prefix == "xml" || uri == XML || uri == "http://www.w3.org/2000/xmlns/":
		return p.fail("namespace declaration %s=%q is not allowed", name, uri)
	case ok && uri == "":
		return p.fail("namespace of prefix %q is empty", prefix)
	case strings.Contains(prefix, ":"):
		return p.fail("%q is not a name with one prefix", name)
	}
	prefix = p.intern([]byte(prefix))
	if have, ok := n.Scope.Lookup(prefix); !ok || have != uri {
		n.Scope = n.Scope.Declare(prefix, uri)
	}
	return nil
}

func (p *parser) resolve(s *Scope, qname []byte, element bool) (Name, string, error) {
	prefix, local, ok := bytes.Cut(qname, []byte(":"))
	if !ok {
		uri := ""
		if element {
			uri, _ = s.Lookup("")
		}
		return Name{uri, p.intern(qname)}, "", nil
	}
	if len(prefix) == 0 || len(local) == 0 || bytes.IndexByte(local, ':') >= 0 || !xmltoken.IsName(string(local)) {
		return Name{}, "", p.fail("%q is not a name with one prefix", qname)
	}
	pre := p.intern(prefix)
	uri, ok := s.Lookup(pre)
	if !ok {
		return Name{}, "", p.fail("The prefix %q for %q is not bound.", prefix, qname)
	}
	return Name{uri, p.intern(local)}, pre, nil
}

func (p *parser) attribute(n *Node, a xmltoken.Attr) error {
	if string(a.Name) == "xmlns" || bytes.HasPrefix(a.Name, []byte("xmlns:")) {
		return nil
	}
	name, prefix, err := p.resolve(n.Scope, a.Name, false)
	if err != nil {
		return err
	}
	if name.Space != "" { // the scanner has compared the names as written
		for _, o := range n.Attrs {
			if o.Name == name {
				return p.fail("attribute %q is there twice", a.Name)
			}
		}
	}
	value := string(xmltoken.AppendValue(nil, a.Value))
	p.tree.budget.Text(len(value))
	p.tree.addAttr(n, name, prefix, value)
	return nil
}
