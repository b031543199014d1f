package xpath

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

const tagXML = `<tag><tagid>250397</tagid><readerid>1</readerid><rssi unit="dB">74</rssi><date>2019/06/15</date><e/><t> a <b>c</b> </t></tag>`

const soap = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<o:order xmlns:o="urn:o" id="7"><o:item>a</o:item><o:item>b &amp; c</o:item></o:order></s:Body></s:Envelope>`

var namespaces = map[string]string{"soap": "http://schemas.xmlsoap.org/soap/envelope/", "o": "urn:o"}

func eval(t testing.TB, expr, doc string, ns map[string]string) Result {
	t.Helper()
	e, err := Compile(expr, ns)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Eval(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEncodings reads documents in other encodings, and texts that still declare
// the one that they were in.
func TestEncodings(t *testing.T) {
	e, err := Compile("//b", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ doc, charset, want, text string }{
		{"<a><b>é</b></a>", "", "é", "é"},
		{"\ufeff<?xml version='1.0' encoding='utf-8'?><a><b>é</b></a>", "", "é", "é"},
		{"<?xml version='1.0' encoding='ISO-8859-1'?><a><b>\xe9</b></a>", "", "é", ""},
		{"<?xml version='1.0' encoding='ISO-8859-1'?><a><b>é</b></a>", "utf-8", "Ã©", "é"},
		{"<?xml version='1.0' encoding='utf-16'?><a><b>é</b></a>", "", "é", "é"},
		{"<a><b>\xe9</b></a>", "iso-8859-1", "é", ""},
		{"\xfe\xff\x00<\x00a\x00>\x00<\x00b\x00>\x00\xe9\x00<\x00/\x00b\x00>\x00<\x00/\x00a\x00>", "", "é", ""},
		{"<?xml version='1.1' encoding='utf-8'?><a><b>é</b></a>", "", "é", "é"},
	} {
		check := func(how, want string, d *Doc, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s %q: %v", how, tt.doc, err)
				return
			}
			if r, err := e.Eval(d); err != nil || r.Text() != want {
				t.Errorf("%s %q gives %q, %v; want %q", how, tt.doc, r.Text(), err, want)
			}
		}
		d, err := ParseIn([]byte(tt.doc), tt.charset)
		check("document", tt.want, d, err)
		if tt.text != "" {
			d, err = ParseText(tt.doc)
			check("text", tt.text, d, err)
		}
	}
	if _, err := ParseIn([]byte("<a/>"), "no-such-charset"); err == nil {
		t.Error("a charset that nobody knows is no error")
	}
}

func TestEval(t *testing.T) {
	for _, c := range []struct {
		expr, doc string
		ns        map[string]string
		xml, text string
	}{
		{"/tag/tagid", tagXML, nil, "<tagid>250397</tagid>", "250397"},
		{"/tag/tagid/text()", tagXML, nil, "250397", "250397"},
		{"/tag/rssi/@unit", tagXML, nil, "dB", "dB"},
		{"/tag/rssi", tagXML, nil, `<rssi unit="dB">74</rssi>`, "74"},
		{"/tag/e", tagXML, nil, "<e/>", ""},
		{"/tag/t", tagXML, nil, "<t> a <b>c</b> </t>", " a c "},
		{"/tag/nope", tagXML, nil, "", ""},
		{"//tagid | //readerid", tagXML, nil, "<tagid>250397</tagid><readerid>1</readerid>", "250397"},
		{"count(/tag/*)", tagXML, nil, "6", "6"},
		{"count(/tag/*) > 3", tagXML, nil, "true", "true"},
		{"string(/tag/date)", tagXML, nil, "2019/06/15", "2019/06/15"},
		{"concat(/tag/tagid, '-', /tag/readerid)", tagXML, nil, "250397-1", "250397-1"},
		{"number(/tag/rssi) div 4", tagXML, nil, "18.5", "18.5"},
		{"/soap:Envelope/soap:Body/o:order/@id", soap, namespaces, "7", "7"},
		{"/soap:Envelope/soap:Body/*/o:item[2]", soap, namespaces, "<o:item>b &amp; c</o:item>", "b & c"},
		{"//*[local-name()='item'][1]", soap, nil, "<o:item>a</o:item>", "a"},
		{"//o:item[last()]/text()", soap, namespaces, "b & c", "b & c"},
		{"/a/text()", "<a><![CDATA[1 < 2]]></a>", nil, "1 < 2", "1 < 2"},
		{"/a/text()", "<a>x<![CDATA[y]]>z<![CDATA[]]></a>", nil, "xyz", "xyz"},
		{"count(/a/text())", "<a>x<!--c--><![CDATA[y]]>z<b/>w</a>", nil, "3", "3"},
		{"/a[text()='x & y']/@id", "<a id='7'><![CDATA[x & y]]></a>", nil, "7", "7"},
		{"/a", `<a><b><![CDATA["x" & <y>]]></b></a>`, nil, `<a><b>&#34;x&#34; &amp; &lt;y&gt;</b></a>`, `"x" & <y>`},
	} {
		r := eval(t, c.expr, c.doc, c.ns)
		if r.XML() != c.xml || r.Text() != c.text {
			t.Errorf("%s: XML %q, text %q; want %q, %q", c.expr, r.XML(), r.Text(), c.xml, c.text)
		}
	}
}

func TestConversions(t *testing.T) {
	r := eval(t, "/tag/tagid | /tag/rssi", tagXML, nil)
	if r.Kind() != Nodeset || r.Len() != 2 || r.Number() != 250397 || !r.Bool() || r.FirstXML() != "<tagid>250397</tagid>" {
		t.Errorf("nodeset: %+v", r)
	}
	if got := strings.Join(r.Texts(), ","); got != "250397,74" {
		t.Errorf("Texts() = %s", got)
	}
	if r := eval(t, "/nope", tagXML, nil); !r.Empty() || r.Bool() || NumberText(r.Number()) != "NaN" {
		t.Errorf("empty: %+v", r)
	}
	if r := eval(t, "1 = 1", tagXML, nil); r.Number() != 1 || r.Kind() != Boolean {
		t.Errorf("boolean: %+v", r)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, expr := range []string{"", "/a[", "a:b", "//", "count(", "1 +", "foo(1)", "/a/@", "'x", "$v"} {
		if _, err := Compile(expr, nil); err == nil {
			t.Errorf("%q compiles", expr)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]error{
		`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`:                    ErrDTD,
		`<!DOCTYPE a SYSTEM "http://x/">` + `<a/>`:                    ErrDTD,
		strings.Repeat("<a>", 501) + strings.Repeat("</a>", 501):      ErrDepth,
		`<?xml version="1.0"?><!-- c --><a>` + "<!ELEMENT b ANY></a>": ErrDTD,
	} {
		if _, err := Parse([]byte(doc)); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", doc, err, want)
		}
	}
	for _, doc := range []string{"", "text", "<a>", "<a></b>", "<a>&x;</a>", "{}", "<a b></a>", "<"} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%q parses", doc)
		}
	}
	if _, err := Parse([]byte(`<a x="<!DOCTYPE"><!-- <!DOCTYPE --><![CDATA[<!DOCTYPE]]></a>`)); err == nil {
		t.Log("a < in an attribute value is not XML")
	}
	if _, err := Parse([]byte(`<a x="a>b"><!-- <!DOCTYPE --><![CDATA[<!DOCTYPE]]></a>`)); err != nil {
		t.Error(err)
	}
}

// One expression serves many calls at once, functions included.
func TestConcurrent(t *testing.T) {
	e, err := Compile("string(//o:item[position() = last()])", namespaces)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				d, err := Parse([]byte(soap))
				if err != nil {
					t.Error(err)
					return
				}
				if r, err := e.Eval(d); err != nil || r.Text() != "b & c" {
					t.Errorf("%q, %v", r.Text(), err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzParse: what parses can be queried, and a selected element parses again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(tagXML))
	f.Add([]byte(soap))
	f.Add([]byte(`<!DOCTYPE a><a/>`))
	e, err := Compile("/*", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Parse(doc)
		if err != nil {
			return
		}
		if r, err := e.Eval(d); err != nil || r.Empty() {
			t.Fatalf("%q: no root: %v", doc, err)
		}
	})
}

// FuzzCompile: no expression panics, at compilation or at evaluation.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"/a/b", "count(//x)", "//a[@b='c'][2]", "string(/a) = 'x' or not(b)"} {
		f.Add(s)
	}
	d, err := Parse([]byte(tagXML))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		e, err := Compile(expr, nil)
		if err != nil {
			return
		}
		if r, err := e.Eval(d); err == nil {
			_ = r.XML()
		}
	})
}

func BenchmarkEval(b *testing.B) {
	e, err := Compile("/tag/tagid", nil)
	if err != nil {
		b.Fatal(err)
	}
	d, err := Parse([]byte(tagXML))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Eval(d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse([]byte(tagXML)); err != nil {
			b.Fatal(err)
		}
	}
}
