package firestore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// Ids of Firestore cannot hold a slash, cannot be "." or "..", and cannot match
// __.*__ (https://cloud.google.com/firestore/quotas#collections_documents_and_fields).
// The escape keeps the order of ids and their prefixes, so that queries need no
// other order than Firestore's:
//
//	.  is ".0" and / is ".1"; they are neighbours in ASCII
//	_  is "_0" from the third character on in an id that starts with "__"
//
// An escaped id that is too long is cut and ends in ".~" and the SHA-256 of the
// id; such a document carries its id in a field.
const (
	maxEscaped = 1500
	hashMark   = ".~"
	maxKept    = maxEscaped - len(hashMark) - 2*sha256.Size
)

var errEscape = errors.New("not an escaped id")

// escapeID is the document id of an id, and whether the id can be told from it.
func escapeID(id string) (escaped string, whole bool) {
	escaped = escape(id)
	if len(escaped) <= maxEscaped {
		return escaped, true
	}
	sum := sha256.Sum256([]byte(id))
	return cut(escaped, maxKept) + hashMark + hex.EncodeToString(sum[:]), false
}

// escape is the escape alone, of an id or a prefix of ids.
func escape(id string) string {
	reserved := strings.HasPrefix(id, "__")
	if !reserved && !strings.ContainsAny(id, "./") {
		return id
	}
	var b strings.Builder
	b.Grow(len(id) + 8)
	for i := range len(id) {
		switch c := id[i]; {
		case c == '.':
			b.WriteString(".0")
		case c == '/':
			b.WriteString(".1")
		case c == '_' && reserved && i >= 2:
			b.WriteString("_0")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescapeID is the reverse of escapeID for ids that are whole.
func unescapeID(s string) (string, error) {
	reserved := strings.HasPrefix(s, "__")
	if !reserved && !strings.Contains(s, ".") {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '.' && (c != '_' || !reserved || i < 2) {
			b.WriteByte(c)
			continue
		}
		i++
		switch {
		case i < len(s) && s[i] == '0':
			b.WriteByte(c)
		case i < len(s) && s[i] == '1' && c == '.':
			b.WriteByte('/')
		default:
			return "", errEscape
		}
	}
	return b.String(), nil
}

// cut is s without what exceeds n bytes, in whole characters and escapes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSuffix(s[:n], ".")
}

// successor is an escaped id greater than all that start with prefix and not
// greater than any other that is greater than those; empty if there is none.
func successor(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch r {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // what follows are surrogates, which UTF-8 leaves out
			r = 0xDFFF
		}
		if prefix += string(r + 1); prefix == "." {
			return ".0" // "." is no id, and all that start with it start with ".0" or ".1"
		}
		return prefix
	}
	return ""
}
