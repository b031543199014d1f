// Package hosttest is one matrix of requests that every host of the gateway
// must answer alike: in process, the Functions Framework, the container entry
// point, and Lambda's events.
package hosttest

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/boot"
)

//go:embed bundles/*.txtar
var bundles embed.FS

// Client sends a request to the host under test. The request's URL has the host
// name api.example.com.
type Client func(*http.Request) (*http.Response, error)

// Seed makes a store that holds the matrix's proxies, deployed, with targets at
// backend, and returns the configuration of a host that serves it. The store is
// closed when Seed returns: one process opens it at a time.
func Seed(t testing.TB, backend string) boot.Config {
	t.Helper()
	dir := t.TempDir()
	c := boot.Config{
		Organization: "org", Store: "embedded:" + filepath.Join(dir, "store"), Keystore: "local:" + filepath.Join(dir, "keys"),
		AnyHost: true, LogFormat: "text", LogLevel: "error",
	}
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(bundles, "bundles/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no bundles", err)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := bundles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		Deploy(t, h, strings.TrimSuffix(filepath.Base(name), ".txtar"), data, backend)
	}
	return c
}

// Deploy deploys the bundle in a txtar archive to the environment test, with
// BACKEND in it replaced.
func Deploy(t testing.TB, h *boot.Host, name string, archive []byte, backend string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	extract(t, archive, path, backend)
	if _, err := h.DeployBundle(t.Context(), "test", path); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func extract(t testing.TB, archive []byte, dir, backend string) {
	t.Helper()
	for _, f := range txtar.Parse(archive).Files {
		p := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(f.Data), "BACKEND", backend)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Environ is the configuration as environment variables, for hosts that are
// processes of their own.
func Environ(c boot.Config) map[string]string {
	return map[string]string{
		"PERIGEE_ORG": c.Organization, "PERIGEE_STORE": c.Store, "PERIGEE_KEYSTORE": c.Keystore,
		"PERIGEE_ANY_HOST": "true", "PERIGEE_LOG_LEVEL": "error", "PERIGEE_LOG_FORMAT": "text",
	}
}

// Backend is the target of the matrix's proxies: it says what it received.
func Backend(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
		switch r.URL.Path {
		case "/dies/known":
			w.Header().Set("Content-Length", "1000")
			fallthrough
		case "/dies":
			io.WriteString(w, "the first part")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
		if r.URL.Path == "/binary" {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write([]byte{0, 1, 0xff, 0xfe})
			return
		}
		fmt.Fprintf(w, "%s %s x=%s body=%s", r.Method, r.URL.RequestURI(), strings.Join(r.Header.Values("X-Test"), "|"), body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

type test struct {
	name, method, path, body string
	header                   map[string]string
	status                   int
	want                     string
	wantHeader               map[string]string
}

var matrix = []test{
	{name: "null route", method: "GET", path: "/hello/Ada", status: 200, want: `{"greeting":"Hello, Ada!"}`,
		wantHeader: map[string]string{"Content-Type": "application/json", "X-Flow": "PostFlow"}},
	{name: "query", method: "GET", path: "/hello?name=a%20b", status: 200, want: `{"greeting":"Hello, a b!"}`},
	{name: "RaiseFault", method: "DELETE", path: "/hello", status: 405, want: `{"error":"DELETE is not allowed"}`, wantHeader: map[string]string{"Allow": "GET"}},
	{name: "target", method: "GET", path: "/echo/a/b?q=1&q=2", header: map[string]string{"X-Test": "7"}, status: 200, want: "GET /a/b?q=1&q=2 x=7 body="},
	{name: "escaped path", method: "GET", path: "/echo/a%2Fb/%E4", status: 200, want: "GET /a%2Fb/%E4 x= body="},
	{name: "body", method: "POST", path: "/echo/x", body: "some text", header: map[string]string{"Content-Type": "text/plain"}, status: 200, want: "POST /x x= body=some text"},
	{name: "policy reads the body", method: "POST", path: "/read/x", body: `{"n":1}`, header: map[string]string{"Content-Type": "application/json"}, status: 200, want: `POST /x x=1 body={"n":1}`},
	{name: "target error passes", method: "GET", path: "/echo/gone", status: 410, want: "GET /gone x= body="},
	{name: "binary", method: "GET", path: "/echo/binary", status: 200, want: "\x00\x01\xff\xfe"},
	{name: "no proxy", method: "GET", path: "/nothing", status: 404,
		want: `{"fault":{"faultstring":"Unable to identify proxy for host: api.example.com and url: \/nothing","detail":{"errorcode":"messaging.adaptors.http.flow.ApplicationNotFound"}}}`},
	{name: "local target by path", method: "GET", path: "/local/path", status: 200, want: `{"greeting":"Hello, Path!"}`},
	{name: "local target by name", method: "POST", path: "/local/x?q=1", body: "b", header: map[string]string{"Content-Type": "text/plain", "X-Test": "7"}, status: 200, want: "POST /x?q=1 x=7 body=b"},
	{name: "local targets in a loop", method: "GET", path: "/local/loop", status: 500, want: `{"fault":{"faultstring":"Too many local target calls inside each other","detail":{"errorcode":"messaging.runtime.LocalTargetLoop"}}}`},
	{name: "HEAD", method: "HEAD", path: "/hello/Ada", status: 405, want: ""},
}

// Run sends the matrix through a host, but for the cases named in except, which
// a host cannot pass for a reason that its test gives.
func Run(t *testing.T, do Client, except ...string) {
	t.Helper()
	for _, c := range matrix {
		if slices.Contains(except, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, do) })
	}
	t.Run("two cookies", func(t *testing.T) { cookies(t, do) })
}

func (c *test) run(t *testing.T, do Client) {
	resp := send(t, do, c.method, c.path, c.body, c.header)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != c.status || string(body) != c.want {
		t.Errorf("%s %s = %d %q, want %d %q", c.method, c.path, resp.StatusCode, body, c.status, c.want)
	}
	for _, name := range slices.Sorted(maps.Keys(c.wantHeader)) {
		if got := resp.Header.Get(name); got != c.wantHeader[name] {
			t.Errorf("%s: %q, want %q", name, got, c.wantHeader[name])
		}
	}
}

// cookies checks that fields which must not be joined are not.
func cookies(t *testing.T, do Client) {
	resp := send(t, do, "GET", "/echo/x", "", nil)
	defer resp.Body.Close()
	got := resp.Header.Values("Set-Cookie")
	if want := []string{"a=1", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"}; !slices.Equal(got, want) {
		t.Errorf("Set-Cookie %q, want %q", got, want)
	}
}

// Cut has the target die in the middle of its answer, of known length and not.
// The client must see that what it got is not whole. whole says that the host
// answers in one piece: then nothing was sent yet, and the answer is a fault.
func Cut(t *testing.T, do Client, whole bool) {
	t.Helper()
	for _, path := range []string{"/echo/dies", "/echo/dies/known"} {
		t.Run("target dies, "+path, func(t *testing.T) {
			resp := send(t, do, "GET", path, "", nil)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if whole {
				const want = `{"fault":{"faultstring":"Unexpected EOF at target","detail":{"errorcode":"messaging.adaptors.http.flow.UnexpectedEOFAtTarget"}}}`
				if resp.StatusCode != http.StatusBadGateway || string(body) != want || err != nil {
					t.Errorf("%d %q %v, want 502 %s", resp.StatusCode, body, err, want)
				}
				return
			}
			if resp.StatusCode != http.StatusOK || string(body) != "the first part" {
				t.Errorf("%d %q, want 200 and what the target sent", resp.StatusCode, body)
			}
			if err == nil {
				t.Error("the response ends as a whole one does")
			}
		})
	}
}

func send(t *testing.T, do Client, method, path, body string, header map[string]string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://api.example.com"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// To returns a Client that sends to a server at base.
func To(base string) Client {
	return func(r *http.Request) (*http.Response, error) {
		r.Host = r.URL.Host
		r.URL.Host = strings.TrimPrefix(base, "http://")
		return http.DefaultTransport.RoundTrip(r)
	}
}

// In returns a Client that calls a handler in this process.
func In(h http.Handler) Client {
	return func(r *http.Request) (*http.Response, error) {
		in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
		in.Header = r.Header
		w := httptest.NewRecorder()
		cut := aborted(h, w, in)
		resp := w.Result()
		if cut {
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotest.ErrReader(http.ErrAbortHandler)))
		}
		return resp, nil
	}
}

func aborted(h http.Handler, w http.ResponseWriter, r *http.Request) (cut bool) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			cut = true
		} else if v != nil {
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// ToHTTP2 returns a Client that speaks HTTP/2 without TLS to a server at base.
func ToHTTP2(base string) Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return func(r *http.Request) (*http.Response, error) {
		r.Host = r.URL.Host
		r.URL.Host = strings.TrimPrefix(base, "http://")
		return tr.RoundTrip(r)
	}
}
