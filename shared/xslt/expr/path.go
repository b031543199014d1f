package expr

import (
	"slices"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

type axis uint8

const (
	child axis = iota
	descendant
	descendantOrSelf
	attribute
	self
	parent
	following
	followingSibling
	namespace
	ancestor // from here on in reverse document order
	ancestorOrSelf
	preceding
	precedingSibling
)

// test is the test of a step.
type test struct {
	any      bool // node()
	anySpace bool // *:name, or * without a name
	kind     tree.Kind
	name     tree.Name // without Local: every name of the namespace
}

func (t *test) match(n *tree.Node) bool {
	if t.any {
		return true
	}
	if n.Kind != t.kind {
		return false
	}
	return (t.name.Local == "" || t.name.Local == n.Name.Local) && (t.anySpace || t.name.Space == n.Name.Space)
}

// predicate is one predicate of a step or a filter.
type predicate struct {
	e Expr
	// counts says that it depends on the place of a node, of what it is a number.
	counts bool
	nth    int // a literal place, from 1; 0 if it is none
}

func newPredicate(e Expr) predicate {
	p := predicate{e: e, counts: e.positional() || e.kind() == Number || e.kind() == Any}
	if l, ok := e.(literal); ok && l.v.kind == Number && l.v.num >= 1 && l.v.num == float64(int(l.v.num)) {
		p.nth = int(l.v.num)
	}
	return p
}

// keep filters nodes, in the order that they are counted in, in place.
func (p *predicate) keep(c *Context, nodes []*tree.Node) []*tree.Node {
	if p.nth > 0 {
		if p.nth > len(nodes) {
			return nil
		}
		return nodes[p.nth-1 : p.nth]
	}
	in := *c
	in.Size = len(nodes)
	out := nodes[:0]
	for i, n := range nodes {
		c.Env.Tick(1)
		in.Node, in.Pos = n, i+1
		if p.holds(&in) {
			out = append(out, n)
		}
	}
	return out
}

func (p *predicate) holds(c *Context) bool {
	v := p.e.eval(c)
	if v.kind == Number {
		return v.num == float64(c.Pos)
	}
	if len(v.nodes) == 1 && v.nodes[0].Kind == tree.Atom && v.nodes[0].Number {
		return ParseNumber(v.nodes[0].Data) == float64(c.Pos)
	}
	return v.Bool()
}

type step struct {
	axis  axis
	test  test
	preds []predicate
}

// path is a location path.
type path struct {
	from  Expr // nil: the context node
	steps []*step
}

func (*path) kind() Kind { return Nodes }

func (l *path) positional() bool { return l.from != nil && l.from.positional() }

func (l *path) eval(c *Context) Value {
	var first [1]*tree.Node
	var nodes []*tree.Node
	if l.from == nil {
		first[0] = c.Node
		nodes = first[:]
	} else {
		nodes = l.from.eval(c).set("a path")
	}
	for _, s := range l.steps {
		nodes = s.eval(c, nodes)
		if len(nodes) == 0 {
			return Value{}
		}
	}
	return Of(nodes...)
}

// set are the nodes of a value that must have nodes alone.
func (v Value) set(what string) []*tree.Node {
	if v.kind != Nodes {
		Fail("The value of %s is not a node-set", what)
	}
	return v.nodes
}

func (s *step) eval(c *Context, from []*tree.Node) []*tree.Node {
	var out []*tree.Node
	for _, n := range from {
		if n.Kind == tree.Atom {
			Fail("The context item of a step is not a node")
		}
		before := len(out)
		out = s.walk(c, n, out)
		if len(s.preds) > 0 && len(out) > before {
			kept := out[before:]
			for i := range s.preds {
				kept = s.preds[i].keep(c, kept)
			}
			out = append(out[:before], kept...)
		}
		if s.axis >= ancestor {
			slices.Reverse(out[before:])
		}
	}
	if len(from) > 1 {
		out = inOrder(out)
	}
	return out
}

// inOrder brings nodes into document order, each once.
func inOrder(nodes []*tree.Node) []*tree.Node {
	for i := 1; i < len(nodes); i++ {
		if tree.Compare(nodes[i-1], nodes[i]) >= 0 {
			slices.SortFunc(nodes, tree.Compare)
			return slices.Compact(nodes)
		}
	}
	return nodes
}

// walk appends the nodes of the axis that pass the test, in the axis's order.
func (s *step) walk(c *Context, n *tree.Node, out []*tree.Node) []*tree.Node {
	steps := 0
	take := func(n *tree.Node) {
		steps++
		if s.test.match(n) {
			out = append(out, n)
		}
	}
	switch s.axis {
	case child:
		for k := n.First; k != nil; k = k.Next {
			take(k)
		}
	case attribute:
		for _, a := range n.Attrs {
			take(a)
		}
	case self:
		take(n)
	case parent:
		if n.Parent != nil {
			take(n.Parent)
		}
	case descendantOrSelf, descendant:
		if s.axis == descendantOrSelf {
			take(n)
		}
		if n.First != nil {
			for k := n.First; k != nil; k = k.Following(n) {
				take(k)
			}
		}
	case namespace:
		for _, k := range n.Namespaces() {
			take(k)
		}
	case ancestor, ancestorOrSelf:
		if s.axis == ancestorOrSelf {
			take(n)
		}
		for k := n.Parent; k != nil; k = k.Parent {
			take(k)
		}
	case followingSibling:
		for k := n.Next; k != nil; k = k.Next {
			take(k)
		}
	case precedingSibling:
		for k := n.Prev; k != nil; k = k.Prev {
			take(k)
		}
	case following:
		for k := firstAfter(n); k != nil; k = k.Following(nil) {
			take(k)
		}
	case preceding:
		eachBefore(n, take)
	}
	c.Env.Tick(steps + 1)
	return out
}

// firstAfter is the first node behind n and its descendants.
func firstAfter(n *tree.Node) *tree.Node {
	if n.Kind == tree.Attribute || n.Kind == tree.Namespace {
		return n.Parent.Following(nil)
	}
	return n.After(nil)
}

// eachBefore visits what ends before n, in reverse document order.
func eachBefore(n *tree.Node, f func(*tree.Node)) {
	if n.Kind == tree.Attribute || n.Kind == tree.Namespace {
		n = n.Parent
	}
	for ; n != nil; n = n.Parent {
		for k := n.Prev; k != nil; k = k.Prev {
			backwards(k, f)
		}
	}
}

// backwards visits a node's descendants and it, in reverse document order.
func backwards(top *tree.Node, f func(*tree.Node)) {
	n := top
	for n.Last != nil {
		n = n.Last
	}
	for {
		f(n)
		if n == top {
			return
		}
		if n.Prev == nil {
			n = n.Parent
			continue
		}
		for n = n.Prev; n.Last != nil; n = n.Last {
		}
	}
}

// root is the path /.
type root struct{}

func (root) kind() Kind       { return Nodes }
func (root) positional() bool { return false }

func (root) eval(c *Context) Value {
	if c.Node.Kind == tree.Atom {
		Fail("The context item of / is not a node")
	}
	return Of(c.Node.Root())
}

// dot is the path . alone.
type dot struct{}

func (dot) kind() Kind            { return Nodes }
func (dot) positional() bool      { return false }
func (dot) eval(c *Context) Value { return Of(c.Node) }

// group is a path in brackets: (a/b)[1] is not a/b[1].
type group struct{ *path }

// filter is a primary expression with predicates.
type filter struct {
	e     Expr
	preds []predicate
}

func (filter) kind() Kind         { return Nodes }
func (f filter) positional() bool { return f.e.positional() }

func (f filter) eval(c *Context) Value {
	nodes := f.e.eval(c).Items()
	for i := range f.preds {
		if i == 0 && f.preds[i].nth == 0 || i > 0 && f.preds[i-1].nth > 0 {
			nodes = slices.Clone(nodes) // a variable keeps its own
		}
		nodes = f.preds[i].keep(c, nodes)
	}
	return Of(nodes...)
}

// mapping evaluates an expression for every node: a/name(), of 2.0.
type mapping struct{ in, f Expr }

func (mapping) kind() Kind         { return Nodes }
func (m mapping) positional() bool { return m.in.positional() }

func (m mapping) eval(c *Context) Value {
	nodes := m.in.eval(c).Items()
	in := *c
	in.Size = len(nodes)
	var out []*tree.Node
	atoms := false
	for i, n := range nodes {
		c.Env.Tick(1)
		in.Node, in.Pos = n, i+1
		v := m.f.eval(&in)
		atoms = atoms || v.kind != Nodes
		out = append(out, v.Items()...)
	}
	if !atoms {
		out = inOrder(out)
	}
	return Of(out...)
}
