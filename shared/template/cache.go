package template

import (
	"sync"

	"github.com/maypok86/otter/v2"
)

// Bounds of the caches of what is compiled while calls run.
const (
	cacheSize = 1000    // entries of each
	maxCached = 4 << 10 // bytes; longer text is compiled each time
)

func newCache[V any]() func() *otter.Cache[string, V] {
	return sync.OnceValue(func() *otter.Cache[string, V] {
		return otter.Must(&otter.Options[string, V]{MaximumSize: cacheSize})
	})
}

var (
	templateCache = newCache[*Template]()
	programCache  = newCache[program]()
)

// cached returns the compiled form of key. What does not compile is not kept.
func cached[V any](c *otter.Cache[string, V], key string, compile func(string) (V, error)) (V, error) {
	if v, ok := c.GetIfPresent(key); ok {
		return v, nil
	}
	v, err := compile(key)
	if err == nil {
		c.Set(key, v)
	}
	return v, err
}
