// Package condition compiles Apigee's condition language: the text of
// <Condition> becomes an immutable tree that is judged against a call, without
// allocating for the usual comparisons.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/conditions-reference
//
// Where the documentation leaves a choice: a string on either side makes any
// comparison one of text, also > and <. MatchesPath "/" matches the empty path
// suffix too. A match that takes too long, and a comparison with a value that
// has no text (a message, a list), is false.
package condition

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Condition is a compiled condition. It is immutable and shared by all calls.
type Condition struct {
	root expr
	vars []flow.Var
	text string
}

// Compile compiles a condition. Empty text is always true. The error is an
// *Error.
func Compile(src string) (*Condition, error) {
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	c := &Condition{root: root}
	var b strings.Builder
	seen := map[string]bool{}
	if root != nil {
		root.write(&b)
		root.visit(func(v flow.Var) {
			if !seen[v.Name()] {
				seen[v.Name()] = true
				c.vars = append(c.vars, v)
			}
		})
	}
	c.text = b.String()
	return c, nil
}

// True judges the condition. A nil Condition is true.
func (c *Condition) True(fc *flow.Context) bool {
	return c == nil || c.root == nil || c.root.eval(fc)
}

// Vars returns every variable that the condition reads, each once.
func (c *Condition) Vars() []flow.Var { return c.vars }

// String returns the condition in a canonical spelling, which compiles to the
// same condition.
func (c *Condition) String() string { return c.text }
