package management

import (
	"os"
	"strings"
	"testing"
	"time"
)

// keyFile is a file of the keystore package's test data.
func keyFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../keystore/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAliases(t *testing.T) {
	a := newAPI(t)
	e := "environments/test/keystores"
	a.do("POST", e, `{"name":"ks"}`).want(200, `"name":"ks"`)
	a.do("POST", e, `{"name":"ks"}`).want(409)
	a.do("POST", e+"?name=other", nil).want(200, `"name":"other"`)
	a.do("GET", e, nil).want(200).is(`["ks","other"]`)
	a.do("POST", e, `{"name":"a/b"}`).want(400, "keystore name")

	aliases := e + "/ks/aliases"
	a.do("GET", aliases, nil).want(200).is("[]")
	cert, key := keyFile(t, "rsa.pem"), keyFile(t, "rsa.key")
	// keyaliases create -f keycertfile
	r := a.do("POST", aliases+"?alias=a&format=keycertfile", files("certFile", cert, "keyFile", key)).
		want(200, `"alias":"a"`, `"type":"KEY_CERT"`, `"sigAlgName":"SHA256withRSA"`, `"isValid":"Yes"`)
	r.lacks("PRIVATE")
	a.do("POST", aliases+"?alias=a&format=keycertfile", files("certFile", cert, "keyFile", key)).want(409)
	a.do("POST", aliases+"?alias=c&format=keycertfile", files("certFile", cert)).want(200, `"type":"CERT"`)
	// The body alone, without a form.
	a.do("POST", aliases+"?alias=raw&format=keycertfile", []byte(cert)).want(200, `"type":"CERT"`)
	// keyaliases create -f pkcs12 -p PW
	a.do("POST", aliases+"?alias=p&format=pkcs12&password=secret", files("file", keyFile(t, "rsa.p12"))).want(200, `"type":"KEY_CERT"`)
	a.do("POST", aliases+"?alias=p2&format=pkcs12&password=wrong", files("file", keyFile(t, "rsa.p12"))).want(400, "password is wrong")
	a.do("POST", aliases+"?alias=p3&format=pkcs12", withField(files("file", keyFile(t, "rsa.p12")), "password", "secret")).want(200)
	a.do("POST", aliases+"?alias=j&format=keycertjar&password=secret", files("file", keyFile(t, "keystore.jar"))).want(200)
	a.do("POST", aliases+"?alias=s&format=selfsignedcert", `{"alias":"s","keySize":"2048","subject":{"commonName":"x"}}`).want(200, `"subject":"CN=x"`)
	a.do("POST", aliases+"?format=selfsignedcert", `{"alias":"inbody","subject":{"commonName":"x"}}`).want(200, `"alias":"inbody"`)
	a.do("POST", aliases+"?alias=x&format=none", files("file", cert)).want(400, "none of")
	a.do("POST", aliases+"?alias=x&format=keycertfile&ignoreExpiryValidation=maybe", files("certFile", cert)).want(400, "TYPE_BOOL")
	a.do("POST", e+"/none/aliases?alias=a&format=keycertfile", files("certFile", cert)).want(404, `keystore \"none\" not found`)
	a.do("GET", aliases, nil).want(200).is(`["a","c","inbody","j","p","p3","raw","s"]`)
	a.do("GET", e+"/ks", nil).want(200, `"aliases":["a","c","inbody","j","p","p3","raw","s"]`)

	a.do("GET", aliases+"/a", nil).want(200, `"alias":"a"`).lacks("PRIVATE")
	a.do("GET", aliases+"/none", nil).want(404)
	if r := a.do("GET", aliases+"/a/certificate", nil).want(200); !strings.HasPrefix(r.body, "-----BEGIN CERTIFICATE-----") || strings.Contains(r.body, "PRIVATE") {
		t.Errorf("certificate is %s", r.body)
	}
	if r := a.do("GET", aliases+"/a/csr", nil).want(200); !strings.HasPrefix(r.body, "-----BEGIN CERTIFICATE REQUEST-----") {
		t.Errorf("request is %s", r.body)
	}
	a.do("GET", aliases+"/c/csr", nil).want(400, "no private key")

	a.do("PUT", aliases+"/a", files("certFile", cert)).want(200, `"type":"KEY_CERT"`)
	a.do("PUT", aliases+"/a", files("certFile", keyFile(t, "ec.pem"))).want(400)
	a.do("PUT", aliases+"/none", files("certFile", cert)).want(404)
	a.do("DELETE", aliases+"/a", nil).want(200, `"alias":"a"`)
	a.do("GET", aliases+"/a", nil).want(404)
	a.do("DELETE", aliases+"/a", nil).want(404)

	// A keystore made again is empty.
	a.do("DELETE", e+"/ks", nil).want(200)
	a.do("GET", aliases, nil).want(404)
	a.do("POST", e, `{"name":"ks"}`).want(200)
	a.do("GET", aliases, nil).want(200).is("[]")
	a.do("POST", aliases+"?alias=c&format=keycertfile", files("certFile", cert)).want(200)
	if strings.Contains(a.log.String(), "secret") || strings.Contains(a.log.String(), "PRIVATE") {
		t.Errorf("log has a secret: %s", &a.log)
	}
}

// withField adds a field that is not a file.
func withField(f *form, name, value string) *form {
	_ = f.w.WriteField(name, value)
	return f
}

func TestExpiredCertificate(t *testing.T) {
	a := newAPI(t)
	a.now = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	a.do("POST", "environments/test/keystores", `{"name":"ks"}`).want(200)
	path := "environments/test/keystores/ks/aliases?alias=a&format=keycertfile"
	a.do("POST", path, files("certFile", keyFile(t, "rsa.pem"))).want(400, "expired")
	a.do("POST", path+"&ignoreExpiryValidation=true", files("certFile", keyFile(t, "rsa.pem"))).want(200, `"isValid":"No"`)
}

func TestVersionsOfAliasesReachDataPlanes(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "environments/test/keystores", `{"name":"ks"}`).want(200)
	a.do("POST", "environments/test/keystores/ks/aliases?alias=a&format=keycertfile", files("certFile", keyFile(t, "rsa.pem"))).want(200)
	version := func() string {
		c, err := a.reg.Config(t.Context(), "acme", "test")
		if err != nil {
			t.Fatal(err)
		}
		return c.Keystores["ks"]["a"]
	}
	first := version()
	if first == "" {
		t.Fatal("no version")
	}
	a.do("PUT", "environments/test/keystores/ks/aliases/a", files("certFile", keyFile(t, "rsa-chain.pem"))).want(200)
	if version() == first {
		t.Error("an update has the old version")
	}
	a.do("DELETE", "environments/test/keystores/ks", nil).want(200)
	if version() != "" {
		t.Error("a deleted keystore has aliases")
	}
}

func TestKeysGoWithTheEnvironment(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "environments/prod/keystores", `{"name":"ks"}`).want(200)
	path := "environments/prod/keystores/ks/aliases?alias=a&format=keycertfile"
	a.do("POST", path, files("certFile", keyFile(t, "rsa.pem"), "keyFile", keyFile(t, "rsa.key"))).want(200)
	a.do("DELETE", "environments/prod", nil).want(200)
	a.do("POST", "environments", `{"name":"prod"}`).want(200)
	a.do("GET", "environments/prod/keystores", nil).want(200).is("[]")
	a.do("POST", "environments/prod/keystores", `{"name":"ks"}`).want(200)
	a.do("POST", path, files("certFile", keyFile(t, "ec.pem"))).want(200, `"type":"CERT"`)
}

func TestReferences(t *testing.T) {
	a := newAPI(t)
	e := "environments/test/references"
	a.do("POST", "environments/test/keystores", `{"name":"ks"}`).want(200)
	a.do("POST", "environments/test/keystores", `{"name":"ks2"}`).want(200)
	a.do("POST", e, `{"name":"r","resourceType":"KeyStore","refers":"ks"}`).want(200, `"refers":"ks"`)
	a.do("POST", e, `{"name":"r","resourceType":"KeyStore","refers":"ks"}`).want(409)
	a.do("POST", e, `<ResourceReference name="x"><Refers>ks</Refers><ResourceType>TrustStore</ResourceType></ResourceReference>`, "Content-Type", "application/xml").
		want(200, `"name":"x"`, `"resourceType":"TrustStore"`)
	a.do("POST", e, `<Other/>`, "Content-Type", "text/xml").want(400, "<ResourceReference>")
	a.do("POST", e, `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><ResourceReference name="&b;"/>`, "Content-Type", "text/xml").want(400)
	a.do("PUT", e+"/r", `{"name":"r","refers":"ks2"}`).want(200, `"refers":"ks2"`, `"resourceType":"KeyStore"`)
	a.do("PUT", e+"/r", `{"name":"other","refers":"ks2"}`).want(400, "names cannot be changed")
	a.do("GET", e+"/r", nil).want(200, `"refers":"ks2"`)
	a.do("GET", e, nil).want(200).is(`["r","x"]`)
	a.do("DELETE", e+"/r", nil).want(200)
	a.do("GET", e+"/r", nil).want(404, `"code":404`)
}

func TestWithoutKeystore(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Keystore = nil })
	a.do("POST", "environments/test/keystores", `{"name":"ks"}`).want(400, "not configured")
}
