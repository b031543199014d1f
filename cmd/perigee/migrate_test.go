package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/migrate"
)

func TestBar(t *testing.T) {
	var out strings.Builder
	b := &bar{out: &out, width: 50}
	b.step(migrate.Progress{Done: 1, Total: 2, Step: "proxy hello", Outcome: migrate.Copied})
	b.step(migrate.Progress{Done: 2, Total: 2, Step: "proxy with-a-very-long-name", Outcome: migrate.Failed, Err: errors.New("a\nb")})
	b.end()
	want := "\r\x1b[K[###############...............] 1/2 proxy hello" +
		"\r\x1b[Kfailed proxy with-a-very-long-name: a; b\n" +
		"\r\x1b[K[##############################] 2/2 proxy with-a\n"
	if out.String() != want {
		t.Errorf("drawn:\n%q\nwant\n%q", out.String(), want)
	}
	out.Reset()
	plain := newBar(&out)
	plain.step(migrate.Progress{Done: 1, Total: 2, Step: "proxy hello", Outcome: migrate.Copied})
	plain.end()
	if want := "copied        proxy hello\n"; out.String() != want {
		t.Errorf("line %q, want %q", out.String(), want)
	}
}
