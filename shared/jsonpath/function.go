package jsonpath

import (
	"math"
	"strconv"
	"strings"
)

// function is a call at the end of a path: .length() and its kin.
type function struct {
	args []operand
	call call
}

type call func(f *function, root, v *Value) (*Value, bool)

var functions = map[string]call{
	"length": length,
	"size":   length,
	"keys":   keys,
	"min":    statistic(func(n []float64) float64 { return fold(n, math.Min) }),
	"max":    statistic(func(n []float64) float64 { return fold(n, math.Max) }),
	"sum":    statistic(sum),
	"avg":    statistic(func(n []float64) float64 { return sum(n) / float64(len(n)) }),
	"stddev": statistic(deviation),
	"first":  func(_ *function, _, v *Value) (*Value, bool) { return at(v, 0) },
	"last":   func(_ *function, _, v *Value) (*Value, bool) { return at(v, -1) },
	"index":  index,
	"concat": concat,
	"append": appendTo,
}

// function reads the arguments of a call; the name was read.
func (c *compiler) function(p *Path, name string) error {
	f, ok := functions[name]
	if !ok {
		return c.fail("unknown function " + name)
	}
	c.pos++
	p.fn = &function{call: f}
	for {
		c.blanks()
		if c.accept(")") {
			return nil
		}
		if len(p.fn.args) > 0 && !c.accept(",") {
			return c.fail("expected )")
		}
		c.blanks()
		o, err := c.operand()
		if err != nil {
			return err
		}
		p.fn.args = append(p.fn.args, o)
	}
}

func (f *function) apply(root, v *Value) (*Value, bool) { return f.call(f, root, v) }

func length(_ *function, _, v *Value) (*Value, bool) {
	switch v.kind {
	case Array, Object:
		return integer(v.Len()), true
	case String:
		return integer(len([]rune(v.text))), true
	}
	return nil, false
}

func keys(_ *function, _, v *Value) (*Value, bool) {
	if v.kind != Object {
		return nil, false
	}
	out := &Value{kind: Array}
	for _, m := range v.members {
		out.items = append(out.items, &Value{kind: String, text: m.name})
	}
	return out, true
}

func at(v *Value, i int) (*Value, bool) {
	if i < 0 {
		i += len(v.items)
	}
	if i < 0 || i >= len(v.items) {
		return nil, false
	}
	return v.items[i], true
}

func index(f *function, root, v *Value) (*Value, bool) {
	if len(f.args) != 1 {
		return nil, false
	}
	n := f.args[0].get(root, v)
	if n == nil {
		return nil, false
	}
	i, err := strconv.Atoi(n.Text())
	if err != nil {
		return nil, false
	}
	return at(v, i)
}

// numbers are the numbers of an array and of the arguments.
func (f *function) numbers(root, v *Value) []float64 {
	var out []float64
	take := func(e *Value) {
		if e != nil && e.kind == Number {
			if n, err := strconv.ParseFloat(e.text, 64); err == nil {
				out = append(out, n)
			}
		}
	}
	for _, e := range v.items {
		take(e)
	}
	for _, a := range f.args {
		e := a.get(root, v)
		take(e)
		if e != nil {
			for _, i := range e.items {
				take(i)
			}
		}
	}
	return out
}

func statistic(of func([]float64) float64) call {
	return func(f *function, root, v *Value) (*Value, bool) {
		n := f.numbers(root, v)
		if len(n) == 0 {
			return nil, false
		}
		return number(of(n)), true
	}
}

func fold(n []float64, of func(a, b float64) float64) float64 {
	out := n[0]
	for _, x := range n[1:] {
		out = of(out, x)
	}
	return out
}

func sum(n []float64) float64 {
	total := 0.0
	for _, x := range n {
		total += x
	}
	return total
}

func deviation(n []float64) float64 {
	mean, squares := sum(n)/float64(len(n)), 0.0
	for _, x := range n {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares / float64(len(n)))
}

func concat(f *function, root, v *Value) (*Value, bool) {
	var b strings.Builder
	for _, e := range v.items {
		if e.kind == String {
			b.WriteString(e.text)
		}
	}
	for _, a := range f.args {
		if e := a.get(root, v); e != nil {
			b.WriteString(e.Text())
		}
	}
	return &Value{kind: String, text: b.String()}, true
}

func appendTo(f *function, root, v *Value) (*Value, bool) {
	out := &Value{kind: Array, items: append([]*Value(nil), v.items...)}
	for _, a := range f.args {
		if e := a.get(root, v); e != nil {
			out.items = append(out.items, e)
		}
	}
	return out, true
}
