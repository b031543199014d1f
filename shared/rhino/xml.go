package rhino

import (
	"errors"
	"strconv"
	"strings"

	"github.com/beevik/etree"
	"github.com/dop251/goja"
)

// maxXMLDepth is how deep XML text may be nested.
const maxXMLDepth = 500

// XML is an E4X XML object or XMLList: a list of nodes of one document. It is a
// goja.DynamicObject.
type XML struct {
	r     *Runtime
	doc   *XMLDocument
	nodes []node
	list  bool // an XMLList, even of one node

	// What an assignment to an empty list creates: a child or attribute name
	// of the element target.
	target *etree.Element
	name   string
}

// XMLDocument is what XML objects of one text share.
type XMLDocument struct {
	root    *XML
	changed bool
}

// Changed reports whether a script changed the document since it was parsed.
func (d *XMLDocument) Changed() bool { return d.changed }

// Saved forgets that the document was changed.
func (d *XMLDocument) Saved() { d.changed = false }

// String is the document's text, indented as toXMLString does.
func (d *XMLDocument) String() string { return d.root.markup() }

// node is an element, text, comment or processing instruction, or the attribute
// attr of owner.
type node struct {
	tok   etree.Token
	owner *etree.Element
	attr  string
}

func (n node) element() *etree.Element {
	el, _ := n.tok.(*etree.Element)
	return el
}

// ParseXML returns the XML object of a text and its document. It throws
// TypeError for text that is no XML.
func (r *Runtime) ParseXML(text string) (*goja.Object, *XMLDocument) {
	nodes, err := parseNodes(text)
	if err != nil {
		r.Throw("TypeError", "error parsing XML: "+err.Error())
	}
	doc := &XMLDocument{}
	doc.root = &XML{r: r, doc: doc, nodes: nodes, list: len(nodes) > 1}
	return r.NewDynamicObject(doc.root), doc
}

// parseNodes parses a document, plain text, or a sequence of elements.
func parseNodes(text string) ([]node, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if text == "" {
		return nil, nil
	}
	if !strings.HasPrefix(text, "<") {
		return []node{{tok: etree.NewText(text)}}, nil
	}
	doc := etree.NewDocument()
	doc.ReadSettings.MaxDepth = maxXMLDepth
	doc.ReadSettings.ValidateInput = false
	if err := doc.ReadFromString(text); err != nil {
		return nil, err
	}
	var nodes []node
	for _, t := range doc.Child {
		switch t := t.(type) {
		case *etree.Directive:
			return nil, errors.New("a document type is not allowed")
		case *etree.Element:
			clean(t)
			nodes = append(nodes, node{tok: t})
		}
	}
	if nodes == nil {
		return nil, errors.New("no element")
	}
	return nodes, nil
}

// clean drops comments and processing instructions, as E4X does by default.
func clean(el *etree.Element) {
	for i := len(el.Child) - 1; i >= 0; i-- {
		switch t := el.Child[i].(type) {
		case *etree.Element:
			clean(t)
		case *etree.Comment, *etree.ProcInst:
			el.RemoveChildAt(i)
		}
	}
}

// xmlTypes keeps the constructors of one runtime.
type xmlTypes struct{ xml, list goja.Value }

func (r *Runtime) xmlConstructor(name string) goja.Value {
	if r.xml == nil {
		r.xml = &xmlTypes{}
	}
	at := &r.xml.xml
	if name == "XMLList" {
		at = &r.xml.list
	}
	if *at == nil {
		*at = r.ToValue(func(call goja.ConstructorCall) *goja.Object { return r.newXML(name, call.Argument(0)) })
	}
	return *at
}

func (r *Runtime) newXML(name string, v goja.Value) *goja.Object {
	if x := asXML(v); x != nil {
		return r.NewDynamicObject(x.copy())
	}
	text := ""
	if !goja.IsUndefined(v) && !goja.IsNull(v) {
		text = v.String()
	}
	nodes, err := parseNodes(text)
	if err == nil && name == "XML" && len(nodes) > 1 {
		err = errors.New("the markup in the document following the root element must be well-formed")
	}
	if err != nil {
		r.Throw("TypeError", "error parsing XML: "+err.Error())
	}
	return r.NewDynamicObject(r.detached(nodes, name == "XMLList"))
}

func (r *Runtime) detached(nodes []node, list bool) *XML {
	doc := &XMLDocument{}
	doc.root = &XML{r: r, doc: doc, nodes: nodes, list: list}
	return doc.root
}

func asXML(v goja.Value) *XML {
	if o, ok := v.(*goja.Object); ok {
		x, _ := o.Export().(*XML)
		return x
	}
	return nil
}

func (x *XML) copy() *XML {
	nodes := make([]node, len(x.nodes))
	for i, n := range x.nodes {
		nodes[i] = n.copy()
	}
	return x.r.detached(nodes, x.list)
}

func (n node) copy() node {
	switch t := n.tok.(type) {
	case *etree.Element:
		return node{tok: t.Copy()}
	case *etree.CharData:
		return node{tok: etree.NewText(t.Data)}
	case *etree.Comment:
		return node{tok: etree.NewComment(t.Data)}
	}
	return node{tok: etree.NewText(n.text())}
}

// sub returns an object for nodes of the same document.
func (x *XML) sub(nodes []node, list bool) *goja.Object {
	return x.r.NewDynamicObject(&XML{r: x.r, doc: x.doc, nodes: nodes, list: list})
}

// Length is the number of nodes.
func (x *XML) Length() int { return len(x.nodes) }

// Get implements goja.DynamicObject: children by name, attributes as @name,
// descendants as ..name, items by number. A name that no child has may be a
// method.
func (x *XML) Get(key string) goja.Value {
	switch key {
	case "toString", "valueOf", "toJSON":
		return x.method("toString")
	case "constructor", "__proto__", "prototype":
		return nil
	}
	if i, err := strconv.Atoi(key); err == nil {
		if i < 0 || i >= len(x.nodes) {
			return goja.Undefined()
		}
		return x.sub(x.nodes[i:i+1], false)
	}
	found := x.find(key)
	if len(found) == 0 && isXMLMethod(key) {
		return x.method(key)
	}
	out := &XML{r: x.r, doc: x.doc, nodes: found, list: true, name: key}
	if len(x.nodes) == 1 {
		out.target = x.nodes[0].element()
	}
	return x.r.NewDynamicObject(out)
}

// find returns the nodes that a property key selects.
func (x *XML) find(key string) []node {
	var found []node
	for _, n := range x.nodes {
		el := n.element()
		if el == nil {
			continue
		}
		switch {
		case strings.HasPrefix(key, "..@"):
			found = attributesBeneath(found, el, key[3:])
		case strings.HasPrefix(key, ".."):
			found = descendants(found, el, key[2:])
		case strings.HasPrefix(key, "@"):
			found = attributes(found, el, key[1:])
		case key == "*":
			found = childNodes(found, el)
		default:
			found = elements(found, el, key)
		}
	}
	return found
}

func attributes(found []node, el *etree.Element, name string) []node {
	for i := range el.Attr {
		a := &el.Attr[i]
		if a.Space == "xmlns" || a.Space == "" && a.Key == "xmlns" {
			continue
		}
		if name == "*" || a.Key == name || a.FullKey() == name {
			found = append(found, node{owner: el, attr: a.FullKey()})
		}
	}
	return found
}

func attributesBeneath(found []node, el *etree.Element, name string) []node {
	found = attributes(found, el, name)
	for _, c := range el.ChildElements() {
		found = attributesBeneath(found, c, name)
	}
	return found
}

func descendants(found []node, el *etree.Element, name string) []node {
	for _, c := range el.ChildElements() {
		if matches(c, name) {
			found = append(found, node{tok: c})
		}
		found = descendants(found, c, name)
	}
	return found
}

func elements(found []node, el *etree.Element, name string) []node {
	for _, c := range el.ChildElements() {
		if matches(c, name) {
			found = append(found, node{tok: c})
		}
	}
	return found
}

// matches compares without regard to namespaces unless name has a prefix.
func matches(el *etree.Element, name string) bool {
	return name == "*" || el.Tag == name || el.Space != "" && el.FullTag() == name
}

// childNodes are all children but white space between elements.
func childNodes(found []node, el *etree.Element) []node {
	for _, t := range el.Child {
		if c, ok := t.(*etree.CharData); ok && c.IsWhitespace() {
			continue
		}
		found = append(found, node{tok: t})
	}
	return found
}

// Has implements goja.DynamicObject.
func (x *XML) Has(key string) bool {
	if i, err := strconv.Atoi(key); err == nil {
		return i >= 0 && i < len(x.nodes)
	}
	return len(x.find(key)) > 0
}

// Keys implements goja.DynamicObject: the indexes of a list.
func (x *XML) Keys() []string {
	keys := make([]string, len(x.nodes))
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}

// Set implements goja.DynamicObject.
func (x *XML) Set(key string, v goja.Value) bool {
	x.doc.changed = true
	if i, err := strconv.Atoi(key); err == nil {
		return x.setItem(i, v)
	}
	el := x.only()
	if el == nil {
		return false
	}
	if name, ok := strings.CutPrefix(key, "@"); ok {
		el.CreateAttr(name, v.String())
		return true
	}
	old := elements(nil, el, key)
	if len(old) == 0 {
		old = []node{{tok: el.CreateElement(key)}}
	}
	for _, n := range old[1:] {
		n.element().Remove()
	}
	assign(old[0], v)
	return true
}

// only is the one element that the object stands for. An empty list that was
// asked for by name is created.
func (x *XML) only() *etree.Element {
	if len(x.nodes) == 1 {
		return x.nodes[0].element()
	}
	if len(x.nodes) > 1 || x.target == nil || strings.HasPrefix(x.name, "@") || strings.HasPrefix(x.name, ".") {
		return nil
	}
	el := x.target.CreateElement(x.name)
	x.nodes = []node{{tok: el}}
	return el
}

func (x *XML) setItem(i int, v goja.Value) bool {
	switch {
	case i >= 0 && i < len(x.nodes):
		assign(x.nodes[i], v)
		return true
	case i == len(x.nodes) && x.target != nil && !strings.HasPrefix(x.name, "@"):
		n := node{tok: x.target.CreateElement(x.name)}
		assign(n, v)
		x.nodes = append(x.nodes, n)
		return true
	}
	return false
}

// assign replaces what a node holds: by XML, the node itself.
func assign(n node, v goja.Value) {
	el := n.element()
	if x := asXML(v); x != nil && el != nil && len(x.nodes) > 0 && x.nodes[0].element() != nil {
		parent, at := el.Parent(), el.Index()
		el.Remove()
		for i, c := range x.nodes {
			parent.InsertChildAt(at+i, c.copy().tok)
		}
		return
	}
	switch {
	case el != nil:
		for _, c := range append([]etree.Token(nil), el.Child...) {
			el.RemoveChild(c)
		}
		if s := v.String(); s != "" {
			el.SetText(s)
		}
	case n.attr != "":
		n.owner.CreateAttr(n.attr, v.String())
	default:
		if c, ok := n.tok.(*etree.CharData); ok {
			c.SetData(v.String())
		}
	}
}

// Delete implements goja.DynamicObject.
func (x *XML) Delete(key string) bool {
	x.doc.changed = true
	if i, err := strconv.Atoi(key); err == nil {
		if i >= 0 && i < len(x.nodes) {
			x.nodes[i].remove()
		}
		return true
	}
	for _, n := range x.find(key) {
		n.remove()
	}
	return true
}

func (n node) remove() {
	if n.attr != "" {
		n.owner.RemoveAttr(n.attr)
		return
	}
	if p := n.tok.Parent(); p != nil {
		p.RemoveChild(n.tok)
	}
}

// String is toString: the text of simple content, else the markup.
func (x *XML) String() string {
	if !x.simple() {
		return x.markup()
	}
	var b strings.Builder
	for _, n := range x.nodes {
		if _, comment := n.tok.(*etree.Comment); !comment {
			b.WriteString(n.text())
		}
	}
	return b.String()
}

func (x *XML) simple() bool {
	for _, n := range x.nodes {
		if el := n.element(); el != nil && (len(x.nodes) > 1 || len(el.ChildElements()) > 0) {
			return false
		}
	}
	return true
}

// text is the text of a node.
func (n node) text() string {
	switch t := n.tok.(type) {
	case *etree.Element:
		var b strings.Builder
		for _, c := range t.Child {
			if d, ok := c.(*etree.CharData); ok {
				b.WriteString(d.Data)
			}
		}
		return b.String()
	case *etree.CharData:
		return t.Data
	case *etree.Comment:
		return t.Data
	case *etree.ProcInst:
		return t.Inst
	}
	if n.owner != nil {
		return n.owner.SelectAttrValue(n.attr, "")
	}
	return ""
}

// forEachValues is what a for each loop runs over.
func (r *Runtime) forEachValues(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	var values []any
	if x := asXML(v); x != nil {
		for i := range x.nodes {
			values = append(values, x.sub(x.nodes[i:i+1], false))
		}
		return r.NewArray(values...)
	}
	if goja.IsUndefined(v) || goja.IsNull(v) {
		return r.NewArray()
	}
	o := v.ToObject(r.Runtime)
	for _, k := range o.Keys() {
		values = append(values, o.Get(k))
	}
	return r.NewArray(values...)
}
