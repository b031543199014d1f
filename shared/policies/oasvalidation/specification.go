package oasvalidation

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// specificationText is what an OpenAPI document looks like, of 3.0 and 3.1, without
// the schemas in it, which are compiled.
// Source: https://spec.openapis.org/oas/v3.0.3, https://spec.openapis.org/oas/v3.1.0
//
//go:embed specification.json
var specificationText []byte

// specification is compiled with the first document.
var specification = sync.OnceValue(func() *jsonschema.Schema {
	doc, err := decode(specificationText)
	if err != nil {
		panic(err) // a test compiles it
	}
	s, err := jsonschema.NewCompiler(doc, jsonschema.Options{Dialect: jsonschema.Draft2020, Pattern: func(s string) (jsonschema.Pattern, error) {
		return regexp.Compile(s)
	}}).Compile("")
	if err != nil {
		panic(err)
	}
	return s
})

// maxWarnings bounds what is said of one document.
const maxWarnings = 20

// inspect looks at the document as a whole. What has another type than the
// specification says is an error, since it could not be read, unless it is null; all
// else that is not as it says are warnings.
func (s *source) inspect() (warnings []string, err error) {
	if err := s.references(s.root, ""); err != nil {
		return nil, err
	}
	r := report{}
	mistakes := specification().Validate(s.root)
	var harmless []jsonschema.Mistake
	for _, m := range mistakes {
		if m.Keyword == "type" && m.Value != nil {
			r.explain([]jsonschema.Mistake{m}, "")
		} else {
			harmless = append(harmless, m)
		}
	}
	if len(r.messages) > 0 {
		slices.SortFunc(r.messages, func(a, b finding) int { return strings.Compare(a.text, b.text) })
		return nil, errors.New(r.messages[0].text)
	}
	r.explain(harmless, "")
	for _, m := range r.messages {
		warnings = append(warnings, m.text)
	}
	warnings = append(warnings, s.oddities()...)
	return warnings[:min(len(warnings), maxWarnings)], nil
}

// oddities are what no schema says.
func (s *source) oddities() []string {
	var out []string
	paths, _ := s.child(place{value: s.root}, "paths")
	if paths.value == nil && !s.v31 {
		out = append(out, "Object has missing required properties ([\"paths\"])")
	}
	ids := map[string]string{}
	for _, text := range slices.Sorted(maps.Keys(paths.value)) {
		item, ok := s.child(paths, text)
		if !ok || !strings.HasPrefix(text, "/") {
			continue
		}
		shared := s.pathParameters(item)
		for _, verb := range methods {
			op, ok := s.child(item, verb)
			if !ok {
				continue
			}
			at := strings.ToUpper(verb) + " " + text
			if op.value["responses"] == nil && !s.v31 {
				out = append(out, at+" has no responses")
			}
			if id, ok := op.value["operationId"].(string); ok {
				if ids[id] != "" {
					out = append(out, fmt.Sprintf("%s and %s have the same operationId %q", ids[id], at, id))
				}
				ids[id] = at
			}
			out = append(out, undeclared(at, text, slices.Concat(shared, s.pathParameters(op)))...)
		}
	}
	return out
}

// undeclared are parameters in a path that the operation does not say anything of,
// and the other way round.
func undeclared(at, path string, declared []string) []string {
	var out, inPath []string
	for _, segment := range splitTemplate(path) {
		inPath = append(inPath, segment.names...)
	}
	for _, name := range inPath {
		if !slices.Contains(declared, name) {
			out = append(out, fmt.Sprintf("%s does not declare its path parameter %q", at, name))
		}
	}
	for _, name := range declared {
		if !slices.Contains(inPath, name) {
			out = append(out, fmt.Sprintf("%s declares a path parameter %q that its path has not", at, name))
		}
	}
	return out
}

func (s *source) pathParameters(of place) []string {
	var out []string
	list, _ := of.value["parameters"].([]any)
	for i := range list {
		if p, ok := s.item(of, "parameters", i); ok && p.value["in"] == "path" {
			name, _ := p.value["name"].(string)
			out = append(out, name)
		}
	}
	return out
}

// plain are members whose values are the API's own, whatever they look like.
var plain = map[string]bool{"example": true, "examples": true, "default": true, "enum": true, "const": true}

// references refuses references that lead nowhere.
func (s *source) references(v any, ptr string) error {
	switch v := v.(type) {
	case map[string]any:
		if _, own := v["$id"].(string); own && s.v31 {
			return nil // references in there are relative to it
		}
		if ref, ok := v["$ref"].(string); ok && strings.HasPrefix(ref, "#/") {
			if _, ok := s.value(strings.TrimPrefix(ref, "#")); !ok {
				return fmt.Errorf("%s: reference %q leads nowhere", ptr, ref)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if plain[name] {
				continue
			}
			if err := s.references(v[name], ptr+"/"+escapePointer.Replace(name)); err != nil {
				return err
			}
		}
	case []any:
		for i, e := range v {
			if err := s.references(e, fmt.Sprintf("%s/%d", ptr, i)); err != nil {
				return err
			}
		}
	}
	return nil
}
