package oasvalidation

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// validate holds a value against a schema.
func (r *report) validate(schema *jsonschema.Schema, v any) {
	r.explain(schema.Validate(v), v, "")
}

// validateArray is validate of an array that is a parameter: what is wrong with
// the array is said of the parameter.
func (r *report) validateArray(schema *jsonschema.Schema, v []any, param string) {
	r.explain(schema.Validate(v), v, param)
}

func (r *report) explain(err error, v any, param string) {
	var e *jsonschema.ValidationError
	switch {
	case err == nil:
		return
	case !errors.As(err, &e):
		r.add("An error occurred during schema validation - %v.", err)
		return
	}
	x := explainer{value: v, param: param}
	leaves := x.leaves(nil, e)
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
	value any
	param string // of an array that is a parameter
}

type leaf struct {
	finding
	sort string
}

// leaves appends the mistakes that an error is made of.
func (x *explainer) leaves(to []leaf, e *jsonschema.ValidationError) []leaf {
	switch e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference:
		for _, c := range e.Causes {
			to = x.leaves(to, c)
		}
		return to
	}
	f := finding{text: x.place(e) + capitalised(x.text(e)), info: x.info(e)}
	return append(to, leaf{f, strings.Join(e.InstanceLocation, "/") + "\x00" + f.text})
}

// place is where in the value the mistake is.
func (x *explainer) place(e *jsonschema.ValidationError) string {
	if len(e.InstanceLocation) == 0 || x.param != "" && len(e.InstanceLocation) == 1 {
		return ""
	}
	var b strings.Builder
	b.WriteString("[Path '")
	for _, p := range e.InstanceLocation {
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(p))
	}
	b.WriteString("'] ")
	return b.String()
}

// info is the mistakes of the alternatives.
func (x *explainer) info(e *jsonschema.ValidationError) []string {
	var keyword string
	switch e.ErrorKind.(type) {
	case *kind.AllOf:
		keyword = "allOf"
	case *kind.AnyOf:
		keyword = "anyOf"
	case *kind.OneOf:
		keyword = "oneOf"
	default:
		return nil
	}
	var out []string
	for i, c := range e.Causes {
		for _, l := range x.leaves(nil, c) {
			out = append(out, fmt.Sprintf("/%s/%s: %s", keyword, branch(c, keyword, i), l.text))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// branch is the index of an alternative.
func branch(e *jsonschema.ValidationError, keyword string, i int) string {
	if _, rest, ok := cutLast(e.SchemaURL, "/"+keyword+"/"); ok {
		n, _, _ := strings.Cut(rest, "/")
		return n
	}
	return strconv.Itoa(i)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (x *explainer) text(e *jsonschema.ValidationError) string {
	if x.param != "" && len(e.InstanceLocation) == 0 {
		if t := x.arrayText(e); t != "" {
			return t
		}
	}
	if t := x.scalarText(e); t != "" {
		return t
	}
	if t := containerText(e); t != "" {
		return t
	}
	return e.ErrorKind.LocalizedString(printer)
}

var printer = message.NewPrinter(language.English)

// arrayText is of a parameter that is an array.
func (x *explainer) arrayText(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("Parameter '%s' accepts a minimum of %d items. Found %d.", x.param, k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("Parameter '%s' accepts a maximum of %d items. Found %d.", x.param, k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("Parameter '%s' does not allow duplicate values.", x.param)
	}
	return ""
}

func (x *explainer) scalarText(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("instance type (%s) does not match any allowed primitive type (allowed: %s)", x.typeOf(e, k.Got), quoted(k.Want))
	case *kind.Enum:
		return fmt.Sprintf("instance value (%s) not found in enum (possible values: %s)", printed(k.Got), printed(k.Want))
	case *kind.Const:
		return fmt.Sprintf("instance value (%s) is not the constant %s", printed(k.Got), printed(k.Want))
	case *kind.Minimum:
		return fmt.Sprintf("numeric instance is lower than the required minimum (minimum: %s, found: %s)", rat(k.Want), rat(k.Got))
	case *kind.Maximum:
		return fmt.Sprintf("numeric instance is greater than the required maximum (maximum: %s, found: %s)", rat(k.Want), rat(k.Got))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("numeric instance is not strictly greater than the required minimum %s", rat(k.Want))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("numeric instance is not strictly lower than the required maximum %s", rat(k.Want))
	case *kind.MultipleOf:
		return fmt.Sprintf("remainder of division is not zero (%s / %s)", rat(k.Got), rat(k.Want))
	case *kind.MinLength:
		return fmt.Sprintf("string %s is too short (length: %d, required minimum: %d)", printed(lookup(x.value, e.InstanceLocation)), k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("string %s is too long (length: %d, maximum allowed: %d)", printed(lookup(x.value, e.InstanceLocation)), k.Got, k.Want)
	case *kind.Pattern:
		return fmt.Sprintf(`ECMA 262 regex "%s" does not match input string "%s"`, k.Want, k.Got)
	case *kind.Format:
		return formatText(k)
	}
	return ""
}

// typeOf tells integers from other numbers.
func (x *explainer) typeOf(e *jsonschema.ValidationError, got string) string {
	if got == "number" && !strings.ContainsAny(printed(lookup(x.value, e.InstanceLocation)), ".eE") {
		return "integer"
	}
	return got
}

func containerText(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return "object has missing required properties (" + quoted(k.Missing) + ")"
	case *kind.AdditionalProperties:
		return "object instance has properties which are not allowed by the schema: " + quoted(k.Properties)
	case *kind.MinProperties:
		return fmt.Sprintf("object has too few properties (found %d but schema requires at least %d)", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("object has too many properties (found %d but schema requires at most %d)", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("array is too short: must have at least %d elements but instance has %d elements", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("array is too long: must have at most %d elements but instance has %d elements", k.Want, k.Got)
	case *kind.UniqueItems:
		return "array must not contain duplicate elements"
	case *kind.Not:
		return "instance matched a schema which it should not have"
	case *kind.AllOf:
		n := alternatives(e, "allOf")
		return fmt.Sprintf("instance failed to match all required schemas (matched only %d out of %d)", n-len(e.Causes), n)
	case *kind.AnyOf:
		return fmt.Sprintf("instance failed to match at least one required schema among %d", len(e.Causes))
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return fmt.Sprintf("instance failed to match exactly one schema (matched %d)", len(k.Subschemas))
		}
		return fmt.Sprintf("instance failed to match exactly one schema (matched 0 out of %d)", len(e.Causes))
	}
	return ""
}

// alternatives is how many schemas an allOf has, as far as its mistakes tell.
func alternatives(e *jsonschema.ValidationError, keyword string) int {
	n := len(e.Causes)
	for i, c := range e.Causes {
		if at, err := strconv.Atoi(branch(c, keyword, i)); err == nil {
			n = max(n, at+1)
		}
	}
	return n
}

// rat prints a number as short as it can be.
func rat(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// formatText is what a format says.
func formatText(k *kind.Format) string {
	s, _ := k.Got.(string)
	switch k.Want {
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
		return fmt.Sprintf("value for %s leads to overflow (found: %s)", k.Want, printed(k.Got))
	case "byte":
		return "not a valid base64 string"
	}
	return fmt.Sprintf("string %s is not of format %s", printed(k.Got), k.Want)
}
