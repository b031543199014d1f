package validatesamlassertion

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/saml/samltest"
	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

const (
	honest = "joe@example.com"
	evil   = "admin@example.com"
)

// policyFor reads the assertion and the signed element of a Response.
func policyFor(assertion, signed, trust string) string {
	return `<ValidateSAMLAssertion name="SAML">
  <Source name="request">
    <Namespaces>
      <Namespace prefix="samlp">urn:oasis:names:tc:SAML:2.0:protocol</Namespace>
      <Namespace prefix="saml">urn:oasis:names:tc:SAML:2.0:assertion</Namespace>
    </Namespaces>
    <AssertionXPath>` + assertion + `</AssertionXPath>
    <SignedElementXPath>` + signed + `</SignedElementXPath>
  </Source>
  <TrustStore>` + trust + `</TrustStore>
</ValidateSAMLAssertion>`
}

// run validates a message and returns the fault's name and saml.subject.
func run(t *testing.T, xml, body string) (name, subject string) {
	t.Helper()
	p := policytest.Compile(t, Kind, xml, policy.Services{Keys: samltest.Keys{}})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/a\nContent-Type: text/xml\n\n" + body)})
	fc.PutText("saml.subject", "left from an earlier assertion")
	err := p.Run(t.Context(), fc)
	valid := fc.Get("saml.valid").Truth()
	if err == nil {
		if !valid {
			t.Error("no fault, and saml.valid is not true")
		}
		return "", fc.Text("saml.subject")
	}
	var f *fault.Fault
	if !errors.As(err, &f) || !strings.HasPrefix(f.Code, "steps.saml.validate.") || f.Status != 500 {
		t.Fatalf("no fault of the policy: %v", err)
	}
	if valid || fc.Get("saml.subject").Kind() != flow.Null {
		t.Errorf("a fault, and saml.valid is %v, saml.subject %q", valid, fc.Text("saml.subject"))
	}
	return f.ShortName(), ""
}

const (
	response = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_r" Version="2.0" IssueInstant="2026-04-01T12:00:00Z">`
	end      = `</samlp:Response>`
)

// parse reads XML that is to be taken apart.
func parse(t *testing.T, xml string) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(xml); err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

func text(t *testing.T, el *etree.Element) string {
	t.Helper()
	doc := etree.NewDocument()
	doc.AddChild(el)
	s, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parts are a genuine assertion, its copy without the signature, the signature,
// and a forged assertion without one.
type parts struct{ genuine, bare, signature, forged *etree.Element }

func take(t *testing.T) parts {
	t.Helper()
	signed := samltest.Sign(t, samltest.Text, "signer")
	p := parts{genuine: parse(t, signed), bare: parse(t, signed), forged: parse(t, strings.ReplaceAll(samltest.Text, honest, evil))}
	p.signature = p.bare.SelectElement("Signature")
	p.bare.RemoveChild(p.signature)
	return p
}

// TestWrapping has the signature wrapping attacks XSW1 to XSW8 of "On Breaking
// SAML", in the order of SAML Raider, which made the numbers common.
func TestWrapping(t *testing.T) {
	wrap := func(inside ...*etree.Element) string {
		r := parse(t, response+end)
		for _, el := range inside {
			r.AddChild(el)
		}
		return text(t, r)
	}
	// A response that is signed as a whole, taken apart in the same way.
	signedResponse := func() (bare, signature, forged *etree.Element) {
		bare = parse(t, samltest.Sign(t, response+samltest.Text+end, "signer"))
		signature = bare.SelectElement("Signature")
		bare.RemoveChild(signature)
		return bare, signature, parse(t, response+strings.ReplaceAll(samltest.Text, honest, evil)+end)
	}
	for _, tt := range []struct {
		name string
		body func() string
		want string // with the path from the root
	}{
		{"XSW1: a forged response, the genuine one in its signature", func() string {
			bare, signature, forged := signedResponse()
			signature.AddChild(bare)
			forged.CreateAttr("ID", "_evil")
			forged.AddChild(signature)
			return text(t, forged)
		}, "InvalidSignature"},
		{"XSW2: a forged response, the genuine one beside its signature", func() string {
			bare, signature, forged := signedResponse()
			forged.CreateAttr("ID", "_evil")
			forged.InsertChildAt(0, bare)
			forged.InsertChildAt(1, signature)
			return text(t, forged)
		}, "InvalidSignature"},
		{"XSW3: a forged assertion before the genuine one", func() string {
			p := take(t)
			p.forged.CreateAttr("ID", "_evil")
			return wrap(p.forged, p.genuine)
		}, "AmbiguousElement"},
		{"XSW4: the genuine assertion in a forged one", func() string {
			p := take(t)
			p.forged.CreateAttr("ID", "_evil")
			p.forged.AddChild(p.genuine)
			return wrap(p.forged)
		}, "InvalidSignature"},
		{"XSW5: the signature in a forged assertion, the genuine one behind", func() string {
			p := take(t)
			p.forged.CreateAttr("ID", "_evil")
			p.forged.AddChild(p.signature)
			return wrap(p.forged, p.bare)
		}, "AmbiguousElement"},
		{"XSW6: a forged assertion, the genuine one in its signature", func() string {
			p := take(t)
			p.forged.CreateAttr("ID", "_evil")
			p.signature.AddChild(p.bare)
			p.forged.AddChild(p.signature)
			return wrap(p.forged)
		}, "InvalidSignature"},
		{"XSW7: a forged assertion with the same id in Extensions", func() string {
			p := take(t)
			r := parse(t, response+end)
			r.CreateElement("samlp:Extensions").AddChild(p.forged)
			r.AddChild(p.genuine)
			return text(t, r)
		}, "InvalidSignature"},
		{"XSW8: a forged assertion with the same id, the genuine one in an Object of its signature", func() string {
			p := take(t)
			p.signature.CreateElement("ds:Object").AddChild(p.bare)
			p.forged.AddChild(p.signature)
			return wrap(p.forged)
		}, "InvalidSignature"},
		{"a forged assertion in the signature, which is not digested", func() string {
			bare, _, _ := signedResponse()
			bare.RemoveChild(bare.SelectElement("Assertion"))
			signed := parse(t, samltest.Sign(t, text(t, bare), "signer"))
			p := take(t)
			signed.SelectElement("Signature").CreateElement("ds:Object").AddChild(p.forged)
			return text(t, signed)
		}, "ElementNotFound"},
		{"an assertion without a signature beside the one that is signed", func() string {
			p := take(t)
			p.forged.RemoveAttr("ID")
			return wrap(p.genuine, p.forged)
		}, "AmbiguousElement"},
		{"a forged assertion with the id of the genuine one, elsewhere", func() string {
			p := take(t)
			r := parse(t, response+end)
			r.AddChild(p.genuine)
			r.CreateElement("samlp:Status").CreateElement("samlp:StatusDetail").AddChild(p.forged)
			return text(t, r)
		}, "InvalidSignature"},
		{"another element with the id of the genuine one", func() string {
			p := take(t)
			r := parse(t, response+end)
			r.CreateElement("samlp:Status").CreateAttr("Id", "_a1")
			r.AddChild(p.genuine)
			return text(t, r)
		}, "InvalidSignature"},
		{"two signatures", func() string {
			p := take(t)
			p.genuine.AddChild(p.signature)
			return wrap(p.genuine)
		}, "InvalidSignature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.body()
			for i, path := range []string{
				"/samlp:Response/saml:Assertion", "//saml:Assertion", "(//saml:Assertion)[1]", "(//saml:Assertion)[last()]",
				"/samlp:Response/saml:Assertion[1]", "//saml:Assertion[@ID='_a1']", "//saml:Assertion[@ID='_evil']",
			} {
				for _, signed := range []string{path, "/samlp:Response", "//*[@ID='_r']", "//saml:Assertion[@ID='_a1']"} {
					name, subject := run(t, policyFor(path, signed, "authority"), body)
					if name == "" && subject != honest {
						t.Errorf("assertion %s, signed %s: valid, and the subject is %q", path, signed, subject)
					}
					if i == 0 && signed == path && name != tt.want {
						t.Errorf("fault %q, want %s", name, tt.want)
					}
				}
			}
		})
	}
}

// What the attacks are made of is valid when nobody tampers with it.
func TestGenuine(t *testing.T) {
	for name, tt := range map[string]struct{ body, signed string }{
		"assertion signed":            {response + samltest.Sign(t, samltest.Text, "signer") + end, "/samlp:Response/saml:Assertion"},
		"response signed":             {samltest.Sign(t, response+samltest.Text+end, "signer"), "/samlp:Response"},
		"both signed":                 {samltest.Sign(t, response+samltest.Sign(t, samltest.Text, "signer")+end, "signer"), "/samlp:Response"},
		"certificate in the store":    {response + samltest.Sign(t, samltest.Text, "signer") + end, "/samlp:Response/saml:Assertion"},
		"a comment between elements":  {response + strings.Replace(samltest.Sign(t, samltest.Text, "signer"), "<saml:Subject>", "<!-- --><saml:Subject>", 1) + end, "/samlp:Response/saml:Assertion"},
		"white space around a value":  {response + samltest.Sign(t, strings.Replace(samltest.Text, ">joe@example.com</saml:NameID", ">\n joe@example.com\n</saml:NameID", 1), "signer") + end, "/samlp:Response/saml:Assertion"},
		"a value as character data":   {response + samltest.Sign(t, strings.Replace(samltest.Text, ">joe@example.com</saml:NameID", "><![CDATA[joe@]]>example.com</saml:NameID", 1), "signer") + end, "/samlp:Response/saml:Assertion"},
		"another document beside it":  {response + "<x/>" + samltest.Sign(t, samltest.Text, "signer") + end, "/samlp:Response/saml:Assertion"},
		"no certificate in signature": {response + cut(samltest.Sign(t, samltest.Text, "signer"), "<ds:KeyInfo>", "</ds:KeyInfo>") + end, "/samlp:Response/saml:Assertion"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := "authority"
			if strings.Contains(name, "certificate") {
				trust = "pinned"
			}
			if fault, subject := run(t, policyFor("/samlp:Response/saml:Assertion", tt.signed, trust), tt.body); subject != honest {
				t.Errorf("fault %q, subject %q", fault, subject)
			}
		})
	}
}

func cut(s, from, to string) string {
	i, j := strings.Index(s, from), strings.Index(s, to)
	return s[:i] + s[j+len(to):]
}

// resign changes the SignedInfo of a signed assertion and signs it again.
func resign(t *testing.T, assertion string, change func(info *etree.Element), sign func(data []byte) []byte) string {
	t.Helper()
	root := parse(t, assertion)
	signature := root.SelectElement("Signature")
	info := signature.SelectElement("SignedInfo")
	change(info)
	data, err := xmldsig.Canonical(info, xmldsig.Exclusive, "")
	if err != nil {
		t.Fatal(err)
	}
	signature.SelectElement("SignatureValue").SetText(base64.StdEncoding.EncodeToString(sign(data)))
	return text(t, root)
}

func algorithm(tag, uri string) func(*etree.Element) {
	return func(info *etree.Element) { info.FindElement(".//"+tag).CreateAttr("Algorithm", uri) }
}

// rightly signs as the identity provider does.
func rightly(t *testing.T, data []byte) []byte {
	t.Helper()
	key, _, err := samltest.Load("signer")
	if err != nil {
		t.Fatal(err)
	}
	value, err := xmldsig.Methods[1].Sign(key, data)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestForgery has what an attacker, or a careless identity provider, may do to a
// signature and an assertion.
func TestForgery(t *testing.T) {
	genuine := samltest.Sign(t, samltest.Text, "signer")
	forged := strings.ReplaceAll(samltest.Text, honest, evil)
	_, certs, err := samltest.Load("signer")
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(certs[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	withMAC := func(uri string, h func() hash.Hash, secret []byte) string {
		return resign(t, samltest.Sign(t, forged, "rogue"), algorithm("SignatureMethod", uri), func(data []byte) []byte {
			mac := hmac.New(h, secret)
			mac.Write(data)
			return mac.Sum(nil)
		})
	}
	again := func(change func(info *etree.Element)) string {
		return resign(t, genuine, change, func(data []byte) []byte { return rightly(t, data) })
	}
	rogue := samltest.Sign(t, forged, "rogue")
	certificate := func(der []byte) string {
		return "<ds:X509Certificate>" + base64.StdEncoding.EncodeToString(der) + "</ds:X509Certificate>"
	}
	replace := func(old, new string) string {
		if !strings.Contains(genuine, old) {
			t.Fatalf("the assertion has no %s", old)
		}
		return strings.Replace(genuine, old, new, 1)
	}
	signed := func(old, new string) string {
		return samltest.Sign(t, strings.Replace(samltest.Text, old, new, 1), "signer")
	}
	for _, tt := range []struct{ name, trust, assertion, want string }{
		{"nobody signed", "authority", samltest.Text, "InvalidSignature"},
		{"a value was changed", "authority", strings.ReplaceAll(genuine, honest, evil), "InvalidSignature"},
		{"the digest was changed too", "authority", again(func(i *etree.Element) { i.FindElement(".//DigestValue").SetText("AAAA") }), "InvalidSignature"},
		{"a comment in the subject", "authority", replace("joe@example.com</saml:NameID>", "joe@<!-- -->example.com</saml:NameID>"), "InvalidAssertion"},
		{"a comment in an attribute", "authority", replace("<saml:AttributeValue>reader", "<saml:AttributeValue>read<!-- -->er"), "InvalidAssertion"},
		{"a comment in the issuer", "authority", replace("idp.example.com<", "idp.example<!---->.com<"), "InvalidAssertion"},
		{"a comment in the digest", "authority", replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->"), "InvalidSignature"},

		{"signed by a key that the message brings", "authority", rogue, "UntrustedSigner"},
		{"that key is as good as another name", "pinned", rogue, "UntrustedSigner"},
		{"a key without a certificate", "authority", strings.Replace(cut(rogue, "<ds:X509Data>", "</ds:X509Data>"), "<ds:KeyInfo>",
			`<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>`, 1), "InvalidSignature"},
		{"another's certificate", "authority", strings.Replace(cut(rogue, "<ds:X509Certificate>", "</ds:X509Certificate>"), "<ds:X509Data>", "<ds:X509Data>"+certificate(certs[0].Raw), 1), "InvalidSignature"},
		{"another's certificate beside its own", "authority", strings.Replace(rogue, "<ds:X509Data>", "<ds:X509Data>"+certificate(certs[0].Raw), 1), "InvalidSignature"},
		{"no KeyInfo at all", "authority", cut(rogue, "<ds:KeyInfo>", "</ds:KeyInfo>"), "InvalidSignature"},
		{"a certificate that is none", "authority", replace("<ds:X509Certificate>", "<ds:X509Certificate>AAAA"), "InvalidSignature"},
		{"more certificates than anybody needs", "authority", replace("<ds:X509Data>", "<ds:X509Data>"+strings.Repeat(certificate(certs[0].Raw), 11)), "InvalidSignature"},
		{"the certificate has expired", "authority", samltest.Sign(t, samltest.Text, "expired"), "UntrustedSigner"},
		{"the certificate in the store has expired", "expired", samltest.Sign(t, samltest.Text, "expired"), "UntrustedSigner"},
		{"another trust store", "rogue", genuine, "UntrustedSigner"},
		{"an empty trust store", "empty", genuine, "TrustStoreNotAvailable"},
		{"no such trust store", "none", genuine, "TrustStoreNotAvailable"},

		{"HMAC with the certificate as its secret", "authority", withMAC("http://www.w3.org/2000/09/xmldsig#hmac-sha1", sha1.New, certs[0].Raw), "UnsupportedAlgorithm"},
		{"HMAC with the public key as its secret", "authority", withMAC("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", sha256.New, public), "UnsupportedAlgorithm"},
		{"HMAC with the PEM as its secret", "pinned", withMAC("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", sha256.New, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs[0].Raw})), "UnsupportedAlgorithm"},
		{"MD5", "authority", again(algorithm("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5")), "UnsupportedAlgorithm"},
		{"a weaker hash than was signed with", "authority", again(algorithm("SignatureMethod", "http://www.w3.org/2000/09/xmldsig#rsa-sha1")), "InvalidSignature"},
		{"a key of another kind", "authority", again(algorithm("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")), "InvalidSignature"},
		{"no algorithm", "authority", again(algorithm("SignatureMethod", "")), "UnsupportedAlgorithm"},
		{"no SignatureMethod", "authority", again(func(i *etree.Element) { i.RemoveChild(i.SelectElement("SignatureMethod")) }), "InvalidSignature"},
		{"two of them", "authority", again(func(i *etree.Element) { i.AddChild(i.SelectElement("SignatureMethod").Copy()) }), "InvalidSignature"},
		{"a digest with MD5", "authority", again(algorithm("DigestMethod", "http://www.w3.org/2001/04/xmldsig-more#md5")), "UnsupportedAlgorithm"},
		{"canonicalization that is none", "authority", again(algorithm("CanonicalizationMethod", "urn:none")), "UnsupportedAlgorithm"},
		{"XSLT", "authority", again(func(i *etree.Element) {
			i.FindElements(".//Transform")[1].CreateAttr("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")
		}), "UnsupportedAlgorithm"},
		{"a transform that selects", "authority", again(func(i *etree.Element) {
			i.FindElement(".//Transforms").CreateElement("ds:Transform").CreateAttr("Algorithm", "http://www.w3.org/2002/06/xmldsig-filter2")
		}), "UnsupportedAlgorithm"},
		{"no transforms", "authority", again(func(i *etree.Element) {
			r := i.SelectElement("Reference")
			r.RemoveChild(r.SelectElement("Transforms"))
		}), "InvalidSignature"},
		{"the canonicalization is missing", "authority", again(func(i *etree.Element) {
			tr := i.FindElement(".//Transforms")
			tr.RemoveChild(tr.ChildElements()[0])
		}), "UnsupportedAlgorithm"},
		{"no reference", "authority", again(func(i *etree.Element) { i.RemoveChild(i.SelectElement("Reference")) }), "InvalidSignature"},
		{"two references", "authority", again(func(i *etree.Element) { i.AddChild(i.SelectElement("Reference").Copy()) }), "InvalidSignature"},
		{"a reference to nothing", "authority", again(func(i *etree.Element) { i.SelectElement("Reference").CreateAttr("URI", "#_none") }), "InvalidSignature"},
		{"a reference to the whole message", "authority", again(func(i *etree.Element) { i.SelectElement("Reference").CreateAttr("URI", "") }), "InvalidSignature"},
		{"a reference elsewhere", "authority", again(func(i *etree.Element) {
			i.SelectElement("Reference").CreateAttr("URI", "http://127.0.0.1/")
		}), "InvalidSignature"},
		{"an XPointer", "authority", again(func(i *etree.Element) { i.SelectElement("Reference").CreateAttr("URI", "#xpointer(id('_a1'))") }), "InvalidSignature"},
		{"no URI", "authority", again(func(i *etree.Element) { i.SelectElement("Reference").RemoveAttr("URI") }), "InvalidSignature"},
		{"no SignedInfo", "authority", cut(genuine, "<ds:SignedInfo>", "</ds:SignedInfo>"), "InvalidSignature"},
		{"no value", "authority", cut(genuine, "<ds:SignatureValue>", "</ds:SignatureValue>"), "InvalidSignature"},
		{"an empty value", "authority", strings.Replace(cut(genuine, "<ds:SignatureValue>", "</ds:SignatureValue>"), "<ds:KeyInfo>", "<ds:SignatureValue/><ds:KeyInfo>", 1), "InvalidSignature"},

		{"an entity", "authority", `<!DOCTYPE a [<!ENTITY e "x">]>` + genuine, "InvalidXML"},
		{"not XML", "authority", genuine + "<", "InvalidXML"},
		{"a name that parsers read differently", "authority", replace("<saml:Issuer>", "<a:b:c/><saml:Issuer>"), "InvalidXML"},
		{"SAML 1.1", "authority", signed(`Version="2.0"`, `Version="1.1"`), "InvalidAssertion"},
		{"an id in another place", "authority", signed(`ID="_a1"`, `Id="_a1"`), "InvalidAssertion"},
		{"no issuer", "authority", signed("<saml:Issuer>https://idp.example.com</saml:Issuer>", ""), "InvalidAssertion"},
		{"two subjects", "authority", signed("<saml:Conditions", "<saml:Subject/><saml:Conditions"), "InvalidAssertion"},
		{"a condition that nobody knows", "authority", signed("<saml:AudienceRestriction>", "<saml:Condition/><saml:AudienceRestriction>"), "InvalidAssertion"},
		{"not yet", "authority", signed(`NotBefore="2026-04-01T11:59:00Z"`, `NotBefore="2026-04-01T12:00:01Z"`), "AssertionNotYetValid"},
		{"no longer", "authority", signed(`<saml:Conditions NotBefore="2026-04-01T11:59:00Z" NotOnOrAfter="2026-04-01T12:05:00Z"`, `<saml:Conditions NotOnOrAfter="2026-04-01T12:00:00Z"`), "AssertionExpired"},
		{"the confirmation no longer", "authority", signed(`InResponseTo="_r1" NotOnOrAfter="2026-04-01T12:05:00Z"`, `NotOnOrAfter="2026-04-01T14:00:00+02:00"`), "AssertionExpired"},
		{"a time that is none", "authority", signed(`NotBefore="2026-04-01T11:59:00Z"`, `NotBefore="yesterday"`), "InvalidAssertion"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := samltest.Envelope(tt.assertion)
			if tt.want == "InvalidXML" && strings.HasPrefix(tt.assertion, "<!DOCTYPE") {
				body = strings.Replace(tt.assertion, "]>", "]>"+samltest.Envelope(""), 1)
				body = body[:strings.Index(body, "</soap:Envelope>")+len("</soap:Envelope>")]
			}
			xml := strings.Replace(samltest.Policy, "<TrustStore>authority", "<TrustStore>"+tt.trust, 1)
			if name, subject := run(t, xml, body); name != tt.want {
				t.Errorf("fault %q, want %s (subject %q)", name, tt.want, subject)
			}
		})
	}
}
