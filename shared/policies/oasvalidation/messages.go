package oasvalidation

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// validate holds a value against a schema.
func (r *report) validate(schema *jsonschema.Schema, v any) {
	r.explain(schema.Validate(v), "")
}

// validateArray is validate of an array that is a parameter: what is wrong with
// the array is said of the parameter.
func (r *report) validateArray(schema *jsonschema.Schema, v []any, param string) {
	r.explain(schema.Validate(v), param)
}

func (r *report) explain(mistakes []jsonschema.Mistake, param string) {
	if len(mistakes) == 0 {
		return
	}
	x := explainer{param: param}
	leaves := x.leaves(mistakes)
	slices.SortStableFunc(leaves, func(a, b leaf) int { return strings.Compare(a.sort, b.sort) })
	for i, l := range leaves {
		if i == 0 || l.sort != leaves[i-1].sort {
			r.note(l.finding)
		}
	}
}

// explainer puts mistakes into the words of json-schema-validator.
// Source: com/github/fge/jsonschema/validator/validation.properties
type explainer struct {
	param string // of an array that is a parameter
}

type leaf struct {
	finding
	sort string
}

func (x *explainer) leaves(mistakes []jsonschema.Mistake) []leaf {
	out := make([]leaf, len(mistakes))
	for i := range mistakes {
		m := &mistakes[i]
		f := finding{text: x.place(m) + capitalised(x.text(m)), info: x.info(m)}
		out[i] = leaf{f, strings.Join(m.Path, "/") + "\x00" + f.text}
	}
	return out
}

// place is where in the value the mistake is.
func (x *explainer) place(m *jsonschema.Mistake) string {
	if len(m.Path) == 0 || x.param != "" && len(m.Path) == 1 {
		return ""
	}
	var b strings.Builder
	b.WriteString("[Path '")
	for _, p := range m.Path {
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(p))
	}
	b.WriteString("'] ")
	return b.String()
}

// info is the mistakes of the alternatives.
func (x *explainer) info(m *jsonschema.Mistake) []string {
	var out []string
	for _, b := range m.Branches {
		for _, l := range x.leaves(b.Mistakes) {
			out = append(out, fmt.Sprintf("/%s/%d: %s", m.Keyword, b.Index, l.text))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (x *explainer) text(m *jsonschema.Mistake) string {
	if x.param != "" && len(m.Path) == 0 {
		if t := x.arrayText(m); t != "" {
			return t
		}
	}
	for _, text := range []func(*jsonschema.Mistake) string{scalarText, containerText, choiceText} {
		if t := text(m); t != "" {
			return t
		}
	}
	return newerText(m)
}

// arrayText is of a parameter that is an array.
func (x *explainer) arrayText(m *jsonschema.Mistake) string {
	switch m.Keyword {
	case "minItems":
		return fmt.Sprintf("Parameter '%s' accepts a minimum of %d items. Found %d.", x.param, m.Want, m.Got)
	case "maxItems":
		return fmt.Sprintf("Parameter '%s' accepts a maximum of %d items. Found %d.", x.param, m.Want, m.Got)
	case "uniqueItems":
		return fmt.Sprintf("Parameter '%s' does not allow duplicate values.", x.param)
	}
	return ""
}

func scalarText(m *jsonschema.Mistake) string {
	switch m.Keyword {
	case "type":
		want, _ := m.Want.([]string)
		return fmt.Sprintf("instance type (%s) does not match any allowed primitive type (allowed: %s)", typeOf(m.Value), quoted(want))
	case "enum":
		return fmt.Sprintf("instance value (%s) not found in enum (possible values: %s)", printed(m.Value), printed(m.Want))
	case "const":
		return fmt.Sprintf("instance value (%s) is not the constant %s", printed(m.Value), printed(m.Want))
	case "minimum":
		return fmt.Sprintf("numeric instance is lower than the required minimum (minimum: %s, found: %s)", rat(m.Want), rat(m.Value))
	case "maximum":
		return fmt.Sprintf("numeric instance is greater than the required maximum (maximum: %s, found: %s)", rat(m.Want), rat(m.Value))
	case "exclusiveMinimum":
		return "numeric instance is not strictly greater than the required minimum " + rat(m.Want)
	case "exclusiveMaximum":
		return "numeric instance is not strictly lower than the required maximum " + rat(m.Want)
	case "multipleOf":
		return fmt.Sprintf("remainder of division is not zero (%s / %s)", rat(m.Value), rat(m.Want))
	case "minLength":
		return fmt.Sprintf("string %s is too short (length: %d, required minimum: %d)", printed(m.Value), m.Got, m.Want)
	case "maxLength":
		return fmt.Sprintf("string %s is too long (length: %d, maximum allowed: %d)", printed(m.Value), m.Got, m.Want)
	case "pattern":
		return fmt.Sprintf(`ECMA 262 regex "%s" does not match input string "%s"`, m.Want, m.Value)
	case "format":
		return formatText(m)
	}
	return ""
}

// typeOf is the type of a value, as it is written: integers are told from other
// numbers.
func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return "number"
		}
		return "integer"
	}
	return "object"
}

func containerText(m *jsonschema.Mistake) string {
	switch m.Keyword {
	case "required":
		return "object has missing required properties (" + quoted(m.Names) + ")"
	case "additionalProperties":
		return "object instance has properties which are not allowed by the schema: " + quoted(m.Names)
	case "minProperties":
		return fmt.Sprintf("object has too few properties (found %d but schema requires at least %d)", m.Got, m.Want)
	case "maxProperties":
		return fmt.Sprintf("object has too many properties (found %d but schema requires at most %d)", m.Got, m.Want)
	case "minItems":
		return fmt.Sprintf("array is too short: must have at least %d elements but instance has %d elements", m.Want, m.Got)
	case "maxItems":
		return fmt.Sprintf("array is too long: must have at most %d elements but instance has %d elements", m.Want, m.Got)
	case "uniqueItems":
		return "array must not contain duplicate elements"
	}
	return ""
}

func choiceText(m *jsonschema.Mistake) string {
	switch m.Keyword {
	case "not":
		return "instance matched a schema which it should not have"
	case "allOf":
		n, _ := m.Want.(int)
		return fmt.Sprintf("instance failed to match all required schemas (matched only %d out of %d)", n-len(m.Branches), n)
	case "anyOf":
		return fmt.Sprintf("instance failed to match at least one required schema among %d", m.Want)
	case "oneOf":
		if len(m.Indexes) > 0 {
			return fmt.Sprintf("instance failed to match exactly one schema (matched %d)", len(m.Indexes))
		}
		return fmt.Sprintf("instance failed to match exactly one schema (matched 0 out of %d)", m.Want)
	}
	return ""
}

// newerText is of what json-schema-validator has no words for: keywords that are
// newer than it.
func newerText(m *jsonschema.Mistake) string {
	switch m.Keyword {
	case "additionalItems":
		return fmt.Sprintf("last %d additionalItem(s) not allowed", m.Got)
	case "dependentRequired":
		return fmt.Sprintf("properties %s required, if '%s' exists", quoted(m.Names), m.Property)
	case "propertyNames":
		return fmt.Sprintf("invalid propertyName '%s'", m.Property)
	case "contains":
		return "no items match contains schema"
	case "minContains":
		return fmt.Sprintf("min %d items required to match contains schema, but matched %d", m.Want, len(m.Indexes))
	case "maxContains":
		return fmt.Sprintf("max %d items required to match contains schema, but matched %d", m.Want, len(m.Indexes))
	case "$ref":
		return "schema refers to itself, or takes too long"
	}
	return "false schema"
}

// rat prints a number, of a value or a schema, as short as it can be.
func rat(v any) string {
	n, ok := v.(*big.Rat)
	if text, is := v.(json.Number); is {
		n, ok = new(big.Rat).SetString(string(text))
	}
	if !ok {
		return printed(v)
	}
	if n.IsInt() {
		return n.Num().String()
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// formatText is what a format says.
func formatText(m *jsonschema.Mistake) string {
	s, _ := m.Value.(string)
	switch m.Want {
	case "date":
		return fmt.Sprintf(`string "%s" is invalid against requested date format(s) yyyy-MM-dd`, s)
	case "date-time":
		return fmt.Sprintf(`string "%s" is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]`, s)
	case "email":
		return fmt.Sprintf(`string "%s" is not a valid email address`, s)
	case "hostname":
		return fmt.Sprintf(`string "%s" is not a valid hostname`, s)
	case "ipv4":
		return fmt.Sprintf(`string "%s" is not a valid IPv4 address`, s)
	case "ipv6":
		return fmt.Sprintf(`string "%s" is not a valid IPv6 address`, s)
	case "uri":
		return fmt.Sprintf(`string "%s" is not a valid URI`, s)
	case "uuid":
		return fmt.Sprintf(`input string "%s" is not a valid UUID`, s)
	case "regex":
		return fmt.Sprintf(`string "%s" is not a valid ECMA 262 regular expression`, s)
	case "int32", "int64", "float", "double":
		return fmt.Sprintf("value for %s leads to overflow (found: %s)", m.Want, printed(m.Value))
	case "byte":
		return "not a valid base64 string"
	}
	return fmt.Sprintf("string %s is not of format %s", printed(m.Value), m.Want)
}
