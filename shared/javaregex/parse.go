package javaregex

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// node is a part of a parsed pattern.
type node interface{}

type (
	// one matches one rune of the set.
	one struct{ set set }
	// seq matches its parts one after the other; an empty seq matches "".
	seq []node
	// alt matches the first of its parts that lets the rest match.
	alt []node
	// group is ( ): capturing, or one of Java's (?…) forms.
	group struct {
		kind  groupKind
		index int // of a capturing group, from 1
		sub   node
	}
	repeat struct {
		sub      node
		min, max int // max < 0 is no bound
		mode     repeatMode
	}
	assert  struct{ kind assertKind }
	backref struct {
		index int
		name  string
		fold  bool
	}
)

type groupKind uint8

const (
	capturing groupKind = iota
	plain
	atomic
	ahead
	notAhead
	behind
	notBehind
)

type repeatMode uint8

const (
	greedy repeatMode = iota
	lazy
	possessive
)

type assertKind uint8

const (
	beginText assertKind = iota // \A, and ^
	endText                     // \z
	endLast                     // \Z, and $: the end, or before a last line terminator
	beginLine                   // ^ with (?m)
	endLine                     // $ with (?m)
	wordEdge                    // \b
	notEdge                     // \B
	lastMatch                   // \G
	endLastNL                   // $ with (?d)
	beginLineNL
	endLineNL
)

// Error says where a pattern breaks Java's syntax.
type Error struct {
	Pattern string
	Offset  int
	Msg     string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s near index %d: %s", e.Msg, e.Offset, e.Pattern)
}

type flags struct {
	fold, multi, dotall, unicodeCase, comments, unix, unicodeClass bool
}

type parser struct {
	src    string
	pos    int
	flags  flags
	groups int
	names  map[string]int
	depth  int
}

// maxDepth bounds the nesting of groups and classes.
const maxDepth = 200

// fail ends the parse; parse recovers it.
func (p *parser) fail(format string, args ...any) {
	panic(&Error{Pattern: p.src, Offset: p.pos, Msg: fmt.Sprintf(format, args...)})
}

func parse(src string, fold bool) (root node, p *parser, err error) {
	p = &parser{src: src, names: map[string]int{}, flags: flags{fold: fold}}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			err = e
		default:
			panic(e)
		}
	}()
	root = p.alternation()
	if p.pos < len(src) {
		p.fail("Unmatched closing ')'")
	}
	p.resolve(root)
	return root, p, nil
}

// resolve gives back references to names their numbers.
func (p *parser) resolve(n node) {
	switch n := n.(type) {
	case seq:
		for _, s := range n {
			p.resolve(s)
		}
	case alt:
		for _, s := range n {
			p.resolve(s)
		}
	case *group:
		p.resolve(n.sub)
	case *repeat:
		p.resolve(n.sub)
	case *backref:
		if n.name == "" {
			return
		}
		i, ok := p.names[n.name]
		if !ok {
			p.fail("named capturing group <%s> does not exist", n.name)
		}
		n.index = i
	}
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) rune() rune {
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	return r
}

func (p *parser) alternation() node {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		p.fail("Pattern is nested too deeply")
	}
	branches := alt{p.sequence()}
	for p.accept("|") {
		branches = append(branches, p.sequence())
	}
	if len(branches) == 1 {
		return branches[0]
	}
	return branches
}

func (p *parser) sequence() node {
	var out seq
	for {
		p.skipComments()
		if !p.more() || p.peek() == '|' || p.peek() == ')' {
			return out
		}
		if p.accept(`\Q`) {
			out = append(out, p.quoted()...)
			continue
		}
		n := p.atom()
		if n == nil {
			continue
		}
		out = append(out, p.quantified(n))
	}
}

// quoted reads the rest of \Q…\E; a quantifier after it holds for the last rune.
func (p *parser) quoted() seq {
	text, rest, _ := strings.Cut(p.src[p.pos:], `\E`)
	p.pos = len(p.src) - len(rest)
	var out seq
	for _, r := range text {
		out = append(out, p.literal(r))
	}
	if n := len(out); n > 0 {
		out[n-1] = p.quantified(out[n-1])
	}
	return out
}

func (p *parser) skipComments() {
	for p.flags.comments && p.more() {
		switch c := p.peek(); {
		case c == '#':
			for p.more() && !contains(setLine, p.rune()) {
			}
		case c <= ' ' && contains(setSpace, rune(c)):
			p.pos++
		default:
			return
		}
	}
}

func contains(s set, r rune) bool {
	for _, sp := range s {
		if sp.lo <= r && r <= sp.hi {
			return true
		}
	}
	return false
}

func (p *parser) literal(r rune) node { return &one{p.folded(single(r))} }

func (p *parser) folded(s set) set {
	if p.flags.fold {
		return s.fold(p.flags.unicodeCase)
	}
	return s
}

// atom reads one unit; nil for a construct that matches nothing itself, such
// as (?i).
func (p *parser) atom() node {
	switch c := p.peek(); c {
	case '(':
		p.pos++
		return p.group()
	case '[':
		p.pos++
		return &one{p.class()}
	case '\\':
		p.pos++
		return p.escape()
	case '.':
		p.pos++
		return &one{p.dot()}
	case '^':
		p.pos++
		return p.caret()
	case '$':
		p.pos++
		return p.dollar()
	case '*', '+', '?':
		p.fail("Dangling meta character '%c'", c)
	case '{': // Java repeats nothing here, and so do we
		return p.quantified(&group{kind: plain, sub: seq{}})
	}
	return p.literal(p.rune())
}

func (p *parser) dot() set {
	switch {
	case p.flags.dotall:
		return set{{0, unicode.MaxRune}}
	case p.flags.unix:
		return setUnixLine.negate()
	}
	return setLine.negate()
}

func (p *parser) caret() node {
	switch {
	case !p.flags.multi:
		return &assert{beginText}
	case p.flags.unix:
		return &assert{beginLineNL}
	}
	return &assert{beginLine}
}

func (p *parser) dollar() node {
	switch {
	case p.flags.multi && p.flags.unix:
		return &assert{endLineNL}
	case p.flags.multi:
		return &assert{endLine}
	case p.flags.unix:
		return &assert{endLastNL}
	}
	return &assert{endLast}
}

func (p *parser) quantified(n node) node {
	p.skipComments()
	lo, hi := 0, -1
	switch p.peek() {
	case '*':
		p.pos++
	case '+':
		p.pos++
		lo = 1
	case '?':
		p.pos++
		hi = 1
	case '{':
		p.pos++
		lo, hi = p.counts()
	default:
		return n
	}
	r := &repeat{sub: n, min: lo, max: hi}
	switch {
	case p.accept("?"):
		r.mode = lazy
	case p.accept("+"):
		r.mode = possessive
	}
	return r
}

func (p *parser) counts() (lo, hi int) {
	if !isDigit(p.peek()) {
		p.pos--
		p.fail("Illegal repetition")
	}
	lo = p.number()
	hi = lo
	if p.accept(",") {
		hi = -1
		if p.peek() != '}' {
			if !isDigit(p.peek()) {
				p.fail("Unclosed counted closure")
			}
			hi = p.number()
		}
	}
	if !p.accept("}") {
		p.fail("Unclosed counted closure")
	}
	if hi >= 0 && hi < lo {
		p.fail("Illegal repetition range")
	}
	return lo, hi
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *parser) number() int {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	n, err := strconv.ParseInt(p.src[start:p.pos], 10, 31)
	if err != nil {
		p.fail("Illegal repetition range")
	}
	return int(n)
}

// group reads what follows an opening parenthesis.
func (p *parser) group() node {
	saved := p.flags
	if !p.accept("?") {
		p.groups++
		return p.body(&group{kind: capturing, index: p.groups}, saved)
	}
	for _, g := range []struct {
		text string
		kind groupKind
	}{{":", plain}, {"=", ahead}, {"!", notAhead}, {">", atomic}, {"<=", behind}, {"<!", notBehind}} {
		if p.accept(g.text) {
			return p.body(&group{kind: g.kind}, saved)
		}
	}
	if p.accept("<") {
		name := p.groupName()
		p.groups++
		if _, ok := p.names[name]; ok {
			p.fail("Named capturing group <%s> is already defined", name)
		}
		p.names[name] = p.groups
		return p.body(&group{kind: capturing, index: p.groups}, saved)
	}
	p.readFlags()
	if p.accept(")") {
		return nil // holds to the end of the enclosing group
	}
	if !p.accept(":") {
		p.fail("Unknown inline modifier")
	}
	return p.body(&group{kind: plain}, saved)
}

func (p *parser) body(g *group, saved flags) node {
	g.sub = p.alternation()
	if !p.accept(")") {
		p.fail("Unclosed group")
	}
	p.flags = saved
	return g
}

func (p *parser) groupName() string {
	start := p.pos
	for p.more() && (isAlpha(p.peek()) || p.pos > start && isDigit(p.peek())) {
		p.pos++
	}
	name := p.src[start:p.pos]
	if name == "" {
		p.fail("capturing group name does not start with a Latin letter")
	}
	if !p.accept(">") {
		p.fail("named capturing group is missing trailing '>'")
	}
	return name
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func (p *parser) readFlags() {
	on := true
	for p.more() {
		switch p.peek() {
		case '-':
			on = false
		case 'i':
			p.flags.fold = on
		case 'm':
			p.flags.multi = on
		case 's':
			p.flags.dotall = on
		case 'd':
			p.flags.unix = on
		case 'u':
			p.flags.unicodeCase = on
		case 'x':
			p.flags.comments = on
		case 'U':
			p.flags.unicodeClass = on
			p.flags.unicodeCase = on
		case 'c':
		default:
			return
		}
		p.pos++
	}
}

// escape reads what follows a backslash outside a class.
func (p *parser) escape() node {
	if !p.more() {
		p.fail("Unexpected internal error: pattern ends with '\\'")
	}
	c := p.peek()
	if kind, ok := assertions[c]; ok {
		p.pos++
		return &assert{kind}
	}
	switch {
	case '1' <= c && c <= '9':
		return p.backref()
	case c == 'k':
		p.pos++
		if !p.accept("<") {
			p.fail("\\k is not followed by '<' for named capturing group")
		}
		return &backref{name: p.groupName(), fold: p.flags.fold}
	case c == 'R':
		p.pos++
		return lineBreak()
	case c == 'X':
		p.pos++
		marks := tables("M")
		return &group{kind: plain, sub: seq{&one{marks.negate()}, &repeat{sub: &one{marks}, max: -1}}}
	}
	if s, ok := p.classEscape(); ok {
		return &one{s}
	}
	return p.literal(p.charEscape())
}

var assertions = map[byte]assertKind{
	'A': beginText, 'z': endText, 'Z': endLast, 'b': wordEdge, 'B': notEdge, 'G': lastMatch,
}

func lineBreak() node {
	crlf := seq{&one{single('\r')}, &one{single('\n')}}
	return &group{kind: plain, sub: alt{crlf, &one{setVert}}}
}

// backref reads \N as Java does: as many digits as there are groups so far.
func (p *parser) backref() node {
	n := int(p.peek() - '0')
	p.pos++
	for isDigit(p.peek()) && n*10+int(p.peek()-'0') <= p.groups {
		n = n*10 + int(p.peek()-'0')
		p.pos++
	}
	return &backref{index: n, fold: p.flags.fold}
}

// classEscape reads \d and its kin, which hold in and outside classes.
func (p *parser) classEscape() (set, bool) {
	c := p.peek()
	var s set
	switch c | 0x20 {
	case 'd':
		s = p.either(setDigit, "Digit")
	case 'w':
		s = p.word()
	case 's':
		s = p.either(setSpace, "White_Space")
	case 'h':
		s = setHoriz
	case 'v':
		s = setVert
	case 'p':
		p.pos++
		s = p.folded(p.property())
		if c == 'P' {
			s = s.negate()
		}
		return s, true
	default:
		return nil, false
	}
	p.pos++
	if c < 'a' {
		s = s.negate()
	}
	return s, true
}

// either is the ASCII set, or the Unicode property with (?U).
func (p *parser) either(ascii set, name string) set {
	if p.flags.unicodeClass {
		s, _ := isProperty(name)
		return s
	}
	return ascii
}

func (p *parser) word() set {
	if !p.flags.unicodeClass {
		return setWord
	}
	s, _ := isProperty("alphabetic")
	return s.union(tables("M", "Nd", "Pc"))
}

func (p *parser) property() set {
	var name string
	if p.accept("{") {
		end := strings.IndexByte(p.src[p.pos:], '}')
		if end < 0 {
			p.fail("Unclosed character family")
		}
		name = p.src[p.pos : p.pos+end]
		p.pos += end + 1
	} else if p.more() {
		name = string(p.rune())
	}
	s, ok := property(name)
	if !ok {
		p.fail("Unknown character property name {%s}", name)
	}
	return s
}

var controls = map[byte]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'a': 7, 'e': 0x1b}

// charEscape reads an escape that stands for one rune.
func (p *parser) charEscape() rune {
	c := p.peek()
	if r, ok := controls[c]; ok {
		p.pos++
		return r
	}
	switch c {
	case '0':
		p.pos++
		return p.octal()
	case 'x':
		p.pos++
		if p.accept("{") {
			end := strings.IndexByte(p.src[p.pos:], '}')
			if end < 0 {
				p.fail("Unclosed hexadecimal escape sequence")
			}
			r := p.hex(end)
			p.pos++
			return r
		}
		return p.hex(2)
	case 'u':
		p.pos++
		return p.unicodeEscape()
	case 'c':
		p.pos++
		if !p.more() {
			p.fail("Illegal control escape sequence")
		}
		return p.rune() ^ 64
	}
	if isAlpha(c) {
		p.fail("Illegal/unsupported escape sequence")
	}
	return p.rune()
}

func (p *parser) octal() rune {
	n, digits := rune(0), 0
	for digits < 3 && '0' <= p.peek() && p.peek() <= '7' && n*8+rune(p.peek()-'0') <= 0o377 {
		n = n*8 + rune(p.peek()-'0')
		p.pos++
		digits++
	}
	if digits == 0 {
		p.fail("Illegal octal escape sequence")
	}
	return n
}

func (p *parser) hex(digits int) rune {
	if p.pos+digits > len(p.src) {
		p.fail("Illegal hexadecimal escape sequence")
	}
	n, err := strconv.ParseUint(p.src[p.pos:p.pos+digits], 16, 32)
	if err != nil || n > unicode.MaxRune {
		p.fail("Illegal hexadecimal escape sequence")
	}
	p.pos += digits
	return rune(n)
}

// unicodeEscape reads the digits of a 16-bit escape; two of them may be a
// surrogate pair.
func (p *parser) unicodeEscape() rune {
	hi := p.hex(4)
	if 0xd800 <= hi && hi < 0xdc00 && strings.HasPrefix(p.src[p.pos:], `\u`) {
		start := p.pos
		p.pos += 2
		if lo := p.hex(4); 0xdc00 <= lo && lo < 0xe000 {
			return 0x10000 + (hi-0xd800)<<10 + (lo - 0xdc00)
		}
		p.pos = start
	}
	return hi
}
