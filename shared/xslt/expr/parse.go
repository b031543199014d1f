package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Bounds of an expression.
const (
	maxExpr  = 64 << 10 // bytes
	maxDepth = 100      // of brackets inside each other
)

// Compile compiles an expression.
func Compile(src string, s *Static) (e Expr, err error) {
	p, err := newParser(src, s)
	if err != nil {
		return nil, err
	}
	defer p.rescue(&err)
	e = p.sequence()
	if p.peek().kind != end {
		p.unexpected()
	}
	return e, nil
}

// syntax is the panic of the parser, recovered by rescue.
type syntax struct{ err error }

type parser struct {
	src    string
	tokens []token
	pos    int
	depth  int
	static *Static
	// locals are the variables of for, some and every, innermost last.
	locals []local
}

type local struct {
	name tree.Name
	slot int
}

func newParser(src string, s *Static) (*parser, error) {
	if len(src) > maxExpr {
		return nil, fmt.Errorf("expression is longer than %d bytes", maxExpr)
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, src)
	}
	return &parser{src: src, tokens: tokens, static: s}, nil
}

func (p *parser) rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case syntax:
		*err = fmt.Errorf("%w in %q", r.err, p.src)
	default:
		panic(r)
	}
}

func (p *parser) fail(format string, args ...any) { panic(syntax{fmt.Errorf(format, args...)}) }

func (p *parser) unexpected() {
	t := p.peek()
	if t.kind == end {
		p.fail("unexpected end")
	}
	p.fail("unexpected %q at %d", t.text, t.at+1)
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) peekAt(n int) token {
	return p.tokens[min(p.pos+n, len(p.tokens)-1)]
}

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != end {
		p.pos++
	}
	return t
}

// is reports whether the next token is a symbol or, where an operator is expected, a
// word.
func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == symbol || t.kind == name) && t.text == text
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.unexpected()
	}
}

func (p *parser) nest() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
	}
	return func() { p.depth-- }
}

// sequence parses Expr of 2.0: expressions between commas.
func (p *parser) sequence() Expr {
	first := p.single()
	if !p.is(",") {
		return first
	}
	list := []Expr{first}
	for p.accept(",") {
		list = append(list, p.single())
	}
	return concat(list)
}

// single parses ExprSingle.
func (p *parser) single() Expr {
	defer p.nest()()
	t, after := p.peek(), p.peekAt(1)
	switch {
	case t.kind != name:
	case t.text == "if" && after.text == "(" && after.kind == symbol:
		return p.conditional()
	case t.text == "for" && after.text == "$" && after.kind == symbol:
		return p.loop("return", func(in Expr, slot int, body Expr) Expr { return forExpr{in, slot, body} })
	case t.text == "some" && after.text == "$" && after.kind == symbol:
		return p.loop("satisfies", func(in Expr, slot int, body Expr) Expr { return quantified{in, slot, body, true} })
	case t.text == "every" && after.text == "$" && after.kind == symbol:
		return p.loop("satisfies", func(in Expr, slot int, body Expr) Expr { return quantified{in, slot, body, false} })
	}
	return p.or()
}

func (p *parser) conditional() Expr {
	p.next()
	p.expect("(")
	test := p.sequence()
	p.expect(")")
	p.expect("then")
	yes := p.single()
	p.expect("else")
	return ifExpr{test, yes, p.single()}
}

// loop parses for, some and every, with one variable or several.
func (p *parser) loop(word string, make func(in Expr, slot int, body Expr) Expr) Expr {
	if p.static.Declare == nil {
		p.fail("%s is not supported here", p.peek().text)
	}
	p.next() // for, or the comma before another variable
	p.expect("$")
	t := p.next()
	if t.kind != name {
		p.pos--
		p.unexpected()
	}
	n := p.resolve(t.text, "")
	p.expect("in")
	in := p.single()
	slot := p.static.Declare(n)
	p.locals = append(p.locals, local{n, slot})
	defer func() {
		p.locals = p.locals[:len(p.locals)-1]
		p.static.Release()
	}()
	if p.is(",") {
		defer p.nest()()
		return make(in, slot, p.loop(word, make))
	}
	p.expect(word)
	return make(in, slot, p.single())
}

func (p *parser) or() Expr {
	e := p.and()
	for p.accept("or") {
		e = logic{e, p.and(), true}
	}
	return e
}

func (p *parser) and() Expr {
	e := p.comparison()
	for p.accept("and") {
		e = logic{e, p.comparison(), false}
	}
	return e
}

var comparisons = map[string]compareOp{"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}

var valueComparisons = map[string]compareOp{"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}

// comparison parses comparisons. XPath 1.0 lets them follow each other: 3 > 2 > 1.
func (p *parser) comparison() Expr {
	e := p.span()
	for {
		t := p.peek()
		if op, ok := comparisons[t.text]; ok && t.kind == symbol {
			p.next()
			e = compare{op: op, a: e, b: p.span(), two: p.static.Two}
			continue
		}
		if op, ok := valueComparisons[t.text]; ok && t.kind == name {
			p.next()
			e = compare{op: op, a: e, b: p.span(), two: true, single: true}
			continue
		}
		if t.kind == name && t.text == "is" {
			p.next()
			e = same{e, p.span()}
			continue
		}
		return e
	}
}

// span parses a range: 1 to 5.
func (p *parser) span() Expr {
	e := p.additive()
	if p.accept("to") {
		return rangeExpr{e, p.additive()}
	}
	return e
}

func (p *parser) additive() Expr {
	e := p.multiplicative()
	for {
		switch {
		case p.accept("+"):
			e = arith{'+', e, p.multiplicative(), p.static.Two}
		case p.accept("-"):
			e = arith{'-', e, p.multiplicative(), p.static.Two}
		default:
			return e
		}
	}
}

func (p *parser) multiplicative() Expr {
	e := p.union()
	for {
		switch {
		case p.accept("*"):
			e = arith{'*', e, p.union(), p.static.Two}
		case p.accept("div"):
			e = arith{'/', e, p.union(), p.static.Two}
		case p.accept("mod"):
			e = arith{'%', e, p.union(), p.static.Two}
		case p.accept("idiv"):
			e = arith{'i', e, p.union(), true}
		default:
			return e
		}
	}
}

// union parses unions, and intersect and except of 2.0.
func (p *parser) union() Expr {
	e := p.intersect()
	for p.accept("|") || p.accept("union") {
		e = setExpr{'|', e, p.intersect()}
	}
	return e
}

func (p *parser) intersect() Expr {
	e := p.cast()
	for {
		switch {
		case p.accept("intersect"):
			e = setExpr{'&', e, p.cast()}
		case p.accept("except"):
			e = setExpr{'-', e, p.cast()}
		default:
			return e
		}
	}
}

func (p *parser) cast() Expr {
	e := p.unary()
	t, after := p.peek(), p.peekAt(1)
	if t.kind != name || after.kind != name {
		return e
	}
	switch t.text + " " + after.text {
	case "castable as":
		p.pos += 2
		typ, optional := p.atomicType()
		return castable{e, typ, optional}
	case "cast as":
		p.pos += 2
		typ, optional := p.atomicType()
		return castExpr{e, typ, optional}
	case "instance of", "treat as":
		p.fail("%q of XPath 2.0 is not supported", t.text+" "+after.text)
	}
	return e
}

// atomicType parses the name of a type that values can be cast to.
func (p *parser) atomicType() (typ string, optional bool) {
	t := p.next()
	if t.kind != name {
		p.pos--
		p.unexpected()
	}
	n := p.resolve(t.text, "")
	if _, ok := casts[n.Local]; n.Space != schemaSpace || !ok {
		p.fail("type %s is not supported", t.text)
	}
	return n.Local, p.accept("?")
}

func (p *parser) unary() Expr {
	if !p.is("-") && !(p.static.Two && p.is("+")) {
		return p.path()
	}
	negative := false
	for p.is("-") || p.static.Two && p.is("+") {
		negative = negative != (p.next().text == "-")
	}
	e := p.path()
	if !negative {
		return arith{'+', literal{Value{kind: Number, form: exact}}, e, p.static.Two}
	}
	return negate{e, p.static.Two}
}

// kindTests are the tests of a node's kind; those of 2.0 are at the end.
var kindTests = map[string]bool{
	"node": true, "text": true, "comment": true, "processing-instruction": true,
	"element": true, "attribute": true, "document-node": true,
}

// unsupportedTests begin tests, not calls, and are not supported.
var unsupportedTests = map[string]bool{"item": true, "schema-element": true, "schema-attribute": true, "empty-sequence": true}

// startsFilter reports whether the next token begins a primary expression rather
// than a step.
func (p *parser) startsFilter() bool {
	t := p.peek()
	switch t.kind {
	case number, quoted:
		return true
	case symbol:
		return t.text == "$" || t.text == "("
	case name:
		after := p.peekAt(1)
		return after.kind == symbol && after.text == "(" && !kindTests[t.text]
	}
	return false
}

// startsStep reports whether the next token begins a step.
func (p *parser) startsStep() bool {
	t := p.peek()
	switch t.kind {
	case name:
		return true
	case symbol:
		return t.text == "." || t.text == ".." || t.text == "@" || t.text == "*"
	}
	return false
}

func (p *parser) path() Expr {
	var e Expr
	switch {
	case p.accept("//"):
		e = p.append(root{}, anyBelow())
	case p.accept("/"):
		if !p.startsStep() && !p.startsFilter() {
			return root{}
		}
		e = root{}
	case p.startsFilter():
		e = p.filter()
		if !p.is("/") && !p.is("//") {
			return e
		}
		return p.rest(e)
	case p.startsStep():
	default:
		p.unexpected()
	}
	return p.rest(p.step(e))
}

// rest parses what follows the first step of a path.
func (p *parser) rest(e Expr) Expr {
	for {
		switch {
		case p.accept("//"):
			e = p.step(p.append(e, anyBelow()))
		case p.accept("/"):
			e = p.step(e)
		default:
			return e
		}
	}
}

// anyBelow is the step that // stands for.
func anyBelow() *step { return &step{axis: descendantOrSelf, test: test{any: true}} }

// append adds a step to a path; a nil path starts at the context node.
func (p *parser) append(e Expr, s *step) Expr {
	if _, ok := e.(dot); ok {
		e = nil
	}
	if l, ok := e.(*path); ok {
		if len(l.steps) > 0 {
			if merged := merge(l.steps[len(l.steps)-1], s); merged != nil {
				l.steps[len(l.steps)-1] = merged
				return l
			}
		}
		l.steps = append(l.steps, s)
		return l
	}
	return &path{from: e, steps: []*step{s}}
}

// merge makes descendant::x of //x, which is the same unless a predicate counts.
func merge(a, b *step) *step {
	if a.axis != descendantOrSelf || !a.test.any || len(a.preds) > 0 || b.axis != child {
		return nil
	}
	for _, pr := range b.preds {
		if pr.counts {
			return nil
		}
	}
	return &step{axis: descendant, test: b.test, preds: b.preds}
}

// step parses one step of a path behind e.
func (p *parser) step(e Expr) Expr {
	if p.startsFilter() { // 2.0 lets steps be expressions
		if e == nil {
			return p.filter()
		}
		return mapping{e, p.filter()}
	}
	if !p.startsStep() {
		p.unexpected()
	}
	s := &step{axis: child}
	switch {
	case p.accept(".."):
		s.axis, s.test = parent, test{any: true}
	case p.accept("."):
		if e != nil || p.is("[") {
			s.axis, s.test = self, test{any: true}
			break
		}
		return dot{}
	case p.accept("@"):
		s.axis = attribute
		s.test = p.nodeTest(attribute)
	default:
		s.axis = p.axis()
		s.test = p.nodeTest(s.axis)
	}
	s.preds = p.predicates()
	return p.append(e, s)
}

var axes = map[string]axis{
	"ancestor": ancestor, "ancestor-or-self": ancestorOrSelf, "attribute": attribute, "child": child,
	"descendant": descendant, "descendant-or-self": descendantOrSelf, "following": following,
	"following-sibling": followingSibling, "namespace": namespace, "parent": parent, "preceding": preceding,
	"preceding-sibling": precedingSibling, "self": self,
}

func (p *parser) axis() axis {
	if after := p.peekAt(1); after.kind != symbol || after.text != "::" {
		if t := p.peek(); t.kind == name && t.text == "attribute" && after.text == "(" && after.kind == symbol {
			return attribute
		}
		return child
	}
	t := p.next()
	a, ok := axes[t.text]
	if !ok || t.kind != name {
		p.fail("%q is not an axis", t.text)
	}
	p.next()
	return a
}

func (p *parser) nodeTest(a axis) test {
	principal := tree.Element
	switch a {
	case attribute:
		principal = tree.Attribute
	case namespace:
		principal = tree.Namespace
	}
	if p.accept("*") {
		return test{kind: principal, anySpace: true}
	}
	t := p.next()
	if t.kind != name {
		p.pos--
		p.unexpected()
	}
	if p.is("(") {
		return p.kindTest(t.text)
	}
	if local, ok := strings.CutPrefix(t.text, "*:"); ok {
		return test{kind: principal, anySpace: true, name: tree.Name{Local: local}}
	}
	def := ""
	if principal == tree.Element {
		def = p.static.Elements
	}
	return test{kind: principal, name: p.resolve(strings.TrimSuffix(t.text, ":*"), def, strings.HasSuffix(t.text, ":*"))}
}

func (p *parser) kindTest(word string) test {
	if unsupportedTests[word] || !kindTests[word] {
		p.fail("%s() is not supported here", word)
	}
	p.expect("(")
	var t test
	switch word {
	case "node":
		t = test{any: true}
	case "text":
		t = test{kind: tree.Text, anySpace: true}
	case "comment":
		t = test{kind: tree.Comment, anySpace: true}
	case "document-node":
		t = test{kind: tree.Document, anySpace: true}
	case "processing-instruction":
		t = test{kind: tree.Instruction, anySpace: true}
		if n := p.peek(); n.kind == quoted || n.kind == name {
			t.name.Local = p.next().text
		}
	case "element", "attribute":
		a := child
		if word == "attribute" {
			a = attribute
		}
		t = test{kind: tree.Element, anySpace: true}
		if a == attribute {
			t.kind = tree.Attribute
		}
		if !p.is(")") {
			t = p.nodeTest(a)
		}
	}
	p.expect(")")
	return t
}

// resolve makes a name of a QName; def is the namespace of those without a prefix.
// With wild the text is a prefix alone, for all names of its namespace.
func (p *parser) resolve(qname, def string, wild ...bool) tree.Name {
	prefix, local, ok := strings.Cut(qname, ":")
	if len(wild) > 0 && wild[0] {
		prefix, local, ok = qname, "", true
	}
	if !ok {
		return tree.Name{Space: def, Local: qname}
	}
	uri, ok := p.static.Scope.Lookup(prefix)
	if !ok {
		if uri, ok = wellKnown[prefix]; !ok {
			p.fail("prefix %q is not declared", prefix)
		}
	}
	return tree.Name{Space: uri, Local: local}
}

func (p *parser) predicates() []predicate {
	var out []predicate
	for p.accept("[") {
		e := p.sequence()
		p.expect("]")
		out = append(out, newPredicate(e))
	}
	return out
}

// filter parses a primary expression with its predicates.
func (p *parser) filter() Expr {
	e := p.primary()
	if preds := p.predicates(); len(preds) > 0 {
		return filter{e, preds}
	}
	return e
}

func (p *parser) primary() Expr {
	defer p.nest()()
	t := p.next()
	switch {
	case t.kind == number:
		return p.number(t.text)
	case t.kind == quoted:
		return literal{Str(t.text)}
	case t.kind == name:
		return p.call(t.text)
	case t.text == "$":
		return p.variable()
	case t.text == "(":
		if p.accept(")") {
			return literal{Of()}
		}
		e := p.sequence()
		p.expect(")")
		if l, ok := e.(*path); ok {
			return group{l} // not to be extended in place
		}
		return e
	}
	p.pos--
	p.unexpected()
	return nil
}

func (p *parser) number(text string) Expr {
	f, err := strconv.ParseFloat(text, 64)
	v := Num(f)
	scientific := strings.ContainsAny(text, "eE")
	if err != nil || scientific && !p.static.Two {
		p.fail("%q is not a number", text)
	}
	if p.static.Two {
		if v.form = exact; scientific {
			v.form = double
		}
	}
	return literal{v}
}

func (p *parser) variable() Expr {
	t := p.next()
	if t.kind != name || strings.Contains(t.text, "*") {
		p.pos--
		p.unexpected()
	}
	n := p.resolve(t.text, "")
	for i := len(p.locals) - 1; i >= 0; i-- {
		if p.locals[i].name == n {
			return variable{Ref{Slot: p.locals[i].slot}}
		}
	}
	if p.static.Variable != nil {
		if ref, ok := p.static.Variable(n); ok {
			return variable{ref}
		}
	}
	p.fail("variable $%s is not declared", t.text)
	return nil
}

func (p *parser) call(qname string) Expr {
	if p.accept("(") {
		var args []Expr
		for !p.accept(")") {
			if len(args) > 0 {
				p.expect(",")
			}
			if len(args) == 0 && p.startsDate(qname) {
				args = append(args, p.date())
				continue
			}
			args = append(args, p.single())
		}
		return p.bind(qname, args)
	}
	p.unexpected()
	return nil
}

// startsDate reports whether the first argument of a call is a constructor of a date
// for a function that formats it. Dates are strings here, which only those functions
// cannot tell from dates.
func (p *parser) startsDate(qname string) bool {
	t, after := p.peek(), p.peekAt(1)
	f := p.resolve(qname, "")
	if f.Space != "" && f.Space != functionSpace || f.Local != "format-dateTime" && f.Local != "format-date" && f.Local != "format-time" {
		return false
	}
	if t.kind != name || after.kind != symbol || after.text != "(" || !strings.Contains(t.text, ":") {
		return false
	}
	n := p.resolve(t.text, "")
	return n.Space == schemaSpace && (n.Local == "dateTime" || n.Local == "date" || n.Local == "time")
}

func (p *parser) date() Expr {
	p.next()
	p.expect("(")
	e := p.single()
	p.expect(")")
	return e
}

// bind finds the function of a call and checks its arguments.
func (p *parser) bind(qname string, args []Expr) Expr {
	n := p.resolve(qname, "")
	if n.Space == schemaSpace {
		if _, ok := casts[n.Local]; !ok || len(args) != 1 {
			p.fail("function %s() is not supported", qname)
		}
		return castExpr{args[0], n.Local, true}
	}
	f, ok := lookup(n, p.static)
	if !ok {
		p.fail("function %s() is not supported", qname)
	}
	most := len(strings.TrimSuffix(f.Params, "+"))
	if strings.HasSuffix(f.Params, "+") {
		most = len(args)
	}
	if len(args) < f.Min || len(args) > most {
		p.fail("function %s() has %d arguments", qname, len(args))
	}
	call := f.Call
	if f.Bind != nil {
		var err error
		if call, err = f.Bind(p.static, args); err != nil {
			p.fail("%s(): %w", qname, err)
		}
	}
	return &callExpr{name: qname, f: f, call: call, args: args, two: p.static.Two}
}

func lookup(n tree.Name, s *Static) (*Function, bool) {
	if n.Space == functionSpace {
		n.Space = ""
	}
	if n.Space == "" {
		if f, ok := functions()[n.Local]; ok {
			return f, true
		}
	}
	if s.Function == nil {
		return nil, false
	}
	return s.Function(n)
}

// Available reports whether there is a function of that name.
func Available(n tree.Name, s *Static) bool {
	if n.Space == schemaSpace {
		_, ok := casts[n.Local]
		return ok
	}
	_, ok := lookup(n, s)
	return ok
}

const (
	schemaSpace   = "http://www.w3.org/2001/XMLSchema"
	functionSpace = "http://www.w3.org/2005/xpath-functions"
)

// wellKnown are prefixes that need no declaration.
var wellKnown = map[string]string{"fn": functionSpace}
