package oasvalidation

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// side is what a schema is for: properties that are readOnly are not required of
// a request, those that are writeOnly not of a response.
type side struct {
	src      *source
	doc      map[string]any // transformed
	compiler *jsonschema.Compiler
}

// newSide transforms the document for requests, or for responses.
func (s *source) newSide(request bool) *side {
	t := transformer{src: s, hidden: "writeOnly"}
	if request {
		t.hidden = "readOnly"
	}
	doc := t.object(s.root)
	opts := jsonschema.Options{Dialect: jsonschema.Draft2020, Pattern: compilePattern, Formats: formats}
	if !s.v31 {
		opts.Dialect = jsonschema.Draft4
		t.discriminators(doc)
	}
	return &side{src: s, doc: doc, compiler: jsonschema.NewCompiler(doc, opts)}
}

// compile compiles the schema at a JSON pointer.
func (s *side) compile(ptr string) (*jsonschema.Schema, error) {
	schema, err := s.compiler.Compile(ptr)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", ptr, err)
	}
	return schema, nil
}

// transformer makes a document JSON Schema: draft 4 of OpenAPI 3.0, which is
// close to it, and 2020-12 of 3.1, which is it.
type transformer struct {
	src    *source
	hidden string // readOnly or writeOnly
}

func (t *transformer) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return t.object(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = t.value(e)
		}
		return out
	}
	return v
}

// object transforms an object as if it were a schema. What is none has no
// members that would be taken for those of a schema, or they do no harm.
func (t *transformer) object(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = t.value(v)
	}
	if _, ref := out["$ref"].(string); ref && !t.src.v31 {
		return out
	}
	t.required(out)
	if t.src.v31 {
		return out
	}
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		if _, ok := out[exclusive].(bool); ok && out[bound] == nil {
			delete(out, exclusive) // of no meaning, and draft 4 refuses it
		}
	}
	if enum, ok := out["enum"].([]any); ok {
		out["enum"] = distinct(enum)
	}
	if out["nullable"] == true {
		return nullable(out)
	}
	return out
}

// required drops properties that the other side has to set.
func (t *transformer) required(m map[string]any) {
	names, ok := m["required"].([]any)
	if !ok {
		return
	}
	props, _ := m["properties"].(map[string]any)
	kept := slices.DeleteFunc(slices.Clone(names), func(n any) bool {
		name, _ := n.(string)
		p, ok := props[name].(map[string]any)
		if !ok {
			return false
		}
		if at, ok := t.src.follow(place{value: p}); ok {
			p = at.value
		}
		return p[t.hidden] == true
	})
	if len(kept) == 0 {
		delete(m, "required") // draft 4 refuses an empty list
		return
	}
	m["required"] = distinct(kept)
}

func distinct(list []any) []any {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		key := printed(v)
		again := seen[key]
		seen[key] = true
		return again
	})
}

// nullable lets a schema take null.
func nullable(m map[string]any) map[string]any {
	if enum, ok := m["enum"].([]any); ok && !slices.Contains(enum, nil) {
		m["enum"] = append(slices.Clone(enum), nil)
	}
	if typ, ok := m["type"].(string); ok {
		m["type"] = []any{typ, "null"}
		return m
	}
	return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, m}}
}

// discriminators makes a schema that others extend, and that has a discriminator
// but no list of alternatives, the choice of those that extend it.
func (t *transformer) discriminators(doc map[string]any) {
	components, _ := doc["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		base, _ := schemas[name].(map[string]any)
		d, ok := base["discriminator"].(map[string]any)
		property, _ := d["propertyName"].(string)
		if !ok || property == "" || base["oneOf"] != nil || base["anyOf"] != nil {
			continue
		}
		t.discriminate(schemas, name, base, property, d)
	}
}

const schemasPrefix = "#/components/schemas/"

func (t *transformer) discriminate(schemas map[string]any, name string, base map[string]any, property string, d map[string]any) {
	ref := schemasPrefix + escapePointer.Replace(name)
	values := map[string]string{} // of the discriminator, to names of schemas
	for _, other := range slices.Sorted(maps.Keys(schemas)) {
		if extends(schemas[other], ref) {
			values[other] = other
		}
	}
	mapping, _ := d["mapping"].(map[string]any)
	for value, target := range mapping {
		if s, ok := target.(string); ok {
			values[value] = unescapePointer.Replace(strings.TrimPrefix(s, schemasPrefix))
		}
	}
	if len(values) == 0 {
		return
	}
	if _, ok := values[name]; !ok {
		values[name] = name
	}
	plain := maps.Clone(base)
	delete(plain, "discriminator")
	baseName := name + "+base"
	for schemas[baseName] != nil {
		baseName += "+"
	}
	schemas[baseName] = plain
	baseRef := (&url.URL{Fragment: strings.TrimPrefix(schemasPrefix, "#") + escapePointer.Replace(baseName)}).String()
	for _, other := range schemas {
		redirect(other, ref, baseRef)
	}
	var choices []any
	for _, value := range slices.Sorted(maps.Keys(values)) {
		target := schemasPrefix + escapePointer.Replace(values[value])
		if values[value] == name {
			target = baseRef
		}
		choices = append(choices, map[string]any{
			"required":   []any{property},
			"properties": map[string]any{property: map[string]any{"enum": []any{value}}},
			"allOf":      []any{map[string]any{"$ref": target}},
		})
	}
	schemas[name] = map[string]any{"anyOf": choices}
}

// extends reports whether a schema has another in its allOf.
func extends(schema any, ref string) bool {
	m, _ := schema.(map[string]any)
	list, _ := m["allOf"].([]any)
	return slices.ContainsFunc(list, func(e any) bool {
		p, _ := e.(map[string]any)
		return p["$ref"] == ref
	})
}

// redirect makes a schema extend the base itself.
func redirect(schema any, ref, baseRef string) {
	m, _ := schema.(map[string]any)
	list, _ := m["allOf"].([]any)
	for _, e := range list {
		if p, ok := e.(map[string]any); ok && p["$ref"] == ref {
			p["$ref"] = baseRef
		}
	}
}

// patternTimeout bounds one match of a pattern that needs backtracking. Over it
// the text does not match.
const patternTimeout = 100 * time.Millisecond

// compilePattern compiles an ECMA 262 regular expression, in linear time where it
// can.
func compilePattern(src string) (jsonschema.Pattern, error) {
	if re, err := regexp.Compile(src); err == nil {
		return re, nil
	}
	re, err := regexp2.Compile(src, regexp2.ECMAScript)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = patternTimeout
	return slowPattern{re}, nil
}

type slowPattern struct{ re *regexp2.Regexp }

func (p slowPattern) String() string { return p.re.String() }

func (p slowPattern) MatchString(s string) bool {
	ok, err := p.re.MatchString(s)
	return ok && err == nil
}
