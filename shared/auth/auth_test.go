package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/auth"
	"github.com/perigee-gateway/perigee/shared/management"
)

const where = "/v1/organizations/acme/apis"

// TestRoutesAreClosed walks the whole route table with the real authenticator:
// every route refuses who is unknown, whose token is for somebody else or is over,
// who belongs to another organization, and whose role is too low.
func TestRoutesAreClosed(t *testing.T) {
	a := newAPI(t)
	expired := a.google.idToken(a.google.claims("admin@example.com", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}))
	strange := a.google.idToken(a.google.claims("admin@example.com", map[string]any{"aud": "https://elsewhere.example.com"}))
	forged := a.google.idToken(a.google.claims("admin@example.com", nil))
	forged = forged[:strings.LastIndexByte(forged, '.')+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 256))
	stale := a.google.accessToken("expired", "admin@example.com", map[string]any{"exp": "1700000000"})
	narrow := a.google.accessToken("narrow", "admin@example.com", map[string]any{"scope": "openid email"})
	routes := management.Routes()
	if len(routes) < 200 {
		t.Fatalf("there are %d routes only", len(routes))
	}
	for _, r := range routes {
		t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
			b := *a
			b.t = t
			path := filled(r.Pattern, "acme")
			refused := func(status int, body string, want int, code string) {
				t.Helper()
				b.want(status, body, want, `"status": "`+code+`"`)
			}
			status, body := b.call(r.Method, path)
			refused(status, body, 401, "UNAUTHENTICATED")
			for _, token := range []string{"unknown", expired, strange, forged, stale} {
				status, body = b.with(token, r.Method, path)
				refused(status, body, 401, "UNAUTHENTICATED")
			}
			status, body = b.with(narrow, r.Method, path)
			refused(status, body, 403, "PERMISSION_DENIED")
			if r.Filtered {
				return
			}
			for name, role := range members {
				if role < r.Role {
					status, body = b.as(name, r.Method, path)
					refused(status, body, 403, "PERMISSION_DENIED")
				}
			}
			status, body = b.as("stranger@example.com", r.Method, path)
			refused(status, body, 403, "PERMISSION_DENIED")
			status, body = b.as("admin@example.com", r.Method, filled(r.Pattern, "other"))
			refused(status, body, 403, "PERMISSION_DENIED")
			status, body = b.as("nobody@example.com", r.Method, path)
			refused(status, body, 403, "PERMISSION_DENIED")
		})
	}
}

var parameter = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

// filled is the path of a pattern with values in it.
func filled(pattern, org string) string {
	return "/v1/" + parameter.ReplaceAllStringFunc(pattern, func(p string) string {
		switch p {
		case "{org}":
			return org
		case "{env}":
			return "test"
		}
		return "x"
	})
}

func TestRoles(t *testing.T) {
	a := newAPI(t)
	for email, want := range map[string][2]int{
		"viewer@example.com": {200, 403}, "developer@example.com": {200, 200}, "Admin@Example.com": {200, 200},
		"root@example.com": {200, 200}, "nobody@example.com": {403, 403}, "stranger@example.com": {403, 403},
	} {
		status, body := a.as(email, "GET", where)
		a.want(status, body, want[0])
		token := a.google.accessToken(email, email, nil)
		status, body = a.with(token, "GET", where)
		a.want(status, body, want[0])
		status, body = a.with(token, "GET", "/v1/organizations/acme/apps")
		a.want(status, body, want[1])
	}
	status, body := a.as("admin@example.com", "GET", "/v1/organizations")
	a.want(status, body, 200, `"acme"`)
	if strings.Contains(body, "other") {
		t.Errorf("an organization of others is listed: %s", body)
	}
	status, body = a.as("root@example.com", "GET", "/v1/organizations")
	a.want(status, body, 200, `"acme"`, `"other"`)
}

// A role that is taken away, or given, counts with the next call of a known
// token.
func TestRolesChangeAtOnce(t *testing.T) {
	a := newAPI(t)
	token := a.google.accessToken("t", "ann@example.com", nil)
	status, body := a.with(token, "GET", where)
	a.want(status, body, 403)
	a.grant("*", "Ann@example.com", "viewer")
	status, body = a.with(token, "GET", "/v1/organizations/other/apis")
	a.want(status, body, 200)
	if _, err := a.reg.Members.Delete(t.Context(), "*", "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	status, body = a.with(token, "GET", where)
	a.want(status, body, 403)
	if n := a.google.asked["/tokeninfo"].Load(); n != 1 {
		t.Errorf("Google was asked %d times about one token", n)
	}
}

func TestBearer(t *testing.T) {
	a := newAPI(t)
	good := a.google.idToken(a.google.claims("viewer@example.com", nil))
	for _, headers := range [][]string{
		{"Authorization", "Bearer " + good}, {"Authorization", "bearer   " + good + " "},
	} {
		status, body := a.call("GET", where, headers...)
		a.want(status, body, 200)
	}
	for _, headers := range [][]string{
		{"Authorization", good}, {"Authorization", "Basic " + good}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "},
		{"Authorization", ""}, {"Authorization", "Bearer " + good + ",x"}, {"Authorization", "Bearer a b"},
		{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good},
		{"Authorization", "Bearer " + strings.Repeat("a", 20<<10)},
		{"Authorization", "Bearer " + good[:strings.LastIndexByte(good, '.')] + ".SIGNATURE_REMOVED_BY_GOOGLE"},
		{"Cookie", "token=" + good},
	} {
		status, body := a.call("GET", where, headers...)
		a.want(status, body, 401)
	}
	status, body := a.call("GET", where+"?access_token="+good)
	a.want(status, body, 401)
}

func TestIDTokensRefused(t *testing.T) {
	a := newAPI(t)
	for name, change := range map[string]map[string]any{
		"another audience":        {"aud": "https://evil.example.com"},
		"no audience":             {"aud": ""},
		"another issuer":          {"iss": "https://accounts.example.com"},
		"an issuer's look":        {"iss": "https://accounts.google.com.evil.example"},
		"expired":                 {"exp": time.Now().Add(-time.Second).Unix()},
		"no expiry":               {"exp": 0},
		"of the future":           {"iat": time.Now().Add(time.Hour).Unix()},
		"no address":              {"email": ""},
		"an unverified address":   {"email_verified": false},
		"an address not verified": {"email_verified": "true"}, // a string is not what Google says
	} {
		status, body := a.with(a.google.idToken(a.google.claims("admin@example.com", change)), "GET", where)
		if status != 401 {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	claims := a.google.claims("admin@example.com", nil)
	for name, token := range map[string]string{
		"alg none":     a.google.signed(`{"alg":"none"}`, claims),
		"alg HS256":    a.google.signed(`{"alg":"HS256","kid":"k1"}`, claims),
		"alg ES256":    a.google.signed(`{"alg":"ES256","kid":"k1"}`, claims),
		"unknown key":  a.google.signed(`{"alg":"RS256","kid":"k2"}`, claims),
		"no signature": strings.TrimRight(a.google.idToken(claims), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
		"two parts":    "eyJhbGciOiJSUzI1NiJ9.e30",
		"five parts":   "eyJhbGciOiJSUzI1NiJ9.e30.e30.e30.e30",
		"not JSON":     base64.RawURLEncoding.EncodeToString([]byte("{x")) + ".e30.e30",
		"no claims":    "eyJhbGciOiJSUzI1NiJ9.bnVsbA.e30",
	} {
		status, body := a.with(token, "GET", where)
		if status != 401 {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
		if strings.Contains(body, "idtoken") || strings.Contains(body, "alg") {
			t.Errorf("%s: the answer tells why: %s", name, body)
		}
	}
}

func TestNoAudienceConfigured(t *testing.T) {
	a := newAPI(t, func(o *auth.Options) { o.Audiences = nil })
	for _, aud := range []string{audience, ""} {
		status, body := a.with(a.google.idToken(a.google.claims("root@example.com", map[string]any{"aud": aud})), "GET", where)
		a.want(status, body, 401)
	}
	status, body := a.with(a.google.accessToken("t", "root@example.com", nil), "GET", where)
	a.want(status, body, 200)
}

func TestAccessTokensRefused(t *testing.T) {
	a := newAPI(t, func(o *auth.Options) { o.Clients = []string{"32555940559.apps.googleusercontent.com"} })
	status, body := a.with(a.google.accessToken("good", "admin@example.com", nil), "GET", where)
	a.want(status, body, 200)
	for name, change := range map[string]map[string]any{
		"another client":     {"aud": "evil.apps.googleusercontent.com"},
		"no client":          {"aud": nil},
		"expired":            {"exp": "1700000000"},
		"no expiry":          {"exp": nil},
		"odd expiry":         {"exp": "soon"},
		"unverified address": {"email_verified": "false"},
		"no verification":    {"email_verified": nil},
		"no address":         {"email": nil},
	} {
		status, body := a.with(a.google.accessToken(name, "admin@example.com", change), "GET", where)
		if status != 401 {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	for name, scope := range map[string]any{"no scope": nil, "others": "openid email https://www.googleapis.com/auth/drive", "look": "https://www.googleapis.com/auth/cloud-platform.read-only"} {
		status, body := a.with(a.google.accessToken(name, "admin@example.com", map[string]any{"scope": scope}), "GET", where)
		a.want(status, body, 403, "insufficient authentication scopes")
	}
}

// Tokens of service accounts may tell their unique id only.
func TestServiceAccounts(t *testing.T) {
	a := newAPI(t)
	id := "109876543210987654321"
	a.grant("acme", id, "viewer")
	status, body := a.with(a.google.accessToken("sa", "", map[string]any{"aud": id, "azp": id, "email": nil, "email_verified": nil}), "GET", where)
	a.want(status, body, 200)
	status, body = a.with(a.google.accessToken("odd", "", map[string]any{"aud": id, "azp": id + "1", "email": nil, "email_verified": nil}), "GET", where)
	a.want(status, body, 401)
	a.grant("acme", "serviceAccount:ci@p.iam.gserviceaccount.com", "developer")
	status, body = a.as("ci@p.iam.gserviceaccount.com", "GET", "/v1/organizations/acme/apps")
	a.want(status, body, 200)
}

// clock is a clock to be set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); c.t = c.t.Add(d); c.mu.Unlock() }

// A token is verified once, and no longer known when it expires.
func TestTokensExpire(t *testing.T) {
	c := &clock{t: time.Now()}
	a := newAPI(t, func(o *auth.Options) { o.Now = c.now })
	id := a.google.idToken(a.google.claims("admin@example.com", nil))
	access := a.google.accessToken("t", "admin@example.com", nil)
	for range 5 {
		for _, token := range []string{id, access} {
			status, body := a.with(token, "GET", where)
			a.want(status, body, 200)
		}
	}
	if certs, infos := a.google.asked["/oauth2/v3/certs"].Load(), a.google.asked["/tokeninfo"].Load(); certs != 1 || infos != 1 {
		t.Errorf("Google was asked %d times for keys and %d times about a token", certs, infos)
	}
	c.add(time.Hour - time.Second)
	for _, token := range []string{id, access} {
		status, body := a.with(token, "GET", where)
		a.want(status, body, 200)
	}
	c.add(time.Second)
	for _, token := range []string{id, access} {
		status, body := a.with(token, "GET", where)
		a.want(status, body, 401)
	}
}

// Google is asked once about a token that many calls bring at once.
func TestSingleFlight(t *testing.T) {
	a := newAPI(t)
	token := a.google.accessToken("t", "admin@example.com", nil)
	a.google.wait = make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, body := a.with(token, "GET", where); status != 200 {
				t.Errorf("status %d: %s", status, body)
			}
		})
	}
	for a.google.asked["/tokeninfo"].Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(a.google.wait)
	all.Wait()
	if n := a.google.asked["/tokeninfo"].Load(); n != 1 {
		t.Errorf("Google was asked %d times", n)
	}
}

// A call that ends does not end the verification others wait for.
func TestCallerGone(t *testing.T) {
	a := newAPI(t)
	token := a.google.accessToken("t", "admin@example.com", nil)
	a.google.wait = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := a.auth.Authenticate(r)
		done <- err
	}()
	for a.google.asked["/tokeninfo"].Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	close(a.google.wait)
	status, body := a.with(token, "GET", where)
	a.want(status, body, 200)
	if n := a.google.asked["/tokeninfo"].Load(); n > 2 {
		t.Errorf("Google was asked %d times", n)
	}
}

// Without Google nobody new gets in, with 503; known tokens go on, and so do
// ID tokens while the keys are known.
func TestGoogleDown(t *testing.T) {
	c := &clock{t: time.Now()}
	a := newAPI(t, func(o *auth.Options) { o.Now = c.now })
	a.google.maxAge = 0 // the keys are asked for with every token
	a.google.setDown(true)
	early := a.google.idToken(a.google.claims("admin@example.com", map[string]any{"nonce": "1"}))
	access := a.google.accessToken("t", "admin@example.com", nil)
	for _, token := range []string{early, access} {
		status, body := a.with(token, "GET", where)
		a.want(status, body, 503, `"status": "UNAVAILABLE"`)
		if strings.Contains(body, "dial") {
			t.Errorf("the answer tells too much: %s", body)
		}
	}
	a.google.setDown(false)
	for _, token := range []string{early, access} { // a failure is not remembered
		status, body := a.with(token, "GET", where)
		a.want(status, body, 200)
	}
	a.google.setDown(true)
	for _, token := range []string{early, access, a.google.idToken(a.google.claims("admin@example.com", map[string]any{"nonce": "2"}))} {
		status, body := a.with(token, "GET", where)
		a.want(status, body, 200)
	}
	c.add(25 * time.Hour)
	fresh := a.google.idToken(map[string]any{
		"iss": "accounts.google.com", "aud": audience, "email": "admin@example.com", "email_verified": true,
		"iat": c.now().Unix(), "exp": c.now().Add(time.Hour).Unix(),
	})
	// The library keeps the old keys for a minute of the machine's own clock, so
	// another authenticator's is asked.
	b := newAPI(t, func(o *auth.Options) { o.Now = c.now; o.Transport = a.google })
	status, body := b.with(fresh, "GET", where)
	b.want(status, body, 503)
}

type brokenRoles struct{}

func (brokenRoles) roles(context.Context, string) (map[string]string, error) {
	return nil, errors.New("store is down")
}

func TestStoreDown(t *testing.T) {
	a := newAPI(t, func(o *auth.Options) { o.Roles = brokenRoles{}.roles })
	status, body := a.as("admin@example.com", "GET", where)
	a.want(status, body, 503)
	status, body = a.as("root@example.com", "GET", where)
	a.want(status, body, 200) // needs no grant
}

func TestUnknownRoleIsNone(t *testing.T) {
	a := newAPI(t, func(o *auth.Options) {
		o.Roles = func(context.Context, string) (map[string]string, error) {
			return map[string]string{"acme": "owner", "*": ""}, nil
		}
	})
	status, body := a.as("admin@example.com", "GET", where)
	a.want(status, body, 403)
}

func TestAdmins(t *testing.T) {
	if _, err := auth.New(auth.Options{Admins: []string{"nobody"}}); err == nil || !strings.Contains(err.Error(), `admin "nobody"`) {
		t.Errorf("error is %v", err)
	}
}

func TestAudit(t *testing.T) {
	a := newAPI(t)
	r := httptest.NewRequest(http.MethodPut, "https://management.example.com/v1/organizations/acme/members/new@example.com", strings.NewReader(`{"role":"viewer"}`))
	r.Header.Set("Authorization", "Bearer "+a.google.accessToken("t", "admin@example.com", nil))
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	a.want(w.Code, w.Body.String(), 200, `"grantedBy": "admin@example.com"`)
	status, body := a.as("new@example.com", "GET", where)
	a.want(status, body, 200)
	status, body = a.as("admin@example.com", "GET", "/v1/organizations/acme/auditlog")
	a.want(status, body, 200, `"actor": "admin@example.com"`, `"permission": "apigee.members.update"`, "members/new@example.com")
}

func FuzzToken(f *testing.F) {
	g := newGoogle(f)
	a, err := auth.New(auth.Options{Audiences: []string{audience}, Transport: g, Roles: func(context.Context, string) (map[string]string, error) {
		return nil, nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	good := g.idToken(g.claims("admin@example.com", nil))
	f.Add("Bearer " + good)
	f.Add("Bearer ya29.c.x")
	f.Add("Bearer eyJhbGciOiJFUzI1NiJ9.e30.")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		p, err := a.Authenticate(r)
		if err == nil && strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(header), header[:min(len(header), 6)])) != good {
			t.Errorf("%q is %s", header, p.Name)
		}
	})
}
