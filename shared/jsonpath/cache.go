package jsonpath

import "sync"

// Cache keeps the paths that a template has given, so that a call compiles none
// that another had before. It starts anew when it is full: what a bundle makes of
// its variables repeats, unless a caller is at work. The zero Cache is ready.
type Cache struct {
	mu    sync.Mutex
	paths map[string]*Path
}

const maxPaths = 100

// Compile is [Compile] for text that is known only while a call runs.
func (c *Cache) Compile(src string) (*Path, error) {
	c.mu.Lock()
	p, ok := c.paths[src]
	c.mu.Unlock()
	if ok {
		return p, nil
	}
	p, err := Compile(src)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths == nil || len(c.paths) >= maxPaths {
		c.paths = make(map[string]*Path)
	}
	c.paths[src] = p
	return p, nil
}
