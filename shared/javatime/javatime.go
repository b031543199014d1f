// Package javatime formats and parses times with the patterns of Java's
// SimpleDateFormat, in the English of the United States.
//
// A pattern is compiled once. Parsing is lenient as SimpleDateFormat is: text
// after the time is ignored, a day 32 is a day of the next month. Years before
// 1582 are those of the Gregorian calendar, unlike Java's.
//
// Source: https://docs.oracle.com/javase/8/docs/api/java/text/SimpleDateFormat.html
package javatime

import (
	"fmt"
	"time"
)

// Layout is a compiled pattern. It is immutable and shared by all calls.
type Layout struct {
	src   string
	parts []part
}

// part is a run of one pattern letter, or literal text.
type part struct {
	letter byte // 0 for text
	count  int
	text   string
}

// letters are those of SimpleDateFormat.
const letters = "GyYMLwWDdFEuaHkKhmsSzZX"

// Error says what is wrong with a pattern.
type Error struct {
	Pattern string
	Offset  int
	Msg     string
}

func (e *Error) Error() string {
	return fmt.Sprintf("time pattern %q: %s at byte %d", e.Pattern, e.Msg, e.Offset)
}

// Compile compiles a pattern. The error is an *Error.
func Compile(pattern string) (*Layout, error) {
	l := &Layout{src: pattern}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, n, ok := quoted(pattern[i:])
			if !ok {
				return nil, &Error{pattern, i, "unterminated quote"}
			}
			l.literal(text)
			i += n
		case isLetter(c):
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			if !known(c, n) {
				return nil, &Error{pattern, i, fmt.Sprintf("illegal pattern character '%c'", c)}
			}
			l.parts = append(l.parts, part{letter: c, count: n})
			i += n
		default:
			l.literal(pattern[i : i+1])
			i++
		}
	}
	return l, nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func known(c byte, n int) bool {
	for i := range len(letters) {
		if letters[i] == c {
			return c != 'X' || n <= 3
		}
	}
	return false
}

// quoted reads text in single quotes; ” is a quote.
func quoted(s string) (text string, n int, ok bool) {
	if len(s) > 1 && s[1] == '\'' {
		return "'", 2, true
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b = append(b, s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b = append(b, '\'')
			i++
			continue
		}
		return string(b), i + 1, true
	}
	return "", 0, false
}

func (l *Layout) literal(s string) {
	if n := len(l.parts); n > 0 && l.parts[n-1].letter == 0 {
		l.parts[n-1].text += s
		return
	}
	l.parts = append(l.parts, part{text: s})
}

// String returns the pattern.
func (l *Layout) String() string { return l.src }

// Format formats t as seen in its own location.
func (l *Layout) Format(t time.Time) string {
	var buf [64]byte
	return string(l.Append(buf[:0], t))
}
