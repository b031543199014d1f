// Package expr compiles and evaluates the expressions and patterns of stylesheets:
// XPath 1.0 complete, and of XPath 2.0 what needs no types: if, for, some and every,
// sequences, ranges, eq to ge, idiv, *:name, element(), casts to the simplest types,
// and the functions of the table in functions2.go.
//
// Expressions of a stylesheet of version 2.0 follow the rules of 2.0 where they
// differ: two nodes compare as strings, more than one node is no string, integers
// and decimals are not doubles, an empty operand gives nothing.
//
// An expression is compiled once and is immutable. Evaluation stops with a panic of
// *Error, tree.Limit or Stopped, which package xslt recovers: expressions call each
// other deeply, and none of them can do anything about an error.
//
// Source: https://www.w3.org/TR/1999/REC-xpath-19991116/ and
// https://www.w3.org/TR/xpath20/
package expr

import (
	"context"
	"fmt"
	"time"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Error is an error that an expression had while it was evaluated.
type Error struct{ Msg string }

func (e *Error) Error() string { return e.Msg }

// Fail stops the evaluation.
func Fail(format string, args ...any) {
	panic(&Error{fmt.Sprintf(format, args...)})
}

// Stopped is the panic of an evaluation whose context is done.
type Stopped struct{ Err error }

// Env is what the expressions of one transformation share.
type Env struct {
	// Ctx ends the transformation.
	Ctx context.Context
	// Budget bounds it.
	Budget *tree.Budget
	// Global returns a global variable.
	Global func(slot int) Value
	// Key returns the nodes that have a value for a key, in the document of a node.
	Key func(key int, of *tree.Node, value string) []*tree.Node
	// Call calls a function of the stylesheet.
	Call func(function int, args []Value) Value
	// Now is the time of the transformation.
	Now time.Time

	ticks int
}

// Tick counts work: nodes that are looked at, instructions, bytes of text. Every few
// thousand units it looks whether the context is done, or the work too much.
func (e *Env) Tick(n int) {
	if e.ticks += n; e.ticks > 4096 {
		e.Budget.Step(e.ticks)
		e.ticks = 0
		if err := e.Ctx.Err(); err != nil {
			panic(Stopped{err})
		}
	}
}

// Context is what an expression is evaluated in.
type Context struct {
	Env *Env
	// Node is the context node; Pos, from 1, and Size are its place.
	Node      *tree.Node
	Pos, Size int
	// Current is the node that current() returns.
	Current *tree.Node
	// Locals are the local variables by slot.
	Locals []Value
	// Group and Key are what current-group() and current-grouping-key() return.
	Group []*tree.Node
	Key   Value
}

// Expr is a compiled expression.
type Expr interface {
	eval(c *Context) Value
	// kind is the type of all values of the expression, or Any.
	kind() Kind
	// positional reports whether the value depends on position() or last().
	positional() bool
}

// Eval evaluates an expression.
func Eval(e Expr, c *Context) Value { return e.eval(c) }

// KindOf is the type of all values of an expression, or Any.
func KindOf(e Expr) Kind { return e.kind() }

// Ref is where the value of a variable is.
type Ref struct {
	Global bool
	Slot   int
}

// Static is what the compiler knows where an expression stands.
type Static struct {
	// Scope resolves the prefixes.
	Scope *tree.Scope
	// Elements is the namespace of names of elements without a prefix.
	Elements string
	// Two says that the rules of XPath 2.0 apply.
	Two bool
	// Variable resolves a variable.
	Variable func(name tree.Name) (Ref, bool)
	// Declare makes a local variable until Release; nil where there can be none.
	Declare func(name tree.Name) (slot int)
	Release func()
	// Function finds a function that is not one of this package.
	Function func(name tree.Name) (*Function, bool)
}

// Function is a function.
type Function struct {
	// Params has a letter for each parameter: s string, n number, b boolean, N nodes,
	// * any; a final + repeats the last.
	Params string
	// Min is how many are required.
	Min int
	// Result is the type of its values.
	Result Kind
	// Integer says that it returns integers.
	Integer bool
	// Positional says that it depends on position() or last().
	Positional bool
	// Call is the function; it gets what Params says.
	Call func(c *Context, args []Value) Value
	// Bind, if there, makes Call of the arguments, at compile time.
	Bind func(s *Static, args []Expr) (func(c *Context, args []Value) Value, error)
}

// Literal is the value of an expression that is a string literal.
func Literal(e Expr) (string, bool) {
	l, ok := e.(literal)
	return l.v.text, ok && l.v.kind == String
}
