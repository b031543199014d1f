package caching

import (
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Expiry is the <ExpirySettings>. The first that is given counts:
// TimeoutInSeconds, TimeoutInSec, TimeOfDay, ExpiryDate. One that is no such
// value, or in the past, counts as not given; with none, the entry lives 300 s.
type Expiry struct {
	bundle.Pos
	// TimeoutInSeconds is how long entries live.
	TimeoutInSeconds *Ref `xml:"TimeoutInSeconds,once"`
	// TimeoutInSec is the deprecated name of TimeoutInSeconds.
	TimeoutInSec *Ref `xml:"TimeoutInSec,once"`
	// TimeOfDay is when entries expire every day: hh:mm:ss, GMT.
	TimeOfDay *Ref `xml:"TimeOfDay,once"`
	// ExpiryDate is the day at whose beginning entries expire: mm-dd-yyyy, GMT.
	ExpiryDate *Ref `xml:"ExpiryDate,once"`
}

// Ref is the variable in ref if it is set, else the text.
type Ref struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Lifetime says until when entries live.
type Lifetime struct {
	forms []form
}

type form struct {
	ref   flow.Var
	text  string
	until func(value string, now time.Time) (time.Time, bool)
}

// Compile compiles the settings; nil are none.
func (e *Expiry) Compile(env *policy.Env) *Lifetime {
	l := &Lifetime{}
	if e == nil {
		return l
	}
	l.add(env, e.TimeoutInSeconds, "TimeoutInSeconds", afterSeconds)
	l.add(env, e.TimeoutInSec, "TimeoutInSec", afterSeconds)
	l.add(env, e.TimeOfDay, "TimeOfDay", timeOfDay)
	l.add(env, e.ExpiryDate, "ExpiryDate", expiryDate)
	return l
}

func (l *Lifetime) add(env *policy.Env, r *Ref, name string, until func(string, time.Time) (time.Time, bool)) {
	if r == nil {
		return
	}
	f := form{text: strings.TrimSpace(r.Text), until: until}
	if ref := strings.TrimSpace(r.Ref); ref != "" {
		f.ref = env.Var(ref)
	}
	if f.text != "" {
		if _, ok := until(f.text, time.Unix(0, 0)); !ok {
			env.Warnf(r.Pos, "<%s> %q is none and of no effect", name, f.text)
		}
	}
	l.forms = append(l.forms, f)
}

// Until is when an entry made now expires; zero is the cache's default.
func (l *Lifetime) Until(fc *flow.Context) time.Time {
	now := fc.Now()
	for i := range l.forms {
		f := &l.forms[i]
		if !f.ref.IsZero() {
			if t, ok := f.until(strings.TrimSpace(f.ref.Get(fc).String()), now); ok {
				return t
			}
		}
		if t, ok := f.until(f.text, now); ok {
			return t
		}
	}
	return time.Time{}
}

func afterSeconds(s string, now time.Time) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}
	return now.Add(min(time.Duration(min(n, 1<<31))*time.Second, policy.MaxCacheExpiry)), true
}

func timeOfDay(s string, now time.Time) (time.Time, bool) {
	midnight := now.UTC().Truncate(24 * time.Hour)
	if s == "24:00:00" {
		return midnight.AddDate(0, 0, 1), true
	}
	t, err := time.Parse(time.TimeOnly, s)
	if err != nil {
		return time.Time{}, false
	}
	at := midnight.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at, true
}

func expiryDate(s string, now time.Time) (time.Time, bool) {
	t, err := time.Parse("1-2-2006", s)
	return t, err == nil && t.After(now)
}
