package oasvalidation

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// document is a compiled OpenAPI document. It is immutable and shared by all
// calls.
type document struct {
	paths    map[int][]*path // by the number of their segments
	queryKey map[string]bool // query parameters of security schemes, in lower case
	others   map[string]bool // headers and cookies of security schemes, in lower case
	warnings []string
}

// path is a path template.
type path struct {
	text       string
	segments   []segment
	operations map[string]*operation
}

// segment is a part between slashes: literal text and parameters in turns, text
// first.
type segment struct {
	literals []string
	names    []string
}

// operation is what may be done with a path.
type operation struct {
	path      *path
	params    []*parameter
	body      *body
	responses map[string]*response
}

// body is the body of a request or a response.
type body struct {
	required bool
	media    []*media
}

// media is the content of one media type.
type media struct {
	rangeOf string // type, in lower case, without parameters
	text    string // as it is written
	schema  *jsonschema.Schema
	shape   *shape
}

// response is what may be answered.
type response struct {
	content *body // nil if the document does not say
	headers []*parameter
}

// compile compiles a document.
func compile(data []byte) (*document, error) {
	src, warnings, err := parse(data)
	if err != nil {
		return nil, err
	}
	b := &builder{src: src, requests: src.newSide(true), responses: src.newSide(false)}
	d := &document{paths: map[int][]*path{}, queryKey: map[string]bool{}, others: map[string]bool{}, warnings: warnings}
	b.security(d)
	paths, _ := b.src.child(place{value: src.root}, "paths")
	for text := range paths.value {
		item, ok := b.src.child(paths, text)
		if !ok || !strings.HasPrefix(text, "/") {
			continue
		}
		p := &path{text: text, segments: splitTemplate(text), operations: map[string]*operation{}}
		b.operations(p, item)
		n := len(p.segments)
		d.paths[n] = append(d.paths[n], p)
	}
	for _, list := range d.paths {
		slices.SortFunc(list, comparePaths)
	}
	return d, b.err
}

type builder struct {
	src                 *source
	requests, responses *side
	err                 error // the first
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// security notes the parameters that carry credentials: operations need not name
// them.
func (b *builder) security(d *document) {
	components, _ := b.src.child(place{value: b.src.root}, "components")
	schemes, _ := b.src.child(components, "securitySchemes")
	for name := range schemes.value {
		scheme, _ := b.src.child(schemes, name)
		param, _ := scheme.value["name"].(string)
		switch scheme.value["in"] {
		case "query":
			d.queryKey[param] = true
		case "header", "cookie":
			d.others[strings.ToLower(param)] = true
		}
	}
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (b *builder) operations(p *path, item place) {
	shared := b.parameters(item)
	for _, m := range methods {
		op, ok := b.src.child(item, m)
		if !ok {
			continue
		}
		o := &operation{path: p, responses: map[string]*response{}}
		o.params = merge(shared, b.parameters(op))
		if rb, ok := b.src.child(op, "requestBody"); ok {
			o.body = b.content(b.requests, rb)
			o.body.required = rb.value["required"] == true
		}
		responses, _ := b.src.child(op, "responses")
		for code := range responses.value {
			if r, ok := b.src.child(responses, code); ok {
				o.responses[strings.ToUpper(code)] = b.response(r)
			}
		}
		p.operations[strings.ToUpper(m)] = o
	}
}

func (b *builder) parameters(of place) []*parameter {
	var out []*parameter
	list, _ := of.value["parameters"].([]any)
	for i := range list {
		if p, ok := b.src.item(of, "parameters", i); ok {
			name, _ := p.value["name"].(string)
			in, _ := p.value["in"].(string)
			out = append(out, b.parameter(b.requests, p, name, in))
		}
	}
	return out
}

// merge lets an operation's parameters replace those of its path.
func merge(shared, own []*parameter) []*parameter {
	out := slices.Clone(own)
	for _, s := range shared {
		if !slices.ContainsFunc(own, func(o *parameter) bool { return o.name == s.name && o.in == s.in }) {
			out = append(out, s)
		}
	}
	return out
}

func (b *builder) response(r place) *response {
	out := &response{}
	if _, ok := r.value["content"]; ok {
		out.content = b.content(b.responses, r)
	}
	headers, _ := b.src.child(r, "headers")
	for name := range headers.value {
		if h, ok := b.src.child(headers, name); ok && !strings.EqualFold(name, "Content-Type") {
			out.headers = append(out.headers, b.parameter(b.responses, h, name, "header"))
		}
	}
	slices.SortFunc(out.headers, func(x, y *parameter) int { return strings.Compare(x.name, y.name) })
	return out
}

// content compiles the media types of a body.
func (b *builder) content(s *side, of place) *body {
	out := &body{}
	content, _ := b.src.child(of, "content")
	for text := range content.value {
		m := &media{text: text}
		m.rangeOf, _, _ = strings.Cut(strings.ToLower(text), ";")
		m.rangeOf = strings.TrimSpace(m.rangeOf)
		if p, ok := b.src.child(content, text); ok {
			m.schema, m.shape = b.schema(s, p)
		}
		out.media = append(out.media, m)
	}
	slices.SortFunc(out.media, func(x, y *media) int {
		return cmp.Or(cmp.Compare(strings.Count(x.rangeOf, "*"), strings.Count(y.rangeOf, "*")), strings.Compare(x.text, y.text))
	})
	return out
}

// schema compiles the member schema of an object; nil if it has none.
func (b *builder) schema(s *side, of place) (*jsonschema.Schema, *shape) {
	v, ok := of.value["schema"]
	if !ok {
		return nil, &shape{}
	}
	ptr := of.ptr + "/schema"
	if m, ok := v.(map[string]any); ok {
		schema, err := s.compile(ptr)
		if err != nil {
			b.fail(err)
		}
		return schema, b.src.shapeOf(place{m, ptr})
	}
	if v == true {
		return nil, &shape{}
	}
	b.fail(fmt.Errorf("schema %s is no object", ptr))
	return nil, &shape{}
}

// comparePaths puts the more concrete path first.
func comparePaths(x, y *path) int {
	for i := range x.segments {
		if c := cmp.Compare(len(x.segments[i].names), len(y.segments[i].names)); c != 0 {
			return c
		}
	}
	return strings.Compare(x.text, y.text)
}

// splitPath splits a path at slashes; those at its end do not count.
func splitPath(text string) []string {
	return strings.Split(strings.TrimRight(strings.TrimPrefix(text, "/"), "/"), "/")
}

func splitTemplate(text string) []segment {
	parts := splitPath(text)
	out := make([]segment, len(parts))
	for i, p := range parts {
		s := segment{}
		for {
			before, rest, ok := strings.Cut(p, "{")
			name, after, closed := strings.Cut(rest, "}")
			if !ok || !closed {
				s.literals = append(s.literals, p)
				break
			}
			s.literals, s.names = append(s.literals, before), append(s.names, name)
			p = after
		}
		out[i] = s
	}
	return out
}

// match reports whether a part of a path, as it was sent, fits, and calls take
// with the value of each parameter. A parameter goes up to the first text that
// follows it.
func (s *segment) match(part string, take func(name, raw string)) bool {
	if len(s.names) == 0 {
		return strings.EqualFold(part, s.literals[0]) || strings.EqualFold(percentDecode(part), s.literals[0])
	}
	rest, ok := strings.CutPrefix(part, s.literals[0])
	if !ok {
		return false
	}
	for i, name := range s.names {
		next := s.literals[i+1]
		value := rest
		switch {
		case i == len(s.names)-1:
			if value, ok = strings.CutSuffix(rest, next); !ok {
				return false
			}
		default:
			if value, rest, ok = strings.Cut(rest, next); !ok {
				return false
			}
		}
		if take != nil {
			take(name, value)
		}
	}
	return true
}

func percentDecode(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// find returns the paths that fit, the most concrete first.
func (d *document) find(text string) []*path {
	parts := splitPath(text)
	var out []*path
	for _, p := range d.paths[len(parts)] {
		if p.match(parts) {
			out = append(out, p)
		}
	}
	return out
}

func (p *path) match(parts []string) bool {
	for i := range p.segments {
		if !p.segments[i].match(parts[i], nil) {
			return false
		}
	}
	return true
}
