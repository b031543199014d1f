package xslt

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Output is what xsl:output says (section 16).
type Output struct {
	// Method is xml, xhtml, html or text; "" is html if the result is, else xml.
	Method string
	// MediaType is "" unless the stylesheet says one.
	MediaType string
	// Encoding is UTF-8 unless the stylesheet says another that is supported.
	Encoding string

	version, public, system, standalone string
	omitDeclaration, meta, bom          bool
	indent                              string // yes, no or ""
	cdata                               map[tree.Name]bool
}

// encoding returns the encoding of a name, "" if results are not written in it.
func encoding(name string) string {
	switch strings.ToUpper(strings.TrimSpace(name)) {
	case "UTF-8", "UTF8":
		return "UTF-8"
	case "UTF-16", "UTF16":
		return "UTF-16"
	case "ISO-8859-1", "ISO8859-1", "LATIN1":
		return "ISO-8859-1"
	case "US-ASCII", "ASCII":
		return "US-ASCII"
	}
	return ""
}

func (c *compiler) output(st *static, n *tree.Node) {
	a := c.take(st, n, "method", "version", "encoding", "omit-xml-declaration", "standalone", "doctype-public", "doctype-system",
		"cdata-section-elements", "indent", "media-type", "byte-order-mark", "escape-uri-attributes", "include-content-type",
		"normalization-form", "undeclare-prefixes", "name")
	o := &c.sheet.output
	set := func(name string, to *string) {
		if v, ok := a[name]; ok {
			*to = strings.TrimSpace(v)
		}
	}
	set("method", &o.Method)
	switch o.Method {
	case "", "xml", "html", "xhtml", "text":
	default:
		c.errorf(n, "output method %q is not supported", o.Method)
	}
	set("version", &o.version)
	set("doctype-public", &o.public)
	set("doctype-system", &o.system)
	set("media-type", &o.MediaType)
	if v, ok := a["encoding"]; ok {
		if o.Encoding = encoding(v); o.Encoding == "" {
			c.errorf(n, "encoding %q is not supported, want UTF-8, UTF-16, ISO-8859-1 or US-ASCII", v)
		}
	}
	yes := func(name string) string {
		if c.yes(n, a, name, false) {
			return "yes"
		}
		return "no"
	}
	if _, ok := a["indent"]; ok {
		o.indent = yes("indent")
	}
	if v, ok := a["standalone"]; ok {
		if o.standalone = ""; strings.TrimSpace(v) != "omit" {
			o.standalone = yes("standalone")
		}
	}
	o.omitDeclaration = c.yes(n, a, "omit-xml-declaration", o.omitDeclaration)
	o.bom = c.yes(n, a, "byte-order-mark", o.bom)
	if _, ok := a["include-content-type"]; ok {
		o.meta = yes("include-content-type") == "no"
	}
	c.fixed(n, a, "escape-uri-attributes", "yes")
	c.fixed(n, a, "normalization-form", "none")
	c.fixed(n, a, "undeclare-prefixes", "no")
	if _, ok := a["name"]; ok {
		c.errorf(n, "<%s> with a name, for xsl:result-document, is not supported", n.QName())
	}
	for _, name := range strings.Fields(a["cdata-section-elements"]) {
		if o.cdata == nil {
			o.cdata = map[tree.Name]bool{}
		}
		q := c.qname(n, name)
		if !strings.Contains(name, ":") {
			q.Space, _ = n.Scope.Lookup("") // the default namespace counts here
		}
		o.cdata[q] = true
	}
}

// Result is the result of a transformation.
type Result struct {
	// Text is the result in characters; what Encoding does not have is written as a
	// reference.
	Text string
	// Method is xml, xhtml, html or text.
	Method string
	// MediaType is what the stylesheet says, or that of the method.
	MediaType string
	// Encoding is UTF-8, UTF-16, ISO-8859-1 or US-ASCII.
	Encoding string

	bom bool
}

// Bytes is the result in its encoding.
func (r Result) Bytes() []byte {
	switch r.Encoding {
	case "UTF-16":
		out := []byte{0xfe, 0xff}
		for _, u := range utf16.Encode([]rune(r.Text)) {
			out = append(out, byte(u>>8), byte(u))
		}
		return out
	case "ISO-8859-1":
		out := make([]byte, 0, len(r.Text))
		for _, c := range r.Text {
			out = append(out, byte(c))
		}
		return out
	}
	if r.bom && r.Encoding == "UTF-8" {
		return append([]byte("\ufeff"), r.Text...)
	}
	return []byte(r.Text)
}

const xhtml = "http://www.w3.org/1999/xhtml"

// method chooses the method where the stylesheet does not (section 16).
func (o *Output) method(root *tree.Node, two bool) string {
	if o.Method != "" {
		return o.Method
	}
	for n := root.First; n != nil; n = n.Next {
		switch {
		case n.Kind == tree.Text && !tree.IsSpace(n.Data):
			return "xml"
		case n.Kind != tree.Element:
		case n.Name.Space == "" && strings.EqualFold(n.Name.Local, "html"):
			return "html"
		case two && n.Name == (tree.Name{Space: xhtml, Local: "html"}):
			return "xhtml"
		default:
			return "xml"
		}
	}
	return "xml"
}

var mediaTypes = map[string]string{"xml": "text/xml", "html": "text/html", "xhtml": "text/html", "text": "text/plain"}

func (o *Output) serialize(ctx context.Context, root *tree.Node, two bool) (Result, error) {
	w := &writer{o: o, ctx: ctx, method: o.method(root, two)}
	res := Result{Method: w.method, MediaType: o.MediaType, Encoding: o.Encoding, bom: o.bom}
	if res.Encoding == "" {
		res.Encoding = "UTF-8"
	}
	if res.MediaType == "" {
		res.MediaType = mediaTypes[w.method]
	}
	w.html = w.method == "html"
	w.xhtml = w.method == "xhtml"
	w.indent = o.indent == "yes" || o.indent == "" && (w.html || w.xhtml)
	switch res.Encoding {
	case "US-ASCII":
		w.top = 0x7f
	case "ISO-8859-1":
		w.top = 0xff
	}
	if w.method == "text" {
		w.plainText(root)
	} else {
		w.document(root, res.Encoding)
	}
	if w.err != nil {
		return Result{}, w.err
	}
	res.Text = w.String()
	return res, nil
}

// writer writes a tree as text.
type writer struct {
	strings.Builder
	o           *Output
	ctx         context.Context
	method      string
	html, xhtml bool
	indent      bool
	top         rune // the last character of the encoding; 0: all
	declared    bool // the XML declaration was written
	nodes       int
	err         error
}

// ok counts a node and reports whether to go on.
func (w *writer) ok() bool {
	if w.nodes++; w.nodes%1024 == 0 && w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.Len() > MaxOutput && w.err == nil {
		w.err = ErrOutput
	}
	return w.err == nil
}

func (w *writer) plainText(root *tree.Node) {
	for n := root.First; n != nil && w.ok(); n = n.Following(root) {
		if n.Kind != tree.Text {
			continue
		}
		for _, c := range n.Data {
			if w.top > 0 && c > w.top {
				c = '?'
			}
			w.WriteRune(c)
		}
	}
}

func (w *writer) document(root *tree.Node, encoding string) {
	if !w.html && (!w.o.omitDeclaration || encoding == "UTF-16" && w.o.standalone != "") {
		version := "1.0"
		if w.o.version == "1.1" && w.method == "xml" {
			version = w.o.version
		}
		w.WriteString(`<?xml version="` + version + `" encoding="` + encoding + `"`)
		if w.o.standalone != "" {
			w.WriteString(` standalone="` + w.o.standalone + `"`)
		}
		w.WriteString("?>")
		w.declared = true
		if w.indent {
			w.WriteByte('\n')
		}
	}
	mixed := !w.layout(root)
	doctype := false
	for n := root.First; n != nil && w.ok(); n = n.Next {
		if !mixed && n.Kind == tree.Text {
			continue // white space between comments and the element
		}
		if n.Kind == tree.Element && !doctype {
			doctype = true
			w.doctype(n)
		}
		w.node(n, 0)
		if !mixed && (n.Next != nil || !w.html) {
			w.WriteByte('\n')
		}
	}
}

func (w *writer) doctype(n *tree.Node) {
	o := w.o
	if o.system == "" && (o.public == "" || !w.html) {
		return
	}
	if w.declared && !w.indent {
		w.WriteByte('\n')
	}
	name := n.QName()
	if w.html {
		name = "HTML"
	}
	w.WriteString("<!DOCTYPE " + name + "\n  ")
	quoted := func(s string) string {
		if strings.Contains(s, `"`) {
			return "'" + s + "'"
		}
		return `"` + s + `"`
	}
	switch {
	case o.public == "":
		w.WriteString("SYSTEM " + quoted(o.system))
	case o.system == "":
		w.WriteString("PUBLIC " + quoted(o.public))
	default:
		w.WriteString("PUBLIC " + quoted(o.public) + " " + quoted(o.system))
	}
	w.WriteString(">\n")
}

// layout reports whether the children of a node may be put on lines of their own:
// where there is no text but white space, and nothing else that keeps it.
func (w *writer) layout(n *tree.Node) bool {
	if !w.indent {
		return false
	}
	elements := false
	for k := n.First; k != nil; k = k.Next {
		switch {
		case k.Kind == tree.Text && (k.Raw || !tree.IsSpace(k.Data)):
			return false
		case k.Kind == tree.Text:
		case k.Kind == tree.Element && w.isHTML(k) && has(inline, strings.ToLower(k.Name.Local)):
			return false
		default:
			elements = true
		}
	}
	if !elements || n.Kind == tree.Element && (w.o.cdata[n.Name] || tree.Preserved(n)) {
		return false
	}
	return !(n.Kind == tree.Element && w.isHTML(n) && has(formatted, strings.ToLower(n.Name.Local)))
}

// isHTML reports whether an element is one of HTML, for the method.
func (w *writer) isHTML(n *tree.Node) bool {
	return w.html && n.Name.Space == "" || w.xhtml && n.Name.Space == xhtml
}

// node writes a node that is at a level.
func (w *writer) node(n *tree.Node, level int) {
	if !w.ok() {
		return
	}
	switch n.Kind {
	case tree.Element:
		w.element(n, level)
	case tree.Text:
		w.text(n)
	case tree.Comment:
		w.WriteString("<!--")
		w.WriteString(n.Data)
		w.WriteString("-->")
	case tree.Instruction:
		w.WriteString("<?" + n.Name.Local)
		if n.Data != "" {
			w.WriteString(" " + n.Data)
		}
		if w.html {
			w.WriteString(">")
		} else {
			w.WriteString("?>")
		}
	}
}

// newline starts a line of a level, three blanks to each, as Saxon does.
func (w *writer) newline(level int) {
	w.WriteByte('\n')
	for range min(level, maxIndent) {
		w.WriteString("   ")
	}
}

// maxIndent bounds the blanks before a line of a deep result, in levels.
const maxIndent = 1000

func (w *writer) element(n *tree.Node, level int) {
	name := n.QName()
	w.WriteByte('<')
	w.WriteString(name)
	w.namespaces(n)
	local := strings.ToLower(n.Name.Local)
	html := w.isHTML(n)
	for _, a := range n.Attrs {
		w.attribute(a, html, local)
	}
	meta := html && local == "head" && !w.o.meta
	if n.First == nil && !meta {
		switch {
		case html && has(void, local) && w.html:
			w.WriteByte('>')
		case html && has(void, local):
			w.WriteString(" />")
		case html:
			w.WriteString("></" + name + ">")
		default:
			w.WriteString("/>")
		}
		return
	}
	w.WriteByte('>')
	lines := w.layout(n)
	if meta {
		w.contentType(n, level, lines)
	}
	for k := n.First; k != nil && w.ok(); k = k.Next {
		switch {
		case meta && isContentType(k):
			continue
		case lines && k.Kind == tree.Text:
			continue
		case lines:
			w.newline(level + 1)
		case html && w.html && (local == "script" || local == "style") && k.Kind == tree.Text:
			w.WriteString(k.Data)
			continue
		}
		w.node(k, level+1)
	}
	if lines {
		w.newline(level)
	}
	w.WriteString("</" + name + ">")
}

// contentType writes the meta element that the method asks for (section 16.2).
func (w *writer) contentType(n *tree.Node, level int, lines bool) {
	if lines {
		w.newline(level + 1)
	}
	typ, enc := w.o.MediaType, w.o.Encoding
	if typ == "" {
		typ = "text/html"
	}
	if enc == "" {
		enc = "UTF-8"
	}
	end := ">"
	if w.xhtml {
		end = " />"
	}
	prefix := ""
	if n.Prefix != "" {
		prefix = n.Prefix + ":"
	}
	fmt.Fprintf(w, `<%smeta http-equiv="Content-Type" content="%s; charset=%s"%s`, prefix, typ, enc, end)
}

// isContentType reports whether a node is a meta element that contentType replaces.
func isContentType(n *tree.Node) bool {
	if n.Kind != tree.Element || !strings.EqualFold(n.Name.Local, "meta") {
		return false
	}
	return slices.ContainsFunc(n.Attrs, func(a *tree.Node) bool {
		return strings.EqualFold(a.Name.Local, "http-equiv") && strings.EqualFold(strings.TrimSpace(a.Data), "Content-Type")
	})
}

// namespaces writes the declarations that an element adds to its parent's.
func (w *writer) namespaces(n *tree.Node) {
	var list [8]*tree.Scope
	added := list[:0]
	for s := n.Scope; s != nil && s != n.Parent.Scope; s = s.Outer {
		if !slices.ContainsFunc(added, func(o *tree.Scope) bool { return o.Prefix == s.Prefix }) {
			added = append(added, s)
		}
	}
	for _, s := range slices.Backward(added) {
		if s.Prefix == "" {
			if outer, _ := n.Parent.Scope.Lookup(""); outer == s.URI {
				continue
			}
			w.WriteString(` xmlns="`)
		} else {
			w.WriteString(" xmlns:" + s.Prefix + `="`)
		}
		w.escape(s.URI, true, false)
		w.WriteByte('"')
	}
}

func (w *writer) attribute(a *tree.Node, html bool, element string) {
	w.WriteByte(' ')
	name := a.QName()
	w.WriteString(name)
	value := a.Data
	if html && a.Name.Space == "" {
		lower := strings.ToLower(name)
		if w.html && has(booleans, lower) && strings.EqualFold(value, name) {
			return
		}
		if has(uris, lower) || element == "object" && lower == "data" {
			value = escapeURI(value)
		}
	}
	w.WriteString(`="`)
	w.escape(value, true, w.html)
	w.WriteByte('"')
}

func (w *writer) text(n *tree.Node) {
	switch {
	case n.Raw:
		w.WriteString(n.Data)
	case n.Parent.Kind == tree.Element && w.o.cdata[n.Parent.Name] && !w.html:
		w.cdataSection(n.Data)
	default:
		w.escape(n.Data, false, w.html)
	}
}

// cdataSection writes text in sections, which cannot hold "]]>" or characters that
// the encoding does not have.
func (w *writer) cdataSection(s string) {
	s = strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>")
	w.WriteString("<![CDATA[")
	for _, c := range s {
		if w.top > 0 && c > w.top {
			w.WriteString("]]>&#" + strconv.Itoa(int(c)) + ";<![CDATA[")
			continue
		}
		w.WriteRune(c)
	}
	w.WriteString("]]>")
}

// escape writes text, or the value of an attribute.
func (w *writer) escape(s string, attr, html bool) {
	from := 0
	for i, c := range s {
		ref := ""
		switch {
		case c == '&':
			if ref = "&amp;"; html && attr && strings.HasPrefix(s[i:], "&{") {
				ref = ""
			}
		case c == '<':
			if ref = "&lt;"; html && attr {
				ref = ""
			}
		case c == '>':
			ref = "&gt;"
		case c == '"' && attr:
			ref = "&#34;"
		case c == '\n' && attr && !html:
			ref = "&#xA;"
		case c == '\t' && attr && !html:
			ref = "&#x9;"
		case c == '\r':
			ref = "&#xD;"
		case c == 0xa0 && html:
			ref = "&nbsp;"
		case w.top > 0 && c > w.top, c >= 0x7f && c <= 0x9f, c == 0x2028:
			ref = "&#" + strconv.Itoa(int(c)) + ";"
		}
		if ref == "" {
			continue
		}
		w.WriteString(s[from:i])
		w.WriteString(ref)
		from = i + len(string(c))
	}
	w.WriteString(s[from:])
}

// escapeURI escapes what is not ASCII.
func escapeURI(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// has reports whether a list of words has one.
func has(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// Elements and attributes of HTML.
const (
	void      = "area base basefont br col embed frame hr img input isindex link meta param source track wbr"
	formatted = "pre script style textarea title xmp"
	inline    = "a abbr acronym applet b basefont bdo big br button cite code del dfn em font i iframe img input ins kbd label map object q s samp select small span strike strong sub sup tt u var"
	booleans  = "checked compact declare defer disabled ismap multiple nohref noresize noshade nowrap readonly selected"
	uris      = "action background cite classid codebase href longdesc profile src usemap"
)
