package xmltojson

import (
	"bytes"
	"sync"

	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

type kind uint8

const (
	element kind = iota
	attribute
	declaration // of a namespace
	text
	cdata
)

// node is a piece of the document. Nodes refer to each other by their index; 0,
// the document itself, stands for none.
type node struct {
	kind  kind
	blank bool   // text that is white space only
	name  []byte // as written
	data  []byte // of attributes and text, as written
	first int32  // child; of text the piece that continues it
	last  int32
	next  int32 // sibling
	same  int32 // sibling of the same name
	path  *pathNode
}

// converter holds one document.
type converter struct {
	*rules
	scan   xmltoken.Scanner
	nodes  []node
	open   []int32
	groups []group
	names  []byte // of groups
	text   []byte
}

// group is the nodes of one element that become one member.
type group struct {
	from, to    int32 // name
	first, last int32
}

func (g *group) name(c *converter) []byte { return c.names[g.from:g.to] }

var converters = sync.Pool{New: func() any { return new(converter) }}

// maxKept is the largest number of nodes that a converter keeps for later.
const maxKept = 1 << 14

// convert converts a document.
func (r *rules) convert(doc []byte) ([]byte, error) {
	c := converters.Get().(*converter)
	defer c.release()
	c.rules = r
	c.nodes = append(c.nodes[:0], node{path: r.arrays})
	if err := c.parse(doc); err != nil {
		return nil, err
	}
	dst := make([]byte, 0, len(doc)+len(r.prefix)+len(r.suffix)+16)
	dst = append(dst, r.prefix...)
	dst = c.element(dst, c.top())
	return append(dst, r.suffix...), nil
}

// release gives the converter back, without the document.
func (c *converter) release() {
	if cap(c.nodes) > maxKept || cap(c.text) > maxKept || cap(c.names) > maxKept {
		return
	}
	clear(c.nodes)
	c.rules = nil
	c.scan.Reset(nil, 0, 0)
	converters.Put(c)
}

// parse reads the document into nodes.
func (c *converter) parse(doc []byte) error {
	c.scan.Reset(doc, MaxDepth, 0)
	c.open = append(c.open[:0], 0)
	for {
		kind, err := c.scan.Next()
		if err != nil {
			return err
		}
		parent := c.open[len(c.open)-1]
		switch kind {
		case xmltoken.EOF:
			return nil
		case xmltoken.Start:
			c.open = append(c.open, c.start(parent))
		case xmltoken.End:
			c.open = c.open[:len(c.open)-1]
		case xmltoken.Text:
			c.addText(parent, node{kind: text, data: c.scan.Data()})
		case xmltoken.CData:
			c.addText(parent, node{kind: cdata, data: c.scan.Data()})
		}
	}
}

func (c *converter) add(parent int32, n node) int32 {
	i := int32(len(c.nodes))
	c.nodes = append(c.nodes, n)
	p := &c.nodes[parent]
	if p.last == 0 {
		p.first = i
	} else {
		c.nodes[p.last].next = i
	}
	p.last = i
	return i
}

func (c *converter) start(parent int32) int32 {
	el := c.add(parent, node{kind: element, name: c.scan.Name()})
	if above := c.nodes[parent].path; above != nil {
		c.text = c.appendName(c.text[:0], c.scan.Name())
		c.nodes[el].path = above.find(c.text, c.scan.Name())
	}
	for i := range c.scan.Attrs() {
		a := c.scan.Attr(i)
		n := node{kind: attribute, name: a.Name, data: a.Value}
		if bytes.HasPrefix(a.Name, []byte("xmlns")) && (len(a.Name) == 5 || a.Name[5] == ':') && !c.declarations {
			if c.block == "" {
				continue
			}
			n.kind = declaration
		}
		c.add(el, n)
	}
	return el
}

// addText adds text, which continues the text before it.
func (c *converter) addText(parent int32, n node) {
	n.blank = len(bytes.TrimLeft(n.data, " \t\r\n")) == 0
	last := c.nodes[parent].last
	if last == 0 || c.nodes[last].kind < text {
		c.add(parent, n)
		return
	}
	i := int32(len(c.nodes))
	c.nodes = append(c.nodes, n)
	head := &c.nodes[last]
	head.blank = head.blank && n.blank
	if head.last == 0 {
		head.first = i
	} else {
		c.nodes[head.last].first = i
	}
	head.last = i
}

// top returns the element whose content is the result: the document, or what is
// left when outer levels are stripped.
func (c *converter) top() int32 {
	if c.strip == 0 {
		return 0
	}
	level := []int32{0}
	for range c.strip {
		var below []int32
		for _, el := range level {
			for k := c.nodes[el].first; k != 0; k = c.nodes[k].next {
				if c.nodes[k].kind == element {
					below = append(below, k)
				}
			}
		}
		level = below
	}
	switch len(level) {
	case 0:
		return c.join(nil)
	case 1:
		return level[0]
	}
	return c.join(level)
}

// join makes an element of the contents of several.
func (c *converter) join(elements []int32) int32 {
	all := int32(len(c.nodes))
	c.nodes = append(c.nodes, node{})
	for _, el := range elements {
		n, p := c.nodes[el], &c.nodes[all]
		switch {
		case n.first == 0:
			continue
		case p.last == 0:
			p.first = n.first
		default:
			c.nodes[p.last].next = n.first
		}
		p.last = n.last
	}
	return all
}

// element appends the value of an element.
func (c *converter) element(dst []byte, el int32) []byte {
	plain, members := c.survey(el)
	switch {
	case !members && plain == 0 && c.null && el != 0:
		return append(dst, "null"...)
	case !members && plain == 0:
		return append(dst, "{}"...)
	case !members && !c.textAlways:
		return c.scalar(dst, plain)
	}
	base, names := len(c.groups), len(c.names)
	c.group(el, members)
	dst = c.object(dst, base)
	c.groups, c.names = c.groups[:base], c.names[:names]
	return dst
}

// survey says what an element has: the text that is all there is, and whether
// there are attributes or children.
func (c *converter) survey(el int32) (plain int32, members bool) {
	for k := c.nodes[el].first; k != 0; k = c.nodes[k].next {
		switch n := &c.nodes[k]; {
		case n.kind < text:
			return 0, true
		case !n.blank:
			plain = k
		}
	}
	return plain, false
}

// group sorts what an element has into members, in the order in which they first
// occur.
func (c *converter) group(el int32, members bool) {
	base := len(c.groups)
	var index map[string]int32
	for k := c.nodes[el].first; k != 0; k = c.nodes[k].next {
		if c.nodes[k].kind >= text && c.nodes[k].blank && members {
			continue
		}
		c.nodes[k].same = 0
		from := len(c.names)
		c.names = c.appendMember(c.names, &c.nodes[k])
		g := c.find(base, from, &index)
		if g < 0 {
			c.groups = append(c.groups, group{int32(from), int32(len(c.names)), k, k})
			if index != nil {
				index[string(c.names[from:])] = int32(len(c.groups) - 1)
			}
			continue
		}
		c.names = c.names[:from]
		c.nodes[c.groups[g].last].same = k
		c.groups[g].last = k
	}
}

// many is from how many members on names are looked up in a map.
const many = 24

// find returns the group whose name is what names has from from on, or -1.
func (c *converter) find(base, from int, index *map[string]int32) int {
	name := c.names[from:]
	if *index == nil && len(c.groups)-base > many {
		*index = make(map[string]int32, 4*many)
		for i := base; i < len(c.groups); i++ {
			(*index)[string(c.groups[i].name(c))] = int32(i)
		}
	}
	if *index != nil {
		if i, ok := (*index)[string(name)]; ok {
			return int(i)
		}
		return -1
	}
	for i := base; i < len(c.groups); i++ {
		if bytes.Equal(c.groups[i].name(c), name) {
			return i
		}
	}
	return -1
}

// appendMember appends the name of the member that a node belongs to.
func (c *converter) appendMember(dst []byte, n *node) []byte {
	switch {
	case n.kind >= text:
		return append(dst, c.textName...)
	case n.kind == declaration:
		return append(dst, c.block...)
	case n.kind == attribute && c.attrBlock != "":
		return append(dst, c.attrBlock...)
	case n.kind == attribute:
		return c.appendName(append(dst, c.attrPrefix...), n.name)
	}
	return c.appendName(dst, n.name)
}

// appendName appends a name with its prefix, or without.
func (c *converter) appendName(dst, name []byte) []byte {
	i := bytes.IndexByte(name, ':')
	switch {
	case i < 0:
		return append(dst, name...)
	case c.separator == "":
		return append(dst, name[i+1:]...)
	}
	return append(append(append(dst, name[:i]...), c.separator...), name[i+1:]...)
}

func (c *converter) object(dst []byte, base int) []byte {
	if len(c.groups) == base+1 {
		only := c.groups[base].first
		if n := &c.nodes[only]; n.kind == element && n.path != nil && n.path.unwrap {
			return c.array(dst, only)
		}
	}
	dst = append(dst, '{')
	for i := base; i < len(c.groups); i++ { // groups moves
		if i > base {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, c.groups[i].name(c)), ':')
		dst = c.member(dst, c.groups[i].first)
	}
	return append(dst, '}')
}

// member appends the value of a member: a block, an array, or one value.
func (c *converter) member(dst []byte, i int32) []byte {
	switch n := &c.nodes[i]; {
	case n.kind == declaration, n.kind == attribute && c.attrBlock != "":
		return c.blockOf(dst, i)
	case n.same != 0, n.path != nil && n.path.array:
		return c.array(dst, i)
	}
	return c.value(dst, i)
}

func (c *converter) array(dst []byte, i int32) []byte {
	dst = append(dst, '[')
	for {
		dst = c.value(dst, i)
		if i = c.nodes[i].same; i == 0 {
			return append(dst, ']')
		}
		dst = append(dst, ',')
	}
}

// blockOf appends the object of namespaces or attributes.
func (c *converter) blockOf(dst []byte, i int32) []byte {
	dst = append(dst, '{')
	for {
		c.text = c.blockName(c.text[:0], &c.nodes[i])
		dst = append(appendString(dst, c.text), ':')
		dst = c.value(dst, i)
		if i = c.nodes[i].same; i == 0 {
			return append(dst, '}')
		}
		dst = append(dst, ',')
	}
}

func (c *converter) blockName(dst []byte, n *node) []byte {
	switch {
	case n.kind == attribute:
		return c.appendName(append(dst, c.attrPrefix...), n.name)
	case len(n.name) > len("xmlns:"):
		return append(dst, n.name[len("xmlns:"):]...)
	}
	return append(dst, c.defaultNS...)
}

// value appends the value of one node.
func (c *converter) value(dst []byte, i int32) []byte {
	switch n := &c.nodes[i]; n.kind {
	case element:
		return c.element(dst, i)
	case attribute, declaration:
		c.text = xmltoken.AppendValue(c.text[:0], n.data)
		return appendString(dst, c.text)
	}
	return c.scalar(dst, i)
}

// scalar appends text as what is recognized in it.
func (c *converter) scalar(dst []byte, i int32) []byte {
	c.text = c.text[:0]
	for ; i != 0; i = c.nodes[i].first {
		if n := &c.nodes[i]; n.kind == cdata {
			c.text = xmltoken.AppendCData(c.text, n.data)
		} else {
			c.text = xmltoken.AppendText(c.text, n.data)
		}
	}
	t := bytes.Trim(c.text, " \t\r\n")
	switch {
	case c.null && string(t) == c.nullValue:
		return append(dst, "null"...)
	case c.boolean && (string(t) == "true" || string(t) == "false"), c.number && isNumber(t):
		return append(dst, t...)
	}
	return appendString(dst, c.text)
}

// appendString appends a JSON string, in one piece where nothing is to be
// escaped.
func appendString(dst, s []byte) []byte {
	for _, b := range s {
		if b < ' ' || b == '"' || b == '\\' || b == 0x7f {
			return jsonpath.AppendString(dst, string(s))
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// isNumber reports whether text is a number of JSON.
func isNumber(s []byte) bool {
	s = bytes.TrimPrefix(s, []byte("-"))
	n := digits(s)
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	s = s[n:]
	if len(s) > 0 && s[0] == '.' {
		if n = digits(s[1:]); n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if len(s) > 0 && s[0]|0x20 == 'e' {
		s = s[1:]
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n = digits(s)
		s = s[n:]
		return n > 0 && len(s) == 0
	}
	return len(s) == 0
}

func digits(s []byte) int {
	for i, c := range s {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(s)
}
