package condition

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// op is a comparison operator.
type op uint8

const (
	equal op = iota
	notEqual
	equalFold
	greater
	greaterEqual
	less
	lessEqual
	startsWith
	matches
	matchesPath
	javaRegex
)

// spelling is how String writes an operator.
var spelling = [...]string{"=", "!=", ":=", ">", ">=", "<", "<=", "=|", "~", "~/", "~~"}

type operator struct {
	op      op
	negated bool
}

var signs = map[string]operator{
	"=": {op: equal}, "==": {op: equal}, "!=": {op: notEqual}, ":=": {op: equalFold}, "!:=": {equalFold, true},
	">": {op: greater}, ">=": {op: greaterEqual}, "<": {op: less}, "<=": {op: lessEqual},
	"=|": {op: startsWith}, "!=|": {startsWith, true}, "~": {op: matches}, "!~": {matches, true},
	"~/": {op: matchesPath}, "!~/": {matchesPath, true}, "~~": {op: javaRegex}, "!~~": {javaRegex, true},
}

var words = map[string]operator{
	"equals": {op: equal}, "is": {op: equal}, "notequals": {op: notEqual}, "isnot": {op: notEqual},
	"equalscaseinsensitive": {op: equalFold}, "greaterthan": {op: greater}, "greaterthanorequals": {op: greaterEqual},
	"lesserthan": {op: less}, "lesserthanorequals": {op: lessEqual}, "startswith": {op: startsWith},
	"matches": {op: matches}, "like": {op: matches}, "matchespath": {op: matchesPath}, "likepath": {op: matchesPath},
	"javaregex": {op: javaRegex},
}

// maxDepth bounds nesting.
const maxDepth = 200

type parser struct {
	src    string
	tokens []token
	depth  int
}

// parse returns nil for a condition without text.
func parse(src string) (root expr, err error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 1 {
		return nil, nil
	}
	p := &parser{src: src, tokens: tokens}
	root, err = p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, p.fail(t, "unexpected %s", t)
	}
	return root, nil
}

func (t token) String() string {
	switch t.kind {
	case end:
		return "end of the condition"
	case text:
		return `"` + t.text + `"`
	}
	return "'" + t.text + "'"
}

func (p *parser) fail(t token, format string, args ...any) error {
	return &Error{Source: p.src, Offset: t.pos, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is reports whether t is the sign, or the word in any case.
func (t token) is(sign, name string) bool {
	return t.kind == symbol && t.text == sign || t.kind == word && name != "" && strings.EqualFold(t.text, name)
}

func (p *parser) accept(sign, name string) bool {
	if !p.peek().is(sign, name) {
		return false
	}
	p.take()
	return true
}

func (p *parser) or() (expr, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.fail(p.peek(), "nested too deeply")
	}
	left, err := p.and()
	for err == nil && p.accept("||", "or") {
		var right expr
		right, err = p.and()
		left = &either{left, right}
	}
	return left, err
}

func (p *parser) and() (expr, error) {
	left, err := p.not()
	for err == nil && p.accept("&&", "and") {
		var right expr
		right, err = p.not()
		left = &both{left, right}
	}
	return left, err
}

func (p *parser) not() (expr, error) {
	negated := false
	for p.accept("!", "not") {
		negated = !negated
	}
	e, err := p.primary()
	if err != nil || !negated {
		return e, err
	}
	return &inverse{e}, nil
}

func (p *parser) primary() (expr, error) {
	if p.accept("(", "") {
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if t := p.take(); !t.is(")", "") {
			return nil, p.fail(t, "expected ')' before %s", t)
		}
		return e, nil
	}
	t := p.take()
	left, err := p.operand(t)
	if err != nil {
		return nil, err
	}
	o, ok, err := p.operator()
	if err != nil {
		return nil, err
	}
	if !ok {
		return p.bare(t, left)
	}
	e, err := p.comparison(left, o)
	if err != nil || !o.negated {
		return e, err
	}
	return &inverse{e}, nil
}

// bare is a condition that is just a variable, or true or false.
func (p *parser) bare(t token, v operand) (expr, error) {
	if !v.literal {
		return &truth{v.v}, nil
	}
	if v.value.Kind() != flow.Bool {
		return nil, p.fail(p.peek(), "expected an operator after %s", t)
	}
	return constant(v.value.Truth()), nil
}

// operator reads a comparison operator, if there is one: "a Matches", "a !~",
// "a not Matches", "a is not".
func (p *parser) operator() (o operator, ok bool, err error) {
	t := p.peek()
	negated := false
	if t.is("!", "not") {
		negated = true
		p.take()
		t = p.peek()
	}
	switch t.kind {
	case symbol:
		o, ok = signs[t.text]
	case word:
		o, ok = words[strings.ToLower(t.text)]
	}
	if !ok {
		joint := t.is("", "and") || t.is("", "or")
		if negated || t.kind != symbol && t.kind != end && !joint {
			return o, false, p.fail(t, "expected an operator before %s", t)
		}
		return o, false, nil
	}
	p.take()
	if t.is("", "is") && p.accept("", "not") {
		negated = !negated
	}
	o.negated = o.negated != negated
	if o.negated && o.op == equal { // "is not" is IsNot, also in the table of nulls
		o = operator{op: notEqual}
	}
	return o, true, nil
}

// operand reads a variable or a literal.
func (p *parser) operand(t token) (operand, error) {
	switch t.kind {
	case text:
		return operand{literal: true, value: flow.StringValue(t.text), typ: typeString, src: `"` + t.text + `"`}, nil
	case quoted:
		return variable(t.text), nil
	case word:
		if reserved(t.text) {
			return operand{}, p.fail(t, "expected a variable or a value before %s", t)
		}
		if o, ok := literal(t.text); ok {
			return o, nil
		}
		return variable(t.text), nil
	}
	return operand{}, p.fail(t, "expected a variable or a value before %s", t)
}

func variable(name string) operand { return operand{v: flow.Compile(name)} }

// reserved reports whether s is a word that joins conditions.
func reserved(s string) bool {
	return strings.EqualFold(s, "and") || strings.EqualFold(s, "or") || strings.EqualFold(s, "not")
}

// literal recognises true, false, null and numbers.
func literal(s string) (operand, bool) {
	o := operand{literal: true, src: s}
	switch s {
	case "true", "false":
		o.value, o.typ = flow.BoolValue(s == "true"), typeBool
		return o, true
	case "null":
		return o, true
	}
	return number(s)
}

func number(s string) (operand, bool) {
	o := operand{literal: true, src: s}
	if c := s[0]; c != '-' && c != '.' && (c < '0' || c > '9') {
		return o, false
	}
	body, suffix := s[:len(s)-1], s[len(s)-1]|0x20
	switch suffix {
	case 'l':
		n, err := strconv.ParseInt(body, 10, 64)
		o.value, o.typ = flow.IntValue(n), typeLong
		return o, err == nil
	case 'f':
		f, ok := decimal(body)
		o.value, o.typ = flow.FloatValue(float64(float32(f))), typeFloat
		return o, ok
	case 'd':
		f, ok := decimal(body)
		o.value, o.typ = flow.FloatValue(f), typeDouble
		return o, ok
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		o.value, o.typ = flow.IntValue(n), typeInt
		return o, true
	}
	f, ok := decimal(s)
	o.value, o.typ = flow.FloatValue(f), typeDouble
	return o, ok
}

// decimal parses digits with a point; words such as 1e5 are names.
func decimal(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "-.0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func (p *parser) comparison(left operand, o operator) (expr, error) {
	t := p.take()
	right, err := p.operand(t)
	if err != nil {
		return nil, err
	}
	switch o.op {
	case matches, matchesPath, javaRegex:
		if t.kind != text {
			return nil, p.fail(t, "%s needs text in double quotes, not %s", spelling[o.op], t)
		}
		m, err := newMatcher(o.op, t.text)
		if err != nil {
			return nil, p.fail(t, "%v", err)
		}
		return &pattern{left: left, op: o.op, src: t.text, m: m}, nil
	case startsWith:
		return &prefix{left, right}, nil
	case equalFold:
		return &sameFold{left, right}, nil
	}
	if o.op == equal || o.op == notEqual {
		if right.typ == typeString && !left.literal {
			return &equalText{left.v, right.value.String(), o.op == notEqual}, nil
		}
	}
	return &compare{left, right, o.op}, nil
}
