package ratelimit

import (
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
)

func at(t testing.TB, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04:05.000", time.DateOnly} {
		if v, err := time.Parse(layout, s); err == nil {
			return v
		}
	}
	t.Fatalf("time %q", s)
	return time.Time{}
}

func TestAligned(t *testing.T) {
	for _, tt := range []struct {
		now      string
		interval int64
		unit     Unit
		start    string
		end      string
	}{
		{"2026-04-01 12:34:56", 1, Second, "2026-04-01 12:34:56", "2026-04-01 12:34:57"},
		{"2026-04-01 12:34:56.999", 10, Second, "2026-04-01 12:34:50", "2026-04-01 12:35:00"},
		{"2026-04-01 12:34:56", 1, Minute, "2026-04-01 12:34:00", "2026-04-01 12:35:00"},
		{"2026-04-01 12:34:00", 1, Minute, "2026-04-01 12:34:00", "2026-04-01 12:35:00"},
		{"2026-04-01 12:34:59.999", 15, Minute, "2026-04-01 12:30:00", "2026-04-01 12:45:00"},
		{"2026-04-01 12:34:56", 1, Hour, "2026-04-01 12:00:00", "2026-04-01 13:00:00"},
		{"2026-04-01 23:34:56", 6, Hour, "2026-04-01 18:00:00", "2026-04-02"},
		{"2026-04-01 12:34:56", 1, Day, "2026-04-01", "2026-04-02"},
		{"2026-03-29 02:30:00", 1, Day, "2026-03-29", "2026-03-30"}, // the day clocks change in Europe
		{"2026-04-01 12:34:56", 1, Week, "2026-03-29", "2026-04-05"},
		{"2026-04-05 00:00:00", 1, Week, "2026-04-05", "2026-04-12"},
		{"2026-04-04 23:59:59.999", 1, Week, "2026-03-29", "2026-04-05"},
		{"2026-04-30 23:59:59.999", 1, Month, "2026-04-01", "2026-05-01"},
		{"2026-05-01 00:00:00", 1, Month, "2026-05-01", "2026-06-01"},
		{"2026-05-17 00:00:00", 3, Month, "2026-04-01", "2026-07-01"},
		{"2028-02-29 12:00:00", 1, Month, "2028-02-01", "2028-03-01"},
		{"2026-05-17 00:00:00", 1, Year, "2026-01-01", "2027-01-01"},
		{"2027-05-17 00:00:00", 2, Year, "2026-01-01", "2028-01-01"},
		{"1999-12-31 23:59:59", 1, Month, "1999-12-01", "2000-01-01"},
		{"1999-12-31 23:59:59", 1, Hour, "1999-12-31 23:00:00", "2000-01-01"},
	} {
		w := aligned(at(t, tt.now), tt.interval, tt.unit)
		if !w.Start.Equal(at(t, tt.start)) || !w.End.Equal(at(t, tt.end)) || w.Kind != policy.FixedWindow {
			t.Errorf("%s in %d %s: %s to %s", tt.now, tt.interval, tt.unit, w.Start, w.End)
		}
	}
}

func TestSince(t *testing.T) {
	for _, tt := range []struct {
		origin, now string
		interval    int64
		unit        Unit
		start, end  string
	}{
		{"2017-01-19 12:00:00", "2026-04-19 11:59:59.999", 1, Month, "2026-03-19 12:00:00", "2026-04-19 12:00:00"},
		{"2017-01-19 12:00:00", "2026-04-19 12:00:00", 1, Month, "2026-04-19 12:00:00", "2026-05-19 12:00:00"},
		{"2026-01-31 05:00:00", "2026-02-28 04:59:59", 1, Month, "2026-01-31 05:00:00", "2026-02-28 05:00:00"},
		{"2026-01-31 05:00:00", "2026-02-28 05:00:00", 1, Month, "2026-02-28 05:00:00", "2026-03-31 05:00:00"},
		{"2026-01-31 05:00:00", "2026-03-31 05:00:00", 1, Month, "2026-03-31 05:00:00", "2026-04-30 05:00:00"},
		{"2026-01-31 05:00:00", "2028-02-29 06:00:00", 1, Month, "2028-02-29 05:00:00", "2028-03-31 05:00:00"},
		{"2024-02-29 00:00:00", "2025-03-01 00:00:00", 1, Year, "2025-02-28", "2026-02-28"},
		{"2024-02-29 00:00:00", "2028-02-29 00:00:00", 1, Year, "2028-02-29", "2029-02-28"},
		{"2017-07-08 12:35:28", "2017-07-08 13:35:27", 1, Hour, "2017-07-08 12:35:28", "2017-07-08 13:35:28"},
		{"2017-07-08 12:35:28", "2017-07-08 13:35:28", 1, Hour, "2017-07-08 13:35:28", "2017-07-08 14:35:28"},
		{"2017-07-08 12:35:28", "2026-04-01 00:00:00", 5, Hour, "2026-03-31 20:35:28", "2026-04-01 01:35:28"},
		{"2026-04-01 10:00:00", "2026-04-08 10:00:00", 1, Week, "2026-04-08 10:00:00", "2026-04-15 10:00:00"},
		{"2030-01-15 00:00:00", "2026-04-14 00:00:00", 1, Month, "2026-03-15", "2026-04-15"}, // it begins later: intervals before are alike
		{"2030-01-01 00:00:30", "2026-04-01 00:00:00", 1, Minute, "2026-03-31 23:59:30", "2026-04-01 00:00:30"},
	} {
		w := since(at(t, tt.origin), at(t, tt.now), tt.interval, tt.unit)
		if !w.Start.Equal(at(t, tt.start)) || !w.End.Equal(at(t, tt.end)) {
			t.Errorf("%s since %s by %d %s: %s to %s", tt.now, tt.origin, tt.interval, tt.unit, w.Start, w.End)
		}
	}
}

func TestMoving(t *testing.T) {
	for _, tt := range []struct {
		kind     policy.WindowKind
		now      string
		interval int64
		unit     Unit
		length   time.Duration
	}{
		{policy.FlexiWindow, "2026-04-01 12:00:01", 2, Hour, 2 * time.Hour},
		{policy.FlexiWindow, "2026-01-31 12:00:00", 1, Month, 28 * 24 * time.Hour},
		{policy.RollingWindow, "2026-01-31 12:00:00", 1, Month, 31 * 24 * time.Hour},
		{policy.RollingWindow, "2026-03-31 12:00:00", 1, Month, 31 * 24 * time.Hour}, // since February 28th
		{policy.RollingWindow, "2026-04-01 12:00:00", 1, Minute, time.Minute},
		{policy.FlexiWindow, "2028-01-01 00:00:00", 1, Year, 366 * 24 * time.Hour},
	} {
		w := moving(tt.kind, at(t, tt.now), tt.interval, tt.unit)
		if w.End.Sub(w.Start) != tt.length || w.Kind != tt.kind {
			t.Errorf("%s %d %s: %s", tt.now, tt.interval, tt.unit, w.End.Sub(w.Start))
		}
	}
}

// FuzzWindow checks that every moment is in exactly one of the windows that
// follow each other.
func FuzzWindow(f *testing.F) {
	f.Add(int64(1485000000), int64(1775000000), uint8(1), uint8(5))
	f.Fuzz(func(t *testing.T, origin, now int64, interval, unit uint8) {
		units := []Unit{Second, Minute, Hour, Day, Week, Month, Year}
		u, n := units[int(unit)%len(units)], int64(interval%40)+1
		if origin < 0 || origin > 1<<33 || now < 0 || now > 1<<33 {
			return
		}
		o, at := time.Unix(origin, 0).UTC(), time.Unix(now, 0).UTC()
		for _, find := range []func(time.Time) policy.Window{
			func(at time.Time) policy.Window { return since(o, at, n, u) },
			func(at time.Time) policy.Window { return aligned(at, n, u) },
		} {
			w := find(at)
			if at.Before(w.Start) || !at.Before(w.End) {
				t.Fatalf("%s is not in %s to %s", at, w.Start, w.End)
			}
			if next := find(w.End); !next.Start.Equal(w.End) {
				t.Fatalf("%s to %s is followed by %s", w.Start, w.End, next.Start)
			}
			if last := find(w.End.Add(-1)); last != w {
				t.Fatalf("%s to %s ends as %s to %s", w.Start, w.End, last.Start, last.End)
			}
		}
	})
}

func BenchmarkAligned(b *testing.B) {
	now := at(b, "2026-04-01 12:34:56")
	for b.Loop() {
		aligned(now, 1, Month)
	}
}
