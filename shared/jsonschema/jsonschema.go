// Package jsonschema holds JSON values against JSON Schemas, and says of each
// mistake what it is made of, so that the caller finds the words.
//
// It knows the schemas that OpenAPI has: those of draft 4, for OpenAPI 3.0, and those
// of 2020-12, which OpenAPI 3.1 has taken over. Formats are asserted. A document is
// all there is: no reference leaves it.
//
// It is our own for the sake of starting: santhosh-tekuri/jsonschema, which it
// replaces and is tested against, compiles five meta schemas while the process
// starts, a quarter of perigee's time to the first answer, and the others there are
// stop at the first mistake or know none of ECMA 262's regular expressions. A value
// that is as it should be costs hardly an allocation.
//
// Values are those of encoding/json with UseNumber: nil, bool, string, json.Number,
// []any and map[string]any.
//
// Sources: https://json-schema.org/draft/2020-12/json-schema-core,
// https://json-schema.org/draft/2020-12/json-schema-validation,
// https://datatracker.ietf.org/doc/html/draft-fge-json-schema-validation-00
package jsonschema

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Dialect is a version of JSON Schema.
type Dialect int

// The dialects.
const (
	// Draft4 is the one of 2013. A $ref hides what is beside it.
	Draft4 Dialect = iota
	// Draft2020 is 2020-12.
	Draft2020
)

// Pattern is a compiled regular expression.
type Pattern interface {
	MatchString(string) bool
	String() string
}

// Options are what a Compiler is made of.
type Options struct {
	Dialect Dialect
	// Pattern compiles regular expressions. Required.
	Pattern func(string) (Pattern, error)
	// Formats are known beside those of JSON Schema. A format says nothing of values
	// of a type that is not its business.
	Formats map[string]func(any) error
}

// Compiler compiles the schemas in one document. It is not safe for concurrent use;
// the schemas are.
type Compiler struct {
	opts      Options
	root      any
	schemas   map[string]*Schema           // by the pointer
	resources map[string]string            // pointers, by URL
	anchors   map[string]map[string]anchor // by the URL of the resource, by name
}

// anchor is a name of a schema.
type anchor struct {
	ptr     string
	dynamic bool
}

// documentURL is where the document is said to be: relative references are resolved
// against it.
const documentURL = "document:///"

// NewCompiler returns a compiler of the schemas in a document, which need not be a
// schema itself.
func NewCompiler(document any, opts Options) *Compiler {
	c := &Compiler{opts: opts, root: document, schemas: map[string]*Schema{}, resources: map[string]string{documentURL: ""}, anchors: map[string]map[string]anchor{}}
	if opts.Dialect == Draft2020 {
		c.index(document, "", documentURL)
	}
	return c
}

// data are keywords whose values are no schemas, whatever they look like.
var data = map[string]bool{"enum": true, "const": true, "default": true, "example": true, "examples": true}

// index finds what has a name of its own.
func (c *Compiler) index(v any, ptr, base string) {
	switch v := v.(type) {
	case map[string]any:
		if id, ok := v["$id"].(string); ok {
			if u, _, err := resolve(base, id); err == nil {
				base = u
				c.resources[base] = ptr
			}
		}
		for keyword, dynamic := range map[string]bool{"$anchor": false, "$dynamicAnchor": true} {
			if name, ok := v[keyword].(string); ok {
				if c.anchors[base] == nil {
					c.anchors[base] = map[string]anchor{}
				}
				c.anchors[base][name] = anchor{ptr, dynamic}
			}
		}
		for k, e := range v {
			if !data[k] {
				c.index(e, ptr+"/"+escape.Replace(k), base)
			}
		}
	case []any:
		for i, e := range v {
			c.index(e, ptr+"/"+strconv.Itoa(i), base)
		}
	}
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// resolve resolves a reference into a URL and a decoded fragment.
func resolve(base, ref string) (string, string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", "", err
	}
	r, err := b.Parse(ref)
	if err != nil {
		return "", "", err
	}
	fragment := r.Fragment
	r.Fragment, r.RawFragment = "", ""
	return r.String(), fragment, nil
}

var errNowhere = errors.New("leads nowhere")

// at is what a pointer leads to, and the URL that references in there are relative
// to.
func (c *Compiler) at(ptr string) (v any, base string, err error) {
	v, base = c.root, documentURL
	for rest := ptr; ; {
		if m, ok := v.(map[string]any); ok && c.opts.Dialect == Draft2020 {
			if id, ok := m["$id"].(string); ok {
				if u, _, err := resolve(base, id); err == nil {
					base = u
				}
			}
		}
		if rest == "" {
			return v, base, nil
		}
		if rest[0] != '/' {
			return nil, "", errNowhere
		}
		var token string
		token, rest = cut(rest)
		var ok bool
		switch x := v.(type) {
		case map[string]any:
			v, ok = x[unescape.Replace(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if ok = err == nil && i >= 0 && i < len(x); ok {
				v = x[i]
			}
		}
		if !ok {
			return nil, "", errNowhere
		}
	}
}

// cut takes the first token off a pointer that has one.
func cut(ptr string) (token, rest string) {
	if i := strings.IndexByte(ptr[1:], '/'); i >= 0 {
		return ptr[1 : 1+i], ptr[1+i:]
	}
	return ptr[1:], ""
}

// refer is the pointer that a reference leads to, and the anchor in it, if it names
// one.
func (c *Compiler) refer(base, ref string) (ptr, name string, err error) {
	u, fragment, err := resolve(base, ref)
	if err != nil {
		return "", "", fmt.Errorf("reference %q: %w", ref, err)
	}
	root, ok := c.resources[u]
	switch {
	case !ok:
		return "", "", fmt.Errorf("reference %q leaves the document", ref)
	case fragment == "" || fragment[0] == '/':
		return root + fragment, "", nil
	}
	a, ok := c.anchors[u][fragment]
	if !ok {
		return "", "", fmt.Errorf("reference %q %w", ref, errNowhere)
	}
	return a.ptr, fragment, nil
}

// Compile compiles the schema at a JSON pointer, and those that it refers to.
// Errors say where in the document they are.
func (c *Compiler) Compile(ptr string) (*Schema, error) {
	if s := c.schemas[ptr]; s != nil {
		return s, nil
	}
	v, base, err := c.at(ptr)
	if err != nil {
		return nil, fmt.Errorf("%s %w", ptr, err)
	}
	s := newSchema()
	c.schemas[ptr] = s // before it is compiled: it may refer to itself
	b := builder{c: c, s: s, ptr: ptr, base: base}
	if err := b.build(v); err != nil {
		delete(c.schemas, ptr)
		return nil, err
	}
	return s, nil
}
