// Package cache is the value and response caches of an environment: entries in
// the store, and in front of them a bounded memory of this instance.
//
// As on Apigee the memory is good for one second (Options.Refresh): what is older
// is read from the store again, so that other instances' writes and deletions are
// seen after that long. Expiry is checked on every read. Values are encrypted in
// the store; keys are not, since deletion by prefix must find them.
//
// A store that cannot be asked never fails a call: it is logged, and the lookup is
// a miss, or the entry in memory if that has not expired. Entries that are larger
// than policy.MaxCacheKey or policy.MaxCacheValue are not cached.
//
// Deletion by prefix is done in commits of some hundred entries. If the process
// dies between two of them the rest stays; repeating it is safe.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/cache/cache-internals
package cache

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// DefaultExpiry is how long an entry lives whose policy does not say: 300 s.
	DefaultExpiry = 300 * time.Second
	// DefaultBytes bounds the memory of one environment's caches: 32 MiB.
	DefaultBytes = 32 << 20
)

// Cipher encrypts values; vault.Cipher is one.
type Cipher interface {
	Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	Open(ctx context.Context, ciphertext, aad []byte) ([]byte, error)
}

// Options configure Caches.
type Options struct {
	Store                     *store.Store
	Organization, Environment string
	// Cipher encrypts values in the store; nil stores them as they are.
	Cipher Cipher
	// Bytes bounds the keys and values in memory; 0 is DefaultBytes.
	Bytes int64
	// Refresh is how old an entry in memory may get before the store is asked
	// again; 0 is one second.
	Refresh time.Duration
	// Used, if set, is told of the first entry this process writes to a named
	// cache: in Apigee X caches come into being by use.
	Used func(ctx context.Context, cache string)
	Log  *slog.Logger
}

// Caches implements policy.Caches. It opens nothing before its first use.
type Caches struct {
	opts  Options
	store *store.Store
	log   *slog.Logger

	open   sync.Once
	memory *otter.Cache[policy.CacheKey, entry]

	mu      sync.Mutex
	reads   map[policy.CacheKey]*read
	flights map[policy.CacheKey]*flight
	barren  map[policy.CacheKey]time.Time // leaders did not fill it: nobody waits until then
	named   map[string]bool
}

// entry is an entry in memory.
type entry struct {
	value    []byte
	expireAt time.Time
	asOf     time.Time // when the store was known to hold it
}

var _ policy.Caches = (*Caches)(nil)

// New returns the caches of an environment.
func New(o Options) *Caches {
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Refresh <= 0 {
		o.Refresh = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Caches{
		opts: o, store: o.Store, log: o.Log,
		reads:   map[policy.CacheKey]*read{},
		flights: map[policy.CacheKey]*flight{},
		barren:  map[policy.CacheKey]time.Time{},
		named:   map[string]bool{},
	}
}

// Clear removes from the store the entry of a key, or with prefix every entry
// whose key begins with it, for the Management API. Instances that have them in
// memory see it within Options.Refresh.
func Clear(ctx context.Context, o Options, key policy.CacheKey, prefix bool) error {
	c := New(o)
	if prefix {
		return c.deletePrefix(ctx, key)
	}
	return c.store.Delete(ctx, c.docKey(key))
}

func (c *Caches) lru() *otter.Cache[policy.CacheKey, entry] {
	c.open.Do(func() {
		c.memory = otter.Must(&otter.Options[policy.CacheKey, entry]{
			MaximumWeight: uint64(c.opts.Bytes),
			Weigher:       func(k policy.CacheKey, e entry) uint32 { return uint32(len(k.Cache) + len(k.Key) + len(e.value) + 128) },
			Executor:      func(f func()) { f() }, // an instance may be frozen: nothing is left to run later
		})
	})
	return c.memory
}

// Get returns an entry that has not expired.
func (c *Caches) Get(ctx context.Context, key policy.CacheKey, timeout time.Duration) ([]byte, bool) {
	if len(key.Key) > policy.MaxCacheKey {
		return nil, false
	}
	now := c.store.Now()
	e, ok := c.lru().GetIfPresent(key)
	if ok && now.Before(e.expireAt) && now.Sub(e.asOf) < c.opts.Refresh {
		return e.value, true
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	r := c.read(ctx, key)
	switch {
	case r == nil: // ctx ended
		return nil, false
	case r.err == nil:
		return r.value, r.ok
	}
	c.log.WarnContext(ctx, "cache cannot be read", "cache", key.Cache, "error", reason(r.err))
	if ok && now.Before(e.expireAt) {
		return e.value, true
	}
	return nil, false
}

// read is one reading of the store that several calls wait for.
type read struct {
	done  chan struct{}
	value []byte
	ok    bool
	err   error
	ended bool // the context of the call that read ended: others read again
}

// read reads an entry from the store, once for all who ask at the same time. It
// returns nil if ctx ended before.
func (c *Caches) read(ctx context.Context, key policy.CacheKey) *read {
	for {
		c.mu.Lock()
		r := c.reads[key]
		if r == nil {
			r = &read{done: make(chan struct{})}
			c.reads[key] = r
			c.mu.Unlock()
			c.fetch(ctx, key, r)
			return r
		}
		c.mu.Unlock()
		select {
		case <-r.done:
			if !r.ended {
				return r
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Caches) fetch(ctx context.Context, key policy.CacheKey, r *read) {
	defer func() {
		r.ended = r.err != nil && ctx.Err() != nil
		c.mu.Lock()
		delete(c.reads, key)
		c.mu.Unlock()
		close(r.done)
	}()
	began := c.store.Now()
	doc, err := c.store.Get(ctx, c.docKey(key))
	if err == nil {
		r.value, err = c.decode(ctx, doc)
	}
	if store.IsNotFound(err) {
		c.forget(key, began)
		return
	}
	if r.err = err; err != nil {
		return
	}
	r.ok = true
	c.remember(key, entry{r.value, doc.ExpireAt, began})
}

// remember keeps e unless what is there is newer.
func (c *Caches) remember(key policy.CacheKey, e entry) {
	c.lru().Compute(key, func(old entry, found bool) (entry, otter.ComputeOp) {
		if found && old.asOf.After(e.asOf) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

// forget drops what was written before began: a miss says nothing of what came
// after.
func (c *Caches) forget(key policy.CacheKey, began time.Time) {
	c.lru().ComputeIfPresent(key, func(old entry) (entry, otter.ComputeOp) {
		if !old.asOf.Before(began) {
			return old, otter.CancelOp
		}
		return old, otter.InvalidateOp
	})
}

// Put writes an entry.
func (c *Caches) Put(ctx context.Context, key policy.CacheKey, value []byte, expireAt time.Time) {
	now := c.store.Now()
	if expireAt.IsZero() {
		expireAt = now.Add(DefaultExpiry)
	}
	if last := now.Add(policy.MaxCacheExpiry); expireAt.After(last) {
		expireAt = last
	}
	if len(key.Key) > policy.MaxCacheKey || len(value) > policy.MaxCacheValue {
		c.log.InfoContext(ctx, "entry is too large to be cached", "cache", key.Cache, "keyBytes", len(key.Key), "valueBytes", len(value))
		return
	}
	if !now.Before(expireAt) {
		return
	}
	c.lru().Set(key, entry{value, expireAt, now})
	c.filled(key)
	if err := c.write(ctx, key, value, expireAt); err != nil {
		c.log.WarnContext(ctx, "cache cannot be written", "cache", key.Cache, "error", reason(err))
	}
	c.use(ctx, key.Cache)
}

func (c *Caches) write(ctx context.Context, key policy.CacheKey, value []byte, expireAt time.Time) error {
	doc, err := c.encode(ctx, key, value)
	if err != nil {
		return err
	}
	doc.ExpireAt = expireAt
	return c.store.Put(ctx, doc)
}

// use tells Options.Used of a named cache, once.
func (c *Caches) use(ctx context.Context, name string) {
	if name == "" || c.opts.Used == nil {
		return
	}
	c.mu.Lock()
	known := c.named[name]
	c.named[name] = true
	c.mu.Unlock()
	if !known {
		c.opts.Used(ctx, name)
	}
}

// Delete removes an entry, or with prefix every entry whose key starts with the
// key.
func (c *Caches) Delete(ctx context.Context, key policy.CacheKey, prefix bool) {
	var err error
	if prefix {
		c.forgetPrefix(key)
		err = c.deletePrefix(ctx, key)
		c.forgetPrefix(key) // a lookup may have read an entry just before it went
	} else {
		c.lru().Invalidate(key)
		err = c.store.Delete(ctx, c.docKey(key))
		c.lru().Invalidate(key)
	}
	if err != nil {
		c.log.WarnContext(ctx, "cache entry cannot be deleted", "cache", key.Cache, "error", reason(err))
	}
}

func (c *Caches) forgetPrefix(key policy.CacheKey) {
	for k := range c.lru().Keys() {
		if k.Cache == key.Cache && strings.HasPrefix(k.Key, key.Key) {
			c.lru().Invalidate(k)
		}
	}
}

func (c *Caches) deletePrefix(ctx context.Context, key policy.CacheKey) error {
	head, whole := plainPart(key.Key)
	q := store.Query{Collection: collection, Prefix: c.base(key.Cache) + head}
	if whole {
		_, err := c.store.DeleteAll(ctx, q)
		return err
	}
	for doc, err := range c.store.Query(ctx, q) { // the rest of the key is in the document
		if err != nil {
			return err
		}
		if strings.HasPrefix(keyOf(doc), key.Key) {
			if err := c.store.Delete(ctx, doc.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drop forgets what is in memory: entries were deleted behind this process's
// back.
func (c *Caches) Drop() { c.lru().InvalidateAll() }
