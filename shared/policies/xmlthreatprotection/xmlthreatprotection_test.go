package xmlthreatprotection

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func unlimited() limits {
	return limits{
		NameLimits{-1, -1, -1, -1},
		StructureLimits{-1, -1, -1, ChildCount{Limit: -1, IncludeComment: true, IncludeElement: true, IncludeProcessingInstruction: true, IncludeText: true}},
		ValueLimits{-1, -1, -1, -1, -1},
	}
}

func (l *limits) all() []*int {
	return []*int{
		&l.name.Element, &l.name.Attribute, &l.name.NamespacePrefix, &l.name.ProcessingInstructionTarget,
		&l.struc.NodeDepth, &l.struc.AttributeCountPerElement, &l.struc.NamespaceCountPerElement, &l.struc.ChildCount.Limit,
		&l.values.Text, &l.values.Attribute, &l.values.NamespaceURI, &l.values.Comment, &l.values.ProcessingInstructionData,
	}
}

// A body that attacks costs nothing but the fault, however large it is: entities
// are refused before they can expand, and nothing is kept of what is read but a
// count for each open element and the attributes of one.
func TestBoundedMemory(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString(`<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol0 "lol">`)
	for i := range 100 {
		fmt.Fprintf(&laughs, `<!ENTITY lol%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	laughs.WriteString(`]><lolz>&lol100;</lolz>`)
	l := unlimited()
	l.values = ValueLimits{100, 100, 100, 100, 100}
	l.name = NameLimits{100, 100, 100, 100}
	l.struc.ChildCount.Limit = 100
	for name, doc := range map[string][]byte{
		"billion laughs":    []byte(laughs.String()),
		"quadratic blowup":  []byte(`<!DOCTYPE a [<!ENTITY x "` + strings.Repeat("x", 1<<20) + `">]><a>` + strings.Repeat("&x;", 1<<16) + `</a>`),
		"external entity":   []byte(`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///dev/random">]><a>&x;</a>`),
		"depth":             bytes.Repeat([]byte("<a>"), 2<<20),
		"attributes":        append([]byte("<a "), bytes.Repeat([]byte("b='' "), 1<<20)...),
		"attribute value":   []byte("<a b='" + strings.Repeat("x", 4<<20) + "'/>"),
		"attribute name":    []byte("<a " + strings.Repeat("x", 4<<20) + "=''/>"),
		"namespaces":        []byte("<a xmlns='" + strings.Repeat("x", 4<<20) + "'/>"),
		"element name":      []byte("<" + strings.Repeat("x", 4<<20) + "/>"),
		"children":          []byte("<a>" + strings.Repeat("<b/>", 1<<20) + "</a>"),
		"text":              []byte("<a>" + strings.Repeat("x&lt;", 1<<20) + "</a>"),
		"text in pieces":    []byte("<a>" + strings.Repeat("<![CDATA[x]]>", 1<<18) + "</a>"),
		"comment":           []byte("<a><!--" + strings.Repeat("x", 4<<20) + "--></a>"),
		"instruction":       []byte("<a><?x " + strings.Repeat("x", 4<<20) + "?></a>"),
		"many references":   []byte("<a>" + strings.Repeat("&#x26;", 1<<19) + "</a>"),
		"unterminated":      []byte("<a>" + strings.Repeat("x", 99)),
		"unterminated name": []byte("<" + strings.Repeat("x", 4<<20)),
	} {
		in := new(inspection)
		run := func() {
			if over, err := in.run(doc, &l); over.what == "" && err == nil {
				t.Errorf("%s passes", name)
			}
		}
		run()
		if n := testing.AllocsPerRun(1, run); n > 6 { // the error and its text
			t.Errorf("%s: %v allocations", name, n)
		}
		if cap(in.children) > 2*MaxDepth {
			t.Errorf("%s: counts the children of %d elements", name, cap(in.children))
		}
	}
}

// shape is what the limits are about, counted by encoding/xml.
func shape(t *testing.T, doc []byte) limits {
	l := limits{}
	l.struc.ChildCount = ChildCount{IncludeComment: true, IncludeElement: true, IncludeProcessingInstruction: true, IncludeText: true}
	d := xml.NewDecoder(bytes.NewReader(doc))
	depth, children, text := 0, []int{0}, ""
	child := func() { // of an element, not of the document
		if depth == 0 {
			return
		}
		children[depth]++
		l.struc.ChildCount.Limit = max(l.struc.ChildCount.Limit, children[depth])
	}
	flush := func() {
		if strings.TrimSpace(text) != "" {
			child()
			l.values.Text = max(l.values.Text, len(text))
		}
		text = ""
	}
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return l
		}
		if err != nil {
			t.Skip("encoding/xml does not read it")
		}
		switch tok := tok.(type) {
		case xml.CharData:
			text += string(tok)
			continue
		case xml.StartElement:
			flush()
			child()
			depth++
			children = append(children, 0)
			l.struc.NodeDepth = max(l.struc.NodeDepth, depth)
			l.name.NamespacePrefix, l.name.Element = max(l.name.NamespacePrefix, len(tok.Name.Space)), max(l.name.Element, len(tok.Name.Local))
			shapeAttrs(&l, tok.Attr)
		case xml.EndElement:
			flush()
			depth--
			children = children[:len(children)-1]
		case xml.Comment:
			flush()
			child()
			l.values.Comment = max(l.values.Comment, len(tok))
		case xml.ProcInst:
			if tok.Target == "xml" {
				continue
			}
			flush()
			child()
			l.name.ProcessingInstructionTarget = max(l.name.ProcessingInstructionTarget, len(tok.Target))
			l.values.ProcessingInstructionData = max(l.values.ProcessingInstructionData, len(tok.Inst))
		}
	}
}

func shapeAttrs(l *limits, attrs []xml.Attr) {
	namespaces := 0
	for _, a := range attrs {
		switch {
		case a.Name.Space == "xmlns":
			l.name.NamespacePrefix = max(l.name.NamespacePrefix, len(a.Name.Local))
			fallthrough
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			namespaces++
			l.values.NamespaceURI = max(l.values.NamespaceURI, len(a.Value))
		default:
			l.name.NamespacePrefix, l.name.Attribute = max(l.name.NamespacePrefix, len(a.Name.Space)), max(l.name.Attribute, len(a.Name.Local))
			l.values.Attribute = max(l.values.Attribute, len(a.Value))
		}
	}
	l.struc.NamespaceCountPerElement = max(l.struc.NamespaceCountPerElement, namespaces)
	l.struc.AttributeCountPerElement = max(l.struc.AttributeCountPerElement, len(attrs)-namespaces)
}

// colons are those that do not stand between a prefix and a name.
var colons = regexp.MustCompile(`(^|[^a-zA-Z]):|:([^a-zA-Z]|$)|:[^\s=/>]*:`)

// FuzzLimits: a document passes with the limits of its own shape, and exceeds
// any of them lowered by one.
func FuzzLimits(f *testing.F) {
	for _, s := range []string{
		`<a b="c"><!-- d --><?e f?>g<h/><![CDATA[i]]></a>`, `<p:a xmlns:p="u" xmlns="v" p:b="x">  <c> y </c></p:a>`, `<a>&lt;</a>`, `<?p q?><a/>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if strings.ContainsFunc(doc, func(r rune) bool { return r > 126 || r == '\r' }) || colons.MatchString(doc) {
			return // counted or split otherwise by the oracle
		}
		in := new(inspection)
		l := unlimited()
		if over, err := in.run([]byte(doc), &l); over.what != "" || err != nil {
			return
		}
		if strings.Contains(doc, "<?xml ") {
			return
		}
		l = shape(t, []byte(doc))
		if over, err := in.run([]byte(doc), &l); over.what != "" || err != nil {
			t.Fatalf("%q exceeds its own limits %+v: %+v, %v", doc, l, over, err)
		}
		for i, p := range l.all() {
			if *p == 0 {
				continue
			}
			*p--
			if over, _ := in.run([]byte(doc), &l); over.what == "" {
				t.Fatalf("%q passes with limit %d lowered: %+v", doc, i, l)
			}
			*p++
		}
	})
}

func TestMaxAttributes(t *testing.T) {
	l := unlimited()
	var b strings.Builder
	for i := range xmltoken.MaxAttributes + 1 {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	over, err := new(inspection).run([]byte("<a"+b.String()+"/>"), &l)
	if err != nil || over.what != "Attribute count" || over.limit != xmltoken.MaxAttributes {
		t.Errorf("%+v, %v", over, err)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<XMLThreatProtection name="XTP-1"><Source>request</Source>
<NameLimits><Element>30</Element><Attribute>30</Attribute></NameLimits>
<StructureLimits><NodeDepth>5</NodeDepth><AttributeCountPerElement>5</AttributeCountPerElement><NamespaceCountPerElement>3</NamespaceCountPerElement><ChildCount>30</ChildCount></StructureLimits>
<ValueLimits><Text>100</Text><Attribute>100</Attribute></ValueLimits></XMLThreatProtection>`, policy.Services{})
	body := `<order id="7" xmlns="urn:o">` + strings.Repeat(`<item sku="a-1" count="2"><name>Thing &amp; more</name><price>9.95</price></item>`, 20) + `</order>`
	b.SetBytes(int64(len(body)))
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a\nContent-Type: application/xml\n\n" + body})
}
