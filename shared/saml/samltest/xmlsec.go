package samltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// XMLSec is xmlsec1, an implementation of XML signatures that has nothing in
// common with ours. It skips without one; with PERIGEE_REQUIRE_XMLSEC1, as in CI,
// that is a failure.
type XMLSec struct {
	t    testing.TB
	path string
	dir  string
}

// NewXMLSec finds xmlsec1.
func NewXMLSec(t testing.TB) *XMLSec {
	t.Helper()
	path, err := exec.LookPath("xmlsec1")
	if err != nil {
		const how = "xmlsec1 is not there: apt-get install -y xmlsec1"
		if os.Getenv("PERIGEE_REQUIRE_XMLSEC1") != "" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	x := &XMLSec{t, path, t.TempDir()}
	for _, name := range []string{"authority", "signer", "rogue", "expired", "ec"} {
		data, err := PEM.ReadFile("testdata/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		x.split(name, string(data))
	}
	return x
}

// split writes the key and the certificate of a file into one each.
func (x *XMLSec) split(name, data string) {
	at := strings.Index(data, "-----BEGIN CERTIFICATE")
	x.write(name+".key", data[:at])
	x.write(name+".crt", data[at:])
}

func (x *XMLSec) write(name, data string) string {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return path
}

func (x *XMLSec) run(args ...string) (string, error) {
	cmd := exec.Command(x.path, args...)
	cmd.Dir = x.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Verify checks the signature of an assertion in a message, at Now, with the
// authority as the only one that is trusted. It returns what xmlsec1 says and
// whether the signature is good.
func (x *XMLSec) Verify(message string) (string, bool) {
	x.t.Helper()
	out, err := x.run("--verify", "--trusted-pem", "authority.crt", "--verification-gmt-time", Now.Format("2006-01-02 15:04:05"),
		"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", x.write("message.xml", message))
	return out, err == nil
}

// Sign fills in the Signature of a message with a key of PEM.
func (x *XMLSec) Sign(message, key string) string {
	x.t.Helper()
	out, err := x.run("--sign", "--privkey-pem", key+".key,"+key+".crt", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
		"--output", "signed.xml", x.write("template.xml", message))
	if err != nil {
		x.t.Fatalf("xmlsec1: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(x.dir, "signed.xml"))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(data)
}
