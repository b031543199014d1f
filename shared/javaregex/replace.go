package javaregex

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// ReplaceAll is String.replaceAll. In replacement $1 and ${name} stand for
// groups and a backslash makes the next character literal. The error says what
// is wrong with replacement, or that matching took too long.
func (r *Regexp) ReplaceAll(s, replacement string) (string, error) {
	return r.replace(s, replacement, -1)
}

// ReplaceFirst is String.replaceFirst; see ReplaceAll.
func (r *Regexp) ReplaceFirst(s, replacement string) (string, error) {
	return r.replace(s, replacement, 1)
}

func (r *Regexp) replace(s, replacement string, n int) (string, error) {
	parts, err := r.replacement(replacement)
	if err != nil {
		return "", err
	}
	if r.swap == nil {
		return r.replaceSlow(s, parts, n)
	}
	matches := r.swap.FindAllStringSubmatchIndex(s, n)
	if matches == nil {
		return s, nil
	}
	var b strings.Builder
	last := 0
	for _, m := range matches {
		b.WriteString(s[last:m[0]])
		for _, p := range parts {
			if p.group < 0 {
				b.WriteString(p.text)
			} else if lo := m[2*p.group]; lo >= 0 {
				b.WriteString(s[lo:m[2*p.group+1]])
			}
		}
		last = m[1]
	}
	b.WriteString(s[last:])
	return b.String(), nil
}

func (r *Regexp) replaceSlow(s string, parts []part, n int) (string, error) {
	m, err := r.slow.FindStringMatch(s)
	if err != nil {
		return "", err
	}
	if m == nil {
		return s, nil
	}
	var b strings.Builder
	last := 0
	for ; m != nil && n != 0; n-- {
		lo, size := m.ByteRange()
		b.WriteString(s[last:lo])
		appendParts(&b, s, m, parts)
		last = lo + size
		if m, err = r.slow.FindNextMatch(m); err != nil {
			return "", err
		}
	}
	b.WriteString(s[last:])
	return b.String(), nil
}

func appendParts(b *strings.Builder, s string, m *regexp2.Match, parts []part) {
	for _, p := range parts {
		if p.group < 0 {
			b.WriteString(p.text)
			continue
		}
		if g := m.GroupByNumber(p.group); g != nil && len(g.Captures) > 0 {
			lo, size := g.ByteRange()
			b.WriteString(s[lo : lo+size])
		}
	}
}

// part of a replacement: text, or a group if group is not negative.
type part struct {
	text  string
	group int
}

var errGroup = errors.New("illegal group reference")

// replacement splits a replacement as Matcher.appendReplacement does.
func (r *Regexp) replacement(s string) ([]part, error) {
	if !strings.ContainsAny(s, `\$`) {
		return []part{{text: s, group: -1}}, nil
	}
	var parts []part
	var text strings.Builder
	for i := 0; i < len(s); {
		switch s[i] {
		case '\\':
			i++
			if i == len(s) {
				return nil, errors.New("character to be escaped is missing")
			}
			_, n := utf8.DecodeRuneInString(s[i:])
			text.WriteString(s[i : i+n])
			i += n
		case '$':
			g, n, err := r.reference(s[i+1:])
			if err != nil {
				return nil, err
			}
			parts = append(parts, part{text: text.String(), group: -1}, part{group: g})
			text.Reset()
			i += 1 + n
		default:
			text.WriteByte(s[i])
			i++
		}
	}
	return append(parts, part{text: text.String(), group: -1}), nil
}

// reference reads what follows a $: a group's number or {name}; n is its
// length.
func (r *Regexp) reference(s string) (group, n int, err error) {
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return 0, 0, errGroup
		}
		g, ok := r.names[s[1:end]]
		if !ok {
			return 0, 0, fmt.Errorf("no group with name {%s}", s[1:end])
		}
		return g, end + 1, nil
	}
	if s == "" || !isDigit(s[0]) {
		return 0, 0, errGroup
	}
	group, n = int(s[0]-'0'), 1
	if group > r.groups {
		return 0, 0, fmt.Errorf("no group %d", group)
	}
	for n < len(s) && isDigit(s[n]) && group*10+int(s[n]-'0') <= r.groups {
		group = group*10 + int(s[n]-'0')
		n++
	}
	return group, n, nil
}
