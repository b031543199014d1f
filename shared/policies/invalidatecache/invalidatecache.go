// Package invalidatecache implements the <InvalidateCache> policy: it removes an
// entry of a cache, or all entries whose keys begin alike.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/invalidate-cache-policy
//
// Other instances may answer from memory for one second more. A cache that cannot
// be reached is logged; the call goes on.
//
// Variables: invalidatecache.P.cachename, invalidatecache.P.cachekey.
//
// Faults: none.
//
// Refused at deployment: nothing of its own. InvalidCacheResourceReference and
// CacheNotFound are Edge's: a cache comes into being by use.
package invalidatecache

import (
	"context"
	"errors"

	"github.com/perigee-gateway/perigee/shared/caching"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the InvalidateCache policy.
var Kind = policy.Define("InvalidateCache", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	caching.Settings
	// CacheContext says whose entry is meant, for a key made by another proxy,
	// ProxyEndpoint or TargetEndpoint than the one the policy runs in.
	CacheContext CacheContext `xml:"CacheContext,once"`
	// PurgeChildEntries removes every entry whose key begins with the key.
	PurgeChildEntries bool `xml:"PurgeChildEntries,once"`
	// IgnoreUnresolvedVariables is of no effect: a fragment whose variable is
	// not set is empty, as it was when the entry was made.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// CacheContext is the <CacheContext>; the running proxy's name stands for what is
// left out.
type CacheContext struct {
	APIProxyName string `xml:"APIProxyName,once"`
	ProxyName    string `xml:"ProxyName,once"`
	TargetName   string `xml:"TargetName,once"`
}

type step struct {
	caches policy.Caches
	key    *caching.Key
	of     CacheContext
	prefix bool

	cacheName, cacheKey string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<InvalidateCache> cannot run: there are no caches here")
	}
	variables := "invalidatecache." + env.Name()
	return &step{
		caches: env.Caches, key: c.Key(env), of: c.CacheContext, prefix: c.PurgeChildEntries,
		cacheName: variables + ".cachename", cacheKey: variables + ".cachekey",
	}, nil
}

// Run removes the entries.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	key := s.key.OfContext(fc, s.of.APIProxyName, s.of.ProxyName, s.of.TargetName)
	fc.PutText(s.cacheName, s.key.Name())
	fc.PutText(s.cacheKey, key.Key)
	s.caches.Delete(ctx, key, s.prefix)
	return nil
}
