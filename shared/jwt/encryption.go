package jwt

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"slices"
	"strconv"

	"github.com/lestrrat-go/jwx/v3/jwe/jwebb"
)

// Bounds of what a token may make a verifier do.
const (
	minIterations  = 1000      // of PBKDF2: RFC 7518 section 4.8.1.2
	maxIterations  = 100_000   // unless the policy itself asks for more
	mostIterations = 1_000_000 // that a policy may ask for
	maxInflated    = 1 << 20   // bytes of a compressed payload
)

// keyAlgorithm is a key management algorithm of RFC 7518 section 4.
type keyAlgorithm struct {
	name string
	kind keyKind
	size int              // bytes of the key that wraps
	hash func() hash.Hash // of PBES2
}

type keyKind uint8

const (
	kindDirect keyKind = iota
	kindRSA
	kindWrap
	kindGCM
	kindPassword
	kindAgree     // ECDH-ES
	kindAgreeWrap // ECDH-ES+A*KW
)

var keyAlgorithms = []*keyAlgorithm{
	{"dir", kindDirect, 0, nil},
	{"RSA-OAEP-256", kindRSA, 0, nil},
	{"A128KW", kindWrap, 16, nil},
	{"A192KW", kindWrap, 24, nil},
	{"A256KW", kindWrap, 32, nil},
	{"A128GCMKW", kindGCM, 16, nil},
	{"A192GCMKW", kindGCM, 24, nil},
	{"A256GCMKW", kindGCM, 32, nil},
	{"PBES2-HS256+A128KW", kindPassword, 16, sha256.New},
	{"PBES2-HS384+A192KW", kindPassword, 24, sha512.New384},
	{"PBES2-HS512+A256KW", kindPassword, 32, sha512.New},
	{"ECDH-ES", kindAgree, 0, nil},
	{"ECDH-ES+A128KW", kindAgreeWrap, 16, nil},
	{"ECDH-ES+A192KW", kindAgreeWrap, 24, nil},
	{"ECDH-ES+A256KW", kindAgreeWrap, 32, nil},
}

func keyAlgorithmNamed(name string) *keyAlgorithm {
	if i := slices.IndexFunc(keyAlgorithms, func(a *keyAlgorithm) bool { return a.name == name }); i >= 0 {
		return keyAlgorithms[i]
	}
	return nil
}

// content is a content encryption algorithm of RFC 7518 section 5.
type content struct {
	name         string
	key, iv, tag int // bytes
}

var contents = []*content{
	{"A128CBC-HS256", 32, 16, 16},
	{"A192CBC-HS384", 48, 16, 24},
	{"A256CBC-HS512", 64, 16, 32},
	{"A128GCM", 16, 12, 16},
	{"A192GCM", 24, 12, 16},
	{"A256GCM", 32, 12, 16},
}

func contentNamed(name string) *content {
	if i := slices.IndexFunc(contents, func(c *content) bool { return c.name == name }); i >= 0 {
		return contents[i]
	}
	return nil
}

// Encryption is the algorithms of an encrypted JWT. Without content, a verifier
// takes any.
type Encryption struct {
	key     *keyAlgorithm
	content *content
}

// element is the element that holds the key.
func (a *keyAlgorithm) element(generate bool) string {
	switch a.kind {
	case kindDirect:
		return "DirectKey"
	case kindPassword:
		return "PasswordKey"
	case kindWrap, kindGCM:
		return "SecretKey"
	}
	if generate {
		return "PublicKey"
	}
	return "PrivateKey"
}

// fits reports with an *Error why a key cannot be used.
func (a *keyAlgorithm) fits(k *Key, c *content) error {
	switch m := k.material.(type) {
	case []byte:
		return a.fitsSecret(len(m), c)
	case *rsa.PublicKey, *rsa.PrivateKey:
		if a.kind != kindRSA {
			return refuse("WrongKeyType")
		}
	case *ecdsa.PublicKey, *ecdsa.PrivateKey:
		if a.kind != kindAgree && a.kind != kindAgreeWrap {
			return refuse("WrongKeyType")
		}
	}
	return nil
}

func (a *keyAlgorithm) fitsSecret(n int, c *content) error {
	switch {
	case a.kind == kindDirect && n != c.key,
		(a.kind == kindWrap || a.kind == kindGCM) && n != a.size:
		return refuseFor("InvalidSecretKey", "the key has not the length that the algorithm asks for")
	case a.kind == kindRSA || a.kind == kindAgree || a.kind == kindAgreeWrap:
		return refuse("WrongKeyType")
	}
	return nil
}

var (
	errDecrypt = errors.New("the token cannot be decrypted with the key")
	errParams  = errors.New("the header lacks what the algorithm needs")
)

// open decrypts a token whose algorithms were checked. Its error says nothing
// of where decryption failed.
func (e *Encryption) open(t *Token, c *content, k *Key, iterations int) ([]byte, error) {
	if len(t.iv) != c.iv || len(t.tag) != c.tag {
		return nil, errParams
	}
	cek, err := e.key.unwrap(t, c, k, iterations)
	if err != nil {
		return nil, err
	}
	if len(cek) != c.key {
		return nil, errDecrypt
	}
	box, err := jwebb.CreateContentCipher(c.name)
	if err != nil {
		return nil, err
	}
	plain, err := box.Decrypt(cek, t.iv, t.ciphertext, t.tag, []byte(t.signing))
	if err != nil {
		return nil, errDecrypt
	}
	return inflate(t.Header, plain)
}

func inflate(h Object, plain []byte) ([]byte, error) {
	raw, ok := h.Get("zip")
	if !ok {
		return plain, nil
	}
	if raw != `"DEF"` {
		return nil, errors.New("the payload is compressed in an unknown way")
	}
	r := flate.NewReader(bytes.NewReader(plain))
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err != nil || len(out) > maxInflated {
		return nil, errors.New("the payload cannot be decompressed, or becomes too large")
	}
	return out, nil
}

// unwrap finds the content encryption key.
func (a *keyAlgorithm) unwrap(t *Token, c *content, k *Key, iterations int) ([]byte, error) {
	switch m := k.material.(type) {
	case *rsa.PrivateKey:
		return a.unwrapRSA(t, m)
	case *ecdsa.PrivateKey:
		return a.unwrapEC(t, c, m)
	case []byte:
		switch a.kind {
		case kindDirect:
			if len(t.key) != 0 {
				return nil, errParams
			}
			return m, nil
		case kindWrap:
			return unwrapAES(m, t.key)
		case kindGCM:
			return unwrapGCM(t, m)
		case kindPassword:
			return a.unwrapPassword(t, m, iterations)
		}
	}
	return nil, errDecrypt
}

func (a *keyAlgorithm) unwrapRSA(t *Token, key *rsa.PrivateKey) ([]byte, error) {
	cek, err := jwebb.KeyDecryptRSAOAEP(t.key, t.key, a.name, key)
	if err != nil {
		return nil, errDecrypt
	}
	return cek, nil
}

func unwrapAES(key, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errDecrypt
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cek, err := jwebb.Unwrap(block, wrapped)
	if err != nil {
		return nil, errDecrypt
	}
	return cek, nil
}

func unwrapGCM(t *Token, key []byte) ([]byte, error) {
	iv, tag := t.Header.bytes("iv"), t.Header.bytes("tag")
	if len(iv) != 12 || len(tag) != 16 {
		return nil, errParams
	}
	cek, err := jwebb.KeyDecryptAESGCMKW(t.key, t.key, "", key, iv, tag)
	if err != nil {
		return nil, errDecrypt
	}
	return cek, nil
}

func (a *keyAlgorithm) unwrapPassword(t *Token, password []byte, iterations int) ([]byte, error) {
	raw, _ := t.Header.Get("p2c")
	count, err := strconv.Atoi(raw)
	salt := t.Header.bytes("p2s")
	if err != nil || len(salt) < 8 || count < minIterations || count > max(maxIterations, iterations) {
		return nil, errParams
	}
	kek, err := a.derive(password, salt, count)
	if err != nil {
		return nil, err
	}
	return unwrapAES(kek, t.key)
}

// derive is PBKDF2 with the salt of RFC 7518 section 4.8.1.1.
func (a *keyAlgorithm) derive(password, salt []byte, count int) ([]byte, error) {
	full := slices.Concat([]byte(a.name), []byte{0}, salt)
	return pbkdf2.Key(a.hash, string(password), full, count, a.size)
}

func (a *keyAlgorithm) unwrapEC(t *Token, c *content, key *ecdsa.PrivateKey) ([]byte, error) {
	priv, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	epk, err := ephemeral(t.Header, key.Curve)
	if err != nil {
		return nil, err
	}
	shared, err := a.agree(c, t.Header.bytes("apu"), t.Header.bytes("apv"), priv, epk)
	switch {
	case err != nil:
		return nil, errDecrypt
	case a.kind == kindAgreeWrap:
		return unwrapAES(shared, t.key)
	case len(t.key) != 0:
		return nil, errParams
	}
	return shared, nil
}

// agree derives the key of ECDH-ES, RFC 7518 section 4.6.
func (a *keyAlgorithm) agree(c *content, apu, apv []byte, priv *ecdh.PrivateKey, pub *ecdh.PublicKey) ([]byte, error) {
	if a.kind == kindAgree {
		return jwebb.DeriveECDHES(c.name, apu, apv, priv, pub, uint32(c.key))
	}
	return jwebb.DeriveECDHES(a.name, apu, apv, priv, pub, uint32(a.size))
}

// ephemeral reads the epk header: a point on the curve of the private key.
func ephemeral(h Object, curve elliptic.Curve) (*ecdh.PublicKey, error) {
	raw, ok := h.Get("epk")
	if !ok || raw[0] != '{' {
		return nil, errParams
	}
	epk, err := scanObject(raw)
	if err != nil {
		return nil, errParams
	}
	kty, _ := epk.Text("kty")
	crv, _ := epk.Text("crv")
	if kty != "EC" || crv != curve.Params().Name {
		return nil, errParams
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := epk.bytes("x"), epk.bytes("y")
	if len(x) != size || len(y) != size {
		return nil, errParams
	}
	pub, err := ecdhCurve(curve).NewPublicKey(slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errParams
	}
	return pub, nil
}

func ecdhCurve(c elliptic.Curve) ecdh.Curve {
	switch c {
	case elliptic.P256():
		return ecdh.P256()
	case elliptic.P384():
		return ecdh.P384()
	}
	return ecdh.P521()
}

// bytes returns a member that is base64url, nil if it is none.
func (o Object) bytes(name string) []byte {
	s, _ := o.Text(name)
	b, err := decode64(s)
	if err != nil {
		return nil
	}
	return b
}

// seal encrypts payload and returns the compact token. It adds to the header
// what the algorithms need.
func (e *Encryption) seal(h Object, payload string, k *Key, keys *Keys) (string, error) {
	cek, wrapped, err := e.key.wrap(&h, e.content, k, keys)
	if err != nil {
		return "", err
	}
	plain := []byte(payload)
	if _, ok := h.Get("zip"); ok {
		plain = deflate(plain)
	}
	head := base64.RawURLEncoding.EncodeToString([]byte(h.JSON()))
	box, err := newSealer(e.content.name)
	if err != nil {
		return "", err
	}
	iv, ciphertext, tag, err := box.Encrypt(cek, plain, []byte(head))
	if err != nil {
		return "", err
	}
	out := []byte(head)
	for _, part := range [][]byte{wrapped, iv, ciphertext, tag} {
		out = append(out, '.')
		out = base64.RawURLEncoding.AppendEncode(out, part)
	}
	return string(out), nil
}

// sealer is the other half of jwx's content ciphers.
type sealer interface {
	Encrypt(cek, plaintext, aad []byte) (iv, ciphertext, tag []byte, err error)
}

func newSealer(name string) (sealer, error) {
	box, err := jwebb.CreateContentCipher(name)
	if err != nil {
		return nil, err
	}
	s, ok := box.(sealer)
	if !ok {
		return nil, errors.New("the content cipher cannot encrypt")
	}
	return s, nil
}

func deflate(plain []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

// wrap makes a content encryption key and encrypts it.
func (a *keyAlgorithm) wrap(h *Object, c *content, k *Key, keys *Keys) (cek, wrapped []byte, err error) {
	cek = make([]byte, c.key)
	_, _ = rand.Read(cek)
	switch m := k.material.(type) {
	case *rsa.PublicKey:
		wrapped, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, m, cek, nil)
		return cek, wrapped, err
	case *ecdsa.PublicKey:
		return a.wrapEC(h, c, m, cek)
	case []byte:
		switch a.kind {
		case kindDirect:
			return m, nil, nil
		case kindWrap:
			wrapped, err = wrapAES(m, cek)
		case kindGCM:
			wrapped, err = wrapGCM(h, m, cek)
		case kindPassword:
			wrapped, err = a.wrapPassword(h, m, cek, keys)
		}
		return cek, wrapped, err
	}
	return nil, nil, refuse("WrongKeyType")
}

func wrapAES(key, cek []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return jwebb.Wrap(block, cek)
}

func wrapGCM(h *Object, key, cek []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(iv)
	sealed := gcm.Seal(nil, iv, cek, nil)
	h.setBytes("iv", iv)
	h.setBytes("tag", sealed[len(cek):])
	return sealed[:len(cek)], nil
}

func (a *keyAlgorithm) wrapPassword(h *Object, password, cek []byte, keys *Keys) ([]byte, error) {
	salt := make([]byte, keys.salt)
	_, _ = rand.Read(salt)
	h.setBytes("p2s", salt)
	h.setInt("p2c", int64(keys.iterations))
	kek, err := a.derive(password, salt, keys.iterations)
	if err != nil {
		return nil, err
	}
	return wrapAES(kek, cek)
}

func (a *keyAlgorithm) wrapEC(h *Object, c *content, pub *ecdsa.PublicKey, cek []byte) ([]byte, []byte, error) {
	peer, err := pub.ECDH()
	if err != nil {
		return nil, nil, err
	}
	priv, err := peer.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	setEphemeral(h, pub.Curve.Params().Name, priv.PublicKey().Bytes())
	shared, err := a.agree(c, nil, nil, priv, peer)
	if err != nil || a.kind == kindAgree {
		return shared, nil, err
	}
	wrapped, err := wrapAES(shared, cek)
	return cek, wrapped, err
}

// setEphemeral writes the epk header from an uncompressed point.
func setEphemeral(h *Object, curve string, point []byte) {
	half := (len(point) - 1) / 2
	var epk Object
	epk.setText("kty", "EC")
	epk.setText("crv", curve)
	epk.setBytes("x", point[1:1+half])
	epk.setBytes("y", point[1+half:])
	h.set("epk", epk.JSON())
}

func (o *Object) setBytes(name string, b []byte) {
	o.setText(name, base64.RawURLEncoding.EncodeToString(b))
}
