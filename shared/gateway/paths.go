package gateway

import "strings"

// pattern is a base path cut into segments; "*" stands for any one segment.
type pattern struct {
	segments []string
	literals int
	wild     bool
}

func compilePattern(basePath string) pattern {
	p := pattern{}
	trimmed := strings.Trim(basePath, "/")
	if trimmed == "" {
		return p
	}
	p.segments = strings.Split(trimmed, "/")
	for _, s := range p.segments {
		if s == "*" {
			p.wild = true
		} else {
			p.literals++
		}
	}
	return p
}

// match returns the length of the prefix of path that p covers, in whole
// segments, or -1. The root pattern covers the empty prefix.
func (p *pattern) match(path string) int {
	at := 0
	for _, want := range p.segments {
		if at >= len(path) || path[at] != '/' {
			return -1
		}
		end := strings.IndexByte(path[at+1:], '/')
		if end < 0 {
			end = len(path)
		} else {
			end += at + 1
		}
		seg := path[at+1 : end]
		if want == "*" {
			if seg == "" {
				return -1
			}
		} else if seg != want {
			return -1
		}
		at = end
	}
	return at
}

// moreSpecific reports whether p beats q where both match: more segments
// first, then the first literal where the other has a wildcard.
func (p *pattern) moreSpecific(q *pattern) bool {
	if len(p.segments) != len(q.segments) {
		return len(p.segments) > len(q.segments)
	}
	for i := range p.segments {
		pw, qw := p.segments[i] == "*", q.segments[i] == "*"
		if pw != qw {
			return qw
		}
	}
	return false
}
