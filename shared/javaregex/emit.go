package javaregex

import (
	"strconv"
	"strings"
	"unicode"
)

// traits are what decides which engine may run a pattern.
type traits struct {
	backtracks bool // needs look-around, back references, possessive …
	endLast    bool // has $ or \Z, always at the end of a branch
}

// inspect finds the traits of n. tail says that nothing follows n.
func (t *traits) inspect(n node, tail bool) {
	switch n := n.(type) {
	case seq:
		for i, s := range n {
			t.inspect(s, tail && i == len(n)-1)
		}
	case alt:
		for _, s := range n {
			t.inspect(s, tail)
		}
	case *group:
		if n.kind != capturing && n.kind != plain {
			t.backtracks = true
		}
		t.inspect(n.sub, tail)
	case *repeat:
		if n.mode == possessive {
			t.backtracks = true
		}
		t.inspect(n.sub, false)
	case *backref:
		t.backtracks = true
	case *assert:
		switch n.kind {
		case beginText, endText, wordEdge, notEdge:
		case endLast, endLastNL:
			t.endLast = true
			if !tail {
				t.backtracks = true
			}
		default:
			t.backtracks = true
		}
	}
}

// nullable reports whether n may match the empty string.
func nullable(n node) bool {
	switch n := n.(type) {
	case *one:
		return false
	case seq:
		for _, s := range n {
			if !nullable(s) {
				return false
			}
		}
	case alt:
		for _, s := range n {
			if nullable(s) {
				return true
			}
		}
		return len(n) == 0
	case *group:
		if n.kind == capturing || n.kind == plain || n.kind == atomic {
			return nullable(n.sub)
		}
	case *repeat:
		return n.min == 0 || nullable(n.sub)
	}
	return true
}

// emitter writes a pattern for one of the two engines.
type emitter struct {
	strings.Builder
	re2   bool
	whole bool // the match must end at the end of the text
}

func (e *emitter) emit(n node) {
	switch n := n.(type) {
	case *one:
		e.set(n.set)
	case seq:
		for _, s := range n {
			e.operand(s)
		}
	case alt:
		for i, s := range n {
			if i > 0 {
				e.WriteByte('|')
			}
			e.emit(s)
		}
	case *group:
		e.WriteString(groupOpen[n.kind])
		e.emit(n.sub)
		e.WriteByte(')')
	case *repeat:
		e.repeat(n)
	case *backref:
		if n.fold {
			e.WriteString(`(?i:\` + strconv.Itoa(n.index) + `)`)
			return
		}
		e.WriteString(`(?:\` + strconv.Itoa(n.index) + `)`)
	case *assert:
		e.assert(n.kind)
	}
}

var groupOpen = [...]string{
	capturing: "(", plain: "(?:", atomic: "(?>", ahead: "(?=", notAhead: "(?!", behind: "(?<=", notBehind: "(?<!",
}

// operand emits a part of a sequence; an alternation needs its own group.
func (e *emitter) operand(n node) {
	if _, ok := n.(alt); ok {
		e.wrapped(n)
		return
	}
	e.emit(n)
}

func (e *emitter) wrapped(n node) {
	e.WriteString("(?:")
	e.emit(n)
	e.WriteByte(')')
}

func (e *emitter) repeat(r *repeat) {
	if r.mode == possessive {
		e.WriteString("(?>")
		defer e.WriteByte(')')
	}
	switch r.sub.(type) {
	case *one, *group:
		e.emit(r.sub)
	default:
		e.wrapped(r.sub)
	}
	switch {
	case r.min == 0 && r.max < 0:
		e.WriteByte('*')
	case r.min == 1 && r.max < 0:
		e.WriteByte('+')
	case r.min == 0 && r.max == 1:
		e.WriteByte('?')
	case r.max < 0:
		e.WriteString("{" + strconv.Itoa(r.min) + ",}")
	case r.min == r.max:
		e.WriteString("{" + strconv.Itoa(r.min) + "}")
	default:
		e.WriteString("{" + strconv.Itoa(r.min) + "," + strconv.Itoa(r.max) + "}")
	}
	if r.mode == lazy {
		e.WriteByte('?')
	}
}

const anyBreak = `(?:\r\n|[\n\r\u0085\u2028\u2029])`

var asserts = [...]string{
	beginText:   `\A`,
	endText:     `\z`,
	endLast:     `(?=` + anyBreak + `?\z)(?<!\r(?=\n))`,
	endLastNL:   `(?=\n?\z)`,
	beginLine:   `(?:\A|(?<=[\n\r\u0085\u2028\u2029])(?<!\r(?=\n)))(?!\z)`,
	endLine:     `(?=` + anyBreak + `|\z)(?<!\r(?=\n))`,
	beginLineNL: `(?:\A|(?<=\n))(?!\z)`,
	endLineNL:   `(?=\n|\z)`,
	wordEdge:    `(?:(?<=[0-9A-Z_a-z])(?![0-9A-Z_a-z])|(?<![0-9A-Z_a-z])(?=[0-9A-Z_a-z]))`,
	notEdge:     `(?:(?<=[0-9A-Z_a-z])(?=[0-9A-Z_a-z])|(?<![0-9A-Z_a-z])(?![0-9A-Z_a-z]))`,
	lastMatch:   `\G`,
}

// re2Asserts are those that the linear engine can express. $ is at the end of
// its branch: where the whole text must match it is \z; elsewhere it may
// swallow the last line terminator, since only whether there is a match is
// asked.
func (e *emitter) assert(k assertKind) {
	if !e.re2 {
		e.WriteString(asserts[k])
		return
	}
	switch k {
	case beginText:
		e.WriteString(`\A`)
	case wordEdge:
		e.WriteString(`\b`)
	case notEdge:
		e.WriteString(`\B`)
	case endLast:
		if !e.whole {
			e.WriteString(`(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?`)
		}
		e.WriteString(`\z`)
	case endLastNL:
		if !e.whole {
			e.WriteString(`\n?`)
		}
		e.WriteString(`\z`)
	default:
		e.WriteString(`\z`)
	}
}

// set writes a rune set in the syntax both engines share.
func (e *emitter) set(s set) {
	if len(s) == 1 && s[0].lo == s[0].hi {
		e.rune(s[0].lo)
		return
	}
	if len(s) == 0 {
		if e.re2 {
			e.WriteString(`[^\x{0}-\x{10ffff}]`)
		} else {
			e.WriteString(`(?!)`)
		}
		return
	}
	if neg := s.negate(); s[0].lo == 0 && s[len(s)-1].hi == unicode.MaxRune {
		if len(neg) == 0 {
			e.WriteString(`(?s:.)`)
			return
		}
		e.WriteString("[^")
		e.ranges(neg)
	} else {
		e.WriteByte('[')
		e.ranges(s)
	}
	e.WriteByte(']')
}

func (e *emitter) ranges(s set) {
	for _, r := range s {
		e.rune(r.lo)
		if r.hi == r.lo {
			continue
		}
		if r.hi > r.lo+1 {
			e.WriteByte('-')
		}
		e.rune(r.hi)
	}
}

// rune writes r so that it means itself, in a class and outside.
func (e *emitter) rune(r rune) {
	switch {
	case r < 0x80 && isAlpha(byte(r)) || '0' <= r && r <= '9' || r == '_':
		e.WriteRune(r)
	case r < 0x20 || 0x7f <= r && r < 0xa0 || 0x2000 <= r && r < 0x2070:
		if e.re2 {
			e.WriteString(`\x{` + strconv.FormatInt(int64(r), 16) + `}`)
			return
		}
		e.WriteString(`\u` + hex4(r))
	case r < 0x80:
		e.WriteByte('\\')
		e.WriteRune(r)
	case 0xd800 <= r && r < 0xe000: // a lone surrogate never occurs in a Go string
		e.WriteRune(unicode.ReplacementChar)
	default:
		e.WriteRune(r)
	}
}

func hex4(r rune) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", 4-len(s)) + s
}
