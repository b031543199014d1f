package xslt

import (
	"errors"
	"slices"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// items collects what instructions make one by one instead of as a tree: the content
// of xsl:function, and of a variable with a type (XSLT 2.0, section 5.7).
type items struct {
	nodes []*tree.Node
	only  *expr.Value // what there is, as long as it is one value
}

// sequence runs instructions into a sequence.
func (r *run) sequence(s *state, b block) expr.Value {
	in := *s
	in.out = newOutput(r)
	in.out.items = &items{}
	b.exec(r, &in)
	return in.out.sequence()
}

// collects reports whether a value is an item of its own here.
func (o *output) collects() bool { return o.items != nil && o.at == o.tree.Root }

// collect adds a value to the sequence.
func (o *output) collect(v expr.Value) {
	o.take()
	it := o.items
	switch {
	case it.only == nil && len(it.nodes) == 0:
		it.only = &v
	default:
		it.spread()
		it.nodes = append(it.nodes, v.Items()...)
	}
}

// spread makes items of the one value.
func (it *items) spread() {
	if it.only != nil {
		it.nodes, it.only = slices.Clone(it.only.Items()), nil
	}
}

// take moves what was built to the sequence: nodes without a parent.
func (o *output) take() {
	o.flush()
	root := o.tree.Root
	if root.First == nil {
		return
	}
	o.items.spread()
	for n := root.First; n != nil; {
		next := n.Next
		n.Parent, n.Prev, n.Next = nil, nil, nil
		o.items.nodes = append(o.items.nodes, n)
		n = next
	}
	root.First, root.Last = nil, nil
}

func (o *output) sequence() expr.Value {
	o.take()
	if o.items.only != nil {
		return *o.items.only
	}
	return expr.Of(o.items.nodes...)
}

// function is an xsl:function (XSLT 2.0, section 10.3).
type function struct {
	slot   int
	name   tree.Name
	node   *tree.Node // until it is compiled
	params []binding
	body   block
	as     string
	frame  int
}

// declareFunction notes a function, so that expressions may call it.
func (c *compiler) declareFunction(n *tree.Node, name string) {
	q := c.qname(n, name)
	f := &function{slot: len(c.sheet.functions), name: q, node: n}
	for k := n.First; k != nil && isXSL(k, "param"); k = k.Next {
		f.params = append(f.params, binding{})
	}
	switch {
	case q.Space == "" || q.Space == Space || q.Space == "http://www.w3.org/2001/XMLSchema" || q.Space == "http://www.w3.org/2005/xpath-functions":
		c.errorf(n, "the name of function %s must have a prefix of your own", name)
	case slices.ContainsFunc(c.funcs[q], func(o *function) bool { return len(o.params) == len(f.params) }):
		c.errorf(n, "function %s with %d parameters is there twice", name, len(f.params))
	}
	c.funcs[q] = append(c.funcs[q], f)
	c.sheet.functions = append(c.sheet.functions, f)
}

// functionBody compiles a function that was declared.
func (c *compiler) functionBody(st *static, n *tree.Node) {
	a := c.take(st, n, "name!", "as", "override")
	i := slices.IndexFunc(c.sheet.functions, func(f *function) bool { return f.node == n })
	if i < 0 {
		return // it has no name
	}
	f := c.sheet.functions[i]
	f.node, f.as = nil, c.as(n, a)
	f.frame = c.inFrame(func() {
		k := n.First
		for at := range f.params {
			b := c.binding(c.with(st, k), k, true)
			if b.sel != nil || b.body != nil || b.required {
				c.errorf(k, "a parameter of <%s> has no default and is always required", n.QName())
			}
			c.frame.declare(b.name)
			f.params[at] = b
			k = k.Next
		}
		f.body = c.sequence(st, n, k, false)
	})
}

// bindFunction chooses the function with as many parameters as a call has arguments.
func bindFunction(list []*function) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(_ *expr.Static, args []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		i := slices.IndexFunc(list, func(f *function) bool { return len(f.params) == len(args) })
		if i < 0 {
			return nil, errors.New("no function of that name has as many parameters")
		}
		slot := list[i].slot
		return func(c *expr.Context, a []expr.Value) expr.Value { return c.Env.Call(slot, a) }, nil
	}
}

// call calls a function: it has no context but its arguments.
func (r *run) call(slot int, args []expr.Value) expr.Value {
	f := r.sheet.functions[slot]
	line := r.line
	r.enter()
	s := &state{mode: r.sheet.modes[tree.Name{}]}
	if s.mode == nil {
		s.mode = &mode{}
	}
	s.Env, s.Node, s.Current, s.Pos, s.Size = &r.env, r.source.Root, r.source.Root, 1, 1
	s.Locals = make([]expr.Value, max(f.frame, len(args)))
	for i, a := range args {
		s.Locals[i] = convert(f.params[i].as, a)
	}
	v := convert(f.as, r.sequence(s, f.body))
	r.depth--
	r.line = line
	return v
}
