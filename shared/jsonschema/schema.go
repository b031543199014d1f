package jsonschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Schema is a compiled schema. It is immutable once Compile has returned.
type Schema struct {
	never bool // the schema false

	types     []string
	hasEnum   bool
	enum      []any
	hasConst  bool
	constant  any
	format    string
	formatted func(any) error

	ref        *Schema
	refAlone   bool // all that counts is the reference: draft 4
	dynamicRef *Schema
	dynamic    string // the name that a dynamic reference looks for

	minimum, maximum         *number
	above, below             *number // exclusive
	multipleOf               *number
	minLength, maxLength     int // -1: none
	pattern                  Pattern
	minItems, maxItems       int
	unique                   bool
	prefix                   []*Schema
	items                    *Schema // of what follows prefix
	rest                     *Schema // additionalItems of draft 4
	contains                 *Schema
	minContains, maxContains int
	minProps, maxProps       int
	required                 []string
	properties               map[string]*Schema
	patterns                 []patternSchema
	additional               *Schema
	names                    *Schema
	dependentRequired        map[string][]string
	dependentSchemas         map[string]*Schema
	noMoreItems              bool // additionalItems: false
	noMoreProps              bool // additionalProperties: false

	allOf, anyOf, oneOf  []*Schema
	not                  *Schema
	cond, then, other    *Schema
	leftProps, leftItems *Schema // unevaluated
	resource             *resource
}

// newSchema returns the schema of all values.
func newSchema() *Schema {
	return &Schema{minLength: -1, maxLength: -1, minItems: -1, maxItems: -1, minContains: -1, maxContains: -1, minProps: -1, maxProps: -1}
}

type patternSchema struct {
	pattern Pattern
	schema  *Schema
}

// resource is a schema with a URL of its own: what dynamic references look through.
type resource struct{ dynamic map[string]*Schema }

// builder compiles one schema.
type builder struct {
	c    *Compiler
	s    *Schema
	m    map[string]any
	ptr  string
	base string
	err  error
}

func (b *builder) fail(keyword, format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("%s/%s %s", b.ptr, escape.Replace(keyword), fmt.Sprintf(format, args...))
	}
}

func (b *builder) build(v any) error {
	s := b.s
	switch v := v.(type) {
	case bool:
		if b.c.opts.Dialect == Draft4 {
			return fmt.Errorf("%s is no schema", b.ptr)
		}
		s.never = !v
		return nil
	case map[string]any:
		b.m = v
	default:
		return fmt.Errorf("%s is no schema", b.ptr)
	}
	if b.c.opts.Dialect == Draft4 {
		if ref, ok := b.text("$ref"); ok {
			s.ref, s.refAlone = b.follow("$ref", ref), true
			return b.err
		}
	}
	b.any()
	b.numbers()
	b.texts()
	b.arrays()
	b.objects()
	b.applicators()
	if b.c.opts.Dialect == Draft2020 {
		b.newer()
	}
	return b.err
}

// any reads what is said of values of any type.
func (b *builder) any() {
	s := b.s
	switch t := b.m["type"].(type) {
	case nil:
		if _, there := b.m["type"]; there {
			b.fail("type", "is none")
		}
	case string:
		s.types = b.typeNames([]any{t})
	case []any:
		if len(t) == 0 {
			b.fail("type", "is empty")
		}
		s.types = b.typeNames(t)
	default:
		b.fail("type", "is none")
	}
	if v, ok := b.m["enum"]; ok {
		if s.enum, s.hasEnum = v.([]any); !s.hasEnum || len(s.enum) == 0 {
			b.fail("enum", "is no list of values")
		}
	}
	if name, ok := b.text("format"); ok {
		s.format = name
		switch own := b.c.opts.Formats[name]; {
		case own != nil:
			s.formatted = own
		case name == "regex":
			compile := b.c.opts.Pattern
			s.formatted = ofString(func(text string) error { _, err := compile(text); return err })
		default:
			s.formatted = formats[name]
		}
	}
}

func (b *builder) typeNames(list []any) []string {
	var out []string
	for _, v := range list {
		name, _ := v.(string)
		if !slices.Contains(typeList, name) || slices.Contains(out, name) {
			b.fail("type", "names %v", v)
		}
		out = append(out, name)
	}
	return out
}

var typeList = []string{"null", "boolean", "number", "integer", "string", "array", "object"}

func (b *builder) numbers() {
	s := b.s
	s.minimum, s.maximum = b.number("minimum"), b.number("maximum")
	if b.c.opts.Dialect == Draft4 {
		if b.flag("exclusiveMinimum") {
			s.above, s.minimum = s.minimum, nil
		}
		if b.flag("exclusiveMaximum") {
			s.below, s.maximum = s.maximum, nil
		}
	} else {
		s.above, s.below = b.number("exclusiveMinimum"), b.number("exclusiveMaximum")
	}
	s.multipleOf = b.number("multipleOf")
	if s.multipleOf != nil && s.multipleOf.sign() <= 0 {
		b.fail("multipleOf", "is not greater than 0")
	}
}

func (b *builder) texts() {
	b.s.minLength, b.s.maxLength = b.count("minLength"), b.count("maxLength")
	if text, ok := b.text("pattern"); ok {
		b.s.pattern = b.regexp("pattern", text)
	}
}

func (b *builder) regexp(keyword, text string) Pattern {
	p, err := b.c.opts.Pattern(text)
	if err != nil {
		b.fail(keyword, "%q is no regular expression: %v", text, err)
	}
	return p
}

func (b *builder) arrays() {
	s := b.s
	s.minItems, s.maxItems = b.count("minItems"), b.count("maxItems")
	s.unique = b.flag("uniqueItems")
	if b.c.opts.Dialect == Draft2020 {
		s.prefix = b.list("prefixItems")
		s.items = b.schema("items")
		return
	}
	if _, tuple := b.m["items"].([]any); !tuple {
		s.items = b.schema("items")
		return
	}
	s.prefix = b.list("items")
	switch more := b.m["additionalItems"].(type) {
	case bool:
		s.noMoreItems = !more
	default:
		s.rest = b.schema("additionalItems")
	}
}

func (b *builder) objects() {
	s := b.s
	s.minProps, s.maxProps = b.count("minProperties"), b.count("maxProperties")
	if v, ok := b.m["required"]; ok {
		s.required = b.strings("required", v)
		if b.c.opts.Dialect == Draft4 && len(s.required) == 0 {
			b.fail("required", "is empty")
		}
	}
	s.properties = b.schemas("properties")
	for _, text := range slices.Sorted(maps.Keys(b.object("patternProperties"))) {
		s.patterns = append(s.patterns, patternSchema{b.regexp("patternProperties", text), b.child("patternProperties", text)})
	}
	switch more := b.m["additionalProperties"].(type) {
	case bool:
		s.noMoreProps = !more
		if more {
			s.additional = newSchema() // anything: but it has been looked at
		}
	default:
		s.additional = b.schema("additionalProperties")
	}
	for name, v := range b.object("dependencies") {
		if _, list := v.([]any); list {
			b.depend(name, b.strings("dependencies", v))
		} else {
			b.dependOn(name, b.child("dependencies", name))
		}
	}
}

func (b *builder) depend(name string, on []string) {
	if b.s.dependentRequired == nil {
		b.s.dependentRequired = map[string][]string{}
	}
	b.s.dependentRequired[name] = on
}

func (b *builder) dependOn(name string, s *Schema) {
	if b.s.dependentSchemas == nil {
		b.s.dependentSchemas = map[string]*Schema{}
	}
	b.s.dependentSchemas[name] = s
}

func (b *builder) applicators() {
	s := b.s
	for keyword, list := range map[string]*[]*Schema{"allOf": &s.allOf, "anyOf": &s.anyOf, "oneOf": &s.oneOf} {
		if *list = b.list(keyword); *list != nil && len(*list) == 0 {
			b.fail(keyword, "is empty")
		}
	}
	s.not = b.schema("not")
}

// newer reads what draft 4 does not have.
func (b *builder) newer() {
	s := b.s
	if v, ok := b.m["const"]; ok {
		s.hasConst, s.constant = true, v
	}
	s.contains = b.schema("contains")
	if s.contains != nil {
		s.minContains, s.maxContains = b.count("minContains"), b.count("maxContains")
	}
	s.names = b.schema("propertyNames")
	for name, v := range b.object("dependentRequired") {
		b.depend(name, b.strings("dependentRequired", v))
	}
	for name, v := range b.schemas("dependentSchemas") {
		b.dependOn(name, v)
	}
	if s.cond = b.schema("if"); s.cond != nil {
		s.then, s.other = b.schema("then"), b.schema("else")
	}
	s.leftItems, s.leftProps = b.schema("unevaluatedItems"), b.schema("unevaluatedProperties")
	if ref, ok := b.text("$ref"); ok {
		s.ref = b.follow("$ref", ref)
	}
	if ref, ok := b.text("$dynamicRef"); ok {
		ptr, name, err := b.c.refer(b.base, ref)
		if err == nil {
			s.dynamicRef, err = b.c.Compile(ptr)
		}
		if err != nil {
			b.keep(err)
			return
		}
		if u, _, err := resolve(b.base, ref); err == nil && b.c.anchors[u][name].dynamic {
			s.dynamic = name
		}
	}
	s.resource = b.resource()
}

// resource is the resource that the schema is in, if it has dynamic anchors.
func (b *builder) resource() *resource {
	names := b.c.anchors[b.base]
	var r *resource
	for name, a := range names {
		if !a.dynamic {
			continue
		}
		target, err := b.c.Compile(a.ptr)
		if err != nil {
			b.keep(err)
			return nil
		}
		if r == nil {
			r = &resource{dynamic: map[string]*Schema{}}
		}
		r.dynamic[name] = target
	}
	return r
}

func (b *builder) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *builder) follow(keyword, ref string) *Schema {
	ptr, _, err := b.c.refer(b.base, ref)
	if err != nil {
		b.fail(keyword, "%v", err)
		return nil
	}
	s, err := b.c.Compile(ptr)
	if err != nil {
		b.keep(fmt.Errorf("%s: %w", b.ptr, err))
	}
	return s
}

// child compiles the schema beneath a keyword.
func (b *builder) child(keyword string, tokens ...string) *Schema {
	ptr := b.ptr + "/" + escape.Replace(keyword)
	for _, t := range tokens {
		ptr += "/" + escape.Replace(t)
	}
	s, err := b.c.Compile(ptr)
	if err != nil {
		b.keep(err)
	}
	return s
}

func (b *builder) schema(keyword string) *Schema {
	if _, ok := b.m[keyword]; !ok {
		return nil
	}
	return b.child(keyword)
}

func (b *builder) list(keyword string) []*Schema {
	v, ok := b.m[keyword]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		b.fail(keyword, "is no list")
		return nil
	}
	out := make([]*Schema, len(list))
	for i := range list {
		out[i] = b.child(keyword, strconv.Itoa(i))
	}
	return out
}

func (b *builder) object(keyword string) map[string]any {
	v, ok := b.m[keyword]
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		b.fail(keyword, "is no object")
	}
	return m
}

func (b *builder) schemas(keyword string) map[string]*Schema {
	m := b.object(keyword)
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]*Schema, len(m))
	for name := range m {
		out[name] = b.child(keyword, name)
	}
	return out
}

func (b *builder) text(keyword string) (string, bool) {
	v, ok := b.m[keyword]
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		b.fail(keyword, "is no string")
	}
	return s, ok
}

func (b *builder) flag(keyword string) bool {
	v, ok := b.m[keyword]
	if !ok {
		return false
	}
	f, ok := v.(bool)
	if !ok {
		b.fail(keyword, "is neither true nor false")
	}
	return f
}

func (b *builder) number(keyword string) *number {
	v, ok := b.m[keyword]
	if !ok {
		return nil
	}
	if n, ok := v.(json.Number); ok {
		if out := newNumber(n); out != nil {
			return out
		}
	}
	b.fail(keyword, "is no number")
	return nil
}

// count is a keyword that is a length; -1 if it is not there.
func (b *builder) count(keyword string) int {
	n := b.number(keyword)
	if n == nil {
		return -1
	}
	i, ok := n.length()
	if !ok {
		b.fail(keyword, "is no length")
	}
	return i
}

func (b *builder) strings(keyword string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		b.fail(keyword, "is no list of names")
		return nil
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		name, ok := e.(string)
		if !ok || slices.Contains(out, name) {
			b.fail(keyword, "is no list of names that are all different")
		}
		out = append(out, name)
	}
	return out
}
