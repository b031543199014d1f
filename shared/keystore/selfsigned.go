package keystore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CertificateGenerationSpec is the body of a SelfSignedCert upload. Numbers
// may come as strings.
// https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/CertificateGenerationSpec
type CertificateGenerationSpec struct {
	// Alias is the name, unless the query gives one.
	Alias string `json:"alias"`
	// KeySize is the bits of the RSA key: 1024 to 2048, default 2048.
	KeySize decimal `json:"keySize"`
	// SigAlg is SHA256withRSA (the default), SHA384withRSA or SHA512withRSA.
	SigAlg string `json:"sigAlg"`
	// Subject needs a field at least.
	Subject CertificateSubject `json:"subject"`
	// SubjectAlternativeDNSNames are host names.
	SubjectAlternativeDNSNames dnsNames `json:"subjectAlternativeDnsNames"`
	// CertValidityInDays is 1 at least, default 365.
	CertValidityInDays decimal `json:"certValidityInDays"`
}

// CertificateSubject is the distinguished name of a generated certificate.
type CertificateSubject struct {
	CountryCode string `json:"countryCode"` // two letters
	State       string `json:"state"`       // up to 128 characters, as Locality
	Locality    string `json:"locality"`
	Org         string `json:"org"` // up to 64 characters, as OrgUnit and CommonName
	OrgUnit     string `json:"orgUnit"`
	CommonName  string `json:"commonName"`
	Email       string `json:"email"` // up to 255 characters
}

// decimal is an integer that may be quoted; 0 if it is absent or empty.
type decimal int

// UnmarshalJSON reads 2048 and "2048".
func (d *decimal) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%.20s is not a whole number", text)
	}
	if n == 0 {
		n = -1 // told apart from none
	}
	*d = decimal(n)
	return nil
}

// or is the value, or the default if there is none.
func (d decimal) or(value int) int {
	if d == 0 {
		return value
	}
	return int(d)
}

// dnsNames is a list of names, or an object with the field
// subjectAlternativeName, one or a list.
type dnsNames []string

// UnmarshalJSON reads the three forms that clients send.
func (n *dnsNames) UnmarshalJSON(raw []byte) error {
	var object struct {
		SubjectAlternativeName json.RawMessage `json:"subjectAlternativeName"`
	}
	if json.Unmarshal(raw, &object) == nil && object.SubjectAlternativeName != nil {
		raw = object.SubjectAlternativeName
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*n = slices.DeleteFunc([]string{one}, func(s string) bool { return s == "" })
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(n))
}

// javaRSA are the signature algorithms that the API takes for generation.
var javaRSA = map[string]x509.SignatureAlgorithm{
	"":              x509.SHA256WithRSA,
	"SHA256withRSA": x509.SHA256WithRSA,
	"SHA384withRSA": x509.SHA384WithRSA,
	"SHA512withRSA": x509.SHA512WithRSA,
}

// generate makes a new key and its self-signed certificate.
func (u Upload) generate(now time.Time) (Alias, error) {
	var spec CertificateGenerationSpec
	if err := json.Unmarshal(u.File, &spec); err != nil {
		return Alias{}, fmt.Errorf("the certificate generation spec is not valid: %w", err)
	}
	if u.Alias == "" {
		u.Alias = spec.Alias
	}
	if err := checkAliasName(u.Alias); err != nil {
		return Alias{}, err
	}
	template, err := spec.template(now)
	if err != nil {
		return Alias{}, err
	}
	key, err := rsa.GenerateKey(rand.Reader, spec.KeySize.or(2048))
	if err != nil {
		return Alias{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Alias{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Alias{}, err
	}
	return NewAlias(u.Alias, []*x509.Certificate{cert}, key)
}

// maxValidity is the most days of validity: the year must have four digits.
const maxValidity = 365 * 1000

// template is the certificate to sign.
func (s CertificateGenerationSpec) template(now time.Time) (*x509.Certificate, error) {
	alg, ok := javaRSA[s.SigAlg]
	days := s.CertValidityInDays.or(365)
	switch bits := s.KeySize.or(2048); {
	case !ok:
		return nil, fmt.Errorf("sigAlg %.40q is none of SHA256withRSA, SHA384withRSA, SHA512withRSA", s.SigAlg)
	case bits < 1024 || bits > 2048:
		return nil, fmt.Errorf("keySize %d is not from 1024 to 2048", bits)
	case days < 1 || days > maxValidity:
		return nil, fmt.Errorf("certValidityInDays %d is not from 1 to %d", days, maxValidity)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).SetUint64(math.MaxInt64))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		SignatureAlgorithm:    alg,
		Subject:               s.Subject.name(),
		DNSNames:              s.SubjectAlternativeDNSNames,
		NotBefore:             now.Truncate(time.Second),
		NotAfter:              now.Truncate(time.Second).AddDate(0, 0, days),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, nil
}

// check holds the lengths of the documentation.
func (s CertificateGenerationSpec) check() error {
	if s.Subject == (CertificateSubject{}) {
		return errors.New("subject is missing")
	}
	if n := len(s.Subject.CountryCode); n != 0 && n != 2 {
		return fmt.Errorf("subject.countryCode %.20q has not two letters", s.Subject.CountryCode)
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"commonName", s.Subject.CommonName, 64},
		{"org", s.Subject.Org, 64},
		{"orgUnit", s.Subject.OrgUnit, 64},
		{"locality", s.Subject.Locality, 128},
		{"state", s.Subject.State, 128},
		{"email", s.Subject.Email, 255},
	} {
		if n := utf8.RuneCountInString(f.value); n > f.most {
			return fmt.Errorf("subject.%s has %d characters, the most is %d", f.name, n, f.most)
		}
	}
	if strings.ContainsFunc(s.Subject.Email, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("subject.email %.80q is not ASCII", s.Subject.Email)
	}
	for _, name := range s.SubjectAlternativeDNSNames {
		if name == "" || len(name) > 253 || strings.ContainsFunc(name, notInHost) {
			return fmt.Errorf("subject alternative name %.80q is not a host name", name)
		}
	}
	return nil
}

func notInHost(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\@:,"`, r) }

// oidEmail is emailAddress of PKCS #9, where subjects carry it.
var oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

func (s CertificateSubject) name() pkix.Name {
	n := pkix.Name{
		CommonName:         s.CommonName,
		Country:            list(s.CountryCode),
		Province:           list(s.State),
		Locality:           list(s.Locality),
		Organization:       list(s.Org),
		OrganizationalUnit: list(s.OrgUnit),
	}
	if s.Email != "" {
		ia5 := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(s.Email)}
		n.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmail, Value: ia5}}
	}
	return n
}

// list is the value alone, or none.
func list(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

// CSR is a PKCS #10 request, in PEM, to certify the key of the alias anew,
// with the subject and the alternative names of its certificate. It is
// Invalid for a CERT.
func (a Alias) CSR() ([]byte, error) {
	if a.key == nil {
		return nil, Errorf(Invalid, "alias %q has no private key", a.Name)
	}
	leaf := a.Certs[0]
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject:     leaf.RawSubject,
		DNSNames:       leaf.DNSNames,
		EmailAddresses: leaf.EmailAddresses,
		IPAddresses:    leaf.IPAddresses,
		URIs:           leaf.URIs,
	}, a.key())
	if err != nil {
		return nil, Errorf(Invalid, "certificate request of alias %q: %w", a.Name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}
