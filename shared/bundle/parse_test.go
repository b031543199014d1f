package bundle

import (
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func mustParse(t testing.TB, doc string) *Element {
	t.Helper()
	el, err := ParseXML("policies/P.xml", []byte(doc))
	if err != nil {
		t.Fatalf("%s\n%v", doc, err)
	}
	return el
}

func TestElement(t *testing.T) {
	root := mustParse(t, "\ufeff<?xml version='1.0'?>\r\n<!-- c --><?pi x?>\r\n<Root a='1' b=\"x&#10;y\n&lt;\">\r\n"+
		"  one <s:Child xmlns:s='urn:s'/> &amp; <![CDATA[<two> &]]>&#x20ac;\r\n"+
		"  <Child><In>3</In></Child  ><Child/>\r\n</Root>\n<!-- end -->\n")
	if root.Name != "Root" || root.Pos.String() != "policies/P.xml:3" {
		t.Errorf("root %s at %s", root.Name, root.Pos)
	}
	if want := "\n  one  & <two> &€\n  \n"; root.Text != want {
		t.Errorf("text %q, want %q", root.Text, want)
	}
	if b, ok := root.Attr("b"); b != "x\ny <" || !ok {
		t.Errorf("b = %q", b)
	}
	if _, ok := root.Attr("c"); ok {
		t.Error("c is there")
	}
	children := slices.Collect(root.All("Child"))
	if len(children) != 2 || children[0] != root.Child("Child") || children[0].Pos.Line != 6 {
		t.Errorf("children %v", children)
	}
	if root.Children[0].Name != "s:Child" || root.Child("absent") != nil {
		t.Error("names must keep their prefix")
	}
	if got := children[0].InnerXML(); got != "<In>3</In>" || got != children[0].Content() {
		t.Errorf("inner XML %q", got)
	}
	if got := children[0].Child("In").Content(); got != "3" {
		t.Errorf("content %q", got)
	}
	if children[1].InnerXML() != "" || children[1].Start != children[1].End {
		t.Error("inner XML of an empty element")
	}
	if want := "one  & <two> &€"; root.TrimText() != want {
		t.Errorf("trimmed %q", root.TrimText())
	}
}

func TestElementAllStops(t *testing.T) {
	for range mustParse(t, "<a><b/><b/></a>").All("b") {
		break
	}
}

func TestParseXMLRefuses(t *testing.T) {
	deep := strings.Repeat("<a>", MaxXMLDepth+1) + strings.Repeat("</a>", MaxXMLDepth+1)
	many := "<a>" + strings.Repeat("<b/>", MaxXMLElements) + "</a>"
	var attrs strings.Builder
	for i := range MaxXMLAttrs + 1 {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	for _, c := range []struct{ doc, want string }{
		{"", "1: no XML element"},
		{"\n\n", "1: no XML element"},
		{"x", "1: text outside of the root element"},
		{"<a/>\nx", "2: text outside of the root element"},
		{"<![CDATA[x]]><a/>", "1: text outside of the root element"},
		{"<a/>\n<b/>", "2: second root element <b>"},
		{"<a>\n<b>\n</a>", "3: </a> does not close <b> of line 2"},
		{"<a>\n<b>", "2: <b> is not closed"},
		{"\n</a>", "2: </a> closes nothing"},
		{"<a></a x>", "1: end tag </a is malformed"},
		{"<a></a", "1: end tag </a is malformed"},
		{"<a", "1: start tag <a is malformed"},
		{"<a b='1'c='2'/>", "1: start tag <a is malformed"},
		{"<a =''/>", "1: start tag <a is malformed"},
		{"<a b/>", "1: attribute b of <a> has no value"},
		{"<a b=1/>", "1: attribute b of <a> is not quoted"},
		{"<a b='/>", "1: attribute b of <a> is not closed"},
		{"<a b='<'/>", "1: < is not allowed in attribute b of <a>; write &lt;"},
		{"<a b='' b=''/>", "1: attribute b appears twice in <a>"},
		{"<a\n b='\n&x;'/>", "3: reference &x; is not allowed"},
		{"<a>1 < 2</a>", "1: < is not followed by a name; write &lt; for the character"},
		{"<a>\na && b</a>", "2: & does not begin a reference; write &amp; for the character"},
		{"<a>\n\n&nbsp;</a>", "3: reference &nbsp; is not allowed"},
		{"<a>&#0;</a>", "1: reference &#0; is not allowed"},
		{"<a>&#xD800;</a>", "1: reference &#xD800; is not allowed"},
		{"<a>&#+1;</a>", "1: reference &#+1; is not allowed"},
		{"<a>&#x110000;</a>", "1: reference &#x110000; is not allowed"},
		{"<a>]]></a>", "1: ]]> is not allowed in text"},
		{"<a><!-- -- --></a>", "1: -- is not allowed in a comment"},
		{"<a><!-- </a>", "1: comment is not closed"},
		{"<a><![CDATA[</a>", "1: CDATA section is not closed"},
		{"<a><?pi </a>", "1: processing instruction is not closed"},
		{"<a><? pi?></a>", "1: <? without a name"},
		{"<a><?pi=?></a>", "1: malformed processing instruction"},
		{"<?xml version='1.0'", "1: XML declaration is not closed"},
		{"\n<?xml version='1.0'?><a/>", "2: XML declaration is not at the start of the file"},
		{"<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "2: document type declarations are not allowed"},
		{"<a><!ELEMENT b></a>", "1: document type declarations are not allowed"},
		{"<a>\n\x01</a>", "2: character U+0001 is not allowed in XML"},
		{"<a>\ufffe</a>", "1: character U+FFFE is not allowed in XML"},
		{"<a>\xff</a>", "1: text is not valid UTF-8"},
		{"<?xml version='1.0' encoding='EBCDIC'?><a/>", `1: encoding "ebcdic" is not supported`},
		{"\xff\xfe<", "1: odd number of bytes in UTF-16"},
		{deep, "1: elements are nested deeper than 100"},
		{many, "1: more than 100000 elements"},
		{"<a" + attrs.String() + "/>", "1: <a> has more than 256 attributes"},
	} {
		_, err := ParseXML("f.xml", []byte(c.doc))
		if err == nil || err.Error() != "f.xml:"+c.want {
			t.Errorf("%.60q: got %v, want f.xml:%s", c.doc, err, c.want)
		}
	}
	_, err := ParseXML("f.xml", make([]byte, MaxXMLBytes+1))
	if err == nil || err.Error() != "f.xml: XML is larger than 10485760 bytes" {
		t.Error(err)
	}
}

func TestParseXMLEncodings(t *testing.T) {
	const body = "<a b='ü'>é</a>"
	cp1252 := "<?xml version=\"1.0\" encoding=\"Windows-1252\" standalone='yes'?><a b='\xfc'>\xe9</a>"
	latin1 := "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b='\xfc'>\xe9</a>"
	for name, doc := range map[string][]byte{
		"utf-8":              []byte(body),
		"utf-8 bom":          []byte("\ufeff" + body),
		"utf-8 declared":     []byte("<?xml version='1.0' encoding='utf-8'?>" + body),
		"iso-8859-1":         []byte(latin1),
		"windows-1252":       []byte(cp1252),
		"utf-16 in one byte": []byte("<?xml version='1.0' encoding='utf-16'?>" + body),
		"utf-16le bom":       append([]byte("\xff\xfe"), utf16Bytes(body, binary.LittleEndian)...),
		"utf-16be bom":       append([]byte("\xfe\xff"), utf16Bytes(body, binary.BigEndian)...),
		"utf-16le":           utf16Bytes("<?xml version='1.0' encoding='UTF-16'?>"+body, binary.LittleEndian),
		"utf-16be no header": utf16Bytes(body, binary.BigEndian),
	} {
		el, err := ParseXML("f.xml", doc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, _ := el.Attr("b"); b != "ü" || el.Text != "é" {
			t.Errorf("%s: %q %q", name, b, el.Text)
		}
	}
}

// Bytes 80 to 9f are letters and signs in windows-1252, controls in ISO-8859-1.
func TestParseXMLWindows(t *testing.T) {
	for name, want := range map[string]string{"windows-1252": "€", "iso-8859-1": "\u0080"} {
		el, err := ParseXML("f.xml", []byte("<?xml version='1.0' encoding='"+name+"'?><a>\x80</a>"))
		if err != nil || el.Text != want {
			t.Errorf("%s: %v %v", name, el, err)
		}
	}
}

func utf16Bytes(s string, order binary.AppendByteOrder) (out []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// A text in many pieces must not be copied for each.
func TestParseXMLManyPieces(t *testing.T) {
	el := mustParse(t, "<a>"+strings.Repeat("x<b/>", 50_000)+"</a>")
	if len(el.Text) != 50_000 || len(el.Children) != 50_000 {
		t.Errorf("%d bytes, %d children", len(el.Text), len(el.Children))
	}
}

// printed writes el so that it parses to the same names, attributes and texts.
func printed(el *Element) string {
	var b strings.Builder
	b.WriteString("<" + el.Name)
	for _, a := range el.Attrs {
		fmt.Fprintf(&b, " %s=\"%s\"", a.Name, escaped.Replace(a.Value))
	}
	b.WriteString(">" + escaped.Replace(el.Text))
	for _, c := range el.Children {
		b.WriteString(printed(c))
	}
	return b.String() + "</" + el.Name + ">"
}

var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;",
	"\n", "&#10;", "\r", "&#13;", "\t", "&#9;")

// FuzzParseXML holds the parser to itself (printed and parsed again, and inner
// XML parsed again, nothing changes) and to encoding/xml.
func FuzzParseXML(f *testing.F) {
	for _, doc := range []string{
		"<a/>", "<a b='1' c=\"&lt;\">x<d/>y</a>", "<?xml version='1.0' encoding='UTF-8'?>\r\n<a>\r\n<b/></a>",
		"<a><![CDATA[<x>]]>&#x20;&#65;<!-- c --><?p x?></a>", "<s:a xmlns:s='u'><s:b s:c=''/></s:a>",
		"<!DOCTYPE a><a/>", "<a>&x;</a>", "<a><b></a></b>", "\ufeff<a>é</a>", "\xff\xfe<\x00a\x00/\x00>\x00",
		fmt.Sprintf(benchPolicy, 1),
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		el, err := ParseXML("f", data)
		if err != nil {
			return
		}
		again := mustParse(t, printed(el))
		if got, want := printed(again), printed(el); got != want {
			t.Errorf("printed again\n%q\nwant\n%q", got, want)
		}
		if el.Start < el.End {
			inner := mustParse(t, "<"+el.Name+">"+el.InnerXML()+"</"+el.Name+">")
			if inner.Text != el.Text || len(inner.Children) != len(el.Children) {
				t.Errorf("inner XML %q of %q", el.InnerXML(), data)
			}
		}
		if want, ok := oracle(data); ok && printed(el) != want {
			t.Errorf("%q\ngot  %q\nwant %q", data, printed(el), want)
		}
	})
}

// oracle is printed by way of encoding/xml; ok is false for documents it reads
// otherwise for a reason.
func oracle(data []byte) (string, bool) {
	text, err := decodeText(data)
	if err != nil || strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) || strings.Contains(text, "<?") {
		return "", false // other name characters, other rules for instructions
	}
	dec := xml.NewDecoder(strings.NewReader(text))
	top := &Element{}
	stack := []*Element{top}
	for {
		tok, err := dec.RawToken()
		if err == io.EOF {
			return printed(top.Children[0]), true
		}
		if err != nil {
			return err.Error(), true
		}
		last := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			el := &Element{Name: rawName(tok.Name)}
			for _, a := range tok.Attr {
				value := a.Value
				if strings.ContainsAny(value, "\n\t") {
					return "", false // blanks in ours, unless written as references
				}
				el.Attrs = append(el.Attrs, Attr{rawName(a.Name), value})
			}
			last.Children = append(last.Children, el)
			stack = append(stack, el)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			last.Text += string(tok)
		}
	}
}

func rawName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
