package rhino

import (
	"errors"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// Why a script was ended.
var (
	ErrTime   = errors.New("time limit exceeded")
	ErrMemory = errors.New("memory limit exceeded")
	ErrRegexp = errors.New("a regular expression took longer than " + RegexpLimit.String())
)

const (
	// memoryLimit is by how many bytes the heap may grow while a script runs.
	// Go cannot tell whose memory it is; the bound protects the process.
	memoryLimit = 256 << 20
	// grace is how long a script runs before memory is looked at: nearly all
	// are over by then.
	grace    = 20 * time.Millisecond
	interval = 10 * time.Millisecond
)

// watchdog interrupts a runtime whose time is over or that eats the memory.
type watchdog struct {
	mu     sync.Mutex
	vm     *goja.Runtime
	timer  *time.Timer
	until  time.Time
	heap   uint64 // at the first look
	reason error
	done   bool
}

func (w *watchdog) start(vm *goja.Runtime, limit time.Duration) {
	w.mu.Lock() // look may be first
	defer w.mu.Unlock()
	w.vm = vm
	w.until = time.Now().Add(limit)
	w.timer = time.AfterFunc(min(limit, grace), w.look)
}

func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	left := time.Until(w.until)
	switch {
	case left <= 0:
		w.endLocked(ErrTime)
		return
	case w.heap == 0:
		w.heap = heapSize()
	case heapSize() > w.heap+memoryLimit:
		w.endLocked(ErrMemory)
		return
	}
	w.timer.Reset(min(left, interval))
}

// endLocked interrupts; w.mu is held.
func (w *watchdog) endLocked(why error) {
	if w.done {
		return
	}
	w.done, w.reason = true, why
	w.vm.Interrupt(why)
}

func (w *watchdog) interrupt(why error) {
	w.mu.Lock()
	w.endLocked(why)
	w.mu.Unlock()
}

// pause keeps the watchdog from ending the script until extend.
func (w *watchdog) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.until = w.until.AddDate(1, 0, 0)
		w.timer.Stop()
	}
}

// extend gives limit from now on; false if the script was ended already.
func (w *watchdog) extend(limit time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return false
	}
	w.until = time.Now().Add(limit)
	w.timer.Reset(min(limit, grace))
	return true
}

func (w *watchdog) stop() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	w.timer.Stop()
}

func (w *watchdog) end() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until
}

func (w *watchdog) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

func heapSize() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
