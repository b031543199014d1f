package keystore

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"
)

// FuzzGenerationSpec: every spec that passes makes a certificate that parses,
// with the names asked for. The key is not part of it, to be quick.
func FuzzGenerationSpec(f *testing.F) {
	f.Add([]byte(`{"alias":"a","keySize":"2048","sigAlg":"SHA256withRSA","subject":{"commonName":"x","email":"a@b"},"certValidityInDays":1}`))
	f.Add([]byte(`{"subject":{"countryCode":"US","org":"ä"},"subjectAlternativeDnsNames":{"subjectAlternativeName":["h.example.com"]}}`))
	f.Add([]byte(`{"subject":{"state":"CA"},"subjectAlternativeDNSNames":"h"}`))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var spec CertificateGenerationSpec
		if json.Unmarshal(body, &spec) != nil {
			return
		}
		template, err := spec.template(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		template.SignatureAlgorithm = x509.PureEd25519
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if cert.Subject.CommonName != spec.Subject.CommonName || len(cert.DNSNames) != len(spec.SubjectAlternativeDNSNames) {
			t.Fatalf("%s: subject %v, names %v", body, cert.Subject, cert.DNSNames)
		}
	})
}

// FuzzDecodeAlias: what is decoded is encoded to the same alias.
func FuzzDecodeAlias(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAlias("a", "1", data)
		if err != nil {
			return
		}
		again, err := encodeAlias(a)
		if err != nil {
			return // too large
		}
		if _, err := decodeAlias("a", "1", again); err != nil {
			t.Fatal(err)
		}
	})
}
