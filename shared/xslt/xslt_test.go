package xslt

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

const head = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">`

func sheet(body string) []byte { return []byte(head + "\n" + body + "\n</xsl:stylesheet>") }

func two(body string) []byte {
	return []byte(strings.Replace(head, "1.0", "2.0", 1) + "\n" + body + "\n</xsl:stylesheet>")
}

// TestRefused names what a stylesheet cannot have, with its line.
func TestRefused(t *testing.T) {
	in := func(instruction string) []byte {
		return sheet("<xsl:template match='/'>\n" + instruction + "</xsl:template>")
	}
	for _, c := range []struct {
		sheet []byte
		want  string
	}{
		{sheet("<xsl:import href='a.xsl'/>"), "line 2: <xsl:import> is not supported, as on Apigee: a stylesheet is one file"},
		{sheet("<xsl:include href='a.xsl'/>"), "line 2: <xsl:include> is not supported, as on Apigee: a stylesheet is one file"},
		{two("<xsl:function name='f'/>"), "line 2: the name of function f must have a prefix of your own"},
		{two("<xsl:function name='f:f' xmlns:f='urn:f'><xsl:param name='a' select='1'/></xsl:function>"), "line 2: a parameter of <xsl:function> has no default and is always required"},
		{two("<xsl:function name='f:f' xmlns:f='urn:f'/>\n<xsl:variable name='v' select='f:f(1)' xmlns:f='urn:f'/>"), `line 3: f:f(): no function of that name has as many parameters in "f:f(1)"`},
		{two("<xsl:function name='f:f' xmlns:f='urn:f'/>\n<xsl:function name='f:f' xmlns:f='urn:f'/>"), "line 3: function f:f with 0 parameters is there twice"},
		{two("<xsl:character-map name='m'/>"), "line 2: <xsl:character-map> of XSLT 2.0 or 3.0 is not supported"},
		{sheet("<xsl:templat match='a'/>"), "line 2: <xsl:templat> is not an element of XSLT that may stand here"},
		{sheet("<thing/>"), "line 2: <thing> is not in a namespace, and so not allowed at the top"},
		{in("<xsl:for-each-group select='a'/>"), "line 3: <xsl:for-each-group> needs one of group-by, group-adjacent, group-starting-with and group-ending-with"},
		{in("<xsl:for-each-group select='a' group-by='b' collation='c'/>"), "line 3: attribute collation of <xsl:for-each-group> is not supported"},
		{in("<xsl:perform-sort select='a'/>"), "line 3: <xsl:perform-sort> of XSLT 2.0 or 3.0 is not supported"},
		{in("<xsl:analyze-string select='a' regex='b'/>"), "line 3: <xsl:analyze-string> of XSLT 2.0 or 3.0 is not supported"},
		{in("<xsl:result-document/>"), "line 3: <xsl:result-document> of XSLT 2.0 or 3.0 is not supported"},
		{in("<xsl:value-of select=\"document('x.xml')\"/>"), `line 3: function document() is not supported in "document('x.xml')"`},
		{in("<xsl:value-of select=\"doc('x.xml')\"/>"), `line 3: function doc() is not supported in "doc('x.xml')"`},
		{in("<xsl:value-of select='unparsed-text(1)'/>"), `line 3: function unparsed-text() is not supported in "unparsed-text(1)"`},
		{in("<xsl:value-of select='f:g()' xmlns:f='urn:f'/>"), `line 3: function f:g() is not supported in "f:g()"`},
		{in("<xsl:value-of select='xs:date(a)' xmlns:xs='http://www.w3.org/2001/XMLSchema'/>"), `line 3: function xs:date() is not supported in "xs:date(a)"`},
		{in("<xsl:value-of select='a instance of b'/>"), `line 3: "instance of" of XPath 2.0 is not supported in "a instance of b"`},
		{in("<xsl:value-of select='matches(a, b)'/>"), `line 3: matches(): a regular expression that is not a literal is not supported in "matches(a, b)"`},
		{in("<xsl:value-of select=\"replace(a, 'x*', 'y')\"/>"), `line 3: replace(): the regular expression matches the empty string in "replace(a, 'x*', 'y')"`},
		{in("<xsl:value-of select=\"matches(a, '\\i')\"/>"), `line 3: matches(): \i in a regular expression is not supported in "matches(a, '\\i')"`},
		{in("<xsl:value-of select=\"format-dateTime(a, '[C]')\"/>"), `line 3: format-dateTime(): component [C] of a picture is not supported in "format-dateTime(a, '[C]')"`},
		{in("<xsl:value-of select='$x'/>"), `line 3: variable $x is not declared in "$x"`},
		{in("<xsl:value-of select='p:a'/>"), `line 3: prefix "p" is not declared in "p:a"`},
		{in("<xsl:value-of select='a['/>"), `line 3: unexpected end in "a["`},
		{in("<xsl:value-of select='concat(1)'/>"), `line 3: function concat() has 1 arguments in "concat(1)"`},
		{in("<xsl:value-of/>"), "line 3: <xsl:value-of> has no attribute select"},
		{in("<xsl:if/>"), "line 3: <xsl:if> has no attribute test"},
		{in("<xsl:choose/>"), "line 3: <xsl:choose> has no <xsl:when>"},
		{in("<xsl:call-template name='none'/>"), "line 3: template none does not exist"},
		{in("<a xsl:use-attribute-sets='none'/>"), "line 3: attribute set none does not exist"},
		{in("<xsl:copy-of select='.' colour='red'/>"), "line 3: attribute colour of <xsl:copy-of> is not supported"},
		{in("<xsl:variable name='v' tunnel='yes'/>"), `line 3: attribute tunnel="yes" of <xsl:variable> is not supported`},
		{in("<xsl:variable name='v' as='xs:date' xmlns:xs='http://www.w3.org/2001/XMLSchema'/>"), `line 3: as="xs:date" of <xsl:variable> is not supported`},
		{in("<xsl:variable name='v' select='1'>2</xsl:variable>"), "line 3: <xsl:variable> has both select and content"},
		{in("<xsl:for-each select='1 + 1'/>"), `line 3: select "1 + 1" of <xsl:for-each> is not a node-set`},
		{in("<a b='{'/>"), "line 3: { without } in an attribute value template"},
		{in("<a b='}'/>"), "line 3: } without { in an attribute value template"},
		{in("<xsl:element name='a b'/>"), `line 3: "a b" is not a name`},
		{in("<xsl:param name='p'/><xsl:text>a</xsl:text><xsl:param name='q'/>"), "line 3: <xsl:param> must come first in a template"},
		{in("<xsl:text><a/></xsl:text>"), "line 3: <xsl:text> holds only text"},
		{in("<e:x xmlns:e='urn:e' xsl:extension-element-prefixes='e'/>"), "line 3: extension element <e:x> is not supported"},
		{in("<a xsl:use-when='true()'/>"), "line 3: attribute xsl:use-when of XSLT 2.0 is not supported"},
		{in("<xsl:number level='odd'/>"), `line 3: level "odd" is not single, multiple or any`},
		{in("<xsl:value-of select=\"key('k', 1)\"/>"), `line 3: key(): key "k" is not declared in "key('k', 1)"`},
		{in("<xsl:value-of select=\"format-number(1, 'x')\"/>"), `line 3: format-number(): picture "x": no digit in "format-number(1, 'x')"`},
		{sheet("<xsl:template match='a/..'/>"), `line 2: pattern: unexpected ".." at 3 in "a/.."`},
		{sheet("<xsl:template match='ancestor::a'/>"), `line 2: pattern: a pattern has only the axes child and attribute in "ancestor::a"`},
		{sheet("<xsl:template/>"), "line 2: <xsl:template> has neither match nor name"},
		{sheet("<xsl:template name='a'/>\n<xsl:template name='a'/>"), "line 3: template a is there twice"},
		{sheet("<xsl:variable name='a'/>\n<xsl:variable name='a'/>"), "line 3: global variable a is declared twice"},
		{sheet("<xsl:attribute-set name='a' use-attribute-sets='b'/>\n<xsl:attribute-set name='b' use-attribute-sets='a'/>"), "line 2: attribute set a uses itself\nline 3: attribute set b uses itself"},
		{sheet("<xsl:output method='json'/>"), `line 2: output method "json" is not supported`},
		{sheet("<xsl:output encoding='EBCDIC'/>"), `line 2: encoding "EBCDIC" is not supported, want UTF-8, UTF-16, ISO-8859-1 or US-ASCII`},
		{sheet("<xsl:output use-character-maps='m'/>"), "line 2: attribute use-character-maps of <xsl:output> is not supported"},
		{[]byte("<a/>"), "line 1: <a> is not a stylesheet: it is not in the namespace http://www.w3.org/1999/XSL/Transform and has no version of XSLT"},
		{[]byte("<a>"), "line 1: Premature end of document"},
		{[]byte("<!DOCTYPE a [<!ENTITY nbsp '&#160;'>]>\n<a/>"), "line 1: document type declarations are not allowed"},
		{[]byte("<xsl:stylesheet xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>"), "line 1: <xsl:stylesheet> has no attribute version"},
		// All of them at once.
		{sheet("<xsl:import href='a'/>\n<xsl:template match='['/>\n<xsl:mode/>"), "line 2: <xsl:import> is not supported, as on Apigee: a stylesheet is one file\n" +
			"line 3: pattern: unexpected \"[\" at 1 in \"[\"\nline 4: <xsl:mode> of XSLT 2.0 or 3.0 is not supported"},
	} {
		_, err := Compile(c.sheet)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.sheet, err, c.want)
		}
	}
}

func compile(t testing.TB, text []byte) *Stylesheet {
	t.Helper()
	s, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStopped ends with the context, in expressions and in instructions.
func TestStopped(t *testing.T) {
	doc := []byte("<a>" + strings.Repeat("<b/>", 2000) + "</a>")
	for _, body := range []string{
		`<xsl:value-of select="count(//b[count(//b[count(//b) = 1]) = 1])"/>`,
		`<xsl:for-each select="//b"><xsl:for-each select="//b"><xsl:for-each select="//b"/></xsl:for-each></xsl:for-each>`,
		`<xsl:for-each select="//b"><xsl:number level="any"/></xsl:for-each>`,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := compile(t, sheet("<xsl:template match='/'>"+body+"</xsl:template>")).Run(ctx, doc, Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestBounds is about a source and a result that are too much.
func TestBounds(t *testing.T) {
	s := compile(t, sheet("<xsl:template match='/'><xsl:for-each select='//b'><xsl:copy-of select='/'/></xsl:for-each></xsl:template>"))
	_, err := s.Run(t.Context(), []byte("<a>"+strings.Repeat("<b/>", 3000)+"</a>"), Options{})
	var limit tree.Limit
	if !errors.As(err, &limit) {
		t.Errorf("nine million nodes: %v", err)
	}
	deep := xmltoken.MaxDepth + 1
	_, err = s.Run(t.Context(), []byte(strings.Repeat("<b>", deep)+strings.Repeat("</b>", deep)), Options{})
	var syntax *xmltoken.Error
	if !errors.As(err, &syntax) || syntax.Reason != xmltoken.TooDeep {
		t.Errorf("%d levels: %v", deep, err)
	}
	s = compile(t, sheet("<xsl:template match='/'><xsl:call-template name='down'><xsl:with-param name='n' select='10001'/></xsl:call-template></xsl:template>"+
		"<xsl:template name='down'><xsl:param name='n'/><xsl:if test='$n'><xsl:call-template name='down'><xsl:with-param name='n' select='$n - 1'/></xsl:call-template></xsl:if></xsl:template>"))
	if _, err = s.Run(t.Context(), []byte("<a/>"), Options{}); !errors.Is(err, ErrDepth) {
		t.Errorf("depth: %v", err)
	}
	s = compile(t, sheet("<xsl:template match='/'><r><xsl:for-each select='//b'><xsl:attribute name='a{position()}'/></xsl:for-each></r></xsl:template>"))
	if _, err = s.Run(t.Context(), []byte("<a>"+strings.Repeat("<b/>", 1001)+"</a>"), Options{}); !errors.As(err, &limit) {
		t.Errorf("attributes: %v", err)
	}
	if _, err := Compile(make([]byte, maxSheet+1)); err == nil {
		t.Error("a stylesheet of any size")
	}
}

// TestSteps ends a transformation without depth or size: calls that double.
func TestSteps(t *testing.T) {
	s := compile(t, sheet(`<xsl:template match="/" name="t"><xsl:param name="n" select="60"/><xsl:if test="$n"><xsl:call-template name="t"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template>
<xsl:call-template name="t"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template></xsl:if></xsl:template>`))
	_, err := s.run(t.Context(), []byte("<a/>"), Options{}, 1_000_000)
	var limit tree.Limit
	if !errors.As(err, &limit) {
		t.Error(err)
	}
}

// TestEncodings writes the bytes that the declaration promises.
func TestEncodings(t *testing.T) {
	for encoding, want := range map[string]string{
		"utf-8":      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é€</a>",
		"iso-8859-1": "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9&#8364;</a>",
		"us-ascii":   "<?xml version=\"1.0\" encoding=\"US-ASCII\"?><a>&#233;&#8364;</a>",
	} {
		res, err := compile(t, sheet("<xsl:output encoding='"+encoding+"'/><xsl:template match='/'><xsl:copy-of select='.'/></xsl:template>")).
			Run(t.Context(), []byte("<a>é€</a>"), Options{})
		if err != nil || string(res.Bytes()) != want {
			t.Errorf("%s: %q, %v", encoding, res.Bytes(), err)
		}
	}
	res, err := compile(t, sheet("<xsl:output encoding='utf-16' method='text'/>")).Run(t.Context(), []byte("<a>é</a>"), Options{})
	if err != nil || string(res.Bytes()) != "\xfe\xff\x00\xe9" {
		t.Errorf("utf-16: %q, %v", res.Bytes(), err)
	}
}

func TestMethodAndMediaType(t *testing.T) {
	for output, want := range map[string]string{
		"": "xml text/xml", "<xsl:output method='text'/>": "text text/plain", "<xsl:output method='html'/>": "html text/html",
		"<xsl:output media-type='application/json' method='text'/>": "text application/json",
	} {
		res, err := compile(t, sheet(output)).Run(t.Context(), []byte("<a/>"), Options{})
		if got := res.Method + " " + res.MediaType; err != nil || got != want {
			t.Errorf("%s: %s, %v", output, got, err)
		}
	}
}

func TestParameters(t *testing.T) {
	s := compile(t, sheet("<xsl:param name='a'/><xsl:variable name='b'/><xsl:param name='c'/>"))
	if !s.HasParameter("a") || s.HasParameter("b") || !s.HasParameter("c") {
		t.Error("a and c are the parameters")
	}
}

// TestConcurrent runs one stylesheet many times at once.
func TestConcurrent(t *testing.T) {
	s := compile(t, sheet(`<xsl:key name="k" match="b" use="@x"/><xsl:variable name="n" select="count(//b)"/><xsl:output omit-xml-declaration="yes"/>
<xsl:template match="/"><r n="{$n}"><xsl:for-each select="key('k', '1')"><xsl:sort select="."/><xsl:copy-of select="."/></xsl:for-each></r></xsl:template>`))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				res, err := s.Run(t.Context(), []byte(`<a><b x="1">2</b><b/><b x="1">1</b></a>`), Options{})
				if want := `<r n="3"><b x="1">1</b><b x="1">2</b></r>`; err != nil || res.Text != want {
					t.Errorf("%s, %v", res.Text, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// FuzzCompile: no stylesheet and no source panics, and every result of a stylesheet
// that copies is a document again.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if c := readCase(f, file); !strings.Contains(file, "endless") {
			f.Add(c.section("sheet.xsl"), c.section("source.xml"))
		}
	}
	f.Add(string(sheet("<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>")), "<a b='c'>d<!--e--></a>")
	f.Add(string(sheet("<xsl:output method='html'/><xsl:key name='k' match='a' use='.'/><xsl:template match='a[1]//b' priority='2'><p x='{@y}'><xsl:number/></p></xsl:template>")), "<a><b/></a>")
	f.Add(string(two("<xsl:template match='/'><xsl:value-of select=\"for $x in tokenize(., ',') return if ($x = 'a') then 1 else 2 + 1\"/></xsl:template>")), "<a>1,2</a>")
	f.Fuzz(func(t *testing.T, sheet, source string) {
		s, err := Compile([]byte(sheet))
		if err != nil {
			return
		}
		res, err := s.run(t.Context(), []byte(source), Options{Now: time.Unix(0, 0)}, 1_000_000)
		if err == nil {
			_ = res.Bytes()
		}
	})
}

// FuzzIdentity: the identity transformation of a document is that document.
func FuzzIdentity(f *testing.F) {
	s := compile(f, sheet("<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>"))
	f.Add("<a b='c&#10;d' xmlns:p='urn:p'>e<p:f xmlns=''/><!--g--><?h i?><![CDATA[<j>]]></a>")
	f.Fuzz(func(t *testing.T, source string) {
		res, err := s.Run(t.Context(), []byte(source), Options{})
		if err != nil {
			return
		}
		again, err := s.Run(t.Context(), res.Bytes(), Options{})
		if err != nil || again.Text != res.Text {
			t.Errorf("%q became %q, then %q: %v", source, res.Text, again.Text, err)
		}
	})
}

var envelope = []byte(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body><m:orders xmlns:m="urn:m">` +
	strings.Repeat(`<m:order id="7"><m:customer>Adam &amp; Eve</m:customer><m:total currency="EUR">20.50</m:total></m:order>`, 20) + `</m:orders></s:Body></s:Envelope>`)

func benchmark(b *testing.B, body string) {
	s := compile(b, sheet(body))
	b.ReportAllocs()
	b.SetBytes(int64(len(envelope)))
	for b.Loop() {
		if _, err := s.Run(b.Context(), envelope, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	benchmark(b, "<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>")
}

func BenchmarkStripNamespaces(b *testing.B) {
	benchmark(b, `<xsl:template match="*"><xsl:element name="{local-name()}"><xsl:apply-templates select="@*|node()"/></xsl:element></xsl:template>
<xsl:template match="@*"><xsl:attribute name="{local-name()}"><xsl:value-of select="."/></xsl:attribute></xsl:template>`)
}

func BenchmarkPaths(b *testing.B) {
	benchmark(b, `<xsl:template match="/"><r sum="{sum(//*[local-name() = 'total'])}"><xsl:for-each select="//*[local-name() = 'order']"><xsl:sort select="@id" data-type="number"/><o><xsl:value-of select="concat(@id, ' ', *[1])"/></o></xsl:for-each></r></xsl:template>`)
}

func BenchmarkCompile(b *testing.B) {
	text := sheet("<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>")
	b.ReportAllocs()
	for b.Loop() {
		compile(b, text)
	}
}
