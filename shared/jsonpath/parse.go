package jsonpath

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a document.
const (
	MaxDepth = 500
	MaxSize  = 30 << 20 // bytes; the largest payload that Apigee buffers
)

// Errors of Parse beside those of syntax.
var (
	ErrDepth = fmt.Errorf("JSON is nested more than %d deep", MaxDepth)
	ErrSize  = fmt.Errorf("JSON is larger than %d bytes", MaxSize)
)

// Parse parses JSON text (RFC 8259).
func Parse(text []byte) (*Value, error) { return ParseString(string(text)) }

// ParseString is Parse of a string. The values share its memory.
func ParseString(text string) (*Value, error) {
	if len(text) > MaxSize {
		return nil, ErrSize
	}
	p := parser{src: text}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.pos < len(p.src) {
		return nil, p.fail("text after the value")
	}
	return v, nil
}

type parser struct {
	src string
	pos int
}

func (p *parser) fail(msg string) error {
	return fmt.Errorf("parse JSON: %s at byte %d", msg, p.pos)
}

func (p *parser) blanks() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) accept(c byte) bool {
	p.blanks()
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

var (
	nullValue  = &Value{}
	trueValue  = &Value{kind: Bool, truth: true}
	falseValue = &Value{kind: Bool}
)

func (p *parser) value(depth int) (*Value, error) {
	if depth > MaxDepth {
		return nil, ErrDepth
	}
	p.blanks()
	switch c := p.peek(); {
	case c == '{':
		p.pos++
		return p.object(depth)
	case c == '[':
		p.pos++
		return p.array(depth)
	case c == '"':
		s, err := p.string()
		return &Value{kind: String, text: s}, err
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for word, v := range map[string]*Value{"null": nullValue, "true": trueValue, "false": falseValue} {
		if len(p.src)-p.pos >= len(word) && p.src[p.pos:p.pos+len(word)] == word {
			p.pos += len(word)
			return v, nil
		}
	}
	return nil, p.fail("no value")
}

func (p *parser) object(depth int) (*Value, error) {
	v := &Value{kind: Object}
	if p.accept('}') {
		return v, nil
	}
	for {
		p.blanks()
		if p.peek() != '"' {
			return nil, p.fail("no member name")
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		if !p.accept(':') {
			return nil, p.fail("no colon")
		}
		m, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.add(name, m)
		if p.accept('}') {
			return v, nil
		}
		if !p.accept(',') {
			return nil, p.fail("no comma")
		}
	}
}

func (p *parser) array(depth int) (*Value, error) {
	v := &Value{kind: Array}
	if p.accept(']') {
		return v, nil
	}
	for {
		e, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, e)
		if p.accept(']') {
			return v, nil
		}
		if !p.accept(',') {
			return nil, p.fail("no comma")
		}
	}
}

func (p *parser) digits() bool {
	start := p.pos
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) number() (*Value, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return nil, p.fail("no digits")
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return nil, p.fail("no digits")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return nil, p.fail("no digits")
		}
	}
	return &Value{kind: Number, text: p.src[start:p.pos]}, nil
}

// string reads a string; without escapes it shares the document's memory.
func (p *parser) string() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			return p.src[start : p.pos-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail("control character")
		}
		p.pos++
	}
	return "", p.fail("string is not closed")
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escaped(start int) (string, error) {
	b := []byte(p.src[start:p.pos])
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			return "", p.fail("control character")
		case c != '\\':
			b = append(b, c)
			continue
		}
		e := p.peek()
		p.pos++
		switch {
		case e == 'u':
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		case escapes[e] != 0:
			b = append(b, escapes[e])
		default:
			return "", p.fail("unknown escape")
		}
	}
	return "", p.fail("string is not closed")
}

func (p *parser) unicode() (rune, error) {
	r, err := p.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if len(p.src)-p.pos >= 6 && p.src[p.pos:p.pos+2] == `\u` {
		start := p.pos
		p.pos += 2
		low, err := p.hex()
		if err != nil {
			return 0, err
		}
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, nil
		}
		p.pos = start
	}
	return utf8.RuneError, nil
}

func (p *parser) hex() (rune, error) {
	if len(p.src)-p.pos < 4 {
		return 0, p.fail("no hexadecimal digits")
	}
	var r rune
	for range 4 {
		c := p.src[p.pos]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, p.fail("no hexadecimal digits")
		}
		r = r<<4 | rune(c)
		p.pos++
	}
	return r, nil
}
