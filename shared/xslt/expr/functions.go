package expr

import (
	"maps"
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// functions are those of XPath, without a namespace; made on first use, for a
// process that has no stylesheet.
var functions = sync.OnceValue(func() map[string]*Function {
	m := core()
	maps.Copy(m, later())
	return m
})

// core are the functions of XPath 1.0 (section 4).
func core() map[string]*Function {
	return map[string]*Function{
		"last":       {Result: Number, Integer: true, Positional: true, Call: func(c *Context, _ []Value) Value { return Num(float64(c.Size)) }},
		"position":   {Result: Number, Integer: true, Positional: true, Call: func(c *Context, _ []Value) Value { return Num(float64(c.Pos)) }},
		"count":      {Params: "N", Min: 1, Result: Number, Integer: true, Call: func(_ *Context, a []Value) Value { return Num(float64(len(a[0].nodes))) }},
		"id":         {Params: "*", Min: 1, Result: Nodes, Call: func(*Context, []Value) Value { return Of() }}, // no declarations, no IDs
		"local-name": {Params: "N", Result: String, Call: named(func(n *tree.Node) string { return n.Name.Local })},
		"namespace-uri": {Params: "N", Result: String, Call: named(func(n *tree.Node) string {
			if n.Kind == tree.Namespace {
				return ""
			}
			return n.Name.Space
		})},
		"name":             {Params: "N", Result: String, Call: named((*tree.Node).QName)},
		"string":           {Params: "s", Result: String, Call: text(func(s string) Value { return Str(s) })},
		"concat":           {Params: "ss+", Min: 2, Result: String, Call: fnConcat},
		"starts-with":      {Params: "ss", Min: 2, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(strings.HasPrefix(a[0].text, a[1].text)) }},
		"contains":         {Params: "ss", Min: 2, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(strings.Contains(a[0].text, a[1].text)) }},
		"substring-before": {Params: "ss", Min: 2, Result: String, Call: fnBefore},
		"substring-after":  {Params: "ss", Min: 2, Result: String, Call: fnAfter},
		"substring":        {Params: "snn", Min: 2, Result: String, Call: fnSubstring},
		"string-length":    {Params: "s", Result: Number, Integer: true, Call: text(func(s string) Value { return Num(float64(utf8.RuneCountInString(s))) })},
		"normalize-space":  {Params: "s", Result: String, Call: text(func(s string) Value { return Str(NormalizeSpace(s)) })},
		"translate":        {Params: "sss", Min: 3, Result: String, Call: fnTranslate},
		"boolean":          {Params: "b", Min: 1, Result: Boolean, Call: func(_ *Context, a []Value) Value { return a[0] }},
		"not":              {Params: "b", Min: 1, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(!a[0].truth) }},
		"true":             {Result: Boolean, Call: func(*Context, []Value) Value { return Bool(true) }},
		"false":            {Result: Boolean, Call: func(*Context, []Value) Value { return Bool(false) }},
		"lang":             {Params: "s", Min: 1, Result: Boolean, Call: fnLang},
		"number":           {Params: "*", Result: Number, Bind: bindNumber},
		"sum":              {Params: "N", Min: 1, Result: Number, Bind: bindSum},
		"floor":            {Params: "n", Min: 1, Result: Number, Bind: bindRound(math.Floor)},
		"ceiling":          {Params: "n", Min: 1, Result: Number, Bind: bindRound(math.Ceil)},
		"round":            {Params: "n", Min: 1, Result: Number, Bind: bindRound(round)},
	}
}

// named makes a function of a node's name: of the first node of the argument, or of
// the context node.
func named(f func(*tree.Node) string) func(*Context, []Value) Value {
	return func(c *Context, a []Value) Value {
		n := c.Node
		if len(a) > 0 {
			if len(a[0].nodes) == 0 {
				return Str("")
			}
			n = a[0].nodes[0]
		}
		return Str(f(n))
	}
}

// text makes a function of a string: the argument, or that of the context node.
func text(f func(string) Value) func(*Context, []Value) Value {
	return func(c *Context, a []Value) Value {
		if len(a) > 0 {
			return f(a[0].text)
		}
		return f(c.Node.Text())
	}
}

func fnConcat(c *Context, a []Value) Value {
	n := 0
	for _, v := range a {
		n += len(v.text)
	}
	c.Env.Budget.String(n)
	var b strings.Builder
	b.Grow(n)
	for _, v := range a {
		b.WriteString(v.text)
	}
	return Str(b.String())
}

func fnBefore(_ *Context, a []Value) Value {
	before, _, ok := strings.Cut(a[0].text, a[1].text)
	if !ok {
		return Str("")
	}
	return Str(before)
}

func fnAfter(_ *Context, a []Value) Value {
	_, after, _ := strings.Cut(a[0].text, a[1].text)
	return Str(after)
}

// round rounds halves up, -0.5 to zero.
func round(f float64) float64 {
	if f != math.Trunc(f) {
		return math.Floor(f + 0.5)
	}
	return f
}

// fnSubstring counts characters from 1 and rounds its numbers (section 4.2).
func fnSubstring(_ *Context, a []Value) Value {
	from := round(a[1].num)
	to := math.Inf(1)
	if len(a) > 2 {
		to = from + round(a[2].num)
	}
	s, start, pos := a[0].text, -1, 1.0
	for i := range s {
		if in := pos >= from && pos < to; in && start < 0 {
			start = i
		} else if !in && start >= 0 {
			return Str(s[start:i])
		}
		pos++
	}
	if start < 0 {
		return Str("")
	}
	return Str(s[start:])
}

// NormalizeSpace is normalize-space().
func NormalizeSpace(s string) string {
	space := func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }
	trimmed := strings.TrimFunc(s, space)
	if !strings.ContainsAny(trimmed, "\t\n\r") && !strings.Contains(trimmed, "  ") {
		return trimmed
	}
	return strings.Join(strings.FieldsFunc(trimmed, space), " ")
}

func fnTranslate(c *Context, a []Value) Value {
	s, from, to := a[0].text, []rune(a[1].text), []rune(a[2].text)
	m := make(map[rune]rune, len(from))
	for i, r := range from {
		if _, ok := m[r]; ok {
			continue
		}
		if m[r] = -1; i < len(to) {
			m[r] = to[i]
		}
	}
	c.Env.Budget.String(len(s))
	return Str(strings.Map(func(r rune) rune {
		if t, ok := m[r]; ok {
			return t
		}
		return r
	}, s))
}

func fnLang(c *Context, a []Value) Value {
	for n := c.Node; n != nil; n = n.Parent {
		for _, at := range n.Attrs {
			if at.Name == (tree.Name{Space: tree.XML, Local: "lang"}) {
				lang, want := strings.ToLower(at.Data), strings.ToLower(a[0].text)
				return Bool(lang == want || strings.HasPrefix(lang, want+"-"))
			}
		}
	}
	return Bool(false)
}

func bindNumber(s *Static, _ []Expr) (func(*Context, []Value) Value, error) {
	two := s.Two
	return func(c *Context, a []Value) Value {
		v := Of(c.Node)
		if len(a) > 0 {
			v = a[0]
		}
		if !two || v.kind == Number || v.kind == Boolean {
			return Num(v.Number())
		}
		one(v, "the argument of number()")
		if f, ok := parseDouble(v.Text()); ok && !empty(v) {
			return Num(f)
		}
		return Num(math.NaN())
	}, nil
}

func bindSum(s *Static, _ []Expr) (func(*Context, []Value) Value, error) {
	two := s.Two
	return func(c *Context, a []Value) Value {
		c.Env.Tick(len(a[0].nodes))
		v := Num(0)
		if two {
			v.form = exact
		}
		for _, n := range a[0].nodes {
			if !two {
				v.num += ParseNumber(n.Text())
				continue
			}
			o := operand(Of(n))
			v.num += o.num
			v.form = max(v.form, o.form)
		}
		return v
	}, nil
}

// bindRound makes a function of a number that keeps its type and, in 2.0, nothing.
func bindRound(f func(float64) float64) func(*Static, []Expr) (func(*Context, []Value) Value, error) {
	return func(*Static, []Expr) (func(*Context, []Value) Value, error) {
		return func(_ *Context, a []Value) Value {
			return Value{kind: Number, num: f(a[0].num), form: a[0].form}
		}, nil
	}
}
