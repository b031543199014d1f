package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// maxCached is the most entries of a generation; names come from variables
// too, so a caller must not be able to fill the memory.
const maxCached = 4096

// retryAfter is how long a failed read is not tried again.
const retryAfter = time.Second

// waitWithOld bounds a read when there is an older result.
const waitWithOld = 2 * time.Second

// Cached is what the request path reads: each alias and trust pool once, until
// Invalidate. It reads in the request that needs it, under its deadline, never
// in the background. What is absent is remembered too. If the engine cannot be
// reached after an Invalidate, what was read before stays in force; an engine
// that answers NotFound or Denied is believed.
type Cached struct {
	store   *Store
	mu      sync.Mutex // serialises Invalidate
	current atomic.Pointer[generation]
}

// generation is what was read between two calls of Invalidate.
type generation struct {
	mu      sync.RWMutex
	entries map[cacheKey]*cacheEntry
	old     map[cacheKey]*identity // good ones of earlier generations
}

// cacheKey names an alias; with alias empty, the trust pool of the keystore.
type cacheKey struct {
	scope           Scope
	keystore, alias string
}

type cacheEntry struct {
	turn   chan struct{} // holds a token while one goroutine reads
	result atomic.Pointer[identity]
	old    *identity // may be nil
}

// identity is what was read: an alias or a trust pool, or why not. Immutable,
// and kept over generations while the content is the same, so that who caches
// connections by its pointers keeps them.
type identity struct {
	alias Alias
	cert  *tls.Certificate // nil for a CERT
	pool  *x509.CertPool
	err   error
	until time.Time // read again then; zero is never
}

// NewCached makes a cache in front of a store.
func NewCached(s *Store) *Cached {
	c := &Cached{store: s}
	c.current.Store(newGeneration(nil))
	return c
}

func newGeneration(old map[cacheKey]*identity) *generation {
	return &generation{entries: map[cacheKey]*cacheEntry{}, old: old}
}

// Invalidate lets everything be read anew when it is next used: call it when
// the deployment stamp has changed.
func (c *Cached) Invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Store(newGeneration(c.current.Load().good()))
}

// Alias is Store.GetAlias.
func (c *Cached) Alias(ctx context.Context, sc Scope, keystore, alias string) (Alias, error) {
	id, err := c.identity(ctx, cacheKey{sc, keystore, alias})
	if err != nil {
		return Alias{}, err
	}
	return id.alias, nil
}

// Certificate is the alias as a TLS identity; Invalid if it has no key. The
// pointer is the same while the content is; it must not be written to.
func (c *Cached) Certificate(ctx context.Context, sc Scope, keystore, alias string) (*tls.Certificate, error) {
	id, err := c.identity(ctx, cacheKey{sc, keystore, alias})
	if err != nil {
		return nil, err
	}
	if id.cert == nil {
		return nil, Errorf(Invalid, "alias %q of keystore %q has no private key", alias, keystore)
	}
	return id.cert, nil
}

// TrustPool is Store.TrustPool. The pointer is the same while the content is;
// it must not be written to.
func (c *Cached) TrustPool(ctx context.Context, sc Scope, keystore string) (*x509.CertPool, error) {
	id, err := c.result(ctx, cacheKey{scope: sc, keystore: keystore})
	if err != nil {
		return nil, err
	}
	return id.pool, id.err
}

func (c *Cached) identity(ctx context.Context, k cacheKey) (*identity, error) {
	if err := checkAliasName(k.alias); err != nil {
		return nil, err // empty would be the trust pool
	}
	id, err := c.result(ctx, k)
	if err != nil {
		return nil, err
	}
	return id, id.err
}

// result is what is remembered of a key, read if it is the first use. Its own
// error is that of waiting.
func (c *Cached) result(ctx context.Context, k cacheKey) (*identity, error) {
	e := c.current.Load().entry(k)
	if id := e.fresh(c.store.now); id != nil {
		return id, nil
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, Errorf(Unavailable, "keystore %q: %w", k.keystore, ctx.Err())
	}
	if id := e.fresh(c.store.now); id != nil {
		return id, nil
	}
	id := c.read(ctx, k, e)
	if id.err != nil && ctx.Err() != nil && e.old == nil {
		return id, nil // this request's deadline, not the engine's fault
	}
	e.result.Store(e.settle(id, c.store.now()))
	return e.result.Load(), nil
}

// read reads an alias or a trust pool. It does not wait for long if there is
// an old one to fall back to.
func (c *Cached) read(ctx context.Context, k cacheKey, e *cacheEntry) *identity {
	if e.old != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitWithOld)
		defer cancel()
	}
	if k.alias == "" {
		pool, err := c.store.TrustPool(ctx, k.scope, k.keystore)
		return &identity{pool: pool, err: err}
	}
	a, err := c.store.GetAlias(ctx, k.scope, k.keystore, k.alias)
	id := &identity{alias: a, err: err}
	if cert, err := a.TLSCertificate(); err == nil {
		id.cert = &cert
	}
	return id
}

// settle is what to remember after a read.
func (e *cacheEntry) settle(id *identity, now time.Time) *identity {
	switch {
	case id.err != nil && CodeOf(id.err) == Unavailable && e.old != nil:
		kept := *e.old
		kept.until = now.Add(retryAfter)
		return &kept
	case id.err != nil && CodeOf(id.err) == Unavailable:
		id.until = now.Add(retryAfter)
	case id.err == nil && e.old != nil && id.same(e.old):
		kept := *e.old
		kept.until = time.Time{}
		return &kept
	}
	return id
}

// same reports whether two good identities have the same content.
func (id *identity) same(other *identity) bool {
	if id.pool != nil {
		return id.pool.Equal(other.pool)
	}
	return id.alias.Version == other.alias.Version
}

// fresh is the result, unless there is none or its time is over.
func (e *cacheEntry) fresh(now func() time.Time) *identity {
	id := e.result.Load()
	if id == nil || !id.until.IsZero() && !now().Before(id.until) {
		return nil
	}
	return id
}

// entry finds or makes the entry of a key.
func (g *generation) entry(k cacheKey) *cacheEntry {
	g.mu.RLock()
	e := g.entries[k]
	g.mu.RUnlock()
	if e != nil {
		return e
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.entries[k]; e != nil {
		return e
	}
	if len(g.entries) >= maxCached {
		clear(g.entries)
	}
	e = &cacheEntry{turn: make(chan struct{}, 1), old: g.old[k]}
	g.entries[k] = e
	return e
}

// good is the last good identity of every key.
func (g *generation) good() map[cacheKey]*identity {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := make(map[cacheKey]*identity, len(g.entries))
	if len(g.old)+len(g.entries) <= maxCached {
		maps.Copy(all, g.old)
	}
	for k, e := range g.entries {
		switch id := e.result.Load(); {
		case id == nil:
		case id.err == nil:
			all[k] = id
		default:
			delete(all, k)
		}
	}
	return all
}
