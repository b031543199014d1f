// Package tokenexchange_test runs the bundle through the whole stack.
package tokenexchange_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/entity"
)

const (
	issuer   = "https://idp.example.com"
	audience = "https://api.example.com/token-exchange/token"
	typeJWT  = "urn:ietf:params:oauth:token-type:jwt"
	typeAT   = "urn:ietf:params:oauth:token-type:access_token"
)

// idp is an identity provider with one key.
type idp struct {
	*httptest.Server
	key jwk.Key
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{}
	raw, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p.key, err = jwk.Import(raw)
	check(t, err)
	check(t, p.key.Set(jwk.KeyIDKey, "k1"))
	public, err := p.key.PublicKey()
	check(t, err)
	set := jwk.NewSet()
	check(t, set.AddKey(public))
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) }))
	t.Cleanup(p.Close)
	return p
}

// token is a token of a subject; change is nil or changes its claims.
func (p *idp) token(t *testing.T, subject string, life time.Duration, change map[string]any) string {
	t.Helper()
	b := jwt.NewBuilder().Issuer(issuer).Audience([]string{audience}).Subject(subject).IssuedAt(time.Now()).Expiration(time.Now().Add(life))
	for name, value := range change {
		b = b.Claim(name, value)
	}
	tok, err := b.Build()
	check(t, err)
	signed, err := jwt.Sign(tok, jwt.WithKey(jwa.RS256(), p.key))
	check(t, err)
	return string(signed)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newHost deploys the bundle with the issuer's keys at keys.
func newHost(t *testing.T, keys string) http.Handler {
	t.Helper()
	ctx := t.Context()
	h, err := boot.Open(ctx, boot.Config{Organization: "org", Store: "memory:", Keystore: "memory:", AnyHost: true, LogFormat: "text", LogLevel: "error", Refresh: time.Second})
	check(t, err)
	t.Cleanup(func() { h.Close() })
	check(t, h.Ensure(ctx, "test"))
	dir := filepath.Join(t.TempDir(), "token-exchange")
	check(t, os.CopyFS(filepath.Join(dir, "apiproxy"), os.DirFS("apiproxy")))
	properties := fmt.Sprintf("issuer=%s\njwks_uri=%s\naudience=%s\n", issuer, keys, audience)
	check(t, os.WriteFile(filepath.Join(dir, "apiproxy/resources/properties/exchange.properties"), []byte(properties), 0o644))
	live, err := h.DeployBundle(ctx, "test", dir)
	check(t, err)
	for _, w := range live.Warnings {
		t.Errorf("the bundle has a problem: %s", w)
	}
	check(t, h.Registry.Products.Create(ctx, &apigee.GoogleCloudApigeeV1ApiProduct{Name: "pets", DisplayName: "pets", Scopes: []string{"pets.read", "pets.write"}}, "org", "pets"))
	dev := &apigee.GoogleCloudApigeeV1Developer{Email: "ada@example.com", FirstName: "Ada", LastName: "L", UserName: "ada"}
	check(t, h.Registry.CreateDeveloper(ctx, "org", dev))
	c, err := h.Registry.NewCredential(ctx, "org", entity.KeyPair{Key: "shop-key", Secret: "shop-secret"}, &apigee.GoogleCloudApigeeV1Credential{
		ExpiresAt: entity.Never, ApiProducts: []*apigee.GoogleCloudApigeeV1ApiProductRef{{Apiproduct: "pets", Status: entity.Approved}},
	})
	check(t, err)
	check(t, h.Registry.CreateApp(ctx, "org", &entity.App{
		Profile: &apigee.GoogleCloudApigeeV1App{Name: "shop", DeveloperId: dev.DeveloperId}, Credentials: []*entity.Credential{c},
	}))
	return h.GatewayHandler()
}

func send(h http.Handler, r *http.Request) (status int, header http.Header, body map[string]any) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return w.Code, w.Header(), body
}

func exchange(h http.Handler, secret string, form url.Values) (int, http.Header, map[string]any) {
	r := httptest.NewRequest("POST", audience, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("shop-key", secret)
	return send(h, r)
}

// request is a token request with some parameters other than usual; "" leaves one
// out.
func request(subject string, change ...string) url.Values {
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {subject}, "subject_token_type": {typeJWT}}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
		if change[i+1] == "" {
			form.Del(change[i])
		}
	}
	return form
}

func TestExchange(t *testing.T) {
	p := newIDP(t)
	h := newHost(t, p.URL)
	joe := p.token(t, "joe@partner", time.Hour, nil)

	status, header, body := exchange(h, "shop-secret", request(joe, "scope", "pets.read admin"))
	if status != 200 || body["issued_token_type"] != typeAT || body["token_type"] != "Bearer" || body["scope"] != "pets.read" || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", status, body)
	}
	if life := body["expires_in"].(float64); life < 890 || life > 900 {
		t.Errorf("expires in %v", life)
	}
	whoami := func(token any) map[string]any {
		r := httptest.NewRequest("GET", "https://api.example.com/token-exchange/whoami", nil)
		r.Header.Set("Authorization", fmt.Sprint("Bearer ", token))
		_, _, body := send(h, r)
		return body
	}
	if got := whoami(body["access_token"]); got["subject"] != "joe@partner" || got["issuer"] != issuer || got["app"] != "shop" || got["actor"] != "" || got["scope"] != "pets.read" {
		t.Errorf("%v", got)
	}
	if got := whoami(joe); got["fault"] == nil {
		t.Errorf("the subject token itself is good: %v", got)
	}

	// Delegation, and a life that ends with the subject token's.
	status, _, body = exchange(h, "shop-secret", request(p.token(t, "joe", 2*time.Minute, nil), "actor_token", p.token(t, `desk "7"`, time.Hour, nil), "actor_token_type", typeJWT, "requested_token_type", typeAT))
	if status != 200 || body["scope"] != "pets.read pets.write" || body["expires_in"].(float64) > 120 {
		t.Errorf("%d %v", status, body)
	}
	if got := whoami(body["access_token"]); got["actor"] != `desk "7"` {
		t.Errorf("%v", got)
	}
}

func TestRefused(t *testing.T) {
	p, other := newIDP(t), newIDP(t)
	h := newHost(t, p.URL)
	joe := p.token(t, "joe", time.Hour, nil)
	for _, c := range []struct {
		name, secret string
		form         url.Values
		status       int
		err          string
	}{
		{"another grant", "shop-secret", request(joe, "grant_type", "client_credentials"), 400, "unsupported_grant_type"},
		{"no subject token", "shop-secret", request(joe, "subject_token", ""), 400, "invalid_request"},
		{"no subject token type", "shop-secret", request(joe, "subject_token_type", ""), 400, "invalid_request"},
		{"a SAML assertion", "shop-secret", request(joe, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), 400, "invalid_request"},
		{"a refresh token wanted", "shop-secret", request(joe, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, "invalid_request"},
		{"no actor token type", "shop-secret", request(joe, "actor_token", joe), 400, "invalid_request"},
		{"a resource", "shop-secret", request(joe, "resource", "https://other.example.com"), 400, "invalid_target"},
		{"another issuer's key", "shop-secret", request(other.token(t, "joe", time.Hour, nil)), 400, "invalid_request"},
		{"another issuer", "shop-secret", request(p.token(t, "joe", time.Hour, map[string]any{"iss": "https://evil.example.com"})), 400, "invalid_request"},
		{"for somebody else", "shop-secret", request(p.token(t, "joe", time.Hour, map[string]any{"aud": "https://else.example.com"})), 400, "invalid_request"},
		{"expired", "shop-secret", request(p.token(t, "joe", -time.Hour, nil)), 400, "invalid_request"},
		{"a forged actor", "shop-secret", request(joe, "actor_token", other.token(t, "x", time.Hour, nil), "actor_token_type", typeJWT), 400, "invalid_request"},
		{"foreign scopes only", "shop-secret", request(joe, "scope", "admin"), 400, "invalid_scope"},
		{"the wrong secret", "wrong", request(joe), 401, "invalid_client"},
	} {
		status, header, body := exchange(h, c.secret, c.form)
		if status != c.status || body["error"] != c.err || header.Get("Cache-Control") != "no-store" || status == 401 && header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v, want %d %s", c.name, status, body, c.status, c.err)
		}
	}
}
