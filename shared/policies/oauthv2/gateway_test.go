package oauthv2_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// host is a gateway in memory with an organization, a developer, and the bundles
// of a txtar file.
type host struct {
	*boot.Host
	t *testing.T
}

func newHost(t *testing.T, bundles string) *host {
	t.Helper()
	return newHostOn(t, "memory:", time.Nanosecond, bundles)
}

// newHostOn is newHost over another store, which is asked for changes that often.
func newHostOn(t *testing.T, store string, refresh time.Duration, bundles string) *host {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "org", Store: store, Keystore: "memory:", AnyHost: true, LogFormat: "text", LogLevel: "error", Refresh: refresh,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	x := &host{h, t}
	x.ok(h.Ensure(t.Context(), "test"))
	x.deploy(bundles)
	return x
}

func (h *host) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// deploy deploys every folder of the file.
func (h *host) deploy(name string) {
	h.t.Helper()
	ar, err := txtar.ParseFile(name)
	h.ok(err)
	dir, names := h.t.TempDir(), map[string]bool{}
	for _, f := range ar.Files {
		p := filepath.Join(dir, f.Name)
		h.ok(os.MkdirAll(filepath.Dir(p), 0o755))
		h.ok(os.WriteFile(p, f.Data, 0o644))
		names[strings.SplitN(f.Name, "/", 2)[0]] = true
	}
	for name := range names {
		_, err := h.DeployBundle(h.t.Context(), "test", filepath.Join(dir, name))
		h.ok(err)
	}
}

// app makes a product and an app for it; the key is NAME-key, its secret
// NAME-secret.
func (h *host) app(name string, p *apigee.GoogleCloudApigeeV1ApiProduct) {
	h.t.Helper()
	ctx := h.t.Context()
	p.Name, p.DisplayName = name+"-product", name
	h.ok(h.Registry.Products.Create(ctx, p, "org", p.Name))
	dev, err := h.Registry.Developer(ctx, "org", "ada@example.com")
	if entity.IsNotFound(err) {
		dev = &apigee.GoogleCloudApigeeV1Developer{Email: "ada@example.com", FirstName: "Ada", LastName: "L", UserName: "ada"}
		err = h.Registry.CreateDeveloper(ctx, "org", dev)
	}
	h.ok(err)
	c, err := h.Registry.NewCredential(ctx, "org", entity.KeyPair{Key: name + "-key", Secret: name + "-secret"}, &apigee.GoogleCloudApigeeV1Credential{
		ExpiresAt: entity.Never, ApiProducts: []*apigee.GoogleCloudApigeeV1ApiProductRef{{Apiproduct: p.Name, Status: entity.Approved}},
	})
	h.ok(err)
	h.ok(h.Registry.CreateApp(ctx, "org", &entity.App{
		Profile:     &apigee.GoogleCloudApigeeV1App{Name: name, DeveloperId: dev.DeveloperId, CallbackUrl: "https://app.example.com/cb"},
		Credentials: []*entity.Credential{c},
	}))
}

// operations is a product's operation group: pairs of a resource and methods.
func operations(proxy string, ops ...string) *apigee.GoogleCloudApigeeV1ApiProduct {
	c := &apigee.GoogleCloudApigeeV1OperationConfig{ApiSource: proxy}
	for i := 0; i < len(ops); i += 2 {
		c.Operations = append(c.Operations, &apigee.GoogleCloudApigeeV1Operation{Resource: ops[i], Methods: strings.Fields(ops[i+1])})
	}
	return &apigee.GoogleCloudApigeeV1ApiProduct{
		Environments:   []string{"test"},
		OperationGroup: &apigee.GoogleCloudApigeeV1OperationGroup{OperationConfigType: "proxy", OperationConfigs: []*apigee.GoogleCloudApigeeV1OperationConfig{c}},
	}
}

type answer struct {
	*http.Response
	body string
}

// path is a member of the JSON body, "" if there is none.
func (a answer) path(names ...string) string {
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return "(no JSON) " + a.body
	}
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	s, _ := v.(string)
	return s
}

func (h *host) send(method, path, body string, header ...string) answer {
	h.t.Helper()
	r := httptest.NewRequest(method, "http://api.example.com"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.GatewayHandler().ServeHTTP(w, r)
	resp := w.Result()
	b, err := io.ReadAll(resp.Body)
	h.ok(err)
	return answer{resp, string(b)}
}

// token gets a token of an app by client_credentials.
func (h *host) token(path, app, scope string) string {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(app+"-key", app+"-secret")
	a := h.send("POST", path, form.Encode(), "Authorization", r.Header.Get("Authorization"))
	if a.StatusCode != 200 || a.path("token_type") != "Bearer" || a.path("access_token") == "" {
		h.t.Fatalf("token of %s: %d %s", app, a.StatusCode, a.body)
	}
	return a.path("access_token")
}

func (h *host) want(a answer, status int, code string) {
	h.t.Helper()
	if a.StatusCode != status || code != "" && a.path("fault", "detail", "errorcode") != code {
		h.t.Errorf("%d %s, want %d %s", a.StatusCode, a.body, status, code)
	}
}

// The behaviour of the public samples oauth-client-credentials and
// oauth-client-credentials-with-scope: a token of three minutes, one operation
// for everything, scopes of the product.
func TestClientCredentialsWithScope(t *testing.T) {
	h := newHost(t, "testdata/gateway/scopes.txtar")
	p := operations("scopes", "/", "GET POST")
	p.Scopes = []string{"read"}
	h.app("reader", p)
	p = operations("scopes", "/", "GET POST")
	p.Scopes = []string{"read", "write"}
	h.app("writer", p)

	read := h.token("/scopes/token", "reader", "read")
	h.want(h.send("GET", "/scopes/resource", "", "Authorization", "Bearer "+read), 200, "")
	a := h.send("POST", "/scopes/resource", "", "Authorization", "Bearer "+read)
	h.want(a, 403, "steps.oauth.v2.InsufficientScope")
	if got := a.path("fault", "faultstring"); got != "Required scope(s): [write]" {
		t.Errorf("faultstring %q", got)
	}
	write := h.token("/scopes/token", "writer", "write")
	h.want(h.send("GET", "/scopes/resource", "", "Authorization", "Bearer "+write), 200, "")
	h.want(h.send("POST", "/scopes/resource", "", "Authorization", "Bearer "+write), 200, "")
	a = h.send("GET", "/scopes/resource", "", "Authorization", "Bearer foobar")
	h.want(a, 401, "keymanagement.service.invalid_access_token")
	if got, want := a.Header.Get("WWW-Authenticate"), `Bearer realm="null",error="invalid_token",error_description="keymanagement.service.invalid_access_token: Invalid Access Token"`; got != want {
		t.Errorf("WWW-Authenticate %s, want %s", got, want)
	}
}

// The behaviour of the public sample apiproduct-operations, OAuth part: what a
// token may do is told by the operations of its product.
func TestOperations(t *testing.T) {
	h := newHost(t, "testdata/gateway/operations.txtar")
	h.app("viewer", operations("operations", "/*/users", "GET", "/*/users/*", "GET"))
	h.app("creator", operations("operations", "/*/users", "POST", "/*/users/*", "PUT"))
	h.app("admin", operations("operations", "/*/users", "GET POST", "/*/users/*", "GET PUT DELETE"))
	h.want(h.send("GET", "/operations/token/users", ""), 401, "oauth.v2.InvalidAccessToken")

	viewer, creator, admin := h.token("/tokens/token", "viewer", ""), h.token("/tokens/token", "creator", ""), h.token("/tokens/token", "admin", "")
	const none = "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"
	for _, c := range []struct{ token, method, path, code, operation string }{
		{viewer, "GET", "users", "", "/*/users"},
		{creator, "GET", "users", none, ""},
		{viewer, "GET", "users/1234", "", "/*/users/*"},
		{creator, "GET", "users/1234", none, ""},
		{viewer, "POST", "users", none, ""},
		{creator, "POST", "users", "", "/*/users"},
		{viewer, "DELETE", "users/1234", none, ""},
		{creator, "DELETE", "users/1234", none, ""},
		{admin, "DELETE", "users/1234", "", "/*/users/*"},
	} {
		a := h.send(c.method, "/operations/token/"+c.path, "", "Token", c.token)
		if c.code != "" {
			h.want(a, 401, c.code)
			continue
		}
		h.want(a, 200, "")
		if got := a.path("operation"); got != c.operation || a.path("verb") != c.method {
			t.Errorf("%s %s: %s", c.method, c.path, a.body)
		}
	}
	a := h.send("GET", "/operations/token/users", "", "Token", viewer)
	if a.path("app") != "viewer" || a.path("product") != "viewer-product" || !strings.Contains(a.body, `"expires_in" : 17`) {
		t.Errorf("variables: %s", a.body)
	}

	// Revoking the app is seen by the next request.
	apps := registryApp(h, "viewer")
	_, err := h.Registry.Apps.Update(t.Context(), func(a *entity.App) error { a.Profile.Status = entity.Revoked; return nil }, "org", apps)
	h.ok(err)
	h.want(h.send("GET", "/operations/token/users", "", "Token", viewer), 401, "keymanagement.service.invalid_client-app_not_approved")
}

func registryApp(h *host, name string) string {
	h.t.Helper()
	dev, err := h.Registry.DeveloperID(h.t.Context(), "org", "ada@example.com")
	h.ok(err)
	a, err := h.Registry.App(h.t.Context(), "org", registry.Owner{Developer: dev}, name)
	h.ok(err)
	return a.Profile.AppId
}
