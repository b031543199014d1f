package jwt

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javatime"
)

// units of a time span. A number alone is milliseconds.
var units = []struct {
	suffix string
	unit   time.Duration
}{
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour},
	{"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"", time.Millisecond},
}

// ParseSpan reads a time span: a number and ms, s, m, h, d or w; without unit
// milliseconds.
func ParseSpan(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			continue
		}
		return time.Duration(n) * u.unit, n >= 0 && n <= math.MaxInt64/int64(u.unit)
	}
	return 0, false
}

// layouts are the absolute times that <NotBefore> takes, by Apigee's names.
var layouts = sync.OnceValue(func() []*javatime.Layout {
	var out []*javatime.Layout
	for _, pattern := range []string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSZ",    // sortable
		"yyyy-MM-dd'T'HH:mm:ssXXX",      // as Apigee's example writes it
		"EEE, dd MMM yyyy HH:mm:ss zzz", // RFC 1123
		"EEEE, dd-MMM-yy HH:mm:ss zzz",  // RFC 850
		"EEE MMM d HH:mm:ss yyyy",       // ANSI C
	} {
		if l, err := javatime.Compile(pattern); err == nil {
			out = append(out, l)
		}
	}
	return out
})

func parseAbsolute(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, l := range layouts() {
		if t, err := l.Parse(s, time.UTC); err == nil {
			return t, true
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

// Span is a compiled element that holds a time span.
type Span struct {
	text  *Text
	fixed time.Duration
}

// Span compiles an element that holds a time span; nil is no span.
func (c *Compiler) Span(element string, v *Value) *Span {
	if v == nil || v.Ref == "" && v.Text == "" {
		return nil
	}
	s := &Span{text: c.Text(v)}
	if v.Text != "" {
		d, ok := ParseSpan(v.Text)
		if !ok {
			c.invalidTime(v.Pos, element, v.Text)
		}
		s.fixed = d
	}
	return s
}

func (c *Compiler) invalidTime(pos bundle.Pos, element, value string) {
	c.refuse(pos, "InvalidTimeFormat", "Invalid time format", "element("+element+") value("+value+")")
}

// get returns the span; ok is false if there is none. A variable that holds
// anything else is an error of the given name.
func (s *Span) get(fc *flow.Context, ignore bool, name string) (d time.Duration, ok bool, err error) {
	if s == nil {
		return 0, false, nil
	}
	if s.text.ref.IsZero() {
		return s.fixed, true, nil
	}
	text, ok, err := s.text.Get(fc, ignore)
	if err != nil || !ok {
		return 0, false, err
	}
	d, ok = ParseSpan(text)
	if !ok {
		return 0, false, refuseFor(name, "the variable "+s.text.ref.Name()+" holds no time span")
	}
	return d, true, nil
}

// Instant is a compiled <NotBefore>: a span from now, or a time.
type Instant struct {
	text     *Text
	relative bool
	span     time.Duration
	at       time.Time
}

// Instant compiles <NotBefore>; nil is none.
func (c *Compiler) Instant(element string, v *Value) *Instant {
	if v == nil || v.Ref == "" && v.Text == "" {
		return nil
	}
	i := &Instant{text: c.Text(v)}
	if v.Text != "" && !i.parse(v.Text) {
		c.invalidTime(v.Pos, element, v.Text)
	}
	return i
}

func (i *Instant) parse(s string) (ok bool) {
	if i.span, ok = ParseSpan(s); ok {
		i.relative = true
		return true
	}
	i.relative = false
	i.at, ok = parseAbsolute(s)
	return ok
}

func (i *Instant) get(fc *flow.Context, now time.Time, ignore bool) (t time.Time, ok bool, err error) {
	if i == nil {
		return time.Time{}, false, nil
	}
	it := *i
	if !i.text.ref.IsZero() {
		text, ok, err := i.text.Get(fc, ignore)
		if err != nil || !ok {
			return time.Time{}, false, err
		}
		if !it.parse(text) {
			return time.Time{}, false, refuseFor("GenerationFailed", "the variable "+i.text.ref.Name()+" holds no time")
		}
	}
	if it.relative {
		return now.Add(it.span), true, nil
	}
	return it.at, true, nil
}
