package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Type is what an alias holds, in the words of the Management API.
type Type string

// The types.
const (
	// Cert is a certificate, or a chain of them, without a key.
	Cert Type = "CERT"
	// KeyCert is a private key with the certificate chain of its public key.
	KeyCert Type = "KEY_CERT"
)

// Alias is a named certificate chain in a keystore, with its private key or
// without. Its key shows in no form of printing, logging or serialising; only
// Key and TLSCertificate hand it out. An Alias is immutable.
type Alias struct {
	// Name is the alias, `[^/]{1,255}`.
	Name string
	// Certs is the chain, leaf first; never empty.
	Certs []*x509.Certificate
	// Version names the stored version it was read from; empty before that.
	// It differs whenever the content does.
	Version string

	// key gives the private key; nil for a CERT. It is a function since fmt
	// looks into everything else, pointers too, of an unexported field.
	key func() crypto.Signer
}

// NewAlias makes an alias of a chain, leaf first, and the private key of the
// leaf; a nil key makes a CERT. It is Invalid if the key is not the leaf's.
func NewAlias(name string, certs []*x509.Certificate, key crypto.Signer) (Alias, error) {
	if err := checkAliasName(name); err != nil {
		return Alias{}, err
	}
	if len(certs) == 0 {
		return Alias{}, Errorf(Invalid, "alias %q has no certificate", name)
	}
	a := Alias{Name: name, Certs: slices.Clone(certs)}
	if key == nil {
		return a, nil
	}
	if !samePublicKey(certs[0].PublicKey, key.Public()) {
		return Alias{}, Errorf(Invalid, "the private key of alias %q does not match its certificate", name)
	}
	a.key = func() crypto.Signer { return key }
	return a, nil
}

// Type is KEY_CERT if there is a private key.
func (a Alias) Type() Type {
	if a.key == nil {
		return Cert
	}
	return KeyCert
}

// Key is the private key: *rsa.PrivateKey, *ecdsa.PrivateKey or
// ed25519.PrivateKey; nil for a CERT.
func (a Alias) Key() crypto.Signer {
	if a.key == nil {
		return nil
	}
	return a.key()
}

// TLSCertificate is the alias as the identity of a TLS client or server. It is
// Invalid for a CERT.
func (a Alias) TLSCertificate() (tls.Certificate, error) {
	if a.key == nil {
		return tls.Certificate{}, Errorf(Invalid, "alias %q has no private key", a.Name)
	}
	cert := tls.Certificate{PrivateKey: a.key(), Leaf: a.Certs[0]}
	for _, c := range a.Certs {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// ChainPEM is the certificate chain in PEM, leaf first: what the Management
// API exports as …/aliases/{alias}/certificate.
func (a Alias) ChainPEM() []byte {
	var out []byte
	for _, c := range a.Certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// String names the alias, its type and subject, not its key.
func (a Alias) String() string {
	if len(a.Certs) == 0 {
		return fmt.Sprintf("alias %q", a.Name)
	}
	return fmt.Sprintf("alias %q %s %s", a.Name, a.Type(), distinguishedName(a.Certs[0].RawSubject))
}

// Format prints String for every verb, so that none reaches the key.
func (a Alias) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// LogValue logs String.
func (a Alias) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalJSON writes the Management API's Alias, judged at the present time.
// There is no UnmarshalJSON: an alias comes from an import or from Store.
func (a Alias) MarshalJSON() ([]byte, error) { return json.Marshal(a.Resource(time.Now())) }

// MarshalText writes String: encoders other than JSON learn no more.
func (a Alias) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// samePublicKey reports whether two public keys are equal.
func samePublicKey(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}
