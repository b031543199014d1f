// Package pattern compiles the <Pattern>s of ExtractVariables and DataCapture:
// text with {variables} and wildcards that takes values apart.
package pattern

import (
	"fmt"
	"strings"
)

// Pattern is a compiled <Pattern>. Text, {variable}, "*" and, in paths, "**";
// "%" takes the meaning from the character that follows. The whole value must
// match.
//
// In a path a variable or "*" stays within one segment and "**" stands for one
// or more whole segments, at its start also for none; the first slash may be left
// out. Elsewhere a variable or "*" is any run of characters, the shortest that lets
// the rest match.
type Pattern struct {
	path     bool
	fold     bool
	segments [][]token // of a path; else one
	names    []string  // of the variables, in order
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	wildcard           // "*"
	variable           // "{name}"
	levels             // "**", a whole segment of a path
)

type token struct {
	kind tokenKind
	text string // of a literal, folded if case does not matter
}

// Compile compiles the text of a pattern. The error starts with the name
// that Apigee gives to it.
func Compile(src string, path, fold bool) (*Pattern, error) {
	p := &Pattern{path: path, fold: fold}
	var seg []token
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			seg = append(seg, token{literal, p.fixed(lit.String())})
			lit.Reset()
		}
	}
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '%' && i+1 < len(src):
			i++
			lit.WriteByte(src[i])
		case c == '{':
			end := strings.IndexByte(src[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("InvalidPattern: pattern %q: { without }", src)
			}
			name := strings.TrimSpace(src[i+1 : i+end])
			if name == "" || strings.ContainsAny(name, "{*/ ") {
				return nil, fmt.Errorf("InvalidPattern: pattern %q: %q is no variable name", src, name)
			}
			flush()
			seg = append(seg, token{kind: variable})
			p.names = append(p.names, name)
			i += end
		case c == '}':
			return nil, fmt.Errorf("InvalidPattern: pattern %q: } without {", src)
		case c == '*':
			flush()
			if path && i+1 < len(src) && src[i+1] == '*' {
				i++
				seg = append(seg, token{kind: levels})
			} else if n := len(seg); n == 0 || seg[n-1].kind != wildcard {
				seg = append(seg, token{kind: wildcard})
			}
		case c == '/' && path:
			flush()
			p.segments = append(p.segments, seg)
			seg = nil
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	p.segments = append(p.segments, seg)
	if path && !strings.HasPrefix(src, "/") && !strings.HasPrefix(src, "**") {
		// A path starts with a slash: the template of Apigee's console leaves it out.
		p.segments = append([][]token{nil}, p.segments...)
	}
	if len(p.names) == 0 {
		return nil, fmt.Errorf("PatternWithoutVariable: pattern %q has no {variable}", src)
	}
	return p, p.checkLevels(src)
}

// Names are the names of the variables, in order.
func (p *Pattern) Names() []string { return p.names }

// Segments is how many segments a pattern of a path has; others have one.
func (p *Pattern) Segments() int { return len(p.segments) }

func (p *Pattern) fixed(s string) string {
	if p.fold {
		return strings.ToLower(s)
	}
	return s
}

func (p *Pattern) checkLevels(src string) error {
	for _, seg := range p.segments {
		for _, t := range seg {
			if t.kind == levels && len(seg) > 1 {
				return fmt.Errorf("InvalidPattern: pattern %q: ** is not a whole segment", src)
			}
		}
	}
	return nil
}

// Captures are the texts of the variables of a pattern, in order. The first
// few need no memory of their own.
type Captures struct {
	n     int
	first [8]string
	rest  []string
}

func (c *Captures) push(s string) {
	if c.n < len(c.first) {
		c.first[c.n] = s
	} else {
		c.rest = append(c.rest[:c.n-len(c.first)], s)
	}
	c.n++
}

// At is the text of the i-th variable.
func (c *Captures) At(i int) string {
	if i < len(c.first) {
		return c.first[i]
	}
	return c.rest[i-len(c.first)]
}

// Match reports whether s matches, and leaves the texts of the variables in c.
func (p *Pattern) Match(c *Captures, s string) bool {
	c.n = 0
	folded := s
	if p.fold {
		if folded = strings.ToLower(s); len(folded) != len(s) {
			folded = s // a letter that changes its length: no folding then
		}
	}
	if !p.path {
		return matchTokens(c, p.segments[0], s, folded, false)
	}
	return matchSegments(c, p.segments, s, folded) == matched
}

// outcome of matching a part of a path.
type outcome uint8

const (
	failed outcome = iota
	matched
	hopeless // failed, and would at any later place: a "**" had the rest before it
)

// matchSegments matches whole segments.
func matchSegments(c *Captures, segs [][]token, s, folded string) outcome {
	for n, seg := range segs {
		if len(seg) == 1 && seg[0].kind == levels {
			return matchLevels(c, segs[n+1:], s, folded)
		}
		end, last := strings.IndexByte(s, '/'), false
		if end < 0 {
			end, last = len(s), true
		}
		if !matchTokens(c, seg, s[:end], folded[:end], true) {
			return failed
		}
		if final := n == len(segs)-1; final || last {
			if final && last {
				return matched
			}
			return failed
		}
		s, folded = s[end+1:], folded[end+1:]
	}
	return failed
}

// matchLevels matches "**" and what follows it: the first place where the
// segments up to the next "**" match is right, since what that one cannot take
// there it can nowhere.
func matchLevels(c *Captures, rest [][]token, s, folded string) outcome {
	if s == "" {
		return hopeless
	}
	if len(rest) == 0 {
		return matched
	}
	before := c.n
	for i := range len(s) { // at 0 it stands for an empty segment: nothing before the first slash
		if s[i] != '/' {
			continue
		}
		c.n = before
		if how := matchSegments(c, rest, s[i+1:], folded[i+1:]); how != failed {
			return how
		}
	}
	return hopeless
}

// matchTokens matches one segment, or a whole value. full asks for variables
// that are not empty.
func matchTokens(c *Captures, tokens []token, s, folded string, full bool) bool {
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.kind == literal {
			if !strings.HasPrefix(folded, t.text) {
				return false
			}
			s, folded = s[len(t.text):], folded[len(t.text):]
			continue
		}
		least := 0
		if full && (t.kind == variable || len(tokens) == 1) {
			least = 1
		}
		n := runLength(tokens[i+1:], folded, least)
		if n < least {
			return false
		}
		if t.kind == variable {
			c.push(s[:n])
		}
		s, folded = s[n:], folded[n:]
	}
	return s == ""
}

// runLength returns how much of s a wildcard before rest takes: up to the
// first place of the literal that follows, or, if that literal is the end, its
// place at the end; -1 if there is none.
func runLength(rest []token, s string, least int) int {
	if len(rest) == 0 {
		return len(s)
	}
	if rest[0].kind != literal { // {a}{b}: the first takes as little as it may
		return min(least, len(s))
	}
	lit := rest[0].text
	if len(rest) == 1 {
		if !strings.HasSuffix(s, lit) {
			return -1
		}
		return len(s) - len(lit)
	}
	if len(s) < least {
		return -1
	}
	if i := strings.Index(s[least:], lit); i >= 0 {
		return i + least
	}
	return -1
}
