// Package wssec signs SOAP messages and validates signatures by WS-Security
// with RSA keys and X.509 certificates: what crypto.wsSecRsaSign and
// crypto.wsSecRsaValidate of Apigee's JavaScript do.
//
// Sources: Web Services Security: SOAP Message Security 1.1.1 (OASIS), XML
// Signature Syntax and Processing, and
// https://cloud.google.com/apigee/docs/api-platform/reference/javascript-object-model
package wssec

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Namespaces.
const (
	nsSOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSOAP12 = "http://www.w3.org/2003/05/soap-envelope"
	nsSecExt = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsSec11  = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
	nsUtil   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	nsDSig   = dsig.Namespace
	nsExc    = string(dsig.CanonicalXML10ExclusiveAlgorithmId)

	typeX509       = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
	typeBase64     = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
	typeThumbprint = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security1.1#ThumbprintSHA1"
)

// maxDepth is how deep a message may be nested.
const maxDepth = 200

// Ways in which a signature names the key, as Apigee spells them.
const (
	BSTDirectReference = "BST_DIRECT_REFERENCE"
	IssuerSerial       = "ISSUER_SERIAL"
	RSAKeyValue        = "RSA_KEY_VALUE"
	Thumbprint         = "THUMBPRINT"
	X509CertDirect     = "X509_CERT_DIRECT"
)

// method is a hash with its names in XML signatures.
type method struct {
	hash         crypto.Hash
	digest, sign string // algorithm URIs
}

var methods = map[string]method{
	"sha1":   {crypto.SHA1, "http://www.w3.org/2000/09/xmldsig#sha1", dsig.RSASHA1SignatureMethod},
	"sha256": {crypto.SHA256, "http://www.w3.org/2001/04/xmlenc#sha256", dsig.RSASHA256SignatureMethod},
}

// digestMethod finds "sha1" and "sha256", signMethod "rsa-sha1" and "rsa-sha256".
func digestMethod(name string) (method, error) {
	m, ok := methods[strings.ToLower(name)]
	if !ok {
		return m, fmt.Errorf("digest_method is %q, want sha1 or sha256", name)
	}
	return m, nil
}

func signMethod(name string) (method, error) {
	short, ok := strings.CutPrefix(strings.ToLower(name), "rsa-")
	m, known := methods[short]
	if !ok || !known {
		return m, fmt.Errorf("signing_method is %q, want rsa-sha1 or rsa-sha256", name)
	}
	return m, nil
}

func (m method) sum(data []byte) []byte {
	if m.hash == crypto.SHA1 {
		s := sha1.Sum(data)
		return s[:]
	}
	s := sha256.Sum256(data)
	return s[:]
}

// envelope is a parsed SOAP message.
type envelope struct {
	doc        *etree.Document
	root       *etree.Element
	ns, prefix string // of SOAP
}

// parse reads a SOAP message. version is "1.1", "1.2" or "" for either.
func parse(payload, version string) (*envelope, error) {
	doc := etree.NewDocument()
	doc.ReadSettings.MaxDepth = maxDepth
	if err := doc.ReadFromString(payload); err != nil {
		return nil, fmt.Errorf("the payload is no XML: %w", err)
	}
	for _, t := range doc.Child {
		if _, ok := t.(*etree.Directive); ok {
			return nil, errors.New("the payload has a document type")
		}
	}
	root := doc.Root()
	if root == nil || root.Tag != "Envelope" {
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

func is(el *etree.Element, ns, tag string) bool { return el.Tag == tag && el.NamespaceURI() == ns }

// children returns the child elements with a name.
func children(el *etree.Element, ns, tag string) []*etree.Element {
	var out []*etree.Element
	for _, c := range el.ChildElements() {
		if is(c, ns, tag) {
			out = append(out, c)
		}
	}
	return out
}

// child returns the only child element with a name; nil without an error if
// there is none.
func child(el *etree.Element, ns, tag string) (*etree.Element, error) {
	list := children(el, ns, tag)
	switch len(list) {
	case 0:
		return nil, nil
	case 1:
		return list[0], nil
	}
	return nil, fmt.Errorf("there is more than one %s in %s", tag, el.Tag)
}

// walk calls f for el and all elements beneath it.
func walk(el *etree.Element, f func(*etree.Element)) {
	f(el)
	for _, c := range el.ChildElements() {
		walk(c, f)
	}
}

// everywhere returns all elements of the message with a name.
func (e *envelope) everywhere(ns, tag string) []*etree.Element {
	var out []*etree.Element
	walk(e.root, func(el *etree.Element) {
		if is(el, ns, tag) {
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
	if header == nil || !is(header, e.ns, "Header") || header.Parent() != e.root {
		return nil, errors.New("the Security element is not in the header of the envelope")
	}
	return all[0], nil
}

// ids are the elements that have an Id.
type ids map[string][]*etree.Element

func (e *envelope) ids() ids {
	m := ids{}
	walk(e.root, func(el *etree.Element) {
		for i := range el.Attr {
			if a := &el.Attr[i]; isID(a) && !slices.Contains(m[a.Value], el) {
				m[a.Value] = append(m[a.Value], el)
			}
		}
	})
	return m
}

// find returns the element with an id. Two with one id are refused: a reference
// to it could mean either.
func (m ids) find(reference string) (*etree.Element, error) {
	id, ok := strings.CutPrefix(reference, "#")
	switch n := len(m[id]); {
	case !ok || n == 0:
		return nil, fmt.Errorf("nothing has the id of the reference %q", reference)
	case n > 1:
		return nil, fmt.Errorf("%d elements have the id of the reference %q", n, reference)
	}
	return m[id][0], nil
}

func isID(a *etree.Attr) bool {
	switch a.Key {
	case "Id":
		return a.Space == "" || a.NamespaceURI() == nsUtil
	case "ID":
		return a.Space == ""
	case "id":
		return a.Space == "xml"
	}
	return false
}

// canonical returns the canonical form of el by an algorithm; prefixes are its
// inclusive namespaces.
func canonical(el *etree.Element, algorithm, prefixes string) ([]byte, error) {
	var c dsig.Canonicalizer
	switch dsig.AlgorithmID(algorithm) {
	case dsig.CanonicalXML10ExclusiveAlgorithmId:
		c = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes)
	case dsig.CanonicalXML10ExclusiveWithCommentsAlgorithmId:
		c = dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList(prefixes)
	case dsig.CanonicalXML10RecAlgorithmId:
		c = dsig.MakeC14N10RecCanonicalizer()
	case dsig.CanonicalXML11AlgorithmId:
		c = dsig.MakeC14N11Canonicalizer()
	default:
		return nil, fmt.Errorf("canonicalization %q is not supported", algorithm)
	}
	context, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, err
	}
	alone, err := etreeutils.NSDetatch(context, el) // canonicalizers change what they are given
	if err != nil {
		return nil, err
	}
	return c.Canonicalize(alone)
}

// inPlace drops a Body and a Timestamp that are not the envelope's: parts of
// the payload may have such names. The envelope must have its own.
func (e *envelope) inPlace(found []*etree.Element, header *etree.Element) []*etree.Element {
	return slices.DeleteFunc(found, func(el *etree.Element) bool {
		switch {
		case is(el, e.ns, "Body"):
			return el.Parent() != e.root
		case is(el, nsUtil, "Timestamp"):
			return el.Parent() != header
		}
		return false
	})
}
