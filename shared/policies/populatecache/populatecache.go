// Package populatecache implements the <PopulateCache> policy: it writes the
// value of a variable into a cache.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/populate-cache-policy
//
// A value keeps its type. One larger than 256 KB, or a key larger than 2 KB, is
// not cached and the call goes on; so it does when the store cannot be written.
//
// Variables: populatecache.P.cachename, populatecache.P.cachekey.
//
// Faults (500), which set populatecache.P.failed:
//
//   - policies.populatecache.EntryCannotBeCached: the source is not set, or is a
//     message or another object and not a value
//
// Refused at deployment: nothing of its own. InvalidCacheResourceReference and
// CacheNotFound are Edge's: a cache comes into being by use.
package populatecache

import (
	"context"
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/caching"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the PopulateCache policy.
var Kind = policy.Define("PopulateCache", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	caching.Settings
	// Source is the variable to write.
	Source string `xml:"Source,once,required"`
	// ExpirySettings says when the entry expires; 300 s if absent.
	ExpirySettings *caching.Expiry `xml:"ExpirySettings,once"`
	// SkipCacheIfElementSizeInKBExceeds leaves values that are larger out of the
	// cache; 256 at most.
	SkipCacheIfElementSizeInKBExceeds int `xml:"SkipCacheIfElementSizeInKBExceeds,once"`
}

type step struct {
	caches   policy.Caches
	key      *caching.Key
	source   flow.Var
	lifetime *caching.Lifetime
	limit    int

	cacheName, cacheKey, failed string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<PopulateCache> cannot run: there are no caches here")
	}
	source := strings.TrimSpace(c.Source)
	if source == "" {
		return nil, errors.New("<Source> is empty")
	}
	prefix := "populatecache." + env.Name()
	return &step{
		caches: env.Caches, key: c.Key(env), source: env.Var(source),
		lifetime:  c.ExpirySettings.Compile(env),
		limit:     c.SkipCacheIfElementSizeInKBExceeds << 10,
		cacheName: prefix + ".cachename", cacheKey: prefix + ".cachekey", failed: prefix + ".failed",
	}, nil
}

// Run writes the entry.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	key := s.key.Of(fc)
	fc.PutText(s.cacheName, s.key.Name())
	fc.PutText(s.cacheKey, key.Key)
	data, ok := caching.Encode(s.source.Get(fc))
	if !ok {
		return fault.New("policies.populatecache.EntryCannotBeCached", 500,
			"Entry "+s.source.Name()+" can not be cached. Only serializable entries are cached.").Failed(s.failed)
	}
	if s.limit > 0 && len(data) > s.limit {
		return nil
	}
	s.caches.Put(ctx, key, data, s.lifetime.Until(fc))
	return nil
}
