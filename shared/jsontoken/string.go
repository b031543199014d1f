package jsontoken

import (
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string, whose quote is at pos.
func (s *Scanner) string() (Kind, error) {
	i := s.pos + 1
	s.begin = i
	for i < len(s.src) {
		switch c := s.src[i]; {
		case c == '"':
			s.end, s.pos = i, i+1
			return String, nil
		case c == '\\':
			n := escape(s.src[i:])
			if n == 0 {
				return s.fail(i, "Invalid escape")
			}
			i += n
		case c < ' ':
			return s.fail(i, "Invalid character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(s.src[i:])
			if r == utf8.RuneError && n == 1 {
				return s.fail(i, "Invalid UTF-8")
			}
			i += n
		}
	}
	return s.fail(len(s.src), "Unterminated string")
}

// escape returns the length of the escape at the start of b, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Length is the number of UTF-16 units of a string as written, its escapes
// resolved: what Java calls its length.
func Length(data []byte) int {
	n := 0
	for i := 0; i < len(data); n++ {
		switch c := data[i]; {
		case c == '\\' && i+1 < len(data) && data[i+1] == 'u':
			i += 6
		case c == '\\':
			i += 2
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(data[i:])
			if r > 0xffff {
				n++
			}
			i += size
		}
	}
	return n
}

// AppendText appends a string as written with its escapes resolved. Half of a
// surrogate pair becomes U+FFFD. Data must have passed the scanner.
func AppendText(dst, data []byte) []byte {
	for i := 0; i < len(data); {
		c := data[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		if r, ok := hex4(data[i:]); ok {
			i += 6
			if utf16.IsSurrogate(r) {
				low, ok := hex4(data[i:])
				pair := utf16.DecodeRune(r, low)
				if ok && pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, unescaped(data[i+1]))
		i += 2
	}
	return dst
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
