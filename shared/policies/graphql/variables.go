package graphql

import (
	"iter"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// variables are graphql.* of a request, computed when they are read: a document
// has hundreds, of which a call reads few. Indexes count from 1.
// Source: policy page, "Examples of message flow variable representations"
type variables struct {
	op        *ast.OperationDefinition
	fragments ast.FragmentDefinitionList
}

// Variable is the variable of a name without "graphql.".
func (v *variables) Variable(name string) flow.Value {
	head, rest := cut(name)
	switch head {
	case "operation":
		return v.operation(rest)
	case "fragment":
		return of(v.fragments, rest, fragment)
	}
	return flow.Value{}
}

// Variables yields all of them.
func (v *variables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		p := printer{yield: yield}
		p.operation("operation.", v.op)
		p.put("fragment.count", count(len(v.fragments)))
		for i, f := range v.fragments {
			p.fragment(nth("fragment.", i), f)
		}
	}
}

func (v *variables) operation(name string) flow.Value {
	head, rest := cut(name)
	switch head {
	case "name":
		return leaf(rest, v.op.Name)
	case "operationType":
		return leaf(rest, strings.ToUpper(string(v.op.Operation)))
	case "selectionSet":
		return selections(v.op.SelectionSet, rest)
	case "directive":
		return directives(v.op.Directives, rest)
	case "variableDefinitions":
		return definitions(v.op.VariableDefinitions, rest)
	}
	return flow.Value{}
}

func fragment(f *ast.FragmentDefinition, name string) flow.Value {
	head, rest := cut(name)
	switch head {
	case "name":
		return leaf(rest, f.Name)
	case "typeCondition":
		return leaf(rest, f.TypeCondition)
	case "selectionSet":
		return selections(f.SelectionSet, rest)
	case "directive":
		return directives(f.Directives, rest)
	case "variableDefinitions":
		return definitions(f.VariableDefinition, rest)
	}
	return flow.Value{}
}

func selections(set ast.SelectionSet, name string) flow.Value {
	if name == "name" { // of the default one, the first
		name = "1.name"
	}
	return of(set, name, ofSelection)
}

func ofSelection(sel ast.Selection, name string) flow.Value {
	head, rest := cut(name)
	s := describe(sel)
	switch head {
	case "name":
		return leaf(rest, s.name)
	case "alias":
		return leaf(rest, s.alias)
	case "typeCondition":
		return leaf(rest, s.typeCondition)
	case "argument":
		return arguments(s.arguments, rest)
	case "directive":
		return directives(s.directives, rest)
	case "selectionSet":
		return selections(s.set, rest)
	}
	return flow.Value{}
}

// selection is what a field, the spread of a fragment and an inline fragment have
// in common.
type selection struct {
	name, alias, typeCondition string
	arguments                  ast.ArgumentList
	directives                 ast.DirectiveList
	set                        ast.SelectionSet
}

func describe(s ast.Selection) selection {
	switch s := s.(type) {
	case *ast.Field:
		out := selection{name: s.Name, alias: s.Alias, arguments: s.Arguments, directives: s.Directives, set: s.SelectionSet}
		if out.alias == out.name { // the parser gives every field one
			out.alias = ""
		}
		return out
	case *ast.FragmentSpread:
		return selection{name: s.Name, directives: s.Directives}
	case *ast.InlineFragment:
		return selection{typeCondition: s.TypeCondition, directives: s.Directives, set: s.SelectionSet}
	}
	return selection{}
}

func directives(list ast.DirectiveList, name string) flow.Value {
	return of(list, name, func(d *ast.Directive, name string) flow.Value {
		head, rest := cut(name)
		switch head {
		case "name":
			return leaf(rest, d.Name)
		case "argument":
			return arguments(d.Arguments, rest)
		}
		return flow.Value{}
	})
}

func arguments(list ast.ArgumentList, name string) flow.Value {
	return of(list, name, func(a *ast.Argument, name string) flow.Value {
		switch name {
		case "name":
			return leaf("", a.Name)
		case "value":
			return leaf("", valueText(a.Value))
		}
		return flow.Value{}
	})
}

func definitions(list ast.VariableDefinitionList, name string) flow.Value {
	return of(list, name, func(d *ast.VariableDefinition, name string) flow.Value {
		switch name {
		case "name":
			return leaf("", d.Variable)
		case "type":
			return leaf("", typeText(d.Type))
		}
		return flow.Value{}
	})
}

// of is what name says of a list: how many there are, or, behind a number from 1,
// something of one of them.
func of[T any](list []T, name string, variable func(one T, name string) flow.Value) flow.Value {
	if name == "count" {
		return count(len(list))
	}
	head, rest := cut(name)
	n, err := strconv.Atoi(head)
	if err != nil || n < 1 || n > len(list) {
		return flow.Value{}
	}
	return variable(list[n-1], rest)
}

func cut(name string) (head, rest string) {
	head, rest, _ = strings.Cut(name, ".")
	return head, rest
}

func count(n int) flow.Value { return flow.IntValue(int64(n)) }

// leaf is text that nothing may follow; "" is null.
func leaf(rest, s string) flow.Value {
	if rest != "" || s == "" {
		return flow.Value{}
	}
	return flow.StringValue(s)
}

func nth(prefix string, i int) string { return prefix + strconv.Itoa(i+1) + "." }

// printer yields every variable.
type printer struct {
	yield func(string, flow.Value) bool
	done  bool
}

func (p *printer) put(name string, v flow.Value) {
	if !p.done && !v.IsNull() {
		p.done = !p.yield(name, v)
	}
}

func (p *printer) operation(prefix string, op *ast.OperationDefinition) {
	p.put(prefix+"name", leaf("", op.Name))
	p.put(prefix+"operationType", leaf("", strings.ToUpper(string(op.Operation))))
	p.definitions(prefix+"variableDefinitions.", op.VariableDefinitions)
	p.directives(prefix+"directive.", op.Directives)
	p.selections(prefix+"selectionSet.", op.SelectionSet)
}

func (p *printer) fragment(prefix string, f *ast.FragmentDefinition) {
	p.put(prefix+"name", leaf("", f.Name))
	p.put(prefix+"typeCondition", leaf("", f.TypeCondition))
	p.definitions(prefix+"variableDefinitions.", f.VariableDefinition)
	p.directives(prefix+"directive.", f.Directives)
	p.selections(prefix+"selectionSet.", f.SelectionSet)
}

func (p *printer) selections(prefix string, set ast.SelectionSet) {
	p.put(prefix+"count", count(len(set)))
	for i, sel := range set {
		if p.done {
			return
		}
		s, at := describe(sel), nth(prefix, i)
		p.put(at+"name", leaf("", s.name))
		p.put(at+"alias", leaf("", s.alias))
		p.put(at+"typeCondition", leaf("", s.typeCondition))
		p.arguments(at+"argument.", s.arguments)
		p.directives(at+"directive.", s.directives)
		p.selections(at+"selectionSet.", s.set)
	}
}

func (p *printer) directives(prefix string, list ast.DirectiveList) {
	p.put(prefix+"count", count(len(list)))
	for i, d := range list {
		p.put(nth(prefix, i)+"name", leaf("", d.Name))
		p.arguments(nth(prefix, i)+"argument.", d.Arguments)
	}
}

func (p *printer) arguments(prefix string, list ast.ArgumentList) {
	p.put(prefix+"count", count(len(list)))
	for i, a := range list {
		p.put(nth(prefix, i)+"name", leaf("", a.Name))
		p.put(nth(prefix, i)+"value", leaf("", valueText(a.Value)))
	}
}

func (p *printer) definitions(prefix string, list ast.VariableDefinitionList) {
	p.put(prefix+"count", count(len(list)))
	for i, d := range list {
		p.put(nth(prefix, i)+"name", leaf("", d.Variable))
		p.put(nth(prefix, i)+"type", leaf("", typeText(d.Type)))
	}
}
