package registry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// entryAge is how old a cached entry may be unless a policy says otherwise.
	entryAge = 300 * time.Second
	// absentAge is how long it is remembered that there is no entry. It is
	// short: what another instance's policy writes is expected to turn up.
	absentAge = 10 * time.Second
	// mapCacheBytes bounds the cached entries of one MapCache.
	mapCacheBytes = 16 << 20
)

// MapCache is the key value maps as policies of one environment see them: with
// entries cached as long as they allow, 300 s by default.
//
// A policy's own writes are seen at once in this instance and after the cached
// time in others, as on Apigee. Writes by the Management API are seen when Drop
// is called: the data plane does so when Stamp.KeyValueMaps changes, in the same
// process by Registry.Subscribe. It is a policy.KeyValueMaps.
type MapCache struct {
	r          *Registry
	org, env   string
	cache      *otter.Cache[mapKey, mapEntry]
	generation atomic.Int64
	flight     singleflight.Group
}

var _ policy.KeyValueMaps = (*MapCache)(nil)

// mapKey names an entry without building its id.
type mapKey struct{ level, proxy, name, key string }

// mapEntry is what was read, or that there was nothing.
type mapEntry struct {
	value      string
	found      bool
	read       time.Time
	generation int64
}

// MapCache returns the maps for the policies of an environment. Keep it: it has
// the cache.
func (r *Registry) MapCache(org, env string) *MapCache {
	return &MapCache{r: r, org: org, env: env, cache: otter.Must(&otter.Options[mapKey, mapEntry]{
		MaximumWeight: mapCacheBytes,
		Weigher: func(k mapKey, e mapEntry) uint32 {
			return uint32(len(k.proxy) + len(k.name) + len(k.key) + len(e.value) + 200)
		},
	})}
}

// Drop forgets what is cached; a read under way is not kept either.
func (c *MapCache) Drop() { c.generation.Add(1) }

func (c *MapCache) scope(s policy.MapScope) entity.MapScope {
	switch s.Level {
	case "organization":
		return entity.MapScope{}
	case "apiproxy", "policy":
		return entity.MapScope{Proxy: s.Proxy}
	}
	return entity.MapScope{Environment: c.env}
}

// Get implements policy.KeyValueMaps.
func (c *MapCache) Get(ctx context.Context, scope policy.MapScope, name, key string, maxAge time.Duration) (string, bool, error) {
	if name == "" || key == "" {
		return "", false, nil
	}
	k := mapKey{scope.Level, scope.Proxy, name, key}
	generation := c.generation.Load()
	if e, ok := c.cache.GetIfPresent(k); ok && e.generation == generation && c.fresh(e, maxAge) {
		return e.value, e.found, nil
	}
	e, err := c.read(ctx, k, scope, generation, maxAge < 0)
	return e.value, e.found, err
}

func (c *MapCache) fresh(e mapEntry, maxAge time.Duration) bool {
	if maxAge == 0 {
		maxAge = entryAge
	}
	if !e.found {
		maxAge = min(maxAge, absentAge)
	}
	return c.r.now().Sub(e.read) < maxAge
}

// read reads an entry, once for all that want it at this moment. A read that
// must not be cached is not shared either: it could have begun too early.
func (c *MapCache) read(ctx context.Context, k mapKey, scope policy.MapScope, generation int64, alone bool) (mapEntry, error) {
	load := func() (mapEntry, error) {
		e := mapEntry{read: c.r.now(), generation: generation}
		var err error
		e.value, e.found, err = c.r.readEntry(ctx, c.org, c.scope(scope), k.name, k.key)
		if err == nil {
			c.cache.Set(k, e)
		}
		return e, err
	}
	if alone {
		return load()
	}
	flight := k.level + "\x00" + k.proxy + "\x00" + k.name + "\x00" + k.key
	v, err, shared := c.flight.Do(flight, func() (any, error) { return load() })
	e := v.(mapEntry)
	if shared && (err != nil && ctx.Err() == nil || e.generation != generation) {
		return load() // another's deadline, or begun before a Drop
	}
	return e, err
}

// Put implements policy.KeyValueMaps.
func (c *MapCache) Put(ctx context.Context, scope policy.MapScope, name, key, value string, override bool) error {
	k := mapKey{scope.Level, scope.Proxy, name, key}
	e := mapEntry{value: value, found: true, read: c.r.now(), generation: c.generation.Load()}
	written, err := c.r.putByPolicy(ctx, c.org, c.scope(scope), name, entry{key, value}, override)
	if err != nil || !written {
		c.cache.Invalidate(k)
		return err
	}
	c.cache.Set(k, e)
	return nil
}

// Delete implements policy.KeyValueMaps.
func (c *MapCache) Delete(ctx context.Context, scope policy.MapScope, name, key string) error {
	err := c.r.store.Delete(ctx, entity.EntryKey(entity.MapID(c.org, c.scope(scope), name), key))
	c.cache.Invalidate(mapKey{scope.Level, scope.Proxy, name, key})
	return err
}

// putByPolicy writes an entry without a word to other instances; written is
// false if it was there and is not to be overridden.
func (r *Registry) putByPolicy(ctx context.Context, org string, scope entity.MapScope, name string, e entry, override bool) (written bool, err error) {
	if err := checkEntry(entryOf(e)); err != nil {
		return false, err
	}
	if err := entity.MapName.Check(name); err != nil {
		return false, err
	}
	d, err := r.sealEntry(ctx, entity.MapID(org, scope, name), e)
	if err != nil {
		return false, err
	}
	for range 2 {
		written, err = r.putIntoMap(ctx, org, scope, name, d, override)
		if !entity.IsNotFound(err) {
			return written, err
		}
		if err := r.ensureMap(ctx, org, scope, name); err != nil {
			return false, err
		}
	}
	return written, err
}

func (r *Registry) putIntoMap(ctx context.Context, org string, scope entity.MapScope, name string, d store.Doc, override bool) (written bool, err error) {
	err = r.outOfTurn(ctx, org, func(tx *Tx) error {
		written = false
		if err := r.mapIn(tx, scope, name); err != nil {
			return err
		}
		if !override {
			_, err := tx.Get(d.Key)
			if err == nil {
				return nil
			}
			if !store.IsNotFound(err) {
				return err
			}
		}
		written = true
		return tx.Put(d)
	})
	return written, err
}
