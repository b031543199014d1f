package jsonschema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	oracle "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

func decode(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func compile(d jsonschema.Dialect, schema any, ptr string) (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler(schema, jsonschema.Options{Dialect: d, Pattern: func(s string) (jsonschema.Pattern, error) {
		return regexp.Compile(s)
	}}).Compile(ptr)
}

// theirs is what santhosh-tekuri/jsonschema finds, as ours below.
func theirs(d jsonschema.Dialect, schema, v any) ([]string, error) {
	c := oracle.NewCompiler()
	c.DefaultDraft(oracle.Draft4)
	if d == jsonschema.Draft2020 {
		c.DefaultDraft(oracle.Draft2020)
	}
	c.AssertFormat()
	if err := c.AddResource("test:///schema", schema); err != nil {
		return nil, err
	}
	s, err := c.Compile("test:///schema")
	if err != nil {
		return nil, err
	}
	e, _ := s.Validate(v).(*oracle.ValidationError)
	if e == nil {
		return nil, nil
	}
	return unique(leaves(nil, e)), nil
}

func leaves(to []string, e *oracle.ValidationError) []string {
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference:
		for _, c := range e.Causes {
			to = leaves(to, c)
		}
		return to
	case *kind.Not:
		return append(to, said("not", e.InstanceLocation, ""))
	case *kind.FalseSchema:
		return append(to, said("", e.InstanceLocation, ""))
	case *kind.RefCycle:
		return append(to, said("$ref", e.InstanceLocation, ""))
	case *kind.Required:
		return append(to, said("required", e.InstanceLocation, names(k.Missing)))
	case *kind.AdditionalProperties:
		return append(to, said("additionalProperties", e.InstanceLocation, names(k.Properties)))
	case *kind.DependentRequired:
		return append(to, said("dependentRequired", e.InstanceLocation, k.Prop+names(k.Missing)))
	case *kind.Dependency:
		return append(to, said("dependentRequired", e.InstanceLocation, k.Prop+names(k.Missing)))
	case *kind.PropertyNames:
		return append(to, said("propertyNames", nil, k.Property)) // theirs is often somewhere else
	case *kind.MinLength:
		return append(to, said("minLength", e.InstanceLocation, fmt.Sprint(k.Got, k.Want)))
	case *kind.MaxItems:
		return append(to, said("maxItems", e.InstanceLocation, fmt.Sprint(k.Got, k.Want)))
	case *kind.Minimum:
		return append(to, said("minimum", e.InstanceLocation, k.Want.RatString()))
	case *kind.OneOf:
		return append(to, said("oneOf", e.InstanceLocation, fmt.Sprint(k.Subschemas)))
	case *kind.AdditionalItems:
		return append(to, said("additionalItems", e.InstanceLocation, fmt.Sprint(k.Count)))
	case *kind.MinContains:
		return append(to, said("minContains", e.InstanceLocation, fmt.Sprint(k.Got, k.Want)))
	case *kind.MaxContains:
		return append(to, said("maxContains", e.InstanceLocation, fmt.Sprint(k.Got, k.Want)))
	default:
		return append(to, said(k.KeywordPath()[0], e.InstanceLocation, ""))
	}
}

func ours(mistakes []jsonschema.Mistake) []string {
	var out []string
	for _, m := range mistakes {
		detail := ""
		switch m.Keyword {
		case "required", "additionalProperties":
			detail = names(m.Names)
		case "dependentRequired":
			detail = m.Property + names(m.Names)
		case "propertyNames":
			detail, m.Path = m.Property, nil
		case "minLength", "maxItems":
			detail = fmt.Sprint(m.Got, m.Want)
		case "minimum":
			detail = m.Want.(interface{ RatString() string }).RatString()
		case "oneOf":
			detail = fmt.Sprint(m.Indexes)
		case "additionalItems":
			detail = fmt.Sprint(m.Got)
		case "minContains", "maxContains":
			detail = fmt.Sprint(m.Indexes, m.Want)
		}
		out = append(out, said(m.Keyword, m.Path, detail))
	}
	return unique(out)
}

func said(keyword string, path []string, detail string) string {
	return "/" + strings.Join(path, "/") + " " + keyword + " " + detail
}

func names(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return fmt.Sprint(list)
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// maker makes schemas and values from chance: few names and few values, so that they
// meet.
type maker struct {
	*rand.Rand
	dialect jsonschema.Dialect
}

func (g *maker) coin() bool { return g.IntN(2) == 0 }

var (
	propNames  = []string{"a", "b", "ab", "c/d", "~"}
	scalars    = []any{nil, true, false, json.Number("0"), json.Number("1"), json.Number("2"), json.Number("1.0"), json.Number("2.5"), json.Number("-3"), json.Number("1e2"), json.Number("12345678901234567890"), "", "a", "ab", "é€", "2026-02-28", "x@example.com", "a long text"}
	expression = []string{"^a", "b$", "^[a-z]+$", "."}
)

func (g *maker) name() string { return propNames[g.IntN(len(propNames))] }

func (g *maker) value(depth int) any {
	switch n := g.IntN(6); {
	case n == 0 && depth > 0:
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	case n <= 2 && depth > 0:
		m := map[string]any{}
		for range g.IntN(4) {
			m[g.name()] = g.value(depth - 1)
		}
		return m
	}
	return scalars[g.IntN(len(scalars))]
}

func (g *maker) count() any { return json.Number(fmt.Sprint(g.IntN(4))) }

func (g *maker) schemas(depth int) []any {
	out := make([]any, 1+g.IntN(3))
	for i := range out {
		out[i] = g.schema(depth - 1)
	}
	return out
}

func (g *maker) schema(depth int) any {
	if g.dialect == jsonschema.Draft2020 && g.IntN(8) == 0 {
		return g.coin()
	}
	m := map[string]any{}
	for range 1 + g.IntN(3) {
		g.keyword(m, depth)
	}
	return m
}

func (g *maker) keyword(m map[string]any, depth int) {
	if depth > 0 && g.IntN(3) > 0 {
		g.applicator(m, depth)
		return
	}
	switch g.IntN(13) {
	case 0:
		m["type"] = []string{"null", "boolean", "number", "integer", "string", "array", "object"}[g.IntN(7)]
	case 1:
		m["type"] = []any{"object", "string", "integer", "array"}[:1+g.IntN(4)]
	case 2:
		m["enum"] = []any{g.value(1), "a"}
		if g.value(0) == "a" || fmt.Sprint(m["enum"].([]any)[0]) == "a" {
			m["enum"] = []any{"a"}
		}
	case 3:
		m["minLength"], m["maxLength"] = g.count(), g.count()
	case 4:
		m["pattern"] = expression[g.IntN(len(expression))]
	case 5:
		m["minItems"], m["maxItems"] = g.count(), g.count()
	case 6:
		m["minProperties"], m["maxProperties"] = g.count(), g.count()
	case 7:
		m["minimum"] = scalars[3+g.IntN(7)]
		if g.dialect == jsonschema.Draft4 && g.coin() {
			m["exclusiveMinimum"] = g.coin()
		}
	case 8:
		m["maximum"] = scalars[3+g.IntN(7)]
		if g.dialect == jsonschema.Draft2020 && g.coin() {
			m["exclusiveMaximum"] = scalars[3+g.IntN(7)]
		}
	case 9:
		m["multipleOf"] = []any{json.Number("2"), json.Number("0.5"), json.Number("3")}[g.IntN(3)]
	case 10:
		m["required"] = []any{propNames[g.IntN(2)], propNames[2+g.IntN(3)]}
	case 11:
		m["uniqueItems"] = g.coin()
	case 12:
		m["format"] = []any{"date", "email", "ipv4", "uuid", "hostname", "none"}[g.IntN(6)]
		if g.dialect == jsonschema.Draft2020 && g.coin() {
			m["const"] = g.value(1)
		}
	}
}

func (g *maker) applicator(m map[string]any, depth int) {
	n := 11
	if g.dialect == jsonschema.Draft2020 {
		n = 20
	}
	switch g.IntN(n) {
	case 0, 1:
		props := map[string]any{}
		for range 1 + g.IntN(3) {
			props[g.name()] = g.schema(depth - 1)
		}
		m["properties"] = props
	case 2:
		m["patternProperties"] = map[string]any{expression[g.IntN(len(expression))]: g.schema(depth - 1)}
	case 3:
		m["additionalProperties"] = g.coin()
		if g.coin() {
			m["additionalProperties"] = g.schema(depth - 1)
		}
	case 4:
		m["items"] = g.schema(depth - 1)
	case 5:
		m["allOf"] = g.schemas(depth)
	case 6:
		m["anyOf"] = g.schemas(depth)
	case 7:
		m["oneOf"] = g.schemas(depth)
	case 8:
		m["not"] = g.schema(depth - 1)
	case 9:
		m["$ref"] = []any{"#", "#/definitions/a", "#/definitions/b"}[g.IntN(3)]
	case 10:
		if g.dialect == jsonschema.Draft4 {
			m["items"], m["additionalItems"] = g.schemas(depth), g.coin()
			m["dependencies"] = map[string]any{g.name(): []any{g.name()}, "a": g.schema(depth - 1)}
			return
		}
		m["prefixItems"] = g.schemas(depth)
	case 11:
		m["unevaluatedProperties"] = g.schema(depth - 1)
	case 12:
		m["unevaluatedItems"] = g.schema(depth - 1)
	case 13:
		m["contains"] = g.schema(depth - 1)
		if g.coin() {
			m["minContains"], m["maxContains"] = g.count(), g.count()
		}
	case 14:
		m["propertyNames"] = g.schema(depth - 1)
	case 15:
		m["dependentRequired"] = map[string]any{g.name(): []any{g.name()}}
	case 16:
		m["dependentSchemas"] = map[string]any{g.name(): g.schema(depth - 1)}
	case 17, 18:
		m["if"], m["then"], m["else"] = g.schema(depth-1), g.schema(depth-1), g.schema(depth-1)
	case 19:
		m["$ref"] = []any{"other", "other#/properties/a", "#/definitions/a"}[g.IntN(3)]
	}
}

func (g *maker) document() map[string]any {
	m := map[string]any{}
	for range 1 + g.IntN(3) {
		g.keyword(m, 3)
	}
	m["definitions"] = map[string]any{"a": g.schema(2), "b": g.schema(2)}
	if g.dialect == jsonschema.Draft2020 {
		m["$defs"] = map[string]any{
			"x": map[string]any{"$anchor": "anchored", "type": "object", "properties": map[string]any{"a": g.schema(1)}},
			"y": map[string]any{"$id": "other", "definitions": map[string]any{"a": map[string]any{}, "b": map[string]any{"type": "object"}}, "properties": map[string]any{"a": g.schema(1), "b": map[string]any{"$ref": "#"}}},
		}
	}
	if g.dialect == jsonschema.Draft2020 && g.IntN(4) == 0 {
		m["allOf"] = []any{map[string]any{"$ref": "#anchored"}}
	}
	return m
}

// rounds is how many schemas are made.
const rounds = 400

// TestAgainst: schemas and values made by chance are judged as
// santhosh-tekuri/jsonschema judges them, mistake by mistake.
func TestAgainst(t *testing.T) {
	judged, wrong := 0, 0
	for seed := range uint64(rounds) {
		g := &maker{rand.New(rand.NewPCG(seed, 1)), jsonschema.Dialect(seed % 2)}
		schema := g.document()
		text, _ := json.Marshal(schema)
		s, err := compile(g.dialect, schema, "")
		_, other := theirs(g.dialect, schema, nil)
		if (err == nil) != (other == nil) {
			t.Fatalf("seed %d: %s: %v, they say %v", seed, text, err, other)
		}
		if err != nil {
			continue
		}
		lenient := strings.Contains(string(text), "unevaluated")
		for range 8 {
			v := g.value(3)
			want, _ := theirs(g.dialect, schema, v)
			got := ours(s.Validate(v))
			judged++
			if len(want) > 0 {
				wrong++
			}
			// Where a value is wrong anyway, theirs and ours may differ in what was
			// evaluated.
			if lenient && len(got) > 0 && len(want) > 0 {
				continue
			}
			if !slices.Equal(got, want) {
				value, _ := json.Marshal(v)
				t.Fatalf("seed %d: %s\nheld against %s\ngot  %q\nwant %q", seed, value, text, got, want)
			}
		}
	}
	if judged < rounds*4 || wrong < judged/5 || wrong > judged*4/5 {
		t.Errorf("%d judged, %d wrong: chance makes too little of it", judged, wrong)
	}
}

// Schemas that all refer to each other end, whatever is made of the answer.
func TestEnds(t *testing.T) {
	var all []any
	schema := map[string]any{}
	for i := range 12 {
		all = append(all, map[string]any{"$ref": fmt.Sprint("#/", i)})
	}
	for i := range 12 {
		schema[fmt.Sprint(i)] = map[string]any{"anyOf": all}
	}
	for _, root := range []any{all[0], map[string]any{"not": all[0]}} {
		schema["root"] = root
		s, err := compile(jsonschema.Draft4, schema, "/root")
		if err != nil {
			t.Fatal(err)
		}
		if m := s.Validate("x"); len(m) != 1 || m[0].Keyword != "$ref" {
			t.Errorf("%v", m)
		}
	}
}

// What is no schema is refused, with its place.
func TestRefused(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"strange"}`:                          "/type names strange",
		`{"type":[]}`:                                 "/type is empty",
		`{"type":5}`:                                  "/type is none",
		`{"minProperties":-1}`:                        "/minProperties is no length",
		`{"minLength":1.5}`:                           "/minLength is no length",
		`{"maximum":"1"}`:                             "/maximum is no number",
		`{"multipleOf":0}`:                            "/multipleOf is not greater than 0",
		`{"properties":{"a/b":{"pattern":"("}}}`:      `/properties/a~1b/pattern "(" is no regular expression`,
		`{"patternProperties":{"(":{}}}`:              `/patternProperties "(" is no regular expression`,
		`{"properties":[]}`:                           "/properties is no object",
		`{"items":5}`:                                 "/items is no schema",
		`{"allOf":[]}`:                                "/allOf is empty",
		`{"allOf":{}}`:                                "/allOf is no list",
		`{"required":["a","a"]}`:                      "/required is no list of names that are all different",
		`{"required":"a"}`:                            "/required is no list of names",
		`{"enum":[]}`:                                 "/enum is no list of values",
		`{"uniqueItems":1}`:                           "/uniqueItems is neither true nor false",
		`{"$ref":5}`:                                  "/$ref is no string",
		`{"$ref":"#/none"}`:                           "/none leads nowhere",
		`{"$ref":"other.json"}`:                       `reference "other.json" leaves the document`,
		`{"not":{"$ref":"https://example.com/a#/b"}}`: `/not/$ref reference "https://example.com/a#/b" leaves the document`,
		`{"$ref":"#name"}`:                            `reference "#name" leads nowhere`,
	} {
		for _, d := range []jsonschema.Dialect{jsonschema.Draft4, jsonschema.Draft2020} {
			if _, err := compile(d, decode(t, []byte(schema)), ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", schema, err, want)
			}
		}
	}
	if _, err := compile(jsonschema.Draft4, decode(t, []byte(`{"a":{"type":"string"}}`)), "/b"); err == nil {
		t.Error("a pointer that leads nowhere is followed")
	}
}

const (
	personSchema = `{"type":"object","required":["name","tags"],"properties":{"name":{"type":"string","minLength":1,"maxLength":50},
"age":{"type":"integer","minimum":0,"maximum":150},"mail":{"type":"string","format":"email"},
"tags":{"type":"array","items":{"type":"string","pattern":"^[a-z]+$"},"maxItems":10,"uniqueItems":true},
"address":{"oneOf":[{"type":"null"},{"type":"object","properties":{"street":{"type":"string"}},"required":["street"],"additionalProperties":false}]}}}`
	person = `{"name":"Ann","age":7,"mail":"a@example.com","tags":["a","b","c"],"address":{"street":"Main"}}`
)

// A value that is as it should be costs no allocation.
func TestAllocations(t *testing.T) {
	s, err := compile(jsonschema.Draft4, decode(t, []byte(personSchema)), "")
	if err != nil {
		t.Fatal(err)
	}
	v := decode(t, []byte(person))
	if m := s.Validate(v); m != nil {
		t.Fatal(m)
	}
	if n := testing.AllocsPerRun(100, func() { s.Validate(v) }); n > 4 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValidate(b *testing.B) {
	s, err := compile(jsonschema.Draft4, decode(b, []byte(personSchema)), "")
	if err != nil {
		b.Fatal(err)
	}
	v := decode(b, []byte(person))
	b.ReportAllocs()
	for b.Loop() {
		s.Validate(v)
	}
}

func BenchmarkCompile(b *testing.B) {
	v := decode(b, []byte(personSchema))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compile(jsonschema.Draft4, v, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzValidate: any schema is refused, or judges any value, twice in the same way.
func FuzzValidate(f *testing.F) {
	f.Add(personSchema, person, true)
	f.Add(`{"$ref":"#/a","a":{"anyOf":[{"$ref":"#"},{"type":"string","format":"date-time"}]}}`, `["x",{"a":1e2}]`, false)
	f.Add(`{"$defs":{"a":{"$id":"x","$dynamicAnchor":"n"}},"unevaluatedItems":{"$dynamicRef":"x#n"}}`, `[[1]]`, true)
	f.Fuzz(func(t *testing.T, schema, value string, old bool) {
		var s, v any
		for text, to := range map[string]*any{schema: &s, value: &v} {
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			if len(text) > 4<<10 || strings.ContainsAny(text, "eE") || d.Decode(to) != nil {
				return // exponents are for the caller to bound
			}
		}
		dialect := jsonschema.Draft2020
		if old {
			dialect = jsonschema.Draft4
		}
		compiled, err := compile(dialect, s, "")
		if err != nil {
			return
		}
		if a, b := ours(compiled.Validate(v)), ours(compiled.Validate(v)); !slices.Equal(a, b) {
			t.Fatalf("%q, then %q", a, b)
		}
	})
}
