package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

// Signature is a signature algorithm of RFC 7518 section 3.
type Signature struct {
	Name   string
	hash   crypto.Hash
	mac    func() hash.Hash
	minKey int // bytes, of HS
	curve  elliptic.Curve
}

var signatures = []*Signature{
	{Name: "HS256", mac: sha256.New, minKey: 32},
	{Name: "HS384", mac: sha512.New384, minKey: 48},
	{Name: "HS512", mac: sha512.New, minKey: 64},
	{Name: "RS256", hash: crypto.SHA256},
	{Name: "RS384", hash: crypto.SHA384},
	{Name: "RS512", hash: crypto.SHA512},
	{Name: "PS256", hash: crypto.SHA256},
	{Name: "PS384", hash: crypto.SHA384},
	{Name: "PS512", hash: crypto.SHA512},
	{Name: "ES256", hash: crypto.SHA256, curve: elliptic.P256()},
	{Name: "ES384", hash: crypto.SHA384, curve: elliptic.P384()},
	{Name: "ES512", hash: crypto.SHA512, curve: elliptic.P521()},
}

// SignatureNamed returns the algorithm called name, nil if it is none that
// Apigee supports. There is no "none".
func SignatureNamed(name string) *Signature {
	if i := slices.IndexFunc(signatures, func(a *Signature) bool { return a.Name == name }); i >= 0 {
		return signatures[i]
	}
	return nil
}

// Family is "HS", "RS", "PS" or "ES".
func (a *Signature) Family() string { return a.Name[:2] }

// Symmetric reports whether one secret signs and verifies.
func (a *Signature) Symmetric() bool { return a.mac != nil }

// minRSA is the least size of an RSA key in bits: RFC 7518 section 3.3.
const minRSA = 2048

// fits reports with an *Error why a key, public or private, cannot be used.
func (a *Signature) fits(k *Key) error {
	switch m := k.material.(type) {
	case []byte:
		if !a.Symmetric() {
			return refuse("WrongKeyType")
		}
		if len(m) < a.minKey {
			return refuse("InsufficientKeyLength")
		}
		return nil
	case *rsa.PublicKey, *rsa.PrivateKey:
		if f := a.Family(); f != "RS" && f != "PS" {
			return refuse("WrongKeyType")
		}
		return nil
	case *ecdsa.PublicKey:
		return a.fitsCurve(m.Curve)
	case *ecdsa.PrivateKey:
		return a.fitsCurve(m.Curve)
	}
	return refuse("WrongKeyType")
}

func (a *Signature) fitsCurve(c elliptic.Curve) error {
	switch {
	case a.curve == nil:
		return refuse("WrongKeyType")
	case a.curve != c:
		return refuse("InvalidCurve")
	}
	return nil
}

// verify checks a signature with a key that fits. Secrets are compared in
// constant time.
func (a *Signature) verify(k *Key, input, signature []byte) error {
	switch m := k.material.(type) {
	case []byte:
		return jwsbb.VerifyHMAC(m, input, signature, a.mac)
	case *rsa.PublicKey:
		return jwsbb.VerifyRSA(m, input, signature, a.hash, a.Family() == "PS")
	case *ecdsa.PublicKey:
		return jwsbb.VerifyECDSA(m, input, signature, a.hash)
	}
	return refuse("WrongKeyType")
}

// sign makes a signature with a key that fits.
func (a *Signature) sign(k *Key, input []byte) ([]byte, error) {
	switch m := k.material.(type) {
	case []byte:
		return jwsbb.SignHMAC(m, input, a.mac)
	case *rsa.PrivateKey:
		return jwsbb.SignRSA(m, input, a.hash, a.Family() == "PS", nil)
	case *ecdsa.PrivateKey:
		return jwsbb.SignECDSA(m, input, a.hash, nil)
	}
	return nil, refuse("WrongKeyType")
}

// split returns the items of a comma-separated list without white space.
func split(list string) []string {
	var out []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
