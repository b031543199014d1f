package boot_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// site is one host: its gateway behind a real server, and its Management API.
type site struct {
	t          *testing.T
	host       *boot.Host
	gateway    string
	management http.Handler
}

func newSite(t *testing.T) *site {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "org", Store: "memory:", Keystore: "memory:", AnyHost: true, InsecureManagement: true,
		LogFormat: "text", LogLevel: "error", Refresh: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	m, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go boot.Serve(t.Context(), l, h.GatewayHandler())
	return &site{t, h, "http://" + l.Addr().String(), m}
}

// manage calls the Management API with a JSON text or a form; it must succeed.
func (s *site) manage(method, path, contentType, body string) {
	s.t.Helper()
	r := httptest.NewRequest(method, "/v1/organizations/org/environments/test"+path, strings.NewReader(body))
	r.Host = "localhost"
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.management.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

func (s *site) json(method, path, body string) {
	s.t.Helper()
	s.manage(method, path, "application/json", body)
}

// alias uploads a certificate, and its key if it has one.
func (s *site) alias(store, name string, c tls.Certificate) {
	s.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file := func(field, kind string, der []byte) {
		w, err := form.CreateFormFile(field, field+".pem")
		if err != nil {
			s.t.Fatal(err)
		}
		pem.Encode(w, &pem.Block{Type: kind, Bytes: der})
	}
	file("certFile", "CERTIFICATE", c.Certificate[0])
	if c.PrivateKey != nil {
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			s.t.Fatal(err)
		}
		file("keyFile", "PRIVATE KEY", der)
	}
	form.Close()
	s.manage("POST", "/keystores/"+store+"/aliases?alias="+name+"&format=keycertfile", form.FormDataContentType(), b.String())
}

// get returns status and body of a call; an answer that is not whole is an error.
func (s *site) get(path string) (int, string, error) {
	resp, err := http.Get(s.gateway + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

var serials atomic.Int64

// issue makes a certificate signed by ca, or by itself.
func issue(t *testing.T, ca *tls.Certificate, tmpl *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = big.NewInt(serials.Add(1))
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := tmpl, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
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

func newCA(t *testing.T, name string) tls.Certificate {
	return issue(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// serveMutual answers with the name in the client's certificate. Below /slow it
// sends half of the answer and waits for release.
func serveMutual(t *testing.T, ca, clients tls.Certificate, begun chan<- struct{}, release <-chan struct{}) (port string) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		if r.URL.Path == "/slow" {
			io.WriteString(w, "half ")
			w.(http.Flusher).Flush()
			begun <- struct{}{}
			<-release
		}
		io.WriteString(w, name)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	pool := x509.NewCertPool()
	pool.AddCert(clients.Leaf)
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{issue(t, &ca, &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}})},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL[strings.LastIndexByte(s.URL, ':')+1:]
}

const mutualBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <HTTPProxyConnection><BasePath>/mutual</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default"><HTTPTargetConnection><URL>https://localhost:PORT</URL>
  <SSLInfo><Enabled>true</Enabled><Enforce>true</Enforce><ClientAuthEnabled>true</ClientAuthEnabled>
    <KeyStore>ref://keys</KeyStore><KeyAlias>client</KeyAlias><TrustStore>ref://trust</TrustStore></SSLInfo>
</HTTPTargetConnection></TargetEndpoint>
`

// TestRotationUnderLoad points the reference of a keystore to another one, forth
// and back, while callers send without pause: no request fails, one that is under
// way ends whole, and the new certificate is in force within a refresh.
func TestRotationUnderLoad(t *testing.T) {
	s := newSite(t)
	ca, clients := newCA(t, "CA"), newCA(t, "Clients")
	begun, release := make(chan struct{}, 1), make(chan struct{})
	port := serveMutual(t, ca, clients, begun, release)
	for _, name := range []string{"first", "second", "roots"} {
		s.json("POST", "/keystores", `{"name":"`+name+`"}`)
	}
	client := func(name string) tls.Certificate {
		return issue(t, &clients, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	s.alias("first", "client", client("first"))
	s.alias("second", "client", client("second"))
	s.alias("roots", "ca", tls.Certificate{Certificate: ca.Certificate})
	s.json("POST", "/references", `{"name":"keys","refers":"first","resourceType":"KeyStore"}`)
	s.json("POST", "/references", `{"name":"trust","refers":"roots","resourceType":"TrustStore"}`)
	hosttest.Deploy(t, s.host, "mutual", []byte(strings.ReplaceAll(mutualBundle, "PORT", port)), "")
	if status, body, err := s.get("/mutual"); status != 200 || body != "first" || err != nil {
		t.Fatalf("%d %s %v", status, body, err)
	}

	slow := make(chan string, 1)
	go func() {
		status, body, err := s.get("/mutual/slow")
		slow <- fmt.Sprint(status, body, err)
	}()
	<-begun

	var sent, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				if status, body, err := s.get("/mutual"); status != 200 || err != nil || body != "first" && body != "second" {
					failed.Add(1)
					t.Errorf("%d %s %v", status, body, err)
				}
			}
		})
	}
	for _, name := range []string{"second", "first", "second"} {
		s.json("PUT", "/references/keys", `{"name":"keys","refers":"`+name+`","resourceType":"KeyStore"}`)
		s.seen(name)
	}
	close(stop)
	wg.Wait()
	close(release)
	if got, want := <-slow, fmt.Sprint(200, "half first", nil); got != want {
		t.Errorf("the request under way got %s, want %s", got, want)
	}
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
	if failed.Load() > 0 || sent.Load() == 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
}

// seen waits until the target sees a certificate; from two refreshes on it must
// see no other.
func (s *site) seen(name string) {
	s.t.Helper()
	changed := time.Now()
	for {
		_, body, err := s.get("/mutual")
		if body == name {
			break
		}
		if time.Since(changed) > 10*time.Second {
			s.t.Fatalf("%s, %v ten seconds after the change, want %s", body, err, name)
		}
	}
	time.Sleep(100 * time.Millisecond) // two refreshes: what began before them is over
	for range 20 {
		if _, body, err := s.get("/mutual"); body != name {
			s.t.Fatalf("%s, %v, want %s", body, err, name)
		}
	}
}

const plainTLSBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <HTTPProxyConnection><BasePath>/BASE</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default"><HTTPTargetConnection><URL>https://localhost:PORT</URL>
  <SSLInfo><Enabled>true</Enabled><Enforce>ENFORCE</Enforce><IgnoreValidationErrors>true</IgnoreValidationErrors></SSLInfo>
</HTTPTargetConnection></TargetEndpoint>
`

// TestEnforceProperty sets the environment property features.SSLInfo.Enforce: it
// overrides <Enforce>, either way, of proxies that are deployed already.
func TestEnforceProperty(t *testing.T) {
	s := newSite(t)
	target := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(target.Close)
	target.Config.ErrorLog = log.New(io.Discard, "", 0)
	port := target.URL[strings.LastIndexByte(target.URL, ':')+1:]
	for base, enforce := range map[string]string{"lax": "false", "strict": "true"} {
		hosttest.Deploy(t, s.host, base, []byte(strings.NewReplacer("BASE", base, "PORT", port, "ENFORCE", enforce).Replace(plainTLSBundle)), "")
	}
	for _, tt := range []struct {
		property    string
		lax, strict int
	}{
		{"", 200, 503},
		{`{"name":"features.SSLInfo.Enforce","value":"true"}`, 503, 503},
		{`{"name":"features.SSLInfo.Enforce","value":"false"}`, 200, 200},
		{"", 200, 503},
	} {
		s.json("PUT", "", `{"name":"test","properties":{"property":[`+tt.property+`]}}`)
		time.Sleep(100 * time.Millisecond) // two refreshes
		for base, want := range map[string]int{"lax": tt.lax, "strict": tt.strict} {
			if status, body, err := s.get("/" + base); status != want || err != nil || want == 503 && !strings.Contains(body, "messaging.adaptors.http.flow.SslHandshakeFailed") {
				t.Errorf("%s: /%s is %d %s %v, want %d", tt.property, base, status, body, err, want)
			}
		}
	}
}

const hookBundle = `
-- sharedflowbundle/sharedflows/default.xml --
<SharedFlow name="default"><Step><Name>AM</Name></Step></SharedFlow>
-- sharedflowbundle/policies/AM.xml --
<AssignMessage name="AM"><AssignVariable><Name>trail</Name><Template>{trail}{apigee.edge.flowhook.name} in {apigee.edge.sharedflow.name}, </Template></AssignVariable><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></AssignMessage>
`

const hookedProxy = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PostFlow><Response><Step><Name>AM</Name></Step></Response></PostFlow>
  <HTTPProxyConnection><BasePath>/hooked</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default"><HTTPTargetConnection><URL>BACKEND</URL></HTTPTargetConnection></TargetEndpoint>
-- apiproxy/policies/AM.xml --
<AssignMessage name="AM"><Set><Payload contentType="text/plain">{trail}</Payload></Set><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></AssignMessage>
`

// TestFlowHooks attaches a shared flow to the environment's hooks with the
// Management API: proxies that are deployed run it from the next refresh on.
func TestFlowHooks(t *testing.T) {
	s := newSite(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(backend.Close)
	hosttest.Deploy(t, s.host, "hooked", []byte(hookBundle), "")
	hosttest.Deploy(t, s.host, "proxy", []byte(hookedProxy), backend.URL)
	if _, body, err := s.get("/hooked"); body != "" || err != nil {
		t.Errorf("without hooks: %q %v", body, err)
	}
	want := ""
	for _, hook := range []string{"PreProxyFlowHook", "PreTargetFlowHook", "PostTargetFlowHook"} {
		s.json("PUT", "/flowhooks/"+hook, `{"sharedFlow":"hooked"}`)
		time.Sleep(100 * time.Millisecond) // two refreshes
		want += hook + " in hooked, "
		if _, body, err := s.get("/hooked"); body != want || err != nil {
			t.Errorf("%q %v, want %q", body, err, want)
		}
	}
	s.json("DELETE", "/flowhooks/PreProxyFlowHook", "")
	time.Sleep(100 * time.Millisecond)
	if _, body, _ := s.get("/hooked"); strings.Contains(body, "PreProxyFlowHook") {
		t.Errorf("detached: %q", body)
	}
}
