// Package lookupcache implements the <LookupCache> policy: it reads an entry of a
// cache into a variable. A miss leaves the variable alone and is no error.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/lookup-cache-policy
//
// If the bundle has a PopulateCache that may fill the entry, one call of those
// that miss it at the same time in one instance goes on; the others wait until it
// filled the entry or is over, at most CacheLookupTimeoutInSeconds.
//
// Variables: lookupcache.P.cachename, lookupcache.P.cachekey,
// lookupcache.P.cachehit (true or false), lookupcache.P.assignto.
//
// Faults: none. A cache that cannot be asked is a miss, and is logged.
//
// Refused at deployment: InvalidTimeout. InvalidCacheResourceReference and
// CacheNotFound are Edge's: a cache comes into being by use.
package lookupcache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/caching"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the LookupCache policy.
var Kind = policy.Define("LookupCache", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	caching.Settings
	// AssignTo is the variable to set.
	AssignTo string `xml:"AssignTo,once,required"`
	// CacheLookupTimeoutInSeconds is after how many seconds a lookup is a miss.
	CacheLookupTimeoutInSeconds int `xml:"CacheLookupTimeoutInSeconds,once" default:"12"`
}

type step struct {
	caches   policy.Caches
	key      *caching.Key
	assignTo flow.Var
	timeout  time.Duration
	fills    bool

	cacheName, cacheKey, cacheHit, assignedTo string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<LookupCache> cannot run: there are no caches here")
	}
	if c.CacheLookupTimeoutInSeconds <= 0 {
		env.Errorf(env.Pos, "InvalidTimeout: CacheLookupTimeoutInSeconds %d value should be greater than zero", c.CacheLookupTimeoutInSeconds)
	}
	name := strings.TrimSpace(c.AssignTo)
	if name == "" {
		return nil, errors.New("<AssignTo> is empty")
	}
	prefix := "lookupcache." + env.Name()
	return &step{
		caches: env.Caches, key: c.Key(env), assignTo: env.Var(name),
		timeout:   time.Duration(c.CacheLookupTimeoutInSeconds) * time.Second,
		fills:     c.Filled(env.Bundle),
		cacheName: prefix + ".cachename", cacheKey: prefix + ".cachekey",
		cacheHit: prefix + ".cachehit", assignedTo: prefix + ".assignto",
	}, nil
}

// Run looks the entry up.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	key := s.key.Of(fc)
	fc.PutText(s.cacheName, s.key.Name())
	fc.PutText(s.cacheKey, key.Key)
	fc.PutText(s.assignedTo, s.assignTo.Name())
	data, hit := caching.Lookup(ctx, fc, s.caches, key, s.timeout, s.fills)
	var v flow.Value
	if hit {
		v, hit = caching.Decode(data)
	}
	fc.Put(s.cacheHit, flow.BoolValue(hit))
	if !hit {
		return nil
	}
	if err := s.assignTo.Set(fc, v); err != nil {
		return fmt.Errorf("set %s: %w", s.assignTo.Name(), err)
	}
	return nil
}
