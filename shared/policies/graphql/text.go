package graphql

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// valueText writes a value as Apigee does, in the form of graphql-java's
// toString: IntValue{value=123}.
func valueText(v *ast.Value) string {
	var b strings.Builder
	writeValue(&b, v)
	return b.String()
}

func writeValue(b *strings.Builder, v *ast.Value) {
	switch v.Kind {
	case ast.Variable:
		b.WriteString("VariableReference{name='" + v.Raw + "'}")
	case ast.IntValue:
		b.WriteString("IntValue{value=" + v.Raw + "}")
	case ast.FloatValue:
		b.WriteString("FloatValue{value=" + v.Raw + "}")
	case ast.StringValue, ast.BlockValue:
		b.WriteString("StringValue{value='" + v.Raw + "'}")
	case ast.BooleanValue:
		b.WriteString("BooleanValue{value=" + v.Raw + "}")
	case ast.NullValue:
		b.WriteString("NullValue{}")
	case ast.EnumValue:
		b.WriteString("EnumValue{name='" + v.Raw + "'}")
	case ast.ListValue:
		writeChildren(b, v, "ArrayValue{values=[", false)
	case ast.ObjectValue:
		writeChildren(b, v, "ObjectValue{objectFields=[", true)
	}
}

func writeChildren(b *strings.Builder, v *ast.Value, open string, named bool) {
	b.WriteString(open)
	for i, c := range v.Children {
		if i > 0 {
			b.WriteString(", ")
		}
		if named {
			b.WriteString("ObjectField{name='" + c.Name + "', value=")
		}
		writeValue(b, c.Value)
		if named {
			b.WriteByte('}')
		}
	}
	b.WriteString("]}")
}

// typeText writes a type as Apigee does: NonNullType{type=TypeName{name='Int'}}.
func typeText(t *ast.Type) string {
	var s string
	if t.Elem != nil {
		s = "ListType{type=" + typeText(t.Elem) + "}"
	} else {
		s = "TypeName{name='" + t.NamedType + "'}"
	}
	if t.NonNull {
		s = "NonNullType{type=" + s + "}"
	}
	return s
}
