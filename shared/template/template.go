// Package template compiles Apigee's message templates: text with {variable}
// and {function(…)} placeholders.
package template

import (
	"errors"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Template is a compiled message template. It is immutable and shared by all
// calls.
type Template struct{ src string }

// Option changes how a template is compiled.
type Option func(*options)

type options struct{ prefix, suffix string }

// Delimiters sets the text before and after a variable: variablePrefix and
// variableSuffix of <Payload>. The default is { and }.
func Delimiters(prefix, suffix string) Option {
	return func(o *options) { o.prefix, o.suffix = prefix, suffix }
}

// Unresolved says that a variable in a template is not set.
type Unresolved struct{ Name string }

func (u *Unresolved) Error() string { return "unresolved variable: " + u.Name }

// Compile compiles a message template.
func Compile(src string, opts ...Option) (*Template, error) {
	return nil, errors.New("template: to be written")
}

// CompileCached is Compile for text that is known only while a call runs
// (<Template ref>); compiled templates are kept in a bounded cache.
func CompileCached(src string) (*Template, error) { return Compile(src) }

// Text evaluates src as a template that is known only at run time.
func Text(fc *flow.Context, src string, ignoreUnresolved bool) (string, error) {
	t, err := CompileCached(src)
	if err != nil {
		return "", err
	}
	return t.Expand(fc, ignoreUnresolved)
}

// Expand evaluates the template. With ignoreUnresolved a variable that is not
// set gives no text; otherwise it is an *Unresolved error.
func (t *Template) Expand(fc *flow.Context, ignoreUnresolved bool) (string, error) {
	return t.src, nil
}

// Append appends the evaluated template to dst.
func (t *Template) Append(dst []byte, fc *flow.Context, ignoreUnresolved bool) ([]byte, error) {
	return append(dst, t.src...), nil
}

// Constant returns the template's text if it does not depend on the call.
func (t *Template) Constant() (string, bool) { return "", false }

// Vars returns every variable that the template reads.
func (t *Template) Vars() []flow.Var { return nil }

// Source returns the text that was compiled.
func (t *Template) Source() string { return t.src }
