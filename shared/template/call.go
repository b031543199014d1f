package template

import (
	"fmt"
	"sync"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// function is a template function.
type function struct {
	min, max int // number of arguments
	run      runner
	// programs says which arguments are compiled: regular expressions, paths,
	// time patterns.
	programs map[int]func(string) (program, error)
	// prepare compiles what depends on several literal arguments; nil if they
	// are not literal.
	prepare func(args []argument) (program, error)
	// random functions give another result each time.
	random bool
	// nulls allows arguments that are not set; run is not used.
	nulls bool
}

// runner appends a function's result.
type runner func(dst []byte, in *input) ([]byte, error)

// program is a compiled argument.
type program any

// maxArgs is the largest number of arguments of any function.
const maxArgs = 13

// input is the arguments of one call of a function.
type input struct {
	fn   *function
	call *call
	n    int
	args [maxArgs]string
}

var inputs = sync.Pool{New: func() any { return new(input) }}

// release gives the input back, without the texts it held.
func (in *input) release() {
	*in = input{}
	inputs.Put(in)
}

// arg returns an argument, or def if the call has fewer.
func (in *input) arg(i int, def string) string {
	if i >= in.n {
		return def
	}
	return in.args[i]
}

// program returns the compiled form of an argument.
func (in *input) program(i int) (program, error) {
	if p := in.call.programs[i]; p != nil {
		return p, nil
	}
	return compileCached(in.call.name, i, in.args[i], in.fn.programs[i])
}

// compileCached compiles text that is known only now.
func compileCached(name string, i int, text string, compile func(string) (program, error)) (program, error) {
	if len(text) > maxCached {
		return compile(text)
	}
	prefix := name + string(rune('0'+i)) + "\x00"
	return cached(programCache(), prefix+text, func(string) (program, error) { return compile(text) })
}

// call is a function with its arguments.
type call struct {
	name     string
	fn       *function
	args     []argument
	programs [maxArgs]program
}

// newCall checks a call. One that has only literal arguments and gives always
// the same becomes its result.
func newCall(name string, f *function, args []argument) (piece, error) {
	if len(args) < f.min || len(args) > f.max {
		return nil, fmt.Errorf("%s has %d arguments", name, len(args))
	}
	if f.nulls {
		return &firstNonNull{args}, nil
	}
	c := &call{name: name, fn: f, args: args}
	constant := !f.random
	for i, a := range args {
		if a.ref != nil {
			constant = false
			continue
		}
		compile := f.programs[i]
		if compile == nil {
			continue
		}
		p, err := compile(a.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.programs[i] = p
	}
	if f.prepare != nil {
		p, err := f.prepare(args)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.programs[0] = p
	}
	if !constant {
		return c, nil
	}
	out, err := c.append(nil, nil, true)
	if err != nil {
		return nil, err
	}
	return literal(out), nil
}

func (c *call) append(dst []byte, fc *flow.Context, ignore bool) ([]byte, error) {
	in := inputs.Get().(*input)
	defer in.release()
	in.fn, in.call, in.n = c.fn, c, len(c.args)
	for i, a := range c.args {
		if a.ref == nil {
			in.args[i] = a.text
			continue
		}
		s, err := a.ref.get(fc, ignore)
		if err != nil {
			return dst, err
		}
		in.args[i] = s
	}
	out, err := c.fn.run(dst, in)
	if err != nil {
		return dst, &FunctionError{Function: c.name, Err: err}
	}
	return out, nil
}

func (c *call) visit(f func(flow.Var)) { visit(c.args, f) }

func visit(args []argument, f func(flow.Var)) {
	for _, a := range args {
		if a.ref != nil {
			f(a.ref.v)
		}
	}
}

// firstNonNull is firstnonnull(): the first argument that is set, else "null".
type firstNonNull struct{ args []argument }

func (n *firstNonNull) append(dst []byte, fc *flow.Context, _ bool) ([]byte, error) {
	for _, a := range n.args {
		if a.ref == nil {
			return append(dst, a.text...), nil
		}
		if v := a.ref.v.Get(fc); !v.IsNull() {
			return append(dst, v.String()...), nil
		}
		if a.ref.hasDefault {
			return append(dst, a.ref.def...), nil
		}
	}
	return append(dst, "null"...), nil
}

func (n *firstNonNull) visit(f func(flow.Var)) { visit(n.args, f) }
