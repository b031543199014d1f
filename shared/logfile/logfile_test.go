package logfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/logfile"
	"github.com/perigee-gateway/perigee/shared/policy"
)

var where = policy.LogFile{Organization: "org", Environment: "test", Proxy: "p", Revision: "1", Policy: "ML-1", Name: "calls.log"}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "org/test/p/1/ML-1", name))
	if os.IsNotExist(err) {
		return "(none)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRotation(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		r     policy.Rotation
		lines []string
		step  time.Duration
		want  [4]string // the file, .1, .2, .3
	}{
		{"none", policy.Rotation{}, []string{"a", "b\nc"}, time.Hour, [4]string{"a\nb c\n", "(none)", "(none)", "(none)"}},
		{"size", policy.Rotation{MaxBytes: 4, Keep: 2}, []string{"a", "b", "c", "d", "e", "f", "g"}, 0, [4]string{"g\n", "e\nf\n", "c\nd\n", "(none)"}},
		{"a long line", policy.Rotation{MaxBytes: 2, Keep: 2}, []string{"long", "x"}, 0, [4]string{"x\n", "long\n", "(none)", "(none)"}},
		{"time", policy.Rotation{Every: time.Hour, Keep: 2}, []string{"a", "b", "c", "d"}, 40 * time.Minute, [4]string{"c\nd\n", "a\nb\n", "(none)", "(none)"}},
		{"keep none", policy.Rotation{MaxBytes: 2}, []string{"a", "b"}, 0, [4]string{"b\n", "(none)", "(none)", "(none)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, at := t.TempDir(), now
			d := logfile.New(dir, func() time.Time { return at })
			defer d.Close()
			for _, line := range c.lines {
				if err := d.Append(where, c.r, []byte(line)); err != nil {
					t.Fatal(err)
				}
				at = at.Add(c.step)
			}
			got := [4]string{read(t, dir, "calls.log"), read(t, dir, "calls.log.1"), read(t, dir, "calls.log.2"), read(t, dir, "calls.log.3")}
			if got != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestAtStart(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		d := logfile.New(dir, time.Now)
		for _, line := range []string{"a", "b"} {
			if err := d.Append(where, policy.Rotation{AtStart: true, Keep: 1}, []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		d.Close()
	}
	if got := read(t, dir, "calls.log") + read(t, dir, "calls.log.1"); got != "a\nb\na\nb\n" {
		t.Errorf("got %q", got)
	}
}

func TestStaysInside(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd"} {
		f := where
		f.Name = name
		if err := logfile.New(t.TempDir(), time.Now).Append(f, policy.Rotation{}, []byte("x")); err == nil {
			t.Errorf("%q was written to", name)
		}
	}
}
