package javaregex

import (
	"slices"
	"strings"
	"unicode"
)

// set is a set of runes: sorted ranges that neither overlap nor touch.
type set []span

type span struct{ lo, hi rune }

func single(r rune) set { return set{{r, r}} }

func spans(pairs ...rune) set {
	s := make(set, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, span{pairs[i], pairs[i+1]})
	}
	return s.normal()
}

func (s set) normal() set {
	slices.SortFunc(s, func(a, b span) int { return int(a.lo - b.lo) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s set) union(t set) set { return append(slices.Clone(s), t...).normal() }

func (s set) negate() set {
	out := make(set, 0, len(s)+1)
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, span{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, span{next, unicode.MaxRune})
	}
	return out
}

func (s set) intersect(t set) set { return s.negate().union(t.negate()).negate() }

// fold adds the other case of every letter: of ASCII letters only, as Java
// does by default, or of all with UNICODE_CASE.
func (s set) fold(all bool) set {
	out := slices.Clone(s)
	for _, r := range s {
		for _, letters := range []span{{'a', 'z'}, {'A', 'Z'}} {
			lo, hi := max(r.lo, letters.lo), min(r.hi, letters.hi)
			if lo <= hi {
				out = append(out, span{lo ^ 0x20, hi ^ 0x20})
			}
		}
		if all {
			out = append(out, foldSpan(r)...)
		}
	}
	return out.normal()
}

// foldSpan lists the case variants of the runes of r. Sets as wide as a
// negated class hold both cases anyway and are left alone.
func foldSpan(r span) []span {
	const wide = 0x3000
	if r.hi-r.lo > wide {
		return nil
	}
	var out []span
	for c := r.lo; c <= r.hi; c++ {
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			out = append(out, span{f, f})
		}
	}
	return out
}

func table(t *unicode.RangeTable) set {
	var s set
	for _, r := range t.R16 {
		s = appendStride(s, rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		s = appendStride(s, rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return s.normal()
}

func appendStride(s set, lo, hi, stride rune) set {
	if stride == 1 {
		return append(s, span{lo, hi})
	}
	for r := lo; r <= hi; r += stride {
		s = append(s, span{r, r})
	}
	return s
}

func tables(names ...string) set {
	var s set
	for _, n := range names {
		s = append(s, table(unicode.Categories[n])...)
	}
	return s.normal()
}

// Java's predefined classes. They are ASCII unless said otherwise.
var (
	setDigit = spans('0', '9')
	setLower = spans('a', 'z')
	setUpper = spans('A', 'Z')
	setAlpha = spans('A', 'Z', 'a', 'z')
	setAlnum = spans('0', '9', 'A', 'Z', 'a', 'z')
	setWord  = spans('0', '9', 'A', 'Z', '_', '_', 'a', 'z')
	setSpace = spans('\t', '\r', ' ', ' ')
	setPunct = spans('!', '/', ':', '@', '[', '`', '{', '~')
	setHoriz = spans('\t', '\t', ' ', ' ', 0xa0, 0xa0, 0x1680, 0x1680, 0x180e, 0x180e, 0x2000, 0x200a, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000)
	setVert  = spans('\n', '\r', 0x85, 0x85, 0x2028, 0x2029)
	// setLine are the line terminators that . does not match.
	setLine     = spans('\n', '\n', '\r', '\r', 0x85, 0x85, 0x2028, 0x2029)
	setUnixLine = spans('\n', '\n')
)

var posix = map[string]set{
	"Lower": setLower, "Upper": setUpper, "ASCII": spans(0, 0x7f), "Alpha": setAlpha,
	"Digit": setDigit, "Alnum": setAlnum, "Punct": setPunct, "Graph": spans('!', '~'),
	"Print": spans(' ', '~'), "Blank": spans('\t', '\t', ' ', ' '), "Cntrl": spans(0, 0x1f, 0x7f, 0x7f),
	"XDigit": spans('0', '9', 'A', 'F', 'a', 'f'), "Space": setSpace, "L1": spans(0, 0xff),
}

// blocks are the Unicode blocks that \p{In…} knows here: those of scripts in
// everyday use.
var blocks = map[string]span{
	"basiclatin": {0, 0x7f}, "latin1supplement": {0x80, 0xff}, "latinextendeda": {0x100, 0x17f},
	"latinextendedb": {0x180, 0x24f}, "ipaextensions": {0x250, 0x2af}, "greek": {0x370, 0x3ff},
	"greekandcoptic": {0x370, 0x3ff}, "cyrillic": {0x400, 0x4ff}, "armenian": {0x530, 0x58f},
	"hebrew": {0x590, 0x5ff}, "arabic": {0x600, 0x6ff}, "devanagari": {0x900, 0x97f}, "thai": {0xe00, 0xe7f},
	"georgian": {0x10a0, 0x10ff}, "hanguljamo": {0x1100, 0x11ff}, "generalpunctuation": {0x2000, 0x206f},
	"currencysymbols": {0x20a0, 0x20cf}, "arrows": {0x2190, 0x21ff}, "mathematicaloperators": {0x2200, 0x22ff},
	"boxdrawing": {0x2500, 0x257f}, "hiragana": {0x3040, 0x309f}, "katakana": {0x30a0, 0x30ff},
	"cjkunifiedideographs": {0x4e00, 0x9fff}, "hangulsyllables": {0xac00, 0xd7af}, "emoticons": {0x1f600, 0x1f64f},
}

func squash(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// property returns the set of \p{name}.
func property(name string) (set, bool) {
	if s, ok := posix[name]; ok {
		return s, true
	}
	if key, value, ok := strings.Cut(name, "="); ok {
		switch strings.ToLower(key) {
		case "sc", "script":
			return script(value)
		case "blk", "block":
			return block(value)
		case "gc", "general_category":
			return category(value)
		}
		return nil, false
	}
	if s, ok := category(name); ok {
		return s, true
	}
	switch {
	case strings.HasPrefix(name, "Is"):
		return isProperty(name[2:])
	case strings.HasPrefix(name, "In"):
		return block(name[2:])
	case strings.HasPrefix(name, "java"):
		return javaProperty(name[4:])
	}
	return nil, false
}

func category(name string) (set, bool) {
	if name == "LC" {
		return tables("Lu", "Ll", "Lt"), true
	}
	if len(name) > 2 {
		return nil, false // Go's long names are not Java's
	}
	t, ok := unicode.Categories[name]
	if !ok {
		return nil, false
	}
	return table(t), true
}

func script(name string) (set, bool) {
	for n, t := range unicode.Scripts {
		if strings.EqualFold(n, name) {
			return table(t), true
		}
	}
	return nil, false
}

func block(name string) (set, bool) {
	b, ok := blocks[squash(name)]
	return set{b}, ok
}

func isProperty(name string) (set, bool) {
	if s, ok := category(name); ok {
		return s, true
	}
	switch strings.ToLower(name) {
	case "alphabetic":
		return tables("L", "Nl").union(table(unicode.Other_Alphabetic)), true
	case "ideographic":
		return table(unicode.Ideographic), true
	case "letter":
		return tables("L"), true
	case "lowercase":
		return tables("Ll").union(table(unicode.Other_Lowercase)), true
	case "uppercase":
		return tables("Lu").union(table(unicode.Other_Uppercase)), true
	case "titlecase":
		return tables("Lt"), true
	case "punctuation":
		return tables("P"), true
	case "control":
		return tables("Cc"), true
	case "white_space", "whitespace":
		return table(unicode.White_Space), true
	case "digit":
		return tables("Nd"), true
	case "hex_digit", "hexdigit":
		return table(unicode.Hex_Digit), true
	case "assigned":
		return tables("L", "M", "N", "P", "S", "Z", "C"), true
	}
	return script(name)
}

func javaProperty(name string) (set, bool) {
	switch name {
	case "LowerCase":
		return isProperty("lowercase")
	case "UpperCase":
		return isProperty("uppercase")
	case "TitleCase":
		return tables("Lt"), true
	case "Digit":
		return tables("Nd"), true
	case "Letter":
		return tables("L"), true
	case "LetterOrDigit":
		return tables("L", "Nd"), true
	case "Alphabetic":
		return isProperty("alphabetic")
	case "Whitespace":
		odd := spans(0xa0, 0xa0, 0x2007, 0x2007, 0x202f, 0x202f)
		return tables("Z").intersect(odd.negate()).union(spans('\t', '\r', 0x1c, 0x1f)), true
	case "SpaceChar":
		return tables("Z"), true
	case "ISOControl":
		return spans(0, 0x1f, 0x7f, 0x9f), true
	}
	return nil, false
}
