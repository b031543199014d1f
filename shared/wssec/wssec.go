// Package wssec signs SOAP messages and validates signatures by WS-Security
// with RSA keys and X.509 certificates: what crypto.wsSecRsaSign and
// crypto.wsSecRsaValidate of Apigee's JavaScript do.
//
// Sources: Web Services Security: SOAP Message Security 1.1.1 (OASIS), XML
// Signature Syntax and Processing, and
// https://cloud.google.com/apigee/docs/api-platform/reference/javascript-object-model
package wssec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// Namespaces.
const (
	nsSOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSOAP12 = "http://www.w3.org/2003/05/soap-envelope"
	nsSecExt = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsSec11  = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"

	typeX509       = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
	typeBase64     = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
	typeThumbprint = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security1.1#ThumbprintSHA1"
)

// Ways in which a signature names the key, as Apigee spells them.
const (
	BSTDirectReference = "BST_DIRECT_REFERENCE"
	IssuerSerial       = "ISSUER_SERIAL"
	RSAKeyValue        = "RSA_KEY_VALUE"
	Thumbprint         = "THUMBPRINT"
	X509CertDirect     = "X509_CERT_DIRECT"
)

// hashes are what crypto.wsSecRsaSign and wsSecRsaValidate know.
var hashes = map[string]int{"sha1": 0, "sha256": 1} // in xmldsig.Digests and Methods

// digestMethod finds "sha1" and "sha256", signMethod "rsa-sha1" and "rsa-sha256".
func digestMethod(name string) (xmldsig.Digest, error) {
	i, ok := hashes[strings.ToLower(name)]
	if !ok {
		return xmldsig.Digest{}, fmt.Errorf("digest_method is %q, want sha1 or sha256", name)
	}
	return xmldsig.Digests[i], nil
}

func signMethod(name string) (xmldsig.Method, error) {
	short, ok := strings.CutPrefix(strings.ToLower(name), "rsa-")
	i, known := hashes[short]
	if !ok || !known {
		return xmldsig.Method{}, fmt.Errorf("signing_method is %q, want rsa-sha1 or rsa-sha256", name)
	}
	return xmldsig.Methods[i], nil
}

// envelope is a parsed SOAP message.
type envelope struct {
	doc        *etree.Document
	root       *etree.Element
	ns, prefix string // of SOAP
}

// parse reads a SOAP message. version is "1.1", "1.2" or "" for either.
func parse(payload, version string) (*envelope, error) {
	doc, err := xmldsig.Parse([]byte(payload))
	if errors.Is(err, xmldsig.ErrDoctype) {
		return nil, errors.New("the payload has a document type")
	}
	if err != nil {
		return nil, fmt.Errorf("the payload is no XML: %w", err)
	}
	root := doc.Root()
	if root.Tag != "Envelope" {
		return nil, errors.New("the payload is no SOAP envelope")
	}
	ns := root.NamespaceURI()
	switch {
	case ns == nsSOAP11 && version != "1.2", ns == nsSOAP12 && version != "1.1":
	default:
		return nil, fmt.Errorf("the payload is no SOAP envelope of version %s", version)
	}
	return &envelope{doc: doc, root: root, ns: ns, prefix: root.Space}, nil
}

// everywhere returns all elements of the message with a name.
func (e *envelope) everywhere(ns, tag string) []*etree.Element {
	var out []*etree.Element
	xmldsig.Walk(e.root, func(el *etree.Element) {
		if xmldsig.Is(el, ns, tag) {
			out = append(out, el)
		}
	})
	return out
}

// security finds the Security header; nil if there is none. Unless anywhere, one
// that stands elsewhere is refused: a signature there may be of something that
// nobody reads (signature wrapping).
func (e *envelope) security(anywhere bool) (*etree.Element, error) {
	all := e.everywhere(nsSecExt, "Security")
	switch {
	case len(all) == 0:
		return nil, nil
	case len(all) > 1:
		return nil, errors.New("there is more than one Security element")
	case anywhere:
		return all[0], nil
	}
	header := all[0].Parent()
	if header == nil || !xmldsig.Is(header, e.ns, "Header") || header.Parent() != e.root {
		return nil, errors.New("the Security element is not in the header of the envelope")
	}
	return all[0], nil
}

// inPlace drops a Body and a Timestamp that are not the envelope's: parts of
// the payload may have such names. The envelope must have its own.
func (e *envelope) inPlace(found []*etree.Element, header *etree.Element) []*etree.Element {
	return slices.DeleteFunc(found, func(el *etree.Element) bool {
		switch {
		case xmldsig.Is(el, e.ns, "Body"):
			return el.Parent() != e.root
		case xmldsig.Is(el, xmldsig.NamespaceWSUtil, "Timestamp"):
			return el.Parent() != header
		}
		return false
	})
}
