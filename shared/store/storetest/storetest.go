// Package storetest is the specification of a store.Driver: Run is passed by
// every engine, through store.Store as its users see it and, where Store stands
// in between, directly.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// Run holds an engine to the specification. open returns an empty Driver that
// shares nothing with any other; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Driver) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Documents", documentTests},
		{"Limits", limitTests},
		{"Expiry", expiryTests},
		{"Query", queryTests},
		{"Update", updateTests},
		{"Batch", batchTests},
		{"Errors", errorTests},
		{"Driver", driverTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, test := range g.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, newEnv(t, open(t))) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, e *env)
}

// env is a store on a fresh engine with a clock that only the test moves.
type env struct {
	*store.Store
	ctx    context.Context
	driver store.Driver
	clock  *clock
}

func newEnv(t *testing.T, d store.Driver) *env {
	t.Helper()
	c := &clock{now: start}
	s := store.New(d, store.WithClock(c.Now))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return &env{Store: s, ctx: ctx, driver: d, clock: c}
}

// start has nanoseconds, which no engine keeps.
var start = time.Date(2031, 4, 5, 6, 7, 8, 123456789, time.UTC)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// The collections the suite uses: plain has fields developer, name and status;
// ttl has fields app and enduser.
const (
	plain = "apps"
	ttl   = "tokens"
)

func key(id string) store.Key    { return store.Key{Collection: plain, ID: id} }
func ttlKey(id string) store.Key { return store.Key{Collection: ttl, ID: id} }

func doc(id, data string, fields ...string) store.Doc {
	return store.Doc{Key: key(id), Data: []byte(data), Fields: pairs(fields)}
}

func ttlDoc(id, data string, expireAt time.Time, fields ...string) store.Doc {
	return store.Doc{Key: ttlKey(id), Data: []byte(data), ExpireAt: expireAt, Fields: pairs(fields)}
}

func pairs(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (e *env) put(t *testing.T, docs ...store.Doc) {
	t.Helper()
	for _, d := range docs {
		if err := e.Put(e.ctx, d); err != nil {
			t.Fatalf("put %s: %v", d.Key, err)
		}
	}
}

// want fails unless key holds data; an empty data means there is no document.
func (e *env) want(t *testing.T, key store.Key, data string) {
	t.Helper()
	d, err := e.Get(e.ctx, key)
	switch {
	case data == "":
		wantCode(t, err, store.NotFound)
	case err != nil:
		t.Errorf("get %s: %v", key, err)
	case string(d.Data) != data || d.Key != key:
		t.Errorf("get %s: got %s with %q, want %q", key, d.Key, d.Data, data)
	}
}

func (e *env) ids(t *testing.T, q store.Query) []string {
	t.Helper()
	docs, err := store.Collect(e.Query(e.ctx, q))
	if err != nil {
		t.Fatalf("query %+v: %v", q, err)
	}
	return ids(docs)
}

func ids(docs []store.Doc) []string {
	ids := []string{}
	for _, d := range docs {
		ids = append(ids, d.Key.ID)
	}
	return ids
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got ids %q, want %q", got, want)
	}
}

// wantCode fails unless err is a *store.Error of that code; a zero code means no
// error.
func wantCode(t *testing.T, err error, code store.Code) {
	t.Helper()
	var e *store.Error
	switch {
	case store.CodeOf(err) != code:
		t.Errorf("got error %v, want code %q", err, code)
	case err != nil && !errors.As(err, &e):
		t.Errorf("got error %v of type %T, want *store.Error", err, err)
	}
}

// same reports how two documents differ, UpdatedAt aside.
func same(got, want store.Doc) error {
	switch {
	case got.Key != want.Key:
		return fmt.Errorf("key %s, want %s", got.Key, want.Key)
	case string(got.Data) != string(want.Data):
		return fmt.Errorf("%s: %d bytes of data, want %d", got.Key, len(got.Data), len(want.Data))
	case !maps.Equal(got.Fields, want.Fields):
		return fmt.Errorf("%s: fields %v, want %v", got.Key, got.Fields, want.Fields)
	case !got.ExpireAt.Equal(want.ExpireAt.Truncate(time.Microsecond)):
		return fmt.Errorf("%s: expires %s, want %s", got.Key, got.ExpireAt, want.ExpireAt)
	}
	return nil
}

// race runs fn n times at once and returns the errors in order.
func race(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errs
}
