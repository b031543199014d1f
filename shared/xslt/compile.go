package xslt

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// compiler makes a Stylesheet of its tree.
type compiler struct {
	sheet    *Stylesheet
	problems Problems
	globals  map[tree.Name]*global
	attrSets map[tree.Name][]*attributeSet
	keyNames map[tree.Name]int
	aliases  map[string]alias
	frame    *frame // of what is being compiled
	order    int    // of template rules
	used     []setUse
	calls    []call
	funcs    map[tree.Name][]*function
}

// call is a use of a named template, resolved when all are known.
type call struct {
	n    *tree.Node
	name tree.Name
	to   *callTemplate
}

// setUse is a use of attribute sets, resolved when all are known.
type setUse struct {
	n     *tree.Node
	names []tree.Name
	to    *attributeSets
}

type alias struct{ uri, prefix string }

// frame are the local variables of a template or a global variable.
type frame struct {
	vars      []scoped
	next, max int
}

type scoped struct {
	name tree.Name
	slot int
}

func (f *frame) declare(name tree.Name) int {
	slot := f.next
	f.next++
	f.max = max(f.max, f.next)
	f.vars = append(f.vars, scoped{name, slot})
	return slot
}

// static is what holds for an element of the stylesheet and what is in it.
type static struct {
	version  float64
	elements string // xpath-default-namespace
	excluded []string
	ext      []string // namespaces of extension elements
}

func (s *static) two() bool { return s.version >= 2 }

// forward reports forwards-compatible processing: a version that this processor has
// no idea of.
func (s *static) forward() bool { return s.version > 2 }

func newCompiler() *compiler {
	return &compiler{
		sheet:    &Stylesheet{named: map[tree.Name]*template{}, modes: map[tree.Name]*mode{}, decimals: map[tree.Name]*decimalFormat{}},
		globals:  map[tree.Name]*global{},
		attrSets: map[tree.Name][]*attributeSet{},
		keyNames: map[tree.Name]int{},
		aliases:  map[string]alias{},
		funcs:    map[tree.Name][]*function{},
	}
}

func (c *compiler) errorf(n *tree.Node, format string, args ...any) {
	c.problems = append(c.problems, Problem{int(n.Line), fmt.Sprintf(format, args...)})
}

// sorted are the problems by line, each once.
func (c *compiler) sorted() Problems {
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return slices.Compact(c.problems)
}

// isXSL reports whether n is an element of XSLT with that name.
func isXSL(n *tree.Node, local string) bool {
	return n.Kind == tree.Element && n.Name.Space == Space && n.Name.Local == local
}

// with is the static context of an element in st.
func (c *compiler) with(st *static, n *tree.Node) *static {
	space := ""
	if n.Name.Space != Space {
		space = Space
	}
	out := st
	change := func() *static {
		if out == st {
			s := *st
			out = &s
		}
		return out
	}
	for _, a := range n.Attrs {
		if a.Name.Space != space {
			continue
		}
		switch a.Name.Local {
		case "version":
			if n.Name.Space == Space && n.Name.Local == "output" {
				continue // of XML, not of XSLT
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(a.Data), 64)
			if err != nil || v < 1 {
				c.errorf(n, "version %q is not a version of XSLT", a.Data)
				v = 1
			}
			change().version = v
		case "xpath-default-namespace":
			change().elements = a.Data
		case "exclude-result-prefixes":
			change().excluded = append(slices.Clone(st.excluded), c.prefixes(n, a)...)
		case "extension-element-prefixes":
			change().ext = append(slices.Clone(st.ext), c.prefixes(n, a)...)
		case "use-when", "default-collation", "expand-text", "default-mode", "default-validation", "input-type-annotations":
			if v := strings.TrimSpace(a.Data); v == "no" || v == "strip" || v == "unspecified" || v == "#unnamed" ||
				v == "http://www.w3.org/2005/xpath-functions/collation/codepoint" {
				continue
			}
			c.errorf(n, "attribute %s of XSLT 2.0 is not supported", a.QName())
		}
	}
	return out
}

// prefixes are the namespaces that a list of prefixes means.
func (c *compiler) prefixes(n, a *tree.Node) []string {
	var out []string
	for _, p := range strings.Fields(a.Data) {
		switch p {
		case "#all":
			n.Scope.Each(func(_, uri string) { out = append(out, uri) })
			continue
		case "#default":
			p = ""
		}
		uri, ok := n.Scope.Lookup(p)
		if !ok {
			c.errorf(n, "%s: prefix %q is not declared", a.QName(), p)
			continue
		}
		out = append(out, uri)
	}
	return out
}

// qname resolves the value of an attribute that is a name.
func (c *compiler) qname(n *tree.Node, text string) tree.Name {
	name, ok := resolveQName(n.Scope, text)
	if !ok {
		c.errorf(n, "%q is not a name here", text)
	}
	return name
}

// resolveQName resolves a name; without a prefix it has no namespace.
func resolveQName(s *tree.Scope, text string) (tree.Name, bool) {
	text = strings.TrimSpace(text)
	prefix, local, ok := strings.Cut(text, ":")
	if !ok {
		return tree.Name{Local: text}, xmltoken.IsName(text)
	}
	uri, ok := s.Lookup(prefix)
	return tree.Name{Space: uri, Local: local}, ok && prefix != "" && xmltoken.IsName(local) && !strings.Contains(local, ":")
}

// attrs are the attributes of an element of XSLT by name.
type attrs map[string]string

// standard are the attributes that every element of XSLT may have.
var standard = []string{"version", "xpath-default-namespace", "exclude-result-prefixes", "extension-element-prefixes",
	"use-when", "default-collation", "expand-text", "default-mode", "default-validation", "input-type-annotations"}

// take reads the attributes of an element of XSLT. known are those that it may have;
// one that ends in ! must be there.
func (c *compiler) take(st *static, n *tree.Node, known ...string) attrs {
	out := attrs{}
	for _, a := range n.Attrs {
		if a.Name.Space != "" {
			if a.Name.Space == Space {
				c.errorf(n, "attribute %s is not allowed on <%s>", a.QName(), n.QName())
			}
			continue
		}
		ok := slices.Contains(known, a.Name.Local) || slices.Contains(known, a.Name.Local+"!")
		if !ok && slices.Contains(standard, a.Name.Local) {
			continue
		}
		if !ok && !(st.forward() && !later[a.Name.Local]) {
			c.errorf(n, "attribute %s of <%s> is not supported", a.Name.Local, n.QName())
			continue
		}
		out[a.Name.Local] = a.Data
	}
	for _, k := range known {
		if name, ok := strings.CutSuffix(k, "!"); ok {
			if _, ok := out[name]; !ok {
				c.errorf(n, "<%s> has no attribute %s", n.QName(), name)
				if name != "name" {
					out[name] = "missing" // for no second problem
				}
			}
		}
	}
	return out
}

// later are attributes that mean something in 2.0 or 3.0, so that they are not
// ignored in a stylesheet of a later version.
var later = map[string]bool{
	"as": true, "tunnel": true, "required": true, "collation": true, "stable": true, "regex": true, "flags": true,
	"group-by": true, "validation": true, "type": true, "use-character-maps": true, "select": true, "separator": true,
	"copy-namespaces": true, "inherit-namespaces": true, "static": true, "visibility": true, "streamable": true, "cache": true,
	"start-at": true, "composite": true, "on-no-match": true, "error-code": true, "assert": true, "test": true, "build-tree": true,
}

// yes reads an attribute that is yes or no.
func (c *compiler) yes(n *tree.Node, a attrs, name string, def bool) bool {
	v, ok := a[name]
	if !ok {
		return def
	}
	switch strings.TrimSpace(v) {
	case "yes", "true", "1":
		return true
	case "no", "false", "0":
		return false
	}
	c.errorf(n, "attribute %s is %q, want yes or no", name, v)
	return def
}

// fixed refuses an attribute that has any but one value, which is the default.
func (c *compiler) fixed(n *tree.Node, a attrs, name, value string) {
	if v, ok := a[name]; ok && strings.TrimSpace(v) != value {
		c.errorf(n, "attribute %s=%q of <%s> is not supported", name, v, n.QName())
	}
}

// scope is what an expression in an element is compiled with.
func (c *compiler) scope(st *static, n *tree.Node) *expr.Static {
	s := &expr.Static{Scope: n.Scope, Elements: st.elements, Two: st.two(), Variable: c.variable, Function: c.function(n.Scope)}
	if f := c.frame; f != nil {
		s.Declare = func(name tree.Name) int { return f.declare(name) }
		s.Release = func() {
			f.vars = f.vars[:len(f.vars)-1]
			f.next--
		}
	}
	return s
}

func (c *compiler) variable(name tree.Name) (expr.Ref, bool) {
	if c.frame != nil {
		for _, v := range slices.Backward(c.frame.vars) {
			if v.name == name {
				return expr.Ref{Slot: v.slot}, true
			}
		}
	}
	if g, ok := c.globals[name]; ok {
		return expr.Ref{Global: true, Slot: g.slot}, true
	}
	return expr.Ref{}, false
}

// expr compiles an expression; one with an error is empty.
func (c *compiler) expr(st *static, n *tree.Node, src string) expr.Expr {
	e, err := expr.Compile(src, c.scope(st, n))
	if err != nil {
		c.errorf(n, "%v", err)
		e, _ = expr.Compile("''", &expr.Static{})
	}
	return e
}

// nodes compiles an expression whose value must be nodes, in 1.0.
func (c *compiler) nodes(st *static, n *tree.Node, src string) expr.Expr {
	before := len(c.problems)
	e := c.expr(st, n, src)
	if k := expr.KindOf(e); k != expr.Nodes && k != expr.Any && !st.two() && len(c.problems) == before {
		c.errorf(n, "select %q of <%s> is not a node-set", src, n.QName())
	}
	return e
}

func (c *compiler) pattern(st *static, n *tree.Node, src string) []*expr.Pattern {
	p, err := expr.CompilePattern(src, c.scope(st, n))
	if err != nil {
		c.errorf(n, "pattern: %v", err)
	}
	return p
}

// inFrame compiles with local variables of its own and returns how many there are.
func (c *compiler) inFrame(f func()) int {
	outer := c.frame
	c.frame = &frame{}
	f()
	size := c.frame.max
	c.frame = outer
	return size
}

// stylesheet compiles the document.
func (c *compiler) stylesheet(t *tree.Tree) {
	root := t.Root.First
	for root.Kind != tree.Element {
		root = root.Next
	}
	st := &static{version: 1}
	if !isXSL(root, "stylesheet") && !isXSL(root, "transform") {
		c.simplified(st, root)
		return
	}
	st = c.with(st, root)
	c.take(st, root, "id", "version!")
	c.sheet.two = st.two()
	c.declarations(st, root)
	for n := root.First; n != nil; n = n.Next {
		if n.Kind == tree.Element {
			c.declaration(c.with(st, n), n)
		}
	}
	c.finish()
}

// simplified compiles a literal result element that is the whole stylesheet
// (section 2.3).
func (c *compiler) simplified(st *static, root *tree.Node) {
	versioned := slices.ContainsFunc(root.Attrs, func(a *tree.Node) bool {
		return a.Name == tree.Name{Space: Space, Local: "version"}
	})
	if !versioned {
		c.errorf(root, "<%s> is not a stylesheet: it is not in the namespace %s and has no version of XSLT", root.QName(), Space)
		return
	}
	c.sheet.two = c.with(st, root).two()
	t := &template{}
	t.frame = c.inFrame(func() { t.body = block{{int(root.Line), c.literal(st, root)}} })
	c.rule(st, root, t, "/", tree.Name{}, nil)
	c.finish()
}

// declarations reads what expressions need to know before they are compiled: global
// variables, keys, formats, aliases.
func (c *compiler) declarations(st *static, root *tree.Node) {
	for n := root.First; n != nil; n = n.Next {
		if n.Kind != tree.Element || n.Name.Space != Space {
			continue
		}
		name, named := n.Attr("name")
		switch n.Name.Local {
		case "variable", "param":
			if !named {
				continue // reported later
			}
			q := c.qname(n, name)
			if _, ok := c.globals[q]; ok {
				c.errorf(n, "global variable %s is declared twice", name)
				continue
			}
			g := &global{name: q, slot: len(c.sheet.globals), node: n}
			c.globals[q] = g
			c.sheet.globals = append(c.sheet.globals, g)
		case "key":
			if q := c.qname(n, name); named {
				if _, ok := c.keyNames[q]; !ok {
					c.keyNames[q] = len(c.sheet.keys)
					c.sheet.keys = append(c.sheet.keys, &key{})
				}
			}
		case "function":
			if named {
				c.declareFunction(n, name)
			}
		case "decimal-format":
			c.decimalFormat(c.with(st, n), n)
		case "namespace-alias":
			c.alias(c.with(st, n), n)
		}
	}
}

// declaration compiles a child of the stylesheet.
func (c *compiler) declaration(st *static, n *tree.Node) {
	if n.Name.Space == "" {
		c.errorf(n, "<%s> is not in a namespace, and so not allowed at the top", n.QName())
		return
	}
	if n.Name.Space != Space {
		return // data of the author's own
	}
	switch n.Name.Local {
	case "template":
		c.template(st, n)
	case "variable", "param":
		c.global(st, n)
	case "function":
		c.functionBody(st, n)
	case "output":
		c.output(st, n)
	case "key":
		c.key(st, n)
	case "strip-space", "preserve-space":
		c.space(st, n)
	case "attribute-set":
		c.attributeSet(st, n)
	case "decimal-format", "namespace-alias":
	case "import", "include":
		c.errorf(n, "<%s> is not supported, as on Apigee: a stylesheet is one file", n.QName())
	default:
		if st.forward() && !known2[n.Name.Local] {
			return
		}
		c.unsupported(n)
	}
}

// known2 are elements of XSLT 2.0 and 3.0 that are not supported.
var known2 = map[string]bool{
	"analyze-string": true, "matching-substring": true, "non-matching-substring": true, "character-map": true,
	"output-character": true, "document": true, "import-schema": true,
	"next-match": true, "perform-sort": true, "result-document": true, "accept": true, "accumulator": true,
	"accumulator-rule": true, "assert": true, "break": true, "catch": true, "context-item": true, "evaluate": true,
	"expose": true, "fork": true, "global-context-item": true, "iterate": true, "map": true, "map-entry": true,
	"merge": true, "merge-action": true, "merge-key": true, "merge-source": true, "mode": true, "next-iteration": true,
	"on-completion": true, "on-empty": true, "on-non-empty": true, "override": true, "package": true,
	"source-document": true, "stream": true, "try": true, "use-package": true, "where-populated": true,
}

func (c *compiler) unsupported(n *tree.Node) {
	if known2[n.Name.Local] {
		c.errorf(n, "<%s> of XSLT 2.0 or 3.0 is not supported", n.QName())
		return
	}
	c.errorf(n, "<%s> is not an element of XSLT that may stand here", n.QName())
}

// finish resolves what needed all declarations.
func (c *compiler) finish() {
	for _, u := range c.used {
		for _, name := range u.names {
			sets, ok := c.attrSets[name]
			if !ok {
				c.errorf(u.n, "attribute set %s does not exist", name)
			}
			*u.to = append(*u.to, sets...)
		}
	}
	for _, u := range c.calls {
		if u.to.template = c.sheet.named[u.name]; u.to.template == nil {
			c.errorf(u.n, "template %s does not exist", u.name)
		}
	}
	for name, sets := range c.attrSets {
		if c.circular(sets, map[*attributeSet]bool{}) {
			c.errorf(sets[0].node, "attribute set %s uses itself", name)
		}
	}
	for _, m := range c.sheet.modes {
		m.finish()
	}
}

func (c *compiler) circular(sets []*attributeSet, open map[*attributeSet]bool) bool {
	for _, s := range sets {
		if open[s] {
			return true
		}
		open[s] = true
		if c.circular(s.uses, open) {
			return true
		}
		delete(open, s)
	}
	return false
}

func (c *compiler) template(st *static, n *tree.Node) {
	a := c.take(st, n, "match", "name", "priority", "mode", "as")
	match, matches := a["match"]
	name, named := a["name"]
	switch {
	case !matches && !named:
		c.errorf(n, "<%s> has neither match nor name", n.QName())
	case !matches && (a["mode"] != "" || a["priority"] != ""):
		c.errorf(n, "<%s> has mode or priority without match", n.QName())
	}
	c.as(n, a)
	t := &template{line: int(n.Line)}
	t.frame = c.inFrame(func() { t.body = c.content(st, n, true) })
	if named {
		q := c.qname(n, name)
		if _, ok := c.sheet.named[q]; ok {
			c.errorf(n, "template %s is there twice", name)
		}
		c.sheet.named[q] = t
	}
	if !matches {
		return
	}
	var priority *float64
	if v, ok := a["priority"]; ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			c.errorf(n, "priority %q is not a number", v)
		}
		priority = &f
	}
	modes := strings.Fields(a["mode"])
	if len(modes) == 0 {
		modes = []string{"#default"}
	}
	for _, m := range modes {
		c.rule(st, n, t, match, c.modeName(n, m), priority)
	}
}

// allModes is the name of rules in mode #all.
var allModes = tree.Name{Space: Space, Local: "#all"}

func (c *compiler) modeName(n *tree.Node, text string) tree.Name {
	switch text {
	case "#default", "#unnamed":
		return tree.Name{}
	case "#all":
		return allModes
	}
	return c.qname(n, text)
}

func (c *compiler) rule(st *static, n *tree.Node, t *template, match string, in tree.Name, priority *float64) {
	c.order++
	for _, p := range c.pattern(st, n, match) {
		r := &rule{pattern: p, template: t, priority: p.Priority, order: c.order}
		if priority != nil {
			r.priority = *priority
		}
		c.mode(in).rules = append(c.mode(in).rules, r)
	}
}

// mode returns a mode, making it if need be.
func (c *compiler) mode(name tree.Name) *mode {
	m, ok := c.sheet.modes[name]
	if !ok {
		m = &mode{}
		c.sheet.modes[name] = m
		if name != allModes {
			m.all = c.mode(allModes)
		}
	}
	return m
}

func (c *compiler) global(st *static, n *tree.Node) {
	param := n.Name.Local == "param"
	v := binding{}
	size := c.inFrame(func() { v = c.binding(st, n, param) })
	name, _ := n.Attr("name")
	q, _ := resolveQName(n.Scope, name)
	g, ok := c.globals[q]
	if !ok || g.node != n {
		return // reported
	}
	g.param, g.binding, g.frame, g.node = param, v, size, nil
}

func (c *compiler) key(st *static, n *tree.Node) {
	a := c.take(st, n, "name!", "match!", "use!")
	i, ok := c.keyNames[c.qname(n, a["name"])]
	if !ok {
		return
	}
	k := c.sheet.keys[i]
	k.patterns = append(k.patterns, keyPattern{})
	p := &k.patterns[len(k.patterns)-1]
	size := c.inFrame(func() {
		p.match = c.pattern(st, n, a["match"])
		p.use = c.expr(st, n, a["use"])
	})
	c.sheet.frameSize = max(c.sheet.frameSize, size)
}

func (c *compiler) space(st *static, n *tree.Node) {
	a := c.take(st, n, "elements!")
	for _, t := range strings.Fields(a["elements"]) {
		r := spaceRule{strip: n.Name.Local == "strip-space"}
		prefix, local, prefixed := strings.Cut(t, ":")
		switch {
		case t == "*":
			r.anyName, r.anySpace, r.priority = true, true, -0.5
		case !prefixed:
			r.name = tree.Name{Space: st.elements, Local: t}
		case prefix == "*":
			r.anySpace, r.name.Local, r.priority = true, local, -0.25
		default:
			uri, ok := n.Scope.Lookup(prefix)
			if !ok {
				c.errorf(n, "prefix %q is not declared", prefix)
			}
			r.name = tree.Name{Space: uri, Local: local}
			if local == "*" {
				r.anyName, r.priority = true, -0.25
			}
		}
		c.sheet.spaces = append(c.sheet.spaces, r)
	}
}

func (c *compiler) alias(st *static, n *tree.Node) {
	a := c.take(st, n, "stylesheet-prefix!", "result-prefix!")
	uri := func(name string) (string, string) {
		p := a[name]
		if p == "#default" {
			p = ""
		}
		u, ok := n.Scope.Lookup(p)
		if !ok {
			c.errorf(n, "prefix %q is not declared", p)
		}
		return u, p
	}
	from, _ := uri("stylesheet-prefix")
	to, prefix := uri("result-prefix")
	c.aliases[from] = alias{to, prefix}
}

func (c *compiler) attributeSet(st *static, n *tree.Node) {
	a := c.take(st, n, "name!", "use-attribute-sets")
	s := &attributeSet{node: n}
	c.use(n, a["use-attribute-sets"], &s.uses)
	s.frame = c.inFrame(func() {
		for k := n.First; k != nil; k = k.Next {
			switch {
			case isXSL(k, "attribute"):
				s.body = append(s.body, located{int(k.Line), c.attribute(c.with(st, k), k)})
			case k.Kind == tree.Element, k.Kind == tree.Text:
				c.errorf(n, "<%s> holds only <xsl:attribute>", n.QName())
			}
		}
	})
	q := c.qname(n, a["name"])
	c.attrSets[q] = append(c.attrSets[q], s)
}

// use notes the attribute sets that an element uses.
func (c *compiler) use(n *tree.Node, names string, to *attributeSets) {
	u := setUse{n: n, to: to}
	for _, name := range strings.Fields(names) {
		u.names = append(u.names, c.qname(n, name))
	}
	if len(u.names) > 0 {
		c.used = append(c.used, u)
	}
}
