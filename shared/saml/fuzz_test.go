package saml_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/saml/samltest"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// FuzzValidate holds that nothing that was not signed is valid: whatever is done
// to a message, its subject is the one that was signed, or there is none.
func FuzzValidate(f *testing.F) {
	genuine := samltest.Envelope(samltest.Sign(f, samltest.Text, "signer"))
	f.Add(genuine, 0, 0, "")
	f.Add(genuine, 2500, 0, "<!-- -->")
	f.Add("<a/>", 0, 0, "")
	path, err := xpath.Compile("//saml:Assertion", map[string]string{"saml": saml.Namespace})
	if err != nil {
		f.Fatal(err)
	}
	_, trust, err := samltest.Load("authority")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, message string, at, cut int, insert string) {
		if message == genuine && at >= 0 && cut >= 0 && at <= len(message) && cut <= len(message)-at {
			message = message[:at] + insert + message[at+cut:]
		}
		doc, err := saml.Parse([]byte(message))
		if err != nil {
			return
		}
		el, err := doc.Select(path)
		if err != nil {
			return
		}
		a, err := doc.Validate(el, el, trust, samltest.Now)
		if err != nil {
			return
		}
		if a.Subject != "joe@example.com" || a.ID != "_a1" || a.Issuer != "https://idp.example.com" || len(a.Attributes) != 2 {
			t.Fatalf("valid: %+v\n%s", a, message)
		}
		if _, err := saml.Parse(doc.Without(el)); err != nil {
			t.Fatalf("without the assertion it is no XML: %v", err)
		}
		if _, err := saml.Parse(doc.With(el.Parent(), "<a/>")); err != nil {
			t.Fatalf("with another element it is no XML: %v", err)
		}
	})
}
