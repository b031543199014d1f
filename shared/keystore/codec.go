package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
)

// encodeAlias writes the secret of an alias: its private key in PKCS #8, if it
// has one, and its chain, all in PEM.
func encodeAlias(a Alias) ([]byte, error) {
	if len(a.Certs) == 0 {
		return nil, Errorf(Invalid, "alias %q has no certificate", a.Name)
	}
	var out []byte
	if a.key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(a.key())
		if err != nil {
			return nil, Errorf(Invalid, "alias %q: %w", a.Name, err)
		}
		out = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	out = append(out, a.ChainPEM()...)
	if len(out) > MaxData {
		return nil, Errorf(Invalid, "alias %q needs %d bytes, the most is %d", a.Name, len(out), MaxData)
	}
	return out, nil
}

// decodeAlias reads what encodeAlias wrote.
func decodeAlias(name, version string, data []byte) (Alias, error) {
	var certs []*x509.Certificate
	var key crypto.Signer
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		if block == nil {
			return Alias{}, Errorf(Invalid, "the secret of alias %q is not PEM", name)
		}
		data = rest
		var err error
		if block.Type == "PRIVATE KEY" && key == nil {
			key, err = parsePKCS8(block.Bytes)
		} else {
			certs, err = appendCertificate(certs, block)
		}
		if err != nil {
			return Alias{}, Errorf(Invalid, "the secret of alias %q: %w", name, err)
		}
	}
	a, err := NewAlias(name, certs, key)
	if err != nil {
		return Alias{}, err
	}
	a.Version = version
	return a, nil
}
