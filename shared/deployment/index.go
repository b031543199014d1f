package deployment

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Index is the routing index and the configuration of one environment as a data
// plane knows them: as of one stamp, and filled by Source.Fill with what paths
// are asked for. The environment "" is the organization, which has only a
// configuration. It is safe for concurrent use; Match takes no lock.
//
// When Stamp.Changed of the environment changes, begin with a new one.
type Index struct {
	stamp *entity.Stamp
	env   string
	root  branch

	mu     sync.Mutex // one Fill at a time changes the tree
	config atomic.Pointer[entity.Config]
}

// NewIndex returns an empty Index of an environment.
func NewIndex(stamp *entity.Stamp, env string) *Index { return &Index{stamp: stamp, env: env} }

// Environment is whose Index it is.
func (x *Index) Environment() string { return x.env }

// Version is Stamp.Changed of the environment.
func (x *Index) Version() int64 { return x.stamp.Changed[x.env] }

// Config is the configuration of the environment; nil before the first Fill.
func (x *Index) Config() *entity.Config { return x.config.Load() }

// branch is a place in the tree of base paths. Its content is nil while the node
// that has it is known to exist but not read.
type branch struct{ content atomic.Pointer[content] }

// content never changes; only branches beneath it are filled in.
type content struct {
	route    *entity.Route      // of the base path that ends here
	children map[string]*branch // by literal segment
	wild     *branch
}

// Match is the route a path leads to.
type Match struct {
	Route *entity.Route // nil: none
	// Base is the part of the path the base path covers, without a trailing
	// slash: what follows is proxy.pathsuffix.
	Base string
	// segments counts those of the base path; wild has a bit for each that is a
	// wildcard, the first segment's highest.
	segments int
	wild     uint64
}

// beats reports whether m is more specific than o: it has more segments, or a
// literal where the other first has a wildcard.
func (m *Match) beats(o *Match) bool {
	if m.Route == nil || o.Route == nil {
		return m.Route != nil
	}
	if m.segments != o.segments {
		return m.segments > o.segments
	}
	return m.wild < o.wild
}

// Find returns the most specific route for a path (raw, without query) among
// environments; of equals that of the first. known is false if Fill must be
// called first.
func Find(path string, indexes ...*Index) (best Match, known bool) {
	known = true
	for _, x := range indexes {
		m, ok := x.Match(path)
		known = known && ok
		if m.beats(&best) {
			best = m
		}
	}
	return best, known
}

// Match returns the most specific route for a path (raw, without query): the
// longest base path by segments, a literal segment before a wildcard. known is
// false if Fill must be called first.
func (x *Index) Match(path string) (m Match, known bool) {
	w := walk{path: path, known: true}
	w.visit(&x.root, 0, 0, 0)
	return w.best, w.known
}

// walk is one descent for a path.
type walk struct {
	path  string
	best  Match
	known bool
}

// visit looks at the branch reached after n segments, which end at at.
func (w *walk) visit(b *branch, at, n int, wild uint64) {
	c := b.content.Load()
	if c == nil {
		w.known = false
		return
	}
	if c.route != nil {
		m := Match{Route: c.route, Base: w.path[:at], segments: n, wild: wild}
		if m.beats(&w.best) {
			w.best = m
		}
	}
	segment, end := next(w.path, at)
	if segment == "" {
		return
	}
	if child := c.children[segment]; child != nil {
		w.visit(child, end, n+1, wild)
	}
	if c.wild != nil {
		w.visit(c.wild, end, n+1, wild|1<<(63-min(n, 63)))
	}
}

// next is the segment of path that begins with the slash at at, and its end;
// empty if there is none.
func next(path string, at int) (segment string, end int) {
	if at >= len(path) || path[at] != '/' {
		return "", at
	}
	end = strings.IndexByte(path[at+1:], '/')
	if end < 0 {
		return path[at+1:], len(path)
	}
	return path[at+1 : at+1+end], at + 1 + end
}

// want is a document that Fill reads for an Index.
type want struct {
	index  *Index
	key    store.Key
	config bool
	node   string // segments, if it is a node
}

// wants appends the documents that are missing for path.
func (x *Index) wants(list []want, path string) []want {
	if x.env == "" && x.Version() == 0 { // nothing has ever been configured
		x.config.CompareAndSwap(nil, new(entity.Config))
	}
	if x.config.Load() == nil {
		for _, key := range registry.ConfigKeys(x.stamp, x.env) {
			list = append(list, want{index: x, key: key, config: true})
		}
	}
	if x.env == "" {
		return list
	}
	node, at := "", 0
	for b := &x.root; ; {
		if b != nil {
			if c := b.content.Load(); c != nil {
				// Known: go down to where something is not.
				segment, end := next(path, at)
				child := c.children[segment]
				if child == nil {
					return list
				}
				b, at, node = child, end, join(node, segment)
				continue
			}
		}
		list = append(list, want{index: x, key: entity.NodeKey(x.stamp.Organization, x.env, node), node: node})
		segment, end := next(path, at)
		if !x.stamp.IsSplit(x.env, node) || !storable(node, segment) {
			return list
		}
		b, at, node = nil, end, join(node, segment)
	}
}

func join(node, segment string) string {
	if node == "" {
		return segment
	}
	return node + "/" + segment
}

// storable reports whether a segment of a request's path can be one of a base
// path: what a caller sends must not be an invalid key.
func storable(node, segment string) bool {
	return segment != "" && segment != "*" && len(node)+len(segment) < 1000 && utf8.ValidString(segment)
}

// take puts what was read into its place.
func (x *Index) take(w want, docs []store.Doc) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if w.config {
		return x.takeConfig(docs)
	}
	b := x.at(w.node)
	if b == nil || b.content.Load() != nil {
		return nil // the parent does not have it, or another was faster
	}
	node := new(entity.Node)
	if docs[0].Found() {
		var err error
		if node, err = registry.Decode[entity.Node](docs[0]); err != nil {
			return err
		}
	}
	depth := len(entity.Segments("/" + w.node))
	b.content.Store(x.build(node, depth))
	return nil
}

func (x *Index) takeConfig(docs []store.Doc) error {
	c, err := registry.DecodeConfig(docs)
	if err != nil {
		return fmt.Errorf("environment %s: %w", x.env, err)
	}
	x.config.CompareAndSwap(nil, c)
	return nil
}

// at is the branch of a node; nil if its parents do not lead to it.
func (x *Index) at(node string) *branch {
	b := &x.root
	for _, segment := range entity.Segments("/" + node) {
		c := b.content.Load()
		if c == nil {
			return nil
		}
		if b = c.children[segment]; b == nil {
			return nil
		}
	}
	return b
}

// build makes the tree beneath a node of depth segments.
func (x *Index) build(node *entity.Node, depth int) *content {
	top := new(content)
	for _, segment := range node.Children {
		top.child(segment)
	}
	for i := range node.Routes {
		r := &node.Routes[i]
		r.Environment = x.env
		c := top
		for _, segment := range entity.Segments(r.BasePath)[depth:] {
			c = c.grow(segment)
		}
		c.route = r
	}
	return top
}

// child is the branch of a literal segment, made if there is none.
func (c *content) child(segment string) *branch {
	if c.children == nil {
		c.children = map[string]*branch{}
	}
	b := c.children[segment]
	if b == nil {
		b = new(branch)
		c.children[segment] = b
	}
	return b
}

// grow is the content behind a segment, made if there is none.
func (c *content) grow(segment string) *content {
	var b *branch
	switch {
	case segment != "*":
		b = c.child(segment)
	case c.wild == nil:
		c.wild = new(branch)
		fallthrough
	default:
		b = c.wild
	}
	if b.content.Load() == nil {
		b.content.Store(new(content))
	}
	return b.content.Load()
}
