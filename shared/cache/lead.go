package cache

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
)

const (
	// maxLead is how long one call may keep others waiting; the next to miss
	// leads then. Calls end sooner: this is for one that died without saying so.
	maxLead = 30 * time.Second
	// barrenFor is how long nobody waits for a key that its leader did not
	// fill: it may be one that is looked up only.
	barrenFor = 5 * time.Second
	maxBarren = 4096
)

// flight is a call that fetches what many miss.
type flight struct {
	done  chan struct{}
	since time.Time
}

// Lead makes concurrent misses of one key in this instance cost one fill.
func (c *Caches) Lead(ctx context.Context, key policy.CacheKey) (done func()) {
	now := c.store.Now()
	c.mu.Lock()
	if until, ok := c.barren[key]; ok {
		if now.Before(until) {
			c.mu.Unlock()
			return nil
		}
		delete(c.barren, key)
	}
	f := c.flights[key]
	if f != nil && now.Sub(f.since) < maxLead {
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		return nil
	}
	if e, ok := c.lru().GetIfPresent(key); ok && now.Before(e.expireAt) {
		c.mu.Unlock() // filled since the caller looked
		return nil
	}
	if f != nil { // its call is gone
		close(f.done)
	}
	f = &flight{done: make(chan struct{}), since: now}
	c.flights[key] = f
	c.mu.Unlock()
	return func() { c.landed(key, f) }
}

// filled lets those go on who wait for key.
func (c *Caches) filled(key policy.CacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.barren, key)
	if f := c.flights[key]; f != nil {
		delete(c.flights, key)
		close(f.done)
	}
}

// landed ends a leader's call. If it still leads it filled nothing.
func (c *Caches) landed(key policy.CacheKey, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[key] != f {
		return
	}
	delete(c.flights, key)
	close(f.done)
	if len(c.barren) >= maxBarren {
		clear(c.barren)
	}
	c.barren[key] = c.store.Now().Add(barrenFor)
}
