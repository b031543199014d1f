package expr

import (
	"slices"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Pattern is one alternative of a match pattern (XSLT 1.0, section 5.2).
type Pattern struct {
	// Priority is its default priority.
	Priority float64

	steps  []link // from the last to the first
	anchor anchor
	keys   func(c *Context, n *tree.Node) bool // id() or key() that the first step is below
}

// link is a step of a pattern and how it hangs from the one before.
type link struct {
	*step
	deep bool // // instead of /
}

type anchor uint8

const (
	anywhere anchor = iota
	atRoot          // the first step is below the document node
	atKeys          // the first step is below, or is, what a function returns
)

// CompilePattern compiles a pattern into its alternatives.
func CompilePattern(src string, s *Static) (out []*Pattern, err error) {
	p, err := newParser(src, s)
	if err != nil {
		return nil, err
	}
	defer p.rescue(&err)
	for {
		out = append(out, p.pattern())
		if !p.accept("|") && !p.accept("union") {
			break
		}
	}
	if p.peek().kind != end {
		p.unexpected()
	}
	return out, nil
}

func (p *parser) pattern() *Pattern {
	pt := &Pattern{}
	deep := false
	switch {
	case p.accept("//"):
		pt.anchor, deep = atRoot, true
	case p.accept("/"):
		pt.anchor = atRoot
		if !p.startsStep() {
			pt.Priority = -0.5
			return pt
		}
	case p.startsFilter():
		p.anchorCall(pt)
		switch {
		case p.accept("//"):
			deep = true
		case p.accept("/"):
		default:
			pt.Priority = 0.5
			return pt
		}
	}
	for {
		pt.steps = append(pt.steps, link{p.patternStep(), deep})
		if p.accept("//") {
			deep = true
		} else if deep = false; !p.accept("/") {
			break
		}
	}
	pt.Priority = pt.defaultPriority()
	slices.Reverse(pt.steps)
	return pt
}

// anchorCall parses id('x') or key('k', 'x').
func (p *parser) anchorCall(pt *Pattern) {
	t := p.peek()
	if t.kind != name || t.text != "id" && t.text != "key" {
		p.unexpected()
	}
	call := p.primary()
	pt.anchor = atKeys
	pt.keys = func(c *Context, n *tree.Node) bool {
		in := *c
		in.Node = n
		return slices.Contains(call.eval(&in).Nodes(), n)
	}
}

func (p *parser) patternStep() *step {
	s := &step{axis: child}
	if p.accept("@") {
		s.axis = attribute
	} else {
		s.axis = p.axis()
	}
	if s.axis != child && s.axis != attribute {
		p.fail("a pattern has only the axes child and attribute")
	}
	if t := p.peek(); t.kind != name && !p.is("*") {
		p.unexpected()
	}
	s.test = p.nodeTest(s.axis)
	s.preds = p.predicates()
	return s
}

// defaultPriority is that of section 5.5.
func (pt *Pattern) defaultPriority() float64 {
	if len(pt.steps) != 1 || len(pt.steps[0].preds) > 0 || pt.anchor != anywhere {
		return 0.5
	}
	switch t := pt.steps[0].test; {
	case t.any, t.anySpace && t.name.Local == "":
		return -0.5
	case t.kind == tree.Instruction:
		return 0
	case t.name.Local == "", t.anySpace:
		return -0.25
	}
	return 0
}

// Name returns the kind that every node has that matches, and its name; tree.Atom and
// no name are any.
func (pt *Pattern) Name() (tree.Kind, tree.Name) {
	if len(pt.steps) == 0 {
		if pt.anchor == atKeys {
			return tree.Atom, tree.Name{}
		}
		return tree.Document, tree.Name{}
	}
	t := pt.steps[0].test
	if t.any {
		if pt.steps[0].axis == attribute {
			return tree.Attribute, tree.Name{}
		}
		return tree.Atom, tree.Name{}
	}
	if t.anySpace || t.name.Local == "" {
		return t.kind, tree.Name{}
	}
	return t.kind, t.name
}

// Plain reports whether the pattern has no predicates and no calls.
func (pt *Pattern) Plain() bool {
	return pt.keys == nil && !slices.ContainsFunc(pt.steps, func(l link) bool { return len(l.preds) > 0 })
}

// Match reports whether a node matches. c is a context in which the predicates are
// evaluated; its Node is not used.
func (pt *Pattern) Match(c *Context, n *tree.Node) bool {
	if n.Kind == tree.Atom || n.Kind == tree.Namespace {
		return false
	}
	if len(pt.steps) == 0 {
		if pt.anchor == atRoot {
			return n.Kind == tree.Document
		}
		return pt.keys(c, n)
	}
	return pt.match(c, n, 0)
}

func (pt *Pattern) match(c *Context, n *tree.Node, i int) bool {
	l := &pt.steps[i]
	c.Env.Tick(1)
	if !l.matches(c, n) {
		return false
	}
	up := n.Parent
	last := i == len(pt.steps)-1
	if last && pt.anchor == anywhere {
		return true
	}
	for ; up != nil; up = up.Parent {
		switch {
		case !last:
			if pt.match(c, up, i+1) {
				return true
			}
		case pt.anchor == atRoot:
			if up.Kind == tree.Document {
				return true
			}
		case pt.keys(c, up):
			return true
		}
		if !l.deep {
			return false
		}
	}
	return false
}

// matches reports whether a node is what the step selects from its parent.
func (s *step) matches(c *Context, n *tree.Node) bool {
	if n.Kind == tree.Document && (s.test.any || s.test.kind != tree.Document) || (n.Kind == tree.Attribute) != (s.axis == attribute) || !s.test.match(n) {
		return false
	}
	if len(s.preds) == 0 {
		return true
	}
	if n.Parent == nil {
		return false
	}
	if !slices.ContainsFunc(s.preds, func(p predicate) bool { return p.counts }) {
		in := *c
		in.Node, in.Pos, in.Size = n, 1, 1
		for i := range s.preds {
			if !s.preds[i].holds(&in) {
				return false
			}
		}
		return true
	}
	if nth := s.preds[0].nth; nth > 0 && len(s.preds) == 1 && s.axis == child {
		return s.isNth(c, n, nth)
	}
	kept := s.walk(c, n.Parent, nil)
	for i := range s.preds {
		kept = s.preds[i].keep(c, kept)
	}
	return slices.Contains(kept, n)
}

// isNth reports whether a node is the nth of its siblings that pass the test.
func (s *step) isNth(c *Context, n *tree.Node, nth int) bool {
	for k := n; k != nil && nth >= 0; k = k.Prev {
		c.Env.Tick(1)
		if s.test.match(k) {
			nth--
		}
	}
	return nth == 0
}
