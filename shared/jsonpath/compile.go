package jsonpath

import (
	"strconv"
	"strings"
)

// compiler reads the text of a path.
type compiler struct {
	src   string
	pos   int
	depth int
}

// Bounds of a path.
const (
	maxPath    = 16 << 10 // bytes
	maxNesting = 50       // of filters
)

func (c *compiler) fail(msg string) error { return &Error{Path: c.src, Offset: c.pos, Msg: msg} }

func (c *compiler) peek() byte {
	if c.pos < len(c.src) {
		return c.src[c.pos]
	}
	return 0
}

func (c *compiler) blanks() {
	for c.pos < len(c.src) && strings.IndexByte(" \t\r\n", c.src[c.pos]) >= 0 {
		c.pos++
	}
}

func (c *compiler) accept(s string) bool {
	if !strings.HasPrefix(c.src[c.pos:], s) {
		return false
	}
	c.pos += len(s)
	return true
}

func (c *compiler) root() (*Path, error) {
	if len(c.src) > maxPath {
		return nil, c.fail("path is too long")
	}
	c.src = strings.TrimSpace(c.src)
	if c.src == "" {
		return nil, c.fail("path is empty")
	}
	if c.src[0] != '$' && c.src[0] != '@' {
		c.src = "$." + c.src
	}
	p, err := c.path(false)
	if err != nil {
		return nil, err
	}
	if c.pos < len(c.src) {
		return nil, c.fail("unexpected character")
	}
	return p, nil
}

// path reads a path that begins here. In a filter it ends where no step
// follows.
func (c *compiler) path(inFilter bool) (*Path, error) {
	start := c.pos
	p := &Path{definite: true, fromItem: c.peek() == '@'}
	c.pos++
	for {
		if !inFilter {
			c.blanks()
		}
		var err error
		switch {
		case c.accept(".."):
			err = c.scan(p)
		case c.accept("."):
			err = c.dot(p)
		case c.peek() == '[':
			c.pos++
			err = c.bracket(p)
		default:
			p.src = c.src[start:c.pos]
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		if p.fn != nil {
			p.src = c.src[start:c.pos]
			return p, nil
		}
	}
}

func (c *compiler) scan(p *Path) error {
	p.definite = false
	p.steps = append(p.steps, step{kind: scanAll})
	if c.peek() == '[' {
		c.pos++
		return c.bracket(p)
	}
	if err := c.dot(p); err != nil {
		return err
	}
	if p.steps[len(p.steps)-1].kind == scanAll {
		return c.fail("expected a name after ..")
	}
	return nil
}

// dot reads what follows a dot: a name, * or a function.
func (c *compiler) dot(p *Path) error {
	if c.accept("*") {
		p.add(step{kind: every})
		return nil
	}
	if c.peek() == '[' {
		c.pos++
		return c.bracket(p)
	}
	start := c.pos
	for c.pos < len(c.src) && strings.IndexByte(".[( )]\t\r\n=<>!&|,~", c.src[c.pos]) < 0 {
		c.pos++
	}
	name := c.src[start:c.pos]
	if c.peek() == '(' {
		return c.function(p, name)
	}
	if name == "" {
		if start == len(c.src) && len(p.steps) == 0 { // "$." is the root, as Apigee's own samples write it
			return nil
		}
		return c.fail("property name is missing")
	}
	p.add(step{kind: property, names: []string{name}})
	return nil
}

func (p *Path) add(s step) {
	if !s.definite() {
		p.definite = false
	}
	p.steps = append(p.steps, s)
}

func (c *compiler) bracket(p *Path) error {
	c.blanks()
	switch ch := c.peek(); {
	case ch == '\'' || ch == '"':
		return c.names(p)
	case ch == '*':
		c.pos++
		p.add(step{kind: every})
		return c.closing("]")
	case ch == '?':
		c.pos++
		return c.filter(p)
	}
	return c.indexes(p)
}

func (c *compiler) closing(s string) error {
	c.blanks()
	if !c.accept(s) {
		return c.fail("expected " + s)
	}
	return nil
}

func (c *compiler) names(p *Path) error {
	s := step{kind: property}
	for {
		c.blanks()
		name, err := c.quoted()
		if err != nil {
			return err
		}
		s.names = append(s.names, name)
		c.blanks()
		if !c.accept(",") {
			break
		}
	}
	p.add(s)
	return c.closing("]")
}

// quoted reads a name or text in quotes; a backslash makes the next character
// literal, and begins the escapes of JSON.
func (c *compiler) quoted() (string, error) {
	quote := c.peek()
	if quote != '\'' && quote != '"' {
		return "", c.fail("expected a quote")
	}
	c.pos++
	var b strings.Builder
	for c.pos < len(c.src) {
		ch := c.src[c.pos]
		c.pos++
		switch {
		case ch == quote:
			return b.String(), nil
		case ch != '\\':
			b.WriteByte(ch)
			continue
		}
		if err := c.escape(&b); err != nil {
			return "", err
		}
	}
	return "", c.fail("text is not closed")
}

func (c *compiler) escape(b *strings.Builder) error {
	e := c.peek()
	c.pos++
	switch {
	case e == 'u':
		p := parser{src: c.src, pos: c.pos}
		r, err := p.unicode()
		if err != nil {
			return c.fail("no hexadecimal digits")
		}
		b.WriteRune(r)
		c.pos = p.pos
	case escapes[e] != 0:
		b.WriteByte(escapes[e])
	case c.pos <= len(c.src):
		b.WriteByte(e)
	}
	return nil
}

// indexes reads [n], [n,m] and slices.
func (c *compiler) indexes(p *Path) error {
	end := strings.IndexByte(c.src[c.pos:], ']')
	if end < 0 {
		return c.fail("expected ]")
	}
	text := c.src[c.pos : c.pos+end]
	if from, to, ok := strings.Cut(text, ":"); ok {
		s := step{kind: slice}
		if !bound(from, &s.from, &s.hasFrom) || !bound(to, &s.to, &s.hasTo) || !s.hasFrom && !s.hasTo {
			return c.fail("not a slice")
		}
		p.add(s)
		c.pos += end + 1
		return nil
	}
	s := step{kind: element}
	for _, n := range strings.Split(text, ",") {
		i, err := strconv.Atoi(strings.TrimSpace(n))
		if err != nil {
			return c.fail("not an index")
		}
		s.index = append(s.index, i)
	}
	p.add(s)
	c.pos += end + 1
	return nil
}

func bound(s string, n *int, has *bool) bool {
	s = strings.TrimSpace(s)
	if s == "" {
		return true
	}
	i, err := strconv.Atoi(s)
	*n, *has = i, true
	return err == nil
}

func (c *compiler) filter(p *Path) error {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxNesting {
		return c.fail("filters are nested too deeply")
	}
	c.blanks()
	if !c.accept("(") {
		return c.fail("expected (")
	}
	f, err := c.or()
	if err != nil {
		return err
	}
	if err := c.closing(")"); err != nil {
		return err
	}
	p.add(step{kind: filtered, filter: f})
	return c.closing("]")
}

func (c *compiler) or() (predicate, error) {
	left, err := c.and()
	for err == nil {
		c.blanks()
		if !c.accept("||") {
			break
		}
		var right predicate
		right, err = c.and()
		left = either{left, right}
	}
	return left, err
}

func (c *compiler) and() (predicate, error) {
	left, err := c.unary()
	for err == nil {
		c.blanks()
		if !c.accept("&&") {
			break
		}
		var right predicate
		right, err = c.unary()
		left = both{left, right}
	}
	return left, err
}

func (c *compiler) unary() (predicate, error) {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxNesting {
		return nil, c.fail("filters are nested too deeply")
	}
	c.blanks()
	switch {
	case c.accept("!"):
		p, err := c.unary()
		return inverse{p}, err
	case c.accept("("):
		p, err := c.or()
		if err != nil {
			return nil, err
		}
		return p, c.closing(")")
	}
	return c.comparison()
}

// operators are the comparisons of filters; a longer one stands before its
// own beginning.
var operators = []string{
	"===", "!==", "==", "=~", "!=", "<=", ">=", "<", ">",
	"subsetof", "contains", "noneof", "anyof", "empty", "size", "type", "all", "nin", "in",
}

func (c *compiler) comparison() (predicate, error) {
	left, err := c.operand()
	if err != nil {
		return nil, err
	}
	c.blanks()
	for _, o := range operators {
		n := len(o)
		if len(c.src)-c.pos < n || !strings.EqualFold(c.src[c.pos:c.pos+n], o) {
			continue
		}
		c.pos += n
		c.blanks()
		right, err := c.operand()
		if err != nil {
			return nil, err
		}
		return newComparison(left, o, right), nil
	}
	if left.path == nil {
		return nil, c.fail("expected an operator")
	}
	return exists{left.path}, nil
}

func (c *compiler) operand() (operand, error) {
	switch ch := c.peek(); {
	case ch == '@' || ch == '$':
		p, err := c.path(true)
		return operand{path: p}, err
	case ch == '\'' || ch == '"':
		s, err := c.quoted()
		return operand{value: &Value{kind: String, text: s}}, err
	case ch == '/':
		return c.regex()
	case ch == '[' || ch == '{':
		return c.literal()
	case c.accept("undefined"):
		return operand{}, nil
	}
	p := parser{src: c.src, pos: c.pos}
	v, err := p.value(0)
	if err != nil {
		return operand{}, c.fail("expected a value")
	}
	c.pos = p.pos
	return operand{value: v}, nil
}

// literal reads an array or object in JSON; text in it may stand in single
// quotes.
func (c *compiler) literal() (operand, error) {
	if c.peek() == '{' {
		p := parser{src: c.src, pos: c.pos}
		v, err := p.value(0)
		if err != nil {
			return operand{}, c.fail("expected an object")
		}
		c.pos = p.pos
		return operand{value: v}, nil
	}
	c.pos++
	list := &Value{kind: Array}
	for {
		c.blanks()
		if c.accept("]") {
			return operand{value: list}, nil
		}
		if len(list.items) > 0 && !c.accept(",") {
			return operand{}, c.fail("expected ,")
		}
		c.blanks()
		if c.peek() == '[' || c.peek() == '@' || c.peek() == '$' || c.pos == len(c.src) {
			return operand{}, c.fail("expected a value")
		}
		o, err := c.operand()
		if err != nil {
			return operand{}, err
		}
		if o.value == nil {
			return operand{}, c.fail("expected a value")
		}
		list.items = append(list.items, o.value)
	}
}
