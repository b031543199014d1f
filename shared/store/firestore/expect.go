package firestore

import (
	"hash/maphash"
	"sync/atomic"
)

// expectations are, for each collection, whether the last update that began by
// reading one of its documents was about more than that one. The next then begins
// as a transaction, so that nothing is read twice. That is a guess: where it is
// wrong it costs a round trip.
type expectations struct {
	seed  maphash.Seed
	slots [64]atomic.Bool
}

func newExpectations() *expectations { return &expectations{seed: maphash.MakeSeed()} }

func (e *expectations) slot(collection string) *atomic.Bool {
	return &e.slots[maphash.String(e.seed, collection)%uint64(len(e.slots))]
}

// more is whether an update is expected to be about more than one document.
func (e *expectations) more(collection string) bool { return e.slot(collection).Load() }

// set notes what an update was.
func (e *expectations) set(collection string, more bool) { e.slot(collection).Store(more) }
