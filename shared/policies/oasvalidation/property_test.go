package oasvalidation

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// madeSchema is a generated schema: what it looks like, a value that it allows, and
// one that it does not.
type madeSchema struct {
	doc        map[string]any
	good, bad  func() any
	primitive  bool
	properties []string // of an object, in order
}

// generator makes documents and messages from chance.
type generator struct {
	*rand.Rand
	new31 bool // OpenAPI 3.1
}

func (g *generator) coin() bool { return g.IntN(2) == 0 }

func (g *generator) word(least, most int) string {
	b := make([]byte, least+g.IntN(most-least+1))
	for i := range b {
		b[i] = byte('a' + g.IntN(26))
	}
	return string(b)
}

func (g *generator) integer() *madeSchema {
	low := g.IntN(100)
	high := low + g.IntN(100)
	doc := map[string]any{"type": "integer", "minimum": low, "maximum": high}
	if g.coin() {
		doc["format"] = "int32"
	}
	return &madeSchema{doc: doc, primitive: true,
		good: func() any { return low + g.IntN(high-low+1) },
		bad:  func() any { return []any{low - 1, high + 1, g.word(1, 3), float64(low) + 0.5, true}[g.IntN(5)] },
	}
}

func (g *generator) number() *madeSchema {
	doc := map[string]any{"type": "number", "maximum": 10}
	if g.new31 {
		doc["exclusiveMinimum"] = 1
	} else {
		doc["minimum"], doc["exclusiveMinimum"] = 1, true
	}
	return &madeSchema{doc: doc, primitive: true,
		good: func() any { return []any{2, 2.5, 10, 1.0625}[g.IntN(4)] },
		bad:  func() any { return []any{1, 10.5, g.word(1, 4), -3}[g.IntN(4)] },
	}
}

func (g *generator) boolean() *madeSchema {
	return &madeSchema{doc: map[string]any{"type": "boolean"}, primitive: true,
		good: func() any { return g.coin() }, bad: func() any { return []any{"yes", 1, "TRUE"}[g.IntN(3)] }}
}

func (g *generator) text() *madeSchema {
	switch g.IntN(4) {
	case 0:
		return &madeSchema{doc: map[string]any{"type": "string", "enum": []any{"red", "green"}}, primitive: true,
			good: func() any { return []any{"red", "green"}[g.IntN(2)] }, bad: func() any { return "blue" }}
	case 1:
		return &madeSchema{doc: map[string]any{"type": "string", "pattern": "^[a-f]{2,4}$"}, primitive: true,
			good: func() any { return strings.Repeat(string(rune('a'+g.IntN(6))), 2+g.IntN(3)) },
			bad:  func() any { return []any{"a", "xyz", "abcde", "AB"}[g.IntN(4)] }}
	case 2:
		return &madeSchema{doc: map[string]any{"type": "string", "format": "date"}, primitive: true,
			good: func() any { return fmt.Sprintf("20%02d-0%d-1%d", g.IntN(100), 1+g.IntN(9), g.IntN(10)) },
			bad:  func() any { return []any{"2020-13-01", "yesterday", "2020-1-1"}[g.IntN(3)] }}
	}
	least := 1 + g.IntN(4)
	most := least + g.IntN(4)
	return &madeSchema{doc: map[string]any{"type": "string", "minLength": least, "maxLength": most}, primitive: true,
		good: func() any { return g.word(least, most) },
		bad: func() any {
			if least > 1 && g.coin() {
				return g.word(1, least-1)
			}
			return g.word(most+1, most+5)
		}}
}

func (g *generator) simple() *madeSchema {
	return [](func() *madeSchema){g.integer, g.number, g.boolean, g.text}[g.IntN(4)]()
}

func (g *generator) array(items *madeSchema) *madeSchema {
	least := 1 + g.IntN(2)
	most := least + g.IntN(3)
	values := func(n int) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = items.good()
		}
		return list
	}
	return &madeSchema{doc: map[string]any{"type": "array", "items": items.doc, "minItems": least, "maxItems": most},
		good: func() any { return values(least + g.IntN(most-least+1)) },
		bad: func() any {
			switch list := values(least); g.IntN(3) {
			case 0:
				return values(most + 1)
			case 1:
				if least > 1 {
					return values(least - 1)
				}
				fallthrough
			default:
				list[g.IntN(len(list))] = items.bad()
				return list
			}
		}}
}

// object has properties with names of its own, since form parameters share theirs.
func (g *generator) object(name string, depth int) *madeSchema {
	s := &madeSchema{doc: map[string]any{"type": "object", "additionalProperties": false}}
	members := map[string]*madeSchema{}
	properties := map[string]any{}
	var required []any
	for i := range 1 + g.IntN(3) {
		p := name + strconv.Itoa(i)
		m := g.simple()
		if depth > 0 {
			m = g.any(p, depth-1)
		}
		members[p], properties[p] = m, m.doc
		s.properties = append(s.properties, p)
		if i == 0 || g.coin() {
			required = append(required, p)
		}
	}
	s.doc["properties"], s.doc["required"] = properties, required
	good := func() map[string]any {
		v := map[string]any{}
		for i, p := range s.properties {
			if slices.Contains(required, any(p)) || i == 0 || g.coin() {
				v[p] = members[p].good()
			}
		}
		return v
	}
	s.good = func() any { return good() }
	s.bad = func() any {
		v := good()
		switch g.IntN(3) {
		case 0:
			delete(v, required[g.IntN(len(required))].(string))
		case 1:
			v[name+"x"] = 1
		default:
			p := s.properties[g.IntN(len(s.properties))]
			v[p] = members[p].bad()
		}
		return v
	}
	return s
}

// any is a schema of a body.
func (g *generator) any(name string, depth int) *madeSchema {
	if depth == 0 {
		return g.simple()
	}
	switch g.IntN(4) {
	case 0:
		return g.array(g.any(name+"i", depth-1))
	case 1:
		return g.object(name, depth)
	case 2:
		s := g.object(name, depth-1)
		return g.nullable(s)
	}
	return g.simple()
}

func (g *generator) nullable(s *madeSchema) *madeSchema {
	doc := maps.Clone(s.doc)
	if g.new31 {
		doc["type"] = []any{doc["type"], "null"}
	} else {
		doc["nullable"] = true
	}
	return &madeSchema{doc: doc, bad: s.bad, good: func() any {
		if g.IntN(4) == 0 {
			return nil
		}
		return s.good()
	}}
}

// madeParameter is a parameter and how its values are written.
type madeParameter struct {
	name, in, style string
	explode         bool
	required        bool
	schema          *madeSchema
}

// styles that each place may have, by the kind of value.
var styles = map[string][3][]string{
	"path":   {{"simple", "label", "matrix"}, {"simple", "label", "matrix"}, {"simple", "label", "matrix"}},
	"query":  {{"form"}, {"form", "spaceDelimited", "pipeDelimited"}, {"form", "deepObject"}},
	"header": {{"simple"}, {"simple"}, {"simple"}},
	"cookie": {{"form"}, nil, nil},
}

func (g *generator) parameter(in string, n int) *madeParameter {
	p := &madeParameter{name: in[:1] + strconv.Itoa(n), in: in, explode: g.coin(), required: in == "path" || g.coin()}
	kind := g.IntN(3)
	if styles[in][kind] == nil {
		kind = 0
	}
	p.style = styles[in][kind][g.IntN(len(styles[in][kind]))]
	switch p.style {
	case "spaceDelimited", "pipeDelimited":
		p.explode = false
	case "deepObject":
		p.explode = true
	}
	switch kind {
	case 0:
		p.schema = g.simple()
	case 1:
		items := g.simple()
		if p.style == "label" {
			items = g.integer() // a fraction has the separator in it
		}
		p.schema = g.array(items)
	default:
		p.schema = g.object(p.name, 0)
		p.explode = p.explode && p.style != "label"
	}
	return p
}

func (p *madeParameter) doc() map[string]any {
	return map[string]any{"name": p.name, "in": p.in, "style": p.style, "explode": p.explode, "required": p.required, "schema": p.schema.doc}
}

// pairs are the parts of a value: names are "" in a primitive and an array.
func pairs(v any) (names, values []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			names, values = append(names, ""), append(values, fmt.Sprint(e))
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			names, values = append(names, k), append(values, fmt.Sprint(v[k]))
		}
	default:
		names, values = []string{""}, []string{fmt.Sprint(v)}
	}
	return names, values
}

// flat joins names and values by the rules of explode for objects.
func flat(names, values []string, explode bool, separator string) string {
	var parts []string
	for i, v := range values {
		switch {
		case names[i] == "":
			parts = append(parts, v)
		case explode:
			parts = append(parts, names[i]+"="+v)
		default:
			parts = append(parts, names[i], v)
		}
	}
	return strings.Join(parts, separator)
}

// write puts a value into a request (RFC 6570, as OpenAPI has it).
func (p *madeParameter) write(r *madeRequest, v any) {
	names, values := pairs(v)
	_, object := v.(map[string]any)
	_, array := v.([]any)
	switch p.in + " " + p.style {
	case "path simple":
		r.path[p.name] = flat(names, values, p.explode, ",")
	case "path label":
		separator := ","
		if p.explode {
			separator = "."
		}
		r.path[p.name] = "." + flat(names, values, p.explode, separator)
	case "path matrix":
		switch {
		case p.explode && object:
			r.path[p.name] = ";" + flat(names, values, true, ";")
		case p.explode && array:
			r.path[p.name] = ";" + p.name + "=" + strings.Join(values, ";"+p.name+"=")
		default:
			r.path[p.name] = ";" + p.name + "=" + flat(names, values, false, ",")
		}
	case "query form":
		switch {
		case p.explode && object:
			for i := range values {
				r.query = append(r.query, names[i]+"="+url.QueryEscape(values[i]))
			}
		case p.explode && array:
			for i := range values {
				r.query = append(r.query, p.name+"="+url.QueryEscape(values[i]))
			}
		default:
			r.query = append(r.query, p.name+"="+flat(names, values, false, ","))
		}
	case "query spaceDelimited":
		r.query = append(r.query, p.name+"="+strings.Join(values, "%20"))
	case "query pipeDelimited":
		r.query = append(r.query, p.name+"="+strings.Join(values, "|"))
	case "query deepObject":
		for i := range values {
			r.query = append(r.query, p.name+"["+names[i]+"]="+url.QueryEscape(values[i]))
		}
	case "header simple":
		r.header = append(r.header, message.Field{Name: p.name, Value: flat(names, values, p.explode, ",")})
	case "cookie form":
		r.cookies = append(r.cookies, p.name+"="+values[0])
	}
}

// madeRequest is a request in the making.
type madeRequest struct {
	verb, template string
	path           map[string]string
	query, cookies []string
	header         []message.Field
	contentType    string
	body           string
}

func (r *madeRequest) String() string {
	path := r.template
	for name, v := range r.path {
		path = strings.ReplaceAll(path, "{"+name+"}", v)
	}
	if len(r.query) > 0 {
		path += "?" + strings.Join(r.query, "&")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.verb, path)
	for _, f := range r.header {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	if len(r.cookies) > 0 {
		fmt.Fprintf(&b, "Cookie: %s\n", strings.Join(r.cookies, "; "))
	}
	if r.contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\n", r.contentType)
	}
	if r.body != "" {
		b.WriteString("\n" + r.body)
	}
	return b.String()
}

// madeOperation is a generated operation with its document.
type madeOperation struct {
	g          *generator
	parameters []*madeParameter
	body       *madeSchema
	form       bool
	response   *madeSchema
	template   string
}

func (g *generator) operation() *madeOperation {
	o := &madeOperation{g: g, template: "/things", form: g.IntN(3) == 0}
	for _, in := range []string{"path", "query", "header", "cookie"} {
		for i := range g.IntN(3) {
			p := g.parameter(in, i)
			o.parameters = append(o.parameters, p)
			if in == "path" {
				o.template += "/{" + p.name + "}"
			}
		}
	}
	o.body = g.object("b", 2)
	if o.form {
		o.body = g.object("b", 0)
	}
	o.response = g.any("r", 2)
	return o
}

func (o *madeOperation) mediaType() string {
	if o.form {
		return "application/x-www-form-urlencoded"
	}
	return "application/json"
}

func (o *madeOperation) doc() map[string]any {
	version := "3.0.3"
	if o.g.new31 {
		version = "3.1.0"
	}
	parameters := []any{}
	for _, p := range o.parameters {
		parameters = append(parameters, p.doc())
	}
	return map[string]any{
		"openapi": version, "info": map[string]any{"title": "t", "version": "1"},
		"paths": map[string]any{o.template: map[string]any{"post": map[string]any{
			"parameters":  parameters,
			"requestBody": map[string]any{"required": true, "content": map[string]any{o.mediaType(): map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Body"}}}},
			"responses": map[string]any{"200": map[string]any{"description": "ok", "content": map[string]any{
				"application/json": map[string]any{"schema": o.response.doc},
			}}},
		}}},
		"components": map[string]any{"schemas": map[string]any{"Body": o.body.doc}},
	}
}

// request is a valid request.
func (o *madeOperation) request() *madeRequest {
	r := &madeRequest{verb: "POST", template: o.template, path: map[string]string{}}
	for _, p := range o.parameters {
		if p.required || o.g.coin() {
			p.write(r, p.schema.good())
		}
	}
	o.setBody(r, o.body.good())
	return r
}

func (o *madeOperation) setBody(r *madeRequest, v any) {
	r.contentType = o.mediaType()
	if !o.form {
		data, _ := json.Marshal(v)
		r.body = string(data)
		return
	}
	names, values := pairs(v)
	var parts []string
	for i := range values {
		parts = append(parts, names[i]+"="+url.QueryEscape(values[i]))
	}
	r.body = strings.Join(parts, "&")
}

// mutate makes a valid request invalid and says how.
func (o *madeOperation) mutate() (*madeRequest, string) {
	for {
		r := o.request()
		switch o.g.IntN(8) {
		case 0:
			r.verb = "DELETE"
			return r, "verb"
		case 1:
			r.template = "/thing" + r.template
			return r, "path"
		case 2:
			r.body, r.contentType = "", ""
			return r, "no body"
		case 3:
			r.contentType = "application/xml"
			return r, "content type"
		case 4:
			if o.form {
				continue
			}
			r.body = r.body[:len(r.body)-1]
			return r, "JSON"
		case 5:
			v := o.body.bad()
			if m, ok := v.(map[string]any); o.form && (!ok || len(m) == 0 || textOnly(m)) {
				continue
			}
			o.setBody(r, v)
			return r, "body"
		default:
			if r, what := o.mutateParameter(); r != nil {
				return r, what
			}
		}
	}
}

// textOnly reports whether an object has values that no text can tell from good
// ones: in a form everything is text.
func textOnly(m map[string]any) bool {
	for _, v := range m {
		if _, ok := v.(bool); ok {
			return true
		}
	}
	return false
}

// mutateParameter leaves a required parameter out, or gives one a bad value; nil
// where chance chose what would not be bad as text.
func (o *madeOperation) mutateParameter() (*madeRequest, string) {
	if len(o.parameters) == 0 {
		return nil, ""
	}
	bad := o.parameters[o.g.IntN(len(o.parameters))]
	missing := bad.required && bad.in != "path" && o.g.IntN(3) == 0
	r := &madeRequest{verb: "POST", template: o.template, path: map[string]string{}}
	o.setBody(r, o.body.good())
	for _, p := range o.parameters {
		switch {
		case p == bad && missing:
		case p == bad:
			v := p.schema.bad()
			if !tellable(p, v) {
				return nil, ""
			}
			p.write(r, v)
		case p.required:
			p.write(r, p.schema.good())
		}
	}
	if missing {
		return r, "no " + bad.in + " parameter " + bad.name
	}
	return r, fmt.Sprintf("%s parameter %s", bad.in, bad.name)
}

// tellable reports whether a bad value is still bad once it is text: a boolean in
// the place of a string is not, nor are more members than a form has room for.
func tellable(p *madeParameter, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || p.style == "form" && p.explode {
			return false // what is not of the object is another parameter's
		}
		for _, e := range v {
			if !tellable(p, e) {
				return false
			}
		}
	case []any:
		return len(v) > 0 && (p.style != "label" || !strings.Contains(fmt.Sprint(v...), "."))
	}
	return true
}

// writeYAML writes a document as YAML in block style.
func writeYAML(b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteString("\n")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s%q:", indent, k)
			writeYAML(b, v[k], indent+"  ")
		}
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteString("\n")
		for _, e := range v {
			b.WriteString(indent + "-")
			writeYAML(b, e, indent+"  ")
		}
	default:
		data, _ := json.Marshal(v)
		fmt.Fprintf(b, " %s\n", data)
	}
}

// rounds is how many documents are made, and messages of each kind for each.
const rounds, messages = 90, 8

// TestGenerated makes documents by chance, of both versions and notations: every
// request and response made from the schemas passes, and every one that was then
// made wrong in one respect is refused.
func TestGenerated(t *testing.T) {
	for seed := range uint64(rounds) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 5)), new31: seed%2 == 1}
		o := g.operation()
		source, err := json.Marshal(o.doc())
		if err != nil {
			t.Fatal(err)
		}
		if seed%4 >= 2 {
			var b strings.Builder
			writeYAML(&b, o.doc(), "")
			source = []byte(b.String())
		}
		doc, err := compile(source)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, source)
		}
		if len(doc.warnings) > 0 {
			t.Fatalf("seed %d: %q\n%s", seed, doc.warnings, source)
		}
		for range messages {
			if r := o.request(); !passes(t, doc, r) {
				t.Fatalf("seed %d: a valid request is refused: %s\n%s\n%s", seed, check(t, doc, &everything, r.String()), r, source)
			}
			if r, what := o.mutate(); passes(t, doc, r) {
				t.Fatalf("seed %d: a request with a wrong %s passes:\n%s\n%s", seed, what, r, source)
			}
			good, _ := json.Marshal(o.response.good())
			if got := checkResponse(t, doc, o, good); got != "[]" {
				t.Fatalf("seed %d: a valid response is refused: %s\n%s\n%s", seed, got, good, source)
			}
			bad, _ := json.Marshal(o.response.bad())
			if got := checkResponse(t, doc, o, bad); got == "[]" {
				t.Fatalf("seed %d: a wrong response passes:\n%s\n%s", seed, bad, source)
			}
		}
	}
}

func passes(t *testing.T, doc *document, r *madeRequest) bool {
	t.Helper()
	return check(t, doc, &everything, r.String()) == "[]"
}

func checkResponse(t *testing.T, doc *document, o *madeOperation, body []byte) string {
	t.Helper()
	m := policytest.ParseMessage(t, message.Response, []byte("200 OK\nContent-Type: application/json\n\n"+string(body)))
	path := o.template
	q := o.request()
	for name, v := range q.path {
		path = strings.ReplaceAll(path, "{"+name+"}", v)
	}
	r := report{}
	doc.response(&call{message: m, options: &everything, report: &r, verb: "POST", suffix: path, path: "/v1" + path})
	return r.String()
}

// TestUnspecifiedGenerated: what the document does not name passes if the option
// allows it, and is refused if it does not.
func TestUnspecifiedGenerated(t *testing.T) {
	for seed := range uint64(rounds / 3) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 6)), new31: seed%2 == 1}
		o := g.operation()
		source, _ := json.Marshal(o.doc())
		doc, err := compile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, add := range []func(*madeRequest){
			func(r *madeRequest) { r.query = append(r.query, "unknown=1") },
			func(r *madeRequest) { r.header = append(r.header, message.Field{Name: "X-Unknown", Value: "1"}) },
			func(r *madeRequest) { r.cookies = append(r.cookies, "unknown=1") },
		} {
			r := o.request()
			strict := &Options{ValidateMessageBody: true}
			if got := check(t, doc, strict, r.String()); got != "[]" {
				t.Fatalf("seed %d: %s\n%s", seed, got, r)
			}
			add(r)
			if got := check(t, doc, strict, r.String()); !strings.Contains(got, "nknown' is unexpected on path") {
				t.Fatalf("seed %d: %s\n%s", seed, got, r)
			}
			if got := check(t, doc, &everything, r.String()); got != "[]" {
				t.Fatalf("seed %d: %s\n%s", seed, got, r)
			}
		}
	}
}
