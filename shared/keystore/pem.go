package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxChain is the most certificates of an alias; MaxData ends it sooner for
// most.
const maxChain = 256

// fromFiles makes the alias of a certificate file and a key file.
func (u Upload) fromFiles(certFile, keyFile []byte) (Alias, error) {
	if len(certFile) == 0 {
		return Alias{}, errors.New("certFile is missing")
	}
	certs, err := parseCertificates(certFile, u.IgnoreNewlineValidation)
	if err != nil {
		return Alias{}, fmt.Errorf("certFile: %w", err)
	}
	if len(keyFile) == 0 {
		return NewAlias(u.Alias, certs, nil)
	}
	key, err := parseKey(keyFile, u.Password)
	if err != nil {
		return Alias{}, fmt.Errorf("keyFile: %w", err)
	}
	return NewAlias(u.Alias, certs, key)
}

// sameLine is where two certificates meet without a line break.
var sameLine = []byte("-----END CERTIFICATE----------BEGIN CERTIFICATE-----")

// parseCertificates reads a file of certificates, in PEM or one in DER.
func parseCertificates(file []byte, ignoreNewlines bool) ([]*x509.Certificate, error) {
	if bytes.Contains(file, sameLine) {
		if !ignoreNewlines {
			return nil, errors.New("there is no newline between two certificates of the chain")
		}
		file = bytes.ReplaceAll(file, sameLine, []byte("-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----"))
	}
	if !bytes.Contains(file, []byte("-----BEGIN")) {
		c, err := x509.ParseCertificate(file)
		if err != nil {
			return nil, errors.New("there is no certificate in PEM or DER")
		}
		return []*x509.Certificate{c}, nil
	}
	return parsePEMCertificates(file)
}

func parsePEMCertificates(file []byte) (certs []*x509.Certificate, err error) {
	// pem.Decode passes over a damaged block as if it were not there.
	blocks := bytes.Count(file, []byte("-----BEGIN "))
	if blocks > maxChain {
		return nil, fmt.Errorf("there are %d certificates, the most is %d", blocks, maxChain)
	}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if certs, err = appendCertificate(certs, block); err != nil {
			return nil, err
		}
	}
	if len(certs) != blocks {
		return nil, fmt.Errorf("%d of %d certificates are not valid PEM", blocks-len(certs), blocks)
	}
	return certs, nil
}

func appendCertificate(certs []*x509.Certificate, block *pem.Block) ([]*x509.Certificate, error) {
	if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
		return nil, fmt.Errorf("a PEM block of type %q is no certificate", block.Type)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
	}
	return append(certs, c), nil
}

// ParsePrivateKey reads the one private key of a PEM text: PKCS #1, PKCS #8 or
// SEC 1, in the clear or encrypted with password. Errors never quote the key.
func ParsePrivateKey(text []byte, password string) (crypto.Signer, error) {
	return parseKey(text, password)
}

// parseKey reads the one private key of a PEM file: PKCS #1, PKCS #8 or SEC 1,
// in the clear or encrypted. Other blocks, such as EC PARAMETERS, are passed
// over.
func parseKey(file []byte, password string) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil, errors.New("there is no private key in PEM")
		}
		if isKey(block.Type) {
			return parseKeyBlock(block, password)
		}
		file = rest
	}
}

func isKey(blockType string) bool {
	switch blockType {
	case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return true
	}
	return false
}

// errPassword is all that is said of a key that does not open.
var errPassword = errors.New("the private key cannot be decrypted: the password is wrong or the key is damaged")

func parseKeyBlock(block *pem.Block, password string) (crypto.Signer, error) {
	der := block.Bytes
	//lint:ignore SA1019 such files exist, and reading one weakens nothing
	if x509.IsEncryptedPEMBlock(block) {
		if password == "" {
			return nil, errors.New("the private key is encrypted and there is no password")
		}
		var err error
		//lint:ignore SA1019 see above
		if der, err = x509.DecryptPEMBlock(block, []byte(password)); err != nil {
			return nil, errPassword
		}
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		return asSigner(x509.ParsePKCS1PrivateKey(der))
	case "EC PRIVATE KEY":
		return asSigner(x509.ParseECPrivateKey(der))
	case "ENCRYPTED PRIVATE KEY":
		return decryptPKCS8(der, password)
	}
	return parsePKCS8(der)
}

func parsePKCS8(der []byte) (crypto.Signer, error) {
	return asSigner(x509.ParsePKCS8PrivateKey(der))
}

// asSigner is a parsed private key as what TLS and signatures need. The error
// of parsing is not passed on, as it may quote the key.
func asSigner[K any](key K, err error) (crypto.Signer, error) {
	if err != nil {
		return nil, errors.New("the private key is not valid")
	}
	signer, ok := any(key).(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a private key of type %T cannot sign", key)
	}
	return signer, nil
}
