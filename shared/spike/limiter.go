// Package spike smooths traffic to a rate, in this process: the limiter of
// SpikeArrest and PromptTokenLimit. It stores nothing, and forgets what is idle.
package spike

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

const (
	shards = 16
	// maxPerShard bounds the identifiers of one policy: 16 times this many,
	// about 8 MB.
	maxPerShard = 8192
)

// Limiter counts the requests of one policy, by identifier. What it holds is
// only an identifier's hash and three numbers, however long callers make their
// identifiers.
type Limiter struct {
	start   sync.Once
	base    time.Time // of the first request; times count from it on the monotonic clock
	sliding bool
	seed    maphash.Seed
	shard   [shards]shard
}

type shard struct {
	mu      sync.Mutex
	buckets map[uint64]bucket
	sweepAt int // size at which idle buckets are looked for
}

// bucket is the state of one identifier. One that is idle says the same as none
// at all.
type bucket struct {
	// at is, when smoothing, the time when the rate is met again; else the
	// number of the window that count belongs to.
	at            int64
	count, before int64 // in the window, and in the one before
	idle          int64 // time from which the bucket says nothing
}

// New returns a limiter that smooths, or with sliding counts in a window that
// slides.
func New(sliding bool) *Limiter {
	return &Limiter{sliding: sliding, seed: maphash.MakeSeed()}
}

// Take counts a request of the given weight. It returns how many of weight one
// would still be let through, and whether this one is.
func (l *Limiter) Take(id string, r Rate, weight int64, now time.Time) (available int64, ok bool) {
	l.start.Do(func() { l.base = now })
	at := max(0, int64(now.Sub(l.base)))
	key := maphash.String(l.seed, id)
	s := &l.shard[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	b, known := s.buckets[key]
	if !known {
		s.makeRoom(at)
	}
	if l.sliding {
		available, ok = b.slide(r, weight, at)
	} else {
		available, ok = b.smooth(r, weight, at)
	}
	s.buckets[key] = b
	return available, ok
}

// makeRoom makes room for another bucket. Idle ones go first; if that is not
// enough, those that are idle soonest among a few: their identifiers get a
// fresh start.
func (s *shard) makeRoom(at int64) {
	if s.buckets == nil {
		s.buckets = make(map[uint64]bucket)
		s.sweepAt = 64
	}
	if len(s.buckets) < s.sweepAt {
		return
	}
	for k, b := range s.buckets {
		if b.idle <= at {
			delete(s.buckets, k)
		}
	}
	if len(s.buckets) >= maxPerShard {
		for len(s.buckets) > maxPerShard*7/8 { // many, so that not every call sweeps
			s.evict()
		}
	}
	s.sweepAt = min(max(64, 2*len(s.buckets)), maxPerShard)
}

func (s *shard) evict() {
	var victim uint64
	soonest, n := int64(math.MaxInt64), 0
	for k, b := range s.buckets { // in random order
		if b.idle < soonest {
			victim, soonest = k, b.idle
		}
		if n++; n == 8 {
			break
		}
	}
	delete(s.buckets, victim)
}

// smooth is the generic cell rate algorithm: a request of weight w takes w
// times the interval, and may come early by what the burst allows.
func (b *bucket) smooth(r Rate, weight, now int64) (available int64, ok bool) {
	interval := float64(r.Period) / float64(r.Messages)
	early := (math.Floor(r.burst()) - 1) * interval
	due := max(b.at, now)
	ok = float64(due-now) <= early
	if ok {
		due += int64(float64(weight) * interval)
		b.at, b.idle = due, due
	}
	left := early - float64(due-now)
	if left < 0 {
		return 0, ok
	}
	return int64(left/interval) + 1, ok
}

// slide counts in a window that slides: of the window before, the share that
// the last period still covers.
func (b *bucket) slide(r Rate, weight, now int64) (available int64, ok bool) {
	period := int64(r.Period)
	window := now / period
	switch b.at {
	case window:
	case window - 1:
		b.before, b.count = b.count, 0
	default:
		b.before, b.count = 0, 0
	}
	b.at, b.idle = window, (window+2)*period
	share := float64(period-now%period) / float64(period)
	used := float64(b.before)*share + float64(b.count)
	ok = used+float64(weight) <= float64(r.Messages)
	if ok {
		b.count += weight
		used += float64(weight)
	}
	return max(0, int64(float64(r.Messages)-used)), ok
}
