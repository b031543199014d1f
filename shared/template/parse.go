package template

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// parse splits a template into pieces. Neighbouring texts are joined.
func parse(src string, o options) ([]piece, error) {
	var pieces []piece
	start := 0 // of text not yet in pieces
	add := func(p piece) {
		if l, ok := p.(literal); ok {
			if l == "" {
				return
			}
			if n := len(pieces); n > 0 {
				if last, ok := pieces[n-1].(literal); ok {
					pieces[n-1] = last + l
					return
				}
			}
		}
		pieces = append(pieces, p)
	}
	for i := 0; i < len(src); {
		j := strings.Index(src[i:], o.prefix)
		if j < 0 {
			break
		}
		i += j
		p, n, err := placeholder(src, i, o)
		if err != nil {
			return nil, err
		}
		if n == 0 { // just a brace
			i++
			continue
		}
		add(literal(src[start:i]))
		add(p)
		i += n
		start = i
	}
	add(literal(src[start:]))
	return pieces, nil
}

// placeholder reads what begins with the prefix at src[at:]; n is its length,
// 0 if it is none.
func placeholder(src string, at int, o options) (p piece, n int, err error) {
	s := scanner{src: src, pos: at + len(o.prefix), suffix: o.suffix}
	name := s.name()
	if name == "" {
		return nil, 0, nil
	}
	if s.accept(o.suffix) {
		return &reference{v: flow.Compile(name)}, s.pos - at, nil
	}
	if s.accept("(") {
		f, ok := functions[name]
		if !ok {
			return nil, 0, nil
		}
		args, ok := s.arguments()
		if !ok {
			return nil, 0, nil
		}
		p, err := newCall(name, f, args)
		if err != nil {
			return nil, 0, &Error{Source: src, Offset: at, Msg: err.Error()}
		}
		return p, s.pos - at, nil
	}
	if !s.accept(":") {
		return nil, 0, nil
	}
	def, ok := s.until(o.suffix)
	if !ok || strings.Contains(def, o.prefix) || strings.ContainsAny(def, "\r\n") {
		return nil, 0, nil
	}
	return &reference{v: flow.Compile(name), def: def, hasDefault: true}, s.pos - at, nil
}

type scanner struct {
	src    string
	pos    int
	suffix string
}

func (s *scanner) accept(text string) bool {
	if !strings.HasPrefix(s.src[s.pos:], text) {
		return false
	}
	s.pos += len(text)
	return true
}

// maxLiteral bounds a default and a quoted argument, in bytes; so that text
// full of braces takes no time quadratic in its length.
const maxLiteral = 2 << 10

// ahead is what a literal that begins here may reach.
func (s *scanner) ahead() string {
	return s.src[s.pos:min(len(s.src), s.pos+maxLiteral)]
}

// until reads up to and over mark.
func (s *scanner) until(mark string) (string, bool) {
	i := strings.Index(s.ahead(), mark)
	if i < 0 {
		return "", false
	}
	text := s.src[s.pos : s.pos+i]
	s.pos += i + len(mark)
	return text, true
}

// name reads the name of a variable or function: it begins with a letter and
// holds letters, digits, and signs that names of headers and policies have.
func (s *scanner) name() string {
	start := s.pos
	for s.pos < len(s.src) && !strings.HasPrefix(s.src[s.pos:], s.suffix) {
		c := s.src[s.pos]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= 0x80
		if !letter && (s.pos == start || !isDigit(c) && strings.IndexByte("-.$#@", c) < 0) {
			break
		}
		s.pos++
	}
	return s.src[start:s.pos]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// argument of a function: text, or a variable.
type argument struct {
	text string
	ref  *reference // nil for text
}

// arguments reads what follows the opening parenthesis of a call, up to and
// over the suffix. No blanks are allowed outside of quotes.
func (s *scanner) arguments() (args []argument, ok bool) {
	end := ")" + s.suffix
	if s.accept(end) {
		return nil, true
	}
	for {
		a, ok := s.argument(end)
		if !ok {
			return nil, false
		}
		args = append(args, a)
		if s.accept(end) {
			return args, true
		}
		if !s.accept(",") {
			return nil, false
		}
	}
}

func (s *scanner) argument(end string) (argument, bool) {
	if s.accept("'") {
		text, ok := s.quoted(end)
		return argument{text: text}, ok
	}
	start := s.pos
	if s.number() || s.word("true") || s.word("false") {
		return argument{text: s.src[start:s.pos]}, true
	}
	name := s.name()
	if name == "" {
		return argument{}, false
	}
	r := &reference{v: flow.Compile(name)}
	if s.accept(":") {
		n := strings.IndexAny(s.ahead(), ",)")
		if n < 0 {
			return argument{}, false
		}
		r.def, r.hasDefault = s.src[s.pos:s.pos+n], true
		s.pos += n
	}
	return argument{ref: r}, true
}

// quoted reads text up to its closing quote: one that an argument or the call
// ends after, since quotes may stand inside time patterns and paths.
func (s *scanner) quoted(end string) (string, bool) {
	for i := s.pos; i < s.pos+len(s.ahead()); i++ {
		if s.src[i] != '\'' {
			continue
		}
		rest := s.src[i+1:]
		if strings.HasPrefix(rest, ",") || strings.HasPrefix(rest, end) {
			text := s.src[s.pos:i]
			s.pos = i + 1
			return text, true
		}
	}
	return "", false
}

// number reads an integer that is a whole argument.
func (s *scanner) number() bool {
	i := s.pos
	if i < len(s.src) && s.src[i] == '-' {
		i++
	}
	start := i
	for i < len(s.src) && isDigit(s.src[i]) {
		i++
	}
	if i == start || i == len(s.src) || s.src[i] != ',' && s.src[i] != ')' {
		return false
	}
	s.pos = i
	return true
}

func (s *scanner) word(w string) bool {
	rest, ok := strings.CutPrefix(s.src[s.pos:], w)
	if !ok || rest == "" || rest[0] != ',' && rest[0] != ')' {
		return false
	}
	s.pos += len(w)
	return true
}
