package javatime

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rows reads a table that the JDK filled in; see testdata/Oracle.java.
func rows(t testing.TB, name string) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for _, line := range strings.Split(string(data), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, strings.Split(line, "\t"))
		}
	}
	return out
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestFormat(t *testing.T) {
	for _, r := range rows(t, "format.tsv") {
		got := "error"
		if l, err := Compile(r[0]); err == nil {
			ms, err := strconv.ParseInt(r[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got = l.Format(time.UnixMilli(ms).In(location(t, r[1])))
		}
		if got != r[3] {
			t.Errorf("%q of %s in %s: %q, Java %q", r[0], r[2], r[1], got, r[3])
		}
	}
}

func TestParse(t *testing.T) {
	for _, r := range rows(t, "parse.tsv") {
		l, err := Compile(r[0])
		if err != nil {
			t.Fatal(err)
		}
		got := "none"
		if at, err := l.Parse(r[2], location(t, r[1])); err == nil {
			got = strconv.FormatInt(at.UnixMilli(), 10)
		}
		if got != r[3] {
			t.Errorf("%q with %q in %s: %s, Java %s", r[2], r[0], r[1], got, r[3])
		}
	}
}

func TestZone(t *testing.T) {
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"UTC": "12:00", "": "12:00", "GMT": "12:00", "nope": "12:00", "Local": "12:00", "PST": "05:00", "America/New_York": "08:00",
		"IST": "17:30", "GMT+5:30": "17:30", "GMT-08:00": "04:00", "GMT+2": "14:00", "GMT+99": "12:00", "../etc/passwd": "12:00",
	} {
		if got := at.In(Zone(name)).Format("15:04"); got != want {
			t.Errorf("Zone(%q): %s, want %s", name, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	_, err := Compile("yyyy-MM-ddThh")
	if err == nil || err.Error() != `time pattern "yyyy-MM-ddThh": illegal pattern character 'T' at byte 10` {
		t.Errorf("error = %v", err)
	}
	l, err := Compile("yyyy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Parse("x", nil); err == nil || l.String() != "yyyy" {
		t.Errorf("error = %v", err)
	}
	if at, err := l.Parse("2020", nil); err != nil || !at.Equal(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", at, err)
	}
}

// FuzzParse: a time that is formatted to the millisecond parses to itself, and
// no pattern or text panics.
func FuzzParse(f *testing.F) {
	for _, r := range rows(f, "parse.tsv") {
		f.Add(r[0], r[2], int64(1494390266045))
	}
	full, err := Compile("yyyy-MM-dd HH:mm:ss.SSS Z")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern, text string, ms int64) {
		at := time.UnixMilli(ms % 200_000_000_000_000).UTC()
		if at.Year() > 0 && at.Year() < 10000 {
			if back, err := full.Parse(full.Format(at), nil); err != nil || !back.Equal(at) {
				t.Fatalf("%v becomes %v, %v", at, back, err)
			}
		}
		l, err := Compile(pattern)
		if err != nil {
			return
		}
		_ = l.Format(at)
		_, _ = l.Parse(text, nil)
	})
}

func BenchmarkAppend(b *testing.B) {
	l, err := Compile("yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
	if err != nil {
		b.Fatal(err)
	}
	at := time.UnixMilli(1494390266045).UTC()
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = l.Append(buf[:0], at)
	}
}
