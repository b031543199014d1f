package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"sync"

	"github.com/maypok86/otter/v2"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// Key is a parsed key. Its fingerprint tells whether two are the same without
// keeping the text it came from.
type Key struct {
	// material is a []byte, *rsa.PublicKey, *rsa.PrivateKey, *ecdsa.PublicKey
	// or *ecdsa.PrivateKey.
	material    any
	fingerprint [sha256.Size]byte
}

// String never shows the key.
func (k *Key) String() string { return "key" }

// GoString never shows the key.
func (k *Key) GoString() string { return "key" }

func secretKey(b []byte) *Key { return &Key{material: b, fingerprint: sha256.Sum256(b)} }

// publicKey takes an RSA or EC public key that is sound.
func publicKey(pub any) (*Key, error) {
	switch p := pub.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(p); err != nil {
			return nil, &Error{Name: "InvalidPublicKey", Cause: err}
		}
	case *ecdsa.PublicKey:
		if !supported(p.Curve) {
			return nil, refuse("InvalidCurve")
		}
		if _, err := p.ECDH(); err != nil {
			return nil, refuseFor("InvalidPublicKey", "the point is not on the curve")
		}
	default:
		return nil, refuse("WrongKeyType")
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, &Error{Name: "InvalidPublicKey", Cause: err}
	}
	return &Key{material: pub, fingerprint: sha256.Sum256(der)}, nil
}

func supported(c elliptic.Curve) bool {
	return c == elliptic.P256() || c == elliptic.P384() || c == elliptic.P521()
}

func checkRSA(p *rsa.PublicKey) error {
	switch {
	case p.N.BitLen() < minRSA:
		return errors.New("the RSA key is shorter than 2048 bits")
	case p.N.BitLen() > 16384:
		return errors.New("the RSA key is longer than 16384 bits")
	case p.E < 3 || p.E%2 == 0:
		return errors.New("the public exponent is not sound")
	case hasROCA(p.N):
		return errors.New("the key was made by a generator with the ROCA weakness (CVE-2017-15361)")
	}
	return nil
}

func privateKey(priv any) (*Key, error) {
	var public any
	switch p := priv.(type) {
	case *rsa.PrivateKey:
		public = &p.PublicKey
	case *ecdsa.PrivateKey:
		public = &p.PublicKey
	}
	k, err := publicKey(public)
	var e *Error
	if errors.As(err, &e) && e.Name == "InvalidPublicKey" {
		return nil, &Error{Name: "InvalidPrivateKey", Cause: e.Cause}
	}
	if err != nil {
		return nil, err
	}
	return &Key{material: priv, fingerprint: k.fingerprint}, nil
}

// parsePublic reads a PEM public key: SubjectPublicKeyInfo or PKCS #1.
func parsePublic(text string) (*Key, error) {
	block := findPEM(text, "PUBLIC KEY", "RSA PUBLIC KEY")
	if block == nil {
		return nil, refuseFor("KeyParsingFailed", "there is no public key in PEM")
	}
	if block.Type == "RSA PUBLIC KEY" {
		pub, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, refuseFor("KeyParsingFailed", "the public key is not PKCS #1")
		}
		return publicKey(pub)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, refuseFor("KeyParsingFailed", "the public key is not valid")
	}
	return publicKey(pub)
}

// parseCertificate takes the public key of a PEM certificate. Neither its dates
// nor its chain are checked, as Apigee documents.
func parseCertificate(text string) (*Key, error) {
	block := findPEM(text, "CERTIFICATE", "X509 CERTIFICATE")
	if block == nil {
		return nil, refuseFor("KeyParsingFailed", "there is no certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, refuseFor("KeyParsingFailed", "the certificate is not valid")
	}
	return publicKey(c.PublicKey)
}

// parsePrivate reads a PEM private key: PKCS #1, PKCS #8 or SEC 1, in the clear
// or encrypted.
func parsePrivate(text, password string) (*Key, error) {
	priv, err := keystore.ParsePrivateKey(normalPEM(text), password)
	if err != nil {
		return nil, &Error{Name: "InvalidPrivateKey", Cause: err}
	}
	return privateKey(priv)
}

func findPEM(text string, types ...string) *pem.Block {
	for rest := normalPEM(text); ; {
		block, r := pem.Decode(rest)
		if block == nil {
			return nil
		}
		for _, t := range types {
			if block.Type == t {
				return block
			}
		}
		rest = r
	}
}

// normalPEM mends what text goes through in XML, property sets and maps:
// indented lines, "\n" for line breaks, and blanks for them.
func normalPEM(text string) []byte {
	text = strings.ReplaceAll(text, `\r`, "")
	text = strings.ReplaceAll(text, `\n`, "\n")
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.Count(line, "-----") > 2 {
			line = unfold(line)
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// unfold breaks "-----BEGIN X----- base64 -----END X-----" into lines.
func unfold(line string) string {
	var b strings.Builder
	for line != "" {
		i := strings.Index(line, "-----")
		if i < 0 {
			b.WriteString(strings.ReplaceAll(line, " ", "\n"))
			break
		}
		b.WriteString(strings.ReplaceAll(strings.TrimSpace(line[:i]), " ", "\n"))
		line = line[i:]
		end := strings.Index(line[5:], "-----")
		if end < 0 {
			b.WriteString(line)
			break
		}
		b.WriteString("\n" + line[:end+10] + "\n")
		line = line[end+10:]
	}
	return strings.TrimSpace(b.String())
}

// Encoding is how the text of a secret is turned into bytes.
type Encoding func(text string) ([]byte, error)

// EncodingNamed returns the encoding called name: hex, base16, base64,
// base64url or utf8, in any case and with or without dashes. "" is utf8.
func EncodingNamed(name string) (Encoding, bool) {
	switch strings.ReplaceAll(strings.ToLower(name), "-", "") {
	case "", "utf8":
		return func(s string) ([]byte, error) { return []byte(s), nil }, true
	case "hex", "base16":
		return decodeHex, true
	case "base64":
		return decodeAnyBase64, true
	case "base64url":
		return decodeAnyBase64, true
	}
	return nil, false
}

// decodeHex allows white space between digits, as Apigee documents.
func decodeHex(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, errors.New("not hexadecimal")
	}
	return b, nil
}

// decodeAnyBase64 takes either alphabet, padded or not, as the decoders of
// Apigee do: its own example of base64url holds a slash.
func decodeAnyBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64")
	}
	return b, nil
}

// parsedKeys keeps keys and key sets by the hash of the text they were parsed
// from, so that a key in a variable is parsed once.
var parsedKeys = sync.OnceValue(func() *otter.Cache[[sha256.Size]byte, any] {
	return otter.Must(&otter.Options[[sha256.Size]byte, any]{MaximumSize: 1000})
})

// parseOnce returns what parse makes of text, from the cache if it was parsed
// before. kind and extra (a password) tell apart what the same text may mean.
func parseOnce[T any](kind, text, extra string, parse func() (T, error)) (T, error) {
	h := sha256.New()
	for _, s := range [...]string{kind, extra, text} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	var id [sha256.Size]byte
	h.Sum(id[:0])
	if v, ok := parsedKeys().GetIfPresent(id); ok {
		return v.(T), nil
	}
	v, err := parse()
	if err == nil {
		parsedKeys().Set(id, v)
	}
	return v, err
}
