package startup

import (
	"runtime/debug"
	"testing"
)

func TestDone(t *testing.T) {
	if !own {
		return // GOGC is set, and left alone
	}
	now := func() int {
		p := debug.SetGCPercent(usual)
		debug.SetGCPercent(p)
		return p
	}
	if p := now(); p != percent {
		t.Errorf("%d at first, want %d", p, percent)
	}
	Done()
	if p := now(); p != usual {
		t.Errorf("%d then, want %d", p, usual)
	}
	debug.SetGCPercent(50)
	Done()
	if p := now(); p != 50 {
		t.Errorf("Done again sets %d", p)
	}
}
