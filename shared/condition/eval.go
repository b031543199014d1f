package condition

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// expr is a part of a condition.
type expr interface {
	eval(*flow.Context) bool
	write(*strings.Builder)
	visit(func(flow.Var))
}

type (
	constant bool
	truth    struct{ v flow.Var }
	inverse  struct{ of expr }
	both     struct{ left, right expr }
	either   struct{ left, right expr }

	// equalText is = and != with a text literal: by far the most common.
	equalText struct {
		v    flow.Var
		want string
		not  bool
	}
	compare struct {
		left, right operand
		op          op
	}
	prefix   struct{ left, right operand }
	sameFold struct{ left, right operand }
	pattern  struct {
		left operand
		op   op
		src  string
		m    matcher
	}
)

// operand is a literal or a variable.
type operand struct {
	v       flow.Var
	value   flow.Value // of a literal
	literal bool
	typ     typ    // of a literal
	src     string // text of a literal
}

func (o *operand) get(fc *flow.Context) (flow.Value, typ) {
	if o.literal {
		return o.value, o.typ
	}
	v := o.v.Get(fc)
	return v, typeOf(v)
}

func (c constant) eval(*flow.Context) bool { return bool(c) }

func (t *truth) eval(fc *flow.Context) bool { return t.v.Get(fc).Truth() }

func (i *inverse) eval(fc *flow.Context) bool { return !i.of.eval(fc) }

func (b *both) eval(fc *flow.Context) bool { return b.left.eval(fc) && b.right.eval(fc) }

func (e *either) eval(fc *flow.Context) bool { return e.left.eval(fc) || e.right.eval(fc) }

func (e *equalText) eval(fc *flow.Context) bool {
	v := e.v.Get(fc)
	switch v.Kind() {
	case flow.Null:
		return e.not
	case flow.String:
		return (v.String() == e.want) != e.not
	case flow.List, flow.Message, flow.Object:
		return false
	}
	var buf [32]byte
	return (string(appendText(buf[:0], v)) == e.want) != e.not
}

// appendText appends the text of a value that is a number or a boolean.
func appendText(dst []byte, v flow.Value) []byte {
	if v.Kind() == flow.Int {
		n, _ := v.Int()
		return strconv.AppendInt(dst, n, 10)
	}
	return append(dst, v.String()...)
}

func (c *compare) eval(fc *flow.Context) bool {
	a, ta := c.left.get(fc)
	b, tb := c.right.get(fc)
	if ta == typeNull || tb == typeNull {
		return nulls(c.op, ta == typeNull, tb == typeNull)
	}
	order, ok := order(a, b, common(ta, tb))
	if !ok {
		return false
	}
	switch c.op {
	case equal:
		return order == 0
	case notEqual:
		return order != 0
	case greater:
		return order == 1
	case greaterEqual:
		return order == 0 || order == 1
	case less:
		return order == -1
	}
	return order == 0 || order == -1
}

// nulls is the documented table of results when an operand is null, oddities
// included.
func nulls(o op, left, right bool) bool {
	switch {
	case left && right:
		return o == equal || o == equalFold || o == greaterEqual || o == lessEqual
	case left:
		return o == notEqual || o == greater || o == less || o == lessEqual
	}
	return o == notEqual || o == greaterEqual
}

func (p *prefix) eval(fc *flow.Context) bool {
	a, b, ok := texts(fc, &p.left, &p.right)
	return ok && strings.HasPrefix(a, b)
}

func (s *sameFold) eval(fc *flow.Context) bool {
	a, ta := s.left.get(fc)
	b, tb := s.right.get(fc)
	if ta == typeNull || tb == typeNull {
		return ta == tb
	}
	return ta != typeObject && tb != typeObject && strings.EqualFold(a.String(), b.String())
}

// texts reads both operands as text; not ok if one is null or has none.
func texts(fc *flow.Context, left, right *operand) (a, b string, ok bool) {
	l, tl := left.get(fc)
	r, tr := right.get(fc)
	if tl == typeNull || tr == typeNull || tl == typeObject || tr == typeObject {
		return "", "", false
	}
	return l.String(), r.String(), true
}

func (p *pattern) eval(fc *flow.Context) bool {
	v, t := p.left.get(fc)
	return t != typeNull && p.m.match(v.String())
}

func (c constant) visit(func(flow.Var))     {}
func (t *truth) visit(f func(flow.Var))     { f(t.v) }
func (i *inverse) visit(f func(flow.Var))   { i.of.visit(f) }
func (b *both) visit(f func(flow.Var))      { b.left.visit(f); b.right.visit(f) }
func (e *either) visit(f func(flow.Var))    { e.left.visit(f); e.right.visit(f) }
func (e *equalText) visit(f func(flow.Var)) { f(e.v) }
func (c *compare) visit(f func(flow.Var))   { c.left.visit(f); c.right.visit(f) }
func (p *prefix) visit(f func(flow.Var))    { p.left.visit(f); p.right.visit(f) }
func (s *sameFold) visit(f func(flow.Var))  { s.left.visit(f); s.right.visit(f) }
func (p *pattern) visit(f func(flow.Var))   { p.left.visit(f) }
func (o *operand) visit(f func(flow.Var)) {
	if !o.literal {
		f(o.v)
	}
}

func (c constant) write(b *strings.Builder) { b.WriteString(strconv.FormatBool(bool(c))) }

func (t *truth) write(b *strings.Builder) { writeName(b, t.v) }

func (i *inverse) write(b *strings.Builder) {
	b.WriteString("!(")
	i.of.write(b)
	b.WriteByte(')')
}

func (x *both) write(b *strings.Builder) { writePair(b, x.left, " and ", x.right) }

func (x *either) write(b *strings.Builder) { writePair(b, x.left, " or ", x.right) }

// writePair brackets an operand that is itself a pair; so the text shows how
// the condition was read.
func writePair(b *strings.Builder, left expr, joint string, right expr) {
	writeSide(b, left)
	b.WriteString(joint)
	writeSide(b, right)
}

func writeSide(b *strings.Builder, e expr) {
	switch e.(type) {
	case *both, *either:
		b.WriteByte('(')
		e.write(b)
		b.WriteByte(')')
	default:
		e.write(b)
	}
}

func (e *equalText) write(b *strings.Builder) {
	writeName(b, e.v)
	if e.not {
		b.WriteString(` != "`)
	} else {
		b.WriteString(` = "`)
	}
	b.WriteString(e.want + `"`)
}

func (c *compare) write(b *strings.Builder)  { writeComparison(b, &c.left, c.op, &c.right) }
func (p *prefix) write(b *strings.Builder)   { writeComparison(b, &p.left, startsWith, &p.right) }
func (s *sameFold) write(b *strings.Builder) { writeComparison(b, &s.left, equalFold, &s.right) }

func writeComparison(b *strings.Builder, left *operand, o op, right *operand) {
	left.write(b)
	b.WriteString(" " + spelling[o] + " ")
	right.write(b)
}

func (p *pattern) write(b *strings.Builder) {
	p.left.write(b)
	b.WriteString(" " + spelling[p.op] + ` "` + p.src + `"`)
}

func (o *operand) write(b *strings.Builder) {
	if o.literal {
		b.WriteString(o.src)
		return
	}
	writeName(b, o.v)
}

// writeName writes the name of a variable, in quotes if it would be read as
// something else without.
func writeName(b *strings.Builder, v flow.Var) {
	name := v.Name()
	_, isLiteral := literal(name)
	plain := !isLiteral && !reserved(name)
	for i := 0; plain && i < len(name); i++ {
		plain = isWord(name[i])
	}
	if plain {
		b.WriteString(name)
		return
	}
	b.WriteString("'" + name + "'")
}
