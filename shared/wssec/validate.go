package wssec

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// ValidateOptions say what a signed message must be. Names and values are those
// of crypto.wsSecRsaValidate.
type ValidateOptions struct {
	// Certificate is trusted. It is needed where the message holds none.
	Certificate *x509.Certificate
	// SubjectCNs and thumbprints (hexadecimal) restrict the signers. Without a
	// Certificate thumbprints are required.
	SubjectCNs, Thumbprints, Thumbprints256 []string
	// DigestMethod and SigningMethod must be used, if given.
	DigestMethod, SigningMethod string
	// IgnoreExpiry and IgnoreCertificateExpiry are for tests.
	IgnoreExpiry, IgnoreCertificateExpiry bool
	// OptionalExpiry lets a Timestamp have no Expires.
	OptionalExpiry bool
	// MaxLifetime is the most between Created and Expires; 0 is no limit.
	MaxLifetime time.Duration
	// Required are prefix:Tag names that must be signed; empty is soap:Body and
	// wsu:Timestamp.
	Required []string
	// AnySecurityHeader lets the Security element stand outside the header.
	AnySecurityHeader bool
	// SOAPVersion is "1.1", "1.2" or "" for either.
	SOAPVersion string
	// IssuerName, IssuerComparison and SkipNumericOIDs are for X509IssuerSerial.
	IssuerName, IssuerComparison string
	SkipNumericOIDs              bool
}

// ErrOptions says that options contradict each other or that one is missing.
var ErrOptions = errors.New("accept_thumbprints or accept_thumbprints_sha256 is required without a certificate")

// Validate checks the signatures of a message. The error says why it is not
// valid.
func Validate(payload string, o ValidateOptions, now time.Time) error {
	if o.Certificate == nil && len(o.Thumbprints) == 0 && len(o.Thumbprints256) == 0 {
		return ErrOptions
	}
	if len(o.Required) == 0 {
		o.Required = []string{"soap:Body", "wsu:Timestamp"}
	}
	e, err := parse(payload, o.SOAPVersion)
	if err != nil {
		return err
	}
	v := &validator{envelope: e, o: o, now: now}
	if v.header, err = e.security(o.AnySecurityHeader); err != nil {
		return err
	}
	if v.header == nil {
		return errors.New("there is no Security header")
	}
	v.byID = xmldsig.IDsOf(e.root)
	return v.run()
}

type validator struct {
	*envelope
	o      ValidateOptions
	now    time.Time
	header *etree.Element
	byID   xmldsig.IDs
	signed []*etree.Element
}

func (v *validator) run() error {
	signatures := xmldsig.Children(v.header, xmldsig.Namespace, "Signature")
	if len(signatures) == 0 {
		return errors.New("there is no Signature")
	}
	for _, s := range signatures {
		if err := v.signature(s); err != nil {
			return err
		}
	}
	if err := v.required(); err != nil {
		return err
	}
	return v.timestamp()
}

// signature checks one Signature and notes what it signs.
func (v *validator) signature(s *etree.Element) error {
	info, err := xmldsig.Child(s, xmldsig.Namespace, "SignedInfo")
	if err != nil || info == nil {
		return errors.New("the Signature has not one SignedInfo")
	}
	cert, err := v.signer(s)
	if err != nil {
		return err
	}
	if err := v.trusted(cert); err != nil {
		return err
	}
	if err := v.signatureValue(s, info, cert); err != nil {
		return err
	}
	refs := xmldsig.Children(info, xmldsig.Namespace, "Reference")
	if len(refs) == 0 {
		return errors.New("the Signature signs nothing")
	}
	for _, r := range refs {
		if err := v.reference(r); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) signatureValue(s, info *etree.Element, cert *x509.Certificate) error {
	c14n, prefixes, err := xmldsig.Algorithm(info, "CanonicalizationMethod")
	if err != nil {
		return err
	}
	uri, _, err := xmldsig.Algorithm(info, "SignatureMethod")
	if err != nil {
		return err
	}
	m, err := choose(uri, v.o.SigningMethod, "rsa-", signMethod, func(m xmldsig.Method) string { return m.URI })
	if err != nil {
		return err
	}
	data, err := xmldsig.Canonical(info, c14n, prefixes)
	if err != nil {
		return err
	}
	value, err := xmldsig.Decode(s, "SignatureValue")
	if err != nil {
		return err
	}
	if _, ok := cert.PublicKey.(*rsa.PublicKey); !ok {
		return errors.New("the key of the certificate is no RSA key")
	}
	return m.Verify(cert.PublicKey, data, value)
}

// choose finds the method with a URI among those with a name; wanted, if not
// empty, is the only one that will do.
func choose[M any](uri, wanted, prefix string, named func(string) (M, error), of func(M) string) (m M, err error) {
	names := []string{wanted}
	if wanted == "" {
		names = []string{prefix + "sha1", prefix + "sha256"}
	}
	for _, name := range names {
		if m, err = named(name); err != nil || of(m) == uri {
			return m, err
		}
	}
	if wanted == "" {
		return m, fmt.Errorf("the method %q is not supported", uri)
	}
	return m, fmt.Errorf("the method is %q, want %s", uri, wanted)
}

// reference checks one digest.
func (v *validator) reference(r *etree.Element) error {
	at := r.SelectAttrValue("URI", "")
	el, err := v.byID.Find(at)
	if err != nil {
		return err
	}
	uri, _, err := xmldsig.Algorithm(r, "DigestMethod")
	if err != nil {
		return err
	}
	m, err := choose(uri, v.o.DigestMethod, "", digestMethod, func(d xmldsig.Digest) string { return d.URI })
	if err != nil {
		return err
	}
	data, err := transformed(r, el)
	if err != nil {
		return err
	}
	want, err := xmldsig.Decode(r, "DigestValue")
	if err != nil {
		return err
	}
	if !bytes.Equal(m.Sum(data), want) {
		return fmt.Errorf("the digest of %q is wrong", at)
	}
	v.signed = append(v.signed, el)
	return nil
}

// transformed applies the transforms of a reference: one canonicalization.
func transformed(r, el *etree.Element) ([]byte, error) {
	list, err := xmldsig.Child(r, xmldsig.Namespace, "Transforms")
	if err != nil {
		return nil, err
	}
	if list == nil { // XML Signature, section 4.4.3.2
		return xmldsig.Referenced(el, xmldsig.Inclusive, "")
	}
	steps := xmldsig.Children(list, xmldsig.Namespace, "Transform")
	if len(steps) != 1 {
		return nil, errors.New("a reference has not one Transform")
	}
	return xmldsig.Referenced(el, steps[0].SelectAttrValue("Algorithm", ""), xmldsig.PrefixList(steps[0]))
}

// signer finds the certificate of a signature.
func (v *validator) signer(s *etree.Element) (*x509.Certificate, error) {
	info, err := xmldsig.Child(s, xmldsig.Namespace, "KeyInfo")
	if err != nil {
		return nil, err
	}
	if info == nil {
		return v.given("the Signature has no KeyInfo")
	}
	if data := xmldsig.Children(info, xmldsig.Namespace, "X509Data"); len(data) == 1 {
		return v.x509Data(data[0])
	}
	if value := xmldsig.Children(info, xmldsig.Namespace, "KeyValue"); len(value) == 1 {
		return v.keyValue(value[0])
	}
	if ref := xmldsig.Children(info, nsSecExt, "SecurityTokenReference"); len(ref) == 1 {
		return v.tokenReference(ref[0])
	}
	return nil, errors.New("the KeyInfo names no key")
}

// given is the configured certificate.
func (v *validator) given(why string) (*x509.Certificate, error) {
	if v.o.Certificate == nil {
		return nil, errors.New(why + " and no certificate was given")
	}
	return v.o.Certificate, nil
}

func certificate(el *etree.Element) (*x509.Certificate, error) {
	der, err := xmldsig.DecodeText(el)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (v *validator) x509Data(data *etree.Element) (*x509.Certificate, error) {
	if c := xmldsig.Children(data, xmldsig.Namespace, "X509Certificate"); len(c) == 1 {
		return certificate(c[0])
	}
	serials := xmldsig.Children(data, xmldsig.Namespace, "X509IssuerSerial")
	if len(serials) != 1 {
		return nil, errors.New("the X509Data names no key")
	}
	cert, err := v.given("the message holds no certificate")
	if err != nil {
		return nil, err
	}
	name, err := xmldsig.Child(serials[0], xmldsig.Namespace, "X509IssuerName")
	if err != nil || name == nil {
		return nil, errors.New("X509IssuerSerial has no name")
	}
	number, err := xmldsig.Child(serials[0], xmldsig.Namespace, "X509SerialNumber")
	if err != nil || number == nil {
		return nil, errors.New("X509IssuerSerial has no number")
	}
	same, err := sameIssuer(strings.TrimSpace(name.Text()), cert, v.o.IssuerName, v.o.IssuerComparison, v.o.SkipNumericOIDs)
	if err != nil {
		return nil, err
	}
	if !same || strings.TrimSpace(number.Text()) != cert.SerialNumber.String() {
		return nil, errors.New("issuer and serial number are not those of the certificate")
	}
	return cert, nil
}

func (v *validator) keyValue(value *etree.Element) (*x509.Certificate, error) {
	cert, err := v.given("the message holds no certificate")
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	pairs := xmldsig.Children(value, xmldsig.Namespace, "RSAKeyValue")
	if !ok || len(pairs) != 1 {
		return nil, errors.New("the KeyValue is no RSA key")
	}
	n, err := xmldsig.Decode(pairs[0], "Modulus")
	if err != nil {
		return nil, err
	}
	e, err := xmldsig.Decode(pairs[0], "Exponent")
	if err != nil {
		return nil, err
	}
	if new(big.Int).SetBytes(n).Cmp(key.N) != 0 || new(big.Int).SetBytes(e).Cmp(big.NewInt(int64(key.E))) != 0 {
		return nil, errors.New("the KeyValue is not the key of the certificate")
	}
	return cert, nil
}

func (v *validator) tokenReference(ref *etree.Element) (*x509.Certificate, error) {
	if data := xmldsig.Children(ref, xmldsig.Namespace, "X509Data"); len(data) == 1 {
		return v.x509Data(data[0])
	}
	if r := xmldsig.Children(ref, nsSecExt, "Reference"); len(r) == 1 {
		token, err := v.byID.Find(r[0].SelectAttrValue("URI", ""))
		if err != nil {
			return nil, err
		}
		if !xmldsig.Is(token, nsSecExt, "BinarySecurityToken") {
			return nil, errors.New("the security token that is referred to is not there")
		}
		return certificate(token)
	}
	ids := xmldsig.Children(ref, nsSecExt, "KeyIdentifier")
	if len(ids) != 1 || ids[0].SelectAttrValue("ValueType", "") != typeThumbprint {
		return nil, errors.New("the SecurityTokenReference names no key")
	}
	cert, err := v.given("the message holds no certificate")
	if err != nil {
		return nil, err
	}
	want, err := xmldsig.DecodeText(ids[0])
	if err != nil {
		return nil, err
	}
	if sum := sha1.Sum(cert.Raw); !bytes.Equal(sum[:], want) {
		return nil, errors.New("the thumbprint is not that of the certificate")
	}
	return cert, nil
}

// trusted checks whether a certificate may sign.
func (v *validator) trusted(cert *x509.Certificate) error {
	if !v.o.IgnoreCertificateExpiry && (v.now.Before(cert.NotBefore) || v.now.After(cert.NotAfter)) {
		return errors.New("the certificate is not valid at this time")
	}
	if len(v.o.SubjectCNs) > 0 && !slices.Contains(v.o.SubjectCNs, cert.Subject.CommonName) {
		return errors.New("the subject of the certificate is not accepted")
	}
	short, long := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	switch {
	case len(v.o.Thumbprints) > 0 && !hasThumbprint(v.o.Thumbprints, short[:]),
		len(v.o.Thumbprints256) > 0 && !hasThumbprint(v.o.Thumbprints256, long[:]):
		return errors.New("the thumbprint of the certificate is not accepted")
	case len(v.o.Thumbprints) == 0 && len(v.o.Thumbprints256) == 0 && !cert.Equal(v.o.Certificate):
		return errors.New("the certificate is not the one that was given")
	}
	return nil
}

func hasThumbprint(list []string, sum []byte) bool {
	want := hex.EncodeToString(sum)
	for _, t := range list {
		if strings.ToLower(strings.ReplaceAll(t, ":", "")) == want {
			return true
		}
	}
	return false
}

// required checks that what must be signed is, where the receiver reads it.
func (v *validator) required() error {
	for _, name := range v.o.Required {
		found, err := v.named(name)
		if err != nil {
			return err
		}
		found = v.inPlace(found, v.header)
		if len(found) == 0 {
			return fmt.Errorf("there is no %s", name)
		}
		for _, el := range found {
			if !v.covered(el) {
				return fmt.Errorf("%s is not signed", name)
			}
		}
	}
	return nil
}

// covered reports whether el or something around it is signed.
func (v *validator) covered(el *etree.Element) bool {
	for ; el != nil; el = el.Parent() {
		if slices.Contains(v.signed, el) {
			return true
		}
	}
	return false
}

// timestamp checks the times of the Timestamp.
func (v *validator) timestamp() error {
	stamp, err := xmldsig.Child(v.header, xmldsig.NamespaceWSUtil, "Timestamp")
	if err != nil {
		return err
	}
	if stamp == nil {
		if v.o.OptionalExpiry && v.o.MaxLifetime == 0 {
			return nil
		}
		return errors.New("there is no Timestamp")
	}
	created, hasCreated, err := moment(stamp, "Created")
	if err != nil {
		return err
	}
	expires, hasExpires, err := moment(stamp, "Expires")
	if err != nil {
		return err
	}
	switch {
	case !hasExpires && !v.o.OptionalExpiry:
		return errors.New("the Timestamp does not expire")
	case hasExpires && !v.o.IgnoreExpiry && !v.now.Before(expires):
		return errors.New("the message has expired")
	case v.o.MaxLifetime == 0:
		return nil
	case !hasCreated || !hasExpires:
		return errors.New("the Timestamp has not both Created and Expires")
	case expires.Sub(created) > v.o.MaxLifetime:
		return errors.New("the message lives longer than max_lifetime")
	}
	return nil
}

func moment(stamp *etree.Element, tag string) (t time.Time, ok bool, err error) {
	el, err := xmldsig.Child(stamp, xmldsig.NamespaceWSUtil, tag)
	if err != nil || el == nil {
		return t, false, err
	}
	if t, err = time.Parse(time.RFC3339, strings.TrimSpace(el.Text())); err != nil {
		return t, false, fmt.Errorf("%s is no time", tag)
	}
	return t, true, nil
}
