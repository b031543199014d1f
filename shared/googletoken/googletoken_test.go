package googletoken

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cloud plays the metadata server, the IAM Credentials API and the token
// endpoint, and keeps what was asked.
type cloud struct {
	*httptest.Server
	mu      sync.Mutex
	log     []string
	n       atomic.Int32
	broken  atomic.Bool
	hold    chan struct{}
	expires time.Duration
}

// newCloud starts a cloud; the process then looks as if it ran there as
// host@example.iam.gserviceaccount.com.
func newCloud(t *testing.T) *cloud {
	c := &cloud{expires: time.Hour}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(c.URL, "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	return c
}

const hostEmail = "host@example.iam.gserviceaccount.com"

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := r.URL.Path
	if strings.HasSuffix(path, "/email") {
		io.WriteString(w, hostEmail)
		return
	}
	if strings.HasSuffix(path, "universe-domain") || strings.HasSuffix(path, "universe_domain") {
		io.WriteString(w, "googleapis.com")
		return
	}
	if strings.HasSuffix(path, "/project-id") { // asked for once by the library, not a mint
		io.WriteString(w, "p")
		return
	}
	if c.hold != nil {
		<-c.hold
	}
	c.mu.Lock()
	c.log = append(c.log, strings.TrimSpace(fmt.Sprintf("%s %s?%s %s %s", r.Method, path, r.URL.RawQuery, r.Header.Get("Authorization"), body)))
	c.mu.Unlock()
	if c.broken.Load() {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	n := c.n.Add(1)
	switch {
	case strings.HasSuffix(path, "/identity"):
		io.WriteString(w, jwt(n))
	case strings.HasSuffix(path, "/default/token"):
		fmt.Fprintf(w, `{"access_token":"own-%d","expires_in":3600,"token_type":"Bearer"}`, n)
	case strings.HasSuffix(path, ":generateIdToken"):
		fmt.Fprintf(w, `{"token":%q}`, jwt(n))
	case strings.HasSuffix(path, ":generateAccessToken"):
		fmt.Fprintf(w, `{"accessToken":"imp-%d","expireTime":%q}`, n, time.Now().Add(c.expires).UTC().Format(time.RFC3339))
	case path == "/token":
		fmt.Fprintf(w, `{"id_token":%q,"access_token":"x","expires_in":3600}`, jwt(n))
	default:
		http.NotFound(w, r)
	}
}

// jwt is an unsigned token that ends in n.
func jwt(n int32) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix())) + fmt.Sprintf(".sig%d", n)
}

func (c *cloud) asked() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.log, "\n")
	c.log = nil
	return s
}

// RoundTrip takes every request for Google to the test's server.
func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	u, _ := url.Parse(c.URL)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = u.Scheme, u.Host
	return http.DefaultTransport.RoundTrip(r)
}

func suffix(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }

func TestOwnTokens(t *testing.T) {
	c := newCloud(t)
	s := New(Options{Transport: c})
	id, err := s.IDToken(t.Context(), "", "https://svc.example.com", false)
	if err != nil || suffix(id) != "sig1" {
		t.Fatalf("id token %q, %v", id, err)
	}
	if got, want := c.asked(), "GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fsvc.example.com&format=full"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if _, err := s.IDToken(t.Context(), "", "https://svc.example.com", true); err != nil {
		t.Fatal(err)
	}
	if got, want := c.asked(), "GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fsvc.example.com&format=full"; got != want {
		t.Errorf("with e-mail: asked %s, want %s", got, want)
	}
	access, err := s.AccessToken(t.Context(), "", []string{"a", "b"}, time.Hour)
	if err != nil || access != "own-3" {
		t.Fatalf("access token %q, %v", access, err)
	}
	if got, want := c.asked(), "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=a%2Cb"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	// The deployment's account is the host's: nothing is impersonated.
	if _, err := s.IDToken(t.Context(), hostEmail, "https://x", false); err != nil {
		t.Fatal(err)
	}
	if got := c.asked(); !strings.HasPrefix(got, "GET /computeMetadata/v1/instance/service-accounts/default/identity") {
		t.Errorf("own account by name: asked %s", got)
	}
}

func TestImpersonation(t *testing.T) {
	c := newCloud(t)
	s := New(Options{Transport: c})
	id, err := s.IDToken(t.Context(), "sa@p.iam.gserviceaccount.com", "aud", true)
	if err != nil || !strings.HasPrefix(suffix(id), "sig") {
		t.Fatalf("id token %q, %v", id, err)
	}
	got := c.asked()
	for _, want := range []string{
		"GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform",
		`POST /v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com:generateIdToken? Bearer own-1 {"audience":"aud","includeEmail":true}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("asked\n%s\nwithout %s", got, want)
		}
	}
	access, err := s.AccessToken(t.Context(), "sa@p.iam.gserviceaccount.com", []string{"scope"}, 20*time.Minute)
	if err != nil || !strings.HasPrefix(access, "imp-") {
		t.Fatalf("access token %q, %v", access, err)
	}
	if got, want := c.asked(), `POST /v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com:generateAccessToken? Bearer own-1 {"lifetime":"1200s","scope":["scope"]}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

// On a laptop a key file stands in for the metadata server.
func TestKeyFile(t *testing.T) {
	c := newCloud(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	file, _ := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "key@example.com", "private_key_id": "1", "token_uri": c.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	name := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", name)
	s := New(Options{Transport: c})
	for _, account := range []string{"", "key@example.com"} {
		id, err := s.IDToken(t.Context(), account, "aud", false)
		if err != nil || !strings.HasPrefix(suffix(id), "sig") {
			t.Errorf("%q: id token %q, %v", account, id, err)
		}
		if got := c.asked(); !strings.HasPrefix(got, "POST /token?") {
			t.Errorf("%q: asked %s", account, got)
		}
	}
}

// clock is a clock that tests move.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Load()) }

func TestCache(t *testing.T) {
	c := newCloud(t)
	clk := new(clock)
	clk.ns.Store(time.Now().UnixNano())
	s := New(Options{Transport: c, Now: clk.now})
	get := func() string {
		t.Helper()
		v, err := s.IDToken(t.Context(), "", "aud", false)
		if err != nil {
			t.Fatal(err)
		}
		return suffix(v)
	}
	first := get()
	clk.ns.Add(int64(49 * time.Minute))
	if got := get(); got != first {
		t.Errorf("after 49 minutes: %s, want %s", got, first)
	}
	c.broken.Store(true)
	clk.ns.Add(int64(2 * time.Minute))
	if got := get(); got != first {
		t.Errorf("due but not to be had: %s, want the old one", got)
	}
	c.broken.Store(false)
	if got := get(); got == first {
		t.Error("a token that is due is not renewed")
	}
	c.broken.Store(true)
	clk.ns.Add(int64(2 * time.Hour))
	if _, err := s.IDToken(t.Context(), "", "aud", false); err == nil {
		t.Error("an expired token is handed out")
	}
	c.broken.Store(false)
	clk.ns.Store(time.Now().UnixNano())
	if _, err := s.IDToken(t.Context(), "", "other", false); err != nil {
		t.Errorf("a failure is remembered: %v", err)
	}
}

// A short token is renewed at half of its life.
func TestShortLifetime(t *testing.T) {
	c := newCloud(t)
	c.expires = 6 * time.Minute
	clk := new(clock)
	clk.ns.Store(time.Now().UnixNano())
	s := New(Options{Transport: c, Now: clk.now})
	get := func() string {
		v, err := s.AccessToken(t.Context(), "sa@example.com", []string{"x"}, 6*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := get()
	clk.ns.Add(int64(2 * time.Minute))
	if get() != first {
		t.Error("renewed after a third of its life")
	}
	clk.ns.Add(int64(2 * time.Minute))
	if get() == first {
		t.Error("not renewed")
	}
}

func TestSingleFlight(t *testing.T) {
	c := newCloud(t)
	c.hold = make(chan struct{})
	s := New(Options{Transport: c})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.IDToken(gone, "", "aud", false); err == nil {
		t.Error("a call that is over got a token")
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := s.IDToken(t.Context(), "", "aud", false); err != nil {
				t.Error(err)
			}
		})
	}
	close(c.hold)
	wg.Wait()
	if n := c.n.Load(); n > 2 {
		t.Errorf("%d tokens were minted", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := New(Options{})
	now := time.Now()
	for i := range 3 * maxTokens {
		s.keep(fmt.Sprint(i), token{expires: now.Add(time.Hour)}, now)
	}
	if n := len(s.tokens); n > maxTokens {
		t.Errorf("%d tokens are kept", n)
	}
}

func BenchmarkCached(b *testing.B) {
	s := New(Options{})
	now := time.Now()
	s.keep("id\x00sa\x00aud\x00false", token{value: "v", renew: now.Add(time.Hour), expires: now.Add(time.Hour)}, now)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.IDToken(b.Context(), "sa", "aud", false); err != nil {
			b.Fatal(err)
		}
	}
}
