// Package xpath evaluates XPath 1.0 over XML that a caller sent: an expression
// is compiled once, a document is parsed without DTD and entities and with
// bounds on depth and size.
package xpath

import (
	"bufio"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// Expr is a compiled expression. It is immutable and shared by all calls.
type Expr struct {
	src  string
	pool sync.Pool // of *xpath.Expr, which may serve one call at a time
}

// maxExpr bounds the text of an expression, in bytes.
const maxExpr = 16 << 10

// Compile compiles an expression. namespaces maps the prefixes in it to URIs;
// a prefix that is not in the map is an error.
func Compile(expr string, namespaces map[string]string) (*Expr, error) {
	first, err := compile(expr, namespaces)
	if err != nil {
		return nil, err
	}
	e := &Expr{src: expr}
	e.pool.New = func() any {
		x, _ := compile(expr, namespaces) // it compiled before
		return x
	}
	e.pool.Put(first)
	return e, nil
}

func compile(expr string, namespaces map[string]string) (x *xpath.Expr, err error) {
	defer func() {
		if p := recover(); p != nil {
			x, err = nil, fmt.Errorf("compile XPath %q: %v", expr, p)
		}
	}()
	if len(expr) > maxExpr {
		return nil, fmt.Errorf("compile XPath: longer than %d bytes", maxExpr)
	}
	if namespaces == nil {
		namespaces = map[string]string{}
	}
	x, err = xpath.CompileWithNS(expr, namespaces)
	if err != nil {
		return nil, fmt.Errorf("compile XPath %q: %w", expr, err)
	}
	return x, nil
}

// String returns the expression's text.
func (e *Expr) String() string { return e.src }

// Kind is the type of a result.
type Kind uint8

// The types of XPath 1.0.
const (
	Nodeset Kind = iota
	Number
	Boolean
	String
)

// Result is what an expression gives for a document.
type Result struct {
	kind  Kind
	nodes []*node
	num   float64
	truth bool
	text  string
}

// node is a selected node; attr is set for an attribute of it.
type node struct {
	n    *xmlquery.Node
	attr bool
	text string
}

// Eval evaluates the expression with the document as its context.
func (e *Expr) Eval(d *Doc) (r Result, err error) {
	x := e.pool.Get().(*xpath.Expr)
	defer func() {
		if p := recover(); p != nil {
			r, err = Result{}, fmt.Errorf("evaluate XPath %q: %v", e.src, p)
			return // x may be in a bad state and is dropped
		}
		e.pool.Put(x)
	}()
	switch v := x.Evaluate(xmlquery.CreateXPathNavigator(d.root)).(type) {
	case float64:
		return Result{kind: Number, num: v}, nil
	case bool:
		return Result{kind: Boolean, truth: v}, nil
	case string:
		return Result{kind: String, text: v}, nil
	case *xpath.NodeIterator:
		nodes, err := collect(v)
		return Result{kind: Nodeset, nodes: nodes}, err
	default:
		return Result{}, fmt.Errorf("evaluate XPath %q: result of type %T", e.src, v)
	}
}

// maxText bounds the string values of the selected nodes together, in bytes:
// those of elements inside each other add up to more than the document.
const maxText = 128 << 20

// ErrText is what an expression gets that selects too much.
var ErrText = fmt.Errorf("the selected nodes have more than %d bytes of text", maxText)

func collect(it *xpath.NodeIterator) ([]*node, error) {
	var out []*node
	size := 0
	for it.MoveNext() {
		nav := it.Current().(*xmlquery.NodeNavigator)
		n := &node{n: nav.Current(), attr: nav.NodeType() == xpath.AttributeNode, text: nav.Value()}
		if size += len(n.text); size > maxText {
			return nil, ErrText
		}
		out = append(out, n)
	}
	return out, nil
}

// Kind returns the type of the result.
func (r Result) Kind() Kind { return r.kind }

// Empty reports whether the expression selected nothing.
func (r Result) Empty() bool { return r.kind == Nodeset && len(r.nodes) == 0 }

// Len returns the number of selected nodes.
func (r Result) Len() int { return len(r.nodes) }

// Nodes returns the selected nodes; of an attribute, its element.
func (r Result) Nodes() []*xmlquery.Node {
	out := make([]*xmlquery.Node, len(r.nodes))
	for i, n := range r.nodes {
		out[i] = n.n
	}
	return out
}

// Replace gives the selected nodes another text, in the document: attributes
// their value, elements their content.
func (r Result) Replace(text string) {
	for _, n := range r.nodes {
		switch {
		case n.attr:
			for i := range n.n.Attr {
				if n.n.Attr[i].Value == n.text {
					n.n.Attr[i].Value = text
				}
			}
		case n.n.Type == xmlquery.ElementNode:
			for c := n.n.FirstChild; c != nil; c = n.n.FirstChild {
				xmlquery.RemoveFromTree(c)
			}
			xmlquery.AddChild(n.n, &xmlquery.Node{Type: xmlquery.TextNode, Data: text})
		default:
			n.n.Data = text
		}
	}
}

// Texts returns the string value of every selected node.
func (r Result) Texts() []string {
	out := make([]string, len(r.nodes))
	for i, n := range r.nodes {
		out[i] = n.text
	}
	return out
}

// XML returns the selected nodes as XML, one after the other; attributes and
// text give their text. Other results give their text.
func (r Result) XML() string {
	if r.kind != Nodeset {
		return r.Text()
	}
	if len(r.nodes) == 1 {
		return r.nodes[0].xml()
	}
	var b strings.Builder
	w := bufio.NewWriter(&b) // xmlquery takes it as its own, instead of one for each node
	for _, n := range r.nodes {
		n.write(w)
	}
	w.Flush()
	return b.String()
}

// XMLs yields the selected nodes as XML, one by one.
func (r Result) XMLs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, n := range r.nodes {
			if !yield(n.xml()) {
				return
			}
		}
	}
}

// FirstXML is XML of the first selected node only.
func (r Result) FirstXML() string {
	if r.kind == Nodeset && len(r.nodes) > 1 {
		r.nodes = r.nodes[:1]
	}
	return r.XML()
}

func (n *node) xml() string {
	if n.isText() {
		return n.text
	}
	var b strings.Builder
	w := bufio.NewWriter(&b)
	n.write(w)
	w.Flush()
	return b.String()
}

func (n *node) isText() bool {
	return n.attr || isText(n.n)
}

func (n *node) write(w *bufio.Writer) {
	if n.isText() {
		w.WriteString(n.text)
		return
	}
	_ = n.n.WriteWithOptions(w, xmlquery.WithOutputSelf(), xmlquery.WithEmptyTagSupport(), xmlquery.WithPreserveSpace()) // w takes everything
}

// Text returns the result as XPath's string() does: the string value of the
// first node.
func (r Result) Text() string {
	switch r.kind {
	case Number:
		return formatNumber(r.num)
	case Boolean:
		return strconv.FormatBool(r.truth)
	case String:
		return r.text
	}
	if len(r.nodes) == 0 {
		return ""
	}
	return r.nodes[0].text
}

// Number returns the result as XPath's number() does; NaN if it is none.
func (r Result) Number() float64 {
	switch r.kind {
	case Number:
		return r.num
	case Boolean:
		if r.truth {
			return 1
		}
		return 0
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(r.Text()), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// Bool returns the result as XPath's boolean() does.
func (r Result) Bool() bool {
	switch r.kind {
	case Number:
		return r.num != 0 && !math.IsNaN(r.num)
	case Boolean:
		return r.truth
	case String:
		return r.text != ""
	}
	return len(r.nodes) > 0
}

// NumberText formats a number as XPath's string() does.
func NumberText(f float64) string { return formatNumber(f) }

func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// Errors of Parse.
var (
	ErrDTD   = errors.New("a document type declaration is not allowed")
	ErrDepth = fmt.Errorf("elements are nested more than %d deep", MaxDepth)
	ErrSize  = fmt.Errorf("document is larger than %d bytes", MaxSize)
)
