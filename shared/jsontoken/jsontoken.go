// Package jsontoken reads JSON that a caller sent, token by token: no tree, no
// allocation per token, one bit of memory per level of nesting.
//
// It takes what RFC 8259 allows and nothing else: no comments, no trailing
// commas, no NaN. Names may repeat. A byte order mark at the start is skipped.
//
// Source: https://www.rfc-editor.org/rfc/rfc8259
package jsontoken

import (
	"bytes"
	"fmt"
)

// Kind is the type of a token.
type Kind uint8

// The kinds of token.
const (
	EOF Kind = iota
	ObjectStart
	ObjectEnd
	ArrayStart
	ArrayEnd
	Name // of a member
	String
	Number
	True
	False
	Null
)

// Error says where a text is no JSON.
type Error struct {
	// Offset is the place in bytes, Line its line, from 1.
	Offset, Line int
	Msg          string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at line %d", e.Msg, e.Line) }

// expect is what may come next.
type expect uint8

const (
	topValue expect = iota
	value
	valueOrEnd // of an array
	name
	nameOrEnd // of an object
	colon
	commaOrEnd
	nothing
)

// Scanner reads one text. It may be used again after Reset.
type Scanner struct {
	src      []byte
	pos      int
	begin    int
	end      int
	want     expect
	depth    int
	maxDepth int
	objects  []uint64 // a bit for each level that is an object
}

// Reset begins to read src, which must not change while it is read. Nesting
// deeper than maxDepth is an error; 0 is no limit.
func (s *Scanner) Reset(src []byte, maxDepth int) {
	*s = Scanner{src: bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")), maxDepth: maxDepth, objects: s.objects[:0]}
}

// Data is the token as written; of a string and a name without the quotes.
func (s *Scanner) Data() []byte { return s.src[s.begin:s.end] }

// Depth is the number of objects and arrays that are open; one that starts
// counts, one that ends does not.
func (s *Scanner) Depth() int { return s.depth }

// Line is the line that the current token begins in, from 1. It is counted when
// it is asked for.
func (s *Scanner) Line() int { return s.line(s.begin) }

// Offset is how many bytes were read so far, without a byte order mark.
func (s *Scanner) Offset() int { return s.pos }

func (s *Scanner) line(at int) int {
	return 1 + bytes.Count(s.src[:min(at, len(s.src))], []byte{'\n'})
}

func (s *Scanner) fail(at int, msg string) (Kind, error) {
	return EOF, &Error{Offset: at, Line: s.line(at), Msg: msg}
}

// Next reads the next token. After EOF or an error the scanner must be Reset.
func (s *Scanner) Next() (Kind, error) {
	c, ok := s.peek()
	if s.want == colon {
		if !ok || c != ':' {
			return s.fail(s.pos, "Expecting :")
		}
		s.pos++
		s.want = value
		c, ok = s.peek()
	}
	if s.want == commaOrEnd {
		switch {
		case ok && c == ',':
			s.pos++
			s.want = value
			if s.inObject() {
				s.want = name
			}
			c, ok = s.peek()
		case ok && (c == '}' || c == ']'):
			return s.closes(c)
		default:
			return s.fail(s.pos, "Expecting , or "+s.closing())
		}
	}
	switch s.want {
	case nothing:
		if ok {
			return s.fail(s.pos, "Expecting end of input")
		}
		return EOF, nil
	case name, nameOrEnd:
		return s.member(c, ok)
	case valueOrEnd:
		if ok && c == ']' {
			return s.closes(c)
		}
	}
	if !ok {
		return s.noValue()
	}
	return s.value(c)
}

// peek skips white space and returns the byte that follows.
func (s *Scanner) peek() (byte, bool) {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c, true
		}
	}
	return 0, false
}

func (s *Scanner) noValue() (Kind, error) {
	if s.want == topValue {
		return s.fail(s.pos, "Expecting { or [")
	}
	return s.fail(s.pos, "Expecting a value")
}

func (s *Scanner) member(c byte, ok bool) (Kind, error) {
	switch {
	case ok && c == '"':
		if kind, err := s.string(); err != nil {
			return kind, err
		}
		s.want = colon
		return Name, nil
	case ok && c == '}' && s.want == nameOrEnd:
		return s.closes(c)
	case s.want == nameOrEnd:
		return s.fail(s.pos, "Expecting a name or }")
	}
	return s.fail(s.pos, "Expecting a name")
}

func (s *Scanner) value(c byte) (Kind, error) {
	switch c {
	case '{':
		return s.opens(ObjectStart)
	case '[':
		return s.opens(ArrayStart)
	case '"':
		kind, err := s.string()
		s.after()
		return kind, err
	case 't':
		return s.word("true", True)
	case 'f':
		return s.word("false", False)
	case 'n':
		return s.word("null", Null)
	}
	if c == '-' || '0' <= c && c <= '9' {
		return s.number()
	}
	return s.noValue()
}

// after says what follows a value.
func (s *Scanner) after() {
	s.want = commaOrEnd
	if s.depth == 0 {
		s.want = nothing
	}
}

func (s *Scanner) opens(kind Kind) (Kind, error) {
	if s.maxDepth > 0 && s.depth == s.maxDepth {
		return s.fail(s.pos, fmt.Sprintf("nested deeper than %d", s.maxDepth))
	}
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	if word == len(s.objects) {
		s.objects = append(s.objects, 0)
	}
	s.want = valueOrEnd
	s.objects[word] &^= bit
	if kind == ObjectStart {
		s.want = nameOrEnd
		s.objects[word] |= bit
	}
	s.depth++
	s.begin, s.end = s.pos, s.pos+1
	s.pos++
	return kind, nil
}

func (s *Scanner) inObject() bool {
	d := s.depth - 1
	return s.objects[d/64]&(1<<(d%64)) != 0
}

func (s *Scanner) closing() string {
	if s.inObject() {
		return "}"
	}
	return "]"
}

func (s *Scanner) closes(c byte) (Kind, error) {
	kind := ArrayEnd
	if s.inObject() {
		kind = ObjectEnd
	}
	if (kind == ObjectEnd) != (c == '}') {
		return s.fail(s.pos, "Expecting , or "+s.closing())
	}
	s.begin, s.end = s.pos, s.pos+1
	s.pos++
	s.depth--
	s.after()
	return kind, nil
}

func (s *Scanner) word(w string, kind Kind) (Kind, error) {
	if !bytes.HasPrefix(s.src[s.pos:], []byte(w)) {
		return s.noValue()
	}
	s.begin, s.end = s.pos, s.pos+len(w)
	s.pos = s.end
	s.after()
	return kind, nil
}

func (s *Scanner) number() (Kind, error) {
	i := s.pos
	if s.src[i] == '-' {
		i++
	}
	n := s.digits(i)
	if n == 0 || n > 1 && s.src[i] == '0' {
		return s.fail(i, "Invalid number")
	}
	i += n
	if i < len(s.src) && s.src[i] == '.' {
		if n = s.digits(i + 1); n == 0 {
			return s.fail(i, "Invalid number")
		}
		i += 1 + n
	}
	if i < len(s.src) && s.src[i]|0x20 == 'e' {
		i++
		if i < len(s.src) && (s.src[i] == '+' || s.src[i] == '-') {
			i++
		}
		if n = s.digits(i); n == 0 {
			return s.fail(i, "Invalid number")
		}
		i += n
	}
	s.begin, s.end, s.pos = s.pos, i, i
	s.after()
	return Number, nil
}

func (s *Scanner) digits(from int) int {
	i := from
	for i < len(s.src) && '0' <= s.src[i] && s.src[i] <= '9' {
		i++
	}
	return i - from
}
