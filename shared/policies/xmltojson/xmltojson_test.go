package xmltojson

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func convert(t testing.TB, r rules, doc string) string {
	t.Helper()
	out, err := r.convert([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return string(out)
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "-0", "12": "12", "1.50": "1.50", "-1e5": "-1e5", "1E+05": "1E+05", " 7 ": "7",
		"007": `"007"`, "1.": `"1."`, ".5": `".5"`, "+1": `"+1"`, "0x1": `"0x1"`, "1e": `"1e"`, "-": `"-"`, "1 2": `"1 2"`, "NaN": `"NaN"`,
	} {
		if got := convert(t, rules{number: true}, "<a>"+text+"</a>"); got != `{"a":`+want+`}` {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Many members are looked up in a map; the result is the same.
func TestManyMembers(t *testing.T) {
	var doc, want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&doc, "<b%d/>", i%50)
	}
	for i := range 50 {
		fmt.Fprintf(&want, `,"b%d":[{},{}]`, i)
	}
	if got := convert(t, rules{}, "<a>"+doc.String()+"</a>"); got != `{"a":{`+want.String()[1:]+`}}` {
		t.Error(got)
	}
}

// Elements of one name cost the same each, however many there are, and so do
// elements of different names.
func TestBounded(t *testing.T) {
	var distinct strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&distinct, "<b%d/>", i)
	}
	for name, doc := range map[string]string{
		"same":     "<a>" + strings.Repeat("<b/>", 500_000) + "</a>",
		"distinct": "<a>" + distinct.String() + "</a>",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		convert(t, formats["yahoo"], doc)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 160*uint64(len(doc)) {
			t.Errorf("%s: %d bytes for a document of %d", name, used, len(doc))
		}
	}
	if _, err := (&rules{}).convert([]byte(strings.Repeat("<a>", 501))); err == nil {
		t.Error("501 levels pass")
	}
}

// FuzzConvert: what is converted is JSON, whatever the rules.
func FuzzConvert(f *testing.F) {
	for _, s := range []string{
		"<a/>", "<a>1</a>", "<a b='1'><b>true</b><c>x<d/>y</c></a>", `<s:E xmlns:s="u" xmlns="v"><s:B s:x="1">t<![CDATA[u]]></s:B></s:E>`,
	} {
		for i := range uint8(8) {
			f.Add([]byte(s), i)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte, i uint8) {
		list := []rules{
			formats["xml.com"], formats["yahoo"], formats["google"], formats["badgerFish"], {textName: "#text"},
			{textName: "t", attrBlock: "@", strip: int(i >> 4), arrays: &pathNode{kids: map[string]*pathNode{"a": {array: true, unwrap: i&8 != 0}}}},
		}
		r := list[int(i&7)%len(list)]
		out, err := r.convert(doc)
		if err == nil && !json.Valid(out) {
			t.Fatalf("%q: %q", doc, out)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<XMLToJSON name="X2J-1"><Source>request</Source><OutputVariable>out</OutputVariable><Format>yahoo</Format></XMLToJSON>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a\nContent-Type: text/xml\n\n" +
		`<?xml version="1.0" encoding="UTF-8"?> <root><city>San Jose</city><firstName>John</firstName><lastName>Doe</lastName><state>CA</state></root>`})
}

func BenchmarkConvert(b *testing.B) {
	doc := []byte(`<?xml version="1.0"?><order id="7" xmlns="urn:o">` + strings.Repeat(`<item sku="a-1" count="2"><name>Thing &amp; more</name><price>9.95</price></item>`, 100) + `</order>`)
	r := formats["badgerFish"]
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.convert(doc); err != nil {
			b.Fatal(err)
		}
	}
}
