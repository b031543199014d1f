package deployment

import (
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// splitRoutes and splitBytes are what a node may have before it is split.
	splitRoutes = 200
	splitBytes  = 200 << 10
)

// nodes are the routing indexes of environments within a transaction: read as
// needed, changed in memory, written by flush.
type nodes struct {
	tx    *registry.Tx
	stamp *entity.Stamp
	read  map[place]*node
}

// place names a node.
type place struct{ env, path string }

type node struct {
	entity.Node
	exists, dirty bool
}

func newNodes(tx *registry.Tx, s *entity.Stamp) *nodes {
	return &nodes{tx: tx, stamp: s, read: map[place]*node{}}
}

// get reads a node; one that does not exist is empty.
func (ns *nodes) get(env, path string) (*node, error) {
	p := place{env, path}
	if n := ns.read[p]; n != nil {
		return n, nil
	}
	n := new(node)
	d, err := ns.tx.Get(entity.NodeKey(ns.tx.Organization, env, path))
	if err != nil && !store.IsNotFound(err) {
		return nil, err
	}
	if err == nil {
		v, err := registry.Decode[entity.Node](d)
		if err != nil {
			return nil, err
		}
		n.Node, n.exists = *v, true
	}
	n.Split = n.Split || path == ""
	ns.read[p] = n
	return n, nil
}

// home is the node that has, or would have, a base path.
func (ns *nodes) home(env, basePath string) (path string, n *node, err error) {
	segments := entity.Segments(basePath)
	for depth := 0; ; depth++ {
		path = strings.Join(segments[:depth], "/")
		if n, err = ns.get(env, path); err != nil {
			return "", nil, err
		}
		if !n.Split || depth == len(segments) || segments[depth] == "*" {
			return path, n, nil
		}
	}
}

// route is the route of a base path; nil if there is none.
func (ns *nodes) route(env, basePath string) (*entity.Route, error) {
	_, n, err := ns.home(env, basePath)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(n.Routes, func(r entity.Route) bool { return r.BasePath == basePath })
	if i < 0 {
		return nil, nil
	}
	return &n.Routes[i], nil
}

// add adds a route whose base path has none.
func (ns *nodes) add(r entity.Route) error {
	path, n, err := ns.home(r.Environment, r.BasePath)
	if err != nil {
		return err
	}
	n.Routes = append(n.Routes, r)
	n.dirty = true
	if err := ns.adopt(r.Environment, path); err != nil {
		return err
	}
	ns.split(r.Environment, path, n)
	return nil
}

// adopt enters a node, and those it is beneath, with their parents.
func (ns *nodes) adopt(env, path string) error {
	for path != "" {
		parent, segment := cutLast(path)
		p, err := ns.get(env, parent)
		if err != nil {
			return err
		}
		i, found := slices.BinarySearch(p.Children, segment)
		if found {
			return nil
		}
		p.Children, p.dirty = slices.Insert(p.Children, i, segment), true
		path = parent
	}
	return nil
}

func cutLast(path string) (parent, segment string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// split gives a node that has become large children, if that makes it smaller.
func (ns *nodes) split(env, path string, n *node) {
	if n.Split || len(n.Routes) <= splitRoutes && size(n) <= splitBytes {
		return
	}
	depth := len(entity.Segments("/" + path))
	next := func(r entity.Route) string {
		if s := entity.Segments(r.BasePath); len(s) > depth && s[depth] != "*" {
			return s[depth]
		}
		return ""
	}
	stay := n.Routes[:0:0]
	children := map[string]*node{}
	for _, r := range n.Routes {
		segment := next(r)
		if segment == "" {
			stay = append(stay, r)
			continue
		}
		if children[segment] == nil {
			children[segment] = &node{dirty: true}
			n.Children = append(n.Children, segment)
		}
		children[segment].Routes = append(children[segment].Routes, r)
	}
	if len(children) == 0 {
		return
	}
	slices.Sort(n.Children)
	n.Routes, n.Split, n.dirty = stay, true, true
	ns.setSplit(env, path, true)
	for segment, child := range children {
		p := path + "/" + segment
		ns.read[place{env, p}] = child
		ns.split(env, p, child)
	}
}

func size(n *node) int {
	total := 0
	for _, r := range n.Routes {
		total += 300 + len(r.BasePath) + len(r.Proxy) + len(r.Endpoint) + len(r.ServiceAccount)
		for _, list := range [][]string{r.Uses.SharedFlows, r.Uses.Resources, r.Uses.Proxies} {
			for _, s := range list {
				total += 3 + len(s)
			}
		}
	}
	return total
}

func (ns *nodes) setSplit(env, path string, split bool) {
	name := env + "/" + path
	i, found := slices.BinarySearch(ns.stamp.Split, name)
	switch {
	case split && !found:
		ns.stamp.Split = slices.Insert(ns.stamp.Split, i, name)
	case !split && found:
		ns.stamp.Split = slices.Delete(ns.stamp.Split, i, i+1)
	}
}

// remove removes the route of a base path.
func (ns *nodes) remove(env, basePath string) error {
	path, n, err := ns.home(env, basePath)
	if err != nil {
		return err
	}
	n.Routes = slices.DeleteFunc(n.Routes, func(r entity.Route) bool { return r.BasePath == basePath })
	n.dirty = true
	return ns.prune(env, path, n)
}

// prune takes nodes that are empty from their parents.
func (ns *nodes) prune(env, path string, n *node) error {
	for path != "" && len(n.Routes) == 0 && len(n.Children) == 0 {
		ns.setSplit(env, path, false)
		n.Split = false
		parent, segment := cutLast(path)
		p, err := ns.get(env, parent)
		if err != nil {
			return err
		}
		if i, found := slices.BinarySearch(p.Children, segment); found {
			p.Children, p.dirty = slices.Delete(p.Children, i, i+1), true
		}
		path, n = parent, p
	}
	return nil
}

// flush writes what was changed.
func (ns *nodes) flush() error {
	for p, n := range ns.read {
		if !n.dirty {
			continue
		}
		if err := ns.write(p, n); err != nil {
			return err
		}
	}
	return nil
}

func (ns *nodes) write(p place, n *node) error {
	key := entity.NodeKey(ns.tx.Organization, p.env, p.path)
	if len(n.Routes) == 0 && len(n.Children) == 0 {
		if !n.exists {
			return nil
		}
		return ns.tx.Delete(key)
	}
	slices.SortFunc(n.Routes, func(a, b entity.Route) int { return strings.Compare(a.BasePath, b.BasePath) })
	d, err := registry.Encode(key, map[string]string{"org": ns.tx.Organization, "environment": p.env}, n.Node)
	if err != nil {
		return err
	}
	if store.Size(d) > store.MaxDocBytes {
		return entity.Errorf(entity.ResourceExhausted, "too many base paths begin with /%s", p.path)
	}
	return ns.tx.Put(d)
}
