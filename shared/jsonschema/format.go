package jsonschema

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var errFormat = errors.New("not of the format")

// ofString makes a format of one that says something of strings only.
func ofString(check func(string) error) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); ok {
			return check(s)
		}
		return nil
	}
}

func holds(is func(string) bool) func(any) error {
	return ofString(func(s string) error {
		if !is(s) {
			return errFormat
		}
		return nil
	})
}

// formats are those of JSON Schema 2020-12, beside regex. Others say nothing.
// Source: https://json-schema.org/draft/2020-12/json-schema-validation#name-defined-formats
var formats = map[string]func(any) error{
	"date-time":             holds(isDateTime),
	"date":                  holds(isDate),
	"time":                  holds(isTime),
	"duration":              holds(isDuration),
	"email":                 holds(isEmail),
	"hostname":              holds(isHostname),
	"ipv4":                  holds(isIPv4),
	"ipv6":                  holds(isIPv6),
	"uri":                   holds(func(s string) bool { u, ok := isReference(s); return ok && u.IsAbs() }),
	"iri":                   holds(func(s string) bool { u, ok := isReference(s); return ok && u.IsAbs() }),
	"uri-reference":         holds(func(s string) bool { _, ok := isReference(s); return ok }),
	"iri-reference":         holds(func(s string) bool { _, ok := isReference(s); return ok }),
	"uri-template":          holds(isTemplate),
	"uuid":                  holds(isUUID),
	"json-pointer":          holds(isPointer),
	"relative-json-pointer": holds(isRelativePointer),
}

// isDate reports whether a text is a full-date of RFC 3339.
func isDate(s string) bool {
	_, err := time.Parse("2006-01-02", s)
	return err == nil
}

// isDateTime reports whether a text is a date-time of RFC 3339.
func isDateTime(s string) bool {
	return len(s) > 11 && (s[10] == 'T' || s[10] == 't') && isDate(s[:10]) && isTime(s[11:])
}

// isTime reports whether a text is a full-time of RFC 3339. The 60th second is one
// where it is 23:59 in UTC.
func isTime(s string) bool {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return false
	}
	hour, ok1 := digits(s[0:2], 23)
	minute, ok2 := digits(s[3:5], 59)
	second, ok3 := digits(s[6:8], 60)
	if !ok1 || !ok2 || !ok3 {
		return false
	}
	zone := s[8:]
	if zone[0] == '.' {
		fraction := strings.TrimLeft(zone[1:], "0123456789")
		if len(fraction) == len(zone)-1 {
			return false
		}
		zone = fraction
	}
	offset, ok := zoneOf(zone)
	if !ok {
		return false
	}
	const day = 24 * 60
	return second < 60 || ((hour*60+minute-offset)%day+day)%day == day-1
}

// zoneOf is a time-offset of RFC 3339 in minutes.
func zoneOf(s string) (int, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hour, ok1 := digits(s[1:3], 23)
	minute, ok2 := digits(s[4:6], 59)
	offset := hour*60 + minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, ok1 && ok2
}

// digits is a number of nothing but digits.
func digits(s string, most int) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n <= most
}

// isDuration reports whether a text is a duration of RFC 3339, appendix A.
func isDuration(s string) bool {
	s, ok := strings.CutPrefix(s, "P")
	if !ok || s == "" {
		return false
	}
	if weeks, ok := strings.CutSuffix(s, "W"); ok {
		return allDigits(weeks)
	}
	date, clock, hasClock := strings.Cut(s, "T")
	return units(date, "YMD") && units(clock, "HMS") && (!hasClock || clock != "")
}

// units reports whether a text is numbers with units, of which none in between is
// left out.
func units(s, order string) bool {
	last := -1
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if n == 0 || n == len(s) {
			return false
		}
		at := strings.IndexByte(order, s[n])
		if at < 0 || last >= 0 && at != last+1 {
			return false
		}
		last, s = at, s[n+1:]
	}
	return true
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isHostname reports whether a text is a name of RFC 1123.
func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isEmail reports whether a text is a Mailbox of RFC 5321.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if len(local) > 1 && local[0] == '"' && local[len(local)-1] == '"' {
		if !isQuoted(local[1 : len(local)-1]) {
			return false
		}
	} else if !isDotAtom(local) {
		return false
	}
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		literal, ok = strings.CutSuffix(literal, "]")
		if six, is6 := strings.CutPrefix(literal, "IPv6:"); is6 {
			return ok && isIPv6(six)
		}
		return ok && isIPv4(literal)
	}
	return isHostname(domain)
}

func isQuoted(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
			if i == len(s) {
				return false
			}
		} else if s[i] == '"' {
			return false
		}
	}
	return true
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !alphanumeric(atom[i]) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(atom[i])) {
				return false
			}
		}
	}
	return true
}

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// isReference reports whether a text is a URI reference of RFC 3986, or one with the
// letters of RFC 3987.
func isReference(s string) (*url.URL, bool) {
	if strings.ContainsAny(s, "\\ <>\"{}|^`") {
		return nil, false
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, false
	}
	// An address of IPv6 stands in brackets.
	if strings.Contains(u.Hostname(), ":") && !isIPv6(u.Hostname()) || strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[") {
		return nil, false
	}
	return u, true
}

// isTemplate reports whether a text is a URI template of RFC 6570.
func isTemplate(s string) bool {
	for s != "" {
		open := strings.IndexAny(s, "{}")
		if open < 0 {
			break
		}
		end := strings.IndexAny(s[open+1:], "{}")
		if s[open] == '}' || end <= 0 || s[open+1+end] != '}' {
			return false
		}
		s = s[open+1+end+1:]
	}
	return true
}

// isUUID reports whether a text is a UUID of RFC 4122.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// isPointer reports whether a text is a JSON pointer of RFC 6901.
func isPointer(s string) bool {
	if s != "" && s[0] != '/' {
		return false
	}
	for i := strings.IndexByte(s, '~'); i >= 0; i = strings.IndexByte(s, '~') {
		if i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1' {
			return false
		}
		s = s[i+2:]
	}
	return true
}

// isRelativePointer reports whether a text is a relative JSON pointer.
func isRelativePointer(s string) bool {
	rest := strings.TrimLeft(s, "0123456789")
	n := s[:len(s)-len(rest)]
	if _, err := strconv.Atoi(n); err != nil || len(n) > 1 && n[0] == '0' {
		return false
	}
	return rest == "#" || isPointer(rest)
}
