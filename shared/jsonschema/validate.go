package jsonschema

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Mistake is one thing that is wrong with a value.
type Mistake struct {
	// Keyword is the one that the value is not as; "" of a schema that is false.
	// "$ref" is a reference that leads to itself, or a schema that takes too long.
	Keyword string
	// Path is where in the value the mistake is: names and indexes.
	Path []string
	// Value is what is there.
	Value any
	// Want is what the keyword says: types as []string, numbers as *big.Rat, lengths
	// and counts as int, pattern and format as string, enum as []any, const as any.
	Want any
	// Got is a length or a count.
	Got int
	// Names are properties that are missing, or not allowed.
	Names []string
	// Property is the one whose being there asks for others, or whose name is wrong.
	Property string
	// Indexes are the elements that contains allows, or the alternatives of oneOf that
	// do.
	Indexes []int
	// Branches are the alternatives of allOf, anyOf and oneOf that do not allow the
	// value.
	Branches []Branch
}

// Branch is an alternative and what is wrong by it.
type Branch struct {
	Index    int
	Mistakes []Mistake
}

// Validate returns what is wrong with a value, in no certain order; nil if nothing is.
func (s *Schema) Validate(v any) []Mistake {
	r := runs.Get().(*run)
	defer r.done()
	r.left = maxChecks
	if r.check(s, v, nil, nil) && r.left >= 0 {
		return nil
	}
	// It is looked at again for what is wrong: most values are as they should be.
	var out []Mistake
	if r.left >= 0 {
		r.left = maxChecks
		r.check(s, v, nil, &out)
	}
	if r.left < 0 {
		return []Mistake{{Keyword: "$ref", Value: v}}
	}
	return out
}

// maxChecks bounds how often a part of one value is held against a schema: those that
// refer to each other in all directions would take for ever. It is some seconds.
const maxChecks = 1 << 24

// run is a value being held against a schema.
type run struct {
	path  []step
	stack []*Schema // those around the one that is looked at
	base  int       // where those begin that look at the same value
	left  int       // of maxChecks
}

var runs = sync.Pool{New: func() any { return new(run) }}

// done gives r back; it keeps nothing of the value.
func (r *run) done() {
	clear(r.path[:cap(r.path)])
	runs.Put(r)
}

// step leads from a value into one that it has: a property, or an element.
type step struct {
	name  string
	index int // -1: a property
}

// seen are the parts of a value that were looked at by name or place: what is left is
// unevaluated.
type seen struct {
	props map[string]bool
	items map[int]bool
}

func (s *seen) prop(name string) {
	if s == nil {
		return
	}
	if s.props == nil {
		s.props = map[string]bool{}
	}
	s.props[name] = true
}

func (s *seen) item(i int) {
	if s == nil {
		return
	}
	if s.items == nil {
		s.items = map[int]bool{}
	}
	s.items[i] = true
}

func (s *seen) merge(o *seen) {
	if s == nil || o == nil {
		return
	}
	for name := range o.props {
		s.prop(name)
	}
	for i := range o.items {
		s.item(i)
	}
}

// check holds a value against a schema. What is wrong is appended to out; without
// one, the first mistake ends it.
func (r *run) check(s *Schema, v any, known *seen, out *[]Mistake) bool {
	if s.never {
		return r.wrong(out, Mistake{Value: v})
	}
	if r.left--; r.left < 0 {
		return false
	}
	if slices.Contains(r.stack[r.base:], s) {
		return r.wrong(out, Mistake{Keyword: "$ref", Value: v})
	}
	r.stack = append(r.stack, s)
	ok := r.schema(s, v, known, out)
	r.stack = r.stack[:len(r.stack)-1]
	return ok
}

// wrong notes a mistake; it returns false, which is what the value is.
func (r *run) wrong(out *[]Mistake, m Mistake) bool {
	if out != nil {
		m.Path = make([]string, len(r.path))
		for i, p := range r.path {
			m.Path[i] = p.name
			if p.index >= 0 {
				m.Path[i] = strconv.Itoa(p.index)
			}
		}
		*out = append(*out, m)
	}
	return false
}

func (r *run) schema(s *Schema, v any, known *seen, out *[]Mistake) bool {
	if s.refAlone {
		return r.check(s.ref, v, known, out)
	}
	// A value of another type, or none of those that there are, is wrong in one way.
	switch {
	case len(s.types) > 0 && !s.allows(v):
		return r.wrong(out, Mistake{Keyword: "type", Value: v, Want: s.types})
	case s.hasConst && !equal(v, s.constant):
		return r.wrong(out, Mistake{Keyword: "const", Value: v, Want: s.constant})
	case s.hasEnum && !slices.ContainsFunc(s.enum, func(e any) bool { return equal(v, e) }):
		return r.wrong(out, Mistake{Keyword: "enum", Value: v, Want: s.enum})
	case s.formatted != nil && s.formatted(v) != nil:
		return r.wrong(out, Mistake{Keyword: "format", Value: v, Want: s.format})
	}
	own := known
	if s.leftProps != nil || s.leftItems != nil {
		own = &seen{}
	}
	ok := true
	if s.ref != nil {
		ok = r.same(s.ref, v, own, out)
	}
	if ok || out != nil {
		switch v := v.(type) {
		case map[string]any:
			ok = r.object(s, v, own, out) && ok
		case []any:
			ok = r.array(s, v, own, out) && ok
		case string:
			ok = r.text(s, v, out) && ok
		case json.Number:
			ok = r.number(s, v, out) && ok
		}
	}
	if ok || out != nil {
		ok = r.applicators(s, v, own, out) && ok
	}
	if (ok || out != nil) && own != known {
		ok = r.unevaluated(s, v, own, out) && ok
		known.merge(own)
	}
	return ok
}

// same holds the value against another schema. What that looked at counts if it
// allows the value.
func (r *run) same(s *Schema, v any, known *seen, out *[]Mistake) bool {
	if known == nil {
		return r.check(s, v, nil, out)
	}
	theirs := seen{}
	ok := r.check(s, v, &theirs, out)
	if ok {
		known.merge(&theirs)
	}
	return ok
}

// inside holds a part of the value against a schema.
func (r *run) inside(s *Schema, v any, at step, out *[]Mistake) bool {
	r.path = append(r.path, at)
	base := r.base
	r.base = len(r.stack)
	ok := r.check(s, v, nil, out)
	r.base = base
	r.path = r.path[:len(r.path)-1]
	return ok
}

func (s *Schema) allows(v any) bool {
	is := typeOf(v)
	for _, t := range s.types {
		if t == is {
			return true
		}
		if n, ok := v.(json.Number); ok && t == "integer" && integer(n) {
			return true
		}
	}
	return false
}

// typeOf is the type of a value; numbers are "number" all.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return ""
}

func (r *run) number(s *Schema, v json.Number, out *[]Mistake) bool {
	if s.minimum == nil && s.maximum == nil && s.above == nil && s.below == nil && s.multipleOf == nil {
		return true
	}
	var n number
	ok := n.set(v)
	if !ok {
		return r.wrong(out, Mistake{Keyword: "type", Value: v, Want: []string{"number"}})
	}
	bound := func(keyword string, want *number, holds func(cmp int) bool) {
		if want != nil && (ok || out != nil) && !holds(n.cmp(want)) {
			ok = r.wrong(out, Mistake{Keyword: keyword, Value: v, Want: want.big()})
		}
	}
	bound("minimum", s.minimum, func(c int) bool { return c >= 0 })
	bound("maximum", s.maximum, func(c int) bool { return c <= 0 })
	bound("exclusiveMinimum", s.above, func(c int) bool { return c > 0 })
	bound("exclusiveMaximum", s.below, func(c int) bool { return c < 0 })
	if s.multipleOf != nil && (ok || out != nil) && !n.multiple(s.multipleOf) {
		ok = r.wrong(out, Mistake{Keyword: "multipleOf", Value: v, Want: s.multipleOf.big()})
	}
	return ok
}

func (r *run) text(s *Schema, v string, out *[]Mistake) bool {
	ok := true
	if s.minLength >= 0 || s.maxLength >= 0 {
		ok = r.bounds("minLength", "maxLength", s.minLength, s.maxLength, utf8.RuneCountInString(v), v, out)
	}
	if (ok || out != nil) && s.pattern != nil && !s.pattern.MatchString(v) {
		ok = r.wrong(out, Mistake{Keyword: "pattern", Value: v, Want: s.pattern.String()})
	}
	return ok
}

// bounds checks a length.
func (r *run) bounds(atLeast, atMost string, least, most, n int, v any, out *[]Mistake) bool {
	ok := true
	if least >= 0 && n < least {
		ok = r.wrong(out, Mistake{Keyword: atLeast, Value: v, Want: least, Got: n})
	}
	if most >= 0 && n > most {
		ok = r.wrong(out, Mistake{Keyword: atMost, Value: v, Want: most, Got: n})
	}
	return ok
}

func (r *run) array(s *Schema, v []any, known *seen, out *[]Mistake) bool {
	ok := r.bounds("minItems", "maxItems", s.minItems, s.maxItems, len(v), v, out)
	if s.unique && (ok || out != nil) && repeats(v) {
		ok = r.wrong(out, Mistake{Keyword: "uniqueItems", Value: v})
	}
	rest := s.items
	if rest == nil || len(s.prefix) > 0 && s.rest != nil {
		rest = s.rest
	}
	for i, e := range v {
		if !ok && out == nil {
			return false
		}
		switch {
		case i < len(s.prefix):
			ok = r.inside(s.prefix[i], e, step{index: i}, out) && ok
			known.item(i)
		case rest != nil:
			ok = r.inside(rest, e, step{index: i}, out) && ok
			known.item(i)
		case s.noMoreItems:
			return r.wrong(out, Mistake{Keyword: "additionalItems", Value: v, Got: len(v) - i})
		}
	}
	if (ok || out != nil) && s.contains != nil {
		ok = r.containing(s, v, known, out) && ok
	}
	return ok
}

func (r *run) containing(s *Schema, v []any, known *seen, out *[]Mistake) bool {
	var found []int
	for i, e := range v {
		if r.inside(s.contains, e, step{index: i}, nil) {
			found = append(found, i)
			known.item(i)
		}
	}
	ok := true
	switch {
	case s.minContains >= 0 && len(found) < s.minContains:
		ok = r.wrong(out, Mistake{Keyword: "minContains", Value: v, Want: s.minContains, Indexes: found})
	case s.minContains < 0 && len(found) == 0:
		ok = r.wrong(out, Mistake{Keyword: "contains", Value: v})
	}
	if s.maxContains >= 0 && len(found) > s.maxContains {
		ok = r.wrong(out, Mistake{Keyword: "maxContains", Value: v, Want: s.maxContains, Indexes: found})
	}
	return ok
}

func (r *run) object(s *Schema, v map[string]any, known *seen, out *[]Mistake) bool {
	ok := r.bounds("minProperties", "maxProperties", s.minProps, s.maxProps, len(v), v, out)
	if names := missing(v, s.required); len(names) > 0 {
		ok = r.wrong(out, Mistake{Keyword: "required", Value: v, Names: names})
	}
	if !ok && out == nil {
		return false
	}
	if s.properties != nil || s.patterns != nil || s.additional != nil || s.noMoreProps {
		ok = r.properties(s, v, known, out) && ok
	}
	if s.names != nil {
		for name := range v {
			if !r.inside(s.names, name, step{name: name, index: -1}, nil) {
				ok = r.wrong(out, Mistake{Keyword: "propertyNames", Value: v, Property: name})
			}
		}
	}
	for name, on := range s.dependentRequired {
		if _, there := v[name]; there {
			if names := missing(v, on); len(names) > 0 {
				ok = r.wrong(out, Mistake{Keyword: "dependentRequired", Value: v, Property: name, Names: names})
			}
		}
	}
	for name, d := range s.dependentSchemas {
		if _, there := v[name]; there {
			ok = r.same(d, v, known, out) && ok
		}
	}
	return ok
}

func missing(v map[string]any, names []string) []string {
	var out []string
	for _, name := range names {
		if _, there := v[name]; !there {
			out = append(out, name)
		}
	}
	return out
}

func (r *run) properties(s *Schema, v map[string]any, known *seen, out *[]Mistake) bool {
	ok := true
	var more []string
	for name, e := range v {
		if !ok && out == nil {
			return false
		}
		at := step{name: name, index: -1}
		p, named := s.properties[name]
		if named {
			ok = r.inside(p, e, at, out) && ok
		}
		for i := range s.patterns {
			if s.patterns[i].pattern.MatchString(name) {
				named = true
				ok = r.inside(s.patterns[i].schema, e, at, out) && ok
			}
		}
		switch {
		case named:
		case s.noMoreProps:
			ok = false
			more = append(more, name)
		case s.additional != nil:
			ok = r.inside(s.additional, e, at, out) && ok
		default:
			continue
		}
		known.prop(name)
	}
	if len(more) > 0 {
		r.wrong(out, Mistake{Keyword: "additionalProperties", Value: v, Names: more})
	}
	return ok
}

func (r *run) applicators(s *Schema, v any, known *seen, out *[]Mistake) bool {
	ok := true
	if s.dynamicRef != nil {
		ok = r.same(r.dynamic(s), v, known, out)
	}
	if s.not != nil && (ok || out != nil) && r.check(s.not, v, nil, nil) {
		ok = r.wrong(out, Mistake{Keyword: "not", Value: v})
	}
	if s.allOf != nil && (ok || out != nil) {
		ok = r.all(s, v, known, out) && ok
	}
	if s.anyOf != nil && (ok || out != nil) {
		ok = r.anyOne(s, v, known, out) && ok
	}
	if s.oneOf != nil && (ok || out != nil) {
		ok = r.one(s, v, known, out) && ok
	}
	if s.cond != nil && (ok || out != nil) {
		branch := s.other
		if r.same(s.cond, v, known, nil) {
			branch = s.then
		}
		if branch != nil {
			ok = r.same(branch, v, known, out) && ok
		}
	}
	return ok
}

// dynamic is what a dynamic reference leads to: the outermost of the name.
func (r *run) dynamic(s *Schema) *Schema {
	if s.dynamic == "" {
		return s.dynamicRef
	}
	for _, f := range r.stack {
		if f.resource != nil {
			if d := f.resource.dynamic[s.dynamic]; d != nil {
				return d
			}
		}
	}
	return s.dynamicRef
}

func (r *run) all(s *Schema, v any, known *seen, out *[]Mistake) bool {
	var branches []Branch
	ok := true
	for i, e := range s.allOf {
		var list *[]Mistake
		if out != nil {
			list = &[]Mistake{}
		}
		if r.same(e, v, known, list) {
			continue
		}
		ok = false
		if out == nil {
			return false
		}
		branches = append(branches, Branch{i, *list})
	}
	if !ok {
		r.wrong(out, Mistake{Keyword: "allOf", Value: v, Want: len(s.allOf), Branches: branches})
	}
	return ok
}

func (r *run) anyOne(s *Schema, v any, known *seen, out *[]Mistake) bool {
	ok := false
	for _, e := range s.anyOf {
		if r.same(e, v, known, nil) {
			ok = true
			if known == nil {
				break
			}
		}
	}
	if !ok && out != nil {
		r.wrong(out, Mistake{Keyword: "anyOf", Value: v, Want: len(s.anyOf), Branches: r.branches(s.anyOf, v)})
	}
	return ok
}

func (r *run) one(s *Schema, v any, known *seen, out *[]Mistake) bool {
	first, second := -1, -1
	for i, e := range s.oneOf {
		if !r.same(e, v, known, nil) {
			continue
		}
		if first >= 0 {
			second = i
			break
		}
		first = i
	}
	switch {
	case second >= 0:
		return r.wrong(out, Mistake{Keyword: "oneOf", Value: v, Want: len(s.oneOf), Indexes: []int{first, second}})
	case first >= 0:
		return true
	case out != nil:
		r.wrong(out, Mistake{Keyword: "oneOf", Value: v, Want: len(s.oneOf), Branches: r.branches(s.oneOf, v)})
	}
	return false
}

// branches is what is wrong by each of the alternatives, none of which allows the
// value.
func (r *run) branches(list []*Schema, v any) []Branch {
	out := make([]Branch, len(list))
	for i, e := range list {
		out[i].Index = i
		r.check(e, v, nil, &out[i].Mistakes)
	}
	return out
}

// unevaluated holds what nothing looked at against the schemas for that.
func (r *run) unevaluated(s *Schema, v any, known *seen, out *[]Mistake) bool {
	ok := true
	switch v := v.(type) {
	case map[string]any:
		if s.leftProps == nil {
			break
		}
		for name, e := range v {
			if !known.props[name] {
				ok = r.inside(s.leftProps, e, step{name: name, index: -1}, out) && ok
				known.prop(name)
			}
		}
	case []any:
		if s.leftItems == nil {
			break
		}
		for i, e := range v {
			if !known.items[i] {
				ok = r.inside(s.leftItems, e, step{index: i}, out) && ok
				known.item(i)
			}
		}
	}
	return ok
}

// equal reports whether two values are the same; numbers are by what they are.
func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(a, b))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, e := range a {
			o, there := b[name]
			if !there || !equal(e, o) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

func sameNumber(a, b json.Number) bool {
	var x, y number
	return x.set(a) && y.set(b) && x.cmp(&y) == 0
}

// few is up to how many elements are compared with each other.
const few = 16

// repeats reports whether an array has an element twice.
func repeats(list []any) bool {
	if len(list) > few {
		known := make(map[string]bool, len(list))
		var key []byte
		for _, e := range list {
			key = appendKey(key[:0], e)
			if known[string(key)] {
				return true
			}
			known[string(key)] = true
		}
		return false
	}
	for i, e := range list {
		for _, o := range list[:i] {
			if equal(e, o) {
				return true
			}
		}
	}
	return false
}

// appendKey appends what is the same for values that are.
func appendKey(to []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(to, 'n')
	case bool:
		return strconv.AppendBool(to, v)
	case string:
		return strconv.AppendQuote(to, v)
	case json.Number:
		var n number
		n.set(v)
		return append(to, n.big().RatString()...)
	case []any:
		to = append(to, '[')
		for _, e := range v {
			to = append(appendKey(to, e), ',')
		}
		return append(to, ']')
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		to = append(to, '{')
		for _, name := range names {
			to = append(appendKey(append(strconv.AppendQuote(to, name), ':'), v[name]), ',')
		}
		return append(to, '}')
	}
	return to
}
