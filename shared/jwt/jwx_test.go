package jwt_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies/generatejwt"
	"github.com/perigee-gateway/perigee/shared/policies/verifyjwt"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// The tokens that the policies make are read by the whole of jwx, and the other
// way round. jwx's own reading of headers shares nothing with this package.

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func private(t testing.TB, name string) any {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, name)))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key any) any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return &k.PublicKey
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	}
	return key
}

// call is a flow context with variables.
func call(t testing.TB, vars map[string]string) *flow.Context {
	t.Helper()
	fc := policytest.Context(t, nil)
	for k, v := range vars {
		fc.PutText(k, v)
	}
	return fc
}

func run(t testing.TB, kind policy.Kind, xml string, fc *flow.Context) error {
	t.Helper()
	return policytest.Compile(t, kind, xml, policy.Services{}).Run(t.Context(), fc)
}

var secret = strings.Repeat("0123456789abcdef", 4)

func TestSignatures(t *testing.T) {
	for _, tt := range []struct{ alg, key string }{
		{"HS256", ""}, {"HS384", ""}, {"HS512", ""},
		{"RS256", "rsa"}, {"RS384", "rsa"}, {"RS512", "rsa"}, {"PS256", "rsa"}, {"PS384", "rsa"}, {"PS512", "rsa"},
		{"ES256", "p256"}, {"ES384", "p384"}, {"ES512", "p521"},
	} {
		t.Run(tt.alg, func(t *testing.T) {
			vars := map[string]string{"private.key": secret}
			make, check := `<SecretKey><Value ref="private.key"/></SecretKey>`, `<SecretKey><Value ref="private.key"/></SecretKey>`
			var theirs any = []byte(secret)
			if tt.key != "" {
				vars["private.key"], vars["key"] = read(t, tt.key+".pem"), read(t, tt.key+".pub.pem")
				make, check = `<PrivateKey><Value ref="private.key"/></PrivateKey>`, `<PublicKey><Value ref="key"/></PublicKey>`
				theirs = private(t, tt.key+".pem")
			}
			fc := call(t, vars)
			if err := run(t, generatejwt.Kind, `<GenerateJWT name="G"><Algorithm>`+tt.alg+`</Algorithm>`+make+`<Subject>joe</Subject></GenerateJWT>`, fc); err != nil {
				t.Fatal(err)
			}
			alg, ok := jwa.LookupSignatureAlgorithm(tt.alg)
			if !ok {
				t.Fatal("jwx has no", tt.alg)
			}
			payload, err := jws.Verify([]byte(fc.Text("jwt.G.generated_jwt")), jws.WithKey(alg, public(theirs)))
			if err != nil || string(payload) != `{"sub":"joe","iat":1775044800}` {
				t.Errorf("jwx reads %q: %v", payload, err)
			}
			token, err := jws.Sign([]byte(`{"sub":"ann"}`), jws.WithKey(alg, theirs))
			if err != nil {
				t.Fatal(err)
			}
			fc.PutText("token", string(token))
			if err := run(t, verifyjwt.Kind, `<VerifyJWT name="V"><Algorithm>`+tt.alg+`</Algorithm>`+check+`<Source>token</Source><Subject>ann</Subject></VerifyJWT>`, fc); err != nil {
				t.Errorf("the token of jwx: %v", err)
			}
		})
	}
}

var contents = map[string]int{"A128CBC-HS256": 32, "A192CBC-HS384": 48, "A256CBC-HS512": 64, "A128GCM": 16, "A192GCM": 24, "A256GCM": 32}

// encryption is a key algorithm with the elements that give its key.
type encryption struct {
	alg, make, check string
	vars             map[string]string
	encrypt, decrypt any
}

func encryptions(t *testing.T, content string) []encryption {
	t.Helper()
	var out []encryption
	direct := strings.Repeat("k", contents[content])
	out = append(out, encryption{"dir", `<DirectKey><Value encoding="hex" ref="private.k"/></DirectKey>`, "", map[string]string{"private.k": fmt.Sprintf("%x", direct)}, []byte(direct), []byte(direct)})
	for alg, n := range map[string]int{"A128KW": 16, "A192KW": 24, "A256KW": 32, "A128GCMKW": 16, "A192GCMKW": 24, "A256GCMKW": 32} {
		key := strings.Repeat("k", n)
		out = append(out, encryption{alg, `<SecretKey><Value ref="private.k"/></SecretKey>`, "", map[string]string{"private.k": key}, []byte(key), []byte(key)})
	}
	for _, alg := range []string{"PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"} {
		out = append(out, encryption{alg, `<PasswordKey><Value ref="private.k"/><SaltLength>12</SaltLength><PBKDF2Iterations>1000</PBKDF2Iterations></PasswordKey>`, "", map[string]string{"private.k": "Pa$$"}, []byte("Pa$$"), []byte("Pa$$")})
	}
	for alg, file := range map[string]string{"RSA-OAEP-256": "rsa", "ECDH-ES": "p256", "ECDH-ES+A128KW": "p256", "ECDH-ES+A192KW": "p384", "ECDH-ES+A256KW": "p521"} {
		key := private(t, file+".pem")
		out = append(out, encryption{
			alg, `<PublicKey><Value ref="k"/></PublicKey>`, `<PrivateKey><Value ref="private.k"/></PrivateKey>`,
			map[string]string{"k": read(t, file+".pub.pem"), "private.k": read(t, file+".pem")}, public(key), key,
		})
	}
	key := private(t, "rsa.pem")
	return append(out, encryption{ // to a certificate, and from a key behind a password
		"RSA-OAEP-256", `<PublicKey><Certificate ref="cert"/></PublicKey>`, `<PrivateKey><Value ref="private.k"/><Password ref="private.pw"/></PrivateKey>`,
		map[string]string{"cert": read(t, "rsa.crt"), "private.k": read(t, "rsa-encrypted.pem"), "private.pw": "secret99"}, public(key), key,
	})
}

func TestEncryptions(t *testing.T) {
	for content := range contents {
		for _, e := range encryptions(t, content) {
			t.Run(e.alg+"/"+content, func(t *testing.T) { e.test(t, content) })
		}
	}
}

func (e encryption) test(t *testing.T, content string) {
	check := e.check
	if check == "" {
		check = e.make
	}
	algs := `<Algorithms><Key>` + e.alg + `</Key><Content>` + content + `</Content></Algorithms>`
	verify := `<VerifyJWT name="V">` + algs + check + `<Source>jwt.G.generated_jwt</Source><Subject>joe</Subject></VerifyJWT>`
	for _, compress := range []string{"false", "true"} {
		fc := call(t, e.vars)
		if err := run(t, generatejwt.Kind, `<GenerateJWT name="G">`+algs+e.make+`<Subject>joe</Subject><Compress>`+compress+`</Compress></GenerateJWT>`, fc); err != nil {
			t.Fatal(err)
		}
		token := fc.Text("jwt.G.generated_jwt")
		alg, _ := jwa.LookupKeyEncryptionAlgorithm(e.alg)
		payload, err := jwe.Decrypt([]byte(token), jwe.WithKey(alg, e.decrypt))
		if err != nil || string(payload) != `{"sub":"joe","iat":1775044800}` {
			t.Errorf("jwx reads %q: %v", payload, err)
		}
		if err := run(t, verifyjwt.Kind, verify, fc); err != nil {
			t.Error(err)
		}
		if got := fc.Text("jwt.V.decoded.header.enc") + " " + fc.Text("jwt.V.header.algorithm") + " " + fc.Text("jwt.V.claim.sub"); got != content+" "+e.alg+" joe" {
			t.Error(got)
		}
		if compress == "false" {
			e.tamper(t, token, verify)
		}
	}
	e.theirs(t, content, verify)
}

// theirs verifies a token that jwx made.
func (e encryption) theirs(t *testing.T, content, verify string) {
	alg, _ := jwa.LookupKeyEncryptionAlgorithm(e.alg)
	enc, _ := jwa.LookupContentEncryptionAlgorithm(content)
	token, err := jwe.Encrypt([]byte(`{"sub":"joe"}`), jwe.WithKey(alg, e.encrypt), jwe.WithContentEncryption(enc), jwe.WithCompress(jwa.Deflate()))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"jwt.G.generated_jwt": string(token)}
	for k, v := range e.vars {
		vars[k] = v
	}
	if err := run(t, verifyjwt.Kind, verify, call(t, vars)); err != nil {
		t.Errorf("the token of jwx: %v", err)
	}
}

// tamper changes each part of a token.
func (e encryption) tamper(t *testing.T, token, verify string) {
	parts := strings.Split(token, ".")
	for i := range parts {
		changed := strings.Split(token, ".")
		if parts[i] == "" {
			changed[i] = "AAAA"
		} else {
			b := []byte(parts[i])
			b[len(b)/2] ^= 1
			changed[i] = string(b)
		}
		vars := map[string]string{"jwt.G.generated_jwt": strings.Join(changed, ".")}
		for k, v := range e.vars {
			vars[k] = v
		}
		fc := call(t, vars)
		if err := run(t, verifyjwt.Kind, verify, fc); err == nil || fc.Text("jwt.V.valid") != "false" || fc.Text("jwt.V.claim.sub") != "" {
			t.Errorf("part %d changed: %v", i, err)
		}
	}
}

// TestDecryptionFaults are tokens that ask for what the policy does not give.
func TestDecryptionFaults(t *testing.T) {
	seal := func(alg, enc string, key any, payload string, opts ...jwe.EncryptOption) string {
		a, _ := jwa.LookupKeyEncryptionAlgorithm(alg)
		c, _ := jwa.LookupContentEncryptionAlgorithm(enc)
		token, err := jwe.Encrypt([]byte(payload), append(opts, jwe.WithKey(a, key), jwe.WithContentEncryption(c))...)
		if err != nil {
			t.Fatal(err)
		}
		return string(token)
	}
	rsaKey := private(t, "rsa.pem")
	pub := public(rsaKey)
	const body = `<PrivateKey><Value ref="private.key"/></PrivateKey>`
	const rsaAny = `<Algorithms><Key>RSA-OAEP-256</Key></Algorithms>` + body
	const password = `<Algorithms><Key>PBES2-HS256+A128KW</Key></Algorithms><PasswordKey><Value ref="private.pass"/></PasswordKey>`
	bomb := `{"a":"` + strings.Repeat("a", 2<<20) + `"}`
	for _, tt := range []struct{ name, xml, token, want string }{
		{"any content", rsaAny, seal("RSA-OAEP-256", "A192GCM", pub, `{}`), ""},
		{"other content", `<Algorithms><Key>RSA-OAEP-256</Key><Content>A128GCM</Content></Algorithms>` + body, seal("RSA-OAEP-256", "A256GCM", pub, `{}`), "AlgorithmMismatch"},
		{"RSA-OAEP", rsaAny, seal("RSA-OAEP", "A256GCM", pub, `{}`), "AlgorithmMismatch"},
		{"RSA1_5", rsaAny, seal("RSA1_5", "A128CBC-HS256", pub, `{}`), "AlgorithmMismatch"},
		{"another key", rsaAny, seal("RSA-OAEP-256", "A256GCM", public(private(t, "rsa-other.pem")), `{}`), "InvalidToken"},
		{"no claims", rsaAny, seal("RSA-OAEP-256", "A256GCM", pub, `hello`), "InvalidJsonFormat"},
		{"decompression bomb", rsaAny, seal("RSA-OAEP-256", "A256GCM", pub, bomb, jwe.WithCompress(jwa.Deflate())), "InvalidToken"},
		{"too many iterations", password, seal("PBES2-HS256+A128KW", "A256GCM", []byte("Pa$$"), `{}`, jwe.WithPBES2Count(100_001)), "InvalidToken"},
		{"few iterations", password, seal("PBES2-HS256+A128KW", "A256GCM", []byte("Pa$$"), `{}`, jwe.WithPBES2Count(10_000)), ""},
		{"signed", rsaAny, "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "AlgorithmMismatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fc := call(t, map[string]string{"private.key": read(t, "rsa.pem"), "private.pass": "Pa$$", "token": tt.token})
			err := run(t, verifyjwt.Kind, `<VerifyJWT name="V">`+tt.xml+`<Source>token</Source></VerifyJWT>`, fc)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), "steps.jwt."+tt.want+":")) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// TestHeader checks the header of an encrypted token, and the key of a set.
func TestHeader(t *testing.T) {
	fc := call(t, map[string]string{"set": jwks(t, map[string]any{"k1": private(t, "p256.pem"), "k2": private(t, "rsa.pem")})})
	err := run(t, generatejwt.Kind, `<GenerateJWT name="G">
  <Type>Encrypted</Type>
  <Algorithms><Key>ECDH-ES</Key><Content>A128GCM</Content></Algorithms>
  <PublicKey><JWKS ref="set"/><Id ref="kid">k1</Id></PublicKey>
  <AdditionalHeaders><Claim name="moniker">Harvey</Claim></AdditionalHeaders>
</GenerateJWT>`, fc)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := jwe.Parse([]byte(fc.Text("jwt.G.generated_jwt")))
	if err != nil {
		t.Fatal(err)
	}
	h := msg.ProtectedHeaders()
	typ, _ := h.Type()
	kid, _ := h.KeyID()
	var moniker string
	_ = h.Get("moniker", &moniker)
	if typ != "JWT" || kid != "k1" || moniker != "Harvey" || h.Has("zip") {
		b, _ := json.Marshal(h)
		t.Errorf("header %s", b)
	}
}
