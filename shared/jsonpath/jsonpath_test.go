package jsonpath

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

func store(t testing.TB) *Value {
	t.Helper()
	data, err := os.ReadFile("testdata/store.json")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

func parse(t testing.TB, doc string) *Value {
	t.Helper()
	v, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// result is what the table holds: JSON, none or error.
func result(root *Value, path string) string {
	p, err := Compile(path)
	if err != nil {
		return "error"
	}
	v, ok := p.Eval(root)
	if !ok {
		return "none"
	}
	return string(v.AppendJSON(nil))
}

func TestPaths(t *testing.T) {
	root := store(t)
	for path, want := range table(t, "paths.tsv") {
		if got := result(root, path); got != want {
			t.Errorf("%s\n got %s\nwant %s", path, got, want)
		}
	}
}

func table(t testing.TB, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, line := range strings.Split(string(data), "\n") {
		if path, want, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			out[path] = want
		}
	}
	return out
}

func TestDocuments(t *testing.T) {
	for _, c := range []struct{ doc, path, want string }{
		// Samples of the message template documentation.
		{`{"results":[{"address":{"line1":"18250 142ND AV NE"},"name":"Fred Meyer"},{"address":{"line1":"1060 West Addison Street"},"name":"Mae West"}]}`,
			`$.results[?(@.name == "Mae West")].address.line1`, `["1060 West Addison Street"]`},
		{`{"config":{"quota":[{"appname":"A","operation":"ManageOrder"},{"appname":"B","operation":"ManageOrder"},{"appname":"B","operation":"SubmitOrder"}]}}`,
			`$.config.quota[?(@.operation=="ManageOrder")].appname`, `["A","B"]`},
		{`{"contents":[{"parts":[{"text":"a"}]},{"parts":[{"text":"b"},{"text":"c"}]}]}`, `$.contents[-1].parts[-1].text`, `"c"`},
		{`{"usageMetadata":{"totalTokenCount":12}}`, `$.usageMetadata.totalTokenCount`, `12`},
		// Digits and order are kept.
		{`{"b":1.10,"a":12345678901234567890,"c":1e3}`, `$`, `{"b":1.10,"a":12345678901234567890,"c":1e3}`},
		{`{"a":1,"b":2,"a":3}`, `$`, `{"a":3,"b":2}`},
		{`[{"n":10},{"n":9}]`, `$[?(@.n > 9)].n`, `[10]`},
		{`{"a.b":{"c d":1}}`, `$['a.b']['c d']`, `1`},
		{`{"it's":1}`, `$['it\'s']`, `1`},
		{`{"é":"ü"}`, `$.é`, `"ü"`},
		{`["a","b"]`, `$[1]`, `"b"`},
		{`"x"`, `$`, `"x"`},
		{`[[1,2],[3]]`, `$[*][0]`, `[1,3]`},
		{`{"a":[1,"2",null,true]}`, `$.a[?(@ == 2)]`, `["2"]`},
		{`{"a":[{"x":null},{"x":1},{}]}`, `$.a[?(@.x == null)]`, `[{"x":null}]`},
		{`{"a":[{"x":null},{"x":1},{}]}`, `$.a[?(@.x)]`, `[{"x":null},{"x":1}]`},
		{`{"a":[{"t":[1,2]},{"t":[3]}]}`, `$.a[?(@.t subsetof [1,2,3])].t[0]`, `[1,3]`},
		{`{"a":[{"t":[1,2]},{"t":[3]}]}`, `$.a[?(@.t anyof [1])].t`, `[[1,2]]`},
		{`{"a":[{"t":[1,2]},{"t":[3]}]}`, `$.a[?(@.t noneof [1])].t`, `[[3]]`},
		{`{"a":[{"t":[1,2]},{"t":[3]}]}`, `$.a[?(@.t.length() > 1)].t`, `[[1,2]]`},
		{`{"a":[{"t":"1"},{"t":1}]}`, `$.a[?(@.t === '1')].t`, `["1"]`},
		{`{"a":{"x":1,"y":2}}`, `$.a.keys()`, `["x","y"]`},
		{`{"a":{"x":1,"y":2}}`, `$.a.length()`, `2`},
		{`{"a":[1,2.5]}`, `$.a.sum()`, `3.5`},
		{`{"a":[{"p":1},{"p":3}]}`, `$..p.avg()`, `2.0`},
		{`{"a":["x","y"]}`, `$.a.first()`, `"x"`},
		{`{"a":["x","y"]}`, `$.a.last()`, `"y"`},
		{`{"a":["x","y"]}`, `$.a.index(1)`, `"y"`},
		{`{"a":["x","y"]}`, `$.a.concat('-', $.a[0])`, `"xy-x"`},
		{`{"a":["x"]}`, `$.a.append('z')`, `["x","z"]`},
	} {
		if got := result(parse(t, c.doc), c.path); got != c.want {
			t.Errorf("%s of %s = %s, want %s", c.path, c.doc, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for doc, want := range map[string]string{
		`"a\"b\u00e9\ud83d\ude00\n/"`: "a\"bé😀\n/", `1.50`: "1.50", `true`: "true", `null`: "null",
		` { "a" : [ 1 , "x/y" ] } `: `{"a":[1,"x/y"]}`, `"\ud83d"`: "\ufffd",
	} {
		if got := parse(t, doc).Text(); got != want {
			t.Errorf("%s: text %q, want %q", doc, got, want)
		}
	}
	if v := parse(t, `["a","b"]`); v.First().Text() != "a" || v.Items()[1].Text() != "b" || v.Kind() != Array {
		t.Error("First, Items")
	}
	if parse(t, `[]`).First() != nil || parse(t, `5`).First().Text() != "5" {
		t.Error("First of none")
	}
}

func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 3000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(AppendString(nil, strings.Repeat("k", i%1000+1)))
		b.WriteString(`:1`)
	}
	b.WriteString("}")
	if n := parse(t, b.String()).Len(); n != 1000 {
		t.Errorf("%d members, want 1000", n)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, doc := range []string{
		"", " ", "{", "[", `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `{a:1}`, `{'a':1}`, "01", "1.", ".5", "-", "1e", "+1", "NaN",
		`"a`, "\"a\nb\"", `"\x"`, `"\u12"`, "nul", "true false", "[1 2]", `{"a":1 "b":2}`, "\ufeff{}",
	} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%q parses", doc)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("[", 1000))); !errors.Is(err, ErrDepth) {
		t.Errorf("depth: %v", err)
	}
}

func TestCompileBounds(t *testing.T) {
	for _, path := range []string{
		"$[?(" + strings.Repeat("(", 1000) + "@.a" + strings.Repeat(")", 1000) + ")]",
		strings.Repeat("$[?(@", 1000), "$." + strings.Repeat("a", 1<<15), "$[?(@ in " + strings.Repeat("[", 1000),
	} {
		if _, err := Compile(path); err == nil {
			t.Errorf("%.40s compiles", path)
		}
	}
}

// FuzzParse: what parses here parses as JSON with the same value, and what is
// written again is read the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e3,"x\u00e9\n",true,false,null,{}]}`))
	f.Add([]byte(`"\ud83d\ude00"`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := Parse(doc)
		if err != nil {
			if json.Valid(doc) && !errors.Is(err, ErrDepth) {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		if !json.Valid(doc) {
			t.Fatalf("%q parses", doc)
		}
		text := v.AppendJSON(nil)
		again, err := Parse(text)
		if err != nil || string(again.AppendJSON(nil)) != string(text) {
			t.Fatalf("%q becomes %q: %v", doc, text, err)
		}
	})
}

// FuzzCompile: no path panics, and a definite path gives no more than one
// value.
func FuzzCompile(f *testing.F) {
	for path := range table(f, "paths.tsv") {
		f.Add(path)
	}
	root := store(f)
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Compile(path)
		if err != nil {
			return
		}
		if v, ok := p.Eval(root); ok && !p.Definite() && v.Kind() != Array {
			t.Fatalf("%q: an indefinite path gave %s", path, v.Text())
		}
	})
}

func BenchmarkEval(b *testing.B) {
	root := store(b)
	for name, path := range map[string]string{"definite": "$.store.book[0].title", "filter": "$.store.book[?(@.price < 10)].title"} {
		p, err := Compile(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.Eval(root); !ok {
					b.Fatal("none")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/store.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
