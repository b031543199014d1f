package expr

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/javaregex"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// later are the functions of XPath 2.0 that strings, numbers and nodes are enough
// for. Dates and times are strings in the form of XML Schema.
func later() map[string]*Function {
	return map[string]*Function{
		"lower-case":               {Params: "s", Min: 1, Result: String, Call: text(func(s string) Value { return Str(strings.ToLower(s)) })},
		"upper-case":               {Params: "s", Min: 1, Result: String, Call: text(func(s string) Value { return Str(strings.ToUpper(s)) })},
		"ends-with":                {Params: "ss", Min: 2, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(strings.HasSuffix(a[0].text, a[1].text)) }},
		"string-join":              {Params: "Ns", Min: 1, Result: String, Call: fnJoin},
		"matches":                  {Params: "sss", Min: 2, Result: Boolean, Bind: bindMatches},
		"replace":                  {Params: "ssss", Min: 3, Result: String, Bind: bindReplace},
		"tokenize":                 {Params: "sss", Min: 2, Result: Nodes, Bind: bindTokenize},
		"exists":                   {Params: "N", Min: 1, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(len(a[0].nodes) > 0) }},
		"empty":                    {Params: "N", Min: 1, Result: Boolean, Call: func(_ *Context, a []Value) Value { return Bool(len(a[0].nodes) == 0) }},
		"distinct-values":          {Params: "N", Min: 1, Result: Nodes, Call: fnDistinct},
		"reverse":                  {Params: "N", Min: 1, Result: Nodes, Call: fnReverse},
		"subsequence":              {Params: "Nnn", Min: 2, Result: Nodes, Call: fnSubsequence},
		"index-of":                 {Params: "N*", Min: 2, Result: Nodes, Call: fnIndexOf},
		"data":                     {Params: "N", Min: 1, Result: Nodes, Call: fnData},
		"abs":                      {Params: "n", Min: 1, Result: Number, Bind: bindRound(math.Abs)},
		"avg":                      {Params: "N", Min: 1, Result: Any, Call: fnAvg},
		"min":                      {Params: "N", Min: 1, Result: Any, Call: extreme(-1)},
		"max":                      {Params: "N", Min: 1, Result: Any, Call: extreme(1)},
		"compare":                  {Params: "ss", Min: 2, Result: Number, Integer: true, Call: func(_ *Context, a []Value) Value { return Num(float64(strings.Compare(a[0].text, a[1].text))) }},
		"codepoints-to-string":     {Params: "N", Min: 1, Result: String, Call: fnFromCodepoints},
		"string-to-codepoints":     {Params: "s", Min: 1, Result: Nodes, Call: fnToCodepoints},
		"encode-for-uri":           {Params: "s", Min: 1, Result: String, Call: text(func(s string) Value { return Str(strings.ReplaceAll(url.QueryEscape(s), "+", "%20")) })},
		"exactly-one":              {Params: "N", Min: 1, Result: Nodes, Call: cardinality("exactly-one", 1, 1)},
		"zero-or-one":              {Params: "N", Min: 1, Result: Nodes, Call: cardinality("zero-or-one", 0, 1)},
		"one-or-more":              {Params: "N", Min: 1, Result: Nodes, Call: cardinality("one-or-more", 1, math.MaxInt)},
		"root":                     {Params: "N", Result: Nodes, Call: fnRoot},
		"namespace-uri-for-prefix": {Params: "sN", Min: 2, Result: String, Call: fnNamespaceFor},
		"in-scope-prefixes":        {Params: "N", Min: 1, Result: Nodes, Call: fnPrefixes},
		"current-dateTime":         {Result: String, Call: func(c *Context, _ []Value) Value { return Str(c.Env.Now.UTC().Format("2006-01-02T15:04:05.000Z07:00")) }},
		"current-date":             {Result: String, Call: func(c *Context, _ []Value) Value { return Str(c.Env.Now.UTC().Format("2006-01-02Z07:00")) }},
		"current-time":             {Result: String, Call: func(c *Context, _ []Value) Value { return Str(c.Env.Now.UTC().Format("15:04:05.000Z07:00")) }},
		"format-dateTime":          {Params: "ss", Min: 2, Result: String, Bind: bindPicture("2006-01-02T15:04:05", "YMDdFHhPmsfZz")},
		"format-date":              {Params: "ss", Min: 2, Result: String, Bind: bindPicture("2006-01-02", "YMDdFZz")},
		"format-time":              {Params: "ss", Min: 2, Result: String, Bind: bindPicture("15:04:05", "HhPmsfZz")},
	}
}

func fnJoin(c *Context, a []Value) Value {
	sep := ""
	if len(a) > 1 {
		sep = a[1].text
	}
	return Str(Join(c, a[0], sep))
}

// Join joins the strings of a sequence.
func Join(c *Context, v Value, sep string) string {
	if v.kind != Nodes || len(v.nodes) < 2 {
		return v.Text()
	}
	var b strings.Builder
	for i, n := range v.nodes {
		c.Env.Tick(1)
		if i > 0 {
			b.WriteString(sep)
		}
		s := n.Text()
		c.Env.Budget.String(len(s) + len(sep))
		b.WriteString(s)
	}
	return b.String()
}

// pattern compiles the regular expression of a call, which must be there as a
// literal: nothing is compiled while a transformation runs.
func pattern(args []Expr, at, flags int, emptyAllowed bool) (*javaregex.Regexp, error) {
	src, ok := Literal(args[at])
	if !ok {
		return nil, errors.New("a regular expression that is not a literal is not supported")
	}
	for _, bad := range []string{`\i`, `\c`, `\I`, `\C`, "-[", "(?"} {
		if strings.Contains(strings.ReplaceAll(src, `\\`, ""), bad) {
			return nil, fmt.Errorf("%s in a regular expression is not supported", bad)
		}
	}
	compile := javaregex.Compile
	if len(args) > flags {
		f, ok := Literal(args[flags])
		if !ok || strings.Trim(f, "ism") != "" {
			return nil, fmt.Errorf("flags must be a literal of i, s and m")
		}
		if strings.Contains(f, "i") {
			compile = javaregex.CompileIgnoreCase
		}
		for _, l := range "sm" {
			if strings.ContainsRune(f, l) {
				src = "(?" + string(l) + ")" + src
			}
		}
	}
	re, err := compile(src)
	if err != nil {
		return nil, err
	}
	if found, err := re.Matches(""); err == nil && found && !emptyAllowed {
		return nil, errors.New("the regular expression matches the empty string")
	}
	return re, nil
}

func bindMatches(_ *Static, args []Expr) (func(*Context, []Value) Value, error) {
	re, err := pattern(args, 1, 2, true)
	if err != nil {
		return nil, err
	}
	return func(c *Context, a []Value) Value {
		charge(c, re, a[0].text)
		found, err := re.Find(a[0].text)
		if err != nil {
			Fail("matches(): %v", err)
		}
		return Bool(found)
	}, nil
}

// charge counts a match; before one that backtracks the context is looked at, for it
// may take as long as javaregex lets it.
func charge(c *Context, re *javaregex.Regexp, s string) {
	n := len(s)
	if !re.Linear() {
		n += 1 << 13
	}
	c.Env.Tick(n)
}

func replaceAll(c *Context, re *javaregex.Regexp, s, by string) string {
	charge(c, re, s)
	out, err := re.ReplaceAll(s, by)
	if err != nil {
		Fail("%v", err)
	}
	c.Env.Budget.String(len(out))
	return out
}

func bindReplace(_ *Static, args []Expr) (func(*Context, []Value) Value, error) {
	re, err := pattern(args, 1, 3, false)
	if err != nil {
		return nil, err
	}
	return func(c *Context, a []Value) Value { return Str(replaceAll(c, re, a[0].text, a[2].text)) }, nil
}

// cut stands between the tokens: no text of XML has it.
const cut = "\x00"

func bindTokenize(_ *Static, args []Expr) (func(*Context, []Value) Value, error) {
	re, err := pattern(args, 1, 2, false)
	if err != nil {
		return nil, err
	}
	return func(c *Context, a []Value) Value {
		if a[0].text == "" {
			return Of()
		}
		return texts(c, strings.Split(replaceAll(c, re, a[0].text, cut), cut))
	}, nil
}

// texts makes a sequence of strings.
func texts(c *Context, list []string) Value {
	c.Env.Tick(len(list))
	c.Env.Budget.Take(len(list))
	bound(c, len(list))
	out := make([]*tree.Node, len(list))
	for i, s := range list {
		out[i] = tree.NewAtom(s, false)
	}
	return Of(out...)
}

func fnDistinct(c *Context, a []Value) Value {
	seen := map[string]bool{}
	var out []*tree.Node
	for _, n := range a[0].nodes {
		c.Env.Tick(1)
		if s := n.Text(); !seen[s] {
			seen[s] = true
			c.Env.Budget.Take(1)
			out = append(out, tree.Atomize(n))
		}
	}
	return Of(out...)
}

func fnReverse(_ *Context, a []Value) Value {
	out := slices.Clone(a[0].nodes)
	slices.Reverse(out)
	return Of(out...)
}

func fnSubsequence(_ *Context, a []Value) Value {
	from, to := round(a[1].num), math.Inf(1)
	if len(a) > 2 {
		to = from + round(a[2].num)
	}
	var out []*tree.Node
	for i, n := range a[0].nodes {
		if p := float64(i + 1); p >= from && p < to {
			out = append(out, n)
		}
	}
	return Of(out...)
}

func fnIndexOf(c *Context, a []Value) Value {
	one(a[1], "argument 2 of index-of()")
	var out []*tree.Node
	want := a[1].Text()
	for i, n := range a[0].nodes {
		c.Env.Tick(1)
		if n.Text() == want {
			out = append(out, tree.NewAtom(format(float64(i+1), plain), true))
		}
	}
	return Of(out...)
}

func fnData(c *Context, a []Value) Value {
	c.Env.Budget.Take(len(a[0].nodes))
	out := make([]*tree.Node, len(a[0].nodes))
	for i, n := range a[0].nodes {
		out[i] = tree.Atomize(n)
	}
	return Of(out...)
}

func fnAvg(c *Context, a []Value) Value {
	if len(a[0].nodes) == 0 {
		return Of()
	}
	v := Value{kind: Number, form: exact}
	for _, n := range a[0].nodes {
		c.Env.Tick(1)
		o := operand(Of(n))
		v.num += o.num
		v.form = max(v.form, o.form)
	}
	v.num /= float64(len(a[0].nodes))
	return v
}

// extreme makes min and max: of strings if all are, else of numbers.
func extreme(sign int) func(*Context, []Value) Value {
	return func(c *Context, a []Value) Value {
		c.Env.Tick(len(a[0].nodes))
		if len(a[0].nodes) == 0 {
			return Of()
		}
		if !slices.ContainsFunc(a[0].nodes, func(n *tree.Node) bool { return n.Kind != tree.Atom || n.Number || n.Untyped }) {
			return item(slices.MaxFunc(a[0].nodes, func(x, y *tree.Node) int { return sign * strings.Compare(x.Data, y.Data) }))
		}
		best := operand(Of(a[0].nodes[0]))
		for _, n := range a[0].nodes[1:] {
			o := operand(Of(n))
			form := max(best.form, o.form)
			if math.IsNaN(o.num) || o.num*float64(sign) > best.num*float64(sign) {
				best = o
			}
			best.form = form
		}
		return best
	}
}

func fnFromCodepoints(_ *Context, a []Value) Value {
	var b strings.Builder
	for _, n := range a[0].nodes {
		f := operand(Of(n)).num
		if f < 0 || f > utf8.MaxRune || !utf8.ValidRune(rune(f)) || rune(f) < ' ' && !strings.ContainsRune("\t\n\r", rune(f)) {
			Fail("codepoints-to-string(): %s is not a character of XML", n.Text())
		}
		b.WriteRune(rune(f))
	}
	return Str(b.String())
}

func fnToCodepoints(c *Context, a []Value) Value {
	bound(c, len(a[0].text))
	c.Env.Budget.Take(len(a[0].text))
	var out []*tree.Node
	for _, r := range a[0].text {
		out = append(out, tree.NewAtom(format(float64(r), plain), true))
	}
	return Of(out...)
}

func cardinality(name string, least, most int) func(*Context, []Value) Value {
	return func(_ *Context, a []Value) Value {
		if n := len(a[0].nodes); n < least || n > most {
			Fail("%s() called with a sequence of %d items", name, n)
		}
		return a[0]
	}
}

func fnRoot(c *Context, a []Value) Value {
	n := c.Node
	if len(a) > 0 {
		if len(a[0].nodes) == 0 {
			return Of()
		}
		one(a[0], "the argument of root()")
		n = a[0].nodes[0]
	}
	return Of(n.Root())
}

func fnNamespaceFor(_ *Context, a []Value) Value {
	if len(a[1].nodes) != 1 || a[1].nodes[0].Kind != tree.Element {
		Fail("argument 2 of namespace-uri-for-prefix() is not an element")
	}
	uri, _ := a[1].nodes[0].Scope.Lookup(a[0].text)
	return Str(uri)
}

func fnPrefixes(c *Context, a []Value) Value {
	if len(a[0].nodes) != 1 || a[0].nodes[0].Kind != tree.Element {
		Fail("argument 1 of in-scope-prefixes() is not an element")
	}
	var out []string
	for _, n := range a[0].nodes[0].Namespaces() {
		out = append(out, n.Name.Local)
	}
	return texts(c, out)
}

// casts are the types that values can be cast to.
var casts = map[string]bool{
	"string": true, "integer": true, "int": true, "long": true, "decimal": true, "double": true,
	"float": true, "boolean": true, "untypedAtomic": true, "anyURI": true, "nonNegativeInteger": true, "positiveInteger": true,
}

// castTo casts a value that is not empty.
func castTo(typ string, v Value) Value {
	one(v, "the operand of a cast")
	if len(v.nodes) == 1 {
		v = atomize(v)[0].v
	}
	bad := func() { Fail("Cannot convert %q to xs:%s", v.Text(), typ) }
	switch typ {
	case "string", "untypedAtomic", "anyURI":
		return Str(v.Text())
	case "boolean":
		if v.kind != String {
			return Bool(v.Bool())
		}
		switch strings.TrimSpace(v.text) {
		case "true", "1":
			return Bool(true)
		case "false", "0":
			return Bool(false)
		}
		bad()
	}
	out := Value{kind: Number, num: v.Number(), form: exact}
	if v.kind == String {
		f, ok := parseDouble(v.text)
		if !ok {
			bad()
		}
		out.num = f
	}
	switch typ {
	case "double", "float":
		out.form = double
		return out
	case "decimal":
		if v.kind == String && strings.ContainsAny(v.text, "eEI") || math.IsInf(out.num, 0) || math.IsNaN(out.num) {
			bad()
		}
		return out
	}
	if v.kind == String && strings.ContainsAny(v.text, ".eEI") || math.IsInf(out.num, 0) || math.IsNaN(out.num) {
		bad()
	}
	out.num = math.Trunc(out.num)
	if typ == "nonNegativeInteger" && out.num < 0 || typ == "positiveInteger" && out.num < 1 {
		bad()
	}
	return out
}

// Cast casts a value to a type of XML Schema by its local name. It reports whether
// it knows the type.
func Cast(typ string, v Value) (Value, bool) {
	if !casts[typ] {
		return v, false
	}
	return castTo(typ, v), true
}

type castExpr struct {
	e        Expr
	typ      string
	optional bool
}

func (e castExpr) kind() Kind       { return Any }
func (e castExpr) positional() bool { return e.e.positional() }

func (e castExpr) eval(c *Context) Value {
	v := e.e.eval(c)
	if empty(v) {
		if !e.optional {
			Fail("An empty sequence is not allowed as the operand of a cast")
		}
		return v
	}
	return castTo(e.typ, v)
}

type castable struct {
	e        Expr
	typ      string
	optional bool
}

func (castable) kind() Kind         { return Boolean }
func (e castable) positional() bool { return e.e.positional() }

func (e castable) eval(c *Context) Value {
	v := e.e.eval(c)
	if empty(v) {
		return Bool(e.optional)
	}
	return Bool(castWorks(e.typ, v))
}

func castWorks(typ string, v Value) (ok bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			ok = false
		default:
			panic(r)
		}
	}()
	castTo(typ, v)
	return true
}
