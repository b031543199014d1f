package ratelimit

import (
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// A Unit of time of quotas.
type Unit string

// The units.
const (
	Second Unit = "second"
	Minute Unit = "minute"
	Hour   Unit = "hour"
	Day    Unit = "day"
	Week   Unit = "week"
	Month  Unit = "month"
	Year   Unit = "year"
)

var lengths = map[Unit]time.Duration{Second: time.Second, Minute: time.Minute, Hour: time.Hour, Day: 24 * time.Hour, Week: 7 * 24 * time.Hour}

// valid reports whether u is a unit.
func (u Unit) valid() bool { return lengths[u] != 0 || u == Month || u == Year }

// after is n units after t, in UTC. Months and years keep the day, or take the
// month's last one.
func (u Unit) after(t time.Time, n int64) time.Time {
	if d := lengths[u]; d != 0 {
		return t.Add(time.Duration(n) * d)
	}
	if u == Year {
		n *= 12
	}
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// between is how many whole units there are from a to b, about: one more or less
// for months and years.
func (u Unit) between(a, b time.Time) int64 {
	if d := lengths[u]; d != 0 {
		return floorDiv(int64(b.Sub(a)/time.Millisecond), d.Milliseconds())
	}
	months := int64(b.Year()-a.Year())*12 + int64(b.Month()-a.Month())
	if u == Year {
		return floorDiv(months, 12)
	}
	return months
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Intervals of the clock's units count from these: midnight GMT, and for weeks
// one of a Sunday, since they end "midnight GMT Sunday".
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/quota-policy#quotapolicytypes
var (
	millennium = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	sunday     = time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
)

// aligned is the window of the clock that now is in: it begins at the top of the
// minute, hour, day, week, month or year, GMT.
func aligned(now time.Time, interval int64, unit Unit) policy.Window {
	if unit == Week {
		return since(sunday, now, interval, unit)
	}
	return since(millennium, now, interval, unit)
}

// since is the window that now is in of those that begin at origin and repeat.
// Months are counted from origin, so that one that began on the 31st does so
// again after a shorter one.
func since(origin, now time.Time, interval int64, unit Unit) policy.Window {
	now = now.UTC()
	n := floorDiv(unit.between(origin, now), interval)
	for unit.after(origin, n*interval).After(now) {
		n--
	}
	for !unit.after(origin, (n+1)*interval).After(now) {
		n++
	}
	return policy.Window{
		Kind: policy.FixedWindow, Interval: interval, Unit: string(unit),
		Start: unit.after(origin, n*interval), End: unit.after(origin, (n+1)*interval),
	}
}

// moving is a window of a kind that does not follow the clock.
func moving(kind policy.WindowKind, now time.Time, interval int64, unit Unit) policy.Window {
	w := policy.Window{Kind: kind, Interval: interval, Unit: string(unit), Start: now, End: unit.after(now.UTC(), interval)}
	if kind == policy.RollingWindow { // its months are the past ones
		past := unit.after(now.UTC(), -interval)
		w.End = now.Add(now.Sub(past))
	}
	return w
}
