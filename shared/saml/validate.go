package saml

import (
	"bytes"
	"crypto/x509"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// Assertion is what a valid assertion says. Values are text as it was signed;
// what is not there is empty.
type Assertion struct {
	ID, Issuer, IssueInstant string
	Subject, SubjectFormat   string
	// Confirmation is the first SubjectConfirmation.
	Confirmation Confirmation
	Authn        Authn
	Attributes   []Attribute
}

// Confirmation is a SubjectConfirmation with its data.
type Confirmation struct{ Method, Address, InResponseTo, Recipient string }

// Authn is the first AuthnStatement.
type Authn struct{ Instant, SessionIndex, SessionNotOnOrAfter, ContextClassRef string }

// Attribute is an attribute with its values, in document order.
type Attribute struct {
	Name   string
	Values []string
}

// Validate checks the signature of signed, which is the assertion or an element
// around it, and reads the assertion. The error is an *Error.
func (d *Document) Validate(assertion, signed *etree.Element, trust []*x509.Certificate, now time.Time) (*Assertion, error) {
	if !xmldsig.Is(assertion, Namespace, "Assertion") {
		return nil, refuse(InvalidAssertion, "%s is no assertion of SAML 2.0", assertion.FullTag())
	}
	v := &validation{d: d, signed: signed, trust: trust, now: now}
	if err := v.signature(); err != nil {
		return nil, err
	}
	if err := v.covers(assertion); err != nil {
		return nil, err
	}
	return v.read(assertion)
}

type validation struct {
	d         *Document
	signed    *etree.Element
	sig, info *etree.Element
	trust     []*x509.Certificate
	now       time.Time
}

// covers reports whether the assertion is part of what was digested, and
// whether others may take something else for it.
func (v *validation) covers(assertion *etree.Element) error {
	for el := assertion; el != v.signed; el = el.Parent() {
		if el == nil || el == v.sig { // the enveloped signature is not digested
			return refuse(InvalidSignature, "the assertion is not in the element that is signed")
		}
	}
	for el := v.signed.Parent(); el != nil; el = el.Parent() {
		if xmldsig.Is(el, Namespace, "Assertion") {
			return refuse(AmbiguousElement, "the assertion is in another one that is not signed")
		}
	}
	if p := assertion.Parent(); assertion == v.signed && p != nil && len(xmldsig.Children(p, Namespace, "Assertion")) > 1 {
		return refuse(AmbiguousElement, "there is another assertion beside the one that is signed")
	}
	return nil
}

// signature checks the Signature that is a child of the signed element and signs
// nothing else.
func (v *validation) signature() (err error) {
	if v.sig, err = xmldsig.Child(v.signed, xmldsig.Namespace, "Signature"); err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	if v.sig == nil {
		return refuse(InvalidSignature, "%s has no Signature", v.signed.FullTag())
	}
	if v.info, err = xmldsig.Child(v.sig, xmldsig.Namespace, "SignedInfo"); err != nil || v.info == nil {
		return refuse(InvalidSignature, "the Signature has not one SignedInfo")
	}
	if err := v.value(); err != nil {
		return err
	}
	return v.reference()
}

// value checks the SignatureValue with the keys that may have signed.
func (v *validation) value() error {
	c14n, prefixes, err := xmldsig.Algorithm(v.info, "CanonicalizationMethod")
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	uri, _, err := xmldsig.Algorithm(v.info, "SignatureMethod")
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	m, err := xmldsig.MethodOf(uri)
	if err != nil {
		return refuse(UnsupportedSigning, "%v", err)
	}
	data, err := xmldsig.Canonical(v.info, c14n, prefixes)
	if err != nil {
		return refuse(UnsupportedSigning, "%v", err)
	}
	value, err := xmldsig.Decode(v.sig, "SignatureValue")
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	keys, err := v.signers()
	if err != nil {
		return err
	}
	for _, c := range keys {
		if m.Verify(c.PublicKey, data, value) == nil {
			return nil
		}
	}
	return refuse(InvalidSignature, "the signature is wrong")
}

// maxCertificates is how many certificates of a message are looked at.
const maxCertificates = 10

// signers are the certificates whose keys may have signed: those of the trust
// store, and those in the message that one of its authorities stands for. A bare
// key in the message counts for nothing.
func (v *validation) signers() ([]*x509.Certificate, error) {
	inside, err := v.embedded()
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range v.trust {
		if v.current(c) {
			out = append(out, c)
			roots.AddCert(c)
		}
	}
	for _, c := range inside {
		between.AddCert(c)
	}
	for _, c := range inside {
		_, err := c.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: v.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err == nil {
			out = append(out, c)
		}
	}
	if len(inside) > 0 && !v.known(inside, out) {
		return nil, refuse(UntrustedSigner, "no certificate of the signature is trusted")
	}
	if len(out) == 0 {
		return nil, refuse(UntrustedSigner, "no certificate of the trust store is valid at this time")
	}
	return out, nil
}

// known reports whether one of the certificates of a message is trusted.
func (v *validation) known(inside, trusted []*x509.Certificate) bool {
	for _, c := range inside {
		for _, t := range trusted {
			if c.Equal(t) {
				return true
			}
		}
	}
	return false
}

func (v *validation) current(c *x509.Certificate) bool {
	return !v.now.Before(c.NotBefore) && !v.now.After(c.NotAfter)
}

func (v *validation) embedded() ([]*x509.Certificate, error) {
	info, err := xmldsig.Child(v.sig, xmldsig.Namespace, "KeyInfo")
	if err != nil {
		return nil, refuse(InvalidSignature, "%v", err)
	}
	if info == nil {
		return nil, nil
	}
	var out []*x509.Certificate
	for _, data := range xmldsig.Children(info, xmldsig.Namespace, "X509Data") {
		for _, el := range xmldsig.Children(data, xmldsig.Namespace, "X509Certificate") {
			der, err := xmldsig.DecodeText(el)
			if err != nil {
				return nil, refuse(InvalidSignature, "%v", err)
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, refuse(InvalidSignature, "%v", err)
			}
			if out = append(out, c); len(out) > maxCertificates {
				return nil, refuse(InvalidSignature, "the Signature has more than %d certificates", maxCertificates)
			}
		}
	}
	return out, nil
}

// reference checks that the one Reference is to the signed element, and its
// digest.
func (v *validation) reference() error {
	ref, err := xmldsig.Child(v.info, xmldsig.Namespace, "Reference")
	if err != nil || ref == nil {
		return refuse(InvalidSignature, "the Signature has not one Reference")
	}
	if err := v.refersTo(ref); err != nil {
		return err
	}
	c14n, prefixes, err := transforms(ref)
	if err != nil {
		return err
	}
	uri, _, err := xmldsig.Algorithm(ref, "DigestMethod")
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	digest, err := xmldsig.DigestOf(uri)
	if err != nil {
		return refuse(UnsupportedSigning, "%v", err)
	}
	want, err := xmldsig.Decode(ref, "DigestValue")
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	at := v.sig.Index()
	v.signed.RemoveChildAt(at)
	data, err := xmldsig.Referenced(v.signed, c14n, prefixes)
	v.signed.InsertChildAt(at, v.sig)
	if err != nil {
		return refuse(UnsupportedSigning, "%v", err)
	}
	if !bytes.Equal(digest.Sum(data), want) {
		return refuse(InvalidSignature, "the digest is wrong")
	}
	return nil
}

// refersTo holds the reference to the element that the signature is in: it has
// the id, and it alone.
func (v *validation) refersTo(ref *etree.Element) error {
	uri := ref.SelectAttr("URI")
	switch {
	case uri == nil:
		return refuse(InvalidSignature, "the Reference has no URI")
	case uri.Value == "" && v.d.IsRoot(v.signed):
		return nil
	}
	el, err := xmldsig.IDsOf(v.d.root).Find(uri.Value)
	if err != nil {
		return refuse(InvalidSignature, "%v", err)
	}
	if el != v.signed {
		return refuse(InvalidSignature, "the signature is of another element")
	}
	return nil
}

// transforms reads the canonicalization of a reference. SAML allows the
// enveloped signature and a canonicalization behind it, nothing else (saml-core,
// section 5.4.4).
func transforms(ref *etree.Element) (c14n, prefixes string, err error) {
	list, err := xmldsig.Child(ref, xmldsig.Namespace, "Transforms")
	if err != nil || list == nil {
		return "", "", refuse(InvalidSignature, "the Reference has not one Transforms")
	}
	steps := xmldsig.Children(list, xmldsig.Namespace, "Transform")
	if n := len(steps); n == 0 || n > 2 || n != len(list.ChildElements()) || steps[0].SelectAttrValue("Algorithm", "") != xmldsig.Enveloped {
		return "", "", refuse(UnsupportedSigning, "the transforms are not the enveloped signature and a canonicalization")
	}
	if len(steps) == 1 {
		return xmldsig.Inclusive, "", nil // XML Signature, section 4.4.3.2
	}
	return steps[1].SelectAttrValue("Algorithm", ""), xmldsig.PrefixList(steps[1]), nil
}

// read checks the assertion's own rules and takes its values.
func (v *validation) read(el *etree.Element) (*Assertion, error) {
	a := &Assertion{ID: el.SelectAttrValue("ID", ""), IssueInstant: el.SelectAttrValue("IssueInstant", "")}
	if version := el.SelectAttrValue("Version", ""); version != "2.0" || a.ID == "" {
		return nil, refuse(InvalidAssertion, "the assertion has no ID, or version %q instead of 2.0", version)
	}
	issuer, err := v.only(el, "Issuer")
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		return nil, refuse(InvalidAssertion, "the assertion has no Issuer")
	}
	if a.Issuer, err = textOf(issuer); err != nil {
		return nil, err
	}
	for _, step := range []func(*Assertion, *etree.Element) error{v.conditions, v.subject, v.authn, v.attributes} {
		if err := step(a, el); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (v *validation) only(el *etree.Element, tag string) (*etree.Element, error) {
	c, err := xmldsig.Child(el, Namespace, tag)
	if err != nil {
		return nil, refuse(InvalidAssertion, "%v", err)
	}
	return c, nil
}

// conditions checks the times, and that there is no condition that nobody here
// understands (saml-core, section 2.5.1.1). Whom an AudienceRestriction names is
// for the proxy to judge.
func (v *validation) conditions(_ *Assertion, el *etree.Element) error {
	c, err := v.only(el, "Conditions")
	if err != nil || c == nil {
		return err
	}
	for _, child := range c.ChildElements() {
		switch {
		case xmldsig.Is(child, Namespace, "AudienceRestriction"), xmldsig.Is(child, Namespace, "OneTimeUse"), xmldsig.Is(child, Namespace, "ProxyRestriction"):
		default:
			return refuse(InvalidAssertion, "the condition %s is not known", child.FullTag())
		}
	}
	return v.inTime(c)
}

// inTime checks NotBefore and NotOnOrAfter of el.
func (v *validation) inTime(el *etree.Element) error {
	if s := el.SelectAttrValue("NotBefore", ""); s != "" {
		t, err := parseTime(s)
		if err != nil {
			return refuse(InvalidAssertion, "NotBefore is no time: %q", s)
		}
		if v.now.Before(t) {
			return refuse(AssertionNotYet, "the assertion is not valid before %s", s)
		}
	}
	if s := el.SelectAttrValue("NotOnOrAfter", ""); s != "" {
		t, err := parseTime(s)
		if err != nil {
			return refuse(InvalidAssertion, "NotOnOrAfter is no time: %q", s)
		}
		if !v.now.Before(t) {
			return refuse(AssertionExpired, "the assertion is not valid on or after %s", s)
		}
	}
	return nil
}

// subject reads the subject. If there are confirmations, the times of one must
// be met.
func (v *validation) subject(a *Assertion, el *etree.Element) error {
	s, err := v.only(el, "Subject")
	if err != nil || s == nil {
		return err
	}
	name, err := v.only(s, "NameID")
	if err != nil {
		return err
	}
	if name != nil {
		a.SubjectFormat = name.SelectAttrValue("Format", "")
		if a.Subject, err = textOf(name); err != nil {
			return err
		}
	}
	confirmations := xmldsig.Children(s, Namespace, "SubjectConfirmation")
	for i, c := range confirmations {
		data, dataErr := v.only(c, "SubjectConfirmationData")
		if dataErr != nil {
			return dataErr
		}
		if i == 0 {
			a.Confirmation.Method = c.SelectAttrValue("Method", "")
		}
		if data == nil {
			return nil // nothing to meet
		}
		if i == 0 {
			a.Confirmation.Address = data.SelectAttrValue("Address", "")
			a.Confirmation.InResponseTo = data.SelectAttrValue("InResponseTo", "")
			a.Confirmation.Recipient = data.SelectAttrValue("Recipient", "")
		}
		if err = v.inTime(data); err == nil {
			return nil
		}
	}
	return err
}

func (v *validation) authn(a *Assertion, el *etree.Element) error {
	list := xmldsig.Children(el, Namespace, "AuthnStatement")
	if len(list) == 0 {
		return nil
	}
	s := list[0]
	a.Authn.Instant = s.SelectAttrValue("AuthnInstant", "")
	a.Authn.SessionIndex = s.SelectAttrValue("SessionIndex", "")
	a.Authn.SessionNotOnOrAfter = s.SelectAttrValue("SessionNotOnOrAfter", "")
	c, err := v.only(s, "AuthnContext")
	if err != nil || c == nil {
		return err
	}
	class, err := v.only(c, "AuthnContextClassRef")
	if err != nil || class == nil {
		return err
	}
	a.Authn.ContextClassRef, err = textOf(class)
	return err
}

func (v *validation) attributes(a *Assertion, el *etree.Element) error {
	for _, s := range xmldsig.Children(el, Namespace, "AttributeStatement") {
		for _, at := range xmldsig.Children(s, Namespace, "Attribute") {
			attr := Attribute{Name: at.SelectAttrValue("Name", "")}
			for _, value := range xmldsig.Children(at, Namespace, "AttributeValue") {
				text, err := textOf(value)
				if err != nil {
					return err
				}
				attr.Values = append(attr.Values, text)
			}
			a.Attributes = append(a.Attributes, attr)
		}
	}
	return nil
}

// textOf is the text of el and all beneath it. A comment or an instruction beside
// text is refused: canonicalization drops comments, so anybody can put one in,
// and readers differ on where the text ends then.
func textOf(el *etree.Element) (string, error) {
	var b strings.Builder
	if err := appendText(&b, el); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

func appendText(b *strings.Builder, el *etree.Element) error {
	text, other := false, false
	for _, t := range el.Child {
		switch t := t.(type) {
		case *etree.CharData:
			text = text || strings.TrimSpace(t.Data) != ""
			b.WriteString(t.Data)
		case *etree.Element:
			if err := appendText(b, t); err != nil {
				return err
			}
		default:
			other = true
		}
	}
	if text && other {
		return refuse(InvalidAssertion, "there is a comment in the text of %s", el.FullTag())
	}
	return nil
}
