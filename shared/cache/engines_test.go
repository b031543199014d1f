package cache

import (
	"log/slog"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// TestEngines writes with one instance and reads with another, on every engine.
func TestEngines(t *testing.T) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) {
		s := store.New(d)
		defer s.Close()
		o := Options{Store: s, Organization: "org", Environment: "test", Cipher: sealer{}, Log: slog.New(slog.DiscardHandler)}
		a := New(o)
		k := func(key string) policy.CacheKey { return policy.CacheKey{Cache: "c", Key: key} }
		for _, key := range []string{"u__1", "u__2", "v__1", "w/x y%z"} {
			a.Put(t.Context(), k(key), []byte("value of "+key), time.Time{})
		}
		a.Put(t.Context(), k("gone"), []byte("x"), time.Now().Add(-time.Second))
		want := func(keys ...string) {
			t.Helper()
			b := New(o) // has nothing in memory
			for i, key := range []string{"u__1", "u__2", "v__1", "w/x y%z", "gone"} {
				v, ok := b.Get(t.Context(), k(key), 0)
				if ok != (keys[i] != "") || ok && string(v) != "value of "+key {
					t.Errorf("%s: %q, %t", key, v, ok)
				}
			}
		}
		want("u", "u", "v", "w", "")
		a.Delete(t.Context(), k("u__"), true)
		want("", "", "v", "w", "")
		if err := Clear(t.Context(), o, k("w/x y%z"), false); err != nil {
			t.Error(err)
		}
		want("", "", "v", "", "")
		if err := Clear(t.Context(), o, k(""), true); err != nil {
			t.Error(err)
		}
		want("", "", "", "", "")
	})
}
