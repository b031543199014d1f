package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// fromPKCS12 makes the alias of a PKCS #12 file: its one private key and the
// certificates, put in order from the key's.
func (u Upload) fromPKCS12() (Alias, error) {
	if len(u.File) == 0 {
		return Alias{}, errors.New("file is missing")
	}
	if err := checkCost(u.File, 0); err != nil {
		return Alias{}, fmt.Errorf("file: %w", err)
	}
	key, cert, others, err := pkcs12.DecodeChain(u.File, u.Password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return Alias{}, errors.New("file: the password is wrong")
	case err != nil:
		return Alias{}, fmt.Errorf("file: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return Alias{}, fmt.Errorf("file: a private key of type %T cannot sign", key)
	}
	return NewAlias(u.Alias, orderChain(signer, append([]*x509.Certificate{cert}, others...)), signer)
}

// orderChain puts the certificate of the key first and each issuer after what
// it issued. What belongs nowhere comes last, in its old order. PKCS #12 has
// no order of its own.
func orderChain(key crypto.Signer, certs []*x509.Certificate) []*x509.Certificate {
	next := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return samePublicKey(c.PublicKey, key.Public()) })
	rest := slices.Clone(certs)
	var chain []*x509.Certificate
	for next >= 0 {
		c := rest[next]
		chain, rest = append(chain, c), slices.Delete(rest, next, next+1)
		next = slices.IndexFunc(rest, func(issuer *x509.Certificate) bool {
			return bytes.Equal(issuer.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(issuer) == nil
		})
	}
	return append(chain, rest...)
}

// maxNesting is the depth of ASN.1 that checkCost follows.
const maxNesting = 32

// checkCost refuses a PKCS #12 file whose key derivations would run for too
// long. In every parameter of theirs the number of iterations is the INTEGER
// after the OCTET STRING of the salt. What is inside an encrypted part is not
// seen; the decoder gets there only with the right password.
func checkCost(der []byte, depth int) error {
	if depth > maxNesting {
		return errors.New("it is nested too deeply")
	}
	in, salt := cryptobyte.String(der), false
	for !in.Empty() {
		var content cryptobyte.String
		var tag casn1.Tag
		if !in.ReadAnyASN1(&content, &tag) {
			return nil // not DER: an OCTET STRING of something else
		}
		if tag == casn1.INTEGER && salt && tooMany(content) {
			return fmt.Errorf("a key derivation has more than %d iterations", maxIterations)
		}
		salt = tag == casn1.OCTET_STRING
		if salt || tag&0x20 != 0 { // constructed
			if err := checkCost(content, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func tooMany(integer []byte) bool {
	n := 0
	for _, b := range integer {
		if n = n<<8 | int(b); n > maxIterations {
			return true
		}
	}
	return false
}
