package graphql

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// maxTokens is the bound of graphql-java's parser, ParserOptions.MAX_QUERY_TOKENS.
const maxTokens = 15_000

func parse(query string) (*ast.QueryDocument, error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, maxTokens)
	if err != nil {
		return nil, errors.New(errorText(err))
	}
	return doc, nil
}

// errorText is the text of a parser's error with its place.
func errorText(err error) string {
	var e *gqlerror.Error
	if !errors.As(err, &e) || len(e.Locations) == 0 {
		return err.Error()
	}
	return e.Message + " at " + e.Locations[0].String()
}

// deeper reports whether fields of a document are nested deeper than limit. A
// fragment that contains itself is nested without end.
func deeper(doc *ast.QueryDocument, limit int) bool {
	m := measure{doc: doc}
	for _, op := range doc.Operations {
		if m.depth(op.SelectionSet) > limit {
			return true
		}
	}
	return false
}

// measure finds depths; each fragment is looked at once.
type measure struct {
	doc       *ast.QueryDocument
	fragments map[string]int
}

// endless is more than any document is nested: the parser stops at 1000 levels,
// and every fragment is one chain of them.
const endless = 1 << 30

func (m *measure) depth(set ast.SelectionSet) int {
	deepest := 0
	for _, sel := range set {
		d := 0
		switch sel := sel.(type) {
		case *ast.Field:
			d = 1 + m.depth(sel.SelectionSet)
		case *ast.InlineFragment:
			d = m.depth(sel.SelectionSet)
		case *ast.FragmentSpread:
			d = m.fragment(sel.Name)
		}
		deepest = max(deepest, d)
	}
	return min(deepest, endless)
}

func (m *measure) fragment(name string) int {
	if d, ok := m.fragments[name]; ok {
		return d
	}
	f := m.doc.Fragments.ForName(name)
	if f == nil {
		return 0
	}
	if m.fragments == nil {
		m.fragments = map[string]int{}
	}
	m.fragments[name] = endless // while it is being looked at
	d := m.depth(f.SelectionSet)
	m.fragments[name] = d
	return d
}

// schema is a compiled schema. It is shared by calls.
type schema struct{ *ast.Schema }

func compileSchema(url string, data []byte) (*schema, error) {
	s, err := gqlparser.LoadSchema(&ast.Source{Name: url, Input: string(data)})
	if err != nil {
		return nil, err
	}
	return &schema{s}, nil
}

// ruleSet are the rules of the GraphQL specification. They are the variants that
// suggest nothing: a suggestion costs time and tells of the schema.
var ruleSet = sync.OnceValue(func() []validator.Rule {
	set := rules.NewDefaultRules()
	set.ReplaceRule(rules.FieldsOnCorrectTypeRule.Name, rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc)
	set.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	set.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	set.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	set.ReplaceRule(rules.ScalarLeafsRule.Name, rules.ScalarLeafsRuleWithoutSuggestions.RuleFunc)
	var list []validator.Rule
	for name, f := range set.GetInner() {
		list = append(list, validator.Rule{Name: name, RuleFunc: f})
	}
	slices.SortFunc(list, func(a, b validator.Rule) int { return strings.Compare(a.Name, b.Name) })
	return list
})

// verify holds a document against the schema and returns the first mistake, or "".
func (s *schema) verify(doc *ast.QueryDocument) string {
	var first *gqlerror.Error
	observers := &validator.Events{}
	for _, rule := range ruleSet() {
		rule.RuleFunc(observers, func(options ...validator.ErrorOption) {
			e := &gqlerror.Error{}
			for _, o := range options {
				o(e)
			}
			if first == nil || before(e, first) {
				first = e
			}
		})
	}
	validator.Walk(s.Schema, doc, observers)
	if first == nil {
		return ""
	}
	return errorText(first)
}

// before orders mistakes by their place, then by their text: the walk finds them
// rule by rule.
func before(a, b *gqlerror.Error) bool {
	if len(a.Locations) == 0 || len(b.Locations) == 0 {
		return len(a.Locations) > 0
	}
	x, y := a.Locations[0], b.Locations[0]
	switch {
	case x.Line != y.Line:
		return x.Line < y.Line
	case x.Column != y.Column:
		return x.Column < y.Column
	}
	return a.Message < b.Message
}
