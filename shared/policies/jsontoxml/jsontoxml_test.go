package jsontoxml

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// The time and memory of a conversion grow with the text, also where all of it
// is attributes, or members of one object.
func TestBounded(t *testing.T) {
	var attributes, members strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&attributes, `"@a%d":1,`, i)
		fmt.Fprintf(&members, `"a%d":1,`, i)
	}
	for name, src := range map[string]string{
		"attributes": "{" + attributes.String() + strings.Repeat(`"b":{"@c":1},`, 100_000) + `"d":1}`,
		"members":    "{" + members.String() + `"d":1}`,
		"array":      "[" + strings.Repeat("1,", 500_000) + "1]",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := defaults.convert([]byte(src)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 240*uint64(len(src)) {
			t.Errorf("%s: %d bytes for a text of %d", name, used, len(src))
		}
	}
	if _, err := defaults.convert([]byte(strings.Repeat("[", 501))); err == nil {
		t.Error("501 levels pass")
	}
}

// FuzzConvert: what is converted is well-formed XML.
func FuzzConvert(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `[1,{"b":[2,[3]]}]`, `{"a":{"@b":"c","#attrs":{"d":"\n<\"&"},"#text":"t","#namespaces":{"$default":"u","p":"v"},"p:q":null}}`,
		`{"":"","1%%":"\u0001\ud800"}`, `{"x":[],"y":{},"#text":["a","b"]}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, src []byte, indent bool) {
		o := defaults
		o.Indent = indent
		out, err := o.convert(src)
		if err != nil {
			return
		}
		var s xmltoken.Scanner
		s.Reset(out, 2*MaxDepth, 1<<30)
		for {
			kind, err := s.Next()
			if err != nil {
				t.Fatalf("%q: %q: %v", src, out, err)
			}
			if kind == xmltoken.EOF {
				return
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<JSONToXML name="J2X-1"><Source>request</Source><OutputVariable>out</OutputVariable></JSONToXML>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a\nContent-Type: application/json\n\n" +
		`{"root":{"city":"San Jose","firstName":"John","lastName":"Doe","state":"CA"}}`})
}

func BenchmarkConvert(b *testing.B) {
	src := []byte(`{"order":{"@id":7,"items":[` + strings.Repeat(`{"sku":"a-1","count":2,"name":"Thing & more","price":9.95},`, 100) + `{}]}}`)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := defaults.convert(src); err != nil {
			b.Fatal(err)
		}
	}
}
