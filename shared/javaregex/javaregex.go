// Package javaregex runs Java regular expressions, as java.util.regex does.
//
// A pattern is parsed in Java's syntax and written anew for one of two
// engines: Go's regexp, which runs in linear time, wherever the pattern can be
// expressed there; else regexp2, a backtracking engine, with a time limit.
// Differences from Java: \b and \B are about ASCII words (as in Java 19 and
// later), \N{name} is not known, \X is a base with its marks, and of \p{In…}
// the blocks of scripts in everyday use.
//
// Source: https://docs.oracle.com/javase/8/docs/api/java/util/regex/Pattern.html
package javaregex

import (
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// MatchTimeout bounds one match of the backtracking engine.
const MatchTimeout = time.Second

// maxStack bounds the memory of one match of the backtracking engine, in
// entries of four bytes or eight.
const maxStack = 1 << 20

// Regexp is a compiled Java pattern. It is immutable and shared by all calls.
type Regexp struct {
	src    string
	groups int
	names  map[string]int

	whole, find *regexp.Regexp // nil if the pattern needs backtracking
	swap        *regexp.Regexp // for replacing; nil if that needs backtracking
	slowWhole   *regexp2.Regexp
	slow        *regexp2.Regexp
}

// Compile compiles a pattern. The error is an *Error if the syntax is wrong.
func Compile(src string) (*Regexp, error) { return compile(src, false) }

// CompileIgnoreCase is Compile with Pattern.CASE_INSENSITIVE.
func CompileIgnoreCase(src string) (*Regexp, error) { return compile(src, true) }

func compile(src string, fold bool) (*Regexp, error) {
	root, p, err := parse(src, fold)
	if err != nil {
		return nil, err
	}
	r := &Regexp{src: src, groups: p.groups, names: p.names}
	var t traits
	t.inspect(root, true)
	if !t.backtracks && r.linear(root) {
		if !t.endLast && !nullable(root) {
			r.swap = r.find
			return r, nil
		}
		// $ and empty matches are replaced as Java does by the other engine.
		if r.slow, err = backtracking(root, false); err != nil {
			return nil, fmt.Errorf("compile pattern %q: %w", src, err)
		}
		return r, nil
	}
	if r.slowWhole, err = backtracking(root, true); err == nil {
		r.slow, err = backtracking(root, false)
	}
	if err != nil {
		return nil, fmt.Errorf("compile pattern %q: %w", src, err)
	}
	return r, nil
}

// linear compiles for Go's regexp; false if a repetition is larger than that
// engine takes.
func (r *Regexp) linear(root node) bool {
	e := emitter{re2: true}
	e.emit(root)
	find, err := regexp.Compile(e.String())
	if err != nil {
		return false
	}
	e = emitter{re2: true, whole: true}
	e.emit(root)
	whole, err := regexp.Compile(`\A(?:` + e.String() + `)\z`)
	if err != nil {
		return false
	}
	r.find, r.whole = find, whole
	return true
}

func backtracking(root node, whole bool) (*regexp2.Regexp, error) {
	var e emitter
	e.emit(root)
	src := e.String()
	if whole {
		src = `\A(?:` + src + `)\z`
	}
	re, err := regexp2.Compile(src, regexp2.OptionMaintainCaptureOrder(), regexp2.OptionMaxBacktrackingStackSize(maxStack))
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = MatchTimeout
	return re, nil
}

// String returns the pattern.
func (r *Regexp) String() string { return r.src }

// Linear reports whether matching takes time linear in the text.
func (r *Regexp) Linear() bool { return r.whole != nil }

// Groups returns the number of capturing groups.
func (r *Regexp) Groups() int { return r.groups }

// Matches reports whether the whole of s matches: Matcher.matches. An error is
// a match that took too long.
func (r *Regexp) Matches(s string) (bool, error) {
	if r.whole != nil {
		return r.whole.MatchString(s), nil
	}
	return r.slowWhole.MatchString(s)
}

// Find reports whether s contains a match: Matcher.find. An error is a match
// that took too long.
func (r *Regexp) Find(s string) (bool, error) {
	if r.find != nil {
		return r.find.MatchString(s), nil
	}
	return r.slow.MatchString(s)
}
