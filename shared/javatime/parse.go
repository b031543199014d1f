package javatime

import (
	"fmt"
	"strings"
	"time"
)

// fields are what a text said about a time.
type fields struct {
	year, month, day         int
	hour, min, sec, milli    int
	yearDay                  int
	pm, bc, twelve, hasMonth bool
	loc                      *time.Location
}

// Parse parses s; loc is the zone of times that name none, nil is UTC.
func (l *Layout) Parse(s string, loc *time.Location) (time.Time, error) {
	if loc == nil {
		loc = time.UTC
	}
	f := fields{year: 1970, month: 1, day: 1, loc: loc}
	rest := s
	for i := range l.parts {
		var ok bool
		if rest, ok = l.field(i, rest, &f); !ok {
			return time.Time{}, fmt.Errorf("time %q does not fit the pattern %q at byte %d", s, l.src, len(s)-len(rest))
		}
	}
	return f.time(), nil
}

func (f *fields) time() time.Time {
	if f.bc {
		f.year = 1 - f.year
	}
	if f.twelve {
		f.hour %= 12
		if f.pm {
			f.hour += 12
		}
	}
	month, day := f.month, f.day
	if f.yearDay > 0 && !f.hasMonth {
		month, day = 1, f.yearDay
	}
	return time.Date(f.year, time.Month(month), day, f.hour, f.min, f.sec, f.milli*int(time.Millisecond), f.loc)
}

func (l *Layout) field(i int, s string, f *fields) (string, bool) {
	p := &l.parts[i]
	switch p.letter {
	case 0:
		return strings.CutPrefix(s, p.text)
	case 'G':
		n, rest, ok := oneOf(s, "AD", "BC")
		f.bc = n == 1
		return rest, ok
	case 'M', 'L':
		if p.count >= 3 {
			n, rest, ok := name(s, 12, func(n int) string { return time.Month(n + 1).String() })
			f.month, f.hasMonth = n+1, true
			return rest, ok
		}
	case 'E':
		_, rest, ok := name(s, 7, func(n int) string { return time.Weekday(n).String() })
		return rest, ok
	case 'a':
		n, rest, ok := oneOf(s, "AM", "PM")
		f.pm, f.twelve = n == 1, true
		return rest, ok
	case 'z', 'Z', 'X':
		loc, rest, ok := zone(s, p.letter == 'X')
		if ok {
			f.loc = loc
		}
		return rest, ok
	}
	n, digits, rest, ok := integer(s, l.width(i))
	if ok {
		f.set(p, n, digits)
	}
	return rest, ok
}

func (f *fields) set(p *part, n, digits int) {
	switch p.letter {
	case 'y', 'Y':
		if p.count <= 2 && digits == 2 {
			n = century(n)
		}
		f.year = n
	case 'M', 'L':
		f.month, f.hasMonth = n, true
	case 'D':
		f.yearDay = n
	case 'd':
		f.day = n
	case 'H':
		f.hour = n
	case 'k':
		f.hour = n % 24
	case 'K', 'h':
		f.hour, f.twelve = n%12, true
	case 'm':
		f.min = n
	case 's':
		f.sec = n
	case 'S':
		f.milli = n
	}
}

// century puts a year of two digits into the 80 years before and the 20 after
// now.
func century(n int) int {
	now := time.Now().Year()
	y := now/100*100 + n
	switch {
	case y > now+20:
		return y - 100
	case y <= now-80:
		return y + 100
	}
	return y
}

// width is how many digits a number has if another number follows it at once,
// else 0 for as many as there are.
func (l *Layout) width(i int) int {
	if i+1 < len(l.parts) && l.parts[i+1].numeric() {
		return l.parts[i].count
	}
	return 0
}

func (p *part) numeric() bool {
	switch p.letter {
	case 0, 'G', 'E', 'a', 'z', 'Z', 'X':
		return false
	case 'M', 'L':
		return p.count < 3
	}
	return true
}

// maxDigits keeps numbers within an int.
const maxDigits = 9

func integer(s string, width int) (n, digits int, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	negative := strings.HasPrefix(s, "-")
	if negative {
		s = s[1:]
	}
	if width == 0 {
		width = maxDigits
	}
	for digits < len(s) && digits < width && '0' <= s[digits] && s[digits] <= '9' {
		n = n*10 + int(s[digits]-'0')
		digits++
	}
	if negative {
		n = -n
	}
	return n, digits, s[digits:], digits > 0
}

// name finds which of n names, whole or its first three letters, s begins with.
func name(s string, n int, of func(int) string) (int, string, bool) {
	for _, whole := range []bool{true, false} {
		for i := range n {
			w := of(i)
			if !whole {
				w = w[:3]
			}
			if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
				return i, s[len(w):], true
			}
		}
	}
	return 0, s, false
}

func oneOf(s string, words ...string) (int, string, bool) {
	for i, w := range words {
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
			return i, s[len(w):], true
		}
	}
	return 0, s, false
}

// zone reads a zone: GMT+5:30, +0530 or a name; an ISO 8601 zone is Z, +05,
// +0530 or +05:30.
func zone(s string, iso bool) (*time.Location, string, bool) {
	rest, colon := s, iso
	if !iso && len(s) >= 3 && strings.EqualFold(s[:3], "GMT") {
		rest, colon = s[3:], true
		if rest == "" || rest[0] != '+' && rest[0] != '-' {
			return time.UTC, rest, true
		}
	}
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		return offset(rest, colon)
	}
	if iso {
		rest, ok := strings.CutPrefix(s, "Z")
		return time.UTC, rest, ok
	}
	n := 0
	for n < len(s) && isLetter(s[n]) {
		n++
	}
	name := strings.ToUpper(s[:n])
	if name == "UTC" || name == "UT" {
		return time.UTC, s[n:], true
	}
	hours, ok := abbreviations[name]
	if !ok {
		return nil, s, false
	}
	return time.FixedZone(name, int(hours*3600)), s[n:], true
}

// abbreviations of zones, in hours east of UTC.
var abbreviations = map[string]float64{
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
	"WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "IST": 5.5, "JST": 9, "KST": 9,
	"AEST": 10, "AEDT": 11, "SAST": 2,
}

// offset reads +HH, +HHMM and, if a colon may stand there, +HH:MM.
func offset(s string, colon bool) (*time.Location, string, bool) {
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	h, digits, rest, ok := integer(s[1:], 4)
	if !ok || s[1] == '-' || s[1] == ' ' {
		return nil, s, false
	}
	m := 0
	switch {
	case !colon && digits < 4:
		return nil, s, false
	case digits > 2:
		h, m = h/100, h%100
	case colon && strings.HasPrefix(rest, ":"):
		if m, digits, rest, ok = integer(rest[1:], 2); !ok || digits != 2 {
			return nil, s, false
		}
	}
	if h > 23 || m > 59 || m < 0 {
		return nil, s, false
	}
	seconds := sign * (h*3600 + m*60)
	if seconds == 0 {
		return time.UTC, rest, true
	}
	return time.FixedZone("", seconds), rest, true
}
