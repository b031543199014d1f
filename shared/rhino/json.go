package rhino

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// MaxJSONDepth is how deep JSON text may be nested.
const MaxJSONDepth = 2000

// ParseJSON is JSON.parse without a reviver, with Rhino's error texts. It throws
// SyntaxError. goja's own has no bound on depth and would overflow the stack.
func (r *Runtime) ParseJSON(text string) goja.Value {
	p := jsonParser{r: r, s: text}
	v, msg := p.document()
	if msg != "" {
		r.Throw("SyntaxError", msg)
	}
	return v
}

// installJSON puts ParseJSON in the place of JSON.parse.
func (r *Runtime) installJSON() {
	json := r.GlobalObject().Get("JSON").(*goja.Object)
	original, _ := goja.AssertFunction(json.Get("parse"))
	json.Set("parse", func(call goja.FunctionCall) goja.Value {
		text := call.Argument(0).String()
		v := r.ParseJSON(text)
		if goja.IsUndefined(call.Argument(1)) {
			return v
		}
		v, err := original(json, r.ToValue(text), call.Argument(1))
		if err != nil {
			panic(err)
		}
		return v
	})
}

type jsonParser struct {
	r     *Runtime
	s     string
	i     int
	depth int
}

func (p *jsonParser) document() (goja.Value, string) {
	v, msg := p.value()
	if msg != "" {
		return nil, msg
	}
	p.space()
	if p.i < len(p.s) {
		return nil, "Expected end of stream at char " + strconv.Itoa(p.i)
	}
	return v, ""
}

func (p *jsonParser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *jsonParser) value() (goja.Value, string) {
	p.space()
	if p.i >= len(p.s) {
		return nil, "Empty JSON string"
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.nested(p.object)
	case c == '[':
		return p.nested(p.array)
	case c == '"':
		s, msg := p.text()
		if msg != "" {
			return nil, msg
		}
		return p.r.ToValue(s), ""
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.word("true"):
		return p.r.ToValue(true), ""
	case p.word("false"):
		return p.r.ToValue(false), ""
	case p.word("null"):
		return goja.Null(), ""
	}
	return nil, p.unexpected()
}

func (p *jsonParser) unexpected() string {
	c, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return "Unexpected token: " + string(c)
}

func (p *jsonParser) word(w string) bool {
	if !strings.HasPrefix(p.s[p.i:], w) {
		return false
	}
	p.i += len(w)
	return true
}

func (p *jsonParser) nested(f func() (goja.Value, string)) (goja.Value, string) {
	if p.depth++; p.depth > MaxJSONDepth {
		return nil, "JSON is nested deeper than " + strconv.Itoa(MaxJSONDepth)
	}
	p.i++
	v, msg := f()
	p.depth--
	return v, msg
}

func (p *jsonParser) object() (goja.Value, string) {
	o := p.r.NewObject()
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return o, ""
	}
	comma := false
	for ; p.i < len(p.s); p.space() {
		switch p.s[p.i] {
		case '}':
			if !comma {
				return nil, "Unexpected comma in object literal"
			}
			p.i++
			return o, ""
		case ',':
			if !comma {
				return nil, "Unexpected comma in object literal"
			}
			p.i++
			comma = false
		case '"':
			if comma {
				return nil, "Missing comma in object literal"
			}
			if msg := p.member(o); msg != "" {
				return nil, msg
			}
			comma = true
		default:
			return nil, "Unexpected token in object literal"
		}
	}
	return nil, "Unterminated object literal"
}

func (p *jsonParser) member(o *goja.Object) string {
	key, msg := p.text()
	if msg != "" {
		return msg
	}
	p.space()
	switch {
	case p.i >= len(p.s):
		return "Expected : but reached end of stream"
	case p.s[p.i] != ':':
		c, _ := utf8.DecodeRuneInString(p.s[p.i:])
		return "Expected : found " + string(c)
	}
	p.i++
	v, msg := p.value()
	if msg != "" {
		return msg
	}
	if key == "__proto__" { // a member like any other, not the prototype
		o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		return ""
	}
	o.Set(key, v)
	return ""
}

func (p *jsonParser) array() (goja.Value, string) {
	var items []any
	p.space()
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return p.r.NewArray(), ""
	}
	comma := false
	for ; p.i < len(p.s); p.space() {
		switch p.s[p.i] {
		case ']':
			if !comma {
				return nil, "Unexpected comma in array literal"
			}
			p.i++
			return p.r.NewArray(items...), ""
		case ',':
			if !comma {
				return nil, "Unexpected comma in array literal"
			}
			p.i++
			comma = false
		default:
			if comma {
				return nil, "Missing comma in array literal"
			}
			v, msg := p.value()
			if msg != "" {
				return nil, msg
			}
			items = append(items, v)
			comma = true
		}
	}
	return nil, "Unterminated array literal"
}

func (p *jsonParser) number() (goja.Value, string) {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	whole := p.digits()
	if whole == 0 {
		return nil, p.badNumber(start)
	}
	if first := p.i - whole; whole > 1 && p.s[first] == '0' {
		return nil, p.badNumber(start)
	}
	integer := true
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		integer = false
		if p.digits() == 0 {
			return nil, p.badNumber(start)
		}
	}
	if p.i < len(p.s) && (p.s[p.i]|0x20) == 'e' {
		p.i++
		integer = false
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return nil, p.badNumber(start)
		}
	}
	text := p.s[start:p.i]
	if integer && len(text) <= 15 && text != "-0" {
		n, _ := strconv.ParseInt(text, 10, 64)
		return p.r.ToValue(n), ""
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil, p.badNumber(start)
	}
	return p.r.ToValue(f), ""
}

func (p *jsonParser) digits() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

func (p *jsonParser) badNumber(start int) string {
	return "Unexpected token: " + p.s[start:min(p.i+1, len(p.s))]
}

// text reads a string literal.
func (p *jsonParser) text() (string, string) {
	p.i++
	start := p.i
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1], ""
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", "String contains control character"
		}
	}
	return "", "Unterminated string literal"
}

// escaped reads the rest of a string that has escapes.
func (p *jsonParser) escaped(start int) (string, string) {
	b := []byte(p.s[start:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(b), ""
		case c < 0x20:
			return "", "String contains control character"
		case c != '\\':
			b = append(b, c)
			continue
		}
		if p.i >= len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			c, msg := p.unicode()
			if msg != "" {
				return "", msg
			}
			b = utf8.AppendRune(b, c)
		default:
			return "", `Unexpected character in string: '\` + string(rune(c)) + "'"
		}
	}
	return "", "Unterminated string literal"
}

// unicode reads the digits of \uXXXX, and a second one that makes a pair with it.
func (p *jsonParser) unicode() (rune, string) {
	hi, ok := p.hex(p.i)
	if !ok {
		return 0, "Invalid character code: " + p.s[p.i:min(p.i+4, len(p.s))]
	}
	p.i += 4
	if !utf16.IsSurrogate(hi) || !strings.HasPrefix(p.s[p.i:], `\u`) {
		return hi, ""
	}
	if lo, ok := p.hex(p.i + 2); ok {
		if c := utf16.DecodeRune(hi, lo); c != utf8.RuneError {
			p.i += 6
			return c, ""
		}
	}
	return hi, ""
}

func (p *jsonParser) hex(at int) (rune, bool) {
	if at+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[at:at+4], 16, 16)
	return rune(n), err == nil
}
