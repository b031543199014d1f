package javascript

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func source(name, text string) *bundle.Resource {
	return &bundle.Resource{Type: "jsc", Name: name, File: "resources/jsc/" + name, Data: []byte(text)}
}

func inline(t testing.TB, text string) policy.Policy {
	return policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="900"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`, policy.Services{}, source("a.js", text))
}

var call1 = map[string]string{
	"request":  "POST /v1/pets?id=7\nContent-Type: application/json\nX-A: b\n\n" + `{"id":7,"name":"Rex","tags":["a","b"],"owner":{"name":"Ann","age":42}}`,
	"response": "200 OK\nContent-Type: application/json\n\n" + `{"id":7,"name":"Rex","tags":["a","b"],"owner":{"name":"Ann","age":42}}`,
}

func BenchmarkEmpty(b *testing.B) { policytest.Bench(b, inline(b, "var a = 1;"), call1) }

func BenchmarkTrivial(b *testing.B) {
	policytest.Bench(b, inline(b, "var id = context.getVariable('request.queryparam.id'); if (id) { context.setVariable('pet.id', id); }"), call1)
}

func BenchmarkHeaders(b *testing.B) {
	policytest.Bench(b, inline(b, "if (response.headers['Content-Type'] == 'application/json') { response.headers['X-B'] = 'c'; response.status.code = 200; }"), call1)
}

func BenchmarkJSON(b *testing.B) {
	policytest.Bench(b, inline(b, `
var o = JSON.parse(context.getVariable('request.content'));
o.tags.push('c');
o.owner.age += 1;
o.total = o.tags.length;
context.setVariable('out', JSON.stringify(o));`), call1)
}

func BenchmarkAsJSON(b *testing.B) {
	policytest.Bench(b, inline(b, "context.setVariable('out', response.content.asJSON.owner.name);"), call1)
}

func BenchmarkLargeJSON(b *testing.B) {
	files := map[string]string{"request": "POST /v1/pets\nContent-Type: application/json\n\n[" + strings.Repeat(`{"id":7,"name":"Rex","tags":["a","b"],"price":12.5},`, 999) + `{}]`}
	policytest.Bench(b, inline(b, `var o = JSON.parse(request.content); context.setVariable('out', JSON.stringify(o).length);`), files)
}

// Includes of 50 KB that define functions, as libraries do.
func BenchmarkInclude50KB(b *testing.B) {
	var lib strings.Builder
	lib.WriteString("var Lib = Lib || (function() { var L = {};\n")
	for i := 0; lib.Len() < 50_000; i++ {
		fmt.Fprintf(&lib, "L.f%d = function(a, b) { var t = []; for (var i = 0; i < a.length; i++) { t.push(a[i] + b); } return t.join('-'); };\n", i)
	}
	lib.WriteString("return L; })();")
	p := policytest.Compile(b, Kind, `<Javascript name="JS-1" timeLimit="900"><IncludeURL>jsc://lib.js</IncludeURL><ResourceURL>jsc://a.js</ResourceURL></Javascript>`,
		policy.Services{}, source("lib.js", lib.String()), source("a.js", "context.setVariable('x', Lib.f7(['a', 'b'], 'c'));"))
	policytest.Bench(b, p, call1)
}

func BenchmarkNew50KB(b *testing.B) {
	lib := strings.Repeat("function f(a, b) { var t = []; for (var i = 0; i < a.length; i++) { t.push(a[i] + b); } return t.join('-'); }\n", 460)
	b.ReportAllocs()
	b.SetBytes(int64(len(lib)))
	for b.Loop() {
		inline(b, lib)
	}
}
