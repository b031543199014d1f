// Package extraction is what policies share that take parts of a message:
// ExtractVariables, DataCapture and, in part, RegularExpressionProtection. It has
// the elements that say which part, and reads the parts that are no payload.
package extraction

import (
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Source names the variable that parts are taken of: a message, or a text.
type Source struct {
	bundle.Pos
	Name string `xml:",chardata"`
	// ClearPayload empties the body of the source afterwards.
	ClearPayload bool `xml:"clearPayload,attr"`
}

// Patterns take one value apart.
type Patterns struct {
	bundle.Pos
	Patterns []Pattern `xml:"Pattern"`
}

// NamedPatterns are Patterns for the value called Name.
type NamedPatterns struct {
	bundle.Pos
	Name     string    `xml:"name,attr"`
	Patterns []Pattern `xml:"Pattern"`
}

// Pattern is one pattern: text with {variables}, "*" and, in paths, "**".
type Pattern struct {
	bundle.Pos
	Text string `xml:",chardata"`
	// IgnoreCase compares the text without regard to case.
	IgnoreCase bool `xml:"ignoreCase,attr"`
}

// Namespace binds a prefix to a namespace.
type Namespace struct {
	bundle.Pos
	Prefix string `xml:"prefix,attr"`
	URI    string `xml:",chardata"`
}

// Namespaces returns the URIs by prefix. Apigee's names of what is wrong with the
// list go to report: DuplicatePrefix, NONEmptyPrefixMappedToEmptyURI.
func Namespaces(list []Namespace, report func(n Namespace, name string)) map[string]string {
	m := map[string]string{}
	for _, n := range list {
		if _, twice := m[n.Prefix]; twice {
			report(n, "DuplicatePrefix")
		}
		if n.Prefix != "" && n.URI == "" {
			report(n, "NONEmptyPrefixMappedToEmptyURI")
		}
		m[n.Prefix] = n.URI
	}
	return m
}

// GivesNodes reports whether the result of e is a node set: the type of an XPath
// 1.0 expression is the same for every document.
func GivesNodes(e *xpath.Expr) bool {
	doc, err := xpath.Parse([]byte("<a/>"))
	if err != nil {
		return false
	}
	r, err := e.Eval(doc)
	return err != nil || r.Kind() == xpath.Nodeset
}

// Origin is a compiled Source.
type Origin struct {
	name     string
	variable flow.Var
}

// From compiles the name of a source.
func From(name string) Origin { return Origin{name, flow.Compile(name)} }

// Name is the name of the variable.
func (o Origin) Name() string { return o.name }

// UsesBody says that the body of the source is read.
func (o Origin) UsesBody(env *policy.Env) {
	env.UsesMessage(o.name)
	env.Var(o.name)
}

// Get returns the message, or, where the variable holds none, its value.
func (o Origin) Get(fc *flow.Context) (*message.Message, flow.Value) {
	if m := fc.MessageNamed(o.name); m != nil {
		return m, flow.Value{}
	}
	v := o.variable.Get(fc)
	return v.Message(), v
}

// Part is a text of a message.
type Part interface {
	// Text returns the text; false if there is none.
	Text(fc *flow.Context, m *message.Message) (string, bool)
}

// URIPath is the path after the base path, of a request.
var URIPath Part = uriPath{}

type uriPath struct{}

func (uriPath) Text(fc *flow.Context, m *message.Message) (string, bool) {
	return fc.PathSuffix, m.IsRequest()
}

// Property is the header or parameter of a message that is called like a flow
// variable without the message: header.NAME.2.
func Property(name string) Part { return property{flow.CompileProperty(name)} }

type property struct{ p flow.Property }

func (p property) Text(fc *flow.Context, m *message.Message) (string, bool) {
	v := p.p.Get(fc, m)
	return v.String(), !v.IsNull()
}
