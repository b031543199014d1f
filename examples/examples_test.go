// Package examples_test runs the examples: it executes what their READMEs tell,
// against the gateway and the Management API of one process.
package examples_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// stack is a gateway with its Management API.
type stack struct {
	t       *testing.T
	example string
	env     []string // of the README's commands
	gateway string
	entered atomic.Int64 // calls that have reached the gateway
}

// serve starts the stack with an example deployed.
func serve(t *testing.T, example string, variables ...string) *stack {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "local", Store: "memory:", Keystore: "memory:", AnyHost: true, InsecureManagement: true,
		LogFormat: "text", LogLevel: "error",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	live, err := h.DeployBundle(t.Context(), "test", example)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range live.Warnings {
		if !strings.Contains(w.Message, "target server") { // they are set up later
			t.Errorf("warning: %v", w)
		}
	}
	management, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{t: t, example: example}
	api := httptest.NewServer(management)
	t.Cleanup(api.Close)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.entered.Add(1)
		h.GatewayHandler().ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	s.gateway = gateway.URL
	org := api.URL + "/v1/organizations/local"
	s.env = append(os.Environ(), "GATEWAY="+gateway.URL, "ORG="+org, "API="+org+"/environments/test")
	s.env = append(s.env, variables...)
	return s
}

// at returns the variables that say where a server is.
func at(name string, server *httptest.Server) []string {
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return []string{name + "_HOST=" + host, name + "_PORT=" + port}
}

// run executes the block of the README that has a mark before it.
func (s *stack) run(mark string, variables ...string) string {
	s.t.Helper()
	readme, err := os.ReadFile(filepath.Join(s.example, "README.md"))
	if err != nil {
		s.t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```sh\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		s.t.Fatalf("README.md has no block %q", mark)
	}
	cmd := exec.CommandContext(s.t.Context(), "bash", "-euo", "pipefail", "-c", string(block[1]))
	cmd.Env = append(s.env, variables...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", mark, err, out, errors.Bytes())
	}
	return string(out)
}

func (s *stack) get(path string, header ...string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), "GET", s.gateway+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// An API key that the backend takes in any of three ways comes from an encrypted
// key value map; without one there is no call.
func TestAPIKey(t *testing.T) {
	var calls atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var payload struct{ Key, Item string }
		body, _ := io.ReadAll(r.Body)
		json.Unmarshal(body, &payload)
		if cmp.Or(r.Header.Get("X-Api-Key"), r.URL.Query().Get("key"), payload.Key) != `k"ey` {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "%s %s %d %d %s", r.Method, r.URL.Path, len(r.Header.Values("X-Api-Key")), len(r.URL.Query()["key"]), payload.Item)
	}))
	t.Cleanup(backend.Close)

	t.Run("no key", func(t *testing.T) {
		s := serve(t, "api-key")
		if status, body := s.get("/api-key/items"); status != 500 || body != `{"error":"the proxy has no key for its backend"}` || calls.Load() > 0 {
			t.Errorf("%d %s, %d calls of the backend", status, body, calls.Load())
		}
	})
	s := serve(t, "api-key", append(at("BACKEND", backend), `KEY=k\"ey`)...)
	s.run("setup")
	if got, want := s.run("call"), "GET /items 1 0 "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, tt := range []struct{ path, want string }{
		{"/api-key/items", "GET /items 1 0 "},
		{"/api-key/query?key=mine", "GET /query 0 1 "},
		{"/api-key/payload?item=a%22b", `POST /payload 0 0 a"b`},
	} {
		var header []string
		if tt.path == "/api-key/items" {
			header = []string{"X-API-Key", "mine"} // is replaced
		}
		if status, body := s.get(tt.path, header...); status != 200 || body != tt.want {
			t.Errorf("%s: %d %q, want %q", tt.path, status, body, tt.want)
		}
	}
}

// tokens is a token endpoint and a backend that takes its tokens.
type tokens struct {
	mu      sync.Mutex
	issued  int
	valid   map[string]bool
	expires int
	wait    func() // before a token is issued
	fail    bool
}

func (k *tokens) endpoint(w http.ResponseWriter, r *http.Request) {
	if id, secret, ok := r.BasicAuth(); !ok || id != "client" || secret != "s3cret" ||
		r.Method != "POST" || r.URL.Path != "/token" || r.PostFormValue("grant_type") != "client_credentials" {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	if k.wait != nil {
		k.wait()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issued++
	if k.fail {
		http.Error(w, `{"error":"server_error"}`, http.StatusInternalServerError)
		return
	}
	token := fmt.Sprintf("token-%d", k.issued)
	k.valid[token] = true
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, k.expires)
}

func (k *tokens) backend(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.valid[token] {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	io.WriteString(w, token)
}

func (k *tokens) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func clientCredentials(t *testing.T, k *tokens) *stack {
	t.Helper()
	k.valid = map[string]bool{}
	endpoint, backend := httptest.NewServer(http.HandlerFunc(k.endpoint)), httptest.NewServer(http.HandlerFunc(k.backend))
	t.Cleanup(endpoint.Close)
	t.Cleanup(backend.Close)
	s := serve(t, "client-credentials", append(at("BACKEND", backend), at("TOKEN", endpoint)...)...)
	s.run("setup")
	return s
}

// Concurrent calls that find no token cost one call to the token endpoint.
func TestClientCredentialsStampede(t *testing.T) {
	const calls = 200
	k := &tokens{expires: 3600}
	var s *stack
	k.wait = func() { // until all calls are in the gateway
		for deadline := time.Now().Add(20 * time.Second); s.entered.Load() < calls && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	s = clientCredentials(t, k)
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if status, body := s.get("/client-credentials/items"); status != 200 || body != "token-1" {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	wg.Wait()
	if k.issued != 1 {
		t.Errorf("%d concurrent first calls made %d token calls, want 1", calls, k.issued)
	}
	t.Logf("%d concurrent first calls, %d token call", calls, k.issued)
}

// A token is presented until it expires or is revoked; a token endpoint that
// fails is a fault, never a call without a token.
func TestClientCredentials(t *testing.T) {
	k := &tokens{expires: 3600}
	s := clientCredentials(t, k)
	want := func(what string, status int, body string, issued int) {
		t.Helper()
		gotStatus, gotBody := s.get("/client-credentials/items")
		if gotStatus != status || !strings.Contains(gotBody, body) || k.issued != issued {
			t.Errorf("%s: %d %s with %d tokens issued, want %d %s with %d", what, gotStatus, gotBody, k.issued, status, body, issued)
		}
	}
	if got := s.run("call"); got != "token-1" {
		t.Errorf("call: %q", got)
	}
	want("the same token again", 200, "token-1", 1)
	k.set(func() { clear(k.valid) })
	want("revoked", 401, "who are you?", 1)
	want("a new one", 200, "token-2", 2)
	want("and again", 200, "token-2", 2)
	k.set(func() { clear(k.valid); k.fail = true })
	want("revoked once more", 401, "who are you?", 2)
	want("the token endpoint fails", 500, "steps.servicecallout.ExecutionFailed", 3)
	k.set(func() { k.fail, k.expires = false, 31 })
	want("it is back", 200, "token-4", 4)
}

// A SOAP backend gets an assertion about the caller's developer, which the
// certificate from the Management API proves, and xmlsec1 as well.
func TestSAML(t *testing.T) {
	var received []byte
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/xml")
		io.WriteString(w, "<ok/>")
	}))
	t.Cleanup(backend.Close)
	s := serve(t, "saml", at("BACKEND", backend)...)
	out := s.run("setup")
	key := regexp.MustCompile(`"consumerKey":\s*"([^"]+)"`).FindStringSubmatch(out)
	if key == nil {
		t.Fatalf("no key in %s", out)
	}
	if got := s.run("call", "KEY="+key[1]); got != "<ok/>" {
		t.Errorf("call: %q", got)
	}
	block, _ := pem.Decode([]byte(s.run("certificate")))
	if block == nil {
		t.Fatal("no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a, err := validate(received, certificate)
	if err != nil {
		t.Fatalf("%v\n%s", err, received)
	}
	if a.Subject != "joe@example.com" || a.Issuer != "https://perigee.example.com" {
		t.Errorf("%+v", a)
	}
	if !bytes.Contains(received, []byte("<item>tea &amp; &lt;cake&gt;</item>")) || bytes.Contains(received, []byte(base64.StdEncoding.EncodeToString([]byte(key[1])))) {
		t.Errorf("the backend received %s", received)
	}
	if status, body := s.get("/saml/orders", "X-API-Key", "none"); status != 401 {
		t.Errorf("without a key: %d %s", status, body)
	}
}

func validate(message []byte, trusted *x509.Certificate) (*saml.Assertion, error) {
	doc, err := saml.Parse(message)
	if err != nil {
		return nil, err
	}
	path, err := xpath.Compile("/soap:Envelope/soap:Header/wsse:Security/saml:Assertion", map[string]string{
		"soap": "http://schemas.xmlsoap.org/soap/envelope/",
		"wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd", "saml": saml.Namespace,
	})
	if err != nil {
		return nil, err
	}
	el, err := doc.Select(path)
	if err != nil {
		return nil, err
	}
	return doc.Validate(el, el, []*x509.Certificate{trusted}, time.Now())
}
