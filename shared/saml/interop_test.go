package saml_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/saml/samltest"
	"github.com/perigee-gateway/perigee/shared/xmldsig"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Texts that canonicalization may stumble over.
var texts = map[string]string{
	"plain":      samltest.Text,
	"defaults":   strings.NewReplacer("<saml:", "<", "</saml:", "</", "xmlns:saml", "xmlns").Replace(samltest.Text),
	"attributes": strings.Replace(samltest.Text, `<saml:Attribute Name="mail">`, `<saml:Attribute xmlns:z="urn:z" xmlns:b="urn:b" Name="mail" z:a="1" b:z='"&#10;&#9;&lt;&amp;' FriendlyName="a  b">`, 1),
	"texts":      strings.Replace(samltest.Text, ">reader<", "> &lt;&amp;&gt;\"'&#13;\n\t<![CDATA[<c>&]]]]><![CDATA[>]]> Zoë 日本 &#x1F600;<", 1),
	"white":      strings.Replace(samltest.Text, ` Version="2.0"`, "\n Consent=\"a\tb\r\nc\rd\ne\"\r\n Version=\"2.0\"", 1),
	"bound":      strings.Replace(samltest.Text, `<saml:Attribute Name="mail">`, `<saml:Attribute xmlns:a="urn:2" xmlns:b="urn:1" xmlns:c="urn:1" Name="mail" a:x="" b:y="" c:x="" xml:space="preserve">`, 1),
	"comments":   strings.Replace(samltest.Text, "<saml:Conditions", "<!-- a -- ><?pi data?>\n<saml:Conditions", 1),
	"namespaces": strings.Replace(samltest.Text, "<saml:AttributeValue>reader<", `<saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string"><a xmlns="urn:a"><b xmlns=""><c xmlns="urn:a"/></b></a><d xmlns="" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xml:lang="en"/><`, 1),
}

func init() {
	texts["comments"] = strings.Replace(texts["comments"], "-- >", "-->", 1)
	texts["namespaces"] = strings.Replace(texts["namespaces"], `xml:lang="en"/><`, `xml:lang="en"/>reader<`, 1)
}

// messages are what an assertion is put into after it was signed. Its signature
// must not notice.
var messages = map[string]func(assertion string) string{
	"alone": func(a string) string { return a },
	"SOAP":  samltest.Envelope,
	"hostile": func(a string) string {
		return `<r xmlns="urn:r" xmlns:saml="urn:other" xmlns:ds="urn:ds" xml:lang="de">` + a + `</r>`
	},
}

// TestXMLSecVerifiesOurs lets xmlsec1 check what Sign signed: every text in every
// canonicalization and place, and every algorithm.
func TestXMLSecVerifiesOurs(t *testing.T) {
	x := samltest.NewXMLSec(t)
	check := func(name, where string, method xmldsig.Method, digest xmldsig.Digest, c14n string) {
		t.Helper()
		what := fmt.Sprintf("%s in %s, %s, %s, %s", name, where, method.URI, digest.URI, c14n)
		message := messages[where](signed(t, texts[name], method, digest, c14n))
		if out, ok := x.Verify(message); !ok {
			t.Errorf("%s: xmlsec1 says no: %s\n%s", what, out, message)
		}
		if _, err := validate(t, message); err != nil {
			t.Errorf("%s: we say no: %v", what, err)
		}
	}
	for name := range texts {
		for where := range messages {
			check(name, where, xmldsig.Methods[1], xmldsig.Digests[1], xmldsig.Exclusive)
		}
		check(name, "SOAP", xmldsig.Methods[1], xmldsig.Digests[1], xmldsig.ExclusiveWithComments)
	}
	check("plain", "SOAP", xmldsig.Methods[0], xmldsig.Digests[0], xmldsig.Exclusive)
	check("plain", "SOAP", xmldsig.Methods[0], xmldsig.Digests[1], xmldsig.Exclusive)
	check("plain", "SOAP", xmldsig.Methods[1], xmldsig.Digests[0], xmldsig.Exclusive)

	text, err := saml.New("_n", "me", "joe & <co>", samltest.Now).WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	made := signed(t, text, xmldsig.Methods[1], xmldsig.Digests[1], xmldsig.Exclusive)
	if out, ok := x.Verify(made); !ok {
		t.Errorf("of New: %s", out)
	}
	if out, ok := x.Verify(strings.Replace(made, "joe", "jim", 1)); ok {
		t.Errorf("xmlsec1 takes anything: %s", out)
	}
	if out, ok := x.Verify(samltest.Sign(t, samltest.Text, "rogue")); ok {
		t.Errorf("xmlsec1 trusts anybody: %s", out)
	}
}

func signed(t *testing.T, text string, method xmldsig.Method, digest xmldsig.Digest, c14n string) string {
	t.Helper()
	key, chain, err := samltest.Load("signer")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := xmldsig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := saml.Sign(doc, "", saml.SignOptions{Key: key, Chain: chain, Method: method, Digest: digest, Canonicalization: c14n})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWeVerifyXMLSec checks what xmlsec1 signed: every text in every
// canonicalization, each in one place or another, and every algorithm.
func TestWeVerifyXMLSec(t *testing.T) {
	x := samltest.NewXMLSec(t)
	check := func(name, where string, method xmldsig.Method, digest xmldsig.Digest, c14n, inside string) {
		t.Helper()
		key := "signer"
		if method.ECDSA {
			key = "ec"
		}
		what := fmt.Sprintf("%s in %s, %s, %s, %s", name, where, method.URI, digest.URI, c14n)
		signed := x.Sign(messages[where](skeleton(texts[name], method.URI, digest.URI, c14n, inside)), key)
		a, err := validate(t, signed)
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, signed)
			return
		}
		if a.Subject != "joe@example.com" || a.ID != "_a1" {
			t.Errorf("%s: %+v", what, a)
		}
		if _, err := validate(t, strings.Replace(signed, "joe@", "jim@", 1)); err == nil {
			t.Errorf("%s: valid with another subject", what)
		}
	}
	places := slices.Sorted(maps.Keys(messages))
	for i, name := range slices.Sorted(maps.Keys(texts)) {
		for j, c14n := range []struct{ algorithm, inside string }{
			{xmldsig.Exclusive, ""},
			{xmldsig.ExclusiveWithComments, ""},
			{xmldsig.Exclusive, `<ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="saml xs #default"/>`},
			{xmldsig.Inclusive, ""}, {xmldsig.Inclusive11, ""},
		} {
			check(name, places[(i+j)%len(places)], xmldsig.Methods[1], xmldsig.Digests[1], c14n.algorithm, c14n.inside)
		}
	}
	for i, method := range xmldsig.Methods {
		check("plain", "SOAP", method, xmldsig.Digests[i%len(xmldsig.Digests)], xmldsig.Exclusive, "")
	}
}

// skeleton puts a Signature that is to be filled in behind the Issuer.
func skeleton(text, method, digest, c14n, inside string) string {
	s := `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="` + c14n + `">` + inside + `</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="` + method + `"/>
<ds:Reference URI="#_a1"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
<ds:Transform Algorithm="` + c14n + `">` + inside + `</ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="` + digest + `"/><ds:DigestValue/>
</ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>`
	for _, end := range []string{"</saml:Issuer>", "</Issuer>"} {
		if strings.Contains(text, end) {
			return strings.Replace(text, end, end+s, 1)
		}
	}
	return text
}

func validate(t *testing.T, message string) (*saml.Assertion, error) {
	t.Helper()
	doc, err := saml.Parse([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	path, err := xpath.Compile("//saml:Assertion", map[string]string{"saml": saml.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	el, err := doc.Select(path)
	if err != nil {
		t.Fatal(err)
	}
	_, trust, err := samltest.Load("authority")
	if err != nil {
		t.Fatal(err)
	}
	return doc.Validate(el, el, trust, samltest.Now)
}
