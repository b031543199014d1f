// Package countertest makes quotas for tests: real ones, over a store in memory.
package countertest

import (
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/counter"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// New returns the quotas of environment test of organization org, and their store.
func New(t testing.TB, now func() time.Time) (*counter.Quotas, *store.Store) {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(d, store.WithClock(now))
	t.Cleanup(func() { s.Close() })
	return counter.New(counter.Options{Store: s, Organization: "org", Environment: "test"}), s
}
