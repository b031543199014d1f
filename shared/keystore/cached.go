package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
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
	index   Index
	mu      sync.Mutex // serialises Invalidate
	current atomic.Pointer[generation]
}

// Index gives the aliases of a keystore, each with its version, or an empty
// one if that is not known; NotFound if there is no such keystore. It comes
// from the registry, where a write shows to all at once; Secret Manager alone
// may take minutes, and what was read too early would stay until the next
// Invalidate. Its errors are of type *Error; others count as Unavailable.
type Index func(ctx context.Context, sc Scope, keystore string) (map[string]string, error)

// generation is what was read between two calls of Invalidate.
type generation struct {
	mu      sync.RWMutex
	entries map[cacheKey]*cacheEntry
	old     map[cacheKey]*identity // good ones of earlier generations
}

// cacheKey names an alias; with alias empty, all certificates of the keystore.
type cacheKey struct {
	scope           Scope
	keystore, alias string
}

type cacheEntry struct {
	turn   chan struct{} // holds a token while one goroutine reads
	result atomic.Pointer[identity]
	old    *identity // may be nil
}

// identity is what was read: an alias or a keystore's certificates, or why not. Immutable,
// and kept over generations while the content is the same, so that who caches
// connections by its pointers keeps them.
type identity struct {
	alias Alias
	cert  *tls.Certificate // nil for a CERT
	certs []*x509.Certificate
	pool  *x509.CertPool
	err   error
	until time.Time // read again then; zero is never
}

// NewCached makes a cache in front of a store. Without an index (nil) the
// engine itself is asked what there is.
func NewCached(s *Store, index Index) *Cached {
	c := &Cached{store: s, index: index}
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
	id, err := c.whole(ctx, sc, keystore)
	if err != nil {
		return nil, err
	}
	return id.pool, nil
}

// Certificates is Store.Certificates. The slice must not be written to.
func (c *Cached) Certificates(ctx context.Context, sc Scope, keystore string) ([]*x509.Certificate, error) {
	id, err := c.whole(ctx, sc, keystore)
	if err != nil {
		return nil, err
	}
	return id.certs, nil
}

// whole is all certificates of a keystore.
func (c *Cached) whole(ctx context.Context, sc Scope, keystore string) (*identity, error) {
	id, err := c.result(ctx, cacheKey{scope: sc, keystore: keystore})
	if err != nil {
		return nil, err
	}
	return id, id.err
}

func (c *Cached) identity(ctx context.Context, k cacheKey) (*identity, error) {
	if err := checkAliasName(k.alias); err != nil {
		return nil, err // empty would be the whole keystore
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
		certs, err := c.certificates(ctx, k)
		if err != nil {
			return &identity{err: err}
		}
		return &identity{certs: certs, pool: poolOf(certs)}
	}
	a, err := c.alias(ctx, k)
	if err != nil {
		return &identity{err: err}
	}
	id := &identity{alias: a}
	if cert, err := a.TLSCertificate(); err == nil {
		id.cert = &cert
	}
	return id
}

func (c *Cached) alias(ctx context.Context, k cacheKey) (Alias, error) {
	if c.index == nil {
		return c.store.GetAlias(ctx, k.scope, k.keystore, k.alias)
	}
	versions, err := c.index(ctx, k.scope, k.keystore)
	if err != nil {
		return Alias{}, err
	}
	version, ok := versions[k.alias]
	if !ok {
		return Alias{}, Errorf(NotFound, "alias %q does not exist in keystore %q", k.alias, k.keystore)
	}
	return c.store.GetAliasVersion(ctx, k.scope, k.keystore, k.alias, version)
}

func (c *Cached) certificates(ctx context.Context, k cacheKey) ([]*x509.Certificate, error) {
	if c.index == nil {
		return c.store.Certificates(ctx, k.scope, k.keystore)
	}
	versions, err := c.index(ctx, k.scope, k.keystore)
	if err != nil {
		return nil, err
	}
	return c.store.certificatesOf(ctx, k.scope, k.keystore, versions)
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
		return slices.EqualFunc(id.certs, other.certs, (*x509.Certificate).Equal)
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
