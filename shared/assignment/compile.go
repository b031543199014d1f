package assignment

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Options say where the elements stand.
type Options struct {
	Names
	// To is the variable of the message to change, "" for the message of the
	// flow and "-" for one that the policy makes itself.
	To string
	// IgnoreUnresolved makes variables that are not set empty text.
	IgnoreUnresolved bool
}

// Compile compiles the children of parent, which changes and variables were
// decoded from. Problems go to env.
func Compile(env *policy.Env, parent *bundle.Element, changes *Changes, variables []Variable, o Options) *Program {
	c := &compiler{env: env, to: o.To, program: &Program{names: o.Names, policy: env.Name(), ignore: o.IgnoreUnresolved}}
	if parent == nil {
		return c.program
	}
	seen := map[string]int{}
	for _, el := range parent.Children {
		i := seen[el.Name]
		seen[el.Name]++
		switch el.Name {
		case "Add":
			each(changes.Add, i, c.add)
		case "Copy":
			each(changes.Copy, i, c.copy)
		case "Remove":
			each(changes.Remove, i, c.remove)
		case "Set":
			each(changes.Set, i, c.set)
		case "AssignVariable":
			each(variables, i, c.variable)
		}
	}
	return c.program
}

// each calls f for the i-th of list; a policy may know fewer kinds of element.
func each[T any](list []T, i int, f func(*T)) {
	if i < len(list) {
		f(&list[i])
	}
}

type compiler struct {
	env     *policy.Env
	to      string
	program *Program
}

func (c *compiler) emit(op operation) { c.program.ops = append(c.program.ops, op) }

// usesBody says that the body of the message named name is read or written.
func (c *compiler) usesBody(name string) {
	if name != "-" {
		c.env.UsesMessage(name)
	}
}

func (c *compiler) add(a *Add) {
	c.fields(a.Headers, a.QueryParams, a.FormParams, true)
}

func (c *compiler) fields(headers, query, form []Field, add bool) {
	for i := range headers {
		c.field(&headers[i], partHeader, add)
	}
	for i := range query {
		c.field(&query[i], partQuery, add)
	}
	for i := range form {
		c.field(&form[i], partForm, add)
	}
	if len(form) > 0 {
		c.usesBody(c.to)
	}
}

func (c *compiler) field(f *Field, where part, add bool) {
	name := strings.TrimSpace(f.Name)
	if name == "" {
		c.env.Errorf(f.Pos, "the name of a %s is missing", where)
		return
	}
	c.emit(&assign{part: where, name: name, add: add, value: c.env.Template(f.Pos, f.Value)})
}

func (c *compiler) copy(in *Copy) {
	op := &copyParts{
		source: strings.TrimSpace(in.Source), payload: in.Payload,
		verb: in.Verb, version: in.Version, path: in.Path, status: in.StatusCode, reason: in.ReasonPhrase,
	}
	if in.Headers != nil {
		op.headers = c.selection(in.Headers.Pos, in.Headers.All, in.Headers.List)
	}
	if in.QueryParams != nil {
		op.query = c.selection(in.QueryParams.Pos, in.QueryParams.All, in.QueryParams.List)
	}
	if in.FormParams != nil {
		op.form = c.selection(in.FormParams.Pos, in.FormParams.All, in.FormParams.List)
	}
	if op.payload || op.form != nil {
		c.usesBody(op.source)
		c.usesBody(c.to)
	}
	c.emit(op)
}

func (c *compiler) remove(in *Remove) {
	op := &removeParts{payload: in.Payload}
	if in.Headers != nil {
		op.headers = c.selection(in.Headers.Pos, in.Headers.All, in.Headers.List)
	}
	if in.QueryParams != nil {
		op.query = c.selection(in.QueryParams.Pos, in.QueryParams.All, in.QueryParams.List)
	}
	if in.FormParams != nil {
		op.form = c.selection(in.FormParams.Pos, in.FormParams.All, in.FormParams.List)
	}
	if op.payload || op.form != nil {
		c.usesBody(c.to)
	}
	c.emit(op)
}

// selection compiles a list of names; an element without names is all of them
// unless its text is "false".
func (c *compiler) selection(pos bundle.Pos, all string, names []Name) *selection {
	yes, ok := bundle.ParseBool(all)
	if !ok && all != "" {
		c.env.Errorf(pos, "the text %q is neither true nor false", all)
	}
	if len(names) == 0 {
		if ok && !yes {
			return nil
		}
		return &selection{all: true}
	}
	s := &selection{}
	for _, n := range names {
		if yes, ok := bundle.ParseBool(n.Text); ok && !yes {
			continue
		}
		if k, ok := c.key(n); ok {
			s.keys = append(s.keys, k)
		}
	}
	return s
}

// key splits "NAME.N".
func (c *compiler) key(n Name) (key, bool) {
	name := strings.TrimSpace(n.Name)
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if index, err := strconv.Atoi(name[i+1:]); err == nil {
			if index <= 0 {
				c.env.Errorf(n.Pos, "InvalidIndex: the index in %q must be greater than zero", name)
				return key{}, false
			}
			return key{name[:i], index}, true
		}
	}
	if name == "" {
		c.env.Errorf(n.Pos, "the name of a header or parameter is missing")
		return key{}, false
	}
	return key{name, 0}, true
}

func (c *compiler) set(s *Set) {
	c.fields(s.Headers, s.QueryParams, s.FormParams, false)
	if s.Payload != nil {
		c.payload(s.Payload)
	}
	c.line(s.Pos, lineVerb, s.Verb)
	c.line(s.Pos, linePath, s.Path)
	c.line(s.Pos, lineVersion, s.Version)
	c.line(s.Pos, lineStatus, s.StatusCode)
	c.line(s.Pos, lineReason, s.ReasonPhrase)
	if s.Authentication != nil {
		c.authentication(s.Authentication)
	}
}

func (c *compiler) line(pos bundle.Pos, what line, text *string) {
	if text == nil || *text == "" { // an empty <StatusCode/> has no effect
		return
	}
	t := c.env.Template(pos, *text)
	if s, ok := t.Constant(); ok && what == lineStatus {
		if _, err := parseStatus(s); err != nil {
			c.env.Errorf(pos, "<StatusCode> is %q, want 100 to 999 or a template", s)
			return
		}
	}
	c.emit(&setLine{line: what, value: t})
}

func (c *compiler) payload(el *bundle.Element) {
	var p Payload
	bundle.Decode(el, &p, c.env.Problems())
	text := el.Content()
	if p.Template != "" {
		data, err := c.resource(p.Template, "template")
		if err != nil {
			c.env.Errorf(p.Pos, "%v", err)
			return
		}
		text = string(data)
	}
	delimiters := template.Delimiters(p.VariablePrefix, p.VariableSuffix)
	if _, err := template.Compile(text, delimiters); err != nil {
		c.env.Errorf(p.Pos, "InvalidPayload: <Payload>: %v", err)
		return
	}
	c.usesBody(c.to)
	c.emit(&setPayload{text: c.env.Template(p.Pos, text, delimiters), contentType: c.env.Template(p.Pos, p.ContentType)})
}

// resource reads a resource file; types are the only types allowed, all but
// java if there are none.
func (c *compiler) resource(url string, types ...string) ([]byte, error) {
	typ, _, _ := strings.Cut(strings.TrimSpace(url), "://")
	for _, t := range types {
		if t == typ {
			return c.env.Resource(url)
		}
	}
	if len(types) > 0 || typ == "java" {
		return nil, fmt.Errorf("resource %s is of a type that holds no template", url)
	}
	return c.env.Resource(url)
}
