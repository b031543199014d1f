// Package counter counts uses of quotas, exactly and over all instances, with few
// writes.
//
// A counter is one document for each window. An instance leases a slice of what is
// left in one transaction: the slice counts as used from then on, and is spent in
// memory. How large it is follows the demand this instance saw: what waits, and
// what comes within the next seconds, so that a counter is written about twice a
// second however many instances there are. Below a demand of that, and for the last
// few uses of a quota, nothing is taken ahead: every use is one transaction, which
// is shared by those that wait at the same time.
//
// So never more than the limit are allowed. What an instance leased and does not
// use for some time it gives back when one of its calls ends (Settle), or when it
// is stopped (Flush). An instance that is killed takes its lease with it: then less
// than the limit is reached in that window.
//
// That a quota is used up is known to an instance for a second without asking, and
// asking then is a read: refusals cost no writes.
//
// Counting without limit (CountOnly) adds up in memory and is written about once a
// second, or at once if it is Exact.
package counter

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// recheck is how long a counter is believed to be used up, or its count to
	// be what was read.
	recheck = time.Second
	// exchangeTimeout bounds one exchange with the store, retries included.
	exchangeTimeout = 10 * time.Second
	// maxStates bounds the counters in memory, about 300 bytes each.
	maxStates = 1 << 16
)

// Options configure Quotas.
type Options struct {
	Store                     *store.Store
	Organization, Environment string
	// Instance is unique among all processes, ever; "" is a random one.
	Instance string
	Log      *slog.Logger
}

// Quotas implements policy.Quotas for an environment.
type Quotas struct {
	store    *store.Store
	org, env string
	instance string
	log      *slog.Logger

	seq atomic.Int64 // numbers the transactions of this process
	due atomic.Int64 // when Settle has something to do, in ns; 0 is never

	mu      sync.Mutex
	states  map[key]*state
	sweepAt int
}

var _ policy.Quotas = (*Quotas)(nil)

// New returns the quotas of an environment.
func New(o Options) *Quotas {
	if o.Instance == "" {
		o.Instance = uuid.NewString()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Quotas{
		store: o.Store, org: o.Organization, env: o.Environment, instance: o.Instance, log: o.Log,
		states: map[key]*state{}, sweepAt: 1024,
	}
}

// key is a counter in memory.
type key struct {
	policy.Counter
	kind     policy.WindowKind
	interval int64
	unit     string
	start    int64 // of a fixed window, in ms
}

func keyOf(c policy.Counter, w *policy.Window) key {
	k := key{Counter: c, kind: w.Kind, interval: w.Interval, unit: w.Unit}
	if w.Kind == policy.FixedWindow {
		k.start = w.Start.UnixMilli()
	}
	return k
}

// state returns the counter's state in this instance.
func (q *Quotas) state(c policy.Counter, w *policy.Window, now time.Time) *state {
	k := keyOf(c, w)
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.states[k]
	if s == nil {
		if len(q.states) >= q.sweepAt {
			q.sweep(now)
		}
		s = &state{id: q.docKey(k), group: q.group(c)}
		q.states[k] = s
	}
	return s
}

// sweep makes room: first what holds nothing and was not asked for lately, then
// anything that holds no counts that are not stored yet.
func (q *Quotas) sweep(now time.Time) {
	for k, s := range q.states {
		if s.idle(now) {
			delete(q.states, k)
		}
	}
	for k, s := range q.states {
		if len(q.states) < maxStates*7/8 {
			break
		}
		if s.droppable() {
			delete(q.states, k)
		}
	}
	q.sweepAt = min(max(1024, 2*len(q.states)), maxStates)
}

// Use counts one use.
func (q *Quotas) Use(ctx context.Context, r policy.QuotaRequest) (policy.QuotaResult, error) {
	now := q.store.Now()
	s := q.state(r.Counter, &r.Window, now)
	s.mu.Lock()
	s.roll(now)
	s.seen(&r, now)
	if res, ok := s.local(&r, now); ok {
		s.mu.Unlock()
		return res, nil
	}
	if r.CountOnly && !r.Exact {
		return q.count(ctx, s, &r, now)
	}
	w := &waiter{request: r, ch: make(chan struct{}, 1)}
	s.queue = append(s.queue, w)
	lead := !s.busy
	s.busy = true
	s.mu.Unlock()
	if lead {
		q.round(ctx, s)
	}
	return q.wait(ctx, s, w)
}

// wait waits until w is decided, leading an exchange if w is told to.
func (q *Quotas) wait(ctx context.Context, s *state, w *waiter) (policy.QuotaResult, error) {
	for {
		select {
		case <-w.ch:
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			s.leave(w, q.store.Now())
			return policy.QuotaResult{}, ctx.Err()
		}
		s.mu.Lock()
		lead := w.leads
		w.leads = false
		decided, res, err := w.decided, w.result, w.err
		s.mu.Unlock()
		if decided {
			return res, err
		}
		if lead {
			q.round(ctx, s)
		}
	}
}

// round decides all that wait now, in one exchange, and passes the lead on.
func (q *Quotas) round(ctx context.Context, s *state) {
	s.mu.Lock()
	batch := s.queue
	s.queue = nil
	now := q.store.Now()
	s.roll(now)
	x := s.prepare(batch, now)
	s.mu.Unlock()

	err := q.exchange(ctx, s, x)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(x, err, q.store.Now())
	q.schedule(s.due)
	s.pass(q.store.Now())
}

// count adds to what is counted in memory, and stores that if it is due. It is
// called with s locked and unlocks it.
func (q *Quotas) count(ctx context.Context, s *state, r *policy.QuotaRequest, now time.Time) (policy.QuotaResult, error) {
	s.pending += r.Weight
	s.window = r.Window
	res := s.result(true, r)
	if s.busy || now.Sub(s.exchanged) < pace(s.sharing) {
		s.due = earlier(s.due, now.Add(pace(s.sharing)))
		q.schedule(s.due)
		s.mu.Unlock()
		return res, nil
	}
	s.busy = true
	s.mu.Unlock()
	q.round(ctx, s)
	return res, nil
}

// schedule has Settle look again at t.
func (q *Quotas) schedule(t time.Time) {
	if t.IsZero() {
		return
	}
	at := t.UnixNano()
	for {
		due := q.due.Load()
		if due != 0 && due <= at || q.due.CompareAndSwap(due, at) {
			return
		}
	}
}

// Settle gives back leases that were not used up in the time they were for, and
// stores counts, where that is due.
func (q *Quotas) Settle(ctx context.Context) {
	due := q.due.Load()
	if due == 0 {
		return
	}
	now := q.store.Now()
	if now.UnixNano() < due || !q.due.CompareAndSwap(due, 0) {
		return
	}
	q.settle(ctx, now)
}

// Flush gives back all leases and stores all counts: the process ends.
func (q *Quotas) Flush(ctx context.Context) { q.settle(ctx, time.Time{}) }

// settle settles what is due at now, everything if now is zero.
func (q *Quotas) settle(ctx context.Context, now time.Time) {
	var due []*state
	q.mu.Lock()
	for _, s := range q.states {
		s.mu.Lock()
		switch {
		case s.due.IsZero():
		case !now.IsZero() && now.Before(s.due):
			q.schedule(s.due)
		case s.busy:
			q.schedule(s.due.Add(recheck))
		default:
			s.busy, s.due = true, time.Time{}
			due = append(due, s)
		}
		s.mu.Unlock()
	}
	q.mu.Unlock()
	for _, s := range due {
		q.round(ctx, s)
	}
}

// Reset lowers the count of a counter by amount, or clears it.
func (q *Quotas) Reset(ctx context.Context, c policy.Counter, w policy.Window, amount int64) error {
	now := q.store.Now()
	s := q.state(c, &w, now)
	err := q.lower(ctx, s, &w, amount)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.forget(amount)
	}
	return err
}
