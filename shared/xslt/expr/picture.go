package expr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// component is a part of the picture of a date: a marker, or text.
type component struct {
	marker byte // 0 for text
	text   string
	names  byte // N, n, or t for Nn: a name instead of a number
	width  int  // least
	most   int  // 0: all
	zone   string
}

// bindPicture makes format-dateTime() and its sisters (XSLT 2.0, section 16.5) in
// English. The picture must be a literal.
func bindPicture(layout, markers string) func(*Static, []Expr) (func(*Context, []Value) Value, error) {
	return func(_ *Static, args []Expr) (func(*Context, []Value) Value, error) {
		src, ok := Literal(args[1])
		if !ok {
			return nil, errors.New("a picture that is not a literal is not supported")
		}
		parts, err := parsePicture(src, markers)
		if err != nil {
			return nil, err
		}
		return func(_ *Context, a []Value) Value {
			if strings.TrimSpace(a[0].text) == "" {
				return Of()
			}
			t, zoned, ok := parseTime(layout, strings.TrimSpace(a[0].text))
			if !ok {
				Fail("%q is not a date or time", a[0].text)
			}
			var b strings.Builder
			for _, p := range parts {
				b.WriteString(p.format(t, zoned))
			}
			return Str(b.String())
		}, nil
	}
}

func parseTime(layout, s string) (t time.Time, zoned, ok bool) {
	for _, l := range []string{layout + "Z07:00", layout} {
		if t, err := time.Parse(l, s); err == nil {
			return t, len(l) > len(layout), true
		}
	}
	return time.Time{}, false, false
}

func parsePicture(src, markers string) ([]component, error) {
	var out []component
	for src != "" {
		i := strings.IndexAny(src, "[]")
		if i < 0 {
			i = len(src)
		}
		if i > 0 {
			out = append(out, component{text: src[:i]})
			src = src[i:]
			continue
		}
		if strings.HasPrefix(src, "[[") || strings.HasPrefix(src, "]]") {
			out = append(out, component{text: src[:1]})
			src = src[2:]
			continue
		}
		end := strings.IndexByte(src, ']')
		if src[0] == ']' || end < 0 {
			return nil, fmt.Errorf("picture %q: brackets do not match", src)
		}
		c, err := parseComponent(strings.Join(strings.Fields(src[1:end]), ""), markers)
		if err != nil {
			return nil, err
		}
		out, src = append(out, c), src[end+1:]
	}
	return out, nil
}

func parseComponent(s, markers string) (component, error) {
	bad := fmt.Errorf("component [%s] of a picture is not supported", s)
	if s == "" || strings.IndexByte(markers, s[0]) < 0 {
		return component{}, bad
	}
	c := component{marker: s[0]}
	presentation, width, _ := strings.Cut(s[1:], ",")
	switch {
	case presentation == "" && strings.IndexByte("FP", c.marker) >= 0:
		c.names = 'n'
	case presentation == "" && strings.IndexByte("ms", c.marker) >= 0:
		c.width = 2
	case presentation == "":
	case presentation == "N" || presentation == "n":
		c.names = presentation[0]
	case presentation == "Nn":
		c.names = 't'
	case (c.marker == 'Z' || c.marker == 'z') && strings.Trim(presentation, "0:t") == "":
		c.zone = presentation
	case strings.Trim(presentation, "01") == "" && strings.Trim(presentation, "0") != "":
		c.width = len(presentation)
		if c.marker == 'Y' && c.width > 1 || c.marker == 'f' {
			c.most = c.width
		}
	default:
		return component{}, bad
	}
	if c.names != 0 && strings.IndexByte("MFP", c.marker) < 0 || c.marker == 'F' && c.names == 0 {
		return component{}, bad
	}
	if width != "" {
		least, most, ranged := strings.Cut(width, "-")
		var err1, err2 error
		if least != "*" {
			c.width, err1 = strconv.Atoi(least)
		}
		if ranged && most != "*" {
			c.most, err2 = strconv.Atoi(most)
		}
		if err1 != nil || err2 != nil || c.width > 20 || c.most > 20 {
			return component{}, bad
		}
	}
	return c, nil
}

func (c component) format(t time.Time, zoned bool) string {
	switch c.marker {
	case 0:
		return c.text
	case 'Y':
		s := c.number(t.Year())
		if c.most > 0 && len(s) > c.most {
			s = s[len(s)-c.most:]
		}
		return s
	case 'M':
		if c.names != 0 {
			return c.name(t.Month().String())
		}
		return c.number(int(t.Month()))
	case 'D':
		return c.number(t.Day())
	case 'd':
		return c.number(t.YearDay())
	case 'F':
		return c.name(t.Weekday().String())
	case 'H':
		return c.number(t.Hour())
	case 'h':
		return c.number((t.Hour()+11)%12 + 1)
	case 'P':
		if t.Hour() < 12 {
			return c.name("Am")
		}
		return c.name("Pm")
	case 'm':
		return c.number(t.Minute())
	case 's':
		return c.number(t.Second())
	case 'f':
		return c.fraction(t.Nanosecond())
	}
	return c.offset(t, zoned)
}

func (c component) number(n int) string { return fmt.Sprintf("%0*d", c.width, n) }

func (c component) name(s string) string {
	switch c.names {
	case 'N':
		s = strings.ToUpper(s)
	case 'n':
		s = strings.ToLower(s)
	}
	if c.most > 0 && len(s) > c.most {
		s = s[:c.most]
	}
	return s + strings.Repeat(" ", max(0, c.width-len(s)))
}

func (c component) fraction(ns int) string {
	s := fmt.Sprintf("%09d", ns)
	least := max(1, c.width)
	for len(s) > least && (c.most > 0 && len(s) > c.most || s[len(s)-1] == '0') {
		s = s[:len(s)-1]
	}
	return s
}

func (c component) offset(t time.Time, zoned bool) string {
	if !zoned {
		return ""
	}
	_, off := t.Zone()
	if off == 0 && strings.HasSuffix(c.zone, "t") {
		return "Z"
	}
	sign := "+"
	if off < 0 {
		sign, off = "-", -off
	}
	s := fmt.Sprintf("%s%02d:%02d", sign, off/3600, off/60%60)
	if strings.HasPrefix(c.zone, "0000") {
		s = strings.Replace(s, ":", "", 1)
	}
	if c.marker == 'z' {
		s = "GMT" + s
	}
	return s
}
