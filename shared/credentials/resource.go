package credentials

import (
	"slices"
	"strings"
)

// resource is a resource path of a product, ready to be matched with the path
// suffix of a call.
type resource struct {
	text string
	// all says that it is "/", which stands for every path.
	all bool
	// pattern are the segments; "**" is compiled into one and any more.
	pattern []string
	rest    bool // has "**"
	// literals is the number of segments without a wildcard.
	literals int
}

const (
	anyOne  = "*"
	anyMore = "**" // in a pattern: none or more segments
)

// compileResource compiles a resource path. It never fails: a wildcard that is no
// whole segment stands for itself.
// Source: management reference, "Resource matching"
func compileResource(text string) resource {
	r := resource{text: text}
	path := strings.TrimPrefix(text, "/")
	if path == "" {
		r.all = true
		return r
	}
	for s := range strings.SplitSeq(path, "/") {
		switch s {
		case anyMore:
			r.rest = true
			r.pattern = append(r.pattern, anyOne, anyMore)
		case anyOne:
			r.pattern = append(r.pattern, anyOne)
		default:
			r.literals++
			r.pattern = append(r.pattern, s)
		}
	}
	return r
}

// matches reports whether the resource stands for a path suffix.
func (r *resource) matches(p *path) bool {
	if r.all {
		return true
	}
	if p.base || p.relative {
		return false
	}
	return matchSegments(r.pattern, p.segments)
}

// matchSegments matches as globs do: the last anyMore takes one segment more
// whenever what follows it does not match.
func matchSegments(pattern, segments []string) bool {
	i, j, more, mark := 0, 0, -1, 0
	for j < len(segments) {
		switch {
		case i < len(pattern) && pattern[i] == anyMore:
			more, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == segments[j] || pattern[i] == anyOne && segments[j] != ""):
			i++
			j++
		case more >= 0:
			mark++
			i, j = more+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == anyMore {
		i++
	}
	return i == len(pattern)
}

// path is the path suffix of a call in its segments.
type path struct {
	segments []string
	// base says that there is nothing behind the base path.
	base bool
	// relative says that it has a segment "." or "..": what it means is for the
	// target to say, so it is allowed only where everything is.
	relative bool
}

// segments is memory for those of an ordinary path, on the stack of who matches
// it.
type segments [16]string

func splitPath(suffix string, buf []string) path {
	suffix = strings.TrimPrefix(suffix, "/")
	if suffix == "" {
		return path{base: true}
	}
	p := path{segments: buf}
	for more := true; more; {
		var s string
		s, suffix, more = strings.Cut(suffix, "/")
		p.segments = append(p.segments, s)
		p.relative = p.relative || isDots(s)
	}
	return p
}

// isDots reports whether a segment is "." or "..", escaped or not. A parameter
// behind a semicolon does not count.
func isDots(s string) bool {
	s, _, _ = strings.Cut(s, ";")
	if len(s) == 0 || len(s) > 6 {
		return false
	}
	dots := 0
	for s != "" {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && (s[2] == 'e' || s[2] == 'E'):
			s = s[3:]
		default:
			return false
		}
		dots++
	}
	return dots <= 2
}

// moreInclusive orders resources: of several that match, the one that stands for
// more is taken.
// Source: management reference, "Resource matching"
func moreInclusive(a, b *resource) int {
	rank := func(r *resource) int {
		switch {
		case r.all:
			return 0
		case r.rest:
			return 1
		}
		return 2
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return a.literals - b.literals
}

// methods are the verbs an operation allows; none is all.
type methods []string

func (m methods) allow(verb string) bool { return len(m) == 0 || slices.Contains(m, verb) }
