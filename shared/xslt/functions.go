package xslt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// function finds the functions of XSLT (section 12) for an expression in a scope.
func (c *compiler) function(scope *tree.Scope) func(tree.Name) (*expr.Function, bool) {
	return func(name tree.Name) (*expr.Function, bool) {
		if name == (tree.Name{Space: "http://exslt.org/common", Local: "node-set"}) {
			return nodeSet, true
		}
		if list := c.funcs[name]; len(list) > 0 {
			return &expr.Function{Params: "*+", Result: expr.Any, Bind: bindFunction(list)}, true
		}
		if name.Space != "" {
			return nil, false
		}
		switch name.Local {
		case "key":
			return &expr.Function{Params: "s*", Min: 2, Result: expr.Nodes, Bind: c.bindKey(scope)}, true
		case "format-number":
			return &expr.Function{Params: "nss", Min: 2, Result: expr.String, Bind: c.bindFormatNumber(scope)}, true
		case "system-property":
			return &expr.Function{Params: "s", Min: 1, Result: expr.String, Bind: bindProperty(scope)}, true
		case "element-available":
			return &expr.Function{Params: "s", Min: 1, Result: expr.Boolean, Bind: c.bindElementAvailable(scope)}, true
		case "function-available":
			return &expr.Function{Params: "sn", Min: 1, Result: expr.Boolean, Bind: c.bindFunctionAvailable(scope)}, true
		}
		f, ok := fixed[name.Local]
		return f, ok
	}
}

// nodeSet is exsl:node-set(): fragments of results are nodes anyway.
var nodeSet = &expr.Function{Params: "*", Min: 1, Result: expr.Nodes, Call: func(_ *expr.Context, a []expr.Value) expr.Value { return expr.Of(a[0].Items()...) }}

// fixed are the functions that need nothing of the stylesheet.
var fixed = map[string]*expr.Function{
	"current": {Result: expr.Nodes, Call: func(c *expr.Context, _ []expr.Value) expr.Value { return expr.Of(c.Current) }},
	"generate-id": {Params: "N", Result: expr.String, Call: func(c *expr.Context, a []expr.Value) expr.Value {
		n := c.Node
		if len(a) > 0 {
			if len(a[0].Nodes()) == 0 {
				return expr.Str("")
			}
			n = a[0].Nodes()[0]
		}
		return expr.Str(n.ID())
	}},
	"current-group":        {Result: expr.Nodes, Call: func(c *expr.Context, _ []expr.Value) expr.Value { return expr.Of(c.Group...) }},
	"current-grouping-key": {Result: expr.Any, Call: func(c *expr.Context, _ []expr.Value) expr.Value { return c.Key }},
	"unparsed-entity-uri":  {Params: "s", Min: 1, Result: expr.String, Call: func(*expr.Context, []expr.Value) expr.Value { return expr.Str("") }},
}

func (c *compiler) bindKey(scope *tree.Scope) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(_ *expr.Static, args []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		text, ok := expr.Literal(args[0])
		if !ok {
			return nil, errors.New("the name of a key must be a literal")
		}
		name, ok := resolveQName(scope, text)
		key, exists := c.keyNames[name]
		if !ok || !exists {
			return nil, fmt.Errorf("key %q is not declared", text)
		}
		return func(c *expr.Context, a []expr.Value) expr.Value {
			if a[1].Kind() != expr.Nodes {
				return expr.Of(c.Env.Key(key, c.Node, a[1].Text())...)
			}
			var out []*tree.Node
			for _, n := range a[1].Nodes() {
				out = append(out, c.Env.Key(key, c.Node, n.Text())...)
			}
			slices.SortFunc(out, tree.Compare)
			return expr.Of(slices.Compact(out)...)
		}, nil
	}
}

func bindProperty(scope *tree.Scope) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(s *expr.Static, args []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		version := "1.0"
		if s.Two {
			version = "2.0"
		}
		return func(_ *expr.Context, a []expr.Value) expr.Value {
			name, ok := resolveQName(scope, a[0].Text())
			if !ok || name.Space != Space {
				return expr.Str("")
			}
			switch name.Local {
			case "version":
				return expr.Str(version)
			case "vendor", "product-name":
				return expr.Str("perigee")
			case "vendor-url":
				return expr.Str("https://github.com/perigee-gateway/perigee")
			case "is-schema-aware", "supports-serialization", "supports-backwards-compatibility":
				return expr.Str("no")
			}
			return expr.Str("")
		}, nil
	}
}

// elements are the elements of XSLT that stand elsewhere than in instructions.
var elements = []string{"stylesheet", "transform", "template", "output", "key", "strip-space", "preserve-space", "attribute-set",
	"decimal-format", "namespace-alias", "sort", "when", "otherwise", "with-param"}

func (c *compiler) bindElementAvailable(scope *tree.Scope) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		return func(_ *expr.Context, a []expr.Value) expr.Value {
			name, ok := resolveQName(scope, a[0].Text())
			return expr.Bool(ok && name.Space == Space && (c.instructions(name.Local) != nil || slices.Contains(elements, name.Local)))
		}, nil
	}
}

func (c *compiler) bindFunctionAvailable(scope *tree.Scope) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(s *expr.Static, _ []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		known := &expr.Static{Function: c.function(scope)}
		return func(_ *expr.Context, a []expr.Value) expr.Value {
			name, ok := resolveQName(scope, a[0].Text())
			return expr.Bool(ok && expr.Available(name, known))
		}, nil
	}
}

func (c *compiler) bindFormatNumber(scope *tree.Scope) func(*expr.Static, []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
	return func(_ *expr.Static, args []expr.Expr) (func(*expr.Context, []expr.Value) expr.Value, error) {
		var name tree.Name
		if len(args) > 2 {
			text, literal := expr.Literal(args[2])
			resolved, ok := resolveQName(scope, text)
			if name = resolved; !literal || !ok {
				return nil, errors.New("the name of a decimal format must be a literal name")
			}
		}
		f, ok := c.sheet.decimals[name]
		if !ok && name != (tree.Name{}) {
			return nil, fmt.Errorf("decimal format %s is not declared", name)
		}
		if !ok {
			f = &defaultFormat
		}
		src, ok := expr.Literal(args[1])
		if !ok {
			return func(_ *expr.Context, a []expr.Value) expr.Value {
				p, err := f.parse(a[1].Text())
				if err != nil {
					expr.Fail("format-number(): %v", err)
				}
				return expr.Str(p.format(a[0].Number()))
			}, nil
		}
		p, err := f.parse(src)
		if err != nil {
			return nil, err
		}
		return func(_ *expr.Context, a []expr.Value) expr.Value { return expr.Str(p.format(a[0].Number())) }, nil
	}
}

// decimalFormat is an xsl:decimal-format (section 12.3).
type decimalFormat struct {
	decimal, grouping, minus, percent, perMille, zero, digit, separator rune
	infinity, nan                                                       string
}

var defaultFormat = decimalFormat{'.', ',', '-', '%', '‰', '0', '#', ';', "Infinity", "NaN"}

func (c *compiler) decimalFormat(st *static, n *tree.Node) {
	a := c.take(st, n, "name", "decimal-separator", "grouping-separator", "infinity", "minus-sign", "NaN", "percent", "per-mille", "zero-digit", "digit", "pattern-separator")
	f := defaultFormat
	char := func(name string, to *rune) {
		v, ok := a[name]
		if !ok {
			return
		}
		r := []rune(v)
		if len(r) != 1 {
			c.errorf(n, "attribute %s is %q, want one character", name, v)
			return
		}
		*to = r[0]
	}
	char("decimal-separator", &f.decimal)
	char("grouping-separator", &f.grouping)
	char("minus-sign", &f.minus)
	char("percent", &f.percent)
	char("per-mille", &f.perMille)
	char("zero-digit", &f.zero)
	char("digit", &f.digit)
	char("pattern-separator", &f.separator)
	if v, ok := a["infinity"]; ok {
		f.infinity = v
	}
	if v, ok := a["NaN"]; ok {
		f.nan = v
	}
	var name tree.Name
	if v, ok := a["name"]; ok {
		name = c.qname(n, v)
	}
	if old, ok := c.sheet.decimals[name]; ok && *old != f {
		c.errorf(n, "decimal format %s is declared twice", name)
	}
	c.sheet.decimals[name] = &f
}

// picture is a parsed picture of format-number().
type picture struct {
	f                  *decimalFormat
	positive, negative part
}

type part struct {
	prefix, suffix           string
	minInt, minFrac, maxFrac int
	group                    int   // digits between grouping separators; 0: none
	groups                   []int // places of separators where they are not regular
	scale                    int   // power of ten
}

// parse reads a picture (XSLT 2.0, section 16.4, whose rules those of Java are a part
// of).
func (f *decimalFormat) parse(src string) (*picture, error) {
	subs := strings.Split(src, string(f.separator))
	if len(subs) > 2 {
		return nil, fmt.Errorf("picture %q has more than two parts", src)
	}
	p := &picture{f: f}
	var err error
	if p.positive, err = f.part(subs[0]); err != nil {
		return nil, fmt.Errorf("picture %q: %w", src, err)
	}
	p.negative = p.positive
	p.negative.prefix = string(f.minus) + p.positive.prefix
	if len(subs) == 2 {
		if p.negative, err = f.part(subs[1]); err != nil {
			return nil, fmt.Errorf("picture %q: %w", src, err)
		}
		if p.negative.prefix == p.positive.prefix && p.negative.suffix == p.positive.suffix {
			p.negative.prefix = string(f.minus) + p.negative.prefix
		}
	}
	return p, nil
}

func (f *decimalFormat) part(src string) (part, error) {
	var p part
	r := []rune(src)
	active := func(c rune) bool {
		return c == f.digit || c == f.zero || c == f.grouping || c == f.decimal
	}
	from := slices.IndexFunc(r, active)
	if from < 0 {
		return p, errors.New("no digit")
	}
	to := from
	for to < len(r) && active(r[to]) {
		to++
	}
	if slices.ContainsFunc(r[to:], active) {
		return p, errors.New("digits in two places")
	}
	p.prefix, p.suffix = string(r[:from]), string(r[to:])
	for _, c := range p.prefix + p.suffix {
		switch c {
		case f.percent:
			p.scale = 2
		case f.perMille:
			p.scale = 3
		}
	}
	whole, frac := r[from:to], []rune(nil)
	if i := slices.Index(whole, f.decimal); i >= 0 {
		whole, frac = whole[:i], whole[i+1:]
		if slices.Contains(frac, f.decimal) {
			return p, errors.New("two decimal separators")
		}
	}
	if len(whole)+len(frac) == 0 {
		return p, errors.New("no digit")
	}
	digits, optionalInt := 0, false
	for _, c := range slices.Backward(whole) {
		switch c {
		case f.grouping:
			p.groups = append(p.groups, digits)
			continue
		case f.zero:
			if optionalInt {
				return p, errors.New("optional digit behind a required one")
			}
			p.minInt++
		case f.digit:
			optionalInt = true
		}
		digits++
	}
	optional := false
	for _, c := range frac {
		switch c {
		case f.zero:
			if optional {
				return p, errors.New("required digit behind an optional one")
			}
			p.minFrac++
			p.maxFrac++
		case f.digit:
			optional = true
			p.maxFrac++
		default:
			return p, errors.New("grouping separator in the fraction")
		}
	}
	if p.minInt == 0 && p.maxFrac == 0 {
		p.minInt = 1
	}
	p.regular()
	return p, nil
}

// regular makes places that are multiples of one number that number.
func (p *part) regular() {
	if len(p.groups) == 0 || p.groups[0] == 0 {
		return
	}
	for i, g := range p.groups {
		if g != p.groups[0]*(i+1) {
			return
		}
	}
	p.group = p.groups[0]
}
