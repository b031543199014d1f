package management

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/keystore"
	keymemory "github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/vault"
)

// api is a Management API over an empty store with the organization acme and the
// environments test and prod in the group default.
type api struct {
	t       *testing.T
	handler http.Handler
	reg     *registry.Registry
	log     bytes.Buffer
	changed int
	now     time.Time
}

func newAPI(t *testing.T, change ...func(*Options)) *api {
	t.Helper()
	driver, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	a := &api{t: t, now: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return a.now }
	keys := keymemory.New()
	a.reg = registry.New(store.New(driver, store.WithClock(clock)), vault.New(keys), registry.WithClock(clock))
	opts := Options{
		Registry: a.reg, Deployments: deployment.New(a.reg), Keystore: keystore.New(keys, keystore.WithClock(clock)),
		Log: logInto(a), Now: clock, Changed: func() { a.changed++ },
		Validate: func(_ context.Context, _, env string, b *bundle.Bundle) bundle.Problems {
			var ps bundle.Problems
			for _, p := range b.Policies {
				switch {
				case p.Kind == "Unknown":
					ps.Errorf(p.Pos(), "<Unknown> is not a policy that this gateway supports")
				case p.Kind == "OnlyTest" && env == "prod":
					ps.Errorf(p.Pos(), "not in prod")
				case p.Kind == "Odd":
					ps.Warnf(p.Pos(), "odd")
				}
			}
			return ps
		},
	}
	for _, f := range change {
		f(&opts)
	}
	a.handler = New(opts)
	ctx := context.Background()
	for _, err := range []error{
		a.reg.EnsureOrganization(ctx, "acme"), a.reg.EnsureEnvironment(ctx, "acme", "test"), a.reg.EnsureEnvironment(ctx, "acme", "prod"),
		a.reg.EnsureGroup(ctx, "acme", "default", []string{"api.example.com"}, "test"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// logInto is a log into the buffer of a.
func logInto(a *api) *slog.Logger { return slog.New(slog.NewTextHandler(&a.log, nil)) }

// reply is an answer.
type reply struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
}

// do makes a request. body may be nil, a string of JSON or a *form. path begins
// behind the organization unless it begins with a slash.
func (a *api) do(method, path string, body any, header ...string) *reply {
	a.t.Helper()
	var r io.Reader
	contentType := ""
	switch b := body.(type) {
	case string:
		r, contentType = strings.NewReader(b), "application/json"
	case []byte:
		r, contentType = bytes.NewReader(b), "application/octet-stream"
	case *form:
		r, contentType = &b.buf, b.w.FormDataContentType()
		_ = b.w.Close()
	}
	url := path
	if !strings.HasPrefix(path, "/") {
		url = "/v1/organizations/acme"
		if path != "" && path[0] != ':' && path[0] != '?' {
			url += "/"
		}
		url += path
	}
	req := httptest.NewRequest(method, "https://apigee.googleapis.com"+url, r)
	req.Header.Set("Authorization", "Bearer TOKEN")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, req)
	return &reply{t: a.t, what: method + " " + url, status: w.Code, header: w.Header(), body: w.Body.String()}
}

// want fails unless the status is the given one and the body, without white
// space, contains the texts.
func (r *reply) want(status int, texts ...string) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.status, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(squeeze(r.body), squeeze(text)) && !strings.Contains(r.body, text) {
			r.t.Fatalf("%s: answer lacks %s:\n%s", r.what, text, r.body)
		}
	}
	return r
}

// is fails unless the body is this JSON.
func (r *reply) is(body string) *reply {
	r.t.Helper()
	if squeeze(r.body) != squeeze(body) {
		r.t.Fatalf("%s: answer is\n%s\nwant\n%s", r.what, r.body, body)
	}
	return r
}

// lacks fails if the body contains a text.
func (r *reply) lacks(texts ...string) *reply {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(squeeze(r.body), squeeze(text)) {
			r.t.Fatalf("%s: answer has %s:\n%s", r.what, text, r.body)
		}
	}
	return r
}

// get is a value of the answer by its path.
func (r *reply) get(path ...string) any {
	r.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		r.t.Fatalf("%s: %v: %s", r.what, err, r.body)
	}
	for _, p := range path {
		switch o := v.(type) {
		case map[string]any:
			v = o[p]
		case []any:
			if len(o) == 0 {
				return nil
			}
			v = o[0]
		default:
			return nil
		}
	}
	return v
}

func (r *reply) text(path ...string) string {
	r.t.Helper()
	s, _ := r.get(path...).(string)
	return s
}

func squeeze(s string) string {
	var out strings.Builder
	inside, escaped := false, false
	for _, c := range s {
		if !inside && strings.ContainsRune(" \n\t", c) {
			continue
		}
		out.WriteRune(c)
		switch {
		case escaped:
			escaped = false
		case inside && c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		}
	}
	return out.String()
}

// form is a multipart body.
type form struct {
	buf bytes.Buffer
	w   *multipart.Writer
}

// files makes a form of files: name, content, name, content.
func files(parts ...string) *form {
	f := &form{}
	f.w = multipart.NewWriter(&f.buf)
	for i := 0; i+1 < len(parts); i += 2 {
		// As apigeecli names files: the whole path without the extension.
		w, _ := f.w.CreateFormFile(parts[i], "/tmp/samples/"+parts[i])
		_, _ = io.WriteString(w, parts[i+1])
	}
	return f
}

// zipped is a zip of files: name, content.
func zipped(t testing.TB, parts ...string) string {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for i := 0; i+1 < len(parts); i += 2 {
		w, err := zw.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, parts[i+1])
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// proxyZip is a bundle with a base path and policies.
func proxyZip(t testing.TB, name, basePath string, policies ...string) string {
	t.Helper()
	parts := []string{
		"apiproxy/" + name + ".xml", `<APIProxy name="` + name + `" revision="1"/>`,
		"apiproxy/proxies/default.xml", `<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>` + basePath +
			`</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`,
	}
	for i, kind := range policies {
		file := string(rune('A' + i))
		parts = append(parts, "apiproxy/policies/"+file+".xml", "<"+kind+` name="`+file+`"/>`)
	}
	return zipped(t, parts...)
}

func flowZip(t testing.TB, name string) string {
	t.Helper()
	return zipped(t,
		"sharedflowbundle/"+name+".xml", `<SharedFlowBundle name="`+name+`" revision="1"/>`,
		"sharedflowbundle/sharedflows/default.xml", `<SharedFlow name="default"/>`)
}
