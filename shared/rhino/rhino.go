// Package rhino runs scripts that were written for Mozilla Rhino, the engine
// of Apigee's Javascript policy, on goja. It compiles a file once and runs it
// any number of times, each time in a new runtime: nothing a script leaves
// behind, not even on a prototype, is seen by the next call.
//
// What it adds to goja: bounds on source, time, recursion, strings and JSON
// depth; error texts in Rhino's words; x.length() on strings; functions declared
// in blocks; RegExp.$1 and its kin; getYear of dates; E4X values.
//
// E4X is there in part. XML and XMLList objects with property access
// (doc.a.b, doc.a[1], doc.@id, doc..name, doc.*), their methods, and
// for each (... in ...) work. XML literals (<a/>), filters (.(@id == 1)),
// namespaces (a::b, default xml namespace) and the operators += and == on
// lists do not: the first three are refused when the file is compiled.
//
// Also not there: java.* and Packages (ReferenceError, as in Apigee's sandbox),
// importPackage, Rhino's let blocks, expression closures, array comprehensions
// and conditional catch clauses, and __iterator__.
//
// goja cannot interrupt its built-in functions. Those that may run long on
// little input (regular expressions, arrays and strings of a given length,
// JSON) are bounded; a script that hides what it does from the compiler can
// still keep one busy beyond its time.
package rhino

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

// MaxSource is the largest script, in bytes. Apigee accepts resources of 15 MB;
// a script that large is no script, and goja's parser is recursive.
const MaxSource = 5 << 20

// RegexpLimit bounds a single match of a backtracking regular expression. goja
// cannot interrupt a match. [Runtime] makes a match that reaches the limit
// end the script, so that "no match" is never said of a match not finished.
const RegexpLimit = 250 * time.Millisecond

// goja takes the limit from here when it compiles a pattern. Nothing else in
// the program uses version 2 of the library.
var _ = func() bool {
	regexp2.DefaultMatchTimeout = RegexpLimit
	return true
}()

// Script is a compiled file. It is immutable and shared by all calls.
type Script struct {
	// Name is the file's name as error texts show it.
	Name string
	// Program is what a [Runtime] runs.
	Program *goja.Program
	// Globals are the names that the file declares with var at top level.
	// Rhino keeps the value of a host object so declared.
	Globals []string

	lines []string // for error texts
	needs features
}

// features are what a runtime has to have for a script, found from the names
// it mentions: what is not mentioned is not installed.
type features struct {
	json, xml, strings, arrays, regexps, dates, lastMatch bool

	java map[string]bool // methods of java.lang.String
}

// SyntaxError says why a file cannot be compiled.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Compile compiles a file. visit, if not nil, sees the syntax tree before it is
// compiled. The error is a *SyntaxError.
func Compile(name, src string, visit func(*ast.Program)) (*Script, error) {
	src = strings.TrimPrefix(src, "\ufeff")
	if err := checkSource(src); err != nil {
		return nil, err
	}
	prog, err := parse(name, src)
	if err != nil {
		return nil, err
	}
	s := &Script{Name: name, lines: strings.Split(src, "\n"), Globals: declared(prog)}
	if visit != nil {
		visit(prog)
	}
	s.needs.scan(prog)
	hoist(prog)
	rewrite(prog, s.needs.xml)
	if s.Program, err = goja.CompileAST(prog, false); err != nil {
		return nil, compileError(err)
	}
	return s, nil
}

// parse parses the file; when that fails it says what of E4X or Rhino's own
// syntax is to blame, or translates what can be translated and tries again.
func parse(name, src string) (*ast.Program, error) {
	prog, err := parseFile(name, src)
	if err == nil {
		return prog, nil
	}
	translated, foreign := translate(src)
	if foreign != nil {
		return nil, foreign
	}
	if translated != src {
		if prog, err = parseFile(name, translated); err == nil {
			return prog, nil
		}
	}
	return nil, syntaxError(err)
}

func parseFile(name, src string) (*ast.Program, error) {
	return parser.ParseFile(nil, name, src, 0, parser.WithDisableSourceMaps)
}

func syntaxError(err error) error {
	var list parser.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return &SyntaxError{Line: list[0].Position.Line, Msg: list[0].Message}
	}
	return &SyntaxError{Line: 1, Msg: err.Error()}
}

func compileError(err error) error {
	var c *goja.CompilerSyntaxError
	if errors.As(err, &c) && c.File != nil {
		return &SyntaxError{Line: c.File.Position(c.Offset).Line, Msg: c.Message}
	}
	return &SyntaxError{Line: 1, Msg: err.Error()}
}

func declared(prog *ast.Program) []string {
	var names []string
	for _, d := range prog.DeclarationList {
		for _, b := range d.List {
			if id, ok := b.Target.(*ast.Identifier); ok {
				names = append(names, id.Name.String())
			}
		}
	}
	return names
}

// scan finds the features that a script mentions. A name that is put together
// at run time is not found; the defaults of goja then apply.
func (n *features) scan(prog *ast.Program) {
	Walk(prog, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Identifier:
			n.mention(node.Name.String())
		case *ast.DotExpression:
			n.mention(node.Identifier.Name.String())
		case *ast.StringLiteral:
			n.mention(node.Value.String())
		case *ast.RegExpLiteral:
			n.regexps = true
		case *ast.NewExpression:
			n.arrays = n.arrays || makesArray(node.Callee, node.ArgumentList)
		case *ast.CallExpression:
			n.arrays = n.arrays || makesArray(node.Callee, node.ArgumentList)
		case *ast.AssignExpression:
			if d, ok := node.Left.(*ast.DotExpression); ok && d.Identifier.Name == "length" {
				n.arrays = n.arrays || !isSmall(node.Right)
			}
		case *ast.PropertyKeyed:
			if k, ok := node.Key.(*ast.StringLiteral); ok && k.Value == "length" {
				n.arrays = true
			}
		}
		return true
	})
}

// makesArray reports whether a call makes an array of a length that may be
// large.
func makesArray(callee ast.Expression, args []ast.Expression) bool {
	id, ok := callee.(*ast.Identifier)
	return ok && id.Name == "Array" && len(args) == 1 && !isSmall(args[0])
}

// isSmall reports whether e is a number that is no problem as a length.
func isSmall(e ast.Expression) bool {
	n, ok := e.(*ast.NumberLiteral)
	if !ok {
		return false
	}
	i, ok := n.Value.(int64)
	return ok && i <= 1_000_000
}

func (n *features) mention(name string) {
	switch name {
	case "JSON":
		n.json = true
	case "XML", "XMLList", "asXML":
		n.xml = true
	case "repeat", "padStart", "padEnd":
		n.strings = true
	case "from", "apply":
		n.arrays = true
	case "RegExp", "match", "matchAll", "search":
		n.regexps = true
	case "getYear", "setYear", "toGMTString":
		n.dates = true
	case "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "lastMatch", "leftContext", "rightContext":
		n.lastMatch = true
	}
	if _, ok := javaMethods[name]; ok {
		if n.java == nil {
			n.java = make(map[string]bool)
		}
		n.java[name] = true
	}
}

func (n *features) merge(o features) {
	n.json = n.json || o.json
	n.xml = n.xml || o.xml
	n.strings = n.strings || o.strings
	n.arrays = n.arrays || o.arrays
	n.regexps = n.regexps || o.regexps
	n.dates = n.dates || o.dates
	n.lastMatch = n.lastMatch || o.lastMatch
	for name := range o.java {
		if n.java == nil {
			n.java = make(map[string]bool)
		}
		n.java[name] = true
	}
}
