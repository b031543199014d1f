package javascript

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// The examples of the object model's page, on one message.
func TestWSSecurity(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Test"}, NotBefore: policytest.Now.Add(-time.Hour), NotAfter: policytest.Now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="20000"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`, policy.Services{}, source("a.js", `
var out = [];
function sign(o) {
	o.private_key = '{private.key.pem}'; o.certificate = '{public.cert.pem}'; o.signing_method = 'rsa-sha256';
	return crypto.wsSecRsaSign(context.getVariable('request.content'), o);
}
function check(signed, o) { out.push(crypto.wsSecRsaValidate(signed, o)); }
var thumb = context.getVariable('thumb');
['X509_CERT_DIRECT', 'BST_DIRECT_REFERENCE'].forEach(function(type) {
	check(sign({key_identifier_type: type, expiry: '120s'}), {accept_thumbprints_sha256: '{thumb}', signing_method: 'rsa-sha256', digest_method: 'sha256'});
});
['ISSUER_SERIAL', 'THUMBPRINT', 'RSA_KEY_VALUE'].forEach(function(type) {
	check(sign({key_identifier_type: type, expiry: '10m', digest_method: 'sha1'}), {certificate: '{public.cert.pem}', max_lifetime: '1h'});
});
check(sign({elements_to_sign: ['soap:Body'], confirmation: 'a,b'}), {accept_thumbprints_sha256: [thumb], require_expiry: false, required_sign_elements: 'soap:Body'});
check(sign({expiry: '120s'}), {accept_thumbprints_sha256: thumb, accept_subject_cns: 'Other, Test'});
check(sign({expiry: '120s'}), {accept_thumbprints_sha256: thumb, accept_subject_cns: 'Other'});
check(sign({expiry: '120s'}).replace('text', 'tent'), {accept_thumbprints_sha256: thumb});
check(sign({}), {accept_thumbprints_sha256: thumb});
[{}, {accept_thumbprints: 'a', ignore_expiry: 'perhaps'}, {certificate: 'x'}, {accept_thumbprints: 'a', max_lifetime: 'long'}].forEach(function(o) {
	try { crypto.wsSecRsaValidate('', o); } catch (e) { out.push(e.message); }
});
try { crypto.wsSecRsaSign('', {}); } catch (e) { out.push(e.message); }
try { crypto.wsSecRsaSign('', {private_key: '{private.key.pem', certificate: '{public.cert.pem}'}); } catch (e) { out.push(e.message); }
context.setVariable('out', out.join('\n'));
`))
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/soap\n\n" +
		`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><a>text</a></soap:Body></soap:Envelope>`)})
	fc.PutText("private.key.pem", indented(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	fc.PutText("public.cert.pem", indented(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	fc.PutText("thumb", hex.EncodeToString(sum[:]))
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	const want = `true
true
true
true
true
true
true
false
false
false
crypto.wsSecRsaValidate: accept_thumbprints or accept_thumbprints_sha256 is required without a certificate
crypto.wsSecRsaValidate: ignore_expiry is "perhaps", want true or false
crypto.wsSecRsaValidate: certificate is not in PEM
crypto.wsSecRsaValidate: max_lifetime is "long", want a time such as 120s, 10m or 4d
crypto.wsSecRsaSign: private_key and certificate are required
crypto.wsSecRsaSign: there is no private key in PEM`
	if got := fc.Text("out"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var w watcher
	fc.Observe(&w)
	p = inline(t, `crypto.wsSecRsaValidate('<a/>', {accept_thumbprints: 'a'});`)
	if err := p.Run(t.Context(), fc); err != nil || len(w.out) != 1 || w.out[0] != "crypto.wsSecRsaValidate: the payload is no SOAP envelope" {
		t.Errorf("%v %q", err, w.out)
	}
}

// indented is PEM as it stands in a KVM that was filled from indented text.
func indented(b *pem.Block) string {
	return "\n    " + strings.ReplaceAll(string(pem.EncodeToMemory(b)), "\n", "\n    ")
}
