package xslt

import (
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// content compiles the instructions in an element; params says that xsl:param may
// come first. Variables end with it.
func (c *compiler) content(st *static, parent *tree.Node, params bool) block {
	return c.sequence(st, parent, parent.First, params)
}

// sequence compiles the nodes from n on.
func (c *compiler) sequence(st *static, parent, n *tree.Node, params bool) block {
	vars, next := len(c.frame.vars), c.frame.next
	var out block
	for ; n != nil; n = n.Next {
		switch n.Kind {
		case tree.Text:
			out = append(out, located{int(parent.Line), &textInstr{text: n.Data}})
			params = false
		case tree.Element:
			if isXSL(n, "param") {
				if !params {
					c.errorf(n, "<%s> must come first in a template", n.QName())
				}
			} else {
				params = false
			}
			if in := c.instruction(c.with(st, n), n); in != nil {
				out = append(out, located{int(n.Line), in})
			}
		}
	}
	c.frame.vars, c.frame.next = c.frame.vars[:vars], next
	return out
}

// instructions compile the elements of XSLT that stand in templates. It is a function
// for the table refers to what refers to it.
func (c *compiler) instructions(local string) func(*static, *tree.Node) instr {
	switch local {
	case "apply-imports":
		return c.applyImports
	case "apply-templates":
		return c.applyTemplates
	case "attribute":
		return c.attribute
	case "call-template":
		return c.callTemplate
	case "choose":
		return c.choose
	case "comment":
		return c.comment
	case "copy":
		return c.copy
	case "copy-of":
		return c.copyOf
	case "element":
		return c.element
	case "fallback":
		return func(*static, *tree.Node) instr { return nil }
	case "for-each":
		return c.forEach
	case "for-each-group":
		return c.forEachGroup
	case "if":
		return c.ifInstr
	case "message":
		return c.message
	case "namespace":
		return c.namespace
	case "number":
		return c.number
	case "processing-instruction":
		return c.processingInstruction
	case "sequence":
		return c.sequenceInstr
	case "text":
		return c.text
	case "value-of":
		return c.valueOf
	case "variable", "param":
		return c.local
	}
	return nil
}

func (c *compiler) instruction(st *static, n *tree.Node) instr {
	switch {
	case n.Name.Space == Space:
		if f := c.instructions(n.Name.Local); f != nil {
			return f(st, n)
		}
		return c.fallback(st, n, func() { c.unsupported(n) })
	case slices.Contains(st.ext, n.Name.Space):
		return c.fallback(st, n, func() { c.errorf(n, "extension element <%s> is not supported", n.QName()) })
	}
	return c.literal(st, n)
}

// fallback compiles the xsl:fallback of an element that is not known (section 15).
func (c *compiler) fallback(st *static, n *tree.Node, without func()) instr {
	var out block
	found := false
	for k := n.First; k != nil; k = k.Next {
		if isXSL(k, "fallback") {
			found = true
			out = append(out, c.content(c.with(st, k), k, false)...)
		}
	}
	if !found {
		without()
		return nil
	}
	return out
}

// empty refuses content.
func (c *compiler) empty(n *tree.Node) {
	for k := n.First; k != nil; k = k.Next {
		if k.Kind == tree.Text || k.Kind == tree.Element && !isXSL(k, "fallback") {
			c.errorf(n, "<%s> must be empty", n.QName())
			return
		}
	}
}

// literal compiles a literal result element (section 7.1.1).
func (c *compiler) literal(st *static, n *tree.Node) instr {
	st = c.with(st, n)
	e := &literalElement{name: n.Name, prefix: n.Prefix}
	if a, ok := c.aliases[n.Name.Space]; ok {
		e.name.Space, e.prefix = a.uri, a.prefix
	}
	n.Scope.Each(func(prefix, uri string) {
		if uri == Space || slices.Contains(st.excluded, uri) || slices.Contains(st.ext, uri) {
			return
		}
		if a, ok := c.aliases[uri]; ok {
			prefix, uri = a.prefix, a.uri
		}
		e.spaces = append(e.spaces, tree.Scope{Prefix: prefix, URI: uri})
	})
	for _, a := range n.Attrs {
		if a.Name.Space == Space {
			switch a.Name.Local {
			case "use-attribute-sets":
				c.use(n, a.Data, &e.sets)
			case "inherit-namespaces", "type", "validation":
				if a.Data != "yes" && a.Data != "strip" {
					c.errorf(n, "attribute %s of XSLT 2.0 is not supported", a.QName())
				}
			default:
				if !slices.Contains(standard, a.Name.Local) {
					c.errorf(n, "attribute %s is not allowed here", a.QName())
				}
			}
			continue
		}
		la := literalAttr{name: a.Name, prefix: a.Prefix, value: c.avt(st, n, a.Data)}
		if al, ok := c.aliases[a.Name.Space]; ok && a.Name.Space != "" {
			la.name.Space, la.prefix = al.uri, al.prefix
		}
		e.attrs = append(e.attrs, la)
	}
	e.body = c.content(st, n, false)
	return e
}

// avt compiles an attribute value template (section 7.6.2).
func (c *compiler) avt(st *static, n *tree.Node, src string) avt {
	var out avt
	text := ""
	flush := func() {
		if text != "" {
			out.parts = append(out.parts, avtPart{text: text})
			text = ""
		}
	}
	out.two = st.two()
	for src != "" {
		i := strings.IndexAny(src, "{}")
		if i < 0 {
			text += src
			break
		}
		text += src[:i]
		src = src[i:]
		if strings.HasPrefix(src, "{{") || strings.HasPrefix(src, "}}") {
			text += src[:1]
			src = src[2:]
			continue
		}
		if src[0] == '}' {
			c.errorf(n, "} without { in an attribute value template")
			break
		}
		end := closing(src)
		if end < 0 {
			c.errorf(n, "{ without } in an attribute value template")
			break
		}
		flush()
		out.parts = append(out.parts, avtPart{e: c.expr(st, n, src[1:end])})
		src = src[end+1:]
	}
	flush()
	return out
}

// closing finds the } that ends an expression, not in a string.
func closing(src string) int {
	var quote byte
	for i := 1; i < len(src); i++ {
		switch ch := src[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '"' || ch == '\'':
			quote = ch
		case ch == '}':
			return i
		}
	}
	return -1
}

// only refuses children other than those of the given names, and sequence
// constructors.
func (c *compiler) only(n *tree.Node, names ...string) {
	for k := n.First; k != nil; k = k.Next {
		if k.Kind == tree.Text || k.Kind == tree.Element && !(k.Name.Space == Space && (slices.Contains(names, k.Name.Local) || k.Name.Local == "fallback")) {
			c.errorf(n, "<%s> may hold only <xsl:%s>", n.QName(), strings.Join(names, "> and <xsl:"))
			return
		}
	}
}

func (c *compiler) applyImports(st *static, n *tree.Node) instr {
	c.take(st, n)
	// Nothing can be imported: the built-in rule is all that there is.
	return &applyBuiltin{params: c.withParams(st, n)}
}

func (c *compiler) applyTemplates(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select", "mode")
	c.only(n, "sort", "with-param")
	in := &applyTemplates{sorts: c.sorts(st, n), params: c.withParams(st, n)}
	if src, ok := a["select"]; ok {
		in.sel = c.nodes(st, n, src)
	}
	switch m := strings.TrimSpace(a["mode"]); m {
	case "#current":
		in.current = true
	case "":
		in.mode = c.mode(tree.Name{})
	default:
		in.mode = c.mode(c.modeName(n, m))
	}
	return in
}

func (c *compiler) callTemplate(st *static, n *tree.Node) instr {
	a := c.take(st, n, "name!")
	c.only(n, "with-param")
	in := &callTemplate{params: c.withParams(st, n)}
	c.calls = append(c.calls, call{n, c.qname(n, a["name"]), in})
	return in
}

func (c *compiler) withParams(st *static, n *tree.Node) []withParam {
	var out []withParam
	for k := n.First; k != nil; k = k.Next {
		if !isXSL(k, "with-param") {
			continue
		}
		b := c.binding(c.with(st, k), k, false)
		if slices.ContainsFunc(out, func(p withParam) bool { return p.name == b.name }) {
			c.errorf(k, "parameter %s is there twice", b.name)
		}
		out = append(out, withParam{b.name, b})
	}
	return out
}

// binding compiles xsl:variable, xsl:param or xsl:with-param.
func (c *compiler) binding(st *static, n *tree.Node, param bool) binding {
	known := []string{"name!", "select", "as", "tunnel"}
	if n.Name.Local == "param" {
		known = append(known, "required")
	}
	a := c.take(st, n, known...)
	c.fixed(n, a, "tunnel", "no")
	b := binding{name: c.qname(n, a["name"]), line: int(n.Line)}
	b.required = param && c.yes(n, a, "required", false)
	src, selected := a["select"]
	switch {
	case selected && n.First != nil:
		c.errorf(n, "<%s> has both select and content", n.QName())
	case selected:
		b.sel = c.expr(st, n, src)
	case n.First != nil:
		b.body = c.content(st, n, false)
	}
	b.as = c.as(n, a)
	return b
}

// anyNodes is the type of a sequence of nodes, which are not checked.
const anyNodes = "node"

// as compiles the type of a variable, of what is supported: a node test, or a simple
// type that values are cast to, with how many there may be.
func (c *compiler) as(n *tree.Node, a attrs) string {
	src := strings.ReplaceAll(strings.TrimSpace(a["as"]), " ", "")
	if src == "" {
		return ""
	}
	typ := strings.TrimRight(src, "?*+")
	if i := strings.IndexByte(typ, '('); i > 0 {
		switch typ[:i] {
		case "document-node":
			return ""
		case "node", "item", "element", "attribute", "text":
			return anyNodes
		}
	} else if prefix, local, ok := strings.Cut(typ, ":"); ok && len(src)-len(typ) <= 1 {
		if uri, _ := n.Scope.Lookup(prefix); uri == "http://www.w3.org/2001/XMLSchema" && local != "" {
			if _, known := expr.Cast(local, expr.Str("1")); known {
				if n.Name.Local == "template" {
					return ""
				}
				return local + src[len(typ):]
			}
		}
	}
	c.errorf(n, "as=%q of <%s> is not supported", a["as"], n.QName())
	return ""
}

func (c *compiler) sorts(st *static, n *tree.Node) []sortKey {
	var out []sortKey
	for k := n.First; k != nil; k = k.Next {
		if !isXSL(k, "sort") {
			continue
		}
		st := c.with(st, k)
		a := c.take(st, k, "select", "lang", "data-type", "order", "case-order", "stable")
		c.empty(k)
		c.fixed(k, a, "stable", "yes")
		key := sortKey{two: st.two(), dataType: c.avt(st, k, a["data-type"]), order: c.avt(st, k, a["order"]), caseOrder: c.avt(st, k, a["case-order"])}
		_, key.lang = a["lang"]
		src, ok := a["select"]
		if !ok {
			src = "."
		}
		key.sel = c.expr(st, k, src)
		out = append(out, key)
	}
	return out
}

func (c *compiler) forEach(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select!")
	in := &forEach{sel: c.nodes(st, n, a["select"]), sorts: c.sorts(st, n)}
	in.body = c.behindSorts(st, n)
	return in
}

// behindSorts compiles the content of an element that may begin with xsl:sort.
func (c *compiler) behindSorts(st *static, n *tree.Node) block {
	first := n.First
	for first != nil && isXSL(first, "sort") {
		first = first.Next
	}
	for k := first; k != nil; k = k.Next {
		if isXSL(k, "sort") {
			c.errorf(k, "<%s> must come first", k.QName())
		}
	}
	return c.sequence(st, n, first, false)
}

func (c *compiler) ifInstr(st *static, n *tree.Node) instr {
	a := c.take(st, n, "test!")
	return &choose{whens: []when{{c.expr(st, n, a["test"]), c.content(st, n, false)}}}
}

func (c *compiler) choose(st *static, n *tree.Node) instr {
	c.take(st, n)
	c.only(n, "when", "otherwise")
	in := &choose{}
	for k := n.First; k != nil; k = k.Next {
		st := st
		if k.Kind == tree.Element {
			st = c.with(st, k)
		}
		switch {
		case isXSL(k, "when"):
			if in.otherwise != nil {
				c.errorf(k, "<%s> must come before <xsl:otherwise>", k.QName())
			}
			a := c.take(st, k, "test!")
			in.whens = append(in.whens, when{c.expr(st, k, a["test"]), c.content(st, k, false)})
		case isXSL(k, "otherwise"):
			if in.otherwise != nil {
				c.errorf(k, "<%s> is there twice", k.QName())
			}
			c.take(st, k)
			if in.otherwise = c.content(st, k, false); in.otherwise == nil {
				in.otherwise = block{}
			}
		}
	}
	if len(in.whens) == 0 {
		c.errorf(n, "<%s> has no <xsl:when>", n.QName())
	}
	return in
}

func (c *compiler) local(st *static, n *tree.Node) instr {
	param := n.Name.Local == "param"
	b := c.binding(st, n, param)
	return &local{binding: b, param: param, slot: c.frame.declare(b.name)}
}

func (c *compiler) text(st *static, n *tree.Node) instr {
	a := c.take(st, n, "disable-output-escaping")
	in := &textInstr{raw: c.yes(n, a, "disable-output-escaping", false)}
	for k := n.First; k != nil; k = k.Next {
		if k.Kind == tree.Element {
			c.errorf(n, "<%s> holds only text", n.QName())
		}
		if k.Kind == tree.Text {
			in.text += k.Data
		}
	}
	return in
}

func (c *compiler) valueOf(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select", "disable-output-escaping", "separator")
	in := &valueOf{raw: c.yes(n, a, "disable-output-escaping", false)}
	in.text = c.selected(st, n, a)
	return in
}

// selected compiles the text of an instruction: of @select, with @separator, or of
// its content.
func (c *compiler) selected(st *static, n *tree.Node, a attrs) textOf {
	var t textOf
	sep, separated := a["separator"]
	src, ok := a["select"]
	switch {
	case ok && n.First != nil:
		c.errorf(n, "<%s> has both select and content", n.QName())
	case ok:
		t.sel = c.expr(st, n, src)
		t.all = st.two() || separated
		t.separator = avt{parts: []avtPart{{text: " "}}}
		if separated {
			t.separator = c.avt(st, n, sep)
		}
		return t
	case n.Name.Local == "value-of" && n.First == nil && !st.two():
		c.errorf(n, "<%s> has no attribute select", n.QName())
	case separated:
		c.errorf(n, "attribute separator of <%s> without select is not supported", n.QName())
	}
	t.body = c.content(st, n, false)
	return t
}

func (c *compiler) attribute(st *static, n *tree.Node) instr {
	a := c.take(st, n, "name!", "namespace", "select", "separator")
	return &attribute{named: c.named(st, n, a), value: c.selected(st, n, a)}
}

// named compiles the name of an element or attribute that is made.
func (c *compiler) named(st *static, n *tree.Node, a attrs) named {
	out := named{name: c.avt(st, n, a["name"]), scope: n.Scope}
	if ns, ok := a["namespace"]; ok {
		out.hasSpace, out.space = true, c.avt(st, n, ns)
	}
	if text, ok := out.name.constant(); ok {
		if !validQName(text) {
			c.errorf(n, "%q is not a name", text)
		} else if _, ok := resolveQName(n.Scope, text); !ok && !out.hasSpace {
			c.errorf(n, "the prefix of %q is not declared", text)
		}
		if n.Name.Local == "attribute" && text == "xmlns" {
			c.errorf(n, "an attribute cannot be called xmlns")
		}
	}
	return out
}

// validQName reports whether text is a name with at most one prefix.
func validQName(text string) bool {
	prefix, local, ok := strings.Cut(text, ":")
	if !ok {
		return xmltoken.IsName(text)
	}
	return xmltoken.IsName(prefix) && xmltoken.IsName(local) && !strings.Contains(local, ":")
}

func (c *compiler) element(st *static, n *tree.Node) instr {
	a := c.take(st, n, "name!", "namespace", "use-attribute-sets", "inherit-namespaces")
	c.fixed(n, a, "inherit-namespaces", "yes")
	in := &element{named: c.named(st, n, a)}
	c.use(n, a["use-attribute-sets"], &in.sets)
	in.body = c.content(st, n, false)
	return in
}

func (c *compiler) namespace(st *static, n *tree.Node) instr {
	a := c.take(st, n, "name!", "select")
	return &namespace{name: c.avt(st, n, a["name"]), value: c.selected(st, n, a)}
}

func (c *compiler) comment(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select")
	return &comment{value: c.selected(st, n, a)}
}

func (c *compiler) processingInstruction(st *static, n *tree.Node) instr {
	a := c.take(st, n, "name!", "select")
	return &instruction{name: c.avt(st, n, a["name"]), value: c.selected(st, n, a)}
}

func (c *compiler) copy(st *static, n *tree.Node) instr {
	a := c.take(st, n, "use-attribute-sets", "copy-namespaces", "inherit-namespaces")
	c.fixed(n, a, "inherit-namespaces", "yes")
	in := &copyInstr{spaces: c.yes(n, a, "copy-namespaces", true)}
	c.use(n, a["use-attribute-sets"], &in.sets)
	in.body = c.content(st, n, false)
	return in
}

func (c *compiler) copyOf(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select!", "copy-namespaces", "validation")
	c.fixed(n, a, "validation", "strip")
	c.empty(n)
	return &copyOf{sel: c.expr(st, n, a["select"]), spaces: c.yes(n, a, "copy-namespaces", true)}
}

// sequenceInstr compiles xsl:sequence, which is xsl:copy-of in content that makes a
// tree.
func (c *compiler) sequenceInstr(st *static, n *tree.Node) instr {
	a := c.take(st, n, "select!")
	c.empty(n)
	return &copyOf{sel: c.expr(st, n, a["select"]), spaces: true, items: true}
}

func (c *compiler) message(st *static, n *tree.Node) instr {
	a := c.take(st, n, "terminate", "select")
	if _, ok := a["select"]; ok {
		c.expr(st, n, a["select"])
	}
	c.content(st, n, false) // for its errors
	return &message{terminate: c.avt(st, n, a["terminate"])}
}
