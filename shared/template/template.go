// Package template compiles Apigee's message templates: text with {variable},
// {variable:default} and {function(argument,…)} in it. Nothing is parsed while
// a call runs, except what a template takes from variables: a regular
// expression, a path, a time pattern; those are kept in a bounded cache.
//
// What stands in braces and is neither a variable name nor a call of a known
// function stays as text, so JSON may stand in a template as it is.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/message-template-intro
package template

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Template is a compiled message template. It is immutable and shared by all
// calls.
type Template struct {
	src    string
	pieces []piece
	vars   []flow.Var
	fixed  bool // text only
	text   string
	size   int // expected length of the result
}

// piece is a part of a template.
type piece interface {
	append(dst []byte, fc *flow.Context, ignore bool) ([]byte, error)
	visit(func(flow.Var))
}

// Option changes how a template is compiled.
type Option func(*options)

type options struct{ prefix, suffix string }

// Delimiters sets the text before and after a variable: variablePrefix and
// variableSuffix of <Payload>. The default, also for empty text, is { and }.
func Delimiters(prefix, suffix string) Option {
	return func(o *options) {
		if prefix != "" {
			o.prefix = prefix
		}
		if suffix != "" {
			o.suffix = suffix
		}
	}
}

// Unresolved says that a variable in a template is not set.
type Unresolved struct{ Name string }

func (u *Unresolved) Error() string { return "unresolved variable: " + u.Name }

// FunctionError says that a function could not use an argument that it got
// while the call ran: a broken regular expression, an unknown encoding.
type FunctionError struct {
	Function string
	Err      error
}

func (f *FunctionError) Error() string {
	return fmt.Sprintf("template function %s: %v", f.Function, f.Err)
}

func (f *FunctionError) Unwrap() error { return f.Err }

// Error is a mistake in the text of a template.
type Error struct {
	Source string
	Offset int // byte offset in Source
	Msg    string
}

func (e *Error) Error() string { return fmt.Sprintf("template: %s at byte %d", e.Msg, e.Offset) }

// Compile compiles a message template. The error, an *Error, is a wrong number
// of arguments of a function, or a literal argument that it can never use.
func Compile(src string, opts ...Option) (*Template, error) {
	o := options{prefix: "{", suffix: "}"}
	for _, f := range opts {
		f(&o)
	}
	pieces, err := parse(src, o)
	if err != nil {
		return nil, err
	}
	t := &Template{src: src, pieces: pieces, size: len(src)}
	seen := map[string]bool{}
	for _, p := range pieces {
		p.visit(func(v flow.Var) {
			if !seen[v.Name()] {
				seen[v.Name()] = true
				t.vars = append(t.vars, v)
			}
		})
	}
	switch {
	case len(pieces) == 0:
		t.fixed = true
	case len(pieces) == 1:
		if s, ok := pieces[0].(literal); ok {
			t.fixed, t.text = true, string(s)
		}
	}
	return t, nil
}

// buffers are lent to Expand, which copies the result out.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest buffer that goes back into the pool.
const maxBuffer = 64 << 10

// Expand evaluates the template. With ignoreUnresolved a variable that is not
// set gives no text; otherwise it is an *Unresolved error. The other error is a
// *FunctionError.
func (t *Template) Expand(fc *flow.Context, ignoreUnresolved bool) (string, error) {
	if t.fixed {
		return t.text, nil
	}
	if len(t.pieces) == 1 {
		if r, ok := t.pieces[0].(*reference); ok {
			return r.get(fc, ignoreUnresolved)
		}
	}
	b := buffers.Get().(*[]byte)
	out, err := t.Append((*b)[:0], fc, ignoreUnresolved)
	s := string(out)
	if cap(out) <= maxBuffer {
		*b = out
		buffers.Put(b)
	}
	if err != nil {
		return "", err
	}
	return s, nil
}

// Append appends the evaluated template to dst; see Expand.
func (t *Template) Append(dst []byte, fc *flow.Context, ignoreUnresolved bool) ([]byte, error) {
	if t.fixed {
		return append(dst, t.text...), nil
	}
	if cap(dst)-len(dst) < t.size {
		dst = append(make([]byte, 0, len(dst)+t.size+t.size/2), dst...)
	}
	var err error
	for _, p := range t.pieces {
		if dst, err = p.append(dst, fc, ignoreUnresolved); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Constant returns the template's text if it does not depend on the call.
func (t *Template) Constant() (string, bool) { return t.text, t.fixed }

// Vars returns every variable that the template reads, each once.
func (t *Template) Vars() []flow.Var { return t.vars }

// Source returns the text that was compiled.
func (t *Template) Source() string { return t.src }

// CompileCached is Compile for text that is known only while a call runs, such
// as <Template ref>: compiled templates are kept in a bounded cache.
func CompileCached(src string) (*Template, error) {
	if len(src) > maxCached {
		return Compile(src)
	}
	return cached(templateCache(), src, func(s string) (*Template, error) { return Compile(s) })
}

// Text evaluates src as a template that is known only while a call runs.
func Text(fc *flow.Context, src string, ignoreUnresolved bool) (string, error) {
	if !strings.Contains(src, "{") {
		return src, nil
	}
	t, err := CompileCached(src)
	if err != nil {
		return "", err
	}
	return t.Expand(fc, ignoreUnresolved)
}

// literal is text.
type literal string

func (l literal) append(dst []byte, _ *flow.Context, _ bool) ([]byte, error) {
	return append(dst, l...), nil
}

func (literal) visit(func(flow.Var)) {}

// reference is a variable, with a default if there is one.
type reference struct {
	v          flow.Var
	def        string
	hasDefault bool
}

func (r *reference) visit(f func(flow.Var)) { f(r.v) }

func (r *reference) append(dst []byte, fc *flow.Context, ignore bool) ([]byte, error) {
	v := r.v.Get(fc)
	switch v.Kind() {
	case flow.Null:
		s, err := r.unset(ignore)
		return append(dst, s...), err
	case flow.Int:
		n, _ := v.Int()
		return strconv.AppendInt(dst, n, 10), nil
	}
	return append(dst, v.String()...), nil
}

func (r *reference) get(fc *flow.Context, ignore bool) (string, error) {
	v := r.v.Get(fc)
	if v.IsNull() {
		return r.unset(ignore)
	}
	return v.String(), nil
}

// unset is the text for a variable that is not set.
func (r *reference) unset(ignore bool) (string, error) {
	if r.hasDefault || ignore {
		return r.def, nil
	}
	return "", &Unresolved{Name: r.v.Name()}
}
