package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// The kinds of forgery that Wycheproof's vectors hold, made here: each is close
// to a token or a key that is good.

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func testKey(t testing.TB, name string) *Key {
	t.Helper()
	k, err := parsePrivate(testFile(t, name), "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *Key) publicOf(t testing.TB) *Key {
	t.Helper()
	var pub any
	switch m := k.material.(type) {
	case *rsa.PrivateKey:
		pub = &m.PublicKey
	case *ecdsa.PrivateKey:
		pub = &m.PublicKey
	case []byte:
		return k
	}
	p, err := publicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verifyWith is what a policy for one algorithm and one key does.
func verifyWith(alg string, k *Key, token string) error {
	tok, err := Parse(token)
	if err != nil {
		return err
	}
	a := SignatureNamed(alg)
	v := &Verifier{Signatures: []*Signature{a}, Keys: &Keys{}}
	h, err := v.read(nil, tok)
	if err != nil {
		return err
	}
	if err := a.fits(k); err != nil {
		return err
	}
	return v.open(tok, h, k, "InvalidToken")
}

func signWith(t testing.TB, alg, header string, k *Key) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(`{"sub":"joe"}`))
	sig, err := SignatureNamed(alg).sign(k, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

func TestRefusedSignatures(t *testing.T) {
	for alg, k := range map[string]*Key{
		"HS256": secretKey([]byte(strings.Repeat("k", 32))), "RS256": testKey(t, "rsa.pem"), "PS256": testKey(t, "rsa.pem"),
		"ES256": testKey(t, "p256.pem"), "ES512": testKey(t, "p521.pem"),
	} {
		good := signWith(t, alg, `{"alg":"`+alg+`"}`, k)
		pub := k.publicOf(t)
		if err := verifyWith(alg, pub, good); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		p := strings.Split(good, ".")
		h, body, s := p[0], p[1], p[2]
		raw, _ := strict.DecodeString(s)
		for name, bad := range map[string]string{
			"no signature":             h + "." + body + ".",
			"no signature, no dot":     h + "." + body,
			"no payload":               h + ".." + s,
			"no payload, no dot":       h + "." + s,
			"no header":                "." + body + "." + s,
			"no header, no dot":        body + "." + s,
			"nothing":                  "",
			"dots":                     "..",
			"a part more":              good + "." + s,
			"an empty part more":       good + ".",
			"changed payload":          h + "." + b64([]byte(`{"sub":"ann"}`)) + "." + s,
			"changed header":           b64([]byte(`{"alg":"`+alg+`","a":1}`)) + "." + body + "." + s,
			"a shorter signature":      h + "." + body + "." + b64(raw[:len(raw)-1]),
			"half a signature":         h + "." + body + "." + b64(raw[:len(raw)/2]),
			"a longer signature":       h + "." + body + "." + b64(append(raw[:len(raw):len(raw)], 0)),
			"a zero in front":          h + "." + body + "." + b64(append([]byte{0}, raw...)),
			"a signature of zeros":     h + "." + body + "." + b64(make([]byte, len(raw))),
			"blanks":                   h + "." + body + ".  " + s,
			"a line break":             h + "." + body + ".\n" + s,
			"a line break in the body": h + "." + body[:4] + "\r\n" + body[4:] + "." + s,
			"a character of no base64": h + "." + body + "?." + s,
			"padding":                  h + "." + body + "=." + s,
			"padding at the end":       good + "=",
			"alg none":                 b64([]byte(`{"alg":"none"}`)) + "." + body + ".",
			"alg None":                 b64([]byte(`{"alg":"None"}`)) + "." + body + ".",
			"alg in another case":      b64([]byte(`{"alg":"`+strings.ToLower(alg)+`"}`)) + "." + body + "." + s,
			"alg in a list":            b64([]byte(`{"alg":["`+alg+`"]}`)) + "." + body + "." + s,
			"JSON":                     `{"protected":"` + h + `","payload":"` + body + `","signature":"` + s + `"}`,
		} {
			if err := verifyWith(alg, pub, bad); err == nil {
				t.Errorf("%s: %s is verified", alg, name)
			}
		}
	}
}

// TestUnusedBits: the last character of base64 may hold bits that mean nothing.
func TestUnusedBits(t *testing.T) {
	k := secretKey([]byte(strings.Repeat("k", 32)))
	good := signWith(t, "HS256", `{"alg":"HS256"}`, k) // 32 bytes: two unused bits
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[len(good)-1])
	bad := good[:len(good)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	if err := verifyWith("HS256", k, bad); err == nil {
		t.Error("two texts are one token")
	}
}

// TestRefusedRSA: signatures that are made with the right key in another way.
func TestRefusedRSA(t *testing.T) {
	k := testKey(t, "rsa.pem")
	priv := k.material.(*rsa.PrivateKey)
	input := func(alg string) string { return b64([]byte(`{"alg":"`+alg+`"}`)) + ".e30" }
	digest := func(alg string) []byte { d := sha256.Sum256([]byte(input(alg))); return d[:] }
	pss := func(salt int) []byte {
		s, err := rsa.SignPSS(rand.Reader, priv, crypto.SHA256, digest("PS256"), &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pkcs, _ := rsa.SignPKCS1v15(nil, priv, crypto.SHA256, digest("PS256"))
	plain, _ := rsa.SignPKCS1v15(nil, priv, 0, digest("RS256"))
	swapped, _ := rsa.SignPSS(rand.Reader, priv, crypto.SHA256, digest("RS256"), &rsa.PSSOptions{SaltLength: 32})
	for _, tt := range []struct {
		name, alg string
		sig       []byte
		good      bool
	}{
		{"salt as long as the hash", "PS256", pss(32), true},
		{"no salt", "PS256", pss(0), false}, {"short salt", "PS256", pss(31), false}, {"long salt", "PS256", pss(33), false},
		{"PKCS #1 v1.5 for PSS", "PS256", pkcs, false}, {"PSS for PKCS #1 v1.5", "RS256", swapped, false},
		{"a hash without its name", "RS256", plain, false},
	} {
		if err := verifyWith(tt.alg, k.publicOf(t), input(tt.alg)+"."+b64(tt.sig)); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestRefusedECDSA: r and s at the edges, and the form of X.509.
func TestRefusedECDSA(t *testing.T) {
	k := testKey(t, "p256.pem")
	priv := k.material.(*ecdsa.PrivateKey)
	input := b64([]byte(`{"alg":"ES256"}`)) + ".e30"
	d := sha256.Sum256([]byte(input))
	n := priv.Params().N
	r, s, err := ecdsa.Sign(rand.Reader, priv, d[:])
	if err != nil {
		t.Fatal(err)
	}
	pair := func(r, s *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	der, _ := ecdsa.SignASN1(rand.Reader, priv, d[:])
	one, zero := big.NewInt(1), new(big.Int)
	for name, sig := range map[string][]byte{
		"0, 0": pair(zero, zero), "0, 1": pair(zero, one), "1, 0": pair(one, zero), "1, 1": pair(one, one), "n, n": pair(n, n),
		"n, 1": pair(n, one), "n-1, n-1": pair(new(big.Int).Sub(n, one), new(big.Int).Sub(n, one)),
		"r, 0": pair(r, zero), "0, s": pair(zero, s), "s, r": pair(s, r), "DER": der,
		"r and s in 33 bytes": append(r.FillBytes(make([]byte, 33)), s.FillBytes(make([]byte, 33))...),
	} {
		if err := verifyWith("ES256", k.publicOf(t), input+"."+b64(sig)); err == nil {
			t.Errorf("%s is verified", name)
		}
	}
	if err := verifyWith("ES256", k.publicOf(t), input+"."+b64(pair(r, s))); err != nil {
		t.Error(err)
	}
}

// TestRefusedKeys are keys of a set that verify nothing.
func TestRefusedKeys(t *testing.T) {
	rsaKey := testKey(t, "rsa.pem").material.(*rsa.PrivateKey)
	ecKey := testKey(t, "p256.pem").material.(*ecdsa.PrivateKey)
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := point[1:33], point[33:]
	n := b64(rsaKey.N.Bytes())
	jwk := func(members ...string) string {
		var o Object
		for i := 0; i < len(members); i += 2 {
			o.setText(members[i], members[i+1])
		}
		o.setText("kid", "k")
		return o.JSON()
	}
	bad := append([]byte{}, y...)
	bad[31] ^= 1
	for _, tt := range []struct{ name, alg, key, want string }{
		{"RSA", "RS256", jwk("kty", "RSA", "n", n, "e", "AQAB"), ""},
		{"RSA for PS", "PS512", jwk("kty", "RSA", "n", n, "e", "AQAB", "use", "sig", "alg", "PS512"), ""},
		{"EC", "ES256", jwk("kty", "EC", "crv", "P-256", "x", b64(x), "y", b64(y)), ""},
		{"exponent 1", "RS256", jwk("kty", "RSA", "n", n, "e", "AQ"), "error"},
		{"even exponent", "RS256", jwk("kty", "RSA", "n", n, "e", "AQAA"), "error"},
		{"1024 bits", "RS256", jwk("kty", "RSA", "n", b64(rsaKey.Primes[0].Bytes()), "e", "AQAB"), "error"},
		{"ROCA", "RS256", jwk("kty", "RSA", "n", b64(rocaModulus().Bytes()), "e", "AQAB"), "InvalidPublicKey"},
		{"not on the curve", "ES256", jwk("kty", "EC", "crv", "P-256", "x", b64(x), "y", b64(bad)), "error"},
		{"point of another curve", "ES384", jwk("kty", "EC", "crv", "P-384", "x", b64(x), "y", b64(y)), "error"},
		{"other curve", "ES384", jwk("kty", "EC", "crv", "P-256", "x", b64(x), "y", b64(y)), "InvalidCurve"},
		{"for encryption", "RS256", jwk("kty", "RSA", "n", n, "e", "AQAB", "use", "enc"), "NoMatchingPublicKey"},
		{"of another algorithm", "RS256", jwk("kty", "RSA", "n", n, "e", "AQAB", "alg", "RS512"), "NoMatchingPublicKey"},
		{"of no algorithm", "RS256", jwk("kty", "RSA", "n", n, "e", "AQAB", "alg", "ES521"), "NoMatchingPublicKey"},
		{"of another type", "RS256", jwk("kty", "EC", "crv", "P-256", "x", b64(x), "y", b64(y)), "WrongKeyType"},
		{"a secret", "HS256", jwk("kty", "oct", "k", b64(x)), "NoMatchingPublicKey"},
		{"of no type", "RS256", jwk("n", n, "e", "AQAB"), "error"},
	} {
		s, err := parseSet(`{"keys":[` + tt.key + `]}`)
		if err == nil {
			a := SignatureNamed(tt.alg)
			_, err = s.find(purpose{kid: "k", alg: tt.alg, use: "sig", ops: []string{"verify"}, fit: a.fits})
		}
		var e *Error
		switch {
		case tt.want == "" && err != nil, tt.want != "" && err == nil, tt.want == "error" && !errors.As(err, &e),
			tt.want != "" && tt.want != "error" && (!errors.As(err, &e) || e.Name != tt.want):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	ops := strings.Replace(jwk("kty", "RSA", "n", n, "e", "AQAB"), `"kid"`, `"key_ops":["encrypt"],"kid"`, 1)
	s, err := parseSet(ops)
	if err != nil || !json.Valid([]byte(ops)) {
		t.Fatal(err)
	}
	if _, err := s.find(purpose{kid: "k", alg: "RS256", use: "sig", ops: []string{"verify"}, fit: SignatureNamed("RS256").fits}); err == nil {
		t.Error("a key for encrypt verifies")
	}
}

// rocaModulus has the form that gives weak keys away: 65537 to some power,
// modulo the primes of the test. It is no product of two primes, which nothing
// here looks at.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for _, p := range rocaPrimes {
		m.Mul(m, big.NewInt(p))
	}
	v := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), m)
	k := new(big.Int).Lsh(big.NewInt(1), 2047-uint(m.BitLen())+1)
	v.Add(v, k.Mul(k, m))
	if v.Bit(0) == 0 {
		v.Add(v, m)
	}
	return v
}

func TestROCA(t *testing.T) {
	if !hasROCA(rocaModulus()) {
		t.Error("a weak modulus is not found")
	}
	if k := testKey(t, "rsa.pem").material.(*rsa.PrivateKey); hasROCA(k.N) {
		t.Error("a good modulus is called weak")
	}
}

// TestKeyText: keys never show when printed.
func TestKeyText(t *testing.T) {
	k := secretKey([]byte("hush"))
	for _, s := range []string{k.String(), k.GoString()} {
		if s != "key" {
			t.Error(s)
		}
	}
}
