package saml

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// Lifetimes of an assertion that New makes.
const (
	// Lifetime is from the instant of issue until the assertion is void.
	Lifetime = 5 * time.Minute
	// Early is how long before its issue it is valid: clocks differ.
	Early = time.Minute
)

// New returns an assertion that issuer makes about subject at an instant: a
// bearer may use it for Lifetime.
func New(id, issuer, subject string, at time.Time) *etree.Document {
	doc := etree.NewDocument()
	a := doc.CreateElement("saml:Assertion")
	a.CreateAttr("xmlns:saml", Namespace)
	a.CreateAttr("ID", id)
	a.CreateAttr("IssueInstant", FormatTime(at))
	a.CreateAttr("Version", "2.0")
	a.CreateElement("saml:Issuer").SetText(issuer)
	s := a.CreateElement("saml:Subject")
	name := s.CreateElement("saml:NameID")
	name.CreateAttr("Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified")
	name.SetText(subject)
	until := FormatTime(at.Add(Lifetime))
	confirmation := s.CreateElement("saml:SubjectConfirmation")
	confirmation.CreateAttr("Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
	confirmation.CreateElement("saml:SubjectConfirmationData").CreateAttr("NotOnOrAfter", until)
	c := a.CreateElement("saml:Conditions")
	c.CreateAttr("NotBefore", FormatTime(at.Add(-Early)))
	c.CreateAttr("NotOnOrAfter", until)
	return doc
}

// SignOptions say how an assertion is signed.
type SignOptions struct {
	Key crypto.Signer // RSA
	// Chain goes into the signature; the first certificate is the key's.
	Chain  []*x509.Certificate
	Method xmldsig.Method
	Digest xmldsig.Digest
	// Canonicalization is xmldsig.Exclusive or ExclusiveWithComments.
	Canonicalization string
}

// Errors of Sign.
var (
	ErrKey    = errors.New("the private key is no RSA key, or not that of the certificate")
	ErrSigned = errors.New("the assertion has a signature already")
)

// Sign signs the root element of doc, which is changed, and returns its text. An
// element without an ID gets id. The signature follows the Issuer, as the schema
// of SAML wants it.
func Sign(doc *etree.Document, id string, o SignOptions) (string, error) {
	if len(o.Chain) == 0 {
		return "", ErrKey
	}
	pub, ok := o.Key.Public().(*rsa.PublicKey)
	if !ok || !pub.Equal(o.Chain[0].PublicKey) {
		return "", ErrKey
	}
	root := doc.Root()
	if len(xmldsig.Children(root, xmldsig.Namespace, "Signature")) > 0 {
		return "", ErrSigned
	}
	s := &signing{o: o, root: root}
	signature, err := s.signature(identify(root, id))
	if err != nil {
		return "", err
	}
	at := 0
	for i, t := range root.Child {
		if el, ok := t.(*etree.Element); ok {
			if el.Tag == "Issuer" {
				at = i + 1
			}
			break
		}
	}
	root.InsertChildAt(at, signature)
	out := etree.NewDocument()
	out.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	out.AddChild(root)
	return out.WriteToString()
}

// identify returns the id of el; without one it gets id.
func identify(el *etree.Element, id string) string {
	for i := range el.Attr {
		if a := &el.Attr[i]; xmldsig.IsID(a) && a.Value != "" {
			return a.Value
		}
	}
	el.CreateAttr("ID", id)
	return id
}

type signing struct {
	o    SignOptions
	root *etree.Element
}

// signature makes the Signature element, which is not in the tree yet.
func (s *signing) signature(id string) (*etree.Element, error) {
	data, err := xmldsig.Referenced(s.root, s.o.Canonicalization, "")
	if err != nil {
		return nil, err
	}
	signature := etree.NewElement("ds:Signature")
	signature.CreateAttr("xmlns:ds", xmldsig.Namespace)
	info := signature.CreateElement("ds:SignedInfo")
	method(info, "CanonicalizationMethod", s.o.Canonicalization)
	method(info, "SignatureMethod", s.o.Method.URI)
	ref := info.CreateElement("ds:Reference")
	ref.CreateAttr("URI", "#"+id)
	transforms := ref.CreateElement("ds:Transforms")
	method(transforms, "Transform", xmldsig.Enveloped)
	method(transforms, "Transform", s.o.Canonicalization)
	method(ref, "DigestMethod", s.o.Digest.URI)
	ref.CreateElement("ds:DigestValue").SetText(base64.StdEncoding.EncodeToString(s.o.Digest.Sum(data)))
	if data, err = xmldsig.Canonical(info, s.o.Canonicalization, ""); err != nil {
		return nil, err
	}
	value, err := s.o.Method.Sign(s.o.Key, data)
	if err != nil {
		return nil, err
	}
	signature.CreateElement("ds:SignatureValue").SetText(base64.StdEncoding.EncodeToString(value))
	certs := signature.CreateElement("ds:KeyInfo").CreateElement("ds:X509Data")
	for _, c := range s.o.Chain {
		certs.CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(c.Raw))
	}
	return signature, nil
}

func method(parent *etree.Element, tag, uri string) {
	parent.CreateElement("ds:"+tag).CreateAttr("Algorithm", uri)
}
