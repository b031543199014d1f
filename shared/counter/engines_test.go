package counter

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// TestEngines lets four instances use a quota up at once, in every kind of
// window, on every engine: exactly the limit is allowed, and after a reset again.
func TestEngines(t *testing.T) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) {
		s := store.New(d)
		defer s.Close()
		now := time.Now()
		for name, w := range map[string]policy.Window{
			"fixed": fixed(now, time.Hour), "flexi": moving(policy.FlexiWindow, now, time.Hour), "rolling": moving(policy.RollingWindow, now, time.Hour),
		} {
			r := policy.QuotaRequest{Counter: policy.Counter{Proxy: "p", Name: name, Identifier: "i"}, Window: w, Limit: 30, Weight: 1}
			quotas := []*Quotas{instance(s), instance(s), instance(s), instance(s)}
			round := func() int64 {
				var allowed atomic.Int64
				var calls sync.WaitGroup
				for _, q := range quotas {
					calls.Go(func() {
						for range 20 {
							if res, err := q.Use(t.Context(), r); err != nil {
								t.Error(err)
							} else if res.Allowed {
								allowed.Add(1)
							}
						}
					})
				}
				calls.Wait()
				for _, q := range quotas { // what is leased and not used
					q.Flush(t.Context())
				}
				for {
					res, err := instance(s).Use(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					if !res.Allowed {
						return allowed.Load()
					}
					allowed.Add(1)
				}
			}
			if n := round(); n != r.Limit {
				t.Errorf("%s: %d allowed, want %d", name, n, r.Limit)
			}
			if err := quotas[0].Reset(t.Context(), r.Counter, w, 0); err != nil {
				t.Fatal(err)
			}
			quotas = []*Quotas{instance(s)}
			if n := round(); n != r.Limit {
				t.Errorf("%s: %d allowed after the reset, want %d", name, n, r.Limit)
			}
		}
	})
}
