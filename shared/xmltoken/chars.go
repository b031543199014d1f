package xmltoken

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// readName reads the name at from.
func (s *Scanner) readName(from int) (span, error) {
	i := from
	for i < len(s.src) {
		c := s.src[i]
		if c < utf8.RuneSelf {
			if !nameByte[c] || i == from && !nameStart(rune(c)) {
				break
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(s.src[i:])
		if r == utf8.RuneError && n == 1 {
			return span{}, s.fail(i, "text is not valid UTF-8")
		}
		if !nameStart(r) && (i == from || !nameRest(r)) {
			break
		}
		i += n
	}
	switch {
	case i > from:
		return span{int32(from), int32(i)}, nil
	case i >= len(s.src):
		return span{}, s.premature()
	}
	return span{}, s.fail(from, "no name where one is expected")
}

var nameByte = func() (t [utf8.RuneSelf]bool) {
	for c := range rune(utf8.RuneSelf) {
		t[c] = nameStart(c) || nameRest(c)
	}
	return t
}()

// nameStart is NameStartChar, production 4.
func nameStart(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '_', r == ':':
		return true
	case r < 0xc0:
		return false
	}
	return r != 0xd7 && r != 0xf7 && r <= 0x2ff || 0x370 <= r && r <= 0x1fff && r != 0x37e ||
		r == 0x200c || r == 0x200d || 0x2070 <= r && r <= 0x218f || 0x2c00 <= r && r <= 0x2fef ||
		0x3001 <= r && r <= 0xd7ff || 0xf900 <= r && r <= 0xfdcf || 0xfdf0 <= r && r <= 0xfffd ||
		0x10000 <= r && r <= 0xeffff
}

// nameRest is what NameChar, production 4a, has beyond NameStartChar.
func nameRest(r rune) bool {
	return r == '-' || r == '.' || '0' <= r && r <= '9' || r == 0xb7 || 0x300 <= r && r <= 0x36f || r == 0x203f || r == 0x2040
}

// IsName reports whether s is a name without a colon: an NCName.
func IsName(s string) bool {
	for i, r := range s {
		if r == ':' || !nameStart(r) && (i == 0 || !nameRest(r)) {
			return false
		}
	}
	return s != ""
}

// IsNameRune reports whether r may be in a name, at its start if first.
func IsNameRune(r rune, first bool) bool { return nameStart(r) || !first && nameRest(r) }

// chars checks the characters of a piece: production 2.
func (s *Scanner) chars(p span) error {
	for i := int(p.from); i < int(p.to); {
		c := s.src[i]
		if c >= ' ' && c < utf8.RuneSelf {
			i++
			continue
		}
		n, err := s.char(i)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// char checks one character and returns its length.
func (s *Scanner) char(i int) (int, error) {
	r, n := utf8.DecodeRune(s.src[i:])
	if r == utf8.RuneError && n <= 1 {
		return 0, s.fail(i, "text is not valid UTF-8")
	}
	if !IsChar(r) {
		return 0, s.fail(i, "character %U is not allowed in XML", r)
	}
	return n, nil
}

// IsChar reports whether XML may hold a character.
func IsChar(r rune) bool {
	return r >= ' ' && r <= 0xd7ff || r == '\t' || r == '\n' || r == '\r' || 0xe000 <= r && r <= 0xfffd || 0x10000 <= r && r <= unicode.MaxRune
}

// content checks the characters and references of a piece.
func (s *Scanner) content(p span) error {
	for i := int(p.from); i < int(p.to); {
		c := s.src[i]
		if c == '&' {
			_, n := reference(s.src[i:p.to])
			if n == 0 {
				return s.fail(i, "reference to an unknown entity")
			}
			i += n
			continue
		}
		if c >= ' ' && c < utf8.RuneSelf {
			i++
			continue
		}
		n, err := s.char(i)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// maxReference is the length of the longest reference that is looked at.
const maxReference = 16

// reference resolves the reference at the start of b; n is its length, 0 if
// there is none that is known.
func reference(b []byte) (r rune, n int) {
	end := bytes.IndexByte(b[:min(len(b), maxReference)], ';')
	if end < 2 {
		return 0, 0
	}
	switch name := b[1:end]; {
	case string(name) == "lt":
		r = '<'
	case string(name) == "gt":
		r = '>'
	case string(name) == "amp":
		r = '&'
	case string(name) == "quot":
		r = '"'
	case string(name) == "apos":
		r = '\''
	case name[0] == '#':
		var ok bool
		if r, ok = number(name[1:]); !ok {
			return 0, 0
		}
	default:
		return 0, 0
	}
	return r, end + 1
}

func number(digits []byte) (rune, bool) {
	base := 10
	if hex, ok := bytes.CutPrefix(digits, []byte("x")); ok {
		digits, base = hex, 16
	}
	if len(digits) == 0 || digits[0] == '+' || digits[0] == '-' || digits[0] == '_' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil || v > unicode.MaxRune || !IsChar(rune(v)) {
		return 0, false
	}
	return rune(v), true
}

// AppendText appends text with its references resolved and its line ends made
// "\n". Data of Text must have passed the scanner.
func AppendText(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '&':
			r, n := reference(text[i:])
			if n == 0 {
				dst = append(dst, c)
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += n - 1
		case '\r':
			if i+1 == len(text) || text[i+1] != '\n' {
				dst = append(dst, '\n')
			}
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendValue is AppendText for the value of an attribute, in which white space
// becomes blanks (section 3.3.3).
func AppendValue(dst, value []byte) []byte {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case '&':
			r, n := reference(value[i:])
			if n == 0 {
				dst = append(dst, c)
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += n - 1
		case '\r':
			if i+1 == len(value) || value[i+1] != '\n' {
				dst = append(dst, ' ')
			}
		case '\n', '\t':
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendCData appends the data of a CDATA section with its line ends made "\n".
func AppendCData(dst, data []byte) []byte {
	for i, c := range data {
		switch {
		case c != '\r':
			dst = append(dst, c)
		case i+1 == len(data) || data[i+1] != '\n':
			dst = append(dst, '\n')
		}
	}
	return dst
}

// Length is the number of UTF-16 units of text with its references resolved:
// what Java calls its length.
func Length(text []byte) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] == '&' {
			if r, size := reference(text[i:]); size > 0 {
				n += units(r)
				i += size
				continue
			}
		}
		r, size := utf8.DecodeRune(text[i:])
		n += units(r)
		i += size
	}
	return n
}

func units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}
