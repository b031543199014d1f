package jsonpath

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/javaregex"
)

// predicate is the expression of a filter.
type predicate interface {
	holds(root, item *Value) bool
}

type (
	both    struct{ left, right predicate }
	either  struct{ left, right predicate }
	inverse struct{ of predicate }
	exists  struct{ path *Path }
)

func (b both) holds(root, item *Value) bool {
	return b.left.holds(root, item) && b.right.holds(root, item)
}
func (e either) holds(root, item *Value) bool {
	return e.left.holds(root, item) || e.right.holds(root, item)
}
func (i inverse) holds(root, item *Value) bool {
	return !i.of.holds(root, item)
}

func (e exists) holds(root, item *Value) bool {
	v, ok := e.path.eval(root, item)
	return ok && (e.path.Definite() || v.Len() > 0)
}

// operand is a path, a literal value, or a regular expression; none of them is
// "undefined".
type operand struct {
	path  *Path
	value *Value
	regex *javaregex.Regexp
}

// get returns the operand's value; nil if it is undefined.
func (o operand) get(root, item *Value) *Value {
	if o.path == nil {
		return o.value
	}
	v, ok := o.path.eval(root, item)
	if !ok {
		return nil
	}
	return v
}

type comparison struct {
	left, right operand
	judge       func(left, right *Value) bool
}

func (c comparison) holds(root, item *Value) bool {
	return c.judge(c.left.get(root, item), c.right.get(root, item))
}

type regexMatch struct {
	left operand
	re   *javaregex.Regexp
}

func (r regexMatch) holds(root, item *Value) bool {
	v := r.left.get(root, item)
	if v == nil || v.kind == Array || v.kind == Object {
		return false
	}
	text := v.Text()
	if v.kind == Null {
		text = ""
	}
	ok, err := r.re.Matches(text)
	return ok && err == nil
}

type never struct{}

func (never) holds(_, _ *Value) bool { return false }

func newComparison(left operand, op string, right operand) predicate {
	if op == "=~" {
		if right.regex == nil {
			return never{}
		}
		return regexMatch{left, right.regex}
	}
	if left.regex != nil || right.regex != nil {
		return never{}
	}
	return comparison{left, right, judges[op]}
}

var judges = map[string]func(a, b *Value) bool{
	"==":       equal,
	"!=":       func(a, b *Value) bool { return !equal(a, b) },
	"===":      func(a, b *Value) bool { return sameKind(a, b) && equal(a, b) },
	"!==":      func(a, b *Value) bool { return !sameKind(a, b) || !equal(a, b) },
	"<":        func(a, b *Value) bool { c, ok := order(a, b); return ok && c < 0 },
	"<=":       func(a, b *Value) bool { c, ok := order(a, b); return ok && c <= 0 },
	">":        func(a, b *Value) bool { c, ok := order(a, b); return ok && c > 0 },
	">=":       func(a, b *Value) bool { c, ok := order(a, b); return ok && c >= 0 },
	"in":       in,
	"nin":      func(a, b *Value) bool { return b != nil && b.kind == Array && !in(a, b) },
	"contains": contains,
	"size":     size,
	"empty":    empty,
	"subsetof": func(a, b *Value) bool { return lists(a, b) && countIn(a, b) == len(a.items) },
	"anyof":    func(a, b *Value) bool { return lists(a, b) && countIn(a, b) > 0 },
	"noneof":   func(a, b *Value) bool { return lists(a, b) && countIn(a, b) == 0 },
	"all":      func(a, b *Value) bool { return lists(a, b) && countIn(b, a) == len(b.items) },
	"type":     func(a, b *Value) bool { return a != nil && b != nil && a.kind == b.kind },
}

func sameKind(a, b *Value) bool { return a == b || a != nil && b != nil && a.kind == b.kind }

// equal compares as Jayway does: a number equals the text of it.
func equal(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	switch {
	case a.kind == Number && (b.kind == Number || b.kind == String):
		return numeric(a.text, b.text)
	case a.kind == String && (b.kind == String || b.kind == Number):
		return a.text == b.text
	case a.kind != b.kind:
		return false
	}
	switch a.kind {
	case Bool:
		return a.truth == b.truth
	case Array:
		if len(a.items) != len(b.items) {
			return false
		}
		for i := range a.items {
			if !equal(a.items[i], b.items[i]) {
				return false
			}
		}
	case Object:
		if len(a.members) != len(b.members) {
			return false
		}
		for _, m := range a.members {
			if o := b.Member(m.name); o == nil || !equal(m.value, o) {
				return false
			}
		}
	}
	return true
}

func numeric(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

// order compares two numbers or two texts.
func order(a, b *Value) (int, bool) {
	if a == nil || b == nil || a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case String:
		return strings.Compare(a.text, b.text), true
	case Number:
		x, _ := strconv.ParseFloat(a.text, 64)
		y, _ := strconv.ParseFloat(b.text, 64)
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func in(a, b *Value) bool {
	if b == nil || b.kind != Array {
		return false
	}
	for _, e := range b.items {
		if equal(a, e) {
			return true
		}
	}
	return false
}

func contains(a, b *Value) bool {
	if a == nil || b == nil {
		return false
	}
	if a.kind == String && b.kind == String {
		return strings.Contains(a.text, b.text)
	}
	return in(b, a)
}

func size(a, b *Value) bool {
	if a == nil || b == nil || b.kind != Number {
		return false
	}
	n := -1
	switch a.kind {
	case String:
		n = len([]rune(a.text))
	case Array:
		n = len(a.items)
	}
	return n >= 0 && numeric(strconv.Itoa(n), b.text)
}

func empty(a, b *Value) bool {
	if a == nil || b == nil || b.kind != Bool {
		return false
	}
	switch a.kind {
	case String:
		return (a.text == "") == b.truth
	case Array, Object:
		return (a.Len() == 0) == b.truth
	}
	return false
}

func lists(a, b *Value) bool { return a != nil && b != nil && a.kind == Array && b.kind == Array }

// countIn counts the elements of a that are in b.
func countIn(a, b *Value) int {
	n := 0
	for _, e := range a.items {
		if in(e, b) {
			n++
		}
	}
	return n
}
