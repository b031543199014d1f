// Package condition compiles Apigee's condition language: the text of
// <Condition> becomes an immutable tree that is judged against a call without
// allocating.
package condition

import (
	"errors"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Condition is a compiled condition. It is immutable and shared by all calls.
type Condition struct {
	src  string
	vars []flow.Var
}

// Error is a mistake in the text of a condition.
type Error struct {
	Source string
	Offset int // byte offset of the mistake in Source
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

// Compile compiles a condition. Empty text is always true. The error is an
// *Error.
func Compile(src string) (*Condition, error) { return nil, errors.New("condition: to be written") }

// True judges the condition.
func (c *Condition) True(fc *flow.Context) bool { return false }

// Vars returns every variable that the condition reads.
func (c *Condition) Vars() []flow.Var { return c.vars }

// String returns the condition in a canonical spelling.
func (c *Condition) String() string { return c.src }
