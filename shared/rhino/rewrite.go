package rhino

import (
	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/unistring"
)

// Names of helpers that rewritten scripts call. No script spells them.
const (
	lengthHelper  = "(length)"
	methodsHelper = "(methods)"
	valuesHelper  = "ǃvalues" // the translation of for each spells it
	sourceHelper  = "(source)"
)

// rewrite changes calls that mean something else on Rhino:
//
//	x.length()      x may be a Java string or a header's list of values there
//	eval(s)         s is checked like a file first
//	x.name()        with E4X about: a method, while x.name is a child element
func rewrite(prog *ast.Program, xml bool) {
	Walk(prog, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpression:
			rewriteCall(n, xml)
		case *ast.NewExpression:
			if id, ok := n.Callee.(*ast.Identifier); ok && id.Name == "Function" {
				checkArguments(n.ArgumentList, id)
			}
		}
		return true
	})
}

func rewriteCall(n *ast.CallExpression, xml bool) {
	switch callee := n.Callee.(type) {
	case *ast.Identifier:
		if callee.Name == "eval" || callee.Name == "Function" {
			checkArguments(n.ArgumentList, callee)
		}
	case *ast.DotExpression:
		name := callee.Identifier.Name.String()
		switch {
		case name == "length" && len(n.ArgumentList) == 0:
			n.Callee = helper(lengthHelper, &callee.Identifier)
			n.ArgumentList = []ast.Expression{callee.Left}
		case xml && isXMLMethod(name):
			callee.Left = &ast.CallExpression{
				Callee:           helper(methodsHelper, &callee.Identifier),
				LeftParenthesis:  callee.Identifier.Idx,
				ArgumentList:     []ast.Expression{callee.Left},
				RightParenthesis: callee.Identifier.Idx,
			}
		}
	}
}

func checkArguments(args []ast.Expression, at *ast.Identifier) {
	for i, a := range args {
		args[i] = &ast.CallExpression{
			Callee:           helper(sourceHelper, at),
			LeftParenthesis:  at.Idx,
			ArgumentList:     []ast.Expression{a},
			RightParenthesis: at.Idx,
		}
	}
}

func helper(name string, at *ast.Identifier) *ast.Identifier {
	return &ast.Identifier{Name: unistring.String(name), Idx: at.Idx}
}

// javaLength is x.length(): the method where x has one, else the length of a
// string.
func (r *Runtime) javaLength(call goja.FunctionCall) goja.Value {
	x := call.Argument(0)
	if s, ok := x.(goja.String); ok {
		return r.ToValue(s.Length())
	}
	if goja.IsUndefined(x) || goja.IsNull(x) {
		r.Throw("TypeError", `Cannot call method "length" of `+x.String())
	}
	if o, ok := x.(*goja.Object); ok {
		if h, ok := o.Export().(Lengther); ok {
			return r.ToValue(h.Length())
		}
	}
	v := x.ToObject(r.Runtime).Get("length")
	if f, ok := goja.AssertFunction(v); ok {
		out, err := f(x)
		if err != nil {
			panic(err)
		}
		return out
	}
	if o, ok := x.(*goja.Object); ok && o.ClassName() == "String" {
		return v
	}
	r.Throw("TypeError", "length is not a function, it is "+typeName(v)+".")
	return nil
}

// Lengther is a host object with a length() of its own.
type Lengther interface{ Length() int }

// checkedSource lets text through to eval and Function that may be parsed
// without risk.
func (r *Runtime) checkedSource(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	if s, ok := v.(goja.String); ok {
		if err := checkSource(s.String()); err != nil {
			r.Throw("SyntaxError", err.Error())
		}
	}
	return v
}

func typeName(v goja.Value) string {
	switch {
	case v == nil || goja.IsUndefined(v):
		return "undefined"
	case goja.IsNull(v):
		return "object"
	case goja.IsNumber(v):
		return "number"
	case goja.IsString(v):
		return "string"
	}
	if _, ok := v.(*goja.Object); ok {
		return "object"
	}
	return "boolean"
}
