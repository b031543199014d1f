package boot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/tools/txtar"
	"google.golang.org/api/iterator"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// scenario is a host with everything that has secrets, and what nobody may find of
// it afterwards.
type scenario struct {
	*boot.Host
	t *testing.T
	// secrets are texts that must be neither stored readable nor logged; shown is
	// what the store shows of the same things.
	secrets, shown []string
	// errors are the bodies of refusals.
	errors bytes.Buffer
}

// Recognisable secrets go through the whole stack: keys and secrets of apps, access
// and refresh tokens, codes, JWTs, end users, attributes, entries of a key value
// map, the private key of a keystore. Afterwards none is in what the store holds,
// in the log, or in what refused callers were told.
func TestSecretsStaySecret(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		dir := t.TempDir()
		play(t, "embedded:"+dir, func() map[string][]byte { return files(t, dir) })
	})
	t.Run("firestore", func(t *testing.T) {
		enginestest.RequireEmulator(t)
		project := enginestest.Project()
		play(t, "firestore:"+project, func() map[string][]byte { return documents(t, project) })
	})
}

// play runs the scenario and looks for its secrets in what the store holds.
func play(t *testing.T, where string, stored func() map[string][]byte) {
	log := filepath.Join(t.TempDir(), "log")
	stderr := os.Stderr
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = f
	defer func() { os.Stderr = stderr }()
	s := newScenario(t, where)
	s.apps()
	s.tokens()
	s.refusals()
	s.ok(s.Close())
	s.ok(f.Close())
	os.Stderr = stderr

	found := map[string]bool{}
	for name, data := range stored() {
		for _, secret := range s.secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("the store has %q in %s", secret, name)
			}
		}
		for _, text := range s.shown {
			found[text] = found[text] || bytes.Contains(data, []byte(text))
		}
	}
	for _, text := range s.shown {
		if !found[text] {
			t.Errorf("the store does not show %q: the test looks at the wrong place", text)
		}
	}
	lines, err := os.ReadFile(log)
	s.ok(err)
	if len(lines) == 0 {
		t.Error("nothing was logged: the test looks at the wrong place")
	}
	if s.errors.Len() == 0 {
		t.Error("nobody was refused")
	}
	for _, secret := range s.secrets {
		if bytes.Contains(lines, []byte(secret)) {
			t.Errorf("the log has %q", secret)
		}
		if bytes.Contains(s.errors.Bytes(), []byte(secret)) {
			t.Errorf("a refusal shows %q", secret)
		}
	}
}

func newScenario(t *testing.T, where string) *scenario {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "org", Store: where, Keystore: "memory:", AnyHost: true, LogFormat: "text", LogLevel: "debug", Refresh: time.Second, InsecureManagement: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{Host: h, t: t}
	h.Log.Info("the scenario begins")
	s.ok(h.Ensure(t.Context(), "test"))
	ar, err := txtar.ParseFile("testdata/secrets.txtar")
	s.ok(err)
	dir := t.TempDir()
	for _, f := range ar.Files {
		p := filepath.Join(dir, f.Name)
		s.ok(os.MkdirAll(filepath.Dir(p), 0o755))
		s.ok(os.WriteFile(p, f.Data, 0o644))
	}
	_, err = h.DeployBundle(t.Context(), "test", dir)
	s.ok(err)
	return s
}

func (s *scenario) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// secret notes a secret, and that nothing of it may be found.
func (s *scenario) secret(text string) string {
	s.t.Helper()
	if text == "" {
		s.t.Fatal("an empty secret")
	}
	s.secrets = append(s.secrets, text)
	return text
}

// api calls the Management API, which must answer with a status of 200 or 201.
func (s *scenario) api(method, path, contentType, body string) {
	s.t.Helper()
	h, err := s.ManagementHandler()
	s.ok(err)
	r := httptest.NewRequest(method, "http://127.0.0.1/v1/organizations/org/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

const (
	consumerKey    = "visible-consumer-key-4711"
	consumerSecret = "visible-consumer-secret-4711"
	signing        = "visible-signing-secret-0123456789abcdef"
	endUser        = "visible-end-user-4711"
	note           = "visible-attribute-4711"
)

// apps makes products, apps, maps and keystores.
func (s *scenario) apps() {
	s.t.Helper()
	const ct = "application/json"
	s.api("POST", "apiproducts", ct, `{"name":"readable-product","displayName":"p","environments":["test"],"scopes":["read"]}`)
	s.api("POST", "developers", ct, `{"email":"ada@example.com","firstName":"Ada","lastName":"L","userName":"ada"}`)
	s.api("POST", "developers/ada@example.com/apps", ct, `{"name":"readable-app","callbackUrl":"https://app.example.com/cb"}`)
	app := "developers/ada@example.com/apps/readable-app/keys/"
	s.api("POST", app+"create", ct, fmt.Sprintf(`{"consumerKey":%q,"consumerSecret":%q}`, s.secret(consumerKey), s.secret(consumerSecret)))
	s.api("POST", app+consumerKey, ct, `{"apiProducts":["readable-product"]}`)
	s.api("POST", "environments/test/keyvaluemaps", ct, `{"name":"signing","encrypted":true}`)
	s.api("POST", "environments/test/keyvaluemaps/signing/entries", ct, fmt.Sprintf(`{"name":"key","value":%q}`, s.secret(signing)))
	s.api("POST", "environments/test/keystores", ct, `{"name":"readable-keystore"}`)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for field, name := range map[string]string{"certFile": "rsa.pem", "keyFile": "rsa.key"} {
		data, err := os.ReadFile("../keystore/testdata/" + name)
		s.ok(err)
		part, err := w.CreateFormFile(field, name)
		s.ok(err)
		_, err = part.Write(data)
		s.ok(err)
		if field == "keyFile" { // a line of it
			s.secret(strings.Split(string(data), "\n")[3])
		}
	}
	s.ok(w.Close())
	s.api("POST", "environments/test/keystores/readable-keystore/aliases?alias=a&format=keycertfile", w.FormDataContentType(), form.String())
	s.shown = []string{"readable-product", "readable-app", "readable-keystore"}
}

// call calls the proxy. Bodies of refusals are kept.
func (s *scenario) call(method, path string, form url.Values, header ...string) (int, http.Header, map[string]any) {
	s.t.Helper()
	r := httptest.NewRequest(method, "http://api.example.com/secrets/"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.GatewayHandler().ServeHTTP(w, r)
	var body map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	if w.Code >= 400 {
		s.errors.Write(w.Body.Bytes())
		for name, values := range w.Header() {
			fmt.Fprintln(&s.errors, name, values)
		}
	}
	return w.Code, w.Header(), body
}

// token gets a token by a grant and notes it as a secret.
func (s *scenario) token(path string, form url.Values) (access, refresh string) {
	s.t.Helper()
	form.Set("client_id", consumerKey)
	form.Set("client_secret", consumerSecret)
	status, _, body := s.call("POST", path, form)
	if status != 200 {
		s.t.Fatalf("%s %v: %d %v", path, form["grant_type"], status, body)
	}
	access = s.secret(body["access_token"].(string))
	if refresh, _ = body["refresh_token"].(string); refresh != "" {
		s.secret(refresh)
	}
	return access, refresh
}

func (s *scenario) accepted(method, path string, form url.Values, header ...string) {
	s.t.Helper()
	if status, _, body := s.call(method, path, form, header...); status >= 400 {
		s.t.Fatalf("%s: %d %v", path, status, body)
	}
}

// tokens issues, uses, exchanges and revokes tokens of every kind.
func (s *scenario) tokens() {
	s.t.Helper()
	s.secret(endUser)
	s.secret(note)
	password := url.Values{"grant_type": {"password"}, "username": {endUser}, "password": {s.secret("visible-password-4711")}, "note": {note}}
	_, refresh := s.token("token", password)
	access, _ := s.token("token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	s.accepted("GET", "verify", nil, "Authorization", "Bearer "+access)
	s.accepted("POST", "revoke", url.Values{"token": {access}})
	kept, _ := s.token("token", password)
	s.accepted("POST", "revoke-user", url.Values{"user": {endUser}})
	if status, _, _ := s.call("GET", "verify", nil, "Authorization", "Bearer "+kept); status != 401 {
		s.t.Errorf("a token of a revoked user: %d", status)
	}
	status, header, _ := s.call("GET", "authorize?response_type=code&client_id="+consumerKey+"&state="+s.secret("visible-state-4711"), nil)
	to, err := url.Parse(header.Get("Location"))
	s.ok(err)
	if status != 302 {
		s.t.Fatalf("authorize: %d", status)
	}
	s.token("token", url.Values{"grant_type": {"authorization_code"}, "code": {s.secret(to.Query().Get("code"))}})
	unused, _, _ := s.call("GET", "authorize?response_type=code&client_id="+consumerKey, nil)
	if unused != 302 {
		s.t.Fatalf("authorize: %d", unused)
	}
	jwt, _ := s.token("jwt", url.Values{"grant_type": {"client_credentials"}})
	s.secret(strings.Split(jwt, ".")[1])
	s.accepted("GET", "verify-jwt", nil, "Authorization", "Bearer "+jwt)
	s.accepted("GET", "key", nil, "X-APIKey", consumerKey)
}

// refusals are calls with secrets that go wrong.
func (s *scenario) refusals() {
	s.t.Helper()
	forged := s.secret("visible-forged-token-4711")
	s.call("GET", "verify", nil, "Authorization", "Bearer "+forged)
	s.call("GET", "verify-jwt", nil, "Authorization", "Bearer "+forged)
	s.call("GET", "verify-jwt", nil, "Authorization", "Bearer "+s.secret("eyJhbGciOiJIUzI1NiJ9.dmlzaWJsZS1jbGFpbXM.AAAA"))
	s.call("GET", "key", nil, "X-APIKey", s.secret("visible-forged-key-4711"))
	s.call("GET", "hmac", nil, "X-Mac", s.secret("00112233445566778899aabbccddeeff"))
	s.call("POST", "token", url.Values{"grant_type": {"client_credentials"}, "client_id": {consumerKey}, "client_secret": {s.secret("visible-wrong-secret-4711")}})
	s.call("POST", "token", url.Values{"grant_type": {"refresh_token"}, "client_id": {consumerKey}, "client_secret": {consumerSecret}, "refresh_token": {forged}})
	s.call("POST", "token", url.Values{"grant_type": {"authorization_code"}, "client_id": {consumerKey}, "client_secret": {consumerSecret}, "code": {forged}})
	s.call("POST", "revoke", url.Values{"token": {forged}})
}

// files are the files of an embedded store.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// documents are the documents of a Firestore project, all fields and names.
func documents(t *testing.T, project string) map[string][]byte {
	t.Helper()
	c, err := firestore.NewClient(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	found := map[string][]byte{}
	for _, collection := range store.Collections {
		docs := c.Collection(collection.Name).Documents(t.Context())
		for {
			d, err := docs.Next()
			if err == iterator.Done {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			dump(&b, d.Data())
			found[d.Ref.Path] = append(b.Bytes(), d.Ref.Path...)
		}
	}
	return found
}

// dump writes every value, bytes as they are.
func dump(w io.Writer, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			fmt.Fprint(w, name, "=")
			dump(w, value)
		}
	case []any:
		for _, value := range v {
			dump(w, value)
		}
	case []byte:
		fmt.Fprintf(w, "%s\n", v)
	default:
		fmt.Fprintf(w, "%v\n", v)
	}
}
