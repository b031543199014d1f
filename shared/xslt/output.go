package xslt

import (
	"strconv"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// output builds the tree of a result.
type output struct {
	tree    *tree.Tree
	budget  *tree.Budget
	at      *tree.Node // the element that is open, or the document
	depth   int
	pending []byte // text that is no node yet
	raw     bool   // of pending
	items   *items // nil: a tree is what is wanted
}

func newOutput(r *run) *output {
	t := tree.New(&r.budget)
	return &output{tree: t, budget: &r.budget, at: t.Root}
}

func (o *output) text(s string, raw bool) {
	if s == "" {
		return
	}
	o.budget.Text(len(s))
	if raw != o.raw {
		o.flush()
		o.raw = raw
	}
	o.pending = append(o.pending, s...)
}

// flush makes a node of the text.
func (o *output) flush() {
	if len(o.pending) == 0 {
		return
	}
	n := o.tree.Append(o.at, tree.Text)
	n.Data, n.Raw = string(o.pending), o.raw
	o.pending = o.pending[:0]
}

// open reports whether the start tag of an element can still take attributes.
func (o *output) open() bool {
	return o.at.Kind == tree.Element && o.at.First == nil && len(o.pending) == 0
}

func (o *output) start(name tree.Name, prefix string) {
	o.flush()
	if o.depth++; o.depth > maxContent {
		panic(tree.Limit("elements of the result are nested too deep"))
	}
	n := o.tree.Append(o.at, tree.Element)
	n.Name, n.Scope = name, o.at.Scope
	o.at = n
	switch {
	case name.Space == tree.XML:
		prefix = "xml"
	case name.Space == "":
		prefix = ""
	case prefix == "xml" || prefix == "xmlns":
		prefix = ""
	}
	n.Prefix = prefix
	if uri, ok := n.Scope.Lookup(prefix); !ok || uri != name.Space {
		n.Scope = n.Scope.Declare(prefix, name.Space)
	}
}

func (o *output) end() {
	o.flush()
	o.at = o.at.Parent
	o.depth--
}

// declare declares a namespace on the open element unless it is in scope, or the
// prefix has another meaning there.
func (o *output) declare(prefix, uri string) {
	if prefix == "xml" {
		return
	}
	if have, ok := o.at.Scope.Lookup(prefix); ok && have == uri {
		return
	}
	if prefix == "" && o.at.Name.Space == "" || o.declared(prefix) {
		return
	}
	o.at.Scope = o.at.Scope.Declare(prefix, uri)
}

// declared reports whether the open element itself declares a prefix.
func (o *output) declared(prefix string) bool {
	outer := o.at.Parent.Scope
	for s := o.at.Scope; s != outer; s = s.Outer {
		if s.Prefix == prefix {
			return true
		}
	}
	return false
}

// declareNew is declare for xsl:namespace, which may not be in vain.
func (o *output) declareNew(prefix, uri string) {
	if !o.open() {
		expr.Fail("A namespace node for %q cannot be created after the children of the containing element", prefix)
	}
	if prefix == "" && o.at.Name.Space == "" {
		expr.Fail("Cannot output a namespace node for the default namespace when the element is in no namespace")
	}
	if have, ok := o.at.Scope.Lookup(prefix); ok && have != uri && o.declared(prefix) {
		expr.Fail("Cannot create two namespace nodes with the same prefix mapped to different URIs (prefix=%q)", prefix)
	}
	o.declare(prefix, uri)
}

func (o *output) attribute(name tree.Name, prefix, value string) {
	if !o.open() {
		if o.at.Kind == tree.Document {
			expr.Fail("Cannot create an attribute node (%s) whose parent is a document node", name.Local)
		}
		expr.Fail("An attribute node (%s) cannot be created after the children of the containing element", name.Local)
	}
	o.budget.Text(len(value))
	o.tree.SetAttr(o.at, name, o.attributePrefix(name.Space, prefix), value)
}

// attributePrefix finds or declares a prefix for the namespace of an attribute.
func (o *output) attributePrefix(uri, prefix string) string {
	if uri == "" {
		return ""
	}
	if uri == tree.XML {
		return "xml"
	}
	if prefix != "" && prefix != "xml" && prefix != "xmlns" {
		have, ok := o.at.Scope.Lookup(prefix)
		if ok && have == uri {
			return prefix
		}
		if !ok || !o.declared(prefix) && prefix != o.at.Prefix {
			o.at.Scope = o.at.Scope.Declare(prefix, uri)
			return prefix
		}
	}
	if p, ok := o.at.Scope.PrefixOf(uri); ok {
		return p
	}
	stem, i := "ns", 0
	if prefix != "" {
		stem, i = prefix+"_", 1
	}
	for ; ; i++ {
		p := stem + strconv.Itoa(i)
		if _, taken := o.at.Scope.Lookup(p); !taken {
			o.at.Scope = o.at.Scope.Declare(p, uri)
			return p
		}
	}
}

func (o *output) comment(text string) {
	o.flush()
	o.tree.Append(o.at, tree.Comment).Data = text
}

func (o *output) instruction(name, text string) {
	o.flush()
	n := o.tree.Append(o.at, tree.Instruction)
	n.Name.Local, n.Data = name, text
}

// copy copies a node and what is in it; spaces says that elements keep the namespaces
// that they do not use.
func (o *output) copy(n *tree.Node, spaces bool) {
	switch n.Kind {
	case tree.Document:
		o.copyChildren(n, spaces)
	case tree.Element:
		o.start(n.Name, n.Prefix)
		if spaces {
			n.Scope.Each(o.declare)
		}
		for _, a := range n.Attrs {
			o.attribute(a.Name, a.Prefix, a.Data)
		}
		o.copyChildren(n, spaces)
		o.end()
	case tree.Attribute:
		o.attribute(n.Name, n.Prefix, n.Data)
	case tree.Namespace:
		if n.Name.Local != "xml" {
			o.declareNew(n.Name.Local, n.Data)
		}
	case tree.Comment:
		o.comment(n.Data)
	case tree.Instruction:
		o.instruction(n.Name.Local, n.Data)
	default:
		o.text(n.Data, n.Raw)
	}
}

func (o *output) copyChildren(n *tree.Node, spaces bool) {
	for k := n.First; k != nil; k = k.Next {
		o.copy(k, spaces)
	}
}
