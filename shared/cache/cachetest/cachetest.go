// Package cachetest makes caches for tests: real ones, over a store in memory.
package cachetest

import (
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/cache"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// New returns the empty caches of environment test of organization org.
func New(t testing.TB, now func() time.Time) *cache.Caches {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(d, store.WithClock(now))
	t.Cleanup(func() { s.Close() })
	return cache.New(cache.Options{Store: s, Organization: "org", Environment: "test"})
}
