package xmltoken

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// print writes the tokens of a document on one line.
func print(t testing.TB, doc []byte, depth, attrs int) (string, error) {
	t.Helper()
	doc, err := Decode(doc, "")
	if err != nil {
		return "", err
	}
	var s Scanner
	s.Reset(doc, depth, attrs)
	var b bytes.Buffer
	for {
		kind, err := s.Next()
		if err != nil {
			return b.String(), err
		}
		switch kind {
		case EOF:
			return b.String(), nil
		case Start:
			fmt.Fprintf(&b, "<%s", s.Name())
			for i := range s.Attrs() {
				fmt.Fprintf(&b, " %s=%q", s.Attr(i).Name, AppendValue(nil, s.Attr(i).Value))
			}
			b.WriteByte('>')
		case End:
			fmt.Fprintf(&b, "</%s>", s.Name())
		case Text:
			b.Write(AppendText(nil, s.Data()))
		case CData:
			b.Write(AppendCData(nil, s.Data()))
		case Comment:
			fmt.Fprintf(&b, "<!--%s-->", s.Data())
		case Instruction:
			fmt.Fprintf(&b, "<?%s %s?>", s.Name(), s.Data())
		}
	}
}

func TestTokens(t *testing.T) {
	for _, tt := range []struct{ doc, want string }{
		{"<a/>", "<a></a>"},
		{"\ufeff<?xml version='1.0' encoding='UTF-8' standalone=\"yes\" ?>\r\n<!-- c --><a/>\n<?p d?> ", "<!-- c --><a></a><?p d?>"},
		{`<a x='1' y = "&lt;&#65;&#x42;&amp;"> t &gt; </a >`, `<a x="1" y="<AB&"> t > </a>`},
		{"<a x='1\n2\t3\r\n4'>\r\n\r</a>", "<a x=\"1 2 3 4\">\n\n</a>"},
		{"<a><![CDATA[<b>&amp;\r\n]]]]></a>", "<a><b>&amp;\n]]</a>"},
		{"<a:b xmlns:a='u'><é.-1 _=''/></a:b>", `<a:b xmlns:a="u"><é.-1 _=""></é.-1></a:b>`},
		{"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>", "<a>é</a>"},
		{"\xff\xfe<\x00a\x00>\x00\xe9\x00<\x00/\x00a\x00>\x00", "<a>é</a>"},
		{"\x00<\x00a\x00/\x00>", "<a></a>"},
		{"<a><?p?><?q   r s ?></a>", "<a><?p ?><?q r s ?></a>"},
		{"<a>" + strings.Repeat("<b/>", 3) + "</a>", "<a><b></b><b></b><b></b></a>"},
	} {
		got, err := print(t, []byte(tt.doc), 0, 0)
		if err != nil || got != tt.want {
			t.Errorf("%q: got %s, %v, want %s", tt.doc, got, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	many := func(n int, f string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, f, i)
		}
		return b.String()
	}
	for _, tt := range []struct{ doc, want string }{
		{"", "Premature end of document at line 1"},
		{"  \n ", "Premature end of document at line 2"},
		{"<", "Premature end of document at line 1"},
		{"<a", "Premature end of document at line 1"},
		{"<a b", "Premature end of document at line 1"},
		{"<a b=", "Premature end of document at line 1"},
		{"<a b='", "Premature end of document at line 1"},
		{"<a/", "Premature end of document at line 1"},
		{"<a>\n<b>", "Premature end of document at line 2"},
		{"<a>x</a", "Premature end of document at line 1"},
		{"<a><!-", "Premature end of document at line 1"},
		{"<a><!-- ", "Premature end of document at line 1"},
		{"<a><!-- --", "Premature end of document at line 1"},
		{"<a><![CDA", "Premature end of document at line 1"},
		{"<a><![CDATA[", "Premature end of document at line 1"},
		{"<?xml version='1.0'", "Premature end of document at line 1"},
		{"<a><?p", "Premature end of document at line 1"},
		{"text", "text outside of the root element at line 1"},
		{"<a/>text", "text outside of the root element at line 1"},
		{"<a/><![CDATA[]]>", "text outside of the root element at line 1"},
		{"<a/>\n<b/>", "second root element at line 2"},
		{"<a></b>", "end tag does not match the start tag at line 1"},
		{"</a>", "end tag without a start tag at line 1"},
		{"<a></a b>", "malformed end tag at line 1"},
		{"<a b='1' b='2'/>", "attribute appears twice at line 1"},
		{"<a " + many(20, "b%d='' ") + "\nb7=''/>", "attribute appears twice at line 2"},
		{"<a b/>", "attribute without a value at line 1"},
		{"<a b=1/>", "attribute value is not quoted at line 1"},
		{"<a b='1'c='2'/>", "no white space before an attribute at line 1"},
		{"<a b='<'/>", "< is not allowed in an attribute value at line 1"},
		{"<a / >", "/ is not followed by > at line 1"},
		{"<1/>", "no name where one is expected at line 1"},
		{"<a>& b</a>", "reference to an unknown entity at line 1"},
		{"<a>&nbsp;</a>", "reference to an unknown entity at line 1"},
		{"<a>&#0;</a>", "reference to an unknown entity at line 1"},
		{"<a>&#x110000;</a>", "reference to an unknown entity at line 1"},
		{"<a>&#+65;</a>", "reference to an unknown entity at line 1"},
		{"<a b='&x;'/>", "reference to an unknown entity at line 1"},
		{"<a>]]></a>", "]]> is not allowed in text at line 1"},
		{"<a>\x01</a>", "character U+0001 is not allowed in XML at line 1"},
		{"<a>\xff</a>", "text is not valid UTF-8 at line 1"},
		{"<\xff/>", "text is not valid UTF-8 at line 1"},
		{"<a>\uffff</a>", "character U+FFFF is not allowed in XML at line 1"},
		{"<a><!-- a -- b --></a>", "-- is not allowed in a comment at line 1"},
		{"<a/><?xml version='1.0'?>", "XML declaration is not at the start of the document at line 1"},
		{"<a><?p+?></a>", "malformed processing instruction at line 1"},
		{"<?xml encoding='UTF-8'?><a/>", "malformed XML declaration at line 1"},
		{"<?xml version='2.0'?><a/>", "malformed XML declaration at line 1"},
		{"<?xml version='1.0' standalone='maybe'?><a/>", "malformed XML declaration at line 1"},
		{"<!DOCTYPE a><a/>", "document type declarations are not allowed at line 1"},
		{`<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>
<lolz>&lol2;</lolz>`, "document type declarations are not allowed at line 2"},
		{"<a><!ELEMENT a ANY></a>", "document type declarations are not allowed at line 1"},
		{strings.Repeat("<a>", 6), "elements are nested deeper than 5 at line 1"},
		{"<a " + many(41, "b%d='' ") + "/>", "more than 40 attributes at line 1"},
	} {
		if _, err := print(t, []byte(tt.doc), 5, 40); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.doc, err, tt.want)
		}
	}
	if _, err := print(t, []byte("<?xml version='1.0' encoding='x-none'?><a/>"), 0, 0); err == nil {
		t.Error("unknown encoding decodes")
	}
}

func TestLength(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "😀": 2, "&lt;a&#128512;": 4, "&nope;": 6} {
		if got := Length([]byte(text)); got != want {
			t.Errorf("Length(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "a-1.b": true, "": false, "1a": false, "a:b": false, "a b": false, "é": true} {
		if IsName(name) != want {
			t.Errorf("IsName(%q) = %v", name, !want)
		}
	}
}

// Memory is bounded by the limits, whatever the document: asserted as
// allocations of a scanner that was used before.
func TestBoundedMemory(t *testing.T) {
	docs := map[string][]byte{
		"depth":      bytes.Repeat([]byte("<a>"), 1<<20),
		"attributes": append([]byte("<a "), bytes.Repeat([]byte("b='' "), 1<<20)...),
		"distinct":   distinct(1 << 18),
		"value":      []byte("<a b='" + strings.Repeat("x", 4<<20) + "'/>"),
		"text":       []byte("<a>" + strings.Repeat("x&lt;", 1<<20) + "</a>"),
		"comment":    []byte("<a><!--" + strings.Repeat("x", 4<<20) + "--></a>"),
		"siblings":   []byte("<a>" + strings.Repeat("<b c='1'/>", 1<<18) + "</a>"),
		"doctype":    []byte(`<!DOCTYPE a [` + strings.Repeat(`<!ENTITY a "&b;&b;">`, 1<<16) + `]><a>&a;</a>`),
	}
	for name, doc := range docs {
		var s Scanner
		run := func() {
			s.Reset(doc, 0, 0)
			for {
				if kind, err := s.Next(); kind == EOF || err != nil {
					return
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(1, run); n > 6 { // the error and its text
			t.Errorf("%s: %v allocations", name, n)
		}
		if cap(s.open) > 2*MaxDepth || cap(s.attrs) > 2*MaxAttributes || cap(s.names.slots) > 8*MaxAttributes {
			t.Errorf("%s: holds %d open, %d attributes, %d slots", name, cap(s.open), cap(s.attrs), cap(s.names.slots))
		}
	}
}

func distinct(n int) []byte {
	b := []byte("<a")
	for i := range n {
		b = fmt.Appendf(b, " a%d=''", i)
	}
	return append(b, "/>"...)
}

// oracle prints what encoding/xml reads, in the form of print.
func oracle(doc []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var b bytes.Buffer
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			fmt.Fprintf(&b, "<%s>", qualified(t.Name))
		case xml.EndElement:
			fmt.Fprintf(&b, "</%s>", qualified(t.Name))
		case xml.CharData:
			b.Write(t)
		}
	}
}

func qualified(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// FuzzScanner: what passes, encoding/xml reads too, and in the same way.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{"<a/>", "<a b='c'>x&lt;<!-- y --><![CDATA[z]]></a>", "<?xml version='1.0'?><a:b xmlns:a='u'><?p q?></a:b>", "<a>&#x41;\r\n</a>", "<!DOCTYPE a><a/>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s Scanner
		s.Reset(doc, 0, 0)
		var b bytes.Buffer
		for {
			kind, err := s.Next()
			var e *Error
			if err != nil {
				if !errors.As(err, &e) || e.Offset > len(doc) || e.Line < 1 {
					t.Fatalf("%q: error %#v", doc, err)
				}
				return
			}
			if kind == EOF {
				break
			}
			switch kind {
			case Start:
				fmt.Fprintf(&b, "<%s>", s.Name())
			case End:
				fmt.Fprintf(&b, "</%s>", s.Name())
			case Text:
				b.Write(AppendText(nil, s.Data()))
				if n := Length(s.Data()); n > 2*len(s.Data()) {
					t.Fatalf("%q: length %d", s.Data(), n)
				}
			case CData:
				b.Write(AppendCData(nil, s.Data()))
			}
		}
		want, err := oracle(doc)
		if err != nil {
			if plain(doc) {
				t.Fatalf("%q passes, encoding/xml: %v", doc, err)
			}
			return
		}
		if got := b.String(); got != strings.TrimSpace(want) && got != outside(want) {
			t.Fatalf("%q: %q, encoding/xml %q", doc, got, want)
		}
	})
}

// outside drops white space outside of the root element, which encoding/xml
// reports.
func outside(s string) string {
	i, j := strings.IndexByte(s, '<'), strings.LastIndexByte(s, '>')
	if i < 0 {
		return ""
	}
	return s[i : j+1]
}

// plain reports whether encoding/xml must know everything that doc uses: it
// looks at the declaration and at names in its own way.
func plain(doc []byte) bool {
	return utf8.Valid(doc) && !bytes.Contains(doc, []byte("<?xml")) && !bytes.ContainsFunc(doc, func(r rune) bool { return r > 126 || r == ':' })
}

func BenchmarkScanner(b *testing.B) {
	doc := []byte(`<?xml version="1.0"?><order id="7" xmlns="urn:o">` + strings.Repeat(`<item sku="a-1" count="2"><name>Thing &amp; more</name><price>9.95</price></item>`, 100) + `</order>`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(doc, 0, 0)
		for {
			kind, err := s.Next()
			if err != nil {
				b.Fatal(err)
			}
			if kind == EOF {
				break
			}
		}
	}
}
