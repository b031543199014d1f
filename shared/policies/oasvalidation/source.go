package oasvalidation

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oasdiff/yaml"
)

// source is a document as it was read: maps, lists and scalars.
type source struct {
	root   map[string]any
	v31    bool
	shapes map[string]*shape // of schemas, by their pointer
}

// parse reads JSON or YAML and has it looked at as an OpenAPI document. What is
// not as the specification has it, but does no harm, are warnings.
func parse(data []byte) (src *source, warnings []string, err error) {
	text := data
	if trimmed := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(trimmed) == 0 || trimmed[0] != '{' {
		if text, err = yaml.YAMLToJSON(data); err != nil {
			return nil, nil, fmt.Errorf("parse YAML: %w", err)
		}
	}
	v, err := decode(text)
	if err != nil {
		return nil, nil, fmt.Errorf("parse JSON: %w", err)
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, nil, errors.New("document is no object")
	}
	version, _ := root["openapi"].(string)
	if !strings.HasPrefix(version, "3.0.") && !strings.HasPrefix(version, "3.1.") {
		return nil, nil, fmt.Errorf("version %q is neither 3.0 nor 3.1 of OpenAPI", version)
	}
	if err := refuseExternal(root); err != nil {
		return nil, nil, err
	}
	src = &source{root: root, v31: strings.HasPrefix(version, "3.1."), shapes: map[string]*shape{}}
	if warnings, err = src.inspect(); err != nil {
		return nil, nil, err
	}
	return src, warnings, nil
}

// refuseExternal refuses references to other files, wherever they are.
func refuseExternal(v any) error {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !strings.HasPrefix(ref, "#") {
			return fmt.Errorf("reference %q leaves the document", ref)
		}
		for _, e := range v {
			if err := refuseExternal(e); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := refuseExternal(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is a value of the document and where it is: its JSON pointer.
type place struct {
	value map[string]any
	ptr   string
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// child is a member of an object that is an object, references followed; false
// if there is none.
func (s *source) child(p place, name string) (place, bool) {
	v, ok := p.value[name].(map[string]any)
	if !ok {
		return place{}, false
	}
	return s.follow(place{v, p.ptr + "/" + escapePointer.Replace(name)})
}

// item is an element of a member that is a list.
func (s *source) item(p place, name string, i int) (place, bool) {
	list, _ := p.value[name].([]any)
	if i >= len(list) {
		return place{}, false
	}
	v, ok := list[i].(map[string]any)
	if !ok {
		return place{}, false
	}
	return s.follow(place{v, fmt.Sprintf("%s/%s/%d", p.ptr, escapePointer.Replace(name), i)})
}

// maxRefs bounds a chain of references.
const maxRefs = 50

// follow follows the reference that a value is.
func (s *source) follow(p place) (place, bool) {
	for range maxRefs {
		ref, ok := p.value["$ref"].(string)
		if !ok {
			return p, true
		}
		v, ok := s.at(strings.TrimPrefix(ref, "#"))
		if !ok {
			return place{}, false
		}
		p = place{v, strings.TrimPrefix(ref, "#")}
	}
	return place{}, false
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// at is the object that a JSON pointer leads to.
func (s *source) at(ptr string) (map[string]any, bool) {
	v, _ := s.value(ptr)
	m, ok := v.(map[string]any)
	return m, ok
}

// value is what a JSON pointer leads to; false if it leads nowhere.
func (s *source) value(ptr string) (any, bool) {
	if ptr == "" {
		return s.root, true
	}
	v := any(s.root)
	for name := range strings.SplitSeq(strings.TrimPrefix(ptr, "/"), "/") {
		name = unescapePointer.Replace(percentDecode(name))
		ok := false
		switch x := v.(type) {
		case map[string]any:
			v, ok = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if ok = err == nil && i >= 0 && i < len(x); ok {
				v = x[i]
			}
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}
