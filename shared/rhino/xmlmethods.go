package rhino

import (
	"strconv"
	"strings"

	"github.com/beevik/etree"
	"github.com/dop251/goja"
)

type xmlMethod func(x *XML, call goja.FunctionCall) goja.Value

// isXMLMethod reports whether name is a method of XML objects.
func isXMLMethod(name string) bool {
	_, ok := xmlMethodTable(name)
	return ok
}

// xmlMethodTable finds a method. It is a switch, not a map: the methods refer
// back to it.
func xmlMethodTable(name string) (xmlMethod, bool) {
	switch name {
	case "toString", "valueOf", "toJSON":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.ToValue(x.String()) }, true
	case "toXMLString":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.ToValue(x.markup()) }, true
	case "length":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.ToValue(len(x.nodes)) }, true
	case "children":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.sub(x.find("*"), true) }, true
	case "child", "elements", "attribute", "attributes", "descendants":
		return selecting(name), true
	case "text", "comments", "processingInstructions":
		return filtering(name), true
	case "name", "localName", "namespace", "nodeKind", "childIndex":
		return describing(name), true
	case "hasSimpleContent":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.ToValue(x.simple()) }, true
	case "hasComplexContent":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.ToValue(!x.simple()) }, true
	case "parent":
		return (*XML).parent, true
	case "copy":
		return func(x *XML, _ goja.FunctionCall) goja.Value { return x.r.NewDynamicObject(x.copy()) }, true
	case "contains":
		return (*XML).contains, true
	case "normalize":
		return func(_ *XML, call goja.FunctionCall) goja.Value { return call.This }, true
	case "appendChild", "prependChild", "insertChildBefore", "insertChildAfter", "setChildren", "replace", "setName", "setLocalName":
		return changing(name), true
	}
	return nil, false
}

// method returns a method bound to x.
func (x *XML) method(name string) goja.Value {
	m, ok := xmlMethodTable(name)
	if !ok {
		return nil
	}
	return x.r.Function(func(call goja.FunctionCall) goja.Value { return m(x, call) })
}

// methodView shows the methods of an XML object and not its children.
type methodView struct{ x *XML }

func (m methodView) Get(name string) goja.Value     { return m.x.method(name) }
func (m methodView) Set(string, goja.Value) bool    { return false }
func (m methodView) Has(name string) bool           { return isXMLMethod(name) }
func (m methodView) Delete(string) bool             { return false }
func (m methodView) Keys() []string                 { return nil }
func (r *Runtime) methods(x *XML) *goja.Object      { return r.NewDynamicObject(methodView{x}) }
func argument(call goja.FunctionCall, i int) string { return call.Argument(i).String() }

// xmlMethods is what x.name(...) is rewritten to use: the methods of an XML
// object, any other value itself.
func (r *Runtime) xmlMethods(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	if x := asXML(v); x != nil {
		return r.methods(x)
	}
	return v
}

func selecting(name string) xmlMethod {
	return func(x *XML, call goja.FunctionCall) goja.Value {
		arg := "*"
		if len(call.Arguments) > 0 {
			arg = argument(call, 0)
		}
		switch name {
		case "attribute", "attributes":
			arg = "@" + strings.TrimPrefix(arg, "@")
		case "descendants":
			arg = ".." + arg
		case "elements":
			if arg == "*" {
				return x.sub(onlyElements(x.find("*")), true)
			}
		case "child":
			if i, err := strconv.Atoi(arg); err == nil {
				return x.childAt(i)
			}
		}
		return x.sub(x.find(arg), true)
	}
}

func onlyElements(nodes []node) []node {
	var out []node
	for _, n := range nodes {
		if n.element() != nil {
			out = append(out, n)
		}
	}
	return out
}

func (x *XML) childAt(i int) goja.Value {
	all := x.find("*")
	if i < 0 || i >= len(all) {
		return x.sub(nil, true)
	}
	return x.sub(all[i:i+1], true)
}

func filtering(name string) xmlMethod {
	return func(x *XML, _ goja.FunctionCall) goja.Value {
		var out []node
		for _, n := range x.find("*") {
			var ok bool
			switch n.tok.(type) {
			case *etree.CharData:
				ok = name == "text"
			case *etree.Comment:
				ok = name == "comments"
			case *etree.ProcInst:
				ok = name == "processingInstructions"
			}
			if ok {
				out = append(out, n)
			}
		}
		return x.sub(out, true)
	}
}

func describing(name string) xmlMethod {
	return func(x *XML, _ goja.FunctionCall) goja.Value {
		if len(x.nodes) == 0 {
			return goja.Undefined()
		}
		n := x.nodes[0]
		el := n.element()
		switch name {
		case "nodeKind":
			return x.r.ToValue(n.kind())
		case "childIndex":
			return x.r.ToValue(n.index())
		case "namespace":
			if el == nil {
				return goja.Null()
			}
			return x.r.ToValue(el.NamespaceURI())
		}
		if el != nil {
			return x.r.ToValue(el.Tag)
		}
		if n.attr != "" {
			return x.r.ToValue(n.attr[strings.IndexByte(n.attr, ':')+1:])
		}
		return goja.Null()
	}
}

func (n node) kind() string {
	switch n.tok.(type) {
	case *etree.Element:
		return "element"
	case *etree.CharData:
		return "text"
	case *etree.Comment:
		return "comment"
	case *etree.ProcInst:
		return "processing-instruction"
	}
	return "attribute"
}

// index is the place among the siblings that children() lists.
func (n node) index() int {
	if n.tok == nil || n.tok.Parent() == nil {
		return -1
	}
	for i, s := range childNodes(nil, n.tok.Parent()) {
		if s.tok == n.tok {
			return i
		}
	}
	return -1
}

func (x *XML) parent(goja.FunctionCall) goja.Value {
	if len(x.nodes) == 0 {
		return goja.Undefined()
	}
	n := x.nodes[0]
	p := n.owner
	if p == nil {
		p = n.tok.Parent()
	}
	if p == nil || p.Tag == "" { // the document itself
		return goja.Undefined()
	}
	return x.sub([]node{{tok: p}}, false)
}

func (x *XML) contains(call goja.FunctionCall) goja.Value {
	other := asXML(call.Argument(0))
	for _, n := range x.nodes {
		one := &XML{nodes: []node{n}}
		if other != nil && one.markup() == other.markup() || other == nil && n.text() == argument(call, 0) {
			return x.r.ToValue(true)
		}
	}
	return x.r.ToValue(false)
}

func changing(name string) xmlMethod {
	return func(x *XML, call goja.FunctionCall) goja.Value {
		el := x.only()
		if el == nil {
			x.r.Throw("TypeError", name+" works on a single element only.")
		}
		x.doc.changed = true
		switch name {
		case "setName", "setLocalName":
			el.Tag = argument(call, 0)
		case "appendChild":
			insert(el, len(el.Child), call.Argument(0))
		case "prependChild":
			insert(el, 0, call.Argument(0))
		case "insertChildBefore", "insertChildAfter":
			x.insertBeside(el, call, name == "insertChildAfter")
		case "setChildren":
			for _, c := range append([]etree.Token(nil), el.Child...) {
				el.RemoveChild(c)
			}
			insert(el, 0, call.Argument(0))
		case "replace":
			x.replace(el, call)
		}
		return call.This
	}
}

// insert puts a value in front of the at-th child.
func insert(el *etree.Element, at int, v goja.Value) {
	if x := asXML(v); x != nil {
		for i, n := range x.nodes {
			el.InsertChildAt(at+i, n.copy().tok)
		}
		return
	}
	el.InsertChildAt(at, etree.NewText(v.String()))
}

func (x *XML) insertBeside(el *etree.Element, call goja.FunctionCall, after bool) {
	beside := asXML(call.Argument(0))
	at := len(el.Child)
	if after {
		at = 0
	}
	if beside != nil && len(beside.nodes) > 0 && beside.nodes[0].tok != nil && beside.nodes[0].tok.Parent() == el {
		at = beside.nodes[0].tok.Index()
		if after {
			at++
		}
	}
	insert(el, at, call.Argument(1))
}

func (x *XML) replace(el *etree.Element, call goja.FunctionCall) {
	found := x.find(argument(call, 0))
	if i, err := strconv.Atoi(argument(call, 0)); err == nil {
		found = nil
		if all := x.find("*"); i >= 0 && i < len(all) {
			found = all[i : i+1]
		}
	}
	if len(found) == 0 || found[0].tok == nil {
		return
	}
	at := found[0].tok.Index()
	for _, n := range found {
		n.remove()
	}
	insert(el, at, call.Argument(1))
}

// markup is toXMLString: indented by two blanks, as E4X prints by default.
func (x *XML) markup() string {
	parts := make([]string, len(x.nodes))
	for i, n := range x.nodes {
		var b strings.Builder
		n.write(&b, 0)
		parts[i] = b.String()
	}
	return strings.Join(parts, "\n")
}

func (n node) write(b *strings.Builder, depth int) {
	switch t := n.tok.(type) {
	case *etree.Element:
		writeElement(b, t, depth)
	case *etree.CharData:
		b.WriteString(textEscaper.Replace(strings.TrimSpace(t.Data)))
	case *etree.Comment:
		b.WriteString("<!--" + t.Data + "-->")
	case *etree.ProcInst:
		b.WriteString("<?" + t.Target + " " + t.Inst + "?>")
	default:
		b.WriteString(n.text())
	}
}

var (
	textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	attrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\n", "&#xA;", "\r", "&#xD;", "\t", "&#x9;")
)

func writeElement(b *strings.Builder, el *etree.Element, depth int) {
	b.WriteString("<" + el.FullTag())
	for _, a := range el.Attr {
		b.WriteString(" " + a.FullKey() + `="` + attrEscaper.Replace(a.Value) + `"`)
	}
	kids := childNodes(nil, el)
	switch {
	case len(kids) == 0:
		b.WriteString("/>")
		return
	case len(kids) == 1 && kids[0].kind() == "text":
		b.WriteString(">" + textEscaper.Replace(kids[0].text()))
	default:
		b.WriteString(">")
		for _, k := range kids {
			b.WriteString("\n" + strings.Repeat("  ", depth+1))
			k.write(b, depth+1)
		}
		b.WriteString("\n" + strings.Repeat("  ", depth))
	}
	b.WriteString("</" + el.FullTag() + ">")
}
