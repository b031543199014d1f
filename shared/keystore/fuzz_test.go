package keystore_test

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
)

// checkImport holds what is true of every upload: an error is Invalid, and
// what is imported is stored and read back unchanged, with the key of its
// leaf.
func checkImport(t *testing.T, u keystore.Upload) {
	u.Alias = "a"
	a, err := keystore.Import(u, now)
	if err != nil {
		if keystore.CodeOf(err) != keystore.Invalid {
			t.Fatalf("error of code %q: %v", keystore.CodeOf(err), err)
		}
		return
	}
	if _, err := keystore.NewAlias("a", a.Certs, a.Key()); err != nil {
		t.Fatal(err)
	}
	s := keystore.New(memory.New())
	if _, err := s.CreateAlias(t.Context(), scope, "ks", a); err != nil {
		if keystore.CodeOf(err) != keystore.Invalid { // too large
			t.Fatal(err)
		}
		return
	}
	got, err := s.GetAlias(t.Context(), scope, "ks", "a")
	if err != nil {
		t.Fatal(err)
	}
	if got.Type() != a.Type() || !bytes.Equal(got.ChainPEM(), a.ChainPEM()) || a.Key() != nil && !sameKey(got, a) {
		t.Fatal("read back otherwise")
	}
	_ = a.Resource(now)
}

func FuzzKeyCertFile(f *testing.F) {
	for _, name := range []string{"rsa-chain.pem", "rsa.der", "ec.pem", "ed25519.pem"} {
		for _, key := range []string{
			"rsa.key", "rsa-pkcs8.key", "ec.key", "ed25519.key", "rsa-aes256.key", "ec-aes128.key", "ec-p8-scrypt.key",
			"rsa-p8-des3.key", "rsa-p8-aes192-sha512.key", "ec-p8-costly.key",
		} {
			f.Add(file(f, name), file(f, key), "secret")
		}
		f.Add(file(f, name), []byte{}, "")
	}
	f.Fuzz(func(t *testing.T, cert, key []byte, password string) {
		checkImport(t, keystore.Upload{
			FileFormat: keystore.KeyCertFile, CertFile: cert, KeyFile: key, Password: password,
			IgnoreNewlineValidation: true, IgnoreExpiryValidation: true,
		})
	})
}

// FuzzEncryptedKey mutates the DER, which in PEM a fuzzer hardly gets right.
func FuzzEncryptedKey(f *testing.F) {
	for _, name := range []string{
		"ec-p8-scrypt.key", "ec-p8-costly.key", "ed25519-p8.key", "rsa-p8-des3.key", "rsa-p8-aes128-sha1.key",
		"rsa-p8-aes192-sha512.key", "rsa-p8-aes256-sha256.key", "rsa-p8-pbes1.key",
	} {
		f.Add(derOf(file(f, name)))
	}
	cert := file(f, "ec.pem")
	f.Fuzz(func(t *testing.T, der []byte) {
		checkImport(t, keystore.Upload{
			FileFormat: keystore.KeyCertFile, CertFile: cert, KeyFile: encryptedPEM(der), Password: "secret",
		})
	})
}

func derOf(file []byte) []byte {
	block, _ := pem.Decode(file)
	return block.Bytes
}

func encryptedPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

func FuzzPKCS12(f *testing.F) {
	for _, name := range []string{"rsa.p12", "rsa-legacy.p12", "ec.p12", "nokey.p12", "keytool.p12", "rsa-nopassword.p12"} {
		f.Add(file(f, name), "secret")
		f.Add(file(f, name), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		checkImport(t, keystore.Upload{FileFormat: keystore.PKCS12, File: data, Password: password})
	})
}

func FuzzJAR(f *testing.F) {
	f.Add(file(f, "keystore.jar"), "secret")
	f.Add(jar(f, map[string]string{"META-INF/descriptor.properties": "certFile=c", "c": string(file(f, "ca.pem"))}), "")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		checkImport(t, keystore.Upload{FileFormat: keystore.KeyCertJAR, File: data, Password: password})
	})
}
