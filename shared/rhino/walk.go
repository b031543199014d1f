package rhino

import (
	"reflect"

	"github.com/dop251/goja/ast"
)

// Walk calls f for n and then for every node beneath it, in source order. When
// f returns false the node's children are left out. f may change a node in
// place; its children are read after f ran.
func Walk(n ast.Node, f func(ast.Node) bool) {
	if isNil(n) || !f(n) {
		return
	}
	if children(n, func(c ast.Node) { Walk(c, f) }) {
		return
	}
	statements(n, func(c ast.Node) { Walk(c, f) })
}

// isNil also catches the typed nils that the parser leaves in optional fields.
func isNil(n ast.Node) bool {
	if n == nil {
		return true
	}
	v := reflect.ValueOf(n)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func each[T ast.Node](list []T, f func(ast.Node)) {
	for _, n := range list {
		f(n)
	}
}

// children visits the parts of an expression; false if n is none.
func children(n ast.Node, f func(ast.Node)) bool {
	switch n := n.(type) {
	case *ast.Identifier, *ast.PrivateIdentifier, *ast.BooleanLiteral, *ast.NullLiteral, *ast.NumberLiteral,
		*ast.StringLiteral, *ast.RegExpLiteral, *ast.ThisExpression, *ast.SuperExpression, *ast.MetaProperty,
		*ast.BadExpression, *ast.TemplateElement:
	case *ast.YieldExpression:
		f(n.Argument)
	case *ast.AwaitExpression:
		f(n.Argument)
	case *ast.ArrayLiteral:
		each(n.Value, f)
	case *ast.ArrayPattern:
		each(n.Elements, f)
		f(n.Rest)
	case *ast.AssignExpression:
		f(n.Left)
		f(n.Right)
	case *ast.BinaryExpression:
		f(n.Left)
		f(n.Right)
	case *ast.BracketExpression:
		f(n.Left)
		f(n.Member)
	case *ast.CallExpression:
		f(n.Callee)
		each(n.ArgumentList, f)
	case *ast.NewExpression:
		f(n.Callee)
		each(n.ArgumentList, f)
	case *ast.ConditionalExpression:
		f(n.Test)
		f(n.Consequent)
		f(n.Alternate)
	case *ast.DotExpression:
		f(n.Left)
	case *ast.PrivateDotExpression:
		f(n.Left)
	case *ast.OptionalChain:
		f(n.Expression)
	case *ast.Optional:
		f(n.Expression)
	case *ast.FunctionLiteral:
		f(n.ParameterList)
		f(n.Body)
	case *ast.ArrowFunctionLiteral:
		f(n.ParameterList)
		f(n.Body)
	case *ast.ClassLiteral:
		f(n.SuperClass)
		each(n.Body, f)
	case *ast.ExpressionBody:
		f(n.Expression)
	case *ast.ObjectLiteral:
		each(n.Value, f)
	case *ast.ObjectPattern:
		each(n.Properties, f)
		f(n.Rest)
	case *ast.ParameterList:
		each(n.List, f)
		f(n.Rest)
	case *ast.Binding:
		f(n.Target)
		f(n.Initializer)
	case *ast.PropertyShort:
		f(&n.Name)
		f(n.Initializer)
	case *ast.PropertyKeyed:
		if n.Computed {
			f(n.Key)
		}
		f(n.Value)
	case *ast.SpreadElement:
		f(n.Expression)
	case *ast.SequenceExpression:
		each(n.Sequence, f)
	case *ast.TemplateLiteral:
		f(n.Tag)
		each(n.Expressions, f)
	case *ast.UnaryExpression:
		f(n.Operand)
	default:
		return false
	}
	return true
}

// statements visits the parts of a statement or of what belongs to one.
func statements(n ast.Node, f func(ast.Node)) {
	switch n := n.(type) {
	case *ast.Program:
		each(n.Body, f)
	case *ast.BlockStatement:
		each(n.List, f)
	case *ast.CaseStatement:
		f(n.Test)
		each(n.Consequent, f)
	case *ast.CatchStatement:
		f(n.Parameter)
		f(n.Body)
	case *ast.DoWhileStatement:
		f(n.Body)
		f(n.Test)
	case *ast.ExpressionStatement:
		f(n.Expression)
	case *ast.ForInStatement:
		f(n.Into)
		f(n.Source)
		f(n.Body)
	case *ast.ForOfStatement:
		f(n.Into)
		f(n.Source)
		f(n.Body)
	case *ast.ForStatement:
		f(n.Initializer)
		f(n.Test)
		f(n.Update)
		f(n.Body)
	case *ast.IfStatement:
		f(n.Test)
		f(n.Consequent)
		f(n.Alternate)
	case *ast.LabelledStatement:
		f(n.Statement)
	case *ast.ReturnStatement:
		f(n.Argument)
	case *ast.SwitchStatement:
		f(n.Discriminant)
		each(n.Body, f)
	case *ast.ThrowStatement:
		f(n.Argument)
	case *ast.TryStatement:
		f(n.Body)
		f(n.Catch)
		f(n.Finally)
	case *ast.VariableStatement:
		each(n.List, f)
	case *ast.LexicalDeclaration:
		each(n.List, f)
	case *ast.WhileStatement:
		f(n.Test)
		f(n.Body)
	case *ast.WithStatement:
		f(n.Object)
		f(n.Body)
	case *ast.FunctionDeclaration:
		f(n.Function)
	case *ast.ClassDeclaration:
		f(n.Class)
	case *ast.FieldDefinition:
		f(n.Key)
		f(n.Initializer)
	case *ast.MethodDefinition:
		f(n.Key)
		f(n.Body)
	case *ast.ClassStaticBlock:
		f(n.Block)
	case *ast.ForLoopInitializerExpression:
		f(n.Expression)
	case *ast.ForLoopInitializerVarDeclList:
		each(n.List, f)
	case *ast.ForLoopInitializerLexicalDecl:
		f(&n.LexicalDeclaration)
	case *ast.ForIntoVar:
		f(n.Binding)
	case *ast.ForDeclaration:
		f(n.Target)
	case *ast.ForIntoExpression:
		f(n.Expression)
	}
}
