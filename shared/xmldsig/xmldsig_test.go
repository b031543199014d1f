package xmldsig

import (
	"strings"
	"testing"

	"github.com/beevik/etree"
)

func parse(t testing.TB, s string) *etree.Element {
	t.Helper()
	doc, err := Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

// The forms are those of xmllint --c14n and --exc-c14n, or of the examples in the
// recommendations; the interoperability tests of package saml hold them against
// xmlsec1.
func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ name, in, path, algorithm, prefixes, want string }{
		{"empty elements, attribute order", `<a z="1"  a='2'><b/></a>`, "a", Inclusive, "", `<a a="2" z="1"><b></b></a>`},
		{"attributes by namespace, then name", `<e xmlns:b="urn:1" xmlns:a="urn:2" b:z="1" a:a="2" c="3"/>`, "e", Exclusive, "",
			`<e xmlns:a="urn:2" xmlns:b="urn:1" c="3" b:z="1" a:a="2"></e>`},
		{"values", "<a b='&quot;&#9;&#10;&#13;&lt;&gt;&amp;'>&gt;&amp;&#13;\"<![CDATA[<]]></a>", "a", Exclusive, "",
			`<a b="&quot;&#x9;&#xA;&#xD;&lt;>&amp;">&gt;&amp;&#xD;"&lt;</a>`},
		{"white space in values", "<a b=' x\ty\r\nz\n'\r\n c='&#10;'/>", "a", Exclusive, "", `<a b=" x y z " c="&#xA;"></a>`},
		{"comments and instructions", `<a><!-- c --><?p  d ?><?q?></a>`, "a", Exclusive, "", `<a><?p d ?><?q?></a>`},
		{"with comments", `<a><!-- c --></a>`, "a", ExclusiveWithComments, "", `<a><!-- c --></a>`},
		{"unused namespaces", `<r xmlns="urn:r" xmlns:x="urn:x"><x:a/></r>`, "r/a", Exclusive, "", `<x:a xmlns:x="urn:x"></x:a>`},
		{"used further in", `<x:a xmlns:x="urn:x" xmlns:y="urn:y"><b><y:c/><y:d/></b></x:a>`, "a", Exclusive, "",
			`<x:a xmlns:x="urn:x"><b><y:c xmlns:y="urn:y"></y:c><y:d xmlns:y="urn:y"></y:d></b></x:a>`},
		{"inclusive", `<r xmlns="urn:r" xmlns:x="urn:x" xml:lang="en" xml:space="preserve"><x:a xml:lang="de"/></r>`, "r/a", Inclusive, "",
			`<x:a xmlns="urn:r" xmlns:x="urn:x" xml:lang="de" xml:space="preserve"></x:a>`},
		{"inclusive 1.1 without the id", `<r xml:id="r" xml:lang="en"><a/></r>`, "r/a", Inclusive11, "", `<a xml:lang="en"></a>`},
		{"inclusive 1.0 with the id", `<r xml:id="r"><a/></r>`, "r/a", Inclusive, "", `<a xml:id="r"></a>`},
		{"prefix list", `<r xmlns="urn:r" xmlns:x="urn:x" xmlns:y="urn:y"><x:a/></r>`, "r/a", Exclusive, "y #default none",
			`<x:a xmlns="urn:r" xmlns:x="urn:x" xmlns:y="urn:y"></x:a>`},
		{"no default namespace", `<a xmlns=""><b xmlns="urn:b"><c xmlns=""/></b></a>`, "a", Inclusive, "", `<a><b xmlns="urn:b"><c xmlns=""></c></b></a>`},
		{"the same again", `<a xmlns="urn:a"><x:b xmlns:x="urn:x"><c xmlns="urn:a" xmlns:x="urn:x"/></x:b></a>`, "a", Inclusive, "",
			`<a xmlns="urn:a"><x:b xmlns:x="urn:x"><c></c></x:b></a>`},
		{"a prefix of another namespace", `<x:a xmlns:x="urn:1"><x:b xmlns:x="urn:2"/></x:a>`, "a", Exclusive, "", `<x:a xmlns:x="urn:1"><x:b xmlns:x="urn:2"></x:b></x:a>`},
	} {
		el := etree.NewDocumentWithRoot(parse(t, tt.in)).FindElement(tt.path)
		got, err := Canonical(el, tt.algorithm, tt.prefixes)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ in, path, algorithm string }{
		"algorithm":       {`<a/>`, "a", "urn:none"},
		"prefix":          {`<x:a/>`, "a", Exclusive},
		"prefix of value": {`<a x:b=""/>`, "a", Exclusive},
		"unbound":         {`<a xmlns:x=""/>`, "a", Inclusive},
		"twice":           {`<a xmlns:x="urn:1" xmlns:y="urn:1" x:b="" y:b=""/>`, "a", Exclusive},
		"base":            {`<r xml:base="b"><a/></r>`, "r/a", Inclusive11},
	} {
		el := etree.NewDocumentWithRoot(parse(t, tt.in)).FindElement(tt.path)
		if got, err := Canonical(el, tt.algorithm, ""); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestReferenced(t *testing.T) {
	for _, algorithm := range []string{Exclusive, ExclusiveWithComments, Inclusive, InclusiveWithComments, Inclusive11, Inclusive11WithComments} {
		got, err := Referenced(parse(t, `<a><!-- c --></a>`), algorithm, "")
		if err != nil || string(got) != "<a></a>" {
			t.Errorf("%s: %s, %v", algorithm, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "text", "<a>", "<a/><b/>", "<!DOCTYPE a><a/>", `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, "<a>&e;</a>", "<a b='1' b='2'/>",
		"<a:b:c/>", "<a b:c:d=''/>", "<:a/>", "<a:/>", strings.Repeat("<a>", MaxDepth+1) + strings.Repeat("</a>", MaxDepth+1),
	} {
		if doc, err := Parse([]byte(s)); err == nil {
			text, _ := doc.WriteToString()
			t.Errorf("%q is %s", s, text)
		}
	}
}

// FuzzCanonical holds that the canonical form of a canonical form is the same,
// and that it is XML that Parse reads.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`<a xmlns="urn:a" b="&#10;"><b xmlns=""/>&amp;<!-- c --><?p d?></a>`, "<x:a xmlns:x='urn:x' x:b=' \t'/>", "<a>\r\n</a>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := Parse([]byte(s))
		if err != nil {
			return
		}
		for _, algorithm := range []string{Exclusive, Inclusive, ExclusiveWithComments} {
			once, err := Canonical(doc.Root(), algorithm, "")
			if err != nil {
				return
			}
			again, err := Parse(once)
			if err != nil {
				t.Fatalf("%s: %q is canonical and no XML: %v", algorithm, once, err)
			}
			twice, err := Canonical(again.Root(), algorithm, "")
			if err != nil || string(twice) != string(once) {
				t.Fatalf("%s: %q\nonce  %q\ntwice %q, %v", algorithm, s, once, twice, err)
			}
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	el := parse(b, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`+strings.Repeat(`<o:order xmlns:o="urn:o" id="7"><o:item>a &amp; b</o:item></o:order>`, 20)+`</s:Body></s:Envelope>`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Canonical(el, Exclusive, ""); err != nil {
			b.Fatal(err)
		}
	}
}
