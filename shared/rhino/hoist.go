package rhino

import (
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/unistring"
)

// hoist makes a function that is declared in a block a variable of the function
// around it, set where the block begins: Rhino, like browsers (ECMAScript, annex
// B.3.3), lets it be called after the block, goja does not. Strict code is left
// alone, and a name that a let, const or class has.
func hoist(prog *ast.Program) {
	h := &hoister{declarations: &prog.DeclarationList, strict: isStrict(prog.Body)}
	h.body(prog.Body)
}

type hoister struct {
	declarations *[]*ast.VariableDeclaration // of the function
	strict       bool
	lexical      []map[unistring.String]bool // names in the blocks around
}

// body visits the statements of a function.
func (h *hoister) body(list []ast.Statement) {
	h.lexical = append(h.lexical, lexicalNames(list))
	each(list, h.visit)
	h.lexical = h.lexical[:len(h.lexical)-1]
}

func (h *hoister) visit(n ast.Node) {
	if isNil(n) {
		return
	}
	switch n := n.(type) {
	case *ast.FunctionLiteral:
		h.visit(n.ParameterList)
		h.function(&n.DeclarationList, n.Body)
	case *ast.ArrowFunctionLiteral:
		h.visit(n.ParameterList)
		if block, ok := n.Body.(*ast.BlockStatement); ok {
			h.function(&n.DeclarationList, block)
		} else {
			h.visit(n.Body)
		}
	case *ast.ClassLiteral, *ast.ClassStaticBlock: // strict
	case *ast.BlockStatement:
		n.List = h.block(n.List)
	case *ast.CaseStatement:
		n.Consequent = h.block(n.Consequent)
	default:
		if !children(n, h.visit) {
			statements(n, h.visit)
		}
	}
}

func (h *hoister) function(declarations *[]*ast.VariableDeclaration, body *ast.BlockStatement) {
	inner := &hoister{declarations: declarations, strict: h.strict || isStrict(body.List)}
	inner.body(body.List)
}

// block moves the functions of a block to its front, as variables.
func (h *hoister) block(list []ast.Statement) []ast.Statement {
	h.body(list)
	if h.strict {
		return list
	}
	own := lexicalNames(list)
	var first, rest []ast.Statement
	for _, s := range list {
		d, ok := s.(*ast.FunctionDeclaration)
		if !ok || own[d.Function.Name.Name] || h.shadowed(d.Function.Name.Name) {
			rest = append(rest, s)
			continue
		}
		at := d.Function.Name
		b := &ast.Binding{Target: &ast.Identifier{Name: at.Name, Idx: at.Idx}, Initializer: d.Function}
		first = append(first, &ast.VariableStatement{Var: d.Function.Function, List: []*ast.Binding{b}})
		*h.declarations = append(*h.declarations, &ast.VariableDeclaration{Var: d.Function.Function, List: []*ast.Binding{b}})
	}
	return append(first, rest...)
}

func (h *hoister) shadowed(name unistring.String) bool {
	for _, names := range h.lexical {
		if names[name] {
			return true
		}
	}
	return false
}

// lexicalNames are the names that let, const and class declare in a list of
// statements.
func lexicalNames(list []ast.Statement) map[unistring.String]bool {
	var names map[unistring.String]bool
	add := func(id *ast.Identifier) {
		if names == nil {
			names = map[unistring.String]bool{}
		}
		names[id.Name] = true
	}
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ClassDeclaration:
			add(s.Class.Name)
		case *ast.LexicalDeclaration:
			for _, b := range s.List {
				Walk(b.Target, func(n ast.Node) bool { // patterns: too many names do no harm
					if id, ok := n.(*ast.Identifier); ok {
						add(id)
					}
					return true
				})
			}
		}
	}
	return names
}

func isStrict(body []ast.Statement) bool {
	for _, s := range body {
		e, ok := s.(*ast.ExpressionStatement)
		if !ok {
			return false
		}
		text, ok := e.Expression.(*ast.StringLiteral)
		if !ok {
			return false
		}
		if text.Value == "use strict" {
			return true
		}
	}
	return false
}
