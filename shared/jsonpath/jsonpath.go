// Package jsonpath evaluates JSONPath as the Jayway library does, which Apigee
// uses: definite and indefinite paths, its filter operators and functions.
//
// A path is definite if it denotes at most one value: only names and single
// indexes. It gives that value, or nothing. An indefinite path (*, .., slices,
// several indexes, filters) gives an array of what it finds. A function at the
// end gives one value.
//
// Evaluation is our own rather than a general library's, because results must
// keep the order of members and the digits of numbers, and because Jayway
// differs from RFC 9535 in what is definite, in its filters and its functions.
//
// Source: https://github.com/json-path/JsonPath
package jsonpath

import "fmt"

// Path is a compiled path. It is immutable and shared by all calls.
type Path struct {
	src      string
	steps    []step
	fn       *function
	definite bool
	fromItem bool // begins with @, in a filter
}

// Error says where the text of a path is wrong.
type Error struct {
	Path   string
	Offset int
	Msg    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("JSONPath %q: %s at byte %d", e.Path, e.Msg, e.Offset)
}

// Compile compiles a path. A path without $ is taken from the root. The error
// is an *Error.
func Compile(src string) (*Path, error) {
	c := compiler{src: src}
	p, err := c.root()
	if err != nil {
		return nil, err
	}
	p.src = src
	return p, nil
}

// Definite reports whether the path denotes at most one value.
func (p *Path) Definite() bool { return p.definite || p.fn != nil }

// String returns the path's text.
func (p *Path) String() string { return p.src }

// Eval evaluates the path. It gives nothing if a definite path, or what comes
// before the first indefinite part of a path, leads nowhere; an indefinite
// path gives an array, which may be empty.
func (p *Path) Eval(root *Value) (*Value, bool) { return p.eval(root, root) }

func (p *Path) eval(root, item *Value) (*Value, bool) {
	from := root
	if p.fromItem {
		from = item
	}
	w := walk{root: root}
	ok := w.run(p.steps, from, true)
	var v *Value
	switch {
	case !p.definite && (ok || len(w.found) > 0):
		v = &Value{kind: Array, items: w.found}
	case p.definite && len(w.found) > 0:
		v = w.found[0]
	default:
		return nil, false
	}
	if p.fn == nil {
		return v, true
	}
	return p.fn.apply(root, v)
}
