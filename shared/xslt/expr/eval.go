package expr

import (
	"math"
	"slices"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

type literal struct{ v Value }

func (l literal) eval(*Context) Value { return l.v }
func (l literal) kind() Kind          { return l.v.kind }
func (literal) positional() bool      { return false }

type variable struct{ ref Ref }

func (variable) kind() Kind       { return Any }
func (variable) positional() bool { return false }

func (v variable) eval(c *Context) Value {
	if v.ref.Global {
		return c.Env.Global(v.ref.Slot)
	}
	return c.Locals[v.ref.Slot]
}

type logic struct {
	a, b Expr
	or   bool
}

func (logic) kind() Kind         { return Boolean }
func (l logic) positional() bool { return l.a.positional() || l.b.positional() }

func (l logic) eval(c *Context) Value {
	if l.a.eval(c).Bool() == l.or {
		return Bool(l.or)
	}
	return Bool(l.b.eval(c).Bool())
}

type ifExpr struct{ test, yes, no Expr }

func (e ifExpr) kind() Kind {
	if k := e.yes.kind(); k == e.no.kind() {
		return k
	}
	return Any
}

func (e ifExpr) positional() bool {
	return e.test.positional() || e.yes.positional() || e.no.positional()
}

func (e ifExpr) eval(c *Context) Value {
	if e.test.eval(c).Bool() {
		return e.yes.eval(c)
	}
	return e.no.eval(c)
}

// Item makes a value of one item of a sequence.
func Item(n *tree.Node) Value { return item(n) }

func item(n *tree.Node) Value {
	if n.Kind != tree.Atom || n.Untyped {
		return Of(n)
	}
	if n.Number {
		f, _ := parseDouble(n.Data)
		return Value{kind: Number, num: f, form: exact}
	}
	return Str(n.Data)
}

type forExpr struct {
	in   Expr
	slot int
	body Expr
}

func (forExpr) kind() Kind         { return Nodes }
func (e forExpr) positional() bool { return e.in.positional() || e.body.positional() }

func (e forExpr) eval(c *Context) Value {
	var out []*tree.Node
	for _, n := range e.in.eval(c).Items() {
		c.Env.Tick(1)
		c.Locals[e.slot] = item(n)
		out = append(out, e.body.eval(c).Items()...)
		bound(c, len(out))
	}
	return Of(out...)
}

// maxItems bounds a sequence.
const maxItems = 100_000

func bound(c *Context, n int) {
	if n > maxItems {
		Fail("a sequence has more than %d items", maxItems)
	}
}

type quantified struct {
	in   Expr
	slot int
	body Expr
	some bool
}

func (quantified) kind() Kind         { return Boolean }
func (e quantified) positional() bool { return e.in.positional() || e.body.positional() }

func (e quantified) eval(c *Context) Value {
	for _, n := range e.in.eval(c).Items() {
		c.Env.Tick(1)
		c.Locals[e.slot] = item(n)
		if e.body.eval(c).Bool() == e.some {
			return Bool(e.some)
		}
	}
	return Bool(!e.some)
}

// concat is a sequence of expressions between commas.
type concat []Expr

func (concat) kind() Kind { return Nodes }

func (l concat) positional() bool { return slices.ContainsFunc(l, Expr.positional) }

func (l concat) eval(c *Context) Value {
	var out []*tree.Node
	for _, e := range l {
		out = append(out, e.eval(c).Items()...)
		bound(c, len(out))
	}
	return Of(out...)
}

type rangeExpr struct{ a, b Expr }

func (rangeExpr) kind() Kind         { return Nodes }
func (e rangeExpr) positional() bool { return e.a.positional() || e.b.positional() }

func (e rangeExpr) eval(c *Context) Value {
	a, b := e.a.eval(c), e.b.eval(c)
	if empty(a) || empty(b) {
		return Of()
	}
	from, to := operand(a), operand(b)
	if from.num != math.Trunc(from.num) || to.num != math.Trunc(to.num) {
		Fail("The operands of 'to' are not integers")
	}
	if to.num-from.num >= maxItems {
		bound(c, maxItems+1)
	}
	var out []*tree.Node
	for f := from.num; f <= to.num; f++ {
		c.Env.Tick(1)
		c.Env.Budget.Take(1)
		out = append(out, tree.NewAtom(format(f, plain), true))
	}
	return Of(out...)
}

type same struct{ a, b Expr }

func (same) kind() Kind         { return Boolean }
func (e same) positional() bool { return e.a.positional() || e.b.positional() }

func (e same) eval(c *Context) Value {
	a, b := e.a.eval(c).set("an operand of is"), e.b.eval(c).set("an operand of is")
	if len(a) == 0 || len(b) == 0 {
		return Of()
	}
	return Bool(a[0] == b[0])
}

// setExpr is a union, an intersection or a difference.
type setExpr struct {
	op   byte
	a, b Expr
}

func (setExpr) kind() Kind         { return Nodes }
func (e setExpr) positional() bool { return e.a.positional() || e.b.positional() }

func (e setExpr) eval(c *Context) Value {
	a, b := e.a.eval(c).set("an operand of |"), e.b.eval(c).set("an operand of |")
	c.Env.Tick(len(a) + len(b))
	if e.op == '|' {
		if len(a) == 0 {
			return Of(b...)
		}
		if len(b) == 0 {
			return Of(a...)
		}
		return Of(inOrder(slices.Concat(a, b))...)
	}
	in := make(map[*tree.Node]bool, len(b))
	for _, n := range b {
		in[n] = true
	}
	var out []*tree.Node
	for _, n := range a {
		if in[n] == (e.op == '&') {
			out = append(out, n)
		}
	}
	return Of(out...)
}

type compareOp uint8

const (
	eq compareOp = iota
	ne
	lt
	le
	gt
	ge
)

// compare is a comparison (XPath 1.0, section 3.4).
type compare struct {
	op     compareOp
	a, b   Expr
	two    bool // the rules of 2.0
	single bool // eq: one item on each side
}

func (compare) kind() Kind         { return Boolean }
func (e compare) positional() bool { return e.a.positional() || e.b.positional() }

func (e compare) eval(c *Context) Value {
	a, b := e.a.eval(c), e.b.eval(c)
	if e.single {
		if empty(a) || empty(b) {
			return Of()
		}
		one(a, "an operand of a value comparison")
		one(b, "an operand of a value comparison")
	}
	if e.two {
		return Bool(e.typed(c, a, b))
	}
	switch {
	case a.kind == Nodes && b.kind == Nodes:
		return Bool(e.sets(c, a.nodes, b.nodes))
	case a.kind == Nodes:
		return Bool(e.set(c, a, b, false))
	case b.kind == Nodes:
		return Bool(e.set(c, b, a, true))
	}
	return Bool(e.atoms(a, b))
}

// atoms compares two values that are no nodes.
func (e compare) atoms(a, b Value) bool {
	if e.op > ne {
		return holds(e.op, a.Number(), b.Number())
	}
	switch {
	case a.kind == Boolean || b.kind == Boolean:
		return (a.Bool() == b.Bool()) == (e.op == eq)
	case a.kind == Number || b.kind == Number:
		return holds(e.op, a.Number(), b.Number())
	}
	return (a.Text() == b.Text()) == (e.op == eq)
}

// holds compares two values in their own order; NaN is neither below, above nor
// equal to anything.
func holds[T float64 | string](op compareOp, a, b T) bool {
	switch op {
	case eq:
		return a == b
	case ne:
		return a != b
	case lt:
		return a < b
	case le:
		return a <= b
	case gt:
		return a > b
	}
	return a >= b
}

// set compares nodes with another value; turned says that the nodes are on the right.
func (e compare) set(c *Context, nodes, other Value, turned bool) bool {
	if other.kind == Boolean {
		nodes = Bool(nodes.Bool())
		if turned {
			return e.atoms(other, nodes)
		}
		return e.atoms(nodes, other)
	}
	for _, n := range nodes.nodes {
		c.Env.Tick(1)
		v := Str(n.Text())
		if turned && e.atoms(other, v) || !turned && e.atoms(v, other) {
			return true
		}
	}
	return false
}

func (e compare) sets(c *Context, a, b []*tree.Node) bool {
	if e.op > ne {
		for _, x := range a {
			f := ParseNumber(x.Text())
			c.Env.Tick(len(b))
			for _, y := range b {
				if holds(e.op, f, ParseNumber(y.Text())) {
					return true
				}
			}
		}
		return false
	}
	if e.op == eq && len(a) > 4 && len(b) > 4 {
		seen := make(map[string]bool, len(b))
		for _, y := range b {
			seen[y.Text()] = true
		}
		return slices.ContainsFunc(a, func(x *tree.Node) bool { return seen[x.Text()] })
	}
	for _, x := range a {
		s := x.Text()
		c.Env.Tick(len(b))
		for _, y := range b {
			if (s == y.Text()) == (e.op == eq) {
				return true
			}
		}
	}
	return false
}

// typed compares as XPath 2.0 does (section 3.5): what comes from nodes takes the type
// of the other operand, and is a string if that comes from nodes too.
func (e compare) typed(c *Context, a, b Value) bool {
	as, bs := atomize(a), atomize(b)
	for _, x := range as {
		c.Env.Tick(len(bs))
		for _, y := range bs {
			if e.pair(x, y) {
				return true
			}
		}
	}
	return false
}

// atomized is an atom with its type; those of nodes have none.
type atomized struct {
	v       Value
	untyped bool
}

func atomize(v Value) []atomized {
	if v.kind != Nodes {
		return []atomized{{v: v}}
	}
	out := make([]atomized, len(v.nodes))
	for i, n := range v.nodes {
		if n.Kind == tree.Atom && !n.Untyped {
			out[i] = atomized{v: item(n)}
		} else {
			out[i] = atomized{Str(n.Text()), true}
		}
	}
	return out
}

func (e compare) pair(a, b atomized) bool {
	x, y := a.v, b.v
	switch {
	case a.untyped && !b.untyped:
		x = cast(x, y.kind)
	case b.untyped && !a.untyped:
		y = cast(y, x.kind)
	case x.kind != y.kind:
		Fail("Cannot compare %s to %s", kindNames[x.kind], kindNames[y.kind])
	}
	switch x.kind {
	case Number:
		return holds(e.op, x.num, y.num)
	case Boolean:
		return holds(e.op, x.Number(), y.Number())
	}
	return holds(e.op, x.text, y.text)
}

var kindNames = [...]string{Number: "a number", String: "a string", Boolean: "a boolean"}

// cast makes a string that comes from a node a value of another type.
func cast(v Value, k Kind) Value {
	switch k {
	case Number:
		return operand(Of(tree.NewAtom(v.text, false)))
	case Boolean:
		return castTo("boolean", v)
	}
	return v
}

func empty(v Value) bool { return v.kind == Nodes && len(v.nodes) == 0 }

// one stops if a value has more than one item.
func one(v Value, what string) {
	if len(v.nodes) > 1 {
		Fail("A sequence of more than one item is not allowed as %s", what)
	}
}

// operand is the number of an operand of arithmetic in 2.0.
func operand(v Value) Value {
	switch v.kind {
	case Number:
		return v
	case Boolean:
		Fail("Arithmetic operator is not defined for a boolean")
	case Nodes:
		one(v, "an operand of an arithmetic operator")
		if n := v.nodes[0]; n.Kind == tree.Atom && n.Number {
			return item(n)
		}
	}
	text := v.Text()
	f, ok := parseDouble(text)
	if !ok {
		Fail("Cannot convert string %q to a double", text)
	}
	return Value{kind: Number, num: f, form: double}
}

type arith struct {
	op   byte
	a, b Expr
	two  bool
}

func (e arith) kind() Kind {
	if e.two {
		return Any
	}
	return Number
}

func (e arith) positional() bool { return e.a.positional() || e.b.positional() }

func (e arith) eval(c *Context) Value {
	a, b := e.a.eval(c), e.b.eval(c)
	if !e.two {
		return Num(e.compute(a.Number(), b.Number()))
	}
	if empty(a) || empty(b) {
		return Of()
	}
	a, b = operand(a), operand(b)
	v := Value{kind: Number, form: double}
	if a.form == exact && b.form == exact || e.op == 'i' {
		v.form = exact
		if b.num == 0 && e.op != '+' && e.op != '-' && e.op != '*' {
			Fail("Division by zero")
		}
	}
	v.num = e.compute(a.num, b.num)
	return v
}

func (e arith) compute(a, b float64) float64 {
	switch e.op {
	case '+':
		return a + b
	case '-':
		return a - b
	case '*':
		return a * b
	case '/':
		return a / b
	case 'i':
		return math.Trunc(a / b)
	}
	return math.Mod(a, b)
}

type negate struct {
	e   Expr
	two bool
}

func (e negate) kind() Kind {
	if e.two {
		return Any
	}
	return Number
}

func (e negate) positional() bool { return e.e.positional() }

func (e negate) eval(c *Context) Value {
	v := e.e.eval(c)
	if e.two {
		if empty(v) {
			return v
		}
		v = operand(v)
		return Value{kind: Number, num: -v.num, form: v.form}
	}
	return Num(-v.Number())
}

// callExpr is a call of a function.
type callExpr struct {
	name string
	f    *Function
	call func(c *Context, args []Value) Value
	args []Expr
	two  bool
}

func (e *callExpr) kind() Kind { return e.f.Result }

func (e *callExpr) positional() bool {
	return e.f.Positional || slices.ContainsFunc(e.args, Expr.positional)
}

func (e *callExpr) eval(c *Context) Value {
	var args []Value
	if len(e.args) > 0 {
		args = make([]Value, 0, len(e.args))
	}
	for i, a := range e.args {
		args = append(args, e.convert(a.eval(c), e.f.Params[min(i, len(e.f.Params)-1)], i))
	}
	v := e.call(c, args)
	if e.two && v.kind == Number && v.form == plain {
		if v.form = double; e.f.Integer {
			v.form = exact
		}
	}
	return v
}

// convert makes an argument what the parameter wants.
func (e *callExpr) convert(v Value, param byte, i int) Value {
	if param == '+' {
		param = e.f.Params[len(e.f.Params)-2]
	}
	switch param {
	case 's':
		if e.two && len(v.nodes) > 1 {
			Fail("A sequence of more than one item is not allowed as argument %d of %s()", i+1, e.name)
		}
		if v.kind != String {
			v = Str(v.Text())
		}
	case 'n':
		if e.two && v.kind == Nodes {
			if len(v.nodes) > 1 {
				Fail("A sequence of more than one item is not allowed as argument %d of %s()", i+1, e.name)
			}
			if len(v.nodes) == 1 && v.nodes[0].Kind == tree.Atom {
				return item(v.nodes[0])
			}
		}
		if v.kind != Number {
			v = Num(v.Number())
		}
	case 'b':
		v = Bool(v.Bool())
	case 'N':
		if v.kind != Nodes {
			if !e.two {
				Fail("Argument %d of %s() is not a node-set", i+1, e.name)
			}
			v = Of(v.Items()...)
		}
	}
	return v
}
