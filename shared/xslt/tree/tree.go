// Package tree is the data model of XPath 1.0 and XSLT: documents as trees of
// nodes, in document order, with namespaces. A tree belongs to one transformation
// and is not safe for use by several goroutines.
//
// Source: https://www.w3.org/TR/1999/REC-xpath-19991116/#data-model
package tree

import (
	"fmt"
	"strings"
)

// Kind is the type of a node.
type Kind uint8

// The kinds of node. Atom is no node of a document but a string or a number in a
// sequence of XPath 2.0, as tokenize() gives it.
const (
	Document Kind = iota
	Element
	Attribute
	Text
	Comment
	Instruction
	Namespace
	Atom
)

// XML is the namespace of the prefix xml.
const XML = "http://www.w3.org/XML/1998/namespace"

// Name is an expanded name.
type Name struct{ Space, Local string }

// String returns the name as Q{uri}local, or local.
func (n Name) String() string {
	if n.Space == "" {
		return n.Local
	}
	return "Q{" + n.Space + "}" + n.Local
}

// Node is a node. Only this package and the builder of a tree change it.
type Node struct {
	Kind Kind
	// Raw is set on text that is written without escaping.
	Raw bool
	// Number is set on an atom that is a number, Untyped on one that is the text of a
	// node.
	Number, Untyped bool
	// Line is the line of an element in its document, from 1; 0 if not wanted.
	Line int32

	order, sub int32 // place in the tree; namespaces and attributes share their element's order
	tree       *Tree

	// Name is the name of an element or an attribute; Local is the target of a
	// processing instruction and the prefix of a namespace.
	Name   Name
	Prefix string
	// Data is the text of all but documents and elements; the URI of a namespace.
	Data string

	Parent, First, Last, Next, Prev *Node
	// Attrs are the attributes of an element, in order.
	Attrs []*Node
	// Scope is what namespaces are declared here, in an element.
	Scope *Scope
}

// Scope is a list of namespace declarations, innermost first. The nil scope has
// only the prefix xml. Elements share the scope of their parent.
type Scope struct {
	Prefix, URI string // an empty URI takes the declaration back
	Outer       *Scope

	depth int // of the list
}

// maxScope bounds the declarations in an element and around it: each name that is
// looked up passes them.
const maxScope = 200

// Declare returns the scope of an element in s that declares a namespace.
func (s *Scope) Declare(prefix, uri string) *Scope {
	inner := &Scope{Prefix: prefix, URI: uri, Outer: s, depth: 1}
	if s != nil {
		inner.depth += s.depth
	}
	if inner.depth > maxScope {
		panic(Limit("too many namespaces are declared inside each other"))
	}
	return inner
}

// Lookup returns the URI of a prefix; the empty prefix always has one.
func (s *Scope) Lookup(prefix string) (uri string, ok bool) {
	if prefix == "xml" {
		return XML, true
	}
	for ; s != nil; s = s.Outer {
		if s.Prefix == prefix {
			return s.URI, s.URI != "" || prefix == ""
		}
	}
	return "", prefix == ""
}

// PrefixOf returns a prefix, not the empty one, that is bound to a URI.
func (s *Scope) PrefixOf(uri string) (string, bool) {
	if uri == XML {
		return "xml", true
	}
	for at := s; at != nil; at = at.Outer {
		if at.URI == uri && at.Prefix != "" {
			if u, _ := s.Lookup(at.Prefix); u == uri {
				return at.Prefix, true
			}
		}
	}
	return "", false
}

// Each calls f for every declaration that is in force, outermost first, without
// the prefix xml.
func (s *Scope) Each(f func(prefix, uri string)) {
	if s == nil {
		return
	}
	var seen [8]*Scope
	list := seen[:0]
next:
	for at := s; at != nil; at = at.Outer {
		for _, o := range list {
			if o.Prefix == at.Prefix {
				continue next
			}
		}
		list = append(list, at)
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].URI != "" {
			f(list[i].Prefix, list[i].URI)
		}
	}
}

// Budget bounds what the trees of one transformation may hold together.
type Budget struct {
	Nodes int // that may still be made
	Bytes int // of text that may still be made
	Steps int // nodes that may still be looked at
	trees int32
}

// Limit is the error of a budget that is used up. Methods of Tree panic with it.
type Limit string

func (l Limit) Error() string { return string(l) }

// Take takes n nodes from the budget, as for the atoms of a sequence.
func (b *Budget) Take(n int) {
	if b.Nodes -= n; b.Nodes < 0 {
		panic(Limit("the transformation makes too many nodes"))
	}
}

// Step takes n steps from the budget.
func (b *Budget) Step(n int) {
	if b.Steps -= n; b.Steps < 0 {
		panic(Limit("the transformation takes too many steps"))
	}
}

// Text takes n bytes from the budget.
func (b *Budget) Text(n int) {
	if b.Bytes -= n; b.Bytes < 0 {
		panic(Limit("the transformation makes too much text"))
	}
}

// maxString bounds one string that is put together, in bytes.
const maxString = 30 << 20

// String takes a string from the budget that is made on the way to the result. It is
// counted as a quarter of its length: most of them do not live long.
func (b *Budget) String(n int) {
	if n > maxString {
		panic(Limit("the transformation makes a string that is too long"))
	}
	b.Text(n / 4)
}

// Tree is a document, or a fragment of a result.
type Tree struct {
	Root   *Node
	id     int32
	next   int32
	slab   []Node
	budget *Budget

	namespaces map[*Node][]*Node // of elements that were asked for theirs
}

// New returns a tree that holds its document node.
func New(b *Budget) *Tree {
	b.trees++
	t := &Tree{id: b.trees, budget: b}
	t.Root = t.node(Document)
	return t
}

func (t *Tree) node(k Kind) *Node {
	t.budget.Take(1)
	if len(t.slab) == 0 {
		size := 4
		if t.next > 4 {
			size = 32
		}
		t.slab = make([]Node, size)
	}
	n := &t.slab[0]
	t.slab = t.slab[1:]
	n.Kind, n.tree, n.order = k, t, t.next
	t.next++
	return n
}

// Append adds a child to a parent that is the last open one, so that nodes are
// made in document order.
func (t *Tree) Append(parent *Node, k Kind) *Node {
	n := t.node(k)
	n.Parent, n.Prev = parent, parent.Last
	if parent.Last == nil {
		parent.First = n
	} else {
		parent.Last.Next = n
	}
	parent.Last = n
	return n
}

// maxNamespaces bounds the namespace nodes of one element, which come before its
// attributes.
const maxNamespaces = 1 << 20

// SetAttr adds an attribute to an element, or gives one of that name another value.
func (t *Tree) SetAttr(e *Node, name Name, prefix, value string) *Node {
	for _, a := range e.Attrs {
		if a.Name == name {
			a.Data, a.Prefix = value, prefix
			return a
		}
	}
	return t.addAttr(e, name, prefix, value)
}

// maxAttributes bounds the attributes of one element.
const maxAttributes = 1000

func (t *Tree) addAttr(e *Node, name Name, prefix, value string) *Node {
	if len(e.Attrs) == maxAttributes {
		panic(Limit("an element has too many attributes"))
	}
	a := t.node(Attribute)
	a.order, a.sub = e.order, maxNamespaces+int32(len(e.Attrs))
	a.Name, a.Prefix, a.Data, a.Parent = name, prefix, value, e
	e.Attrs = append(e.Attrs, a)
	return a
}

// NewAtom returns an atom of a sequence.
func NewAtom(text string, number bool) *Node {
	return &Node{Kind: Atom, Data: text, Number: number}
}

// Atomize returns the text of a node as an atom; an atom is itself.
func Atomize(n *Node) *Node {
	if n.Kind == Atom {
		return n
	}
	return &Node{Kind: Atom, Data: n.Text(), Untyped: true}
}

// Attr returns the value of an attribute without a namespace.
func (n *Node) Attr(local string) (string, bool) {
	for _, a := range n.Attrs {
		if a.Name.Local == local && a.Name.Space == "" {
			return a.Data, true
		}
	}
	return "", false
}

// Root returns the topmost node of n's tree.
func (n *Node) Root() *Node {
	for n.Parent != nil {
		n = n.Parent
	}
	return n
}

// QName is the name as written, with its prefix.
func (n *Node) QName() string {
	if n.Prefix == "" {
		return n.Name.Local
	}
	return n.Prefix + ":" + n.Name.Local
}

// Namespaces returns the namespace nodes of an element, that of xml first.
func (n *Node) Namespaces() []*Node {
	if n.Kind != Element {
		return nil
	}
	list, ok := n.tree.namespaces[n]
	if ok {
		return list
	}
	add := func(prefix, uri string) {
		n.tree.budget.Take(1)
		list = append(list, &Node{Kind: Namespace, tree: n.tree, order: n.order, sub: int32(len(list) + 1), Name: Name{Local: prefix}, Data: uri, Parent: n})
	}
	add("xml", XML)
	n.Scope.Each(add)
	if n.tree.namespaces == nil {
		n.tree.namespaces = map[*Node][]*Node{}
	}
	n.tree.namespaces[n] = list
	return list
}

// Text is the string value of a node (XPath 1.0, section 5).
func (n *Node) Text() string {
	if n.Kind != Element && n.Kind != Document {
		return n.Data
	}
	if n.First == nil {
		return ""
	}
	if n.First == n.Last && n.First.Kind == Text {
		return n.First.Data
	}
	size, nodes := 0, 0
	for c := n.First; c != nil; c = c.Following(n) {
		nodes++
		if c.Kind == Text {
			size += len(c.Data)
		}
	}
	n.tree.budget.Step(nodes)
	n.tree.budget.Text(size / 16) // so that it cannot be read for ever
	var b strings.Builder
	b.Grow(size)
	for c := n.First; c != nil; c = c.Following(n) {
		if c.Kind == Text {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// Following is the next node in document order among the descendants of top; nil
// behind the last.
func (n *Node) Following(top *Node) *Node {
	if n.First != nil {
		return n.First
	}
	return n.After(top)
}

// After is Following without the descendants of n.
func (n *Node) After(top *Node) *Node {
	for n != top {
		if n.Next != nil {
			return n.Next
		}
		if n = n.Parent; n == nil {
			return nil
		}
	}
	return nil
}

// Compare is negative if a is before b in document order, 0 if it is b.
func Compare(a, b *Node) int {
	switch {
	case a == b:
		return 0
	case a.tree != b.tree && a.tree != nil && b.tree != nil:
		return int(a.tree.id - b.tree.id)
	case a.order != b.order:
		return int(a.order - b.order)
	}
	return int(a.sub - b.sub)
}

// ID is a name for the node that no other of the transformation has.
func (n *Node) ID() string {
	if n.tree == nil {
		return "d0"
	}
	if n.sub > 0 {
		return fmt.Sprintf("d%de%da%d", n.tree.id, n.order, n.sub)
	}
	return fmt.Sprintf("d%de%d", n.tree.id, n.order)
}

// IsSpace reports whether a text is white space only.
func IsSpace(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
