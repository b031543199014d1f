// Package javatime formats and parses times with the patterns of Java's
// SimpleDateFormat and DateTimeFormatter.
package javatime

import (
	"errors"
	"time"
)

// Layout is a compiled pattern. It is immutable and shared by all calls.
type Layout struct{ src string }

// Compile compiles a SimpleDateFormat pattern.
func Compile(pattern string) (*Layout, error) { return nil, errors.New("javatime: to be written") }

// Append appends t, as seen in its own location, to dst.
func (l *Layout) Append(dst []byte, t time.Time) []byte { return dst }

// Format formats t as seen in its own location.
func (l *Layout) Format(t time.Time) string { return string(l.Append(nil, t)) }

// Parse parses s; loc is the zone of times that name none (nil is UTC).
func (l *Layout) Parse(s string, loc *time.Location) (time.Time, error) { return time.Time{}, nil }

// String returns the pattern.
func (l *Layout) String() string { return l.src }
