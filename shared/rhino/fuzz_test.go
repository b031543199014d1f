package rhino

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// FuzzTranslate holds that the translation of E4X keeps lines where they are
// and that nothing is left in it to be translated.
func FuzzTranslate(f *testing.F) {
	for _, s := range []string{
		"x.@id", "x.@*", "x..y", "x.*", "x..@z", "x.@['a']", "for each (var a in b) { c }", "for each (a in f(function() { for each (b in c) d })) e",
		"f(...a)", "1..toString()", "a <b> c", "<a/>", "`${x.@a}`", "'x.@a'", "/x.@a/", "// x.@a\n/* x..b */", "default xml namespace = 1", "x.(y)", "a::b",
		"for each(var i in x.@y)\n\nz", "try {} catch (e if x) {}", "x.@é", "a ? b : c", "\"\\\n\"", "`a\n${`b\n`}`",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		out, foreign := translate(src)
		if foreign != nil {
			if n := strings.Count(src, "\n") + 1; foreign.Line < 1 || foreign.Line > n {
				t.Fatalf("line %d of %d", foreign.Line, n)
			}
			return
		}
		if strings.Count(out, "\n") != strings.Count(src, "\n") {
			t.Fatalf("lines moved: %q", out)
		}
	})
}

// FuzzCompile holds that no source takes the process down.
func FuzzCompile(f *testing.F) {
	f.Add("var a = 1; x.@b; for each (var c in d) { e.length() }")
	f.Add("new XML('<a/>').b.name()")
	f.Fuzz(func(t *testing.T, src string) {
		if _, err := Compile("a.js", src, nil); err != nil {
			if _, ok := err.(*SyntaxError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
		}
	})
}

// FuzzParseJSON compares with encoding/json.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83d\ude00\n"]}`, `[]`, `{}`, `"a"`, `01`, `1.`, `-`, `[1,]`, `{"a" 1}`, `"\ud800"`, `{"__proto__":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := Link(nil).Start(Options{Limit: 1e9, Hosts: none{}})
		defer r.Close()
		var v goja.Value
		thrown := r.Try(func() { v = r.ParseJSON(text) })
		if valid := json.Valid([]byte(text)); valid != (thrown == nil) {
			if valid && strings.Count(text, "[")+strings.Count(text, "{") > MaxJSONDepth {
				return
			}
			t.Fatalf("%q: valid %v, thrown %v", text, valid, thrown)
		}
		if o, ok := v.(*goja.Object); ok && strings.ToValidUTF8(text, "") == text {
			if _, err := o.MarshalJSON(); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
