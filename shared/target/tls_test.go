package target

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

func newAuthority(t testing.TB, name string) *authority {
	c := issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return &authority{c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)}
}

// issue makes a certificate from what is set in tmpl; ca nil is self-signed.
func issue(t testing.TB, ca *authority, tmpl *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	tmpl.SerialNumber = big.NewInt(serial)
	if tmpl.NotAfter.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := tmpl, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// keystores is policy.Keys over maps.
type keystores struct {
	mu    sync.Mutex
	certs map[string][]*x509.Certificate // "store" or "store/alias"
	keys  map[string]crypto.Signer
}

func (k *keystores) put(store, alias string, c tls.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.certs == nil {
		k.certs, k.keys = map[string][]*x509.Certificate{}, map[string]crypto.Signer{}
	}
	k.certs[store+"/"+alias] = []*x509.Certificate{c.Leaf}
	k.certs[store] = []*x509.Certificate{c.Leaf}
	if c.PrivateKey != nil {
		k.keys[store+"/"+alias] = c.PrivateKey.(crypto.Signer)
	}
}

func (k *keystores) Key(_ context.Context, store, alias string) (crypto.Signer, []*x509.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.keys[store+"/"+alias]
	if !ok {
		return nil, nil, errors.New("no such key")
	}
	return s, k.certs[store+"/"+alias], nil
}

func (k *keystores) Certificates(_ context.Context, store, alias string) ([]*x509.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if alias != "" {
		store += "/" + alias
	}
	c, ok := k.certs[store]
	if !ok {
		return nil, errors.New("no such keystore")
	}
	return c, nil
}

// serveTLS answers with the TLS version, the server name it was asked for and
// the client certificate's name.
func serveTLS(t testing.TB, cert tls.Certificate, change func(*tls.Config)) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := "-"
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprintf(w, "%s %q %s %s", tls.VersionName(r.TLS.Version), r.TLS.ServerName, client, r.Proto)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL[strings.LastIndexByte(s.URL, ':')+1:] // port
}

func localhost() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}}
}

// The table of what is verified, with every kind of certificate a target may
// show. Without <Enforce> and <TrustStore> Apigee checks the name alone; that
// is ExactTLS, which a deployment must ask for.
func TestVerification(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "Stranger")
	expired := localhost()
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	future := localhost()
	future.NotBefore, future.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	elsewhere := &x509.Certificate{Subject: pkix.Name{CommonName: "elsewhere"}, DNSNames: []string{"elsewhere.example.com"}}
	onlyCN := &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}}
	otherCN := &x509.Certificate{Subject: pkix.Name{CommonName: "elsewhere"}}
	ports := map[string]string{
		"valid":       serveTLS(t, issue(t, ca, localhost()), nil),
		"expired":     serveTLS(t, issue(t, ca, expired), nil),
		"future":      serveTLS(t, issue(t, ca, future), nil),
		"self-signed": serveTLS(t, issue(t, nil, localhost()), nil),
		"wrong CA":    serveTLS(t, issue(t, stranger, localhost()), nil),
		"wrong host":  serveTLS(t, issue(t, ca, elsewhere), nil),
		"only CN":     serveTLS(t, issue(t, ca, onlyCN), nil),
		"other CN":    serveTLS(t, issue(t, ca, otherCN), nil),
	}
	keys := new(keystores)
	keys.put("trust", "ca", tls.Certificate{Leaf: ca.cert})
	keys.put("strangers", "ca", tls.Certificate{Leaf: stranger.cert})

	const java = "503 messaging.adaptors.http.flow.SslHandshakeFailed "
	quoted := func(s string) string { return fmt.Sprintf("%s%q", java, "SSL Handshake failed "+s) }
	path := quoted("sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target")
	name := quoted("java.security.cert.CertificateException: No subject alternative DNS name matching localhost found.")
	noCN := quoted("java.security.cert.CertificateException: No name matching localhost found")
	const layout = "Mon Jan 02 15:04:05 UTC 2006"
	late := quoted("java.security.cert.CertificateExpiredException: NotAfter: " + expired.NotAfter.UTC().Format(layout))
	early := quoted("java.security.cert.CertificateNotYetValidException: NotBefore: " + future.NotBefore.UTC().Format(layout))

	full := map[string]string{"expired": late, "future": early, "self-signed": path, "wrong CA": path, "wrong host": name, "other CN": noCN}
	nameOnly := map[string]string{"wrong host": name, "other CN": noCN}
	strangers := map[string]string{"valid": path, "expired": late, "future": early, "self-signed": path, "wrong host": path, "only CN": path, "other CN": path}
	const trust, on = "<TrustStore>trust</TrustStore>", "<Enabled>true</Enabled>"
	const ignore, enforce = "<IgnoreValidationErrors>true</IgnoreValidationErrors>", "<Enforce>true</Enforce>"
	tests := []struct {
		name, ssl string
		exact     bool
		env       func() (bool, bool)
		want      map[string]string
	}{
		{"no SSLInfo", "", false, nil, full},
		{"no SSLInfo, as Apigee", "", true, nil, nameOnly},
		{"enabled", on, false, nil, full},
		{"enabled, as Apigee", on, true, nil, nameOnly},
		{"trust store", on + trust, true, nil, full},
		{"other trust store", on + "<TrustStore>strangers</TrustStore>", false, nil, strangers},
		{"enforce", on + enforce, true, nil, full},
		{"enforce and trust store", on + enforce + "<TrustStore>strangers</TrustStore>", true, nil, strangers},
		{"ignore", on + ignore, false, nil, nil},
		{"ignore with a trust store", on + ignore + trust, false, nil, nil},
		{"enforce beats ignore", on + ignore + enforce, false, nil, full},
		{"environment beats both", on + ignore, false, func() (bool, bool) { return true, true }, full},
		{"environment says no", on + ignore + enforce, false, func() (bool, bool) { return false, true }, nil},
		{"not enabled: the block is ignored", ignore, false, nil, full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, Options{RootCAs: ca.pool(), Keys: keys, ExactTLS: tt.exact, Enforce: tt.env})
			ssl := ""
			if tt.ssl != "" {
				ssl = "<SSLInfo>" + tt.ssl + "</SSLInfo>"
			}
			for kind, port := range ports {
				fc := call(t, "GET", "", "")
				err := send(connect(t, p, "<URL>https://localhost:"+port+"</URL>"+ssl), fc)
				got := ""
				if err != nil {
					got = short(faultOf(t, err))
				}
				want := tt.want[kind]
				if kind == "wrong CA" && tt.want["valid"] != "" {
					want = "" // the strangers' own
				}
				if got != want {
					t.Errorf("%s: got %s, want %s", kind, got, want)
				}
				if err == nil && fc.Target.TLS == nil {
					t.Errorf("%s: no TLS state for target.cn", kind)
				}
			}
		})
	}
}

func TestIPAddress(t *testing.T) {
	ca := newAuthority(t, "CA")
	with := serveTLS(t, issue(t, ca, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), nil)
	without := serveTLS(t, issue(t, ca, localhost()), nil)
	p := newPool(t, Options{RootCAs: ca.pool()})
	fc := call(t, "GET", "", "")
	if err := send(connect(t, p, "<URL>https://127.0.0.1:"+with+"</URL>"), fc); err != nil {
		t.Fatal(err)
	}
	if got := fc.Response.Text(); !strings.Contains(got, ` "" `) {
		t.Errorf("SNI was sent for an IP address: %s", got)
	}
	f := faultOf(t, send(connect(t, p, "<URL>https://127.0.0.1:"+without+"</URL>"), call(t, "GET", "", "")))
	if want := "SSL Handshake failed java.security.cert.CertificateException: No subject alternative names matching IP address 127.0.0.1 found"; f.Text != want {
		t.Errorf("got %s, want %s", f.Text, want)
	}
}

func TestCommonName(t *testing.T) {
	ca := newAuthority(t, "CA")
	port := serveTLS(t, issue(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: "*.back.example.com"}, DNSNames: []string{"a.example.com", "*.b.example.com"}}), nil)
	p := newPool(t, Options{RootCAs: ca.pool()})
	tests := []struct {
		element string
		ok      bool
	}{
		{"<CommonName>a.example.com</CommonName>", true},
		{"<CommonName>A.EXAMPLE.COM</CommonName>", true},
		{"<CommonName>*.back.example.com</CommonName>", true},
		{"<CommonName>x.back.example.com</CommonName>", false},
		{`<CommonName wildcardMatch="true">x.back.example.com</CommonName>`, true},
		{`<CommonName wildcardMatch="true">x.y.back.example.com</CommonName>`, false},
		{`<CommonName wildcardMatch="true">*.example.com</CommonName>`, true},
		{`<CommonName wildcardMatch="true">*.example.org</CommonName>`, false},
		{"", false},
	}
	for _, tt := range tests {
		err := send(connect(t, p, "<URL>https://localhost:"+port+"</URL><SSLInfo><Enabled>true</Enabled>"+tt.element+"</SSLInfo>"), call(t, "GET", "", ""))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.element, err)
		}
	}
	fc := call(t, "GET", "", "")
	fc.Set("target.expectedcn", flow.StringValue("a.example.com"))
	if err := send(connect(t, p, "<URL>https://localhost:"+port+"</URL>"), fc); err != nil {
		t.Errorf("target.expectedcn: %v", err)
	}
}

func TestMutualTLS(t *testing.T) {
	ca, clients := newAuthority(t, "CA"), newAuthority(t, "Clients")
	client := func(name string, ca *authority) tls.Certificate {
		return issue(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	keys := new(keystores)
	keys.put("store", "good", client("good", clients))
	keys.put("store", "bad", client("bad", ca))
	p := newPool(t, Options{RootCAs: ca.pool(), Keys: keys})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		port := serveTLS(t, issue(t, ca, localhost()), func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool()
			c.MinVersion, c.MaxVersion = version, version
		})
		missing := "handshake_failure"
		if version == tls.VersionTLS13 {
			missing = "certificate_required"
		}
		tests := []struct{ name, ssl, want string }{
			{"valid", "<Enabled>true</Enabled><ClientAuthEnabled>true</ClientAuthEnabled><KeyStore>store</KeyStore><KeyAlias>good</KeyAlias>", "good"},
			{"wrong CA", "<Enabled>true</Enabled><ClientAuthEnabled>true</ClientAuthEnabled><KeyStore>store</KeyStore><KeyAlias>bad</KeyAlias>", "SslHandshakeFailed SSL Handshake failed Received fatal alert: bad_certificate|SslHandshakeFailed SSL Handshake failed Received fatal alert: unknown_ca"},
			{"none", "<Enabled>true</Enabled>", "SslHandshakeFailed SSL Handshake failed Received fatal alert: " + missing},
			{"none, validation ignored", "<Enabled>true</Enabled><IgnoreValidationErrors>true</IgnoreValidationErrors>", "SslHandshakeFailed SSL Handshake failed Received fatal alert: " + missing},
			{"switched off", "<Enabled>true</Enabled><ClientAuthEnabled>false</ClientAuthEnabled><KeyStore>store</KeyStore><KeyAlias>good</KeyAlias>", "SslHandshakeFailed SSL Handshake failed Received fatal alert: " + missing},
			{"no such alias", "<Enabled>true</Enabled><ClientAuthEnabled>true</ClientAuthEnabled><KeyStore>store</KeyStore><KeyAlias>x</KeyAlias>", "KeyAliasNotFound KeyAlias x is not found in KeyStore store"},
			{"no such trust store", "<Enabled>true</Enabled><TrustStore>x</TrustStore>", "TrustStoreWithNoCertificates TrustStore x has no certificates"},
		}
		for _, tt := range tests {
			t.Run(tls.VersionName(version)+" "+tt.name, func(t *testing.T) {
				fc := call(t, "GET", "", "")
				got := ""
				if err := send(connect(t, p, "<URL>https://localhost:"+port+"</URL><SSLInfo>"+tt.ssl+"</SSLInfo>"), fc); err != nil {
					f := faultOf(t, err)
					got = f.ShortName() + " " + f.Text
				} else {
					got = strings.Fields(fc.Response.Text())[3]
				}
				ok := false
				for want := range strings.SplitSeq(tt.want, "|") {
					ok = ok || got == want
				}
				if !ok {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		}
	}
}

// A new certificate under the same alias is used by the next call, and the
// connections of the old one are closed.
func TestRotation(t *testing.T) {
	ca := newAuthority(t, "CA")
	cert := func(name string) tls.Certificate {
		return issue(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	keys := new(keystores)
	keys.put("store", "k", cert("first"))
	port := serveTLS(t, issue(t, ca, localhost()), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	p := newPool(t, Options{RootCAs: ca.pool(), Keys: keys})
	c := connect(t, p, "<URL>https://localhost:"+port+"</URL><SSLInfo><Enabled>true</Enabled><ClientAuthEnabled>true</ClientAuthEnabled><KeyStore>ref://store</KeyStore><KeyAlias>k</KeyAlias></SSLInfo>")
	keys.put("ref://store", "k", cert("first"))
	names := func() string {
		fc := call(t, "GET", "", "")
		if err := send(c, fc); err != nil {
			t.Fatal(err)
		}
		return strings.Fields(fc.Response.Text())[3]
	}
	if got := names(); got != "first" {
		t.Errorf("got %s", got)
	}
	before := c.ssl.latest.Load()
	if names(); c.ssl.latest.Load() != before {
		t.Error("the identity is made anew though nothing changed")
	}
	keys.put("ref://store", "k", cert("second"))
	if got := names(); got != "second" {
		t.Errorf("after rotation: %s", got)
	}
	if n := len(p.transports.byKey); n != 1 {
		t.Errorf("%d transports are kept", n)
	}
}

func TestProtocolsAndCiphers(t *testing.T) {
	ca := newAuthority(t, "CA")
	port12 := serveTLS(t, issue(t, ca, localhost()), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	port13 := serveTLS(t, issue(t, ca, localhost()), func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	port := serveTLS(t, issue(t, ca, localhost()), nil)
	p := newPool(t, Options{RootCAs: ca.pool()})
	const alert = "SSL Handshake failed Received fatal alert: protocol_version"
	tests := []struct{ port, ssl, want string }{
		{port, "", "TLS 1.3"},
		{port, "<Protocols><Protocol>TLSv1.2</Protocol></Protocols>", "TLS 1.2"},
		{port12, "<Protocols><Protocol>TLSv1.2</Protocol><Protocol>TLSv1.3</Protocol></Protocols>", "TLS 1.2"},
		{port12, "<Protocols><Protocol>TLSv1.3</Protocol></Protocols>", alert},
		{port13, "<Protocols><Protocol>TLSv1.2</Protocol></Protocols>", alert},
		{port, "<Ciphers><Cipher>TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256</Cipher></Ciphers>", "TLS 1.2"},
		{port, "<Ciphers><Cipher>TLS_AES_256_GCM_SHA384</Cipher><Cipher>TLS_AES_128_GCM_SHA256</Cipher><Cipher>TLS_CHACHA20_POLY1305_SHA256</Cipher></Ciphers>", "TLS 1.3"},
		{port12, "<Ciphers><Cipher>TLS_AES_128_GCM_SHA256</Cipher></Ciphers>", alert},
	}
	for _, tt := range tests {
		fc := call(t, "GET", "", "")
		err := send(connect(t, p, "<URL>https://localhost:"+tt.port+"</URL><SSLInfo><Enabled>true</Enabled>"+tt.ssl+"</SSLInfo>"), fc)
		got := ""
		if err != nil {
			got = faultOf(t, err).Text
		} else {
			got, _, _ = strings.Cut(fc.Response.Text(), " \"")
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.ssl, got, tt.want)
		}
	}
}

func TestSSLInfoProblems(t *testing.T) {
	tests := []struct{ ssl, want string }{
		{"<Enabled>true</Enabled><Protocols><Protocol>TLSv1.1</Protocol></Protocols>", "<Protocols> names neither TLSv1.2 nor TLSv1.3, and no other is offered"},
		{"<Enabled>true</Enabled><Ciphers><Cipher>TLS_RSA_WITH_DES_CBC_SHA</Cipher></Ciphers>", "none of <Ciphers> is offered: TLS_RSA_WITH_DES_CBC_SHA"},
		{"<Enabled>true</Enabled><Ciphers><Cipher>SSL_RSA_WITH_3DES_EDE_CBC_SHA</Cipher><Cipher>TLS_RSA_WITH_DES_CBC_SHA</Cipher></Ciphers>", "warning: <Ciphers> that are not offered: TLS_RSA_WITH_DES_CBC_SHA"},
		{"<TrustStore>t</TrustStore>", "warning: <SSLInfo> has no effect without <Enabled>true</Enabled>"},
		{"<Enabled>true</Enabled><CRLStore>c</CRLStore>", "warning: <CRLStore> has no effect: revocation lists are not checked"},
	}
	for _, tt := range tests {
		var problems bundle.Problems
		p := newPool(t, Options{})
		p.Connect(connection(t, "<URL>https://x</URL><SSLInfo>"+tt.ssl+"</SSLInfo>"), "t", testEnv(&problems))
		if got := problems.String(); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.ssl, got, tt.want)
		}
	}
}

func TestPlainAnswerToTLS(t *testing.T) {
	s := serve(t, echo)
	f := faultOf(t, send(connect(t, newPool(t, Options{}), "<URL>https://"+strings.TrimPrefix(s.URL, "http://")+"</URL>"), call(t, "GET", "", "")))
	if want := "SSL Handshake failed javax.net.ssl.SSLException: Unsupported or unrecognized SSL message"; f.Text != want {
		t.Errorf("got %s", f.Text)
	}
}

func TestServerTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	port := serveTLS(t, issue(t, ca, localhost()), nil)
	plain := serve(t, echo)
	server := at("localhost:" + port)
	env := &environment{servers: map[string]Server{"a": server, "plain": at(plain.URL)}}
	p := newPool(t, Options{RootCAs: ca.pool(), Servers: env})
	endpoint := connect(t, p, `<LoadBalancer><Server name="a"/></LoadBalancer><SSLInfo><Enabled>true</Enabled></SSLInfo>`)
	if got := visit(t, endpoint); !strings.HasPrefix(got, "TLS 1.3") {
		t.Errorf("TLS of the endpoint: %s", got)
	}
	own := connect(t, p, `<LoadBalancer><Server name="a"/></LoadBalancer>`)
	server.SSLInfo = &bundle.SSLInfo{Enabled: "true", Protocols: []string{"TLSv1.2"}}
	env.set("a", server)
	if got := visit(t, own); !strings.HasPrefix(got, "TLS 1.2") {
		t.Errorf("TLS of the server: %s", got)
	}
	first := own.lb.servers[0].node.ssl
	server.SSLInfo = &bundle.SSLInfo{Enabled: "true", Protocols: []string{"TLSv1.2"}}
	env.set("a", server)
	if visit(t, own); own.lb.servers[0].node.ssl != first {
		t.Error("equal TLS settings are compiled anew")
	}
	off := at(plain.URL)
	off.SSLInfo = &bundle.SSLInfo{Enabled: "false"}
	env.set("a", off)
	if got := visit(t, endpoint); !strings.HasPrefix(got, "GET /x HTTP/1.1") {
		t.Errorf("a server without TLS behind an endpoint with it: %s", got)
	}
}

func TestHTTP2(t *testing.T) {
	ca := newAuthority(t, "CA")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprintf(w, "%s te=%s ", r.Proto, r.Header.Get("TE"))
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", "0")
	})
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, ca, localhost())}}
	s.StartTLS()
	t.Cleanup(s.Close)
	h2c := httptest.NewUnstartedServer(handler)
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	t.Cleanup(h2c.Close)
	secure, plain := at("localhost:"+s.URL[strings.LastIndexByte(s.URL, ':')+1:]), at(h2c.URL)
	secure.Protocol, secure.SSLInfo = "HTTP2", &bundle.SSLInfo{Enabled: "true"}
	plain.Protocol = "GRPC_TARGET"
	env := &environment{servers: map[string]Server{"secure": secure, "plain": plain}}
	p := newPool(t, Options{RootCAs: ca.pool(), Servers: env})
	for _, name := range []string{"secure", "plain"} {
		fc := call(t, "POST", "/pkg.Service/Method", "", "TE: trailers", "Content-Type: application/grpc")
		fc.Request.Proto = "2.0"
		fc.Request.SetStream(io.NopCloser(strings.NewReader("message")), -1)
		if err := send(connect(t, p, `<LoadBalancer><Server name="`+name+`"/></LoadBalancer>`), fc); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fc.Response.Text(); got != "HTTP/2.0 te=trailers message" {
			t.Errorf("%s: got %q", name, got)
		}
		if tr := fc.Response.Trailer(); len(tr) != 1 || tr[0].Name != "Grpc-Status" || tr[0].Value != "0" {
			t.Errorf("%s: trailer %v", name, tr)
		}
	}
}

func TestHTTP10OverTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	port := serveTLS(t, issue(t, ca, localhost()), nil)
	fc := call(t, "GET", "", "")
	if err := send(connect(t, newPool(t, Options{RootCAs: ca.pool()}), "<URL>https://localhost:"+port+"</URL><Properties>"+withProperty("supports.http11", "false")+"</Properties>"), fc); err != nil {
		t.Fatal(err)
	}
	if got := fc.Response.Text(); !strings.HasSuffix(got, "HTTP/1.0") || fc.Target.TLS == nil || fc.Target.IP == "" {
		t.Errorf("got %s, TLS %v, ip %q", got, fc.Target.TLS != nil, fc.Target.IP)
	}
}
