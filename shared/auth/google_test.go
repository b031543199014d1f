package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/auth"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/management"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// The API of the tests, as ID tokens name it.
const audience = "https://management-abc-ew.a.run.app"

// signingKey is made once: RSA keys take a while.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// google is a server that speaks as much of Google's as is needed, and the
// transport that leads there.
type google struct {
	t      testing.TB
	server *httptest.Server
	now    func() time.Time
	maxAge int // of the keys, in seconds

	mu     sync.Mutex
	tokens map[string]map[string]any // access tokens and what is said of them
	down   bool
	asked  map[string]*atomic.Int64 // by path
	wait   chan struct{}            // answers come once it is closed
}

func newGoogle(t testing.TB) *google {
	t.Helper()
	g := &google{t: t, now: time.Now, maxAge: 3600, tokens: map[string]map[string]any{}, asked: map[string]*atomic.Int64{"/oauth2/v3/certs": {}, "/tokeninfo": {}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET www.googleapis.com/oauth2/v3/certs", g.certs)
	mux.HandleFunc("POST oauth2.googleapis.com/tokeninfo", g.tokenInfo)
	g.server = httptest.NewServer(mux)
	t.Cleanup(g.server.Close)
	return g
}

// RoundTrip implements http.RoundTripper: every host is this server.
func (g *google) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := g.asked[r.URL.Path]; n != nil && r.URL.RawQuery == "" {
		n.Add(1)
	} else {
		g.t.Errorf("unexpected request %s", r.URL)
	}
	g.mu.Lock()
	down, wait := g.down, g.wait
	g.mu.Unlock()
	if down {
		return nil, fmt.Errorf("dial tcp: connection refused")
	}
	if wait != nil {
		<-wait
	}
	there := r.Clone(r.Context())
	there.Host = r.URL.Host
	there.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(g.server.URL, "http://"), Path: r.URL.Path}
	return http.DefaultTransport.RoundTrip(there)
}

func (g *google) setDown(down bool) { g.mu.Lock(); g.down = down; g.mu.Unlock() }

func (g *google) certs(w http.ResponseWriter, _ *http.Request) {
	pub := signingKey().PublicKey
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d, must-revalidate", g.maxAge))
	json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
		"kid": "k1", "kty": "RSA", "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(pub.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(pub.E)).Bytes()),
	}}})
}

func (g *google) tokenInfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	info := g.tokens[token]
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if info == nil {
		w.WriteHeader(400)
		w.Write([]byte(`{"error":"invalid_token","error_description":"Invalid Value"}`))
		return
	}
	json.NewEncoder(w).Encode(info)
}

// claims are those of a valid ID token of an account, changed.
func (g *google) claims(email string, change map[string]any) map[string]any {
	now := g.now()
	c := map[string]any{
		"iss": "https://accounts.google.com", "aud": audience, "azp": audience, "sub": "1", "email": email, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(c, change)
	return c
}

// idToken signs claims.
func (g *google) idToken(claims map[string]any) string {
	return g.signed(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, claims)
}

func (g *google) signed(header string, claims map[string]any) string {
	g.t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		g.t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, signingKey(), crypto.SHA256, sum[:])
	if err != nil {
		g.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// accessToken is an access token of an account, with what is said of it changed.
func (g *google) accessToken(name, email string, change map[string]any) string {
	exp := g.now().Add(time.Hour).Unix()
	info := map[string]any{
		"azp": "32555940559.apps.googleusercontent.com", "aud": "32555940559.apps.googleusercontent.com", "sub": "1",
		"scope": "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/cloud-platform",
		"exp":   fmt.Sprint(exp), "expires_in": "3599", "email": email, "email_verified": "true", "access_type": "offline",
	}
	maps.Copy(info, change)
	for k, v := range info {
		if v == nil {
			delete(info, k)
		}
	}
	token := "ya29.c." + strings.ReplaceAll(name, " ", "-")
	g.mu.Lock()
	g.tokens[token] = info
	g.mu.Unlock()
	return token
}

// api is a Management API with the real authenticator, the organizations acme and
// other, and a member for each role in acme.
type api struct {
	t       *testing.T
	google  *google
	auth    *auth.Google
	reg     *registry.Registry
	handler http.Handler
}

// members are who has which role in acme.
var members = map[string]management.Role{
	"viewer@example.com": management.Viewer, "developer@example.com": management.Developer, "admin@example.com": management.Admin,
}

func newAPI(t *testing.T, change ...func(*auth.Options)) *api {
	t.Helper()
	driver, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	a := &api{t: t, google: newGoogle(t), reg: registry.New(store.New(driver), nil)}
	opts := auth.Options{
		Audiences: []string{"https://perigee.example.com", audience}, Admins: []string{"Root@example.com"},
		Roles: a.reg.RolesOf, Transport: a.google,
	}
	for _, f := range change {
		f(&opts)
	}
	if opts.Now != nil {
		a.google.now = opts.Now
	}
	if a.auth, err = auth.New(opts); err != nil {
		t.Fatal(err)
	}
	a.handler = management.New(management.Options{Registry: a.reg, Deployments: deployment.New(a.reg), Auth: a.auth, Audit: a.reg.Audit, Log: slog.New(slog.DiscardHandler)})
	ctx := t.Context()
	for _, org := range []string{"acme", "other"} {
		if err := a.reg.EnsureOrganization(ctx, org); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.reg.EnsureEnvironment(ctx, "acme", "test"); err != nil {
		t.Fatal(err)
	}
	for name, role := range members {
		a.grant("acme", name, role.String())
	}
	a.grant("other", "stranger@example.com", entity.RoleAdmin)
	return a
}

func (a *api) grant(org, name, role string) {
	a.t.Helper()
	if _, err := a.reg.Grant(a.t.Context(), org, name, role, "test"); err != nil {
		a.t.Fatal(err)
	}
}

// call is the status and body of a call with headers.
func (a *api) call(method, path string, headers ...string) (int, string) {
	a.t.Helper()
	r := httptest.NewRequest(method, "https://management.example.com"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (a *api) with(token, method, path string) (int, string) {
	a.t.Helper()
	return a.call(method, path, "Authorization", "Bearer "+token)
}

// as calls with a good ID token of an account.
func (a *api) as(email, method, path string) (int, string) {
	a.t.Helper()
	return a.with(a.google.idToken(a.google.claims(email, nil)), method, path)
}

func (a *api) want(status int, body string, wantStatus int, texts ...string) {
	a.t.Helper()
	if status != wantStatus {
		a.t.Fatalf("status %d, want %d: %s", status, wantStatus, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			a.t.Fatalf("answer lacks %s: %s", text, body)
		}
	}
}
