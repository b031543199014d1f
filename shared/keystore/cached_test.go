package keystore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/policy"
)

var _ policy.Keys = (*keystore.Keys)(nil)

// engine is a memory driver that counts its reads and fails on demand.
type engine struct {
	*memory.Driver
	reads atomic.Int64
	fail  atomic.Pointer[keystore.Error]
	hang  atomic.Bool
}

func (e *engine) Get(ctx context.Context, name string) ([]byte, string, error) {
	e.reads.Add(1)
	if e.hang.Load() {
		<-ctx.Done()
		return nil, "", keystore.CheckContext(ctx)
	}
	if err := e.fail.Load(); err != nil {
		return nil, "", err
	}
	return e.Driver.Get(ctx, name)
}

// clock is set by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newCached(t *testing.T) (*keystore.Cached, *keystore.Store, *engine, *clock) {
	e, c := &engine{Driver: memory.New()}, &clock{}
	c.advance(time.Hour)
	s := keystore.New(e, keystore.WithClock(c.now))
	mustCreate(t, s, scope, "ks", "a", "rsa-chain.pem", "rsa.key")
	mustCreate(t, s, scope, "ks", "trust", "ca.pem", "")
	e.reads.Store(0)
	return keystore.NewCached(s, nil), s, e, c
}

func wantReads(t *testing.T, e *engine, want int64) {
	t.Helper()
	if n := e.reads.Swap(0); n != want {
		t.Errorf("%d reads, want %d", n, want)
	}
}

func TestCachedReadsOnce(t *testing.T) {
	c, _, e, _ := newCached(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a, err := c.Alias(t.Context(), scope, "ks", "a"); err != nil || a.Type() != keystore.KeyCert {
				t.Errorf("%v, %v", a, err)
			}
			if cert, err := c.Certificate(t.Context(), scope, "ks", "a"); err != nil || len(cert.Certificate) != 2 {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	wantReads(t, e, 1)
	for range 3 {
		if _, err := c.TrustPool(t.Context(), scope, "ks"); err != nil {
			t.Error(err)
		}
		if certs, err := c.Certificates(t.Context(), scope, "ks"); err != nil || len(certs) != 3 {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
	}
	wantReads(t, e, 2)
}

func TestCachedErrors(t *testing.T) {
	c, _, e, _ := newCached(t)
	for range 3 {
		_, err := c.Alias(t.Context(), scope, "ks", "none")
		wantCode(t, err, keystore.NotFound)
	}
	wantReads(t, e, 1) // absence is remembered
	_, err := c.TrustPool(t.Context(), scope, "none")
	wantCode(t, err, keystore.NotFound)
	_, err = c.Certificate(t.Context(), scope, "ks", "trust")
	wantCode(t, err, keystore.Invalid)
	_, err = c.Alias(t.Context(), scope, "ks", "")
	wantCode(t, err, keystore.Invalid)
	_, err = c.Alias(t.Context(), scope, "k/s", "a")
	wantCode(t, err, keystore.Invalid)
}

// After Invalidate what changed is seen, and what did not keeps its pointer,
// by which connections are cached.
func TestCachedInvalidate(t *testing.T) {
	ctx := t.Context()
	c, s, e, _ := newCached(t)
	cert, err := c.Certificate(ctx, scope, "ks", "a")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := c.TrustPool(ctx, scope, "ks")
	if err != nil {
		t.Fatal(err)
	}
	e.reads.Store(0)

	c.Invalidate()
	if again, err := c.Certificate(ctx, scope, "ks", "a"); err != nil || again != cert {
		t.Errorf("the same content has another pointer, %v", err)
	}
	if again, err := c.TrustPool(ctx, scope, "ks"); err != nil || again != pool {
		t.Errorf("the same pool has another pointer, %v", err)
	}
	wantReads(t, e, 3)

	a, err := c.Alias(ctx, scope, "ks", "a")
	if err != nil {
		t.Fatal(err)
	}
	certs := renewed(t, a, 9)
	if _, err := s.UpdateCertificates(ctx, scope, "ks", "a", certs); err != nil {
		t.Fatal(err)
	}
	if again, err := c.Certificate(ctx, scope, "ks", "a"); err != nil || again != cert {
		t.Errorf("changed before Invalidate, %v", err)
	}
	c.Invalidate()
	if again, err := c.Certificate(ctx, scope, "ks", "a"); err != nil || !again.Leaf.Equal(certs[0]) {
		t.Errorf("not changed after Invalidate, %v", err)
	}
	if again, err := c.TrustPool(ctx, scope, "ks"); err != nil || again == pool {
		t.Errorf("pool not changed after Invalidate, %v", err)
	}

	if err := s.DeleteAlias(ctx, scope, "ks", "a"); err != nil {
		t.Fatal(err)
	}
	c.Invalidate()
	_, err = c.Certificate(ctx, scope, "ks", "a")
	wantCode(t, err, keystore.NotFound)
}

// Engine down: what was read stays in force; what was not is an error, asked
// for again after a second.
func TestCachedUnavailable(t *testing.T) {
	ctx := t.Context()
	c, s, e, clock := newCached(t)
	cert, err := c.Certificate(ctx, scope, "ks", "a")
	if err != nil {
		t.Fatal(err)
	}
	e.fail.Store(keystore.Errorf(keystore.Unavailable, "down"))
	c.Invalidate()
	c.Invalidate()
	e.reads.Store(0)
	for range 3 {
		if again, err := c.Certificate(ctx, scope, "ks", "a"); err != nil || again != cert {
			t.Errorf("%v", err)
		}
		_, err = c.Alias(ctx, scope, "ks", "trust")
		wantCode(t, err, keystore.Unavailable)
	}
	wantReads(t, e, 2)

	e.fail.Store(nil)
	clock.advance(time.Second)
	if _, err := c.Alias(ctx, scope, "ks", "trust"); err != nil {
		t.Error(err)
	}
	if again, err := c.Certificate(ctx, scope, "ks", "a"); err != nil || again != cert {
		t.Errorf("%v", err)
	}
	wantReads(t, e, 2)
	clock.advance(time.Hour)
	_, _ = c.Certificate(ctx, scope, "ks", "a")
	wantReads(t, e, 0)

	// Refused is believed: the key may have been withdrawn.
	e.fail.Store(keystore.Errorf(keystore.Denied, "no"))
	c.Invalidate()
	_, err = c.Certificate(ctx, scope, "ks", "a")
	wantCode(t, err, keystore.Denied)
	e.fail.Store(keystore.Errorf(keystore.Unavailable, "down"))
	c.Invalidate()
	_, err = c.Certificate(ctx, scope, "ks", "a")
	wantCode(t, err, keystore.Unavailable)
	_ = s
}

// A request that gives up spoils nothing for others.
func TestCachedDeadline(t *testing.T) {
	c, _, e, _ := newCached(t)
	e.hang.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err := c.Alias(ctx, scope, "ks", "a")
	wantCode(t, err, keystore.Unavailable)

	// While one hangs, another waits no longer than its own deadline.
	long, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.Alias(long, scope, "ks", "a") })
	for e.reads.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	_, err = c.Alias(ctx, scope, "ks", "a")
	wantCode(t, err, keystore.Unavailable)
	stop()
	wg.Wait()

	e.hang.Store(false)
	if _, err := c.Alias(t.Context(), scope, "ks", "a"); err != nil {
		t.Error(err)
	}
}

func TestCachedIsBounded(t *testing.T) {
	c, _, e, _ := newCached(t)
	for i := range 5000 {
		_, err := c.Alias(t.Context(), scope, "ks", fmt.Sprint("none", i))
		wantCode(t, err, keystore.NotFound)
	}
	e.reads.Store(0)
	_, _ = c.Alias(t.Context(), scope, "ks", "none0")
	wantReads(t, e, 1) // forgotten
}

func TestCachedIndex(t *testing.T) {
	ctx := t.Context()
	_, s, e, _ := newCached(t)
	a, err := s.GetAlias(ctx, scope, "ks", "a")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{"a": a.Version}
	c := keystore.NewCached(s, func(_ context.Context, sc keystore.Scope, ks string) (map[string]string, error) {
		if sc != scope || ks != "ks" {
			return nil, keystore.Errorf(keystore.NotFound, "no keystore %q", ks)
		}
		return versions, nil
	})
	e.reads.Store(0)
	if got, err := c.Alias(ctx, scope, "ks", "a"); err != nil || got.Version != a.Version {
		t.Errorf("%v, %v", got, err)
	}
	// What the index does not know is not there.
	_, err = c.Alias(ctx, scope, "ks", "trust")
	wantCode(t, err, keystore.NotFound)
	_, err = c.TrustPool(ctx, scope, "none")
	wantCode(t, err, keystore.NotFound)
	if certs, err := c.Certificates(ctx, scope, "ks"); err != nil || len(certs) != 2 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	wantReads(t, e, 0) // all by version
	versions = map[string]string{"a": "", "trust": "", "gone": ""}
	c.Invalidate()
	if certs, err := c.Certificates(ctx, scope, "ks"); err != nil || len(certs) != 3 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
}

func TestKeys(t *testing.T) {
	ctx := t.Context()
	c, _, _, _ := newCached(t)
	k := c.Keys(scope, func(_ context.Context, sc keystore.Scope, ref string) (string, error) {
		if sc == scope && ref == "my ref" {
			return "ks", nil
		}
		return "", keystore.Errorf(keystore.NotFound, "no reference %q", ref)
	})
	for _, name := range []string{"ks", "ref://my ref"} {
		key, chain, err := k.Key(ctx, name, "a")
		if err != nil || key == nil || len(chain) != 2 {
			t.Errorf("%s: %v", name, err)
		}
		_, _, err = k.Key(ctx, name, "trust")
		wantCode(t, err, keystore.Invalid)
		_, _, err = k.Key(ctx, name, "none")
		wantCode(t, err, keystore.NotFound)
		for alias, n := range map[string]int{"": 3, "a": 2, "trust": 1} {
			if certs, err := k.Certificates(ctx, name, alias); err != nil || len(certs) != n {
				t.Errorf("%s, %q: %d certificates, %v", name, alias, len(certs), err)
			}
		}
	}
	_, _, err := k.Key(ctx, "ref://none", "a")
	wantCode(t, err, keystore.NotFound)
	_, err = c.Keys(scope, nil).Certificates(ctx, "ref://my ref", "")
	wantCode(t, err, keystore.NotFound)
}

func BenchmarkCached(b *testing.B) {
	s := keystore.New(memory.New())
	if _, err := s.CreateAlias(b.Context(), scope, "ks", mustImport(b, "a", "rsa-chain.pem", "rsa.key")); err != nil {
		b.Fatal(err)
	}
	c := keystore.NewCached(s, nil)
	for _, name := range []string{"Certificate", "TrustPool", "Key"} {
		b.Run(name, func(b *testing.B) {
			k := c.Keys(scope, nil)
			b.ReportAllocs()
			for b.Loop() {
				var err error
				switch name {
				case "Certificate":
					_, err = c.Certificate(b.Context(), scope, "ks", "a")
				case "TrustPool":
					_, err = c.TrustPool(b.Context(), scope, "ks")
				default:
					_, _, err = k.Key(b.Context(), "ks", "a")
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
