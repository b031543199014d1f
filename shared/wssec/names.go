package wssec

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
)

// issuerName writes the issuer of a certificate in a style: DN (RFC 2253) or CN.
func issuerName(cert *x509.Certificate, style string) (string, error) {
	switch strings.ToUpper(style) {
	case "", "DN", "SUBJECT_DN":
		return distinguishedName(cert), nil
	case "CN", "SHORT":
		return "CN=" + cert.Issuer.CommonName, nil
	}
	return "", fmt.Errorf("issuer_name_style is %q, want DN or CN", style)
}

// distinguishedName is the issuer as RFC 2253 writes it, in the order of the
// certificate.
func distinguishedName(cert *x509.Certificate) string {
	var rdn pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawIssuer, &rdn); err != nil || len(rest) > 0 {
		return cert.Issuer.String()
	}
	return rdn.String()
}

// sameIssuer compares a name in a message with a certificate's issuer. how is
// string, normal, reverse or unordered.
func sameIssuer(name string, cert *x509.Certificate, style, how string, skipNumeric bool) (bool, error) {
	want, err := issuerName(cert, style)
	if err != nil {
		return false, err
	}
	a, b := splitName(name, skipNumeric), splitName(want, skipNumeric)
	switch how {
	case "", "string":
		return name == want, nil
	case "normal":
	case "reverse":
		slices.Reverse(b)
	case "unordered":
		slices.Sort(a)
		slices.Sort(b)
	default:
		return false, fmt.Errorf("issuer_name_dn_comparison is %q, want string, normal, reverse or unordered", how)
	}
	return slices.Equal(a, b), nil
}

// splitName cuts a distinguished name into TYPE=value parts without blanks
// around them.
func splitName(name string, skipNumeric bool) []string {
	var parts []string
	for _, part := range splitUnescaped(name) {
		typ, value, _ := strings.Cut(part, "=")
		typ = strings.ToUpper(strings.TrimSpace(typ))
		if typ == "" || skipNumeric && typ[0] >= '0' && typ[0] <= '9' {
			continue
		}
		parts = append(parts, typ+"="+strings.TrimSpace(value))
	}
	return parts
}

// splitUnescaped cuts at commas that no backslash stands before and that are
// not in quotes.
func splitUnescaped(s string) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}
