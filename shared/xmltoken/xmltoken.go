// Package xmltoken reads XML 1.0 that a caller sent, token by token: no tree,
// no allocation per token, and memory bounded by the depth of the document and
// the attributes of one element, both of which are limited.
//
// It checks that the document is well-formed. Document type declarations are
// refused, so there are no entities but the five of XML itself. Namespaces are
// not resolved: names are as written.
//
// Source: https://www.w3.org/TR/xml/ (fifth edition)
package xmltoken

import (
	"bytes"
	"fmt"
)

// Kind is the type of a token.
type Kind uint8

// The kinds of token. An empty element is Start and End.
const (
	EOF Kind = iota
	Start
	End
	Text // with references, as written
	CData
	Comment
	Instruction
)

// Limits of a document that nobody limits otherwise.
const (
	MaxDepth      = 1000   // elements inside each other
	MaxAttributes = 10_000 // of one element
)

// Error says where a document is not well-formed, or what Scanner refuses.
type Error struct {
	// Offset is the place in bytes, Line its line, from 1.
	Offset, Line int
	Msg          string
	// Reason says what kind of error it is.
	Reason Reason
}

// Reason is the kind of an Error.
type Reason uint8

// The kinds of error.
const (
	Malformed Reason = iota
	Premature        // the document ended too early
	TooDeep          // over the limit of nesting
	TooMany          // attributes, over their limit
)

func (e *Error) Error() string { return fmt.Sprintf("%s at line %d", e.Msg, e.Line) }

// Attr is an attribute. Value is as written, without its quotes.
type Attr struct{ Name, Value []byte }

// span is a piece of the document.
type span struct{ from, to int32 }

type attr struct{ name, value span }

// Scanner reads one document. It may be used again after Reset.
type Scanner struct {
	src   []byte
	pos   int
	begin int // of the current token
	kind  Kind
	name  span
	data  span
	attrs []attr
	names table
	open  []span
	empty bool // the start that was read was an empty element
	root  bool // was read

	maxDepth, maxAttrs int
}

// Reset begins to read src, which must not change while it is read. Limits that
// are not positive are MaxDepth and MaxAttributes.
func (s *Scanner) Reset(src []byte, maxDepth, maxAttrs int) {
	if maxDepth <= 0 {
		maxDepth = MaxDepth
	}
	if maxAttrs <= 0 {
		maxAttrs = MaxAttributes
	}
	*s = Scanner{src: src, attrs: s.attrs[:0], names: s.names, open: s.open[:0], maxDepth: maxDepth, maxAttrs: maxAttrs}
}

// Name is the name of an element that starts or ends, or the target of a
// processing instruction.
func (s *Scanner) Name() []byte { return s.slice(s.name) }

// Data is the text of a token: of Text as written, of a processing instruction
// what follows the target.
func (s *Scanner) Data() []byte { return s.slice(s.data) }

// Attrs is the number of attributes of the element that starts.
func (s *Scanner) Attrs() int { return len(s.attrs) }

// Attr is an attribute of the element that starts, from 0 in document order.
func (s *Scanner) Attr(i int) Attr {
	return Attr{s.slice(s.attrs[i].name), s.slice(s.attrs[i].value)}
}

// Depth is the number of elements that are open; the one that starts or ends
// counts.
func (s *Scanner) Depth() int {
	if s.kind == End {
		return len(s.open) + 1
	}
	return len(s.open)
}

// Line is the line that the current token begins in, from 1. It is counted when
// it is asked for.
func (s *Scanner) Line() int { return s.line(s.begin) }

func (s *Scanner) line(at int) int {
	return 1 + bytes.Count(s.src[:min(at, len(s.src))], []byte{'\n'})
}

func (s *Scanner) slice(p span) []byte { return s.src[p.from:p.to] }

// Offset is where the current token ends, in bytes.
func (s *Scanner) Offset() int { return s.pos }

func (s *Scanner) fail(at int, format string, args ...any) error {
	return s.failAs(Malformed, at, format, args...)
}

func (s *Scanner) failAs(r Reason, at int, format string, args ...any) error {
	return &Error{Offset: at, Line: s.line(at), Msg: fmt.Sprintf(format, args...), Reason: r}
}

// premature is the error of a document that ends too early.
func (s *Scanner) premature() error {
	return &Error{Offset: len(s.src), Line: s.line(len(s.src)), Msg: "Premature end of document", Reason: Premature}
}

// Next reads the next token. White space outside of the root element is none.
// After EOF or an error the scanner must be Reset.
func (s *Scanner) Next() (Kind, error) {
	kind, err := s.next()
	s.kind = kind
	return kind, err
}

func (s *Scanner) next() (Kind, error) {
	if s.empty {
		s.empty = false
		s.open = s.open[:len(s.open)-1]
		return End, nil
	}
	if s.pos == 0 {
		if err := s.declaration(); err != nil {
			return EOF, err
		}
	}
	if len(s.open) == 0 {
		s.space()
	}
	s.begin = s.pos
	if s.pos == len(s.src) {
		if len(s.open) > 0 || !s.root {
			return EOF, s.premature()
		}
		return EOF, nil
	}
	if s.src[s.pos] != '<' {
		return s.text()
	}
	return s.markup()
}

func (s *Scanner) markup() (Kind, error) {
	if s.pos+1 == len(s.src) {
		return EOF, s.premature()
	}
	switch s.src[s.pos+1] {
	case '/':
		return s.endTag()
	case '?':
		return s.instruction()
	case '!':
		return s.bang()
	}
	return s.startTag()
}

func (s *Scanner) bang() (Kind, error) {
	switch rest := s.src[s.pos:]; {
	case bytes.HasPrefix(rest, []byte("<!--")):
		return s.comment()
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		return s.cdata()
	case bytes.HasPrefix([]byte("<!--"), rest), bytes.HasPrefix([]byte("<![CDATA["), rest):
		return EOF, s.premature()
	}
	return EOF, s.fail(s.pos, "document type declarations are not allowed")
}

// declaration skips the XML declaration.
func (s *Scanner) declaration() error {
	if !bytes.HasPrefix(s.src, []byte("<?xml")) || len(s.src) == 5 || !isSpace(s.src[5]) {
		return nil
	}
	end := bytes.Index(s.src, []byte("?>"))
	if end < 0 {
		return s.premature()
	}
	decl := s.src[5:end]
	if !validDeclaration(decl) {
		return s.fail(0, "malformed XML declaration")
	}
	s.pos = end + 2
	return nil
}

// until moves behind the next mark and returns what was before it.
func (s *Scanner) until(from int, mark string) (span, error) {
	i := bytes.Index(s.src[from:], []byte(mark))
	if i < 0 {
		return span{}, s.premature()
	}
	p := span{int32(from), int32(from + i)}
	if err := s.chars(p); err != nil {
		return p, err
	}
	s.pos = from + i + len(mark)
	return p, nil
}

func (s *Scanner) comment() (Kind, error) {
	from := s.pos + len("<!--")
	p, err := s.until(from, "--")
	if err != nil {
		return EOF, err
	}
	switch {
	case s.pos == len(s.src):
		return EOF, s.premature()
	case s.src[s.pos] != '>':
		return EOF, s.fail(s.pos-2, "-- is not allowed in a comment")
	}
	s.pos++
	s.data = p
	return Comment, nil
}

func (s *Scanner) cdata() (Kind, error) {
	if len(s.open) == 0 {
		return EOF, s.fail(s.pos, "text outside of the root element")
	}
	p, err := s.until(s.pos+len("<![CDATA["), "]]>")
	s.data = p
	return CData, err
}

func (s *Scanner) instruction() (Kind, error) {
	at := s.pos
	name, err := s.readName(at + 2)
	if err != nil {
		return EOF, err
	}
	if bytes.EqualFold(s.slice(name), []byte("xml")) {
		return EOF, s.fail(at, "XML declaration is not at the start of the document")
	}
	data, err := s.until(int(name.to), "?>")
	if err != nil {
		return EOF, err
	}
	if data.from < data.to && !isSpace(s.src[data.from]) {
		return EOF, s.fail(at, "malformed processing instruction")
	}
	for data.from < data.to && isSpace(s.src[data.from]) {
		data.from++
	}
	s.name, s.data = name, data
	return Instruction, nil
}

func (s *Scanner) text() (Kind, error) {
	if len(s.open) == 0 {
		return EOF, s.fail(s.pos, "text outside of the root element")
	}
	end := bytes.IndexByte(s.src[s.pos:], '<')
	if end < 0 {
		end = len(s.src) - s.pos
	}
	p := span{int32(s.pos), int32(s.pos + end)}
	if i := bytes.Index(s.slice(p), []byte("]]>")); i >= 0 {
		return EOF, s.fail(s.pos+i, "]]> is not allowed in text")
	}
	if err := s.content(p); err != nil {
		return EOF, err
	}
	s.pos, s.data = int(p.to), p
	return Text, nil
}

func (s *Scanner) space() {
	for s.pos < len(s.src) && isSpace(s.src[s.pos]) {
		s.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (s *Scanner) startTag() (Kind, error) {
	name, err := s.readName(s.pos + 1)
	if err != nil {
		return EOF, err
	}
	switch {
	case s.root && len(s.open) == 0:
		return EOF, s.fail(s.begin, "second root element")
	case len(s.open) >= s.maxDepth:
		return EOF, s.failAs(TooDeep, s.begin, "elements are nested deeper than %d", s.maxDepth)
	}
	s.pos, s.name = int(name.to), name
	if err := s.readAttrs(); err != nil {
		return EOF, err
	}
	s.root = true
	s.open = append(s.open, name)
	return Start, nil
}

// readAttrs reads up to the end of the start tag.
func (s *Scanner) readAttrs() error {
	s.attrs = s.attrs[:0]
	for {
		before := s.pos
		s.space()
		if s.pos == len(s.src) {
			return s.premature()
		}
		switch c := s.src[s.pos]; {
		case c == '>':
			s.pos++
			return s.duplicates()
		case c == '/':
			if s.pos+1 == len(s.src) {
				return s.premature()
			}
			if s.src[s.pos+1] != '>' {
				return s.fail(s.pos, "/ is not followed by >")
			}
			s.pos += 2
			s.empty = true
			return s.duplicates()
		case s.pos == before:
			return s.fail(s.pos, "no white space before an attribute")
		}
		if len(s.attrs) == s.maxAttrs {
			return s.failAs(TooMany, s.pos, "more than %d attributes", s.maxAttrs)
		}
		if err := s.readAttr(); err != nil {
			return err
		}
	}
}

func (s *Scanner) readAttr() error {
	name, err := s.readName(s.pos)
	if err != nil {
		return err
	}
	s.pos = int(name.to)
	s.space()
	if s.pos == len(s.src) {
		return s.premature()
	}
	if s.src[s.pos] != '=' {
		return s.fail(s.pos, "attribute without a value")
	}
	s.pos++
	s.space()
	if s.pos == len(s.src) {
		return s.premature()
	}
	quote := s.src[s.pos]
	if quote != '"' && quote != '\'' {
		return s.fail(s.pos, "attribute value is not quoted")
	}
	from := s.pos + 1
	end := bytes.IndexByte(s.src[from:], quote)
	if end < 0 {
		return s.premature()
	}
	value := span{int32(from), int32(from + end)}
	if i := bytes.IndexByte(s.slice(value), '<'); i >= 0 {
		return s.fail(from+i, "< is not allowed in an attribute value")
	}
	if err := s.content(value); err != nil {
		return err
	}
	s.pos = int(value.to) + 1
	s.attrs = append(s.attrs, attr{name, value})
	return nil
}

func (s *Scanner) endTag() (Kind, error) {
	name, err := s.readName(s.pos + 2)
	if err != nil {
		return EOF, err
	}
	n := len(s.open)
	if n == 0 {
		return EOF, s.fail(s.pos, "end tag without a start tag")
	}
	if !bytes.Equal(s.slice(name), s.slice(s.open[n-1])) {
		return EOF, s.fail(s.pos, "end tag does not match the start tag")
	}
	s.pos = int(name.to)
	s.space()
	if s.pos == len(s.src) {
		return EOF, s.premature()
	}
	if s.src[s.pos] != '>' {
		return EOF, s.fail(s.pos, "malformed end tag")
	}
	s.pos++
	s.name, s.open = name, s.open[:n-1]
	return End, nil
}
