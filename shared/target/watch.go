package target

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errSilent is the cause of a context that the io timeout cancelled.
var errSilent = errors.New("no data within io.timeout.millis")

// watch cancels an exchange when nothing was read or written for a time. Time
// only counts while somebody waits for the target: a slow client does not make
// the target late.
type watch struct {
	cancel  context.CancelCauseFunc
	timeout time.Duration
	last    atomic.Int64 // of progress, in ns since begin

	mu      sync.Mutex
	timer   *time.Timer
	waiting bool // somebody waits for the target
	running bool // the timer will fire
}

// begin is the origin of watch.last: the clock's monotonic part alone counts.
var begin = time.Now()

func (w *watch) start(timeout time.Duration, cancel context.CancelCauseFunc) {
	w.timeout, w.cancel = timeout, cancel
	w.waiting, w.running = true, true
	w.progress()
	w.mu.Lock()
	w.timer = time.AfterFunc(timeout, w.fire)
	w.mu.Unlock()
}

// progress says that bytes moved.
func (w *watch) progress() { w.last.Store(int64(time.Since(begin))) }

// resume says that somebody waits again.
func (w *watch) resume() {
	w.progress()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = true
	if !w.running {
		w.running = true
		w.timer.Reset(w.timeout)
	}
}

// pause says that nobody waits. The timer is left running: it finds out when
// it fires, which costs less than stopping it at every read.
func (w *watch) pause() {
	w.mu.Lock()
	w.waiting = false
	w.mu.Unlock()
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.running = false, false
	w.timer.Stop()
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waiting {
		w.running = false
		return
	}
	silent := time.Since(begin) - time.Duration(w.last.Load())
	if silent >= w.timeout {
		w.running = false
		w.cancel(errSilent)
		return
	}
	w.timer.Reset(w.timeout - silent)
}
