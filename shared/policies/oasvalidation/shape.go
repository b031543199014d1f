package oasvalidation

import (
	"encoding/json"
	"maps"
	"strings"
)

// shape is what of a schema says how text becomes a value: which types it may
// have, and those of its elements and properties.
type shape struct {
	types      map[string]bool // empty: any
	items      *shape
	properties map[string]*shape
	additional *shape
}

// shapeOf looks at a schema, once. The shape of a schema that refers to itself
// does too.
func (s *source) shapeOf(p place) *shape {
	p, ok := s.follow(p)
	if !ok {
		return &shape{}
	}
	if known := s.shapes[p.ptr]; known != nil {
		return known
	}
	out := &shape{types: map[string]bool{}, properties: map[string]*shape{}}
	s.shapes[p.ptr] = out
	switch t := p.value["type"].(type) {
	case string:
		out.types[t] = true
	case []any:
		for _, e := range t {
			if name, ok := e.(string); ok {
				out.types[name] = true
			}
		}
	}
	if p.value["nullable"] == true && len(out.types) > 0 {
		out.types["null"] = true
	}
	if items, ok := s.child(p, "items"); ok {
		out.items = s.shapeOf(items)
	}
	if props, ok := p.value["properties"].(map[string]any); ok {
		at := place{props, p.ptr + "/properties"}
		for name := range props {
			if prop, ok := s.child(at, name); ok {
				out.properties[name] = s.shapeOf(prop)
			}
		}
	}
	if more, ok := s.child(p, "additionalProperties"); ok {
		out.additional = s.shapeOf(more)
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := p.value[keyword].([]any)
		for i := range list {
			if e, ok := s.item(p, keyword, i); ok {
				out.join(s.shapeOf(e))
			}
		}
	}
	return out
}

// join adds what an alternative allows.
func (s *shape) join(o *shape) {
	maps.Copy(s.types, o.types)
	if s.items == nil {
		s.items = o.items
	}
	if s.additional == nil {
		s.additional = o.additional
	}
	for name, p := range o.properties {
		if s.properties[name] == nil {
			s.properties[name] = p
		}
	}
}

func (s *shape) has(typ string) bool { return s != nil && s.types[typ] }

// property is the shape of a property.
func (s *shape) property(name string) *shape {
	if p := s.properties[name]; p != nil {
		return p
	}
	return s.additional
}

// scalar makes text a value of one of the types. Text that is of none stays text,
// which the schema then refuses.
func (s *shape) scalar(text string) any {
	if s == nil || len(s.types) == 0 || s.has("string") && !s.has("boolean") && !s.has("number") && !s.has("integer") {
		return text
	}
	if s.has("boolean") && (text == "true" || text == "false") {
		return text == "true"
	}
	if s.has("integer") || s.has("number") {
		if v, err := decode([]byte(text)); err == nil {
			if n, ok := v.(json.Number); ok {
				return n
			}
		}
	}
	if s.has("null") && strings.EqualFold(text, "null") {
		return nil
	}
	return text
}

// list makes texts an array.
func (s *shape) list(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = s.items.scalar(t)
	}
	return out
}
