package keystore

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Encrypted PKCS #8 keys (RFC 5958) in PBES2 (RFC 8018). This is written here
// because the libraries at hand derive keys for as long as a file says, or
// panic on a wrong initialisation vector.

// maxIterations bounds the key derivation of an upload: about a second of one
// core. OpenSSL writes 2048, careful tools a few hundred thousand.
const maxIterations = 2_000_000

// maxScrypt bounds N*r*p of scrypt, and with it memory: 128 bytes times N*r.
const maxScrypt = 1 << 20

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct{ KDF, Scheme pkix.AlgorithmIdentifier }

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// prfs are the pseudo-random functions of PBKDF2 by OID.
var prfs = map[string]func() hash.Hash{
	"":                   sha1.New, // the default
	"1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.8": sha256.New224,
	"1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New, "1.2.840.113549.2.13": sha512.New512_256,
}

// scheme is a block cipher in CBC mode.
type scheme struct {
	keyLength int
	block     func(key []byte) (cipher.Block, error)
}

// schemes are the encryption schemes of PBES2 by OID.
var schemes = map[string]scheme{
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
}

// decryptPKCS8 reads an encrypted PKCS #8 key.
func decryptPKCS8(der []byte, password string) (crypto.Signer, error) {
	if password == "" {
		return nil, errors.New("the private key is encrypted and there is no password")
	}
	var info encryptedKey
	if err := unmarshalAll(der, &info); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("the private key is encrypted with %v and not with PBES2", info.Algorithm.Algorithm)
	}
	var params pbes2Params
	if err := unmarshalAll(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	s, ok := schemes[params.Scheme.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("the private key is encrypted with the cipher %v", params.Scheme.Algorithm)
	}
	key, err := deriveKey(params.KDF, password, s.keyLength)
	if err != nil {
		return nil, err
	}
	plain, err := s.decrypt(key, params.Scheme.Parameters.FullBytes, info.Data)
	if err != nil {
		return nil, err
	}
	signer, err := parsePKCS8(plain)
	if err != nil {
		return nil, errPassword
	}
	return signer, nil
}

func deriveKey(kdf pkix.AlgorithmIdentifier, password string, length int) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		return derivePBKDF2(kdf.Parameters.FullBytes, password, length)
	case kdf.Algorithm.Equal(oidScrypt):
		return deriveScrypt(kdf.Parameters.FullBytes, password, length)
	}
	return nil, fmt.Errorf("the key derivation %v is not supported", kdf.Algorithm)
}

func derivePBKDF2(der []byte, password string, length int) ([]byte, error) {
	var p pbkdf2Params
	if err := unmarshalAll(der, &p); err != nil {
		return nil, err
	}
	prf, ok := prfs[p.PRF.Algorithm.String()]
	switch {
	case !ok:
		return nil, fmt.Errorf("the key derivation with %v is not supported", p.PRF.Algorithm)
	case p.Iterations < 1 || p.Iterations > maxIterations:
		return nil, fmt.Errorf("%d iterations of the key derivation are not from 1 to %d", p.Iterations, maxIterations)
	case p.KeyLength != 0 && p.KeyLength != length:
		return nil, errPassword
	}
	return pbkdf2.Key(prf, password, p.Salt, p.Iterations, length)
}

func deriveScrypt(der []byte, password string, length int) ([]byte, error) {
	var p scryptParams
	if err := unmarshalAll(der, &p); err != nil {
		return nil, err
	}
	if p.N < 2 || p.R < 1 || p.P < 1 || p.N > maxScrypt || p.R > maxScrypt/p.N || p.P > maxScrypt/p.N/p.R {
		return nil, fmt.Errorf("the key derivation scrypt with N %d, r %d, p %d costs too much", p.N, p.R, p.P)
	}
	return scrypt.Key([]byte(password), p.Salt, p.N, p.R, p.P, length)
}

// decrypt decrypts in CBC mode and removes the padding.
func (s scheme) decrypt(key, ivDER, data []byte) ([]byte, error) {
	var iv []byte
	if err := unmarshalAll(ivDER, &iv); err != nil {
		return nil, err
	}
	block, err := s.block(key)
	if err != nil {
		return nil, errPassword
	}
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errPassword
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	n := int(plain[len(plain)-1])
	if n < 1 || n > size {
		return nil, errPassword
	}
	return plain[:len(plain)-n], nil
}

// unmarshalAll reads DER to its end.
func unmarshalAll(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil || len(rest) > 0 {
		return errors.New("the private key is not valid PKCS #8")
	}
	return nil
}
