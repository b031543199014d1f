package oasvalidation

import (
	"net/url"
	"strings"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// parameter is a parameter of an operation, or a header of a response.
type parameter struct {
	name, in string
	required bool
	empty    bool // may be empty
	style    string
	explode  bool
	json     bool // its content is JSON
	schema   *jsonschema.Schema
	shape    *shape
}

func (b *builder) parameter(s *side, p place, name, in string) *parameter {
	out := &parameter{name: name, in: in, required: p.value["required"] == true || in == "path", empty: p.value["allowEmptyValue"] == true}
	out.style, _ = p.value["style"].(string)
	if out.style == "" {
		out.style = map[string]string{"query": "form", "cookie": "form", "path": "simple", "header": "simple"}[in]
	}
	explode, ok := p.value["explode"].(bool)
	out.explode = explode || !ok && out.style == "form"
	if content, ok := b.src.child(p, "content"); ok {
		for text := range content.value {
			m, _ := b.src.child(content, text)
			out.json = isJSON(text)
			out.schema, out.shape = b.schema(s, m)
		}
		return out
	}
	out.schema, out.shape = b.schema(s, p)
	return out
}

// texts are the values of a parameter as they were sent, undecoded.
type texts []string

// decodeWith decodes what stands between separators.
type decodeWith func(string) string

func queryDecode(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

func undecoded(s string) string { return s }

// check checks the values of a parameter; there is at least one.
func (p *parameter) check(values texts, decode decodeWith, r *report) {
	if p.shape.has("array") && !p.json {
		p.checkArray(values, decode, r)
		return
	}
	if len(values) > 1 {
		r.add("Multiple values found for parameter '%s' but it is not an array.", p.name)
		return
	}
	text := decode(values[0])
	if strings.TrimSpace(text) == "" {
		if p.required && !p.empty {
			r.add("Parameter '%s' is required but is missing.", p.name)
		}
		return
	}
	switch {
	case p.schema == nil:
	case p.json:
		v, err := decodeText(text)
		if err != nil {
			r.add("Unable to parse JSON - %v.", err)
			return
		}
		r.validate(p.schema, v)
	case p.shape.has("object"):
		r.validate(p.schema, p.object(values[0], decode))
	default:
		r.validate(p.schema, p.shape.scalar(p.unstyled(text)))
	}
}

func decodeText(text string) (any, error) { return decode([]byte(text)) }

// unstyled drops what the style of a path parameter puts before the value.
func (p *parameter) unstyled(text string) string {
	switch p.style {
	case "label":
		return strings.TrimPrefix(text, ".")
	case "matrix":
		return strings.TrimPrefix(strings.TrimPrefix(text, ";"+p.name), "=")
	}
	return text
}

func (p *parameter) checkArray(values texts, decode decodeWith, r *report) {
	multi := p.in == "query" && p.style == "form" && p.explode
	if len(values) > 1 && !multi {
		r.add("Parameter '%s' expected an array style of '%s' [explode=%t].", p.name, p.style, p.explode)
		return
	}
	items := values
	if !multi {
		items = p.split(values[0])
	}
	out := make([]string, len(items))
	for i, t := range items {
		out[i] = strings.TrimSpace(decode(t))
	}
	if len(out) == 1 && out[0] == "" {
		if p.required && !p.empty {
			r.add("Parameter '%s' is required but is missing.", p.name)
		}
		return
	}
	if p.schema != nil {
		r.validateArray(p.schema, p.shape.list(out), p.name)
	}
}

// split splits the values of an array that are one text.
func (p *parameter) split(raw string) []string {
	switch p.style {
	case "spaceDelimited":
		return strings.Split(strings.NewReplacer("%20", " ", "+", " ").Replace(raw), " ")
	case "pipeDelimited":
		return strings.Split(strings.NewReplacer("%7C", "|", "%7c", "|").Replace(raw), "|")
	case "label":
		if p.explode {
			return strings.Split(p.unstyled(raw), ".")
		}
	case "matrix":
		if p.explode {
			return strings.Split(strings.TrimPrefix(raw, ";"+p.name+"="), ";"+p.name+"=")
		}
	}
	return strings.Split(p.unstyled(raw), ",")
}

// object makes text an object: "R,100,G,200", or "R=100,G=200" where it explodes.
func (p *parameter) object(raw string, decode decodeWith) map[string]any {
	out := map[string]any{}
	separator := ","
	if p.explode && p.style == "label" {
		separator = "."
	}
	if p.explode && p.style == "matrix" {
		separator = ";"
		raw = strings.TrimPrefix(raw, ";")
	} else {
		raw = p.unstyled(raw)
	}
	parts := strings.Split(raw, separator)
	if p.explode {
		for _, part := range parts {
			name, value, _ := strings.Cut(part, "=")
			p.set(out, decode(name), decode(value))
		}
		return out
	}
	for i := 0; i < len(parts); i += 2 {
		value := ""
		if i+1 < len(parts) {
			value = decode(parts[i+1])
		}
		p.set(out, decode(parts[i]), value)
	}
	return out
}

func (p *parameter) set(out map[string]any, name, value string) {
	out[name] = p.shape.property(name).scalar(value)
}

// explodes reports whether the properties of a query parameter are parameters of
// their own.
func (p *parameter) explodes() bool {
	return p.in == "query" && p.style == "form" && p.explode && !p.json && p.shape.has("object") && len(p.shape.properties) > 0
}

// deep returns the property that a query parameter name[property] is.
func (p *parameter) deep(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, p.name+"[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return "", false
	}
	return strings.TrimSuffix(rest, "]"), true
}
