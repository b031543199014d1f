package setintegrationrequest

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// source is a literal with a variable that wins over it.
type source struct {
	literal string
	ref     flow.Var
}

func (v source) given() bool { return v.literal != "" || !v.ref.IsZero() }

func (v source) text(fc *flow.Context) string {
	if !v.ref.IsZero() {
		if got := v.ref.Get(fc); !got.IsNull() {
			return got.String()
		}
	}
	return v.literal
}

type parameter struct {
	name   string
	kind   kind
	source source
	pieces pieces // of the literal
}

type array struct {
	name   string
	kind   kind
	ref    flow.Var
	values []parameter
}

type compiler struct {
	env  *policy.Env
	char string // substitutionVariableChar
}

func (k *compiler) source(v *bundle.RefValue) source {
	if v == nil {
		return source{}
	}
	return source{literal: v.Value, ref: k.ref(v.Ref)}
}

func (k *compiler) ref(name string) flow.Var {
	if name == "" {
		return flow.Var{}
	}
	return k.env.Var(name)
}

// check looks at the literals that stand in URLs.
func (k *compiler) check(c *Config) {
	for _, l := range []struct {
		v     *bundle.RefValue
		name  string
		valid func(string) bool
		want  string
	}{
		{c.ProjectID, "ProjectId", integration.ValidProject, "a project id"},
		{c.IntegrationRegion, "IntegrationRegion", integration.ValidName, "a region"},
		{c.IntegrationName, "IntegrationName", integration.ValidName, "the name of an integration"},
		{c.ScheduleTime, "ScheduleTime", isTime, "a time such as 2026-04-01T12:00:00Z"},
	} {
		if l.v != nil && l.v.Value != "" && !l.valid(l.v.Value) {
			k.env.Errorf(l.v.Pos, "<%s> is %q, want %s", l.name, l.v.Value, l.want)
		}
	}
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func (k *compiler) parameters(s *step, p *Parameters) {
	k.char = p.SubstitutionVariableChar
	if utf8.RuneCountInString(k.char) > 1 {
		k.env.Errorf(p.Pos, "attribute substitutionVariableChar is %q, want one character", k.char)
	}
	names := map[string]bool{}
	for _, q := range p.Parameters {
		k.named(q.Pos, "Parameter", q.Name, names)
		s.parameters = append(s.parameters, k.parameter(&q.RefValue, q.Name, k.kind(q.Pos, "Parameter", q.Type, true)))
	}
	for _, q := range p.Arrays {
		k.named(q.Pos, "ParameterArray", q.Name, names)
		a := array{name: q.Name, kind: k.kind(q.Pos, "ParameterArray", q.Type, false), ref: k.ref(q.Ref)}
		for i := range q.Values {
			a.values = append(a.values, k.parameter(&q.Values[i], q.Name, a.kind))
		}
		s.arrays = append(s.arrays, a)
	}
}

func (k *compiler) named(pos bundle.Pos, element, name string, seen map[string]bool) {
	switch {
	case name == "":
		k.env.Errorf(pos, "<%s> has no attribute name", element)
	case seen[name]:
		k.env.Errorf(pos, "second parameter with the name %q", name)
	}
	seen[name] = true
}

func (k *compiler) parameter(v *bundle.RefValue, name string, as kind) parameter {
	p := parameter{name: name, kind: as, source: k.source(v)}
	p.pieces = k.split(v.Value)
	if text, fixed := p.pieces.fixed(); fixed && as != noKind && (text != "" || v.Ref == "") {
		if _, ok := as.append(nil, text); !ok {
			k.env.Errorf(v.Pos, "parameter %s is %q, which is no %s", name, text, as)
		}
	}
	return p
}

func (k *compiler) kind(pos bundle.Pos, element, typ string, single bool) kind {
	t := kind(typ)
	switch t {
	case integer, text, boolean, double:
		return t
	case jsonText:
		if single {
			return t
		}
	}
	want := "integer, string, boolean or double"
	if single {
		want = "integer, string, boolean, double or json"
	}
	k.env.Errorf(pos, "attribute type of <%s> is %q, want %s", element, typ, want)
	return noKind
}

// pieces are a text in which every other piece is the name of a variable.
type pieces []piece

type piece struct {
	text string
	v    flow.Var
}

// split takes the variables between substitution characters out of a text.
func (k *compiler) split(s string) pieces {
	if k.char == "" {
		return pieces{{text: s}}
	}
	parts := strings.Split(s, k.char)
	if len(parts)%2 == 0 { // a last character without a partner is text
		last := len(parts) - 1
		parts[last-1] += k.char + parts[last]
		parts = parts[:last]
	}
	var out pieces
	for i, p := range parts {
		if i%2 == 0 {
			out = append(out, piece{text: p})
		} else {
			out = append(out, piece{v: k.env.Var(p)})
		}
	}
	return out
}

// fixed returns the text of pieces without variables.
func (p pieces) fixed() (string, bool) {
	if len(p) == 1 {
		return p[0].text, true
	}
	return "", false
}

// expand returns the text, or the name of the variable that is not set.
func (p pieces) expand(fc *flow.Context) (text, missing string) {
	if len(p) == 1 {
		return p[0].text, ""
	}
	var b strings.Builder
	for _, q := range p {
		if q.v.IsZero() {
			b.WriteString(q.text)
			continue
		}
		v := q.v.Get(fc)
		if v.IsNull() {
			return "", q.v.Name()
		}
		b.WriteString(v.String())
	}
	return b.String(), ""
}

// kind is the type of a parameter.
type kind string

const (
	noKind   kind = ""
	integer  kind = "integer"
	text     kind = "string"
	boolean  kind = "boolean"
	double   kind = "double"
	jsonText kind = "json"
)

// field is the member of the API's ValueType for values of the kind.
var field = map[kind]string{integer: "int", text: "string", boolean: "boolean", double: "double", jsonText: "json"}

// append appends the API's form of one value; false if it is not of the kind.
func (k kind) append(b []byte, s string) ([]byte, bool) {
	b = append(append(append(b, `{"`...), field[k]...), `Value":`...)
	b, ok := k.appendBare(b, s)
	return append(b, '}'), ok
}

// appendAll appends the API's form of a list; bad is the value that is not of
// the kind.
func (k kind) appendAll(b []byte, values []string) (out []byte, bad string, ok bool) {
	b = append(append(append(b, `{"`...), field[k]...), `Array":{"`...)
	b = append(append(b, field[k]...), `Values":[`...)
	open := len(b)
	for _, v := range values {
		if b, ok = k.appendBare(comma(b, open), v); !ok {
			return b, v, false
		}
	}
	return append(b, "]}}"...), "", true
}

func (k kind) appendBare(b []byte, s string) ([]byte, bool) {
	switch k {
	case integer: // a string, as JSON has 64-bit integers in Google's APIs
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		return append(strconv.AppendInt(append(b, '"'), n, 10), '"'), err == nil
	case double:
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || f != f || f-f != 0 { // JSON has no NaN and no infinity
			return b, false
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64), true
	case boolean:
		v, ok := bundle.ParseBool(strings.TrimSpace(s))
		return strconv.AppendBool(b, v), ok
	case jsonText:
		return jsonpath.AppendString(b, s), json.Valid([]byte(s))
	}
	return jsonpath.AppendString(b, s), true
}
