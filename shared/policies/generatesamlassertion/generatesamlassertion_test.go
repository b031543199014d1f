package generatesamlassertion

import (
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/saml/samltest"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

func services(*testing.T) policy.Services { return policy.Services{Keys: samltest.Keys{}} }

func TestCases(t *testing.T) { policytest.Run(t, Kind, policytest.WithServices(services)) }

const simple = `<GenerateSAMLAssertion name="SAML">
  <Issuer>https://perigee.example.com</Issuer>
  <Subject ref="request.queryparam.user"/>
  <KeyStore><Name>idp</Name><Alias>signer</Alias></KeyStore>
  <SignatureAlgorithm>SHA256</SignatureAlgorithm>
  <OutputVariable>
    <FlowVariable>assertion</FlowVariable>
    <Message name="request">
      <Namespaces><Namespace prefix="soap">http://schemas.xmlsoap.org/soap/envelope/</Namespace></Namespaces>
      <XPath>/soap:Envelope/soap:Header</XPath>
    </Message>
  </OutputVariable>
</GenerateSAMLAssertion>`

const envelope = `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header/><soap:Body>7</soap:Body></soap:Envelope>`

// An assertion made without a template has an id of its own, so that its text is
// never the same: it is read as a receiver does. A subject that a caller chose
// cannot add anything.
func TestDefaultAssertion(t *testing.T) {
	p := policytest.Compile(t, Kind, simple, policy.Services{Keys: samltest.Keys{}})
	fc := policytest.Context(t, map[string][]byte{
		"request": []byte("POST /v1/a?user=%22%3E%3Cadmin%2F%3E%26joe\nContent-Type: text/xml\n\n" + envelope),
	})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	body, err := fc.Request.Content()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), "<soap:Header>"+fc.Text("assertion")+"</soap:Header>") {
		t.Errorf("the message is %s", body)
	}
	for _, tt := range []struct {
		at   time.Duration
		want saml.Reason
	}{{0, ""}, {saml.Lifetime, saml.AssertionExpired}, {-2 * saml.Early, saml.AssertionNotYet}} {
		a, err := read(t, body, samltest.Now.Add(tt.at))
		if tt.want != "" {
			if e, ok := err.(*saml.Error); !ok || e.Reason != tt.want {
				t.Errorf("after %v: %v", tt.at, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want := saml.Assertion{
			ID: fc.Text("saml.id"), IssueInstant: "2026-04-01T12:00:00.000Z", Issuer: "https://perigee.example.com",
			Subject: `"><admin/>&joe`, SubjectFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
			Confirmation: saml.Confirmation{Method: "urn:oasis:names:tc:SAML:2.0:cm:bearer"},
		}
		if a.ID != want.ID || a.Subject != want.Subject || a.Issuer != want.Issuer || a.SubjectFormat != want.SubjectFormat ||
			a.Confirmation != want.Confirmation || a.IssueInstant != want.IssueInstant {
			t.Errorf("got  %+v\nwant %+v", *a, want)
		}
	}
}

func read(t *testing.T, body []byte, now time.Time) (*saml.Assertion, error) {
	t.Helper()
	doc, err := saml.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	x, err := xpath.Compile("//saml:Assertion", map[string]string{"saml": saml.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	el, err := doc.Select(x)
	if err != nil {
		t.Fatal(err)
	}
	_, trust, err := samltest.Load("authority")
	if err != nil {
		t.Fatal(err)
	}
	return doc.Validate(el, el, trust, now)
}

func BenchmarkRun(b *testing.B) {
	xml := strings.Replace(simple, "<Message name", "<!--", 1)
	xml = xml[:strings.Index(xml, "<!--")] + xml[strings.Index(xml, "</Message>")+len("</Message>"):]
	p := policytest.Compile(b, Kind, xml, policy.Services{Keys: samltest.Keys{}})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a?user=joe\nContent-Type: text/xml\n\n" + envelope})
}
