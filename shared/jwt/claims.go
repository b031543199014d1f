package jwt

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Claims are additional claims or headers, and those of a variable that holds a
// JSON object.
type Claims struct {
	bundle.Pos
	Ref    string  `xml:"ref,attr"`
	Claims []Claim `xml:"Claim"`
}

// Claim is one additional claim or header.
type Claim struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Ref is the variable that holds the value; the text is its default.
	Ref string `xml:"ref,attr"`
	// Type is string, number, boolean or map (a JSON object).
	Type string `xml:"type,attr" default:"string"`
	// Array makes the value a list, separated by commas.
	Array string `xml:"array,attr" default:"false"`
	Text  string `xml:",chardata"`
}

// registered are the names that <AdditionalClaims> must not hold.
var registered = map[string]bool{
	"kid": true, "iss": true, "sub": true, "aud": true, "iat": true, "exp": true, "nbf": true, "jti": true,
}

// structural are the headers that the token's own making writes.
var structural = map[string]bool{
	"enc": true, "zip": true, "epk": true, "iv": true, "tag": true, "p2s": true, "p2c": true, "crit": true, "b64": true,
}

// ClaimSet is compiled Claims.
type ClaimSet struct {
	ref    flow.Var
	claims []claim
}

type claim struct {
	name  string
	ref   flow.Var
	text  string
	given bool               // text is a value
	tmpl  *template.Template // of a map in the policy's text
	typ   string
	array bool
}

// AdditionalClaims compiles <AdditionalClaims>; nil stays nil.
func (c *Compiler) AdditionalClaims(in *Claims) *ClaimSet {
	return c.claimSet(in, "Claim", func(name string) bool { return registered[name] })
}

// AdditionalHeaders compiles <AdditionalHeaders>; nil stays nil. A JWS may have
// any typ.
func (c *Compiler) AdditionalHeaders(in *Claims) *ClaimSet {
	return c.claimSet(in, "Header", func(name string) bool {
		return name == "alg" || name == "typ" && !c.JWS || c.Generate && structural[name]
	})
}

func (c *Compiler) claimSet(in *Claims, what string, reserved func(string) bool) *ClaimSet {
	if in == nil {
		return nil
	}
	s := &ClaimSet{}
	if in.Ref != "" {
		s.ref = c.Env.Var(in.Ref)
	}
	for _, cl := range in.Claims {
		s.claims = append(s.claims, c.claim(cl, what, reserved))
	}
	return s
}

func (c *Compiler) claim(in Claim, what string, reserved func(string) bool) claim {
	kind := strings.ToLower(what)
	detail := "claim(" + in.Name + ")"
	switch {
	case in.Name == "":
		c.refuse(in.Pos, "MissingNameForAdditional"+what, "Missing name for additional "+kind, "")
	case reserved(in.Name):
		c.refuse(in.Pos, "InvalidNameForAdditional"+what, "Invalid name for additional "+kind, detail)
	}
	switch in.Type {
	case "string", "number", "boolean", "map":
	default:
		c.refuse(in.Pos, "InvalidTypeForAdditional"+what, "Invalid type for additional "+kind, detail+" type("+in.Type+")")
	}
	if in.Array != "true" && in.Array != "false" {
		c.refuse(in.Pos, "InvalidValueOfArrayAttribute", "Invalid value of array attribute", detail)
	}
	out := claim{name: in.Name, text: in.Text, given: in.Text != "" || in.Ref == "", typ: in.Type, array: in.Array == "true"}
	if in.Ref != "" {
		out.ref = c.Env.Var(in.Ref)
	}
	if in.Type == "map" && in.Text != "" {
		out.tmpl = c.Env.Template(in.Pos, in.Text)
	}
	return out
}

// add puts the claims into o. Those of the JSON object come first and never
// replace what o has.
func (s *ClaimSet) add(fc *flow.Context, ignore bool, o *Object) error {
	if s == nil {
		return nil
	}
	return s.each(fc, ignore, func(name, raw string, own bool) error {
		if _, there := o.Get(name); there && !own {
			return nil
		}
		o.set(name, raw)
		return nil
	})
}

// check compares the claims with those of o.
func (s *ClaimSet) check(fc *flow.Context, ignore bool, o Object) error {
	if s == nil {
		return nil
	}
	return s.each(fc, ignore, func(name, want string, _ bool) error {
		got, ok := o.Get(name)
		if !ok || !equal(want, got) {
			return invalidClaim(name)
		}
		return nil
	})
}

func (s *ClaimSet) each(fc *flow.Context, ignore bool, f func(name, raw string, own bool) error) error {
	if !s.ref.IsZero() {
		o, err := s.object(fc, ignore)
		if err != nil {
			return err
		}
		for _, m := range o {
			if err := f(m.Name, m.Raw, false); err != nil {
				return err
			}
		}
	}
	for i := range s.claims {
		c := &s.claims[i]
		raw, ok, err := c.json(fc, ignore)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := f(c.name, raw, true); err != nil {
			return err
		}
	}
	return nil
}

// object is the JSON object of the variable.
func (s *ClaimSet) object(fc *flow.Context, ignore bool) (Object, error) {
	v := s.ref.Get(fc)
	if v.IsNull() {
		if ignore {
			return nil, nil
		}
		return nil, unresolved(s.ref.Name())
	}
	o, err := ParseObject(v.String())
	if err != nil {
		return nil, &Error{Name: "InvalidJsonFormat", Cause: err}
	}
	return o, nil
}

// json is the claim's value; ok is false if it is left out.
func (c *claim) json(fc *flow.Context, ignore bool) (raw string, ok bool, err error) {
	v, own, err := c.value(fc, ignore)
	if err != nil || v.IsNull() {
		return "", false, err
	}
	if c.array {
		raw, err = c.list(v)
	} else {
		text := v.String()
		if c.typ == "map" && !own {
			// Apigee evaluates what the variable holds as a template too.
			if text, err = ExpandUntrusted(fc, text, ignore); err != nil {
				return "", false, err
			}
		}
		raw, err = c.scalar(text)
	}
	return raw, err == nil, err
}

// value is the variable, or else the text; own says that it is the text.
func (c *claim) value(fc *flow.Context, ignore bool) (v flow.Value, own bool, err error) {
	if !c.ref.IsZero() {
		if v := c.ref.Get(fc); !v.IsNull() {
			return v, false, nil
		}
	}
	switch {
	case c.tmpl != nil:
		s, err := Expand(c.tmpl, fc, ignore)
		return flow.StringValue(s), true, err
	case c.given:
		return flow.StringValue(c.text), true, nil
	case ignore:
		return flow.Value{}, false, nil
	}
	return flow.Value{}, false, unresolved(c.ref.Name())
}

// list reads a list variable, a JSON array, or text separated by commas.
func (c *claim) list(v flow.Value) (string, error) {
	if l := v.List(); l != nil {
		return c.items(l)
	}
	text := strings.TrimSpace(v.String())
	if strings.HasPrefix(text, "[") && json.Valid([]byte(text)) {
		var items []string
		for e := range elements(text) {
			if e[0] == '"' {
				e = unquote(e)
			}
			items = append(items, e)
		}
		return c.items(items)
	}
	if c.typ == "map" && json.Valid([]byte("["+text+"]")) {
		return c.list(flow.StringValue("[" + text + "]"))
	}
	return c.items(split(text))
}

func (c *claim) items(list []string) (string, error) {
	b := []byte{'['}
	for i, s := range list {
		raw, err := c.scalar(s)
		if err != nil {
			return "", err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, raw...)
	}
	return string(append(b, ']')), nil
}

// scalar turns text into JSON of the claim's type.
func (c *claim) scalar(text string) (string, error) {
	switch c.typ {
	case "number":
		text = strings.TrimSpace(text)
		if !isNumber(text) {
			return "", invalidClaim(c.name)
		}
		return text, nil
	case "boolean":
		if b, ok := bundle.ParseBool(strings.TrimSpace(text)); ok {
			return strconv.FormatBool(b), nil
		}
		return "", invalidClaim(c.name)
	case "map":
		if _, err := ParseObject(text); err != nil {
			return "", &Error{Name: "InvalidJsonFormat", Detail: "claim(" + c.name + ")", Cause: err}
		}
		return strings.TrimSpace(text), nil
	}
	return quote(text), nil
}

// isNumber reports whether s is a JSON number.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}

// equal compares two JSON values: members of objects in any order, numbers by
// value.
func equal(a, b string) bool {
	switch a[0] {
	case '{':
		return b[0] == '{' && equalObjects(a, b)
	case '[':
		return b[0] == '[' && equalArrays(a, b)
	case '"':
		return b[0] == '"' && unquote(a) == unquote(b)
	case 't', 'f', 'n':
		return a == b
	}
	return a == b || equalNumbers(a, b)
}

func equalNumbers(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	// Beyond 2^53 different integers have the same float.
	return err1 == nil && err2 == nil && x == y && math.Abs(x) < 1<<53
}

func equalObjects(a, b string) bool {
	x, err1 := scanObject(a)
	y, err2 := scanObject(b)
	if err1 != nil || err2 != nil || len(x) != len(y) {
		return false
	}
	for _, m := range x {
		if raw, ok := y.Get(m.Name); !ok || !equal(m.Raw, raw) {
			return false
		}
	}
	return true
}

func equalArrays(a, b string) bool {
	var x, y []string
	for e := range elements(a) {
		x = append(x, e)
	}
	for e := range elements(b) {
		y = append(y, e)
	}
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// Expand evaluates a template of the policy's own text; a variable that is not
// set is the error FailedToResolveVariable.
func Expand(t *template.Template, fc *flow.Context, ignore bool) (string, error) {
	s, err := t.Expand(fc, ignore)
	return s, expandError(err)
}

// ExpandUntrusted evaluates text that a variable held as a template, as Apigee
// does. Unlike there it cannot read private variables: the text may come from
// the caller. See "Prevent template injection when using JWS and JWT".
func ExpandUntrusted(fc *flow.Context, src string, ignore bool) (string, error) {
	if !strings.Contains(src, "{") {
		return src, nil
	}
	t, err := template.CompileCached(src)
	if err != nil {
		return "", &Error{Name: "GenerationFailed", Cause: err}
	}
	for _, v := range t.Vars() {
		if strings.HasPrefix(v.Name(), "private.") {
			return "", refuseFor("GenerationFailed", "a variable's text reads private variables")
		}
	}
	return Expand(t, fc, ignore)
}

func expandError(err error) error {
	var u *template.Unresolved
	switch {
	case err == nil:
		return nil
	case errors.As(err, &u):
		return unresolved(u.Name)
	}
	return &Error{Name: "GenerationFailed", Cause: err}
}
