package xslt

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// run is one transformation.
type run struct {
	sheet   *Stylesheet
	env     expr.Env
	budget  tree.Budget
	source  *tree.Tree
	params  Params
	globals []globalValue
	keys    map[keyOf]map[string][]*tree.Node
	depth   int
	line    int // of the instruction that runs
	plain   expr.Context
}

// depthExceeded is the panic of templates that are nested too deep.
type depthExceeded struct{}

// state is what an instruction runs in.
type state struct {
	expr.Context
	out    *output
	mode   *mode
	params []param // that the template was called with
}

type param struct {
	name  tree.Name
	value expr.Value
}

// instr is a compiled instruction.
type instr interface{ exec(r *run, s *state) }

type located struct {
	line int
	instr
}

// block is a sequence of instructions.
type block []located

func (b block) exec(r *run, s *state) {
	for i := range b {
		r.line = b[i].line
		r.env.Tick(1)
		b[i].instr.exec(r, s)
	}
}

// global is a global variable or parameter.
type global struct {
	name    tree.Name
	slot    int
	param   bool
	binding binding
	frame   int
	node    *tree.Node // until it is compiled
}

type globalValue struct {
	state uint8 // 0 not yet, 1 being evaluated, 2 there
	value expr.Value
}

type template struct {
	body  block
	frame int
	line  int
}

// rule is a template rule: one alternative of a match pattern.
type rule struct {
	pattern  *expr.Pattern
	template *template
	priority float64
	order    int
}

// mode holds the rules of a mode, sorted by what they can match.
type mode struct {
	rules  []*rule
	all    *mode // of rules in every mode
	plain  bool
	byName map[tree.Name][]*rule // elements
	byKind [tree.Atom + 1][]*rule
}

// finish indexes the rules: the best first, of equal ones the last.
func (m *mode) finish() {
	rules := m.rules
	if m.all != nil {
		rules = append(slices.Clone(rules), m.all.rules...)
	}
	slices.SortStableFunc(rules, func(a, b *rule) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.order, a.order))
	})
	m.plain = true
	m.byName = map[tree.Name][]*rule{}
	for _, r := range rules {
		m.plain = m.plain && r.pattern.Plain()
		if k, name := r.pattern.Name(); k == tree.Element && name != (tree.Name{}) {
			m.byName[name] = nil
		}
	}
	for _, r := range rules {
		k, name := r.pattern.Name()
		for kind := range m.byKind {
			if k == tree.Atom || int(k) == kind && (name == tree.Name{} || k != tree.Element) {
				m.byKind[kind] = append(m.byKind[kind], r)
			}
		}
		for n := range m.byName {
			if k == tree.Atom || k == tree.Element && (name == tree.Name{} || name == n) {
				m.byName[n] = append(m.byName[n], r)
			}
		}
	}
}

// find returns the rule for a node; nil is a built-in one.
func (m *mode) find(r *run, n *tree.Node) *rule {
	rules := m.byKind[n.Kind]
	if n.Kind == tree.Element {
		if named, ok := m.byName[n.Name]; ok {
			rules = named
		}
	}
	if len(rules) == 0 {
		return nil
	}
	c := &r.plain
	if !m.plain {
		c = &expr.Context{Env: &r.env, Current: n}
	}
	for _, rule := range rules {
		if rule.pattern.Match(c, n) {
			return rule
		}
	}
	return nil
}

// transform applies the templates to the source.
func (r *run) transform() (Result, error) {
	r.plain.Env = &r.env
	m := r.sheet.modes[tree.Name{}]
	if m == nil {
		m = &mode{}
	}
	out := newOutput(r)
	s := &state{out: out, mode: m}
	s.Env = &r.env
	r.apply(s, m, []*tree.Node{r.source.Root}, nil)
	out.flush()
	return r.sheet.output.serialize(r.env.Ctx, out.tree.Root, r.sheet.two)
}

// enter counts a template that begins.
func (r *run) enter() {
	if r.depth++; r.depth > MaxDepth {
		panic(depthExceeded{})
	}
}

// apply applies the templates of a mode to nodes.
func (r *run) apply(s *state, m *mode, nodes []*tree.Node, params []param) {
	in := state{out: s.out, mode: m, params: params}
	in.Env, in.Size, in.Group, in.Key = &r.env, len(nodes), s.Group, s.Key
	for i, n := range nodes {
		if n.Kind == tree.Atom {
			expr.Fail("Cannot apply templates to a value that is not a node")
		}
		r.env.Tick(1)
		in.Node, in.Current, in.Pos = n, n, i+1
		r.applyOne(&in, m, n)
	}
}

func (r *run) applyOne(s *state, m *mode, n *tree.Node) {
	r.enter()
	if rule := m.find(r, n); rule != nil {
		r.instantiate(s, rule.template)
	} else {
		r.builtin(s, m, n)
	}
	r.depth--
}

func (r *run) instantiate(s *state, t *template) {
	s.Locals = nil
	if t.frame > 0 {
		s.Locals = make([]expr.Value, t.frame)
	}
	t.body.exec(r, s)
}

// builtin is the rule for nodes that no template matches (section 5.8).
func (r *run) builtin(s *state, m *mode, n *tree.Node) {
	switch n.Kind {
	case tree.Document, tree.Element:
		params := s.params
		if !r.sheet.two {
			params = nil
		}
		r.apply(s, m, children(n), params)
	case tree.Text, tree.Attribute:
		s.out.text(n.Data, false)
	}
}

func children(n *tree.Node) []*tree.Node {
	size := 0
	for k := n.First; k != nil; k = k.Next {
		size++
	}
	out := make([]*tree.Node, 0, size)
	for k := n.First; k != nil; k = k.Next {
		out = append(out, k)
	}
	return out
}

// global evaluates a global variable once.
func (r *run) global(slot int) expr.Value {
	v := &r.globals[slot]
	switch v.state {
	case 2:
		return v.value
	case 1:
		expr.Fail("Variable $%s depends on itself", r.sheet.globals[slot].name)
	}
	v.state = 1
	g := r.sheet.globals[slot]
	line := r.line
	r.line = g.binding.line
	s := &state{mode: r.sheet.modes[tree.Name{}]}
	if s.mode == nil {
		s.mode = &mode{}
	}
	s.Env, s.Node, s.Current, s.Pos, s.Size = &r.env, r.source.Root, r.source.Root, 1, 1
	s.Locals = make([]expr.Value, g.frame)
	text, given := r.params[g.name.Local]
	r.enter()
	switch {
	case g.param && given && g.name.Space == "":
		v.value = expr.Str(text)
		if r.sheet.two { // Saxon takes what is given as text without a type
			v.value = expr.Of(&tree.Node{Kind: tree.Atom, Data: text, Untyped: true})
		}
		v.value = convert(g.binding.as, v.value)
	case g.binding.required:
		expr.Fail("No value supplied for required parameter $%s", g.name)
	default:
		v.value = g.binding.value(r, s)
	}
	r.depth--
	v.state, r.line = 2, line
	return v.value
}

// binding is what a variable is bound to.
type binding struct {
	name     tree.Name
	line     int
	required bool
	as       string
	sel      expr.Expr
	body     block // without sel; nil: the empty string
}

func (b *binding) value(r *run, s *state) expr.Value {
	switch {
	case b.sel != nil:
		return convert(b.as, expr.Eval(b.sel, &s.Context))
	case b.body == nil:
		return convert(b.as, expr.Str(""))
	}
	if b.as != "" {
		return convert(b.as, r.sequence(s, b.body))
	}
	return expr.Of(r.fragment(s, b.body))
}

// convert makes a value the type that its variable has.
func convert(as string, v expr.Value) expr.Value {
	if as == "" || as == anyNodes {
		return v
	}
	typ := strings.TrimRight(as, "?*+")
	if as[len(as)-1] == '*' || as[len(as)-1] == '+' {
		var out []*tree.Node
		for _, n := range v.Items() {
			one, _ := expr.Cast(typ, expr.Of(n))
			out = append(out, one.Items()...)
		}
		return expr.Of(out...)
	}
	if v.Kind() == expr.Nodes && len(v.Nodes()) == 0 {
		if typ == as {
			expr.Fail("An empty sequence is not allowed as the value of a variable of type xs:%s", typ)
		}
		return v
	}
	v, _ = expr.Cast(typ, v)
	return v
}

// fragment runs instructions into a tree of their own.
func (r *run) fragment(s *state, b block) *tree.Node {
	in := *s
	in.out = newOutput(r)
	b.exec(r, &in)
	in.out.flush()
	return in.out.tree.Root
}

// local is xsl:variable or xsl:param in a template.
type local struct {
	binding
	param bool
	slot  int
}

func (in *local) exec(r *run, s *state) {
	if in.param {
		for _, p := range s.params {
			if p.name == in.name {
				s.Locals[in.slot] = convert(in.as, p.value)
				return
			}
		}
		if in.required {
			expr.Fail("No value supplied for required parameter $%s", in.name)
		}
	}
	s.Locals[in.slot] = in.value(r, s)
}

type withParam struct {
	name    tree.Name
	binding binding
}

func with(r *run, s *state, list []withParam) []param {
	if len(list) == 0 {
		return nil
	}
	out := make([]param, len(list))
	for i := range list {
		out[i] = param{list[i].name, list[i].binding.value(r, s)}
	}
	return out
}

type applyTemplates struct {
	sel     expr.Expr // nil: the children
	mode    *mode
	current bool
	sorts   []sortKey
	params  []withParam
}

func (in *applyTemplates) exec(r *run, s *state) {
	var nodes []*tree.Node
	if in.sel == nil {
		nodes = children(s.Node)
	} else {
		nodes = nodesOf(expr.Eval(in.sel, &s.Context))
	}
	if len(nodes) == 0 {
		return
	}
	nodes = r.sorted(s, nodes, in.sorts)
	m := in.mode
	if in.current {
		m = s.mode
	}
	r.apply(s, m, nodes, with(r, s, in.params))
}

func nodesOf(v expr.Value) []*tree.Node {
	if v.Kind() != expr.Nodes {
		expr.Fail("The value of select is not a node-set")
	}
	return v.Nodes()
}

// applyBuiltin is xsl:apply-imports where nothing is imported.
type applyBuiltin struct{ params []withParam }

func (in *applyBuiltin) exec(r *run, s *state) {
	r.enter()
	inner := *s
	inner.params = with(r, s, in.params)
	r.builtin(&inner, s.mode, s.Node)
	r.depth--
}

type callTemplate struct {
	template *template
	params   []withParam
}

func (in *callTemplate) exec(r *run, s *state) {
	inner := *s
	inner.params = with(r, s, in.params)
	r.enter()
	r.instantiate(&inner, in.template)
	r.depth--
}

type forEach struct {
	sel   expr.Expr
	sorts []sortKey
	body  block
}

func (in *forEach) exec(r *run, s *state) {
	nodes := r.sorted(s, expr.Eval(in.sel, &s.Context).Items(), in.sorts)
	inner := *s
	inner.Size = len(nodes)
	for i, n := range nodes {
		inner.Node, inner.Current, inner.Pos = n, n, i+1
		in.body.exec(r, &inner)
	}
}

type when struct {
	test expr.Expr
	body block
}

// choose is xsl:choose, and xsl:if.
type choose struct {
	whens     []when
	otherwise block
}

func (in *choose) exec(r *run, s *state) {
	for i := range in.whens {
		if expr.Eval(in.whens[i].test, &s.Context).Bool() {
			in.whens[i].body.exec(r, s)
			return
		}
	}
	in.otherwise.exec(r, s)
}

// avt is an attribute value template.
type avt struct {
	parts []avtPart
	two   bool
}

type avtPart struct {
	text string
	e    expr.Expr // nil: text
}

// constant returns the text of one that needs no evaluation.
func (a avt) constant() (string, bool) {
	switch len(a.parts) {
	case 0:
		return "", true
	case 1:
		return a.parts[0].text, a.parts[0].e == nil
	}
	return "", false
}

func (a avt) value(s *state) string {
	if text, ok := a.constant(); ok {
		return text
	}
	if len(a.parts) == 1 {
		return a.part(s, a.parts[0].e)
	}
	var b strings.Builder
	for _, p := range a.parts {
		if p.e == nil {
			b.WriteString(p.text)
		} else {
			b.WriteString(a.part(s, p.e))
		}
	}
	s.Env.Budget.String(b.Len())
	return b.String()
}

func (a avt) part(s *state, e expr.Expr) string {
	v := expr.Eval(e, &s.Context)
	if a.two {
		return expr.Join(&s.Context, v, " ")
	}
	return v.Text()
}

// textOf is the text that an instruction makes.
type textOf struct {
	sel       expr.Expr
	all       bool // of all nodes, not of the first
	separator avt
	body      block
}

func (t *textOf) value(r *run, s *state) string {
	switch {
	case t.sel == nil && len(t.body) == 0:
		return ""
	case t.sel == nil:
		if len(t.body) == 1 {
			switch in := t.body[0].instr.(type) {
			case *textInstr:
				return in.text
			case *valueOf:
				return in.text.value(r, s)
			}
		}
		return r.fragment(s, t.body).Text()
	}
	v := expr.Eval(t.sel, &s.Context)
	if t.all {
		return expr.Join(&s.Context, v, t.separator.value(s))
	}
	return v.Text()
}

type textInstr struct {
	text string
	raw  bool
}

func (in *textInstr) exec(_ *run, s *state) { s.out.text(in.text, in.raw) }

type valueOf struct {
	text textOf
	raw  bool
}

func (in *valueOf) exec(r *run, s *state) { s.out.text(in.text.value(r, s), in.raw) }

// named is the name of an element or attribute that is made.
type named struct {
	name     avt
	hasSpace bool
	space    avt
	scope    *tree.Scope
}

// resolve returns the name and the prefix that it should have.
func (n *named) resolve(s *state, element bool) (tree.Name, string) {
	text := strings.TrimSpace(n.name.value(s))
	if !validQName(text) {
		expr.Fail("%q is not a name", text)
	}
	prefix, local, ok := strings.Cut(text, ":")
	if !ok {
		prefix, local = "", text
	}
	if n.hasSpace {
		uri := n.space.value(s)
		if uri == "" {
			prefix = ""
		}
		return tree.Name{Space: uri, Local: local}, prefix
	}
	if prefix == "" && !element {
		return tree.Name{Local: local}, ""
	}
	uri, ok := n.scope.Lookup(prefix)
	if !ok {
		expr.Fail("Undeclared prefix in %q", text)
	}
	return tree.Name{Space: uri, Local: local}, prefix
}

type element struct {
	named named
	sets  attributeSets
	body  block
}

func (in *element) exec(r *run, s *state) {
	name, prefix := in.named.resolve(s, true)
	s.out.start(name, prefix)
	in.sets.exec(r, s)
	in.body.exec(r, s)
	s.out.end()
}

type literalElement struct {
	name   tree.Name
	prefix string
	spaces []tree.Scope
	sets   attributeSets
	attrs  []literalAttr
	body   block
}

type literalAttr struct {
	name   tree.Name
	prefix string
	value  avt
}

func (in *literalElement) exec(r *run, s *state) {
	s.out.start(in.name, in.prefix)
	for i := range in.spaces {
		s.out.declare(in.spaces[i].Prefix, in.spaces[i].URI)
	}
	in.sets.exec(r, s)
	for i := range in.attrs {
		s.out.attribute(in.attrs[i].name, in.attrs[i].prefix, in.attrs[i].value.value(s))
	}
	in.body.exec(r, s)
	s.out.end()
}

type attribute struct {
	named named
	value textOf
}

func (in *attribute) exec(r *run, s *state) {
	name, prefix := in.named.resolve(s, false)
	if name.Local == "xmlns" && name.Space == "" {
		expr.Fail("An attribute cannot be called xmlns")
	}
	s.out.attribute(name, prefix, in.value.value(r, s))
}

// attributeSet is one xsl:attribute-set; several may have one name.
type attributeSet struct {
	uses  attributeSets
	body  block
	frame int
	node  *tree.Node // for errors
}

type attributeSets []*attributeSet

func (a attributeSets) exec(r *run, s *state) {
	for _, set := range a {
		r.enter()
		set.uses.exec(r, s)
		inner := *s
		inner.Locals = make([]expr.Value, set.frame)
		set.body.exec(r, &inner)
		r.depth--
	}
}

type namespace struct {
	name  avt
	value textOf
}

func (in *namespace) exec(r *run, s *state) {
	prefix, uri := strings.TrimSpace(in.name.value(s)), in.value.value(r, s)
	if prefix != "" && !validQName(prefix) || strings.Contains(prefix, ":") || prefix == "xmlns" || uri == "" || (prefix == "xml") != (uri == tree.XML) {
		expr.Fail("namespace %q of prefix %q is not allowed", uri, prefix)
	}
	s.out.declareNew(prefix, uri)
}

type comment struct{ value textOf }

func (in *comment) exec(r *run, s *state) {
	text := in.value.value(r, s)
	for strings.Contains(text, "--") { // section 7.4: the processor may put blanks
		text = strings.ReplaceAll(text, "--", "- -")
	}
	if strings.HasSuffix(text, "-") {
		text += " "
	}
	s.out.comment(text)
}

// instruction is xsl:processing-instruction.
type instruction struct {
	name  avt
	value textOf
}

func (in *instruction) exec(r *run, s *state) {
	name := strings.TrimSpace(in.name.value(s))
	if !validQName(name) || strings.Contains(name, ":") || strings.EqualFold(name, "xml") {
		expr.Fail("%q is not the name of a processing instruction", name)
	}
	text := strings.ReplaceAll(strings.TrimLeft(in.value.value(r, s), " \t\r\n"), "?>", "? >")
	s.out.instruction(name, text)
}

type copyInstr struct {
	sets   attributeSets
	body   block
	spaces bool
}

func (in *copyInstr) exec(r *run, s *state) {
	switch n := s.Node; n.Kind {
	case tree.Element:
		s.out.start(n.Name, n.Prefix)
		if in.spaces {
			n.Scope.Each(s.out.declare)
		}
		in.sets.exec(r, s)
		in.body.exec(r, s)
		s.out.end()
	case tree.Document:
		in.body.exec(r, s)
	default:
		s.out.copy(n, true)
	}
}

type copyOf struct {
	sel    expr.Expr
	spaces bool
	items  bool // xsl:sequence
}

func (in *copyOf) exec(r *run, s *state) {
	v := expr.Eval(in.sel, &s.Context)
	if in.items && s.out.collects() {
		s.out.collect(v)
		return
	}
	if v.Kind() != expr.Nodes {
		s.out.text(v.Text(), false)
		return
	}
	atom := false
	for _, n := range v.Nodes() {
		if n.Kind != tree.Atom {
			s.out.copy(n, in.spaces)
			atom = false
			continue
		}
		if atom { // XSLT 2.0, section 5.7.1
			s.out.text(" ", false)
		}
		s.out.text(n.Data, false)
		atom = true
	}
}

// message is xsl:message; what it says goes nowhere.
type message struct{ terminate avt }

func (in *message) exec(r *run, s *state) {
	if v := strings.TrimSpace(in.terminate.value(s)); v == "yes" || v == "true" || v == "1" {
		expr.Fail("Processing terminated by xsl:message")
	}
}

// sortKey is an xsl:sort.
type sortKey struct {
	sel                        expr.Expr
	dataType, order, caseOrder avt
	lang, two                  bool
}

// sortValue is what a node is sorted by.
type sortValue struct {
	num  float64
	text string
}

// sorted sorts nodes; the list that it gets is not changed.
func (r *run) sorted(s *state, nodes []*tree.Node, keys []sortKey) []*tree.Node {
	if len(keys) == 0 || len(nodes) < 2 {
		return nodes
	}
	out := make([]*tree.Node, len(nodes))
	for i, at := range r.sort(s, nodes, keys, nil) {
		out[i] = nodes[at]
	}
	return out
}

// sort returns the places of nodes in their order (section 10). prepare, if there,
// changes the context of the ith.
func (r *run) sort(s *state, nodes []*tree.Node, keys []sortKey, prepare func(c *expr.Context, i int)) []int {
	by := make([]ordering, len(keys))
	for k := range keys {
		by[k] = keys[k].ordering(s)
	}
	order := make([]int, len(nodes))
	values := make([]sortValue, len(nodes)*len(keys))
	c := s.Context
	c.Size = len(nodes)
	for i, n := range nodes {
		r.env.Tick(1)
		c.Node, c.Current, c.Pos = n, n, i+1
		if prepare != nil {
			prepare(&c, i)
		}
		order[i] = i
		for k := range keys {
			v, to := expr.Eval(keys[k].sel, &c), &values[i*len(keys)+k]
			by[k].numeric = by[k].numeric && (!by[k].typed || isNumber(v))
			if by[k].numeric {
				to.num = v.Number()
			}
			if !by[k].numeric || by[k].typed {
				to.text = v.Text()
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		r.env.Tick(1)
		for k := range by {
			if d := by[k].compare(&values[a*len(keys)+k], &values[b*len(keys)+k]); d != 0 {
				return d
			}
		}
		return 0
	})
	return order
}

// ordering is how the values of a key compare.
type ordering struct {
	sign    int
	numeric bool
	typed   bool // numeric only as long as all values are numbers, as in 2.0
	fold    bool // letters first without their case
	lower   int  // 1: small letters before their capitals, else -1
}

func (k *sortKey) ordering(s *state) ordering {
	o := ordering{sign: 1, lower: 1}
	switch v := k.order.value(s); v {
	case "", "ascending":
	case "descending":
		o.sign = -1
	default:
		expr.Fail("order %q of xsl:sort is not ascending or descending", v)
	}
	switch typ := k.dataType.value(s); typ {
	case "number":
		o.numeric = true
	case "":
		o.numeric, o.typed = k.two, k.two
	case "text":
	default:
		expr.Fail("data-type %q of xsl:sort is not text or number", typ)
	}
	caseOrder := k.caseOrder.value(s)
	o.fold = caseOrder != "" || k.lang
	if caseOrder == "upper-first" {
		o.lower = -1
	}
	return o
}

func (o *ordering) compare(a, b *sortValue) int {
	if o.numeric {
		return o.sign * cmp.Compare(a.num, b.num) // NaN comes first
	}
	if o.fold {
		if d := strings.Compare(strings.ToLower(a.text), strings.ToLower(b.text)); d != 0 {
			return o.sign * d
		}
		return o.sign * o.lower * strings.Compare(b.text, a.text) // capitals are first in Unicode
	}
	return o.sign * strings.Compare(a.text, b.text)
}

// isNumber reports whether a value is a number by its type.
func isNumber(v expr.Value) bool {
	if list := v.Nodes(); len(list) == 1 {
		return list[0].Kind == tree.Atom && list[0].Number
	}
	return v.Kind() == expr.Number
}

// key is all xsl:key of one name.
type key struct{ patterns []keyPattern }

type keyPattern struct {
	match []*expr.Pattern
	use   expr.Expr
}

type keyOf struct {
	key  int
	root *tree.Node
}

// key looks nodes up, and indexes their document on first use (section 12.2).
func (r *run) key(key int, of *tree.Node, value string) []*tree.Node {
	at := keyOf{key, of.Root()}
	index, ok := r.keys[at]
	if !ok {
		if r.keys == nil {
			r.keys = map[keyOf]map[string][]*tree.Node{}
		}
		r.keys[at] = nil // for a key that uses itself
		index = map[string][]*tree.Node{}
		for n := at.root; n != nil; n = n.Following(at.root) {
			r.index(index, r.sheet.keys[key], n)
			for _, a := range n.Attrs {
				r.index(index, r.sheet.keys[key], a)
			}
		}
		r.keys[at] = index
	}
	return index[value]
}

func (r *run) index(index map[string][]*tree.Node, k *key, n *tree.Node) {
	c := &expr.Context{Env: &r.env, Node: n, Current: n, Pos: 1, Size: 1}
	if r.sheet.frameSize > 0 {
		c.Locals = make([]expr.Value, r.sheet.frameSize)
	}
	add := func(value string) {
		list := index[value]
		if len(list) == 0 || list[len(list)-1] != n {
			index[value] = append(list, n)
		}
	}
	for i := range k.patterns {
		p := &k.patterns[i]
		if !slices.ContainsFunc(p.match, func(m *expr.Pattern) bool { return m.Match(c, n) }) {
			continue
		}
		v := expr.Eval(p.use, c)
		if v.Kind() != expr.Nodes {
			add(v.Text())
			continue
		}
		for _, u := range v.Nodes() {
			add(u.Text())
		}
	}
}

// spaceRule is one name of xsl:strip-space or xsl:preserve-space.
type spaceRule struct {
	strip, anyName, anySpace bool
	name                     tree.Name
	priority                 float64
}

// strip returns what decides where white space is dropped (section 3.4); nil keeps it.
func (s *Stylesheet) strip() func(tree.Name) bool {
	if !slices.ContainsFunc(s.spaces, func(r spaceRule) bool { return r.strip }) {
		return nil
	}
	return func(n tree.Name) bool {
		best, strip := math.Inf(-1), false
		for _, r := range s.spaces {
			if r.priority >= best && (r.anyName || r.name.Local == n.Local) && (r.anySpace || r.name.Space == n.Space) {
				best, strip = r.priority, r.strip
			}
		}
		return strip
	}
}
