package counter

import (
	"context"
	"errors"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// exactBelow is how much of a quota must be left for anything to be taken
	// ahead: the last uses are decided one by one, or in the groups they wait in.
	exactBelow = 20
	// shortest is the shortest time that demand is measured over.
	shortest = 50 * time.Millisecond
)

// errNothing says that there was nothing to ask the store.
var errNothing = errors.New("nothing to exchange")

// exchange is one exchange with the store: what is asked, and what came of it.
type exchange struct {
	batch  []*waiter
	window policy.Window
	give   int64   // leased and not used
	count  int64   // counted in memory
	rate   float64 // uses a second that this instance sees
	ahead  bool    // leasing ahead is allowed
	limit  int64   // of the uses: the lowest
	look   bool    // there is probably nothing to write

	out outcome
}

// outcome is what an exchange found and did.
type outcome struct {
	allowed  []bool // for each of the batch
	used     []int64
	ahead    int64
	leaseEnd time.Time
	total    int64 // the count afterwards
	end      time.Time
	gone     time.Time // rolling: when the first uses leave the window
	sharing  int
}

// prepare takes from s what an exchange is about.
func (s *state) prepare(batch []*waiter, now time.Time) *exchange {
	// What is left is given back, and granted again if it is wanted.
	x := &exchange{window: s.window, count: s.pending, give: s.unspent + s.left, rate: s.demand.rate(now), look: true}
	uses := 0
	for _, w := range batch {
		if w.gone {
			continue
		}
		x.batch = append(x.batch, w)
		r := &w.request
		if r.EnforceOnly {
			continue
		}
		x.look = x.look && s.refuses(r)
		if r.CountOnly {
			continue
		}
		if uses++; uses == 1 || r.Limit < x.limit {
			x.limit = r.Limit
		}
		x.ahead = x.ahead || !r.Exact
	}
	x.look = x.look && x.count == 0 && x.give == 0
	s.left, s.unspent, s.pending, s.exchanged = 0, 0, 0, now
	return x
}

// refuses reports whether a use would be refused if nothing changed in the store,
// so that a read will do to be sure.
func (s *state) refuses(r *policy.QuotaRequest) bool {
	return !r.CountOnly && !s.asOf.IsZero() && s.used-s.left-s.unspent+r.Weight > r.Limit
}

// apply brings s to what the exchange found, and decides its batch.
func (s *state) apply(x *exchange, err error, now time.Time) {
	if errors.Is(err, errNothing) {
		return
	}
	if err != nil {
		s.pending += x.count
		for _, w := range x.batch {
			if w.request.CountOnly { // it is not lost, and the call was served
				s.pending += w.request.Weight
				w.decide(s.result(true, &w.request), nil)
				continue
			}
			w.decide(policy.QuotaResult{}, err)
		}
		if s.pending > 0 {
			s.due = now.Add(recheck)
		}
		return
	}
	o := &x.out
	s.left += o.ahead
	s.leaseEnd = o.leaseEnd
	s.used, s.asOf, s.end, s.sharing = o.total, now, o.end, o.sharing
	s.full = now.Add(recheck)
	if !o.gone.IsZero() && o.gone.Before(s.full) {
		s.full = o.gone
	}
	s.due = time.Time{}
	if s.left > 0 {
		s.due = now.Add(2 * pace(s.sharing))
	}
	for i, w := range x.batch {
		res := s.result(o.allowed[i], &w.request)
		res.Used = o.used[i]
		w.decide(res, nil)
		if w.gone {
			s.refund(w, now)
		}
	}
}

// exchange asks the store, and writes it if it must.
func (q *Quotas) exchange(ctx context.Context, s *state, x *exchange) error {
	if len(x.batch) == 0 && x.look {
		return errNothing
	}
	// Others wait for this: it does not end with the call that leads it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTimeout)
	defer cancel()
	if x.look {
		if done, err := q.look(ctx, s, x); done || err != nil {
			return err
		}
	}
	return q.write(ctx, s, x)
}

// look decides without writing, unless something is allowed after all.
func (q *Quotas) look(ctx context.Context, s *state, x *exchange) (done bool, err error) {
	doc, err := q.store.Get(ctx, s.id)
	now := q.store.Now()
	d, err := load(doc, err, &x.window, now)
	if err != nil {
		return false, err
	}
	return q.trade(d, x, now) == 0, nil
}

// write decides in a transaction.
func (q *Quotas) write(ctx context.Context, s *state, x *exchange) error {
	tried := map[int64]outcome{} // by the numbers of the runs
	return q.store.Update(ctx, func(tx store.Tx) error {
		doc, err := tx.Get(s.id)
		now := q.store.Now()
		d, err := load(doc, err, &x.window, now)
		if err != nil {
			return err
		}
		if o, committed := tried[d.Leases[q.instance].Seq]; committed {
			x.out = o // the answer to the commit got lost
			return nil
		}
		granted := q.trade(d, x, now)
		if granted == 0 && x.give == 0 && x.count == 0 {
			return nil
		}
		seq := q.seq.Add(1)
		tried[seq] = x.out
		d.sign(q.instance, lease{Seq: seq, Granted: granted, Until: now.Add(lives(x.out.sharing)).UnixMilli()}, now)
		put, err := d.doc(s.id, s.group, &x.window, now)
		if err != nil {
			return err
		}
		return tx.Put(put)
	})
}

// lives is how long an instance counts as one that shares a counter.
func lives(sharing int) time.Duration { return max(10*time.Second, 3*pace(sharing)) }

// trade grants what there is to the batch in its order, and then ahead; d becomes
// what is to be stored. It returns what was taken.
func (q *Quotas) trade(d *document, x *exchange, now time.Time) int64 {
	d.sub(x.give)
	d.add(x.count, &x.window, now)
	o := outcome{sharing: d.sharing(q.instance, now)}
	taken, all := int64(0), true
	used := d.used()
	for _, w := range x.batch {
		r := &w.request
		ok := true
		switch {
		case r.EnforceOnly:
			ok = used < r.Limit
		case r.CountOnly || used+r.Weight <= r.Limit:
			used, taken = used+r.Weight, taken+r.Weight
		default:
			ok, all = false, false
		}
		o.allowed, o.used = append(o.allowed, ok), append(o.used, used)
	}
	d.add(taken, &x.window, now)
	if all && x.ahead {
		o.ahead, o.leaseEnd = x.takeAhead(x.limit-used, o.sharing, now)
		d.add(o.ahead, &x.window, o.leaseEnd)
	}
	o.total, o.end, o.gone = d.used(), d.end(&x.window, now), d.firstGone(&x.window)
	x.out = o
	return taken + o.ahead
}

// takeAhead is how much of what remains an instance takes ahead: what it will use
// until it writes again, at most half of what remains.
func (x *exchange) takeAhead(remaining int64, sharing int, now time.Time) (n int64, until time.Time) {
	until = now
	if remaining < exactBelow {
		return 0, until
	}
	ahead := pace(sharing)
	if x.window.Kind == policy.RollingWindow {
		ahead = min(ahead, x.window.End.Sub(x.window.Start)/maxSpans*2)
		until = now.Add(2 * ahead)
	}
	return min(int64(x.rate*ahead.Seconds()), remaining/2), until
}

// lower lowers the count in the store.
func (q *Quotas) lower(ctx context.Context, s *state, w *policy.Window, amount int64) error {
	return q.store.Update(ctx, func(tx store.Tx) error {
		doc, err := tx.Get(s.id)
		if store.IsNotFound(err) {
			return nil
		}
		now := q.store.Now()
		d, err := load(doc, err, w, now)
		if err != nil {
			return err
		}
		if amount == 0 {
			d.Used, d.Spans = 0, nil
		}
		d.sub(amount)
		put, err := d.doc(s.id, s.group, w, now)
		if err != nil {
			return err
		}
		return tx.Put(put)
	})
}
