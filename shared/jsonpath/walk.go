package jsonpath

type stepKind uint8

const (
	property stepKind = iota // .name, ['a','b']
	element                  // [0], [1,2]
	slice                    // [1:3]
	every                    // * and [*]
	scanAll                  // .. before the next step
	filtered                 // [?(…)]
)

type step struct {
	kind           stepKind
	names          []string
	index          []int
	from, to       int
	hasFrom, hasTo bool
	filter         predicate
}

// definite reports whether the step leads to one place. Several names do:
// they give one object with these members.
func (s *step) definite() bool {
	return s.kind == property || s.kind == element && len(s.index) == 1
}

// maxVisits bounds how many values one path may touch; beyond it the result
// ends there.
const maxVisits = 1 << 22

// walk collects what steps lead to.
type walk struct {
	root   *Value
	found  []*Value
	visits int
}

// run follows steps from v. sure says that all before was definite: then a
// step that leads nowhere is an error, which run reports as false.
func (w *walk) run(steps []step, v *Value, sure bool) bool {
	if w.visits++; w.visits > maxVisits {
		return true
	}
	if len(steps) == 0 {
		w.found = append(w.found, v)
		return true
	}
	s, rest := &steps[0], steps[1:]
	switch s.kind {
	case property:
		return w.property(s, rest, v, sure)
	case element:
		return w.element(s, rest, v, sure)
	case slice:
		return w.slice(s, rest, v, sure)
	case every:
		w.every(rest, v)
		return true
	case filtered:
		return w.filter(s, rest, v, sure)
	}
	w.scan(rest, v)
	return true
}

func (w *walk) property(s *step, rest []step, v *Value, sure bool) bool {
	if v.kind != Object {
		return !sure
	}
	if len(s.names) == 1 {
		m := v.Member(s.names[0])
		if m == nil {
			return !sure
		}
		return w.run(rest, m, sure)
	}
	if len(rest) > 0 {
		for _, n := range s.names {
			if m := v.Member(n); m != nil {
				w.run(rest, m, false)
			}
		}
		return true
	}
	merged := &Value{kind: Object}
	for _, n := range s.names {
		if m := v.Member(n); m != nil {
			merged.add(n, m)
		}
	}
	return w.run(rest, merged, sure)
}

func (w *walk) element(s *step, rest []step, v *Value, sure bool) bool {
	if v.kind != Array {
		return !sure
	}
	one := len(s.index) == 1
	for _, i := range s.index {
		if i < 0 {
			i += len(v.items)
		}
		if i < 0 || i >= len(v.items) {
			if one {
				return !sure
			}
			continue
		}
		if ok := w.run(rest, v.items[i], sure && one); one {
			return ok
		}
	}
	return true
}

func (w *walk) slice(s *step, rest []step, v *Value, sure bool) bool {
	if v.kind != Array {
		return !sure
	}
	n := len(v.items)
	from, to := 0, n
	if s.hasFrom {
		from = clamp(s.from, n)
	}
	if s.hasTo {
		to = clamp(s.to, n)
	}
	for ; from < to; from++ {
		w.run(rest, v.items[from], false)
	}
	return true
}

// clamp resolves a bound of a slice of n elements.
func clamp(i, n int) int {
	if i < 0 {
		i += n
	}
	return max(0, min(i, n))
}

func (w *walk) every(rest []step, v *Value) {
	for _, e := range v.items {
		w.run(rest, e, false)
	}
	for i := range v.members {
		w.run(rest, v.members[i].value, false)
	}
}

func (w *walk) filter(s *step, rest []step, v *Value, sure bool) bool {
	switch v.kind {
	case Array:
		for _, e := range v.items {
			if s.filter.holds(w.root, e) {
				w.run(rest, e, false)
			}
		}
	case Object:
		if s.filter.holds(w.root, v) {
			w.run(rest, v, false)
		}
	default:
		return !sure
	}
	return true
}

// scan applies the rest to v and to everything in it. A filter then judges
// every object itself, so it does not judge the elements of arrays twice.
func (w *walk) scan(rest []step, v *Value) {
	if v.kind != Array && v.kind != Object || w.visits > maxVisits {
		return
	}
	if v.kind == Object || rest[0].kind != filtered {
		w.run(rest, v, false)
	}
	for _, e := range v.items {
		w.scan(rest, e)
	}
	for i := range v.members {
		w.scan(rest, v.members[i].value)
	}
}
