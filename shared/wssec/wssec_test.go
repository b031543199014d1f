package wssec

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

var now = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

var pairs = sync.OnceValue(func() (p [2]pair) {
	for i := range p {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		name := pkix.Name{CommonName: fmt.Sprint("Test", i), Organization: []string{"Org, Inc"}, Country: []string{"US"}}
		template := &x509.Certificate{SerialNumber: big.NewInt(1234567890), Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		p[i] = pair{key, cert}
	}
	return p
})

const message = `<?xml version="1.0"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ns1="urn:a" xmlns:unused="urn:u">
  <soapenv:Body>
    <ns1:order a="x &amp; &quot;y&quot;" b='&#10;'>  text &lt; &#13; <!-- comment --><![CDATA[<cdata>]]><empty/></ns1:order>
  </soapenv:Body>
</soapenv:Envelope>`

func thumb(p pair) []string {
	sum := sha256.Sum256(p.cert.Raw)
	return []string{hex.EncodeToString(sum[:])}
}

func sign(t testing.TB, change func(*SignOptions)) string {
	t.Helper()
	o := SignOptions{Key: pairs()[0].key, Certificate: pairs()[0].cert, SigningMethod: "rsa-sha256", Expiry: 2 * time.Minute}
	if change != nil {
		change(&o)
	}
	signed, err := Sign(message, o, now)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestRoundTrip(t *testing.T) {
	empty, all, values := "", "*all*", "abc=, def="
	for name, change := range map[string]func(*SignOptions){
		"default":      func(o *SignOptions) { o.SigningMethod = "" },
		"sha1":         func(o *SignOptions) { o.SigningMethod, o.DigestMethod = "rsa-sha1", "sha1" },
		"direct":       func(o *SignOptions) { o.KeyIdentifier = X509CertDirect },
		"serial":       func(o *SignOptions) { o.KeyIdentifier = IssuerSerial },
		"thumbprint":   func(o *SignOptions) { o.KeyIdentifier = Thumbprint },
		"key value":    func(o *SignOptions) { o.KeyIdentifier = RSAKeyValue },
		"prefix":       func(o *SignOptions) { o.Prefix = "ds" },
		"named":        func(o *SignOptions) { o.Elements = []string{"soap:Body", "//wsu:Timestamp", "ns1:order"} },
		"confirmation": func(o *SignOptions) { o.Confirmation = &empty },
		"all":          func(o *SignOptions) { o.Confirmation = &all },
		"values":       func(o *SignOptions) { o.Confirmation = &values },
		"inclusive": func(o *SignOptions) {
			o.MethodNamespaces = []string{nsSOAP11}
			o.TransformNamespaces = []string{nsSOAP11, "urn:a", "urn:none"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			signed := sign(t, change)
			if err := Validate(signed, ValidateOptions{Certificate: pairs()[0].cert}, now); err != nil {
				t.Fatalf("%v\n%s", err, signed)
			}
			if err := Validate(signed, ValidateOptions{Certificate: pairs()[1].cert}, now); err == nil {
				t.Error("valid with another certificate")
			}
			if err := Validate(strings.Replace(signed, "text", "tent", 1), ValidateOptions{Certificate: pairs()[0].cert}, now); err == nil {
				t.Error("valid with another body")
			}
		})
	}
}

func TestShape(t *testing.T) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(sign(t, func(o *SignOptions) { o.KeyIdentifier = IssuerSerial })); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/Envelope/Header/Security/Timestamp/Created":                                           "2026-04-01T12:00:00Z",
		"/Envelope/Header/Security/Timestamp/Expires":                                           "2026-04-01T12:02:00Z",
		"//Signature/KeyInfo/SecurityTokenReference/X509Data/X509IssuerSerial/X509IssuerName":   `CN=Test0,O=Org\, Inc,C=US`,
		"//Signature/KeyInfo/SecurityTokenReference/X509Data/X509IssuerSerial/X509SerialNumber": "1234567890",
	} {
		el := doc.FindElement(path)
		if el == nil || el.Text() != want {
			t.Errorf("%s: %v", path, el)
		}
	}
	refs := doc.FindElements("//SignedInfo/Reference")
	if len(refs) != 2 || refs[0].SelectAttrValue("URI", "") != "#TS-100" || refs[1].SelectAttrValue("URI", "") != "#Body-101" {
		t.Errorf("%d references", len(refs))
	}
	if got := doc.FindElement("/Envelope/Header/Security").SelectAttrValue("soapenv:mustUnderstand", ""); got != "1" {
		t.Errorf("mustUnderstand %q", got)
	}
}

// A Security header, a Timestamp and ids that are there already are used.
func TestSignExisting(t *testing.T) {
	const payload = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:u="` + xmldsig.NamespaceWSUtil + `"><s:Header><x/><w:Security xmlns:w="` + nsSecExt +
		`"><u:Timestamp u:Id="mine"><u:Created>2026-04-01T11:59:00Z</u:Created><u:Expires>2026-04-01T12:01:00Z</u:Expires></u:Timestamp></w:Security></s:Header><s:Body u:Id="TS-100"/></s:Envelope>`
	o := SignOptions{Key: pairs()[0].key, Certificate: pairs()[0].cert, SOAPVersion: "1.2"}
	signed, err := Sign(payload, o, now)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(signed, "Timestamp>") != 1 || !strings.Contains(signed, `URI="#mine"`) || !strings.Contains(signed, `URI="#TS-100"`) || !strings.Contains(signed, "w:BinarySecurityToken") {
		t.Error(signed)
	}
	if err := Validate(signed, ValidateOptions{Thumbprints256: thumb(pairs()[0])}, now); err != nil {
		t.Error(err)
	}
	if err := Validate(signed, ValidateOptions{Thumbprints256: thumb(pairs()[0]), SOAPVersion: "1.1"}, now); err == nil {
		t.Error("valid as SOAP 1.1")
	}
}

func TestSignErrors(t *testing.T) {
	p := pairs()[0]
	for _, tt := range []struct {
		payload string
		o       SignOptions
		want    string
	}{
		{message, SignOptions{}, "private_key and certificate are required"},
		{message, SignOptions{Key: pairs()[1].key, Certificate: p.cert}, "the private key is no RSA key or not that of the certificate"},
		{message, SignOptions{Key: p.key, Certificate: p.cert, DigestMethod: "md5"}, `digest_method is "md5", want sha1 or sha256`},
		{message, SignOptions{Key: p.key, Certificate: p.cert, SigningMethod: "sha256"}, `signing_method is "sha256", want rsa-sha1 or rsa-sha256`},
		{message, SignOptions{Key: p.key, Certificate: p.cert, KeyIdentifier: "X"}, `key_identifier_type is "X"`},
		{message, SignOptions{Key: p.key, Certificate: p.cert, Elements: []string{"soap:Fault"}}, "elements_to_sign: there is no soap:Fault"},
		{message, SignOptions{Key: p.key, Certificate: p.cert, Elements: []string{"x:Fault"}}, "the prefix of x:Fault is not declared"},
		{message, SignOptions{Key: p.key, Certificate: p.cert, SOAPVersion: "1.2"}, "the payload is no SOAP envelope of version 1.2"},
		{"<a/>", SignOptions{Key: p.key, Certificate: p.cert}, "the payload is no SOAP envelope"},
		{"text", SignOptions{Key: p.key, Certificate: p.cert}, "the payload is no XML: text outside of the root element at line 1"},
		{"<!DOCTYPE a [<!ENTITY e 'x'>]>" + message[21:], SignOptions{Key: p.key, Certificate: p.cert}, "the payload has a document type"},
		{strings.Replace(message, "<empty/>", `<w:Security xmlns:w="`+nsSecExt+`"/>`, 1), SignOptions{Key: p.key, Certificate: p.cert}, "the Security element is not in the header of the envelope"},
		{strings.ReplaceAll(message, "soapenv:Body", "soapenv:Bode"), SignOptions{Key: p.key, Certificate: p.cert}, "the envelope has not one Body"},
	} {
		if _, err := Sign(tt.payload, tt.o, now); fmt.Sprint(err) != tt.want {
			t.Errorf("got %v\nwant %s", err, tt.want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := ValidateOptions{Thumbprints256: thumb(pairs()[0])}
	short := sha1.Sum(pairs()[0].cert.Raw)
	signed := sign(t, nil)
	for _, tt := range []struct {
		name    string
		payload string
		o       func(*ValidateOptions)
		at      time.Duration
		want    string
	}{
		{name: "good", payload: signed},
		{name: "sha1 thumbprint", payload: signed, o: func(o *ValidateOptions) {
			*o = ValidateOptions{Thumbprints: []string{strings.ToUpper(hex.EncodeToString(short[:]))}}
		}},
		{name: "no trust", payload: signed, o: func(o *ValidateOptions) { *o = ValidateOptions{SubjectCNs: []string{"Test0"}} }, want: ErrOptions.Error()},
		{name: "other thumbprint", payload: signed, o: func(o *ValidateOptions) { o.Thumbprints256 = thumb(pairs()[1]) }, want: "the thumbprint of the certificate is not accepted"},
		{name: "name", payload: signed, o: func(o *ValidateOptions) { o.SubjectCNs = []string{"a", "Test0"} }},
		{name: "other name", payload: signed, o: func(o *ValidateOptions) { o.SubjectCNs = []string{"Test1"} }, want: "the subject of the certificate is not accepted"},
		{name: "expired", payload: signed, at: 3 * time.Minute, want: "the message has expired"},
		{name: "expired and ignored", payload: signed, at: 3 * time.Minute, o: func(o *ValidateOptions) { o.IgnoreExpiry = true }},
		{name: "certificate expired", payload: signed, at: 2 * time.Hour, o: func(o *ValidateOptions) { o.IgnoreExpiry = true }, want: "the certificate is not valid at this time"},
		{name: "certificate expired and ignored", payload: signed, at: 2 * time.Hour, o: func(o *ValidateOptions) { o.IgnoreExpiry, o.IgnoreCertificateExpiry = true, true }},
		{name: "lifetime", payload: signed, o: func(o *ValidateOptions) { o.MaxLifetime = 2 * time.Minute }},
		{name: "too long a life", payload: signed, o: func(o *ValidateOptions) { o.MaxLifetime = time.Minute }, want: "the message lives longer than max_lifetime"},
		{name: "methods", payload: signed, o: func(o *ValidateOptions) { o.SigningMethod, o.DigestMethod = "rsa-sha256", "sha256" }},
		{name: "other signing method", payload: signed, o: func(o *ValidateOptions) { o.SigningMethod = "rsa-sha1" }, want: `the method is "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", want rsa-sha1`},
		{name: "other digest", payload: signed, o: func(o *ValidateOptions) { o.DigestMethod = "sha1" }, want: `the method is "http://www.w3.org/2001/04/xmlenc#sha256", want sha1`},
		{name: "no expiry", payload: sign(t, func(o *SignOptions) { o.Expiry = 0 }), want: "the Timestamp does not expire"},
		{name: "no expiry needed", payload: sign(t, func(o *SignOptions) { o.Expiry = 0 }), o: func(o *ValidateOptions) { o.OptionalExpiry = true }},
		{name: "body only", payload: sign(t, func(o *SignOptions) { o.Elements = []string{"soap:Body"} }), want: "wsu:Timestamp is not signed"},
		{name: "body is enough", payload: sign(t, func(o *SignOptions) { o.Elements = []string{"soap:Body"} }), o: func(o *ValidateOptions) { o.Required = []string{"soap:Body"} }},
		{name: "required part", payload: signed, o: func(o *ValidateOptions) { o.Required = []string{"ns1:order"} }},
		{name: "required is missing", payload: signed, o: func(o *ValidateOptions) { o.Required = []string{"ns1:none"} }, want: "there is no ns1:none"},
		{name: "unsigned", payload: message, want: "there is no Security header"},
		{name: "not XML", payload: "{}", want: "the payload is no XML: text outside of the root element at line 1"},
		{name: "signature removed", payload: cut(signed, "<Signature", "</Signature>"), want: "there is no Signature"},
		{name: "key removed", payload: cut(signed, "<KeyInfo", "</KeyInfo>"), want: "the Signature has no KeyInfo and no certificate was given"},
		{name: "time changed", payload: strings.Replace(signed, "12:02:00Z", "12:59:00Z", 1), want: `the digest of "#TS-100" is wrong`},
		{name: "comment in the body", payload: strings.Replace(signed, "text", "<!-- another -->text", 1)},
		{name: "doctype", payload: "<!DOCTYPE a>" + signed[strings.Index(signed, "<soapenv"):], want: "the payload has a document type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			if tt.o != nil {
				tt.o(&o)
			}
			err := Validate(tt.payload, o, now.Add(tt.at))
			if got := fmt.Sprint(err); err == nil && tt.want != "" || err != nil && got != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func cut(s, from, to string) string {
	i, j := strings.Index(s, from), strings.Index(s, to)
	return s[:i] + s[j+len(to):]
}

// Signature wrapping: the signed body is moved to where nobody reads it and
// another takes its place.
func TestWrapping(t *testing.T) {
	signed := sign(t, nil)
	doc := etree.NewDocument()
	if err := doc.ReadFromString(signed); err != nil {
		t.Fatal(err)
	}
	body := doc.FindElement("/Envelope/Body")
	evil := etree.NewElement("soapenv:Body")
	evil.CreateElement("evil")
	wrapper := doc.FindElement("/Envelope/Header").CreateElement("wrapper")
	body.Remove()
	wrapper.AddChild(body)
	doc.Root().AddChild(evil)
	check := func(name string) {
		t.Helper()
		s, _ := doc.WriteToString()
		if err := Validate(s, ValidateOptions{Thumbprints256: thumb(pairs()[0])}, now); err == nil {
			t.Errorf("%s is valid", name)
		}
	}
	check("a body moved away")
	id := body.SelectAttr("Id")
	evil.CreateAttr(id.FullKey(), id.Value)
	check("a body with the same id")
	evil.RemoveAttr(id.FullKey())
	evil.CreateAttr("Id", id.Value)
	check("a body with the same id in no namespace")
}

func TestIssuerComparison(t *testing.T) {
	cert := pairs()[0].cert
	for _, tt := range []struct {
		name, how string
		skip      bool
		want      bool
	}{
		{`CN=Test0,O=Org\, Inc,C=US`, "", false, true},
		{`CN=Test0, O=Org\, Inc, C=US`, "string", false, false},
		{`cn=Test0, O=Org\, Inc, C=US`, "normal", false, true},
		{`C=US, O=Org\, Inc, CN=Test0`, "normal", false, false},
		{`C=US, O=Org\, Inc, CN=Test0`, "reverse", false, true},
		{`O=Org\, Inc, CN=Test0, C=US`, "unordered", false, true},
		{`CN=Test0, 1.2.3=#0c, O=Org\, Inc, C=US`, "normal", true, true},
		{`CN=Test0, 1.2.3=#0c, O=Org\, Inc, C=US`, "normal", false, false},
		{`CN=Other,O=Org\, Inc,C=US`, "unordered", false, false},
	} {
		if got, err := sameIssuer(tt.name, cert, "DN", tt.how, tt.skip); err != nil || got != tt.want {
			t.Errorf("%s %s: %v, %v", tt.name, tt.how, got, err)
		}
	}
	if ok, err := sameIssuer("CN=Test0", cert, "CN", "", false); !ok || err != nil {
		t.Error(err)
	}
	if _, err := sameIssuer("", cert, "", "other", false); err == nil {
		t.Error("unknown comparison")
	}
}

// FuzzValidate holds that nothing that was not signed is valid, and that no
// message takes the process down.
func FuzzValidate(f *testing.F) {
	signed := sign(f, nil)
	f.Add(signed, 0, byte('x'))
	f.Add(message, 10, byte('<'))
	want := bodyOf(signed)
	f.Fuzz(func(t *testing.T, s string, at int, c byte) {
		if s == signed && at >= 0 && at < len(s) { // one byte changed
			s = s[:at] + string(rune(c)) + s[at+1:]
		}
		if Validate(s, ValidateOptions{Thumbprints256: thumb(pairs()[0])}, now) == nil && bodyOf(s) != want {
			t.Fatalf("valid with another body: %s", s)
		}
	})
}

// bodyOf is the canonical form of a message's Body.
func bodyOf(s string) string {
	e, err := parse(s, "")
	if err != nil {
		return ""
	}
	body, err := xmldsig.Child(e.root, e.ns, "Body")
	if err != nil || body == nil {
		return ""
	}
	data, _ := xmldsig.Canonical(body, xmldsig.Exclusive, "")
	return string(data)
}

func BenchmarkSign(b *testing.B) {
	o := SignOptions{Key: pairs()[0].key, Certificate: pairs()[0].cert, SigningMethod: "rsa-sha256"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(message, o, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	signed := sign(b, nil)
	o := ValidateOptions{Thumbprints256: thumb(pairs()[0])}
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(signed, o, now); err != nil {
			b.Fatal(err)
		}
	}
}
