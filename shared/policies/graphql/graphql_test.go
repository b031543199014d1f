package graphql

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

const employees = `type Query { employee(id: Int): Employee employees: [Employee] }
type Mutation { hire(name: String!): Employee }
type Employee { id: Int firstName: String lastName: String boss: Employee }
`

var schemaFile = &bundle.Resource{Type: "graphql", Name: "s.graphql", File: "resources/graphql/s.graphql", Data: []byte(employees)}

func compileVerify(t testing.TB, more string) policy.Policy {
	return policytest.Compile(t, Kind, `<GraphQL name="GQL"><OperationType>query_mutation</OperationType><Action>parse_verify</Action>`+
		`<ResourceURL>graphql://s.graphql</ResourceURL>`+more+`</GraphQL>`, policy.Services{}, schemaFile)
}

func post(t testing.TB, query string) *flow.Context {
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\nContent-Type: application/graphql\n")})
	fc.Request.SetContent([]byte(query))
	return fc
}

// TestOperation tells the key check which operation it is: the one a server would
// run, whatever else is in the document.
func TestOperation(t *testing.T) {
	p := compileVerify(t, "")
	const two = `query One { employee(id: 1) { id } } mutation Two { hire(name: \"x\") { id } }`
	for _, tt := range []struct{ body, name, typ string }{
		{`{"query":"{ employee(id: 1) { id } }"}`, "", "query"},
		{`{"query":"` + two + `"}`, "One", "query"},
		{`{"query":"` + two + `","operationName":"Two"}`, "Two", "mutation"},
		{`{"query":"` + two + `","operationName":null}`, "One", "query"},
		{`{"query":"` + two + `","OPERATIONNAME":"Two"}`, "One", "query"},
	} {
		fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\nContent-Type: application/json; charset=utf-8\n")})
		fc.Request.SetContent([]byte(tt.body))
		if err := p.Run(t.Context(), fc); err != nil {
			t.Fatalf("%s: %v", tt.body, err)
		}
		if op := policy.CallOf(fc).Operation; op.GraphQLName != tt.name || op.GraphQLType != tt.typ {
			t.Errorf("%s: operation is %q, a %q", tt.body, op.GraphQLName, op.GraphQLType)
		}
	}
}

// TestVariablesAgree finds by name every variable that a debug session is told of.
func TestVariablesAgree(t *testing.T) {
	doc, err := parse(`query Q($a: [Int!]! = [1], $b: In) @d(x: 1) { x: f(a: $a, o: {k: "v", l: [true, null, 1.5, E]}) @skip(if: true) { ...F ... on T @d { g } } }
		fragment F on T @e { h { i } }`)
	if err != nil {
		t.Fatal(err)
	}
	v := &variables{doc.Operations[0], doc.Fragments}
	n := 0
	for name, value := range v.Variables() {
		n++
		if got := v.Variable(name); got.String() != value.String() || got.Kind() != value.Kind() {
			t.Errorf("graphql.%s is %q, told %q", name, got, value)
		}
	}
	if n < 40 {
		t.Errorf("only %d variables", n)
	}
	for range v.Variables() {
		break // may stop early
	}
}

// TestBounds refuses what would cost a server, or this policy, more than a request
// may, in a bounded number of steps.
func TestBounds(t *testing.T) {
	p := compileVerify(t, "")
	cycle := `{ ...A } fragment A on Query { employee { boss { ...B } } } fragment B on Employee { boss { ...B } }`
	bomb := "{ ...F0 }"
	for i := range 9 { // 2^9 paths
		bomb += fmt.Sprintf(" fragment F%d on Query { ...F%d ...F%d }", i, i+1, i+1)
	}
	bomb += " fragment F9 on Query { employee { id } }"
	for name, tt := range map[string]struct{ query, want string }{
		"nested":     {strings.Repeat("{a", 1<<20), "ParsingFailed"},
		"values":     {"{a(b:" + strings.Repeat("[", 1<<20), "ParsingFailed"},
		"tokens":     {"{" + strings.Repeat("a ", 1<<20) + "}", "ParsingFailed"},
		"deep":       {strings.Repeat("{boss", 11) + "{id}" + strings.Repeat("}", 11), "MaxDepthExceeded"},
		"cycle":      {cycle, "MaxDepthExceeded"},
		"fragments":  {"{ employee { id } }" + strings.Repeat(" fragment F on Query { employee { id } }", 11), "MaxCountExceeded"},
		"bomb":       {bomb, ""},
		"twice":      {"{ employee { " + strings.Repeat("id ", 1000) + "} }", ""},
		"empty":      {"", "ParsingFailed"},
		"no type":    {"subscription { a }", "OperationTypeNotAllowed"},
		"fragment":   {"fragment F on Query { employee { id } }", "ParsingFailed"},
		"many wrong": {"{ " + strings.Repeat("nope ", 5000) + "}", "SchemaValidationFailed"},
	} {
		var f *fault.Fault
		err := p.Run(t.Context(), post(t, tt.query))
		if errors.As(err, &f); tt.want == "" && err != nil || tt.want != "" && (f == nil || f.ShortName() != tt.want) {
			t.Errorf("%s: %.200v, want %s", name, err, tt.want)
		}
	}
}

// TestShared runs one policy in many calls: validation writes into the document,
// never into the schema.
func TestShared(t *testing.T) {
	p := compileVerify(t, "")
	var wg sync.WaitGroup
	for i := range 8 {
		fc := post(t, fmt.Sprintf("query Q($i: Int = %d) { employee(id: $i) { id boss { lastName } } }", i))
		wg.Go(func() {
			if err := p.Run(t.Context(), fc); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<GraphQL name="GQL"><OperationType>query</OperationType></GraphQL>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\nContent-Type: application/json\n\n" +
		`{"query":"query Q($id: Int!) { employee(id: $id) { id firstName lastName boss { id } } }","variables":{"id":1}}`})
}

func BenchmarkVerify(b *testing.B) {
	policytest.Bench(b, compileVerify(b, ""), map[string]string{"request": "POST /v1/x\nContent-Type: application/json\n\n" +
		`{"query":"query Q($id: Int!) { employee(id: $id) { id firstName lastName boss { id } } }","variables":{"id":1}}`})
}

// FuzzRun finds no query that panics, and none whose depth is less than that of the
// braces it is written with.
func FuzzRun(f *testing.F) {
	for _, s := range []string{"{a}", `query Q($a: Int = 1) @d { b: c(d: $a) { ...F } } fragment F on T { e }`, `{"query":"{a}"}`, "{a{b{c}}}", "{ ... on T { a } }"} {
		f.Add(s)
	}
	sch, err := compileSchema("s", []byte(employees))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if r, err := fromJSON([]byte(query)); err == nil {
			query = r.query
		}
		doc, err := parse(query)
		if err != nil || len(doc.Operations) == 0 {
			return
		}
		if depth := (&measure{doc: doc}).depth(doc.Operations[0].SelectionSet); deeper(doc, depth) && len(doc.Operations) == 1 {
			t.Errorf("%q is deeper than its depth %d", query, depth)
		}
		if !deeper(doc, 50) {
			sch.verify(doc)
		}
		v := &variables{doc.Operations[0], doc.Fragments}
		for name, value := range v.Variables() {
			if got := v.Variable(name); got.String() != value.String() {
				t.Errorf("%s is %q, told %q", name, got, value)
			}
		}
	})
}
