package wssec

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// SignOptions say how a message is signed. Names and values are those of
// crypto.wsSecRsaSign.
type SignOptions struct {
	Key         crypto.Signer // RSA
	Certificate *x509.Certificate
	// DigestMethod is sha1 or sha256 (default), SigningMethod rsa-sha1 (default)
	// or rsa-sha256.
	DigestMethod, SigningMethod string
	// KeyIdentifier is one of the constants; default BSTDirectReference.
	KeyIdentifier string
	// IssuerName is how ISSUER_SERIAL writes the issuer: DN (default) or CN.
	IssuerName string
	// Expiry of the Timestamp that is made; 0 is none.
	Expiry time.Duration
	// Elements are prefix:Tag names; empty is the Body and the Timestamp.
	Elements []string
	// Confirmation asks for SignatureConfirmation elements: nil is none, "*all*"
	// those that are there, "" an empty one, other text a list of values.
	Confirmation *string
	// Prefix is the prefix of the signature's namespace; default none.
	Prefix string
	// SOAPVersion is "1.1" (default) or "1.2".
	SOAPVersion string
	// AnySecurityHeader lets a Security element stand outside the header.
	AnySecurityHeader bool
	// MethodNamespaces and TransformNamespaces are namespace URIs for
	// InclusiveNamespaces.
	MethodNamespaces, TransformNamespaces []string
}

// Sign returns the signed message.
func Sign(payload string, o SignOptions, now time.Time) (string, error) {
	s, err := newSigner(payload, o, now)
	if err != nil {
		return "", err
	}
	if err := s.prepare(); err != nil {
		return "", err
	}
	if err := s.sign(); err != nil {
		return "", err
	}
	s.doc.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	return s.doc.WriteToString()
}

// signer is one signing.
type signer struct {
	*envelope
	o      SignOptions
	now    time.Time
	digest xmldsig.Digest
	meth   xmldsig.Method
	header *etree.Element // Security
	parts  []*etree.Element
	next   int // of generated ids
	taken  xmldsig.IDs
	token  string // id of the BinarySecurityToken
}

func newSigner(payload string, o SignOptions, now time.Time) (*signer, error) {
	setDefault(&o.DigestMethod, "sha256")
	setDefault(&o.SigningMethod, "rsa-sha1")
	setDefault(&o.KeyIdentifier, BSTDirectReference)
	setDefault(&o.SOAPVersion, "1.1")
	if o.Key == nil || o.Certificate == nil {
		return nil, errors.New("private_key and certificate are required")
	}
	pub, ok := o.Key.Public().(*rsa.PublicKey)
	if !ok || !pub.Equal(o.Certificate.PublicKey) {
		return nil, errors.New("the private key is no RSA key or not that of the certificate")
	}
	digest, err := digestMethod(o.DigestMethod)
	if err != nil {
		return nil, err
	}
	meth, err := signMethod(o.SigningMethod)
	if err != nil {
		return nil, err
	}
	e, err := parse(payload, o.SOAPVersion)
	if err != nil {
		return nil, err
	}
	return &signer{envelope: e, o: o, now: now.UTC(), digest: digest, meth: meth, next: 100, taken: xmldsig.IDsOf(e.root)}, nil
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// prepare completes the Security header and finds what is to be signed.
func (s *signer) prepare() error {
	body, err := xmldsig.Child(s.root, s.ns, "Body")
	if err != nil || body == nil {
		return errors.New("the envelope has not one Body")
	}
	if err := s.findHeader(body); err != nil {
		return err
	}
	stamp, err := s.timestamp()
	if err != nil {
		return err
	}
	if s.o.KeyIdentifier == BSTDirectReference {
		s.binaryToken()
	}
	if err := s.choose(body, stamp); err != nil {
		return err
	}
	return s.confirm()
}

// choose finds the elements to sign.
func (s *signer) choose(body, stamp *etree.Element) error {
	if len(s.o.Elements) == 0 {
		s.parts = []*etree.Element{stamp, body}
		return nil
	}
	for _, name := range s.o.Elements {
		found, err := s.named(name)
		if err != nil {
			return err
		}
		if found = s.inPlace(found, s.header); len(found) == 0 {
			return fmt.Errorf("elements_to_sign: there is no %s", name)
		}
		s.parts = append(s.parts, found...)
	}
	return nil
}

// qualified returns a name in the SOAP namespace with the message's prefix.
func (s *signer) qualified(tag string) string {
	if s.prefix == "" {
		return tag
	}
	return s.prefix + ":" + tag
}

func (s *signer) findHeader(body *etree.Element) (err error) {
	if s.header, err = s.security(s.o.AnySecurityHeader); err != nil || s.header != nil {
		return err
	}
	header, err := xmldsig.Child(s.root, s.ns, "Header")
	if err != nil {
		return err
	}
	if header == nil {
		header = etree.NewElement(s.qualified("Header"))
		s.root.InsertChildAt(body.Index(), header)
	}
	s.header = header.CreateElement("wssec:Security")
	s.header.CreateAttr("xmlns:wssec", nsSecExt)
	if s.prefix != "" {
		s.header.CreateAttr(s.prefix+":mustUnderstand", "1")
	}
	return nil
}

// prefixFor returns a prefix of ns that is in scope at el, declaring it if
// there is none.
func prefixFor(el *etree.Element, ns, wanted string) string {
	for at := el; at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			if a.Space == "xmlns" && a.Value == ns && resolves(el, a.Key, ns) {
				return a.Key
			}
		}
	}
	for i := 0; !free(el, wanted); i++ {
		wanted += strconv.Itoa(i)
	}
	el.CreateAttr("xmlns:"+wanted, ns)
	return wanted
}

// resolves reports whether prefix means ns at el.
func resolves(el *etree.Element, prefix, ns string) bool {
	for at := el; at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			if a.Space == "xmlns" && a.Key == prefix {
				return a.Value == ns
			}
		}
	}
	return false
}

// free reports whether el itself does not declare prefix.
func free(el *etree.Element, prefix string) bool {
	for _, a := range el.Attr {
		if a.Space == "xmlns" && a.Key == prefix {
			return false
		}
	}
	return true
}

func (s *signer) newID(kind string) string {
	for {
		id := kind + "-" + strconv.Itoa(s.next)
		s.next++
		if len(s.taken[id]) == 0 {
			return id
		}
	}
}

// identify returns the id of el, giving it one if it has none.
func (s *signer) identify(el *etree.Element, kind string) string {
	for i := range el.Attr {
		if xmldsig.IsID(&el.Attr[i]) && el.Attr[i].Value != "" {
			return el.Attr[i].Value
		}
	}
	id := s.newID(kind)
	el.CreateAttr(prefixFor(el, xmldsig.NamespaceWSUtil, "wsu")+":Id", id)
	s.taken[id] = []*etree.Element{el}
	return id
}

const timeFormat = "2006-01-02T15:04:05Z"

func (s *signer) timestamp() (*etree.Element, error) {
	stamp, err := xmldsig.Child(s.header, xmldsig.NamespaceWSUtil, "Timestamp")
	if err != nil || stamp != nil {
		return stamp, err
	}
	wsu := prefixFor(s.root, xmldsig.NamespaceWSUtil, "wsu")
	stamp = s.header.CreateElement(wsu + ":Timestamp")
	s.identify(stamp, "TS")
	stamp.CreateElement(wsu + ":Created").SetText(s.now.Format(timeFormat))
	if s.o.Expiry > 0 {
		stamp.CreateElement(wsu + ":Expires").SetText(s.now.Add(s.o.Expiry).Format(timeFormat))
	}
	return stamp, nil
}

// wssec returns a name in the security namespace.
func (s *signer) wssec(tag string) string {
	return prefixFor(s.header, nsSecExt, "wssec") + ":" + tag
}

func (s *signer) binaryToken() {
	token := s.header.CreateElement(s.wssec("BinarySecurityToken"))
	token.CreateAttr("EncodingType", typeBase64)
	token.CreateAttr("ValueType", typeX509)
	s.token = s.newID("ST")
	token.CreateAttr(prefixFor(s.root, xmldsig.NamespaceWSUtil, "wsu")+":Id", s.token)
	token.SetText(base64.StdEncoding.EncodeToString(s.o.Certificate.Raw))
}

// confirm adds SignatureConfirmation elements, and them to what is signed.
func (s *signer) confirm() error {
	if s.o.Confirmation == nil {
		return nil
	}
	there := xmldsig.Children(s.header, nsSec11, "SignatureConfirmation")
	want := strings.TrimSpace(*s.o.Confirmation)
	if want == "*all*" {
		s.parts = append(s.parts, there...)
		return nil
	}
	if want == "" {
		s.parts = append(s.parts, s.confirmation(there, ""))
		return nil
	}
	for value := range strings.SplitSeq(want, ",") {
		s.parts = append(s.parts, s.confirmation(there, strings.TrimSpace(value)))
	}
	return nil
}

func (s *signer) confirmation(there []*etree.Element, value string) *etree.Element {
	for _, el := range there {
		if el.SelectAttrValue("Value", "") == value {
			return el
		}
	}
	el := s.header.CreateElement("wsse11:SignatureConfirmation")
	el.CreateAttr("xmlns:wsse11", nsSec11)
	if value != "" {
		el.CreateAttr("Value", value)
	}
	return el
}

// named finds elements by prefix:Tag, which may be the last step of a path. A
// prefix means what it does at the root,
// or else what it is commonly used for; a name without one matches any
// namespace.
func (e *envelope) named(name string) ([]*etree.Element, error) {
	name = strings.TrimSpace(name)
	prefix, tag, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	if !ok {
		prefix, tag = "", prefix
	}
	ns, known := e.namespace(prefix)
	if !known {
		return nil, fmt.Errorf("the prefix of %s is not declared", name)
	}
	var found []*etree.Element
	xmldsig.Walk(e.root, func(el *etree.Element) {
		if el.Tag == tag && (prefix == "" || el.NamespaceURI() == ns) {
			found = append(found, el)
		}
	})
	return found, nil
}

func (e *envelope) namespace(prefix string) (string, bool) {
	switch prefix {
	case "":
		return "", true
	case "soap", "soapenv", "SOAP-ENV", "env":
		return e.ns, true
	case "wsu":
		return xmldsig.NamespaceWSUtil, true
	case "wssec", "wsse":
		return nsSecExt, true
	}
	ns := ""
	xmldsig.Walk(e.root, func(el *etree.Element) {
		for _, a := range el.Attr {
			if a.Space == "xmlns" && a.Key == prefix && ns == "" {
				ns = a.Value
			}
		}
	})
	return ns, ns != ""
}

// ds returns a name in the signature's namespace.
func (s *signer) ds(tag string) string {
	if s.o.Prefix == "" {
		return tag
	}
	return s.o.Prefix + ":" + tag
}

func (s *signer) sign() error {
	ids := make([]string, len(s.parts)) // all, before the first digest
	for i, el := range s.parts {
		ids[i] = s.identify(el, idKind(el))
	}
	signature := s.header.CreateElement(s.ds("Signature"))
	if s.o.Prefix == "" {
		signature.CreateAttr("xmlns", xmldsig.Namespace)
	} else {
		signature.CreateAttr("xmlns:"+s.o.Prefix, xmldsig.Namespace)
	}
	info := signature.CreateElement(s.ds("SignedInfo"))
	c14n := info.CreateElement(s.ds("CanonicalizationMethod"))
	c14n.CreateAttr("Algorithm", xmldsig.Exclusive)
	prefixes := inclusive(c14n, s.root, s.o.MethodNamespaces)
	info.CreateElement(s.ds("SignatureMethod")).CreateAttr("Algorithm", s.meth.URI)
	for i, el := range s.parts {
		if err := s.reference(info, el, ids[i]); err != nil {
			return err
		}
	}
	data, err := xmldsig.Canonical(info, xmldsig.Exclusive, prefixes)
	if err != nil {
		return err
	}
	value, err := s.meth.Sign(s.o.Key, data)
	if err != nil {
		return err
	}
	signature.CreateElement(s.ds("SignatureValue")).SetText(base64.StdEncoding.EncodeToString(value))
	return s.keyInfo(signature.CreateElement(s.ds("KeyInfo")))
}

func idKind(el *etree.Element) string {
	switch el.Tag {
	case "Timestamp":
		return "TS"
	case "SignatureConfirmation":
		return "SC"
	}
	return el.Tag
}

func (s *signer) reference(info, el *etree.Element, id string) error {
	ref := info.CreateElement(s.ds("Reference"))
	ref.CreateAttr("URI", "#"+id)
	transform := ref.CreateElement(s.ds("Transforms")).CreateElement(s.ds("Transform"))
	transform.CreateAttr("Algorithm", xmldsig.Exclusive)
	prefixes := inclusive(transform, el, s.o.TransformNamespaces)
	data, err := xmldsig.Canonical(el, xmldsig.Exclusive, prefixes)
	if err != nil {
		return err
	}
	ref.CreateElement(s.ds("DigestMethod")).CreateAttr("Algorithm", s.digest.URI)
	ref.CreateElement(s.ds("DigestValue")).SetText(base64.StdEncoding.EncodeToString(s.digest.Sum(data)))
	return nil
}

// inclusive adds InclusiveNamespaces with the prefixes that namespaces have in
// the scope of el and returns the list.
func inclusive(parent, el *etree.Element, namespaces []string) string {
	var prefixes []string
	for _, ns := range namespaces {
		for at := el; at != nil; at = at.Parent() {
			if p := declares(at, strings.TrimSpace(ns)); p != "" && resolves(el, p, strings.TrimSpace(ns)) {
				prefixes = append(prefixes, p)
				break
			}
		}
	}
	if len(prefixes) == 0 {
		return ""
	}
	list := strings.Join(prefixes, " ")
	inc := parent.CreateElement("ec:InclusiveNamespaces")
	inc.CreateAttr("xmlns:ec", xmldsig.Exclusive)
	inc.CreateAttr("PrefixList", list)
	return list
}

func declares(el *etree.Element, ns string) string {
	for _, a := range el.Attr {
		if a.Space == "xmlns" && a.Value == ns {
			return a.Key
		}
	}
	return ""
}

// keyInfo names the key.
func (s *signer) keyInfo(info *etree.Element) error {
	cert := s.o.Certificate
	switch s.o.KeyIdentifier {
	case X509CertDirect:
		info.CreateElement(s.ds("X509Data")).CreateElement(s.ds("X509Certificate")).
			SetText(base64.StdEncoding.EncodeToString(cert.Raw))
	case RSAKeyValue:
		key := cert.PublicKey.(*rsa.PublicKey)
		value := info.CreateElement(s.ds("KeyValue")).CreateElement(s.ds("RSAKeyValue"))
		value.CreateElement(s.ds("Modulus")).SetText(base64.StdEncoding.EncodeToString(key.N.Bytes()))
		value.CreateElement(s.ds("Exponent")).SetText(base64.StdEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	case BSTDirectReference:
		ref := info.CreateElement(s.wssec("SecurityTokenReference")).CreateElement(s.wssec("Reference"))
		ref.CreateAttr("URI", "#"+s.token)
		ref.CreateAttr("ValueType", typeX509)
	case Thumbprint:
		id := s.tokenReference(info).CreateElement(s.wssec("KeyIdentifier"))
		id.CreateAttr("ValueType", typeThumbprint)
		sum := sha1.Sum(cert.Raw)
		id.SetText(base64.StdEncoding.EncodeToString(sum[:]))
	case IssuerSerial:
		issuer, err := issuerName(cert, s.o.IssuerName)
		if err != nil {
			return err
		}
		serial := s.tokenReference(info).CreateElement(s.ds("X509Data")).CreateElement(s.ds("X509IssuerSerial"))
		serial.CreateElement(s.ds("X509IssuerName")).SetText(issuer)
		serial.CreateElement(s.ds("X509SerialNumber")).SetText(cert.SerialNumber.String())
	default:
		return fmt.Errorf("key_identifier_type is %q", s.o.KeyIdentifier)
	}
	return nil
}

func (s *signer) tokenReference(info *etree.Element) *etree.Element {
	ref := info.CreateElement(s.wssec("SecurityTokenReference"))
	ref.CreateAttr(prefixFor(s.root, xmldsig.NamespaceWSUtil, "wsu")+":Id", s.newID("STR"))
	return ref
}
