package firestore

import (
	"context"
	"hash/maphash"

	"github.com/perigee-gateway/perigee/shared/store"
)

// queues make transactions of one process that begin by reading the same thing
// wait for each other here. In Firestore each would take a lock for reading and
// then wait for the other's to end, until one of them is thrown out: slow, and
// under load hardly any gets through.
//
// A transaction waits in one queue only, and before it holds any of Firestore's
// locks, so that none can wait for another in a circle.
type queues struct {
	seed maphash.Seed
	// slots each have room for one transaction.
	slots [64]chan struct{}
}

func newQueues() *queues {
	q := &queues{seed: maphash.MakeSeed()}
	for i := range q.slots {
		q.slots[i] = make(chan struct{}, 1)
	}
	return q
}

// enter waits for a turn, or until ctx ends. The result ends the turn.
func (q *queues) enter(ctx context.Context, hash uint64) (leave func(), err error) {
	slot := q.slots[hash%uint64(len(q.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (q *queues) ofKey(key store.Key) uint64 { return maphash.Comparable(q.seed, key) }

// ofQuery is the same for all queries with the same conditions.
func (q *queues) ofQuery(query store.Query) uint64 {
	hash := maphash.String(q.seed, query.Collection)
	for name, value := range query.Where {
		hash += maphash.Comparable(q.seed, [2]string{name, value})
	}
	return hash
}
