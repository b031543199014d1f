package template

import (
	"strconv"
	"unicode/utf8"
)

// encodeHTML encodes what has a meaning in HTML.
func encodeHTML(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			dst = appendEntity(dst, s[i])
		}
	}
	return dst
}

// appendEntity appends a byte, as its entity if it is one of XML's.
func appendEntity(dst []byte, c byte) []byte {
	switch c {
	case '&':
		return append(dst, "&amp;"...)
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	case '"':
		return append(dst, "&quot;"...)
	case '\'':
		return append(dst, "&apos;"...)
	}
	return append(dst, c)
}

// escapeXML escapes for XML 1.0: control characters that XML cannot hold are
// dropped.
func escapeXML(dst []byte, s string) []byte {
	return escape(dst, s, func(r rune) fate {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return keep
		case r < 0x20 || r == 0xfffe || r == 0xffff:
			return drop
		case 0x7f <= r && r <= 0x84 || 0x86 <= r && r <= 0x9f:
			return encode
		}
		return keep
	})
}

// escapeXML11 escapes for XML 1.1, which can hold control characters as
// numbers.
func escapeXML11(dst []byte, s string) []byte {
	return escape(dst, s, func(r rune) fate {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return keep
		case r == 0 || r == 0xfffe || r == 0xffff:
			return drop
		case r < 0x20 || 0x7f <= r && r <= 0x84 || 0x86 <= r && r <= 0x9f:
			return encode
		}
		return keep
	})
}

type fate uint8

const (
	keep fate = iota
	drop
	encode
)

func escape(dst []byte, s string, judge func(rune) fate) []byte {
	for i, r := range s {
		if 0x20 <= r && r < 0x7f {
			dst = appendEntity(dst, s[i])
			continue
		}
		switch judge(r) {
		case keep:
			dst = utf8.AppendRune(dst, r)
		case encode:
			dst = append(dst, "&#"...)
			dst = strconv.AppendInt(dst, int64(r), 10)
			dst = append(dst, ';')
		}
	}
	return dst
}
