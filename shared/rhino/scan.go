package rhino

import (
	"strings"
	"unicode/utf8"
)

// Bounds on how deep goja's recursive parser and compiler may go.
const (
	maxDepth   = 5000   // nested (, [ and {
	maxSegment = 20_000 // tokens between two of ; , { }
)

// kind is a kind of token.
type kind uint8

const (
	tokEnd kind = iota
	tokName
	tokNumber
	tokString
	tokTemplate // a part of a template literal, from ` or } to ${ or `
	tokRegexp
	tokPunct // one character
)

// token is a piece of source.
type token struct {
	kind       kind
	start, end int
	line       int
	value      bool // stands where an operand starts: / is a regexp, < is XML
}

// scanner cuts a script into tokens. It is lenient: it is for finding things
// in files that goja's parser judges.
type scanner struct {
	src       string
	pos, line int
	prev      token
	prevText  string
	templates []int // brace depth at each open ${
	depth     int
}

func newScanner(src string) *scanner { return &scanner{src: src, line: 1} }

func (s *scanner) text(t token) string { return s.src[t.start:t.end] }

// next returns the next token.
func (s *scanner) next() token {
	s.space()
	t := token{start: s.pos, line: s.line, value: s.operand()}
	if s.pos >= len(s.src) {
		t.end = s.pos
		return t
	}
	t.kind = s.token(t.value)
	t.end = s.pos
	s.prev, s.prevText = t, s.text(t)
	return t
}

func (s *scanner) token(operand bool) kind {
	c := s.src[s.pos]
	switch {
	case isNameStart(c):
		for s.pos++; s.pos < len(s.src) && isNamePart(s.src[s.pos]); {
			s.pos++
		}
		return tokName
	case c >= '0' && c <= '9', c == '.' && s.peek(1) >= '0' && s.peek(1) <= '9':
		for s.pos < len(s.src) && (isNamePart(s.src[s.pos]) || s.src[s.pos] == '.') {
			s.pos++
		}
		return tokNumber
	case c == '"' || c == '\'':
		s.quoted(c)
		return tokString
	case c == '`':
		s.pos++
		s.template()
		return tokTemplate
	case c == '}' && len(s.templates) > 0 && s.templates[len(s.templates)-1] == s.depth:
		s.templates = s.templates[:len(s.templates)-1]
		s.pos++
		s.template()
		return tokTemplate
	case c == '/' && operand:
		s.regexp()
		return tokRegexp
	}
	switch c {
	case '{', '(', '[':
		s.depth++
	case '}', ')', ']':
		s.depth--
	}
	_, n := utf8.DecodeRuneInString(s.src[s.pos:])
	s.pos += n
	return tokPunct
}

func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

// operand reports whether an operand rather than an operator is next.
func (s *scanner) operand() bool {
	switch s.prev.kind {
	case tokNumber, tokString, tokRegexp:
		return false
	case tokTemplate:
		return strings.HasSuffix(s.prevText, "${")
	case tokName:
		switch s.prevText {
		case "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "instanceof", "yield", "await":
			return true
		}
		return false
	case tokPunct:
		switch s.prevText {
		case ")", "]", "}":
			return false
		}
	}
	return true
}

// space skips white space and comments.
func (s *scanner) space() {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == '\n':
			s.line++
			s.pos++
		case c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f':
			s.pos++
		case c == '/' && s.peek(1) == '/':
			s.until("\n", 0)
		case c == '/' && s.peek(1) == '*':
			s.until("*/", 2)
		default:
			return
		}
	}
}

// until moves to the next end, and past n bytes of it.
func (s *scanner) until(end string, n int) {
	rest := s.src[s.pos:]
	i := strings.Index(rest, end)
	if i < 0 {
		i, n = len(rest), 0
	}
	s.line += strings.Count(rest[:i+n], "\n")
	s.pos += i + n
}

func (s *scanner) quoted(q byte) {
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case q:
			s.pos++
			return
		case '\n':
			return
		case '\\':
			s.escape()
		}
	}
	s.pos = min(s.pos, len(s.src))
}

// escape moves to the character after a backslash.
func (s *scanner) escape() {
	s.pos++
	if s.pos < len(s.src) && s.src[s.pos] == '\n' {
		s.line++
	}
}

func (s *scanner) template() {
	for ; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case '`':
			s.pos++
			return
		case '\n':
			s.line++
		case '\\':
			s.escape()
		case '$':
			if s.peek(1) == '{' {
				s.templates = append(s.templates, s.depth)
				s.pos += 2
				return
			}
		}
	}
	s.pos = min(s.pos, len(s.src))
}

func (s *scanner) regexp() {
	class := false
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case '\n':
			return
		case '\\':
			s.escape()
		case '[':
			class = true
		case ']':
			class = false
		case '/':
			if !class {
				s.pos++
				for s.pos < len(s.src) && isNamePart(s.src[s.pos]) {
					s.pos++
				}
				return
			}
		}
	}
	s.pos = min(s.pos, len(s.src))
}

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80 || c == '\\' || c == '#'
}

func isNamePart(c byte) bool { return isNameStart(c) && c != '#' || c >= '0' && c <= '9' }

// checkSource refuses text that would take the parser too deep.
func checkSource(src string) error {
	if len(src) > MaxSource {
		return &SyntaxError{Line: 1, Msg: "script is larger than 5 MB"}
	}
	if len(src) < maxDepth {
		return nil
	}
	s := newScanner(src)
	segment := 0
	for {
		t := s.next()
		segment++
		switch {
		case t.kind == tokEnd:
			return nil
		case s.depth > maxDepth || len(s.templates) > maxDepth:
			return &SyntaxError{Line: t.line, Msg: "script is nested too deep"}
		case segment > maxSegment:
			return &SyntaxError{Line: t.line, Msg: "expression is too long"}
		}
		if t.kind == tokPunct {
			switch s.prevText {
			case ";", ",", "{", "}":
				segment = 0
			}
		}
	}
}
