package xslt

import (
	"slices"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// forEachGroup is xsl:for-each-group (XSLT 2.0, section 14).
type forEachGroup struct {
	sel      expr.Expr
	by       expr.Expr       // group-by, or group-adjacent
	adjacent bool            // only neighbours
	starts   []*expr.Pattern // group-starting-with
	ends     []*expr.Pattern // group-ending-with
	sorts    []sortKey
	body     block
}

func (c *compiler) forEachGroup(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select!", "group-by", "group-adjacent", "group-starting-with", "group-ending-with")
	in := &forEachGroup{sel: c.expr(st, n, a["select"]), sorts: c.sorts(st, n)}
	ways := 0
	given := func(name string) (string, bool) {
		src, ok := a[name]
		if ok {
			ways++
		}
		return src, ok
	}
	if src, ok := given("group-by"); ok {
		in.by = c.expr(st, n, src)
	}
	if src, ok := given("group-adjacent"); ok {
		in.by, in.adjacent = c.expr(st, n, src), true
	}
	if src, ok := given("group-starting-with"); ok {
		in.starts = c.pattern(st, n, src)
	}
	if src, ok := given("group-ending-with"); ok {
		in.ends = c.pattern(st, n, src)
	}
	if ways != 1 {
		c.errorf(n, "<%s> needs one of group-by, group-adjacent, group-starting-with and group-ending-with", n.QName())
	}
	in.body = c.behindSorts(st, n)
	return in
}

// group is the items that belong together, and their key if there is one.
type group struct {
	items []*tree.Node
	key   expr.Value
}

func (in *forEachGroup) exec(r *run, s *state) {
	groups := in.groups(r, s)
	if len(groups) == 0 {
		return
	}
	first := make([]*tree.Node, len(groups))
	order := make([]int, len(groups))
	for i := range groups {
		first[i], order[i] = groups[i].items[0], i
	}
	if len(in.sorts) > 0 {
		order = r.sort(s, first, in.sorts, func(c *expr.Context, i int) { c.Group, c.Key = groups[i].items, groups[i].key })
	}
	inner := *s
	inner.Size = len(groups)
	for i, at := range order {
		inner.Node, inner.Current, inner.Pos = first[at], first[at], i+1
		inner.Group, inner.Key = groups[at].items, groups[at].key
		in.body.exec(r, &inner)
	}
}

// groups sorts the items into groups, in the order of their first items.
func (in *forEachGroup) groups(r *run, s *state) []*group {
	items := expr.Eval(in.sel, &s.Context).Items()
	c := s.Context
	c.Size = len(items)
	var out []*group
	index := map[string]*group{}
	ended := true
	for i, n := range items {
		r.env.Tick(1)
		c.Node, c.Current, c.Pos = n, n, i+1
		if in.by == nil {
			if i == 0 || ended && in.ends != nil || in.starts != nil && matchAny(in.starts, &c, n) {
				out = append(out, &group{})
			}
			g := out[len(out)-1]
			g.items = append(g.items, n)
			ended = in.ends != nil && matchAny(in.ends, &c, n)
			continue
		}
		keys := expr.Eval(in.by, &c).Items()
		if in.adjacent && len(keys) != 1 {
			expr.Fail("group-adjacent gives a sequence of %d items, not of one", len(keys))
		}
		for _, k := range keys {
			text := k.Text()
			g := index[text]
			if in.adjacent && (len(out) == 0 || out[len(out)-1] != g) {
				g = nil
			}
			if g == nil {
				g = &group{key: expr.Item(tree.Atomize(k))}
				index[text] = g
				out = append(out, g)
			}
			if !slices.Contains(g.items[max(0, len(g.items)-1):], n) { // the same key twice
				g.items = append(g.items, n)
			}
		}
	}
	return out
}
