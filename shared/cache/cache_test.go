package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// clock is a time that tests move.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// faulty is an engine that can be made to fail.
type faulty struct {
	store.Driver
	down atomic.Bool
}

var errDown = &store.Error{Code: store.Internal, Key: store.Key{Collection: "cacheEntries", ID: "org/test/-/secret"}, Op: "get", Err: errors.New("down")}

func (f *faulty) UseClock(now func() time.Time) { f.Driver.(store.ClockUser).UseClock(now) }

func (f *faulty) Get(ctx context.Context, k store.Key) (store.Doc, error) {
	if f.down.Load() {
		return store.Doc{}, errDown
	}
	return f.Driver.Get(ctx, k)
}

func (f *faulty) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.down.Load() {
		return errDown
	}
	return f.Driver.Update(ctx, fn)
}

func (f *faulty) Query(ctx context.Context, q store.Query) iter.Seq2[store.Doc, error] {
	if f.down.Load() {
		return func(yield func(store.Doc, error) bool) { yield(store.Doc{}, errDown) }
	}
	return f.Driver.Query(ctx, q)
}

func openStore(t testing.TB, c *clock) (*store.Store, *faulty) {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{Driver: d}
	s := store.New(f, store.WithClock(c.Now))
	t.Cleanup(func() { s.Close() })
	return s, f
}

// sealer is a Cipher whose text is not the plain one.
type sealer struct{}

func (sealer) Seal(_ context.Context, plain, aad []byte) ([]byte, error) {
	return append([]byte("sealed:"+string(aad)+":"), plain...), nil
}

func (sealer) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte("sealed:"+string(aad)+":"))
	if !ok {
		return nil, errors.New("not sealed for this place")
	}
	return plain, nil
}

func instance(s *store.Store) *Caches {
	return New(Options{Store: s, Organization: "org", Environment: "test", Cipher: sealer{}, Log: slog.New(slog.DiscardHandler)})
}

func key(k string) policy.CacheKey { return policy.CacheKey{Key: k} }

func check(t *testing.T, c *Caches, k policy.CacheKey, want string) {
	t.Helper()
	v, ok := c.Get(t.Context(), k, 0)
	if ok != (want != "") || string(v) != want {
		t.Errorf("%.40q: got %.40q, %v; want %.40q", k.Key, v, ok, want)
	}
}

// TestInstances has two instances over one store.
func TestInstances(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a, b := instance(s), instance(s)
	ctx := t.Context()
	check(t, a, key("k"), "")
	a.Put(ctx, key("k"), []byte("one"), now.Now().Add(time.Minute))
	check(t, a, key("k"), "one")
	check(t, b, key("k"), "one")
	check(t, b, policy.CacheKey{Cache: "other", Key: "k"}, "")

	a.Put(ctx, key("k"), []byte("two"), now.Now().Add(time.Minute))
	check(t, b, key("k"), "one") // for a second
	now.advance(time.Second)
	check(t, b, key("k"), "two")

	a.Delete(ctx, key("k"), false)
	check(t, a, key("k"), "")
	check(t, b, key("k"), "two")
	now.advance(time.Second)
	check(t, b, key("k"), "")
}

func TestExpiry(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a, b := instance(s), instance(s)
	a.Put(t.Context(), key("half"), []byte("v"), now.Now().Add(500*time.Millisecond))
	a.Put(t.Context(), key("default"), []byte("v"), time.Time{})
	a.Put(t.Context(), key("long"), []byte("v"), now.Now().AddDate(1, 0, 0))
	a.Put(t.Context(), key("past"), []byte("v"), now.Now())
	check(t, a, key("past"), "")
	now.advance(500 * time.Millisecond)
	check(t, a, key("half"), "")
	check(t, b, key("half"), "")
	now.advance(DefaultExpiry - 501*time.Millisecond)
	check(t, a, key("default"), "v")
	check(t, b, key("default"), "v")
	now.advance(time.Millisecond)
	check(t, a, key("default"), "")
	check(t, b, key("default"), "")
	now.advance(policy.MaxCacheExpiry - DefaultExpiry - time.Millisecond)
	check(t, b, key("long"), "v")
	now.advance(time.Millisecond)
	check(t, b, key("long"), "")
}

// TestReads counts what the store is asked: nothing for a second after it was.
func TestReads(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := instance(s)
	a.Put(t.Context(), key("k"), []byte("v"), time.Time{})
	before := s.Counts().Reads
	for range 100 {
		check(t, a, key("k"), "v")
	}
	if n := s.Counts().Reads - before; n != 0 {
		t.Errorf("%d reads within the second", n)
	}
	now.advance(time.Second)
	for range 100 {
		check(t, a, key("k"), "v")
	}
	if n := s.Counts().Reads - before; n != 1 {
		t.Errorf("%d reads after it, want 1", n)
	}
}

func TestDeletePrefix(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a, b := instance(s), instance(s)
	long := strings.Repeat("é", 600) // longer than an id holds
	keys := []string{"p", "p__a", "p__b/c", "q__a", long, long + "__x", long + "__y", strings.Repeat("é", 599), "bad\xff__a", "bad\xff__b", "bad\xfe"}
	put := func() {
		for _, k := range keys {
			a.Put(t.Context(), key(k), []byte("v"), time.Time{})
			a.Put(t.Context(), policy.CacheKey{Cache: "c/d", Key: k}, []byte("v"), time.Time{})
		}
	}
	for _, prefix := range []string{"p", "p__", "p__b/", "nothing", long, long + "__", long + "__x", "bad\xff", "bad\xff__b", "bad", strings.Repeat("é", 300), ""} {
		put()
		b.Drop()
		a.Delete(t.Context(), key(prefix), true)
		for _, k := range keys {
			want := "v"
			if strings.HasPrefix(k, prefix) {
				want = ""
			}
			check(t, a, key(k), want)
			check(t, b, key(k), want)
			check(t, a, policy.CacheKey{Cache: "c/d", Key: k}, "v")
		}
	}
	if err := Clear(t.Context(), Options{Store: s, Organization: "org", Environment: "test"}, policy.CacheKey{Cache: "c/d"}, true); err != nil {
		t.Fatal(err)
	}
	b.Drop()
	check(t, b, policy.CacheKey{Cache: "c/d", Key: "p"}, "")
}

func TestLimits(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := instance(s)
	atKey, atValue := key(strings.Repeat("k", policy.MaxCacheKey)), strings.Repeat("v", policy.MaxCacheValue)
	a.Put(t.Context(), atKey, []byte(atValue), time.Time{})
	check(t, a, atKey, atValue)
	now.advance(time.Second)
	check(t, a, atKey, atValue) // from the store
	a.Put(t.Context(), key(atKey.Key+"k"), []byte("v"), time.Time{})
	check(t, a, key(atKey.Key+"k"), "")
	a.Put(t.Context(), key("k"), []byte(atValue+"v"), time.Time{})
	check(t, a, key("k"), "")
}

// TestBounded fills the memory many times over.
func TestBounded(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := New(Options{Store: s, Organization: "org", Environment: "test", Bytes: 1 << 20})
	value := make([]byte, 64<<10)
	for i := range 100 {
		a.Put(t.Context(), key(fmt.Sprint(i)), value, time.Time{})
	}
	if n := a.memory.WeightedSize(); n > 1<<20 {
		t.Errorf("%d bytes in memory", n)
	}
	now.advance(time.Second)
	check(t, a, key("0"), string(value))
}

// TestStoreDown wants no failing call, and no key in the log.
func TestStoreDown(t *testing.T) {
	now := newClock()
	s, engine := openStore(t, now)
	a := instance(s)
	var log bytes.Buffer
	a.log = slog.New(slog.NewTextHandler(&log, nil))
	a.Put(t.Context(), key("before"), []byte("v"), now.Now().Add(time.Minute))
	engine.down.Store(true)
	now.advance(2 * time.Second)
	check(t, a, key("before"), "v") // not expired
	check(t, a, key("nothing"), "")
	a.Put(t.Context(), key("secret"), []byte("v"), now.Now().Add(time.Minute))
	check(t, a, key("secret"), "v")
	a.Delete(t.Context(), key("secret"), false)
	a.Delete(t.Context(), key("secret"), true)
	check(t, a, key("secret"), "")
	now.advance(time.Minute)
	check(t, a, key("before"), "")
	if text := log.String(); strings.Contains(text, "secret") || strings.Count(text, "\n") != 7 {
		t.Errorf("logged:\n%s", text)
	}
}

// TestTampered has an entry moved to another place of the store.
func TestTampered(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := instance(s)
	a.Put(t.Context(), key("mine"), []byte("v"), time.Time{})
	doc, err := s.Get(t.Context(), a.docKey(key("mine")))
	if err != nil || !bytes.Contains(doc.Data, []byte("sealed:")) {
		t.Fatalf("%q, %v", doc.Data, err)
	}
	for i, data := range [][]byte{doc.Data, nil, {1}, {2, 0, 'v'}, {0, 9, 'v'}, {0, 0xff}} {
		k := key(fmt.Sprint("yours", i))
		doc.Key, doc.Data = a.docKey(k), data
		if err := s.Put(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
		check(t, a, k, "")
	}
}

func TestUsed(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	var used []string
	a := New(Options{Store: s, Organization: "org", Environment: "test", Used: func(_ context.Context, name string) { used = append(used, name) }})
	for _, c := range []string{"", "a", "b", "a"} {
		a.Put(t.Context(), policy.CacheKey{Cache: c, Key: "k"}, []byte("v"), time.Time{})
	}
	if got := strings.Join(used, " "); got != "a b" {
		t.Errorf("used %q", got)
	}
}

// TestLead has 200 calls miss one key at once: one of them fills it.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := embedded.Memory()
		if err != nil {
			t.Fatal(err)
		}
		s := store.New(d)
		defer s.Close()
		a := instance(s)
		var fills, hits atomic.Int64
		var calls sync.WaitGroup
		for range 200 {
			calls.Go(func() {
				ctx := context.Background()
				if _, ok := a.Get(ctx, key("k"), 0); ok {
					hits.Add(1)
					return
				}
				done := a.Lead(ctx, key("k"))
				if done == nil {
					if _, ok := a.Get(ctx, key("k"), 0); ok {
						hits.Add(1)
					}
					return
				}
				defer done()
				time.Sleep(time.Second)
				fills.Add(1)
				a.Put(ctx, key("k"), []byte("v"), time.Time{})
			})
		}
		calls.Wait()
		if fills.Load() != 1 || hits.Load() != 199 {
			t.Errorf("%d fills, %d hits", fills.Load(), hits.Load())
		}
	})
}

func TestLeaderDoesNotFill(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := instance(s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	done := a.Lead(t.Context(), key("k"))
	if done == nil {
		t.Fatal("the first does not lead")
	}
	if a.Lead(ended, key("k")) != nil || a.Lead(t.Context(), key("other")) == nil {
		t.Error("who leads?")
	}
	waited := make(chan bool)
	go func() { waited <- a.Lead(context.Background(), key("k")) == nil }()
	done()
	if !<-waited {
		t.Log("the second came after the end of the first") // it may: then it leads
	}
	done() // twice does nothing
	for range 3 {
		if a.Lead(t.Context(), key("k")) != nil {
			t.Error("a key that leaders do not fill is waited for")
		}
	}
	now.advance(barrenFor)
	if done = a.Lead(t.Context(), key("k")); done == nil {
		t.Error("it is never led again")
	}
}

// TestLeaderDies never ends its call.
func TestLeaderDies(t *testing.T) {
	now := newClock()
	s, _ := openStore(t, now)
	a := instance(s)
	first := a.Lead(t.Context(), key("k"))
	waited := make(chan struct{})
	go func() {
		a.Lead(context.Background(), key("k"))
		close(waited)
	}()
	now.advance(maxLead)
	if a.Lead(t.Context(), key("k")) == nil {
		t.Error("nobody leads after it")
	}
	first()
	a.Put(t.Context(), key("k"), []byte("v"), time.Time{})
	<-waited
	if a.Lead(t.Context(), key("k")) != nil {
		t.Error("a key that is there is led")
	}
}

func BenchmarkGet(b *testing.B) {
	s, _ := openStore(b, newClock())
	a := instance(s)
	a.Put(b.Context(), key("org__test__proxy__1__default__key"), []byte("value"), time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := a.Get(b.Context(), key("org__test__proxy__1__default__key"), 0); !ok {
			b.Fatal("miss")
		}
	}
}
