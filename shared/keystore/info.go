package keystore

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	apigee "google.golang.org/api/apigee/v1"
)

// Resource is the alias as the Management API answers it, valid or not as of
// now: everything but the key.
// https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/Alias
func (a Alias) Resource(now time.Time) *apigee.GoogleCloudApigeeV1Alias {
	res := &apigee.GoogleCloudApigeeV1Alias{
		Alias:     a.Name,
		Type:      string(a.Type()),
		CertsInfo: &apigee.GoogleCloudApigeeV1Certificate{},
	}
	for _, c := range a.Certs {
		res.CertsInfo.CertInfo = append(res.CertsInfo.CertInfo, CertInfo(c, now))
	}
	return res
}

// CertInfo describes one certificate. Names are written as Java's
// X509Certificate writes them, which is what Apigee answers.
func CertInfo(c *x509.Certificate, now time.Time) *apigee.GoogleCloudApigeeV1CertInfo {
	return &apigee.GoogleCloudApigeeV1CertInfo{
		Version:                 int64(c.Version),
		Subject:                 distinguishedName(c.RawSubject),
		Issuer:                  distinguishedName(c.RawIssuer),
		ValidFrom:               c.NotBefore.UnixMilli(),
		ExpiryDate:              c.NotAfter.UnixMilli(),
		IsValid:                 validity(c, now),
		SerialNumber:            serialNumber(c),
		SigAlgName:              signatureAlgorithm(c.SignatureAlgorithm),
		PublicKey:               publicKey(c),
		BasicConstraints:        basicConstraints(c),
		SubjectAlternativeNames: alternativeNames(c),
	}
}

// validity is Yes, No (expired) or Not yet.
func validity(c *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return "Not yet"
	case now.After(c.NotAfter):
		return "No"
	}
	return "Yes"
}

// serialNumber is the content octets of the serial number: 0A:1B:…
func serialNumber(c *x509.Certificate) string {
	b := c.SerialNumber.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		b = slices.Insert(b, 0, 0)
	}
	return strings.ReplaceAll(fmt.Sprintf("% X", b), " ", ":")
}

func basicConstraints(c *x509.Certificate) string {
	switch {
	case !c.IsCA:
		return "CA:FALSE"
	case c.MaxPathLen > 0 || c.MaxPathLenZero:
		return fmt.Sprintf("CA:TRUE, pathlen:%d", c.MaxPathLen)
	}
	return "CA:TRUE"
}

func publicKey(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA Public Key, %d bits", k.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("EC Public Key, %d bits", k.Params().BitSize)
	case ed25519.PublicKey:
		return "Ed25519 Public Key, 256 bits"
	}
	return c.PublicKeyAlgorithm.String() + " Public Key"
}

// javaSignatures are the algorithm names of the Java Security Standard
// Algorithm Names page, which sigAlgName uses in both directions.
var javaSignatures = []struct {
	alg  x509.SignatureAlgorithm
	name string
}{
	{x509.MD5WithRSA, "MD5withRSA"},
	{x509.SHA1WithRSA, "SHA1withRSA"},
	{x509.SHA256WithRSA, "SHA256withRSA"},
	{x509.SHA384WithRSA, "SHA384withRSA"},
	{x509.SHA512WithRSA, "SHA512withRSA"},
	{x509.SHA256WithRSAPSS, "RSASSA-PSS"},
	{x509.SHA384WithRSAPSS, "RSASSA-PSS"},
	{x509.SHA512WithRSAPSS, "RSASSA-PSS"},
	{x509.ECDSAWithSHA1, "SHA1withECDSA"},
	{x509.ECDSAWithSHA256, "SHA256withECDSA"},
	{x509.ECDSAWithSHA384, "SHA384withECDSA"},
	{x509.ECDSAWithSHA512, "SHA512withECDSA"},
	{x509.PureEd25519, "Ed25519"},
}

func signatureAlgorithm(alg x509.SignatureAlgorithm) string {
	for _, s := range javaSignatures {
		if s.alg == alg {
			return s.name
		}
	}
	return alg.String()
}

// alternativeNames lists the subject alternative names in the order DNS,
// e-mail, address, URI.
func alternativeNames(c *x509.Certificate) []string {
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

// attributeNames are the keywords Java prints for the attributes of a
// distinguished name; others are printed as their OID.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C",
	"2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"2.5.4.12": "T", "2.5.4.42": "GIVENNAME", "2.5.4.43": "INITIALS", "2.5.4.44": "GENERATION",
	"2.5.4.46": "DNQ", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1": "EMAILADDRESS",
}

// distinguishedName prints an encoded name, most specific part first:
// CN=api.example.com, O="Example, Inc.", C=US
func distinguishedName(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	parts := make([]string, 0, len(rdns))
	for _, rdn := range slices.Backward(rdns) {
		parts = append(parts, relativeName(rdn))
	}
	return strings.Join(parts, ", ")
}

func relativeName(rdn pkix.RelativeDistinguishedNameSET) string {
	attrs := make([]string, 0, len(rdn))
	for _, attr := range rdn {
		name, ok := attributeNames[attr.Type.String()]
		if !ok {
			name = "OID." + attr.Type.String()
		}
		attrs = append(attrs, name+"="+quoteAttribute(fmt.Sprint(attr.Value)))
	}
	return strings.Join(attrs, " + ")
}

// quoteAttribute quotes a value that has a separator in it, or outer spaces.
func quoteAttribute(v string) string {
	if v == strings.TrimSpace(v) && !strings.ContainsAny(v, ",+=\n<>#;\\\"") {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}
