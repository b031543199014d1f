package caching

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Lookup reads an entry. Where fills is set, one call of those that miss at the
// same time goes on to fill it; the others wait until it has, or timeout is over.
// timeout bounds the reading, too: what is not found by then is a miss.
func Lookup(ctx context.Context, fc *flow.Context, caches policy.Caches, key policy.CacheKey, timeout time.Duration, fills bool) ([]byte, bool) {
	v, ok := caches.Get(ctx, key, timeout)
	if ok || !fills || leads(fc) {
		return v, ok
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := caches.Lead(ctx, key)
	if done == nil {
		return caches.Get(ctx, key, 0)
	}
	setLeads(fc)
	fc.After(func(context.Context) { done() })
	return nil, false
}

// leading is the key in Context.Session of a call that others wait for. It does
// not wait for anybody itself, so that no two calls wait for each other.
type leading struct{}

func leads(fc *flow.Context) bool {
	_, ok := fc.Session[leading{}]
	return ok
}

func setLeads(fc *flow.Context) {
	if fc.Session == nil {
		fc.Session = map[any]any{}
	}
	fc.Session[leading{}] = true
}

// Filled reports whether the bundle has a PopulateCache that may fill what a
// LookupCache with these settings looks up: same cache, and as many fragments.
// A lookup that nothing fills must make nobody wait.
func (s *Settings) Filled(b *bundle.Bundle) bool {
	for _, p := range b.Policies {
		if p.Kind != "PopulateCache" || !p.Enabled {
			continue
		}
		var other struct {
			policy.Header
			Settings
			Rest []*bundle.Element `xml:",any"`
		}
		bundle.Decode(p.Root, &other, new(bundle.Problems))
		if other.CacheResource == s.CacheResource && same(&other.CacheKey, &s.CacheKey) {
			return true
		}
	}
	return false
}

func same(a, b *KeyConfig) bool {
	if a.Prefix != b.Prefix || len(a.Fragments) != len(b.Fragments) {
		return false
	}
	for i, f := range a.Fragments {
		g := b.Fragments[i]
		if f.Ref == "" && g.Ref == "" && f.Text != g.Text {
			return false
		}
	}
	return true
}
