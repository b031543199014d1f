// Package samltest has keys, keystores and assertions for tests of SAML. Its
// certificates are valid from 2020 to 2045, those of "expired" until 2024.
package samltest

import (
	"context"
	"crypto"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/beevik/etree"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/xmldsig"
)

// PEM is the files of testdata: signer, expired and ec have certificates of
// authority; rogue signed its own, with the names of signer.
//
//go:embed testdata/*.pem
var PEM embed.FS

// Keys are keystores. As keystores "idp" has each key under its own name. As
// truststores "pinned", "rogue" and "expired" have the certificate of signer,
// rogue and expired, "authority" that of the authority, and "empty" none.
type Keys struct{}

var _ policy.Keys = Keys{}

// Key returns a key of the keystore idp.
func (Keys) Key(_ context.Context, keystore, alias string) (crypto.Signer, []*x509.Certificate, error) {
	if keystore != "idp" {
		return nil, nil, fmt.Errorf("keystore %s does not exist", keystore)
	}
	return Load(alias)
}

// Certificates returns those of a truststore.
func (Keys) Certificates(_ context.Context, keystore, _ string) ([]*x509.Certificate, error) {
	file := keystore
	switch keystore {
	case "pinned":
		file = "signer"
	case "empty":
		return nil, nil
	}
	_, certs, err := Load(file)
	return certs, err
}

// Load reads a file of PEM.
func Load(name string) (key crypto.Signer, certs []*x509.Certificate, err error) {
	data, err := PEM.ReadFile("testdata/" + name + ".pem")
	if err != nil {
		return nil, nil, fmt.Errorf("keystore has no %s", name)
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return key, certs, nil
		}
		if block.Type == "PRIVATE KEY" {
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			key = k.(crypto.Signer)
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		certs = append(certs, c)
	}
}

// Text is an unsigned assertion with everything that a policy sets a variable
// from, valid at policytest.Now.
const Text = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" IssueInstant="2026-04-01T12:00:00Z" Version="2.0">
  <saml:Issuer>https://idp.example.com</saml:Issuer>
  <saml:Subject>
    <saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">joe@example.com</saml:NameID>
    <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
      <saml:SubjectConfirmationData Address="203.0.113.7" InResponseTo="_r1" NotOnOrAfter="2026-04-01T12:05:00Z" Recipient="https://api.example.com/"/>
    </saml:SubjectConfirmation>
  </saml:Subject>
  <saml:Conditions NotBefore="2026-04-01T11:59:00Z" NotOnOrAfter="2026-04-01T12:05:00Z">
    <saml:AudienceRestriction><saml:Audience>https://api.example.com</saml:Audience></saml:AudienceRestriction>
  </saml:Conditions>
  <saml:AuthnStatement AuthnInstant="2026-04-01T11:58:00Z" SessionIndex="s7" SessionNotOnOrAfter="2026-04-01T20:00:00Z">
    <saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>
  </saml:AuthnStatement>
  <saml:AttributeStatement>
    <saml:Attribute Name="mail"><saml:AttributeValue>joe@example.com</saml:AttributeValue></saml:Attribute>
    <saml:Attribute Name="role"><saml:AttributeValue>reader</saml:AttributeValue><saml:AttributeValue>writer</saml:AttributeValue></saml:Attribute>
  </saml:AttributeStatement>
</saml:Assertion>`

// Sign signs the root of an XML text with a key of PEM, RSA and SHA-256.
func Sign(t testing.TB, text, key string) string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		t.Fatal(err)
	}
	k, chain, err := Load(key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := saml.Sign(doc, "_none", saml.SignOptions{
		Key: k, Chain: chain, Method: xmldsig.Methods[1], Digest: xmldsig.Digests[1], Canonicalization: xmldsig.Exclusive,
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Envelope puts header elements into a SOAP message.
func Envelope(header string) string {
	return `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header>` +
		`<wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">` + header +
		`</wsse:Security></soap:Header><soap:Body><order xmlns="urn:shop">7</order></soap:Body></soap:Envelope>`
}

// Policy is a ValidateSAMLAssertion for a message of Envelope.
const Policy = `<ValidateSAMLAssertion name="SAML">
  <Source name="request">
    <Namespaces>
      <Namespace prefix="soap">http://schemas.xmlsoap.org/soap/envelope/</Namespace>
      <Namespace prefix="wsse">http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd</Namespace>
      <Namespace prefix="saml">urn:oasis:names:tc:SAML:2.0:assertion</Namespace>
    </Namespaces>
    <AssertionXPath>/soap:Envelope/soap:Header/wsse:Security/saml:Assertion</AssertionXPath>
    <SignedElementXPath>/soap:Envelope/soap:Header/wsse:Security/saml:Assertion</SignedElementXPath>
  </Source>
  <TrustStore>authority</TrustStore>
</ValidateSAMLAssertion>`

// Now is when Text is valid.
var Now = policytest.Now
