package condition

import (
	"fmt"
	"strings"

	"github.com/perigee-gateway/perigee/shared/javaregex"
)

// matcher is a compiled right side of Matches, MatchesPath or JavaRegex.
type matcher interface{ match(string) bool }

func newMatcher(o op, src string) (matcher, error) {
	switch o {
	case javaRegex:
		re, err := javaregex.Compile(src)
		if err != nil {
			return nil, fmt.Errorf("invalid regular expression: %w", err)
		}
		return regex{re}, nil
	case matchesPath:
		return newPath(src), nil
	}
	return newGlob(src), nil
}

type regex struct{ re *javaregex.Regexp }

// match is false for a match that took too long.
func (r regex) match(s string) bool {
	ok, err := r.re.Matches(s)
	return ok && err == nil
}

// exact is a glob without wildcards.
type exact string

func (e exact) match(s string) bool { return s == string(e) }

// root is MatchesPath "/": the path suffix of a call to the base path itself
// is empty.
type root struct{}

func (root) match(s string) bool { return s == "" || s == "/" }

// piece of a glob.
type piece struct {
	kind pieceKind
	text string // of literal
}

type pieceKind uint8

const (
	literalText pieceKind = iota
	anyOne                // one character other than "/"
	anySegment            // any characters other than "/"
	anyRun                // any characters
)

type glob []piece

// newGlob compiles the right side of Matches: * is any run, % makes the next
// character literal.
func newGlob(src string) matcher {
	var b globBuilder
	for i := 0; i < len(src); i++ {
		switch {
		case src[i] == '%' && i+1 < len(src):
			i++
			b.text.WriteByte(src[i])
		case src[i] == '*':
			b.add(anyRun)
		default:
			b.text.WriteByte(src[i])
		}
	}
	return b.build()
}

// newPath compiles the right side of MatchesPath: * and {name} are one
// segment, * beside other text is part of one, ** is any run.
func newPath(src string) matcher {
	if src == "/" {
		return root{}
	}
	var b globBuilder
	for i := 0; i < len(src); i++ {
		rest := src[i:]
		switch {
		case rest[0] == '%' && len(rest) > 1:
			i++
			b.text.WriteByte(src[i])
		case strings.HasPrefix(rest, "**"):
			i++
			b.add(anyRun)
		case rest[0] == '*':
			b.segment(src, i, i+1)
		case rest[0] == '{' && strings.IndexAny(rest, "}/") > 0 && rest[strings.IndexAny(rest, "}/")] == '}':
			end := strings.IndexByte(rest, '}')
			b.segment(src, i, i+end+1)
			i += end
		default:
			b.text.WriteByte(src[i])
		}
	}
	return b.build()
}

type globBuilder struct {
	pieces glob
	text   strings.Builder
}

func (b *globBuilder) add(k pieceKind) {
	b.flush()
	b.pieces = append(b.pieces, piece{kind: k})
}

// segment adds the wildcard src[from:to]. If it is all of a segment, the
// segment must not be empty.
func (b *globBuilder) segment(src string, from, to int) {
	if (from == 0 || src[from-1] == '/') && (to == len(src) || src[to] == '/') {
		b.add(anyOne)
	}
	b.add(anySegment)
}

func (b *globBuilder) flush() {
	if b.text.Len() > 0 {
		b.pieces = append(b.pieces, piece{text: b.text.String()})
		b.text.Reset()
	}
}

func (b *globBuilder) build() matcher {
	b.flush()
	switch {
	case len(b.pieces) == 0:
		return exact("")
	case len(b.pieces) == 1 && b.pieces[0].kind == literalText:
		return exact(b.pieces[0].text)
	}
	return b.pieces
}

// match tries the wildcards with as little text as possible first. Only the
// last wildcard of a segment and the last ** need be tried again with more:
// whatever the earlier ones could take, these can take too. So time is
// bounded by the product of the lengths.
func (g glob) match(s string) bool {
	type mark struct{ piece, pos int }
	none := mark{piece: -1}
	segment, run := none, none
	i, pos := 0, 0
	for {
		if i == len(g) && pos == len(s) {
			return true
		}
		if i < len(g) {
			if n, ok := g[i].step(s, pos); ok {
				switch g[i].kind {
				case anySegment:
					segment = mark{i + 1, pos}
				case anyRun:
					segment, run = none, mark{i + 1, pos}
				}
				i, pos = i+1, pos+n
				continue
			}
		}
		switch {
		case segment != none && segment.pos < len(s) && s[segment.pos] != '/':
			segment.pos++
			i, pos = segment.piece, segment.pos
		case run != none && run.pos < len(s):
			segment = none
			run.pos++
			i, pos = run.piece, run.pos
		default:
			return false
		}
	}
}

// step returns how much of s the piece takes at least.
func (p piece) step(s string, pos int) (int, bool) {
	switch p.kind {
	case literalText:
		return len(p.text), strings.HasPrefix(s[pos:], p.text)
	case anyOne:
		return 1, pos < len(s) && s[pos] != '/'
	}
	return 0, true
}
