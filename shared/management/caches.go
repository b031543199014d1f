package management

import (
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

var caches = resource[entity.Cache]{
	noun: "cache", scope: []string{"org", "env"}, id: "cache",
	kind: func(r *registry.Registry) *registry.Kind[entity.Cache] { return r.Caches },
	name: func(v *entity.Cache) *string { return &v.Name },
	show: func(*entity.Cache) any { return nil },
}

// deleteCache deletes a cache with its entries. It comes into being again when a
// policy uses it.
func deleteCache(c *call) (any, error) {
	answer, err := caches.delete(c)
	if err != nil {
		return nil, err
	}
	return answer, c.clear("", true)
}

// clearCache removes all entries of a cache, or those whose keys begin with the
// query parameter prefix, as Edge's call of that name does.
//
// Source: https://docs.apigee.com/reference/apis/apigee/versions/1/organizations-environments-caches-entries
func clearCache(c *call) (any, error) {
	if err := c.clearing(); err != nil {
		return nil, err
	}
	return nil, c.clear(c.query.Get("prefix"), true)
}

// clearCacheEntry removes one entry.
func clearCacheEntry(c *call) (any, error) {
	if err := c.clearing(); err != nil {
		return nil, err
	}
	return nil, c.clear(c.param("key"), false)
}

// clearing checks that the call is one that clears, and of a cache that is known.
func (c *call) clearing() error {
	if action, err := c.oneOf("action", "clear"); err != nil || action == "" {
		return invalid("action must be clear")
	}
	_, err := c.Registry.Caches.Get(c.ctx(), c.ids("org", "env", "cache")...)
	return err
}

func (c *call) clear(key string, prefix bool) error {
	if c.ClearCache == nil {
		return nil
	}
	return c.ClearCache(c.ctx(), c.param("org"), c.param("env"), c.param("cache"), key, prefix)
}
