package keystore_test

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// now is within the validity of testdata; the certificates end in a century.
var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// file reads testdata; a name without a dot is no file.
func file(t testing.TB, name string) []byte {
	t.Helper()
	if name == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// mustImport imports certFile and keyFile of testdata.
func mustImport(t testing.TB, alias, certFile, keyFile string) keystore.Alias {
	t.Helper()
	a, err := keystore.Import(keystore.Upload{
		FileFormat: keystore.KeyCertFile, Alias: alias, Password: "secret",
		CertFile: file(t, certFile), KeyFile: file(t, keyFile),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantCode(t *testing.T, err error, code keystore.Code) {
	t.Helper()
	if err == nil || keystore.CodeOf(err) != code {
		t.Errorf("error %v, want one of code %q", err, code)
	}
}

func TestKeyCertFile(t *testing.T) {
	for _, test := range []struct {
		cert, key, password string
		chain               int
		err                 string // part of it; "" is success
	}{
		{"rsa.pem", "rsa.key", "", 1, ""},
		{"rsa.pem", "rsa.key", "unneeded", 1, ""},
		{"rsa-chain.pem", "rsa.key", "", 2, ""},
		{"rsa.der", "rsa.key", "", 1, ""},
		{"rsa.pem", "rsa-pkcs8.key", "", 1, ""},
		{"ec.pem", "ec.key", "", 1, ""}, // after EC PARAMETERS
		{"ed25519.pem", "ed25519.key", "", 1, ""},

		{"rsa.pem", "rsa-aes256.key", "secret", 1, ""},
		{"rsa.pem", "rsa-des3.key", "secret", 1, ""},
		{"ec.pem", "ec-aes128.key", "secret", 1, ""},
		{"rsa.pem", "rsa-p8-aes256-sha256.key", "secret", 1, ""},
		{"rsa.pem", "rsa-p8-aes192-sha512.key", "secret", 1, ""},
		{"rsa.pem", "rsa-p8-aes128-sha1.key", "secret", 1, ""},
		{"rsa.pem", "rsa-p8-des3.key", "secret", 1, ""},
		{"ec.pem", "ec-p8-scrypt.key", "secret", 1, ""},
		{"ed25519.pem", "ed25519-p8.key", "secret", 1, ""},

		{"rsa.pem", "rsa-aes256.key", "wrong", 0, "the password is wrong"},
		{"rsa.pem", "rsa-aes256.key", "", 0, "encrypted and there is no password"},
		{"rsa.pem", "rsa-p8-aes256-sha256.key", "wrong", 0, "the password is wrong"},
		{"rsa.pem", "rsa-p8-aes256-sha256.key", "", 0, "encrypted and there is no password"},
		{"rsa.pem", "rsa-p8-pbes1.key", "secret", 0, "not with PBES2"},
		{"ec.pem", "ec-p8-costly.key", "secret", 0, "5000000 iterations"},
		{"rsa.pem", "x25519.key", "", 0, "cannot sign"},

		{"rsa.pem", "ec.key", "", 0, `private key of alias "a" does not match`},
		{"ca.pem", "rsa.key", "", 0, "does not match"},
		{"rsa.pem", "rsa.pem", "", 0, "no private key in PEM"},
		{"rsa.key", "rsa.key", "", 0, `"RSA PRIVATE KEY" is no certificate`},
		{"", "rsa.key", "", 0, "certFile is missing"},
		{"generate.sh", "rsa.key", "", 0, "no certificate in PEM or DER"},
	} {
		a, err := keystore.Import(keystore.Upload{
			FileFormat: keystore.KeyCertFile, Alias: "a", Password: test.password,
			CertFile: file(t, test.cert), KeyFile: file(t, test.key),
		}, now)
		name := test.cert + " with " + test.key
		if test.err != "" {
			wantCode(t, err, keystore.Invalid)
			if err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Type() != keystore.KeyCert || len(a.Certs) != test.chain || a.Key() == nil {
			t.Errorf("%s: %v with %d certificates", name, a, len(a.Certs))
		}
	}
}

func TestCertificateOnly(t *testing.T) {
	a := mustImport(t, "trust", "rsa-chain.pem", "")
	if a.Type() != keystore.Cert || a.Key() != nil || len(a.Certs) != 2 {
		t.Errorf("%v with %d certificates", a, len(a.Certs))
	}
	_, err := a.TLSCertificate()
	wantCode(t, err, keystore.Invalid)
	_, err = a.CSR()
	wantCode(t, err, keystore.Invalid)
}

func TestNewlineValidation(t *testing.T) {
	chain := append(bytes.TrimSpace(file(t, "rsa.pem")), file(t, "ca.pem")...)
	u := keystore.Upload{FileFormat: keystore.KeyCertFile, Alias: "a", CertFile: chain}
	_, err := keystore.Import(u, now)
	wantCode(t, err, keystore.Invalid)
	u.IgnoreNewlineValidation = true
	if a, err := keystore.Import(u, now); err != nil || len(a.Certs) != 2 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestExpiryValidation(t *testing.T) {
	u := keystore.Upload{FileFormat: keystore.KeyCertFile, Alias: "a", CertFile: file(t, "rsa-chain.pem")}
	later := now.AddDate(200, 0, 0)
	_, err := keystore.Import(u, later)
	wantCode(t, err, keystore.Invalid)
	if _, err := keystore.Import(u, now.AddDate(-100, 0, 0)); err != nil {
		t.Errorf("not yet valid: %v", err) // only expiry is checked
	}
	u.IgnoreExpiryValidation = true
	if _, err := keystore.Import(u, later); err != nil {
		t.Error(err)
	}
}

// pem.Decode alone would drop the damaged one and keep the rest.
func TestDamagedChain(t *testing.T) {
	chain := file(t, "rsa-chain.pem")
	for i, damaged := range [][]byte{
		bytes.Replace(chain, []byte("\nMII"), []byte("\n!II"), 1),
		chain[:len(chain)-40],
		bytes.Replace(chain, []byte("CERTIFICATE"), []byte("CERTIFICAT"), 1),
	} {
		_, err := keystore.Import(keystore.Upload{FileFormat: keystore.KeyCertFile, Alias: "a", CertFile: damaged}, now)
		if keystore.CodeOf(err) != keystore.Invalid || err == nil {
			t.Errorf("chain %d: %v", i, err)
		}
	}
}

func TestPKCS12(t *testing.T) {
	for _, test := range []struct {
		file, password string
		chain          int
		err            string
	}{
		{"rsa.p12", "secret", 2, ""},
		{"rsa-legacy.p12", "secret", 2, ""},
		{"ec.p12", "secret", 2, ""},
		{"rsa-nopassword.p12", "", 1, ""},
		{"keytool.p12", "secret", 1, ""},
		{"rsa.p12", "wrong", 0, "the password is wrong"},
		{"rsa.p12", "", 0, "the password is wrong"},
		{"nokey.p12", "secret", 0, "file: "},
		{"rsa.pem", "secret", 0, "file: "},
		{"", "secret", 0, "file is missing"},
	} {
		a, err := keystore.Import(keystore.Upload{
			FileFormat: keystore.PKCS12, Alias: "a", File: file(t, test.file), Password: test.password,
		}, now)
		switch {
		case test.err != "":
			wantCode(t, err, keystore.Invalid)
			if err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.file, err, test.err)
			}
		case err != nil:
			t.Errorf("%s: %v", test.file, err)
		case a.Type() != keystore.KeyCert || len(a.Certs) != test.chain:
			t.Errorf("%s: %v with %d certificates", test.file, a, len(a.Certs))
		}
	}
}

func TestJAR(t *testing.T) {
	u := keystore.Upload{FileFormat: keystore.KeyCertJAR, Alias: "a", File: file(t, "keystore.jar"), Password: "secret"}
	a, err := keystore.Import(u, now)
	if err != nil || a.Type() != keystore.KeyCert || len(a.Certs) != 2 {
		t.Errorf("%v, %v", a, err)
	}
	u.Password = "wrong"
	_, err = keystore.Import(u, now)
	wantCode(t, err, keystore.Invalid)

	for want, entries := range map[string]map[string]string{
		"":                               {"META-INF/descriptor.properties": "certFile=c.pem", "c.pem": string(file(t, "ca.pem"))},
		"META-INF/descriptor.properties": {"c.pem": "x"},
		`no file "k.pem"`:                {"META-INF/descriptor.properties": "certFile=c.pem\nkeyFile=k.pem", "c.pem": "x"},
		`no file ""`:                     {"META-INF/descriptor.properties": "#certFile=c.pem", "c.pem": "x"},
		"more than 1048576 bytes":        {"META-INF/descriptor.properties": "certFile=c.pem", "c.pem": strings.Repeat(" ", 1<<20+1)},
	} {
		_, err := keystore.Import(keystore.Upload{FileFormat: keystore.KeyCertJAR, Alias: "a", File: jar(t, entries)}, now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func jar(t testing.TB, entries map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range entries {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSelfSigned(t *testing.T) {
	a, err := keystore.Import(keystore.Upload{FileFormat: keystore.SelfSignedCert, File: []byte(`{
		"alias": "made", "keySize": "2048", "sigAlg": "SHA512withRSA", "certValidityInDays": "30",
		"subject": {"countryCode": "US", "state": "CA", "locality": "MV", "org": "Example, Inc.",
			"orgUnit": "APIs", "commonName": "api.example.com", "email": "ops@example.com"},
		"subjectAlternativeDNSNames": ["api.example.com", "*.example.com"]}`)}, now)
	if err != nil {
		t.Fatal(err)
	}
	c := a.Certs[0]
	if a.Name != "made" || a.Key().Public().(*rsa.PublicKey).N.BitLen() != 2048 {
		t.Errorf("%v", a)
	}
	if !c.NotBefore.Equal(now) || !c.NotAfter.Equal(now.AddDate(0, 0, 30)) || c.IsCA {
		t.Errorf("from %v to %v", c.NotBefore, c.NotAfter)
	}
	info := keystore.CertInfo(c, now)
	wantDN := `EMAILADDRESS=ops@example.com, CN=api.example.com, OU=APIs, O="Example, Inc.", L=MV, ST=CA, C=US`
	if info.Subject != wantDN || info.Issuer != wantDN || info.SigAlgName != "SHA512withRSA" {
		t.Errorf("subject %s, issuer %s, %s", info.Subject, info.Issuer, info.SigAlgName)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	if _, err := c.Verify(x509.VerifyOptions{Roots: pool, DNSName: "x.example.com", CurrentTime: now}); err != nil {
		t.Error(err)
	}
}

func TestSelfSignedForms(t *testing.T) {
	for body, want := range map[string]string{
		`{"alias":"a","subject":{"commonName":"x"}}`: "",
		`{"alias":"a","subject":{"commonName":"x"},"keySize":1024,"certValidityInDays":1,"subjectAlternativeDnsNames":null}`:   "",
		`{"alias":"a","subject":{"commonName":"x"},"subjectAlternativeDnsNames":{"subjectAlternativeName":"h.example.com"}}`:   "",
		`{"alias":"a","subject":{"commonName":"x"},"subjectAlternativeDnsNames":{"subjectAlternativeName":["h.example.com"]}}`: "",

		`{"alias":"a"}`:                                                            "subject is missing",
		`{"subject":{"commonName":"x"}}`:                                           "alias name",
		`{"alias":"a/b","subject":{"org":"x"}}`:                                    "alias name",
		`{"alias":"a","subject":{"countryCode":"USA"}}`:                            "two letters",
		`{"alias":"a","subject":{"commonName":"` + strings.Repeat("x", 65) + `"}}`: "most is 64",
		`{"alias":"a","subject":{"email":"ä@example.com"}}`:                        "not ASCII",
		`{"alias":"a","subject":{"org":"x"},"keySize":"4096"}`:                     "keySize 4096",
		`{"alias":"a","subject":{"org":"x"},"keySize":"512"}`:                      "keySize 512",
		`{"alias":"a","subject":{"org":"x"},"keySize":"big"}`:                      "not a whole number",
		`{"alias":"a","subject":{"org":"x"},"sigAlg":"MD5withRSA"}`:                "sigAlg",
		`{"alias":"a","subject":{"org":"x"},"certValidityInDays":0}`:               "certValidityInDays",
		`{"alias":"a","subject":{"org":"x"},"certValidityInDays":-1}`:              "certValidityInDays",
		`{"alias":"a","subject":{"org":"x"},"certValidityInDays":9999999}`:         "certValidityInDays",
		`{"alias":"a","subject":{"org":"x"},"subjectAlternativeDnsNames":["a b"]}`: "not a host name",
		`nothing`: "not valid",
	} {
		a, err := keystore.Import(keystore.Upload{FileFormat: keystore.SelfSignedCert, File: []byte(body)}, now)
		if want != "" {
			wantCode(t, err, keystore.Invalid)
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", body, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if strings.Contains(body, "h.example.com") && len(a.Certs[0].DNSNames) != 1 {
			t.Errorf("%s: names %v", body, a.Certs[0].DNSNames)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := keystore.Import(keystore.Upload{FileFormat: "jks", Alias: "a"}, now)
	wantCode(t, err, keystore.Invalid)
}

func TestImportCertificates(t *testing.T) {
	for _, name := range []string{"rsa.pem", "rsa-chain.pem", "rsa.der"} {
		if certs, err := keystore.ImportCertificates(keystore.Upload{CertFile: file(t, name)}, now); err != nil || len(certs) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := keystore.ImportCertificates(keystore.Upload{CertFile: file(t, "rsa.pem"), KeyFile: file(t, "ec.key")}, now)
	wantCode(t, err, keystore.Invalid)
	_, err = keystore.ImportCertificates(keystore.Upload{FileFormat: keystore.SelfSignedCert}, now)
	wantCode(t, err, keystore.Invalid)
}

func TestCSR(t *testing.T) {
	for cert, key := range map[string]string{"rsa.pem": "rsa.key", "ec.pem": "ec.key", "ed25519.pem": "ed25519.key"} {
		a := mustImport(t, "a", cert, key)
		raw, err := a.CSR()
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE REQUEST" {
			t.Fatalf("%s", raw)
		}
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckSignature(); err != nil {
			t.Error(err)
		}
		if csr.Subject.String() != a.Certs[0].Subject.String() || len(csr.DNSNames) != 2 || len(csr.IPAddresses) != 1 {
			t.Errorf("subject %v, names %v", csr.Subject, csr.DNSNames)
		}
	}
}

// The key of every kind works in a handshake.
func TestTLSCertificate(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(file(t, "ca.pem"))
	for cert, key := range map[string]string{"rsa.pem": "rsa.key", "ec.pem": "ec.key", "ed25519.pem": "ed25519.key"} {
		identity, err := mustImport(t, "a", cert, key).TLSCertificate()
		if err != nil {
			t.Fatal(err)
		}
		switch identity.PrivateKey.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		default:
			t.Errorf("key is a %T", identity.PrivateKey)
		}
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{identity}})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := listener.Accept(); err == nil {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}
		}()
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
			RootCAs: roots, ServerName: "api.example.com", Time: func() time.Time { return now },
		})
		if err != nil {
			t.Errorf("%s: %v", cert, err)
		} else {
			_ = conn.Close()
		}
		_ = listener.Close()
	}
}

func TestResource(t *testing.T) {
	a := mustImport(t, "my alias", "rsa-chain.pem", "rsa.key")
	leaf, root := a.Certs[0], a.Certs[1]
	raw, err := json.Marshal(a.Resource(now))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Alias     string
		Type      string
		CertsInfo struct {
			CertInfo []map[string]any
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Alias != "my alias" || got.Type != "KEY_CERT" || len(got.CertsInfo.CertInfo) != 2 {
		t.Fatalf("%s", raw)
	}
	for i, want := range []map[string]any{
		{
			"version": 3.0, "isValid": "Yes", "sigAlgName": "SHA256withRSA", "publicKey": "RSA Public Key, 2048 bits",
			"subject":      `CN=api.example.com, OU=APIs, O="Example, Inc.", L=Mountain View, ST=California, C=US`,
			"issuer":       `CN=Example Root, O="Example, Inc.", C=US`,
			"serialNumber": "00:F1:E2:D3:C4:B5", "basicConstraints": "CA:FALSE",
			"subjectAlternativeNames": []any{"api.example.com", "*.example.com", "ops@example.com", "192.0.2.1", "https://example.com/id"},
			"validFrom":               millis(leaf.NotBefore), "expiryDate": millis(leaf.NotAfter),
		},
		{
			"version": 3.0, "isValid": "Yes", "sigAlgName": "SHA256withRSA", "publicKey": "RSA Public Key, 2048 bits",
			"subject": `CN=Example Root, O="Example, Inc.", C=US`, "issuer": `CN=Example Root, O="Example, Inc.", C=US`,
			"basicConstraints": "CA:TRUE, pathlen:1", "serialNumber": got.CertsInfo.CertInfo[1]["serialNumber"],
			"validFrom": millis(root.NotBefore), "expiryDate": millis(root.NotAfter),
		},
	} {
		g, _ := json.Marshal(got.CertsInfo.CertInfo[i])
		w, _ := json.Marshal(want)
		if !bytes.Equal(g, w) {
			t.Errorf("certificate %d is\n%s, want\n%s", i, g, w)
		}
	}
	for at, want := range map[time.Time]string{
		leaf.NotBefore: "Yes", leaf.NotBefore.Add(-1): "Not yet", leaf.NotAfter: "Yes", leaf.NotAfter.Add(1): "No",
	} {
		if v := keystore.CertInfo(leaf, at).IsValid; v != want {
			t.Errorf("at %v: %s, want %s", at, v, want)
		}
	}
}

func millis(at time.Time) string {
	raw, _ := json.Marshal(at.UnixMilli())
	return string(raw)
}

func TestPublicKeys(t *testing.T) {
	for cert, want := range map[string]string{
		"ec.pem": "EC Public Key, 256 bits", "ed25519.pem": "Ed25519 Public Key, 256 bits",
	} {
		if info := keystore.CertInfo(mustImport(t, "a", cert, "").Certs[0], now); info.PublicKey != want {
			t.Errorf("%s: %s, want %s", cert, info.PublicKey, want)
		}
	}
}

func TestChainPEM(t *testing.T) {
	a := mustImport(t, "a", "rsa-chain.pem", "rsa.key")
	if got := a.ChainPEM(); !bytes.Equal(got, file(t, "rsa-chain.pem")) {
		t.Errorf("%s", got)
	}
}
