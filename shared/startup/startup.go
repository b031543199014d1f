// Package startup keeps the garbage collector out of a cold start. What packages
// set up as a process starts and what the first call compiles pass the 4 MiB at
// which Go collects for the first time: that collection, which frees next to
// nothing, is a sixth of the CPU time to the first answer.
//
// It imports next to nothing, so that it is initialized before most others.
package startup

import (
	"os"
	"runtime/debug"
	"sync"
)

// percent is the first heap's growth: it is collected at 4 MiB * percent / 100.
const percent = 400

// usual is Go's own default.
const usual = 100

// The collector is the operator's if they set it.
var own = os.Getenv("GOGC") == ""

func init() {
	if own {
		debug.SetGCPercent(percent)
	}
}

// Done says that the process has started and its first answer is out: the collector
// works as usual from then on. It may be called more than once.
var Done = sync.OnceFunc(func() {
	if own {
		debug.SetGCPercent(usual)
	}
})
