package counter

import (
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// state is what an instance knows of one counter, and what it has leased of it.
type state struct {
	id    store.Key
	group string

	mu sync.Mutex
	// left is leased and not used; it counts as used in the store.
	left int64
	// unspent was leased, may not be spent any more, and is to be given back.
	unspent int64
	// leaseEnd is until when left may be spent, in windows that roll.
	leaseEnd time.Time
	// pending was counted (CountOnly) and is not in the store yet.
	pending int64
	// used is the count in the store at asOf, end the end of its window.
	used      int64
	asOf, end time.Time
	// full is until when used is not asked for again if it was the limit.
	full time.Time
	// window is that of the last use.
	window policy.Window

	queue []*waiter // waiting for an exchange
	busy  bool      // an exchange is under way, or its leader about to begin
	due   time.Time // when Settle is to look at it; zero is never

	// sharing is how many instances share the counter, as of the last exchange.
	exchanged time.Time
	sharing   int
	demand    demand
}

// demand measures how many uses a second this instance sees.
type demand struct {
	second       int64 // that current counts
	current      int64
	before       int64 // in the second before
	burst, since int64 // uses since the last exchange, and its time in ns
}

func (d *demand) add(n int64, now time.Time) {
	d.roll(now)
	d.current += n
	d.burst += n
}

func (d *demand) roll(now time.Time) {
	switch second := now.Unix(); second - d.second {
	case 0:
	case 1:
		d.second, d.before, d.current = second, d.current, 0
	default:
		d.second, d.before, d.current = second, 0, 0
	}
}

// rate is the higher of the uses in the last second and the pace of those since
// the last exchange; one by itself is no demand.
func (d *demand) rate(now time.Time) float64 {
	d.roll(now)
	lately := float64(d.current) + float64(d.before)*(1-float64(now.Nanosecond())/1e9)
	burst := 0.0
	if d.since > 0 {
		burst = float64(d.burst-1) / max(float64(now.UnixNano()-d.since)/1e9, shortest.Seconds())
	}
	d.burst, d.since = 0, now.UnixNano()
	return max(lately-1, burst, 0)
}

// waiter is a use that waits for an exchange. Its fields are the state's.
type waiter struct {
	request policy.QuotaRequest
	ch      chan struct{} // told that it is decided, or leads
	leads   bool
	gone    bool
	decided bool
	result  policy.QuotaResult
	err     error
}

func (w *waiter) tell() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

func (w *waiter) decide(r policy.QuotaResult, err error) {
	w.decided, w.result, w.err = true, r, err
	w.tell()
}

// roll forgets what belongs to a window that is over.
func (s *state) roll(now time.Time) {
	if !s.end.IsZero() && s.window.Kind != policy.RollingWindow && !now.Before(s.end) {
		s.left, s.unspent, s.pending, s.used = 0, 0, 0, 0
		s.end, s.asOf, s.full, s.due = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	if s.window.Kind == policy.RollingWindow && !now.Before(s.leaseEnd) {
		s.left, s.unspent = 0, s.unspent+s.left
	}
}

// seen notes a use for the estimate of the demand.
func (s *state) seen(r *policy.QuotaRequest, now time.Time) {
	s.window = r.Window
	if !r.CountOnly && !r.EnforceOnly {
		s.demand.add(r.Weight, now)
	}
}

// local decides a use from what is known here, if that is possible.
func (s *state) local(r *policy.QuotaRequest, now time.Time) (policy.QuotaResult, bool) {
	if len(s.queue) > 0 { // others are before it
		return policy.QuotaResult{}, false
	}
	taken := s.used - s.left + s.pending // by now, as far as known here
	switch {
	case r.CountOnly:
		return policy.QuotaResult{}, false
	case r.EnforceOnly:
		if r.Exact && now.After(s.asOf) || s.asOf.IsZero() || now.Sub(s.asOf) >= recheck {
			return policy.QuotaResult{}, false
		}
		return s.result(taken < r.Limit, r), true
	case s.left >= r.Weight && r.Weight > 0 && taken+r.Weight <= r.Limit:
		s.left -= r.Weight
		return s.result(true, r), true
	case now.Before(s.full) && taken+r.Weight > r.Limit:
		return s.result(false, r), true
	}
	return policy.QuotaResult{}, false
}

// result is the answer to a use, as the state is after it.
func (s *state) result(allowed bool, r *policy.QuotaRequest) policy.QuotaResult {
	res := policy.QuotaResult{Allowed: allowed, Used: s.used - s.left + s.pending, ExpiresAt: s.end}
	if s.end.IsZero() || r.Window.Kind == policy.RollingWindow {
		res.ExpiresAt = r.Window.End
	}
	return res
}

// pace is how often an instance writes a counter that is in demand and that so
// many share: all together write it about twice a second.
func pace(sharing int) time.Duration {
	return min(max(time.Second, time.Duration(sharing)*time.Second/2), 10*time.Second)
}

// pass decides what can be decided now of what waits, and has another lead the
// next exchange for the rest.
func (s *state) pass(now time.Time) {
	waiting := s.queue
	s.queue = nil
	for i, w := range waiting {
		if w.gone {
			continue
		}
		if res, ok := s.local(&w.request, now); ok {
			w.decide(res, nil)
			continue
		}
		s.queue = waiting[i:]
		w.leads = true
		w.tell()
		return
	}
	s.busy = false
}

// leave ends w's waiting: its call is over.
func (s *state) leave(w *waiter, now time.Time) {
	w.gone = true
	if w.decided {
		s.refund(w, now)
	}
	if w.leads {
		w.leads = false
		s.pass(now)
	}
}

// refund keeps what was granted to a call that is over.
func (s *state) refund(w *waiter, now time.Time) {
	if w.err == nil && w.result.Allowed && !w.request.EnforceOnly && !w.request.CountOnly {
		s.left += w.request.Weight
		s.due = earlier(s.due, now.Add(2*pace(s.sharing)))
	}
}

// forget has the next use ask the store, after a reset by amount.
func (s *state) forget(amount int64) {
	s.full, s.asOf = time.Time{}, time.Time{}
	if amount == 0 {
		s.left, s.unspent, s.pending = 0, 0, 0
	}
}

// idle reports whether nothing is lost by forgetting the state.
func (s *state) idle(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roll(now)
	return !s.busy && s.left == 0 && s.unspent == 0 && s.pending == 0 && now.Sub(s.exchanged) > 10*time.Second
}

// droppable reports whether only a lease is lost by forgetting the state.
func (s *state) droppable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.busy && s.pending == 0
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
