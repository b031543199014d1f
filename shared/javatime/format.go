package javatime

import (
	"strconv"
	"time"
)

// Append appends t, as seen in its own location, to dst.
func (l *Layout) Append(dst []byte, t time.Time) []byte {
	for i := range l.parts {
		p := &l.parts[i]
		if p.letter == 0 {
			dst = append(dst, p.text...)
			continue
		}
		dst = p.append(dst, t)
	}
	return dst
}

func (p *part) append(dst []byte, t time.Time) []byte {
	switch p.letter {
	case 'G':
		return append(dst, era(t)...)
	case 'y':
		return appendYear(dst, eraYear(t.Year()), p.count)
	case 'Y':
		year, _ := weekOfYear(t)
		return appendYear(dst, eraYear(year), p.count)
	case 'M', 'L':
		return p.month(dst, t.Month())
	case 'E':
		return append(dst, short(t.Weekday().String(), p.count)...)
	case 'a':
		if t.Hour() < 12 {
			return append(dst, "AM"...)
		}
		return append(dst, "PM"...)
	case 'z', 'Z', 'X':
		return p.zone(dst, t)
	}
	return pad(dst, p.number(t), p.count)
}

func era(t time.Time) string {
	if t.Year() > 0 {
		return "AD"
	}
	return "BC"
}

// eraYear is the year within its era: 1 BC is Go's year 0.
func eraYear(y int) int {
	if y > 0 {
		return y
	}
	return 1 - y
}

func appendYear(dst []byte, y, count int) []byte {
	if count == 2 {
		return pad(dst, y%100, 2)
	}
	return pad(dst, y, count)
}

func (p *part) month(dst []byte, m time.Month) []byte {
	if p.count < 3 {
		return pad(dst, int(m), p.count)
	}
	return append(dst, short(m.String(), p.count)...)
}

// short is the name, or its first three letters for fewer than four pattern
// letters.
func short(name string, count int) string {
	if count >= 4 {
		return name
	}
	return name[:3]
}

// number is the value of a numeric pattern letter.
func (p *part) number(t time.Time) int {
	switch p.letter {
	case 'w':
		_, week := weekOfYear(t)
		return week
	case 'W':
		first := int(t.AddDate(0, 0, 1-t.Day()).Weekday())
		return (t.Day()-1+first)/7 + 1
	case 'D':
		return t.YearDay()
	case 'd':
		return t.Day()
	case 'F':
		return (t.Day()-1)/7 + 1
	case 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	}
	return t.Nanosecond() / int(time.Millisecond)
}

// weekOfYear counts weeks as in the United States: they begin on Sunday, and
// the week of 1 January is the first of its year.
func weekOfYear(t time.Time) (year, week int) {
	next := time.Date(t.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	if next.Sub(day) <= time.Duration(next.Weekday())*24*time.Hour {
		return t.Year() + 1, 1
	}
	first := int(time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC).Weekday())
	return t.Year(), (t.YearDay()-1+first)/7 + 1
}

func pad(dst []byte, n, width int) []byte {
	var buf [20]byte
	s := strconv.AppendInt(buf[:0], int64(n), 10)
	for i := len(s); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}

func (p *part) zone(dst []byte, t time.Time) []byte {
	name, offset := t.Zone()
	switch p.letter {
	case 'Z':
		return appendOffset(dst, offset, 2, "")
	case 'X':
		if offset == 0 {
			return append(dst, 'Z')
		}
		return appendOffset(dst, offset, p.count, map[bool]string{true: ":"}[p.count == 3])
	}
	if !isName(name) {
		dst = append(dst, "GMT"...)
		if offset == 0 {
			return dst
		}
		return appendOffset(dst, offset, 2, ":")
	}
	if full, ok := zoneNames[name]; ok && p.count >= 4 {
		return append(dst, full...)
	}
	return append(dst, name...)
}

// isName reports whether a zone's abbreviation is letters and not an offset.
func isName(s string) bool { return s != "" && isLetter(s[0]) }

// appendOffset appends +HH for one field, +HHMM for two, with sep between.
func appendOffset(dst []byte, offset, fields int, sep string) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = pad(append(dst, sign), offset/3600, 2)
	if fields == 1 {
		return dst
	}
	return pad(append(dst, sep...), offset/60%60, 2)
}

// zoneNames are the full names of zones by their abbreviation.
var zoneNames = map[string]string{
	"UTC": "Coordinated Universal Time", "GMT": "Greenwich Mean Time", "BST": "British Summer Time",
	"EST": "Eastern Standard Time", "EDT": "Eastern Daylight Time", "CST": "Central Standard Time", "CDT": "Central Daylight Time",
	"MST": "Mountain Standard Time", "MDT": "Mountain Daylight Time", "PST": "Pacific Standard Time", "PDT": "Pacific Daylight Time",
	"AKST": "Alaska Standard Time", "AKDT": "Alaska Daylight Time", "HST": "Hawaii-Aleutian Standard Time",
	"CET": "Central European Standard Time", "CEST": "Central European Summer Time", "EET": "Eastern European Standard Time",
	"EEST": "Eastern European Summer Time", "WET": "Western European Standard Time", "WEST": "Western European Summer Time",
	"MSK": "Moscow Standard Time", "IST": "India Standard Time", "JST": "Japan Standard Time", "KST": "Korean Standard Time",
	"AEST": "Australian Eastern Standard Time", "AEDT": "Australian Eastern Daylight Time", "SAST": "South Africa Standard Time",
}
