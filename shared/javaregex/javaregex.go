// Package javaregex runs Java regular expressions.
package javaregex

import "errors"

// Regexp is a compiled Java pattern. It is immutable and shared by all calls.
type Regexp struct{ src string }

// Compile compiles a java.util.regex.Pattern.
func Compile(src string) (*Regexp, error) { return nil, errors.New("javaregex: to be written") }

// CompileIgnoreCase is Compile with Pattern.CASE_INSENSITIVE.
func CompileIgnoreCase(src string) (*Regexp, error) { return Compile("(?i)" + src) }

// String returns the pattern.
func (r *Regexp) String() string { return r.src }

// Matches reports whether the whole of s matches: Matcher.matches. An error
// is a match that took too long.
func (r *Regexp) Matches(s string) (bool, error) { return false, nil }

// Find reports whether s contains a match: Matcher.find.
func (r *Regexp) Find(s string) (bool, error) { return false, nil }

// ReplaceAll is String.replaceAll: $1, ${name} and \$ in replacement.
func (r *Regexp) ReplaceAll(s, replacement string) (string, error) { return s, nil }

// ReplaceFirst is String.replaceFirst.
func (r *Regexp) ReplaceFirst(s, replacement string) (string, error) { return s, nil }
