// Package xslt compiles and runs XSLT 1.0 stylesheets, and of XSLT 2.0 what package
// expr says and what stylesheets of API proxies commonly use: value-of/@separator,
// @select where 1.0 wants content, several modes, xpath-default-namespace,
// copy-namespaces, xsl:for-each-group, xsl:function, xsl:sequence, xsl:namespace, and
// @as with the simplest types.
// Everything else of 2.0 and 3.0 is refused by Compile, by its name and line, and so
// are xsl:import, xsl:include, document() and extensions: a stylesheet reads nothing
// but its source.
//
// A stylesheet of version 1.0 runs by the rules of XSLT 1.0, one of version 2.0 or
// 3.0 by those of 2.0 where they differ: xsl:value-of writes all nodes and not the
// first, nodes compare as strings, a double of a million is 1.0E6.
//
// A Stylesheet is immutable and shared by all calls. Run is bounded: in the nodes and
// the text it makes, in the depth of templates, in steps, and by its context. Elements
// nested more than xmltoken.MaxDepth deep and document type declarations are refused.
//
// Source: https://www.w3.org/TR/1999/REC-xslt-19991116
package xslt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Space is the namespace of XSLT.
const Space = "http://www.w3.org/1999/XSL/Transform"

// Bounds of a transformation.
const (
	MaxNodes   = 2_000_000   // of the source and all that is made of it
	MaxText    = 128 << 20   // bytes that are read, put together or made
	MaxOutput  = 30 << 20    // bytes of the result; the largest payload that Apigee buffers
	MaxSteps   = 200_000_000 // nodes looked at and instructions run: some seconds
	MaxDepth   = 10_000      // templates inside each other
	maxContent = 10_000      // elements inside each other in a result
	maxSheet   = 4 << 20     // bytes of a stylesheet
)

// Problem is one reason why a stylesheet does not compile.
type Problem struct {
	Line int // from 1
	Msg  string
}

// Problems are all that a stylesheet has, in the order of its lines.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = fmt.Sprintf("line %d: %s", x.Line, x.Msg)
	}
	return strings.Join(lines, "\n")
}

// Stylesheet is a compiled stylesheet.
type Stylesheet struct {
	globals   []*global
	named     map[tree.Name]*template
	modes     map[tree.Name]*mode
	keys      []*key
	functions []*function
	spaces    []spaceRule
	output    Output
	decimals  map[tree.Name]*decimalFormat
	two       bool // rules of 2.0 at the root
	frameSize int  // of keys
}

// Params are the values of the stylesheet's parameters by local name.
type Params map[string]string

// HasParameter reports whether there is a global parameter of a name.
func (s *Stylesheet) HasParameter(local string) bool {
	for _, g := range s.globals {
		if g.param && g.name == (tree.Name{Local: local}) {
			return true
		}
	}
	return false
}

// Options of a run.
type Options struct {
	// Charset is the encoding that the message says, or "".
	Charset string
	Params  Params
	// Now is the time that current-dateTime() gives.
	Now time.Time
}

// Errors of Run that are no error of the stylesheet or the source.
var (
	ErrDepth  = fmt.Errorf("templates are nested more than %d deep", MaxDepth)
	ErrOutput = fmt.Errorf("the result is larger than %d bytes", MaxOutput)
)

// Error is an error of a transformation, with the line of the instruction if known.
type Error struct {
	Line int
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v at line %d of the stylesheet", e.Err, e.Line)
}

func (e *Error) Unwrap() error { return e.Err }

// Run transforms a document. Errors are those of parsing it (*xmltoken.Error), of the
// context, tree.Limit, ErrOutput, or an *Error.
func (s *Stylesheet) Run(ctx context.Context, source []byte, o Options) (Result, error) {
	return s.run(ctx, source, o, MaxSteps)
}

func (s *Stylesheet) run(ctx context.Context, source []byte, o Options, steps int) (res Result, err error) {
	r := &run{sheet: s, params: o.Params, globals: make([]globalValue, len(s.globals))}
	r.budget = tree.Budget{Nodes: MaxNodes, Bytes: MaxText, Steps: steps}
	r.env = expr.Env{Ctx: ctx, Budget: &r.budget, Global: r.global, Key: r.key, Call: r.call, Now: o.Now}
	if r.source, err = tree.Parse(source, &r.budget, tree.Options{Charset: o.Charset, Strip: s.strip()}); err != nil {
		return Result{}, err
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case expr.Stopped:
			res, err = Result{}, p.Err
		case tree.Limit:
			res, err = Result{}, p
		case *expr.Error:
			res, err = Result{}, &Error{r.line, p}
		case depthExceeded:
			res, err = Result{}, &Error{r.line, ErrDepth}
		default:
			panic(p)
		}
	}()
	return r.transform()
}

// Compile compiles a stylesheet. The error is Problems.
func Compile(text []byte) (*Stylesheet, error) {
	if len(text) > maxSheet {
		return nil, Problems{{1, fmt.Sprintf("the stylesheet is larger than %d bytes", maxSheet)}}
	}
	b := &tree.Budget{Nodes: MaxNodes, Bytes: MaxText, Steps: MaxSteps}
	t, err := tree.Parse(text, b, tree.Options{Lines: true, Strip: func(n tree.Name) bool { return n != tree.Name{Space: Space, Local: "text"} }})
	if err != nil {
		var e *xmltoken.Error
		if errors.As(err, &e) {
			return nil, Problems{{e.Line, e.Msg}}
		}
		return nil, Problems{{1, err.Error()}}
	}
	c := newCompiler()
	c.stylesheet(t)
	if len(c.problems) > 0 {
		return nil, c.sorted()
	}
	return c.sheet, nil
}
