// Package xmldsig is what those who sign and check XML signatures share: a strict
// parser, elements by qualified name, ids that must be unique, canonicalization,
// and the algorithms that are accepted. What is signed, and whose key may sign,
// is the callers' business: packages wssec and saml.
//
// Source: https://www.w3.org/TR/xmldsig-core1/
package xmldsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Namespaces, and the transform that takes the signature out of what it is in.
const (
	Namespace = "http://www.w3.org/2000/09/xmldsig#"

	Enveloped = Namespace + "enveloped-signature"

	// NamespaceWSUtil is the namespace of wsu:Id.
	NamespaceWSUtil = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
)

const more = "http://www.w3.org/2001/04/xmldsig-more#"

// MaxDepth is how deep a document may be nested.
const MaxDepth = 200

// Errors of Parse.
var (
	ErrDoctype  = errors.New("the XML has a document type")
	ErrUnstable = errors.New("the XML has a name with more than one colon")
)

// Parse reads a document. It must be well-formed to the letter, and have neither
// a document type nor names that parsers understand differently: what is checked
// here must be what others read.
func Parse(data []byte) (*etree.Document, error) {
	data, err := scan(data)
	if err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	doc.ReadSettings.MaxDepth = MaxDepth
	if err := doc.ReadFromBytes(data); err != nil {
		return nil, err
	}
	if doc.Root() == nil {
		return nil, errors.New("the XML has no element")
	}
	return doc, nil
}

// scan checks data and returns it with the white space in attribute values
// normalized, which encoding/xml leaves to others (XML 1.0, section 3.3.3).
func scan(data []byte) ([]byte, error) {
	if i := bytes.Index(data, []byte("<!DOCTYPE")); i >= 0 && !bytes.Contains(data[:i], []byte("<![CDATA[")) && !bytes.Contains(data[:i], []byte("<!--")) {
		return nil, ErrDoctype // the scanner's words would be of bad syntax
	}
	var s xmltoken.Scanner
	s.Reset(data, MaxDepth, 0)
	var out []byte
	done := 0 // of data, in out
	for {
		at := s.Offset()
		kind, err := s.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case xmltoken.EOF:
			return append(out, data[done:]...), nil
		case xmltoken.Start:
			white := false
			if !plain(s.Name()) {
				return nil, ErrUnstable
			}
			for i := range s.Attrs() {
				a := s.Attr(i)
				if !plain(a.Name) {
					return nil, ErrUnstable
				}
				white = white || bytes.ContainsAny(a.Value, "\t\n\r")
			}
			if white {
				out = append(out, data[done:at]...)
				out = appendTag(out, data[at:s.Offset()])
				done = s.Offset()
			}
		}
	}
}

// appendTag appends a start tag with its white space as spaces: within it, white
// space is between attributes, where any will do, or in their values.
func appendTag(dst, tag []byte) []byte {
	for i, c := range tag {
		switch {
		case c == '\r' && i+1 < len(tag) && tag[i+1] == '\n':
		case c == '\t', c == '\n', c == '\r':
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// plain reports whether name is a qualified name.
func plain(name []byte) bool {
	i := bytes.IndexByte(name, ':')
	return i < 0 || i > 0 && i < len(name)-1 && bytes.IndexByte(name[i+1:], ':') < 0
}

// Is reports whether el has a name.
func Is(el *etree.Element, ns, tag string) bool { return el.Tag == tag && el.NamespaceURI() == ns }

// Children returns the child elements with a name.
func Children(el *etree.Element, ns, tag string) []*etree.Element {
	var out []*etree.Element
	for _, c := range el.ChildElements() {
		if Is(c, ns, tag) {
			out = append(out, c)
		}
	}
	return out
}

// Child returns the only child element with a name; nil without an error if
// there is none.
func Child(el *etree.Element, ns, tag string) (*etree.Element, error) {
	list := Children(el, ns, tag)
	switch len(list) {
	case 0:
		return nil, nil
	case 1:
		return list[0], nil
	}
	return nil, fmt.Errorf("there is more than one %s in %s", tag, el.Tag)
}

// Walk calls f for el and all elements beneath it, in document order.
func Walk(el *etree.Element, f func(*etree.Element)) {
	f(el)
	for _, c := range el.ChildElements() {
		Walk(c, f)
	}
}

// IDs are the elements that have an id, by id.
type IDs map[string][]*etree.Element

// IDsOf finds the ids of root and all beneath it: Id, ID and AssertionID in no
// namespace, wsu:Id and xml:id.
func IDsOf(root *etree.Element) IDs {
	m := IDs{}
	Walk(root, func(el *etree.Element) {
		for i := range el.Attr {
			if a := &el.Attr[i]; IsID(a) && !slices.Contains(m[a.Value], el) {
				m[a.Value] = append(m[a.Value], el)
			}
		}
	})
	return m
}

// Find returns the element that a reference "#id" is to. Two with one id are
// refused: the reference could mean either.
func (m IDs) Find(reference string) (*etree.Element, error) {
	id, ok := strings.CutPrefix(reference, "#")
	switch n := len(m[id]); {
	case !ok || n == 0:
		return nil, fmt.Errorf("nothing has the id of the reference %q", reference)
	case n > 1:
		return nil, fmt.Errorf("%d elements have the id of the reference %q", n, reference)
	}
	return m[id][0], nil
}

// IsID reports whether an attribute is an id.
func IsID(a *etree.Attr) bool {
	switch a.Key {
	case "Id":
		return a.Space == "" || a.NamespaceURI() == NamespaceWSUtil
	case "ID", "AssertionID":
		return a.Space == ""
	case "id":
		return a.Space == "xml"
	}
	return false
}

// PrefixList returns the InclusiveNamespaces of a method or transform.
func PrefixList(m *etree.Element) string {
	if inc := Children(m, Exclusive, "InclusiveNamespaces"); len(inc) == 1 {
		return inc[0].SelectAttrValue("PrefixList", "")
	}
	return ""
}

// Algorithm reads the Algorithm of a child element and its inclusive prefixes.
func Algorithm(el *etree.Element, tag string) (uri, prefixes string, err error) {
	m, err := Child(el, Namespace, tag)
	if err != nil || m == nil {
		return "", "", fmt.Errorf("%s has not one %s", el.Tag, tag)
	}
	return m.SelectAttrValue("Algorithm", ""), PrefixList(m), nil
}

// Decode returns what a child element has in base64.
func Decode(el *etree.Element, tag string) ([]byte, error) {
	c, err := Child(el, Namespace, tag)
	if err != nil || c == nil {
		return nil, fmt.Errorf("%s has not one %s", el.Tag, tag)
	}
	return DecodeText(c)
}

// DecodeText returns what el has in base64. Anything but text in it is refused:
// canonicalization drops comments, so anybody can put one in.
func DecodeText(el *etree.Element) ([]byte, error) {
	for _, t := range el.Child {
		if _, ok := t.(*etree.CharData); !ok {
			return nil, fmt.Errorf("%s is not in base64", el.Tag)
		}
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(el.Text()), ""))
	if err != nil {
		return nil, fmt.Errorf("%s is not in base64", el.Tag)
	}
	return data, nil
}

// Digest is a hash with its name in XML signatures.
type Digest struct {
	Hash crypto.Hash
	URI  string
}

// Sum hashes data.
func (d Digest) Sum(data []byte) []byte {
	h := d.Hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// Digests are all that are accepted.
var Digests = []Digest{
	{crypto.SHA1, Namespace + "sha1"},
	{crypto.SHA256, "http://www.w3.org/2001/04/xmlenc#sha256"},
	{crypto.SHA384, more + "sha384"},
	{crypto.SHA512, "http://www.w3.org/2001/04/xmlenc#sha512"},
}

// DigestOf finds the digest with a URI.
func DigestOf(uri string) (Digest, error) {
	for _, d := range Digests {
		if d.URI == uri {
			return d, nil
		}
	}
	return Digest{}, fmt.Errorf("the method %q is not supported", uri)
}

// Method is a signature algorithm: a hash and the kind of key.
type Method struct {
	Digest
	URI   string
	ECDSA bool // else RSA with PKCS #1 v1.5
}

// Methods are all that are accepted. What a secret signs (HMAC) is not among
// them: the public key of a certificate is no secret.
var Methods = []Method{
	{Digests[0], Namespace + "rsa-sha1", false},
	{Digests[1], more + "rsa-sha256", false},
	{Digests[2], more + "rsa-sha384", false},
	{Digests[3], more + "rsa-sha512", false},
	{Digests[1], more + "ecdsa-sha256", true},
	{Digests[2], more + "ecdsa-sha384", true},
	{Digests[3], more + "ecdsa-sha512", true},
}

// MethodOf finds the method with a URI.
func MethodOf(uri string) (Method, error) {
	for _, m := range Methods {
		if m.URI == uri {
			return m, nil
		}
	}
	return Method{}, fmt.Errorf("the method %q is not supported", uri)
}

// ErrSignature says that a signature is not that of the key.
var ErrSignature = errors.New("the signature is wrong")

// Verify checks the signature of data with a public key.
func (m Method) Verify(key crypto.PublicKey, data, signature []byte) error {
	sum := m.Sum(data)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if !m.ECDSA && rsa.VerifyPKCS1v15(key, m.Hash, sum, signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		// r and s, each as long as the key's order (XML Signature 1.1, section 6.4.3)
		n := (key.Curve.Params().BitSize + 7) / 8
		if m.ECDSA && len(signature) == 2*n &&
			ecdsa.Verify(key, sum, new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:])) {
			return nil
		}
	}
	return ErrSignature
}

// Sign signs data with an RSA key.
func (m Method) Sign(key crypto.Signer, data []byte) ([]byte, error) {
	if _, ok := key.Public().(*rsa.PublicKey); !ok || m.ECDSA {
		return nil, errors.New("the private key is no RSA key")
	}
	return key.Sign(rand.Reader, m.Sum(data), m.Hash)
}
