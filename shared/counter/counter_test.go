package counter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

var noon = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(noon.UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// engine is an engine that can fail, or lose the answers to commits.
type engine struct {
	store.Driver
	down    atomic.Bool
	lose    atomic.Int64 // answers to lose
	latency time.Duration
}

var errDown = &store.Error{Code: store.Internal, Op: "test", Err: errors.New("down")}

func (e *engine) UseClock(now func() time.Time) { e.Driver.(store.ClockUser).UseClock(now) }

func (e *engine) Get(ctx context.Context, k store.Key) (store.Doc, error) {
	if e.down.Load() {
		return store.Doc{}, errDown
	}
	return e.Driver.Get(ctx, k)
}

func (e *engine) Update(ctx context.Context, fn func(store.Tx) error) error {
	if e.down.Load() {
		return errDown
	}
	time.Sleep(e.latency)
	if err := e.Driver.Update(ctx, fn); err != nil {
		return err
	}
	if e.lose.Add(-1) >= 0 {
		return &store.Error{Code: store.Unavailable, Op: "test"}
	}
	return nil
}

func open(t testing.TB, now func() time.Time) (*store.Store, *engine) {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Driver: d}
	s := store.New(e, store.WithClock(now))
	t.Cleanup(func() { s.Close() })
	return s, e
}

func instance(s *store.Store) *Quotas {
	return New(Options{Store: s, Organization: "org", Environment: "test", Log: slog.New(slog.DiscardHandler)})
}

var one = policy.Counter{Proxy: "p", Name: "Q-1", Class: "", Identifier: "_default"}

func fixed(now time.Time, length time.Duration) policy.Window {
	start := now.Truncate(length)
	return policy.Window{Kind: policy.FixedWindow, Interval: 1, Unit: "w", Start: start, End: start.Add(length)}
}

func moving(kind policy.WindowKind, now time.Time, length time.Duration) policy.Window {
	return policy.Window{Kind: kind, Interval: 1, Unit: "w", Start: now, End: now.Add(length)}
}

func use(t testing.TB, q *Quotas, r policy.QuotaRequest) policy.QuotaResult {
	t.Helper()
	if r.Counter == (policy.Counter{}) {
		r.Counter = one
	}
	if r.Weight == 0 {
		r.Weight = 1
	}
	res, err := q.Use(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestInTurn has two instances use a small quota in turn: nobody is refused
// before the limit, nobody let through after it.
func TestInTurn(t *testing.T) {
	for _, exact := range []bool{true, false} {
		for _, limit := range []int64{0, 1, 2, 10, 20} {
			c := newClock()
			s, _ := open(t, c.Now)
			a, b := instance(s), instance(s)
			for i := range 2*limit + 2 {
				q := a
				if i%2 == 1 {
					q = b
				}
				c.advance(20 * time.Millisecond)
				res := use(t, q, policy.QuotaRequest{Limit: limit, Window: fixed(c.Now(), time.Hour), Exact: exact})
				if res.Allowed != (i < limit) || res.Used != min(i+1, limit) || !res.ExpiresAt.Equal(noon.Add(time.Hour)) {
					t.Fatalf("exact %v, limit %d, use %d: %+v", exact, limit, i, res)
				}
			}
		}
	}
}

// TestExactly has 8 instances, each with many calls at once.
func TestExactly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  int64
		weight int64
		exact  bool
	}{
		{"leased", 5000, 1, false},
		{"small", 37, 1, false},
		{"weighted", 5000, 5, false},
		{"exact", 500, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, e := open(t, time.Now)
				e.latency = 15 * time.Millisecond
				start := time.Now()
				w := fixed(start, time.Hour)
				var allowed atomic.Int64
				var calls sync.WaitGroup
				for range 8 {
					q := instance(s)
					for range 8 {
						calls.Go(func() {
							for range 313 { // 20,000 in all
								time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
								r := policy.QuotaRequest{Counter: one, Limit: tt.limit, Weight: tt.weight, Window: w, Exact: tt.exact}
								res, err := q.Use(context.Background(), r)
								if err != nil {
									t.Error(err)
								}
								if res.Allowed {
									allowed.Add(tt.weight)
								}
							}
						})
					}
				}
				calls.Wait()
				took, writes := time.Since(start), s.Counts().Writes
				t.Logf("%d allowed in %s, %d writes, %d reads", allowed.Load(), took, writes, s.Counts().Reads)
				if allowed.Load() != tt.limit {
					t.Errorf("%d allowed, want exactly %d", allowed.Load(), tt.limit)
				}
				if perSecond := float64(writes) / took.Seconds(); !tt.exact && perSecond > 5 {
					t.Errorf("%.1f writes a second", perSecond)
				}
			})
		})
	}
}

// TestKilled kills an instance that holds a lease.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := open(t, time.Now)
		e.latency = 15 * time.Millisecond
		w := fixed(time.Now(), time.Hour)
		var allowed atomic.Int64
		var calls sync.WaitGroup
		for n := range 8 {
			q := instance(s)
			for range 4 {
				calls.Go(func() {
					for i := range 400 {
						if n == 0 && i == 50 {
							return // killed: what it leased is gone
						}
						time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
						res, err := q.Use(context.Background(), policy.QuotaRequest{Counter: one, Limit: 3000, Weight: 1, Window: w})
						if err == nil && res.Allowed {
							allowed.Add(1)
						}
					}
				})
			}
		}
		calls.Wait()
		// Its lease was at most half of what there was.
		if n := allowed.Load(); n > 3000 || n < 1500 {
			t.Errorf("%d allowed", n)
		}
	})
}

// TestSteady counts the writes of a quota that 8 instances use all the time.
func TestSteady(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	var quotas []*Quotas
	for range 8 {
		quotas = append(quotas, instance(s))
	}
	w := fixed(c.Now(), 24*time.Hour)
	for i := range 60 * 400 { // 400 a second for a minute
		c.advance(2500 * time.Microsecond)
		if !use(t, quotas[i%8], policy.QuotaRequest{Limit: 1e6, Window: w}).Allowed {
			t.Fatal("refused")
		}
		quotas[i%8].Settle(t.Context())
	}
	writes, reads := s.Counts().Writes, s.Counts().Reads
	t.Logf("%d writes, %d reads in a minute", writes, reads)
	if writes > 5*60 {
		t.Errorf("%d writes in a minute", writes)
	}
}

// TestRefusalsCostNothing uses a quota that is used up.
func TestRefusalsCostNothing(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	q := instance(s)
	w := fixed(c.Now(), time.Hour)
	for range 5 {
		use(t, q, policy.QuotaRequest{Limit: 5, Window: w})
	}
	before := s.Counts()
	for range 10_000 { // 10 s
		c.advance(time.Millisecond)
		if use(t, q, policy.QuotaRequest{Limit: 5, Window: w}).Allowed {
			t.Fatal("allowed")
		}
	}
	if now := s.Counts(); now.Writes != before.Writes || now.Reads > before.Reads+12 {
		t.Errorf("%+v, then %+v", before, now)
	}
	if !use(t, q, policy.QuotaRequest{Limit: 6, Window: w}).Allowed {
		t.Error("a higher limit is refused")
	}
}

func TestWindows(t *testing.T) {
	// Each use is at the given second; "!" marks those refused. The limit is 3,
	// the window 60 s long.
	for _, tt := range []struct {
		name string
		make func(now time.Time) policy.Window
		uses string
	}{
		{"fixed", func(now time.Time) policy.Window { return fixed(now, time.Minute) }, "50 51 52 53! 59.999! 60 61 62 63!"},
		{"flexi", func(now time.Time) policy.Window { return moving(policy.FlexiWindow, now, time.Minute) }, "50 51 52 53! 60! 109.999! 110 111 150 169.9! 170 230 231 232 233!"},
		{"rolling", func(now time.Time) policy.Window { return moving(policy.RollingWindow, now, time.Minute) }, "50 51 52 53! 109.999! 110 110.5! 111 111! 112 113! 170 200 200 201!"},
	} {
		for instances := 1; instances <= 2; instances++ {
			t.Run(fmt.Sprint(tt.name, instances), func(t *testing.T) {
				c := newClock()
				s, _ := open(t, c.Now)
				quotas := []*Quotas{instance(s), instance(s)}
				got := ""
				for i, f := range fields(tt.uses) {
					c.now.Store(noon.Add(f.at).UnixNano())
					res := use(t, quotas[i%instances], policy.QuotaRequest{Limit: 3, Window: tt.make(c.Now())})
					got += f.text
					if !res.Allowed {
						got += "!"
					}
					got += " "
				}
				if got != tt.uses+" " {
					t.Errorf("got  %s\nwant %s", got, tt.uses)
				}
			})
		}
	}
}

type field struct {
	text string
	at   time.Duration
}

func fields(s string) (out []field) {
	for len(s) > 0 {
		var f field
		n := 0
		for n < len(s) && s[n] != ' ' {
			n++
		}
		f.text, s = s[:n], s[min(n+1, len(s)):]
		if f.text[len(f.text)-1] == '!' {
			f.text = f.text[:len(f.text)-1]
		}
		f.at, _ = time.ParseDuration(f.text + "s")
		out = append(out, f)
	}
	return out
}

// TestRolling never finds more than the limit in any window, at any rate.
func TestRolling(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	quotas := []*Quotas{instance(s), instance(s), instance(s)}
	const limit = 500
	var times []time.Time
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		pause := time.Duration(r.IntN(20)) * time.Millisecond
		if i%3000 == 0 {
			pause = time.Duration(r.IntN(70)) * time.Second
		}
		c.advance(pause)
		now := c.Now()
		q := quotas[r.IntN(3)]
		if use(t, q, policy.QuotaRequest{Limit: limit, Window: moving(policy.RollingWindow, now, time.Minute)}).Allowed {
			times = append(times, now)
		}
		q.Settle(t.Context())
		for len(times) > 0 && !times[0].After(now.Add(-time.Minute)) {
			times = times[1:]
		}
		if len(times) > limit {
			t.Fatalf("use %d: %d within a minute", i, len(times))
		}
	}
	doc, err := s.Get(t.Context(), quotas[0].docKey(keyOf(one, &policy.Window{Kind: policy.RollingWindow, Interval: 1, Unit: "w"})))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Data) > 20_000 {
		t.Errorf("a document of %d bytes", len(doc.Data))
	}
}

// TestApart checks that counters with different names do not count together.
func TestApart(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	q := instance(s)
	w := fixed(c.Now(), time.Hour)
	two := w
	two.Interval = 2
	for _, r := range []policy.QuotaRequest{
		{Counter: one, Window: w},
		{Counter: one, Window: two},
		{Counter: one, Window: fixed(c.Now().Add(time.Hour), time.Hour)},
		{Counter: policy.Counter{Proxy: "q", Name: "Q-1", Identifier: "_default"}, Window: w},
		{Counter: policy.Counter{Proxy: "p", Name: "Q-2", Identifier: "_default"}, Window: w},
		{Counter: policy.Counter{Proxy: "p", Name: "Q-1", Identifier: "a"}, Window: w},
		{Counter: policy.Counter{Proxy: "p", Name: "Q-1", Class: "a"}, Window: w},
		{Counter: policy.Counter{Proxy: "p", Name: "Q-1", Class: "gold", Identifier: "_default"}, Window: w},
	} {
		r.Limit = 1
		if !use(t, q, r).Allowed || use(t, q, r).Allowed {
			t.Errorf("%+v", r)
		}
	}
}

// TestCountOnly counts past the limit here and enforces there.
func TestCountOnly(t *testing.T) {
	for _, exact := range []bool{true, false} {
		c := newClock()
		s, _ := open(t, c.Now)
		a, b := instance(s), instance(s)
		w := fixed(c.Now(), time.Hour)
		look := func(q *Quotas, allowed bool, used int64) {
			t.Helper()
			res := use(t, q, policy.QuotaRequest{Limit: 1000, Window: w, Exact: exact, EnforceOnly: true})
			if res.Allowed != allowed || res.Used != used {
				t.Errorf("exact %v: %+v, want %v with %d used", exact, res, allowed, used)
			}
		}
		count := func(q *Quotas, n int64) {
			t.Helper()
			if !use(t, q, policy.QuotaRequest{Limit: 1000, Window: w, Exact: exact, CountOnly: true, Weight: n}).Allowed {
				t.Error("counting refuses")
			}
		}
		look(a, true, 0)
		count(a, 400)
		c.advance(time.Millisecond)
		count(a, 599)
		look(a, true, 999)
		c.advance(2 * time.Second)
		a.Settle(t.Context())
		look(b, true, 999)
		count(b, 500)
		c.advance(2 * time.Second)
		b.Settle(t.Context())
		look(b, false, 1499)
		look(a, false, 1499)
		c.advance(2 * time.Second)
		count(a, 1)
		look(a, false, 1500)
	}
}

// TestCountOnlyIsCheap counts often.
func TestCountOnlyIsCheap(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	q := instance(s)
	w := fixed(c.Now(), time.Hour)
	for range 10_000 {
		c.advance(time.Millisecond)
		use(t, q, policy.QuotaRequest{Limit: 10, Window: w, CountOnly: true, Weight: 3})
		q.Settle(t.Context())
	}
	q.Flush(t.Context())
	if n := s.Counts().Writes; n > 13 {
		t.Errorf("%d writes in 10 s", n)
	}
	if res := use(t, instance(s), policy.QuotaRequest{Limit: 10, Window: w, EnforceOnly: true}); res.Used != 30_000 {
		t.Errorf("%+v", res)
	}
}

// TestGiveBack has an instance give back what it does not use.
func TestGiveBack(t *testing.T) {
	for _, how := range []string{"settle", "flush", "expire"} {
		c := newClock()
		s, _ := open(t, c.Now)
		a, b := instance(s), instance(s)
		w := fixed(c.Now(), time.Hour)
		used := int64(0)
		for range 200 { // busy for a second: it leases ahead
			c.advance(5 * time.Millisecond)
			use(t, a, policy.QuotaRequest{Limit: 1000, Window: w})
			used++
		}
		key := keyOf(one, &w)
		if a.states[key].left == 0 {
			t.Fatal("nothing is leased")
		}
		switch how {
		case "settle":
			a.Settle(t.Context()) // not yet
			if a.states[key].left == 0 {
				t.Error("given back at once")
			}
			c.advance(10 * time.Second)
			use(t, a, policy.QuotaRequest{Limit: 5, Window: w, Counter: policy.Counter{Name: "other"}})
			a.Settle(t.Context())
		case "flush":
			a.Flush(t.Context())
		}
		if left := a.states[key].left; left != 0 && how != "expire" {
			t.Errorf("%s: %d kept", how, left)
		}
		for use(t, b, policy.QuotaRequest{Limit: 1000, Window: w}).Allowed {
			c.advance(time.Second)
			used++
		}
		if used > 1000 || used < 1000 && how != "expire" {
			t.Errorf("%s: %d used", how, used)
		}
		for use(t, a, policy.QuotaRequest{Limit: 1000, Window: w}).Allowed {
			used++
		}
		if used != 1000 {
			t.Errorf("%s: %d used by both", how, used)
		}
	}
}

// TestLostAnswers loses the answers to commits that were made.
func TestLostAnswers(t *testing.T) {
	c := newClock()
	s, e := open(t, c.Now)
	a, b := instance(s), instance(s)
	w := fixed(c.Now(), time.Hour)
	allowed := 0
	for i := range 300 {
		e.lose.Store(int64(i % 3))
		q := a
		if i%2 == 1 {
			q = b
		}
		c.advance(time.Second)
		if i%50 == 0 {
			a.Flush(t.Context())
		}
		if use(t, q, policy.QuotaRequest{Limit: 100, Window: w}).Allowed {
			allowed++
		}
	}
	if allowed != 100 {
		t.Errorf("%d allowed", allowed)
	}
}

// TestStoreDown lets through what is leased, and nothing else.
func TestStoreDown(t *testing.T) {
	c := newClock()
	s, e := open(t, c.Now)
	q := instance(s)
	w := fixed(c.Now(), time.Hour)
	for range 100 {
		c.advance(time.Millisecond)
		use(t, q, policy.QuotaRequest{Limit: 1000, Window: w})
	}
	left := q.states[keyOf(one, &w)].left
	e.down.Store(true)
	for i := range left + 3 {
		res, err := q.Use(t.Context(), policy.QuotaRequest{Counter: one, Limit: 1000, Weight: 1, Window: w})
		if res.Allowed != (i < left) || (err == nil) != (i < left) {
			t.Fatalf("use %d of %d: %+v, %v", i, left, res, err)
		}
	}
	c.advance(time.Millisecond)
	if _, err := q.Use(t.Context(), policy.QuotaRequest{Counter: one, Limit: 1000, Window: w, EnforceOnly: true, Exact: true}); err == nil {
		t.Error("enforced without a store")
	}
	for range 10 { // what was used is not forgotten
		if res, err := q.Use(t.Context(), policy.QuotaRequest{Counter: one, Limit: 1000, Weight: 100, Window: w, CountOnly: true, Exact: true}); err != nil || !res.Allowed {
			t.Error(res, err)
		}
	}
	e.down.Store(false)
	c.advance(2 * time.Second)
	q.Settle(t.Context())
	if res := use(t, instance(s), policy.QuotaRequest{Limit: 1000, Window: w}); res.Allowed || res.Used != 1100+left {
		t.Errorf("%+v", res)
	}
}

func TestReset(t *testing.T) {
	for _, kind := range []policy.WindowKind{policy.FixedWindow, policy.FlexiWindow, policy.RollingWindow} {
		c := newClock()
		s, _ := open(t, c.Now)
		a, b := instance(s), instance(s)
		w := fixed(c.Now(), time.Hour)
		w.Kind = kind
		many := func(q *Quotas) (n int) {
			for use(t, q, policy.QuotaRequest{Limit: 10, Window: w}).Allowed {
				n++
			}
			return n
		}
		if err := a.Reset(t.Context(), one, w, 5); err != nil {
			t.Fatal(err)
		}
		if n := many(a); n != 10 {
			t.Errorf("%d at first", n)
		}
		if err := a.Reset(t.Context(), one, w, 4); err != nil {
			t.Fatal(err)
		}
		if n := many(a); n != 4 {
			t.Errorf("%d after a reset by 4", n)
		}
		if err := b.Reset(t.Context(), one, w, 0); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second) // until then a refuses without asking
		if n := many(a); n != 10 {
			t.Errorf("%d after a reset", n)
		}
		if err := b.Reset(t.Context(), one, w, 100); err != nil {
			t.Fatal(err)
		}
		if n := many(b); n != 10 {
			t.Errorf("%d after a reset by more than was used", n)
		}
	}
}

// TestGone has calls end while they wait.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := open(t, time.Now)
		e.latency = time.Second
		q := instance(s)
		w := fixed(time.Now(), time.Hour)
		var allowed, gone atomic.Int64
		var calls sync.WaitGroup
		for i := range 300 {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Millisecond)
				defer cancel()
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				res, err := q.Use(ctx, policy.QuotaRequest{Counter: one, Limit: 100, Weight: 1, Window: w, Exact: i%2 == 0})
				switch {
				case err != nil:
					gone.Add(1)
				case res.Allowed:
					allowed.Add(1)
				}
			})
		}
		calls.Wait()
		for {
			time.Sleep(time.Second)
			if !use(t, q, policy.QuotaRequest{Limit: 100, Window: w}).Allowed {
				break
			}
			allowed.Add(1)
		}
		if allowed.Load() != 100 || gone.Load() == 0 {
			t.Errorf("%d allowed, %d gone", allowed.Load(), gone.Load())
		}
	})
}

// TestBounded has callers make up identifiers.
func TestBounded(t *testing.T) {
	c := newClock()
	s, _ := open(t, c.Now)
	q := instance(s)
	for i := range 3 * 1024 {
		c.advance(20 * time.Millisecond)
		use(t, q, policy.QuotaRequest{Counter: policy.Counter{Name: "Q", Identifier: fmt.Sprint(i)}, Limit: 10, Window: fixed(c.Now(), time.Hour)})
	}
	if n := len(q.states); n > 2048 {
		t.Errorf("%d counters in memory", n)
	}
}

func BenchmarkUse(b *testing.B) {
	s, _ := open(b, time.Now)
	q := instance(s)
	w := fixed(time.Now(), 24*time.Hour)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := q.Use(context.Background(), policy.QuotaRequest{Counter: one, Limit: 1e15, Weight: 1, Window: w}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRefuse(b *testing.B) {
	s, _ := open(b, time.Now)
	q := instance(s)
	w := fixed(time.Now(), 24*time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Use(context.Background(), policy.QuotaRequest{Counter: one, Limit: 0, Weight: 1, Window: w}); err != nil {
			b.Fatal(err)
		}
	}
}
