// Package hosttest is one matrix of requests that every host of the gateway
// must answer alike: in process, the Functions Framework, the container entry
// point, and Lambda's events.
package hosttest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
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

type test struct {
	name, method, path, body string
	header                   http.Header
	status                   int
	want                     string
	wantHeader               map[string]string // several values joined with commas
}

func faultJSON(text, code, reason string) string {
	if reason != "" {
		reason = `,"reason":"` + reason + `"`
	}
	return `{"fault":{"faultstring":"` + text + `","detail":{"errorcode":"` + code + `"` + reason + `}}}`
}

func fields(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

var matrix = []test{
	{name: "null route", method: "GET", path: "/hello/Ada", status: 200, want: `{"greeting":"Hello, Ada!"}`,
		wantHeader: map[string]string{"Content-Type": "application/json", "X-Flow": "PostFlow"}},
	{name: "query", method: "GET", path: "/hello?name=a%20b", status: 200, want: `{"greeting":"Hello, a b!"}`},
	{name: "RaiseFault", method: "DELETE", path: "/hello", status: 405, want: `{"error":"DELETE is not allowed"}`, wantHeader: map[string]string{"Allow": "GET"}},
	{name: "no proxy", method: "GET", path: "/nothing", status: 404,
		want: faultJSON(`Unable to identify proxy for host: api.example.com and url: \/nothing`, "messaging.adaptors.http.flow.ApplicationNotFound", "")},

	{name: "GET", method: "GET", path: "/echo/m", status: 200, want: "GET /m x= body="},
	{name: "POST", method: "POST", path: "/echo/m", body: "b", header: fields("Content-Type", "text/plain"), status: 200, want: "POST /m x= body=b"},
	{name: "PUT", method: "PUT", path: "/echo/m", body: "b", header: fields("Content-Type", "text/plain"), status: 200, want: "PUT /m x= body=b"},
	{name: "PATCH", method: "PATCH", path: "/echo/m", body: "b", header: fields("Content-Type", "text/plain"), status: 200, want: "PATCH /m x= body=b"},
	{name: "DELETE", method: "DELETE", path: "/echo/m", status: 200, want: "DELETE /m x= body="},
	{name: "OPTIONS", method: "OPTIONS", path: "/echo/m", status: 200, want: "OPTIONS /m x= body="},
	{name: "HEAD", method: "HEAD", path: "/echo/m", status: 200, want: "", wantHeader: map[string]string{"Content-Length": "16", "X-Multi": "1,2"}},
	{name: "HEAD, fault", method: "HEAD", path: "/hello/Ada", status: 405, want: ""},

	{name: "path and query", method: "GET", path: "/echo/a/b?q=1&r=2", header: fields("X-Test", "7"), status: 200, want: "GET /a/b?q=1&r=2 x=7 body="},
	{name: "query parameter with several values", method: "GET", path: "/echo/a?q=1&q=2", status: 200, want: "GET /a?q=1&q=2 x= body="},
	{name: "escaped query", method: "GET", path: "/echo/a?q=%26%3D%20%C3%A4", status: 200, want: "GET /a?q=%26%3D%20%C3%A4 x= body="},
	{name: "escaped path", method: "GET", path: "/echo/a%2Fb/%E4", status: 200, want: "GET /a%2Fb/%E4 x= body="},
	{name: "wildcard base path", method: "GET", path: "/wild/acme/v1/x", status: 200, want: "/wild/*/v1 /x"},
	{name: "wildcard base path, another", method: "GET", path: "/wild/b.c/v1", status: 200, want: "/wild/*/v1 "},
	{name: "wildcard is one segment", method: "GET", path: "/wild/a/b/v1", status: 404,
		want: faultJSON(`Unable to identify proxy for host: api.example.com and url: \/wild\/a\/b\/v1`, "messaging.adaptors.http.flow.ApplicationNotFound", "")},

	{name: "header with several values", method: "GET", path: "/echo/h", header: fields("X-Test", "1", "X-Test", "2"), status: 200, want: "GET /h x=1|2 body=",
		wantHeader: map[string]string{"X-Multi": "1,2"}},
	{name: "long header", method: "GET", path: "/echo/h", header: fields("X-Test", strings.Repeat("y", 8000)), status: 200, want: "GET /h x=" + strings.Repeat("y", 8000) + " body="},
	{name: "cookies of the request", method: "GET", path: "/echo/cookie", header: fields("Cookie", "a=1; b=2"), status: 200, want: "a=1; b=2"},

	{name: "policy reads the body", method: "POST", path: "/read/x", body: `{"n":1}`, header: fields("Content-Type", "application/json"), status: 200, want: `POST /x x=1 body={"n":1}`},
	{name: "text is not ASCII", method: "POST", path: "/echo/x", body: "größer ☃", header: fields("Content-Type", "text/plain; charset=utf-8"), status: 200, want: "POST /x x= body=größer ☃"},
	{name: "binary request", method: "POST", path: "/echo/x", body: "\x00\xff\xfe", header: fields("Content-Type", "application/octet-stream"), status: 200, want: "POST /x x= body=\x00\xff\xfe"},
	{name: "binary response", method: "GET", path: "/echo/binary", status: 200, want: "\x00\x01\xff\xfe", wantHeader: map[string]string{"Content-Type": "application/octet-stream"}},
	{name: "large request", method: "PUT", path: "/echo/sum", body: string(large), header: fields("Content-Type", "application/octet-stream"), status: 200,
		want: fmt.Sprintf("%d %x", len(large), sha256.Sum256(large))},
	{name: "large response", method: "GET", path: "/echo/big", status: 200, want: string(large)},
	{name: "gzip", method: "GET", path: "/echo/gzip", header: fields("Accept-Encoding", "gzip"), status: 200, want: string(gzipped), wantHeader: map[string]string{"Content-Encoding": "gzip"}},

	{name: "no content", method: "GET", path: "/echo/empty", status: 204, want: ""},
	{name: "redirect", method: "GET", path: "/echo/moved", status: 302, want: "", wantHeader: map[string]string{"Location": "https://elsewhere.example.com/x"}},
	{name: "not modified", method: "GET", path: "/echo/unchanged", header: fields("If-None-Match", `"7"`), status: 304, want: "", wantHeader: map[string]string{"ETag": `"7"`}},
	{name: "early hints before the response", method: "GET", path: "/echo/early", status: 200, want: "GET /early x= body="},
	{name: "target error passes", method: "GET", path: "/echo/gone", status: 410, want: "GET /gone x= body="},

	{name: "target refuses", method: "GET", path: "/faults/refused", status: 503,
		want: faultJSON("The Service is temporarily unavailable", "messaging.adaptors.http.flow.ServiceUnavailable", "TARGET_CONNECT_HOST_NOT_REACHABLE")},
	{name: "target is too slow", method: "GET", path: "/faults/slow", status: 504,
		want: faultJSON("Gateway Timeout", "messaging.adaptors.http.flow.GatewayTimeout", "TARGET_READ_TIMEOUT")},
	{name: "target hangs up", method: "GET", path: "/faults/eof", status: 502,
		want: faultJSON("Unexpected EOF at target", "messaging.adaptors.http.flow.UnexpectedEOFAtTarget", "")},
	{name: "script fails", method: "GET", path: "/faults/script", status: 500,
		want: faultJSON(`Execution of JS-Throw failed with error: Javascript runtime error: \"ReferenceError: \"absent\" is not defined. (JS-Throw:1)\"`, "steps.javascript.ScriptExecutionFailed", "")},
	{name: "fault rule", method: "GET", path: "/faults/handled", status: 418, want: `{"fault":"ScriptExecutionFailed"}`},

	{name: "local target by path", method: "GET", path: "/local/path", status: 200, want: `{"greeting":"Hello, Path!"}`},
	{name: "local target by name", method: "POST", path: "/local/x?q=1", body: "b", header: fields("Content-Type", "text/plain", "X-Test", "7"), status: 200, want: "POST /x?q=1 x=7 body=b"},
	{name: "local targets in a loop", method: "GET", path: "/local/loop", status: 500,
		want: faultJSON("Too many local target calls inside each other", "messaging.runtime.LocalTargetLoop", "")},
}

// Cases that not every host can pass, for Run's except.
const (
	// Streams is that the first part of a response arrives before the last one is
	// sent.
	Streams = "streams"
	// EscapedPath is that the path arrives as it was escaped.
	EscapedPath = "escaped path"
	// SeveralQueryValues is that all values of a query parameter arrive.
	SeveralQueryValues = "query parameter with several values"
)

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
	if !slices.Contains(except, Streams) {
		t.Run(Streams, func(t *testing.T) { streams(t, do) })
	}
}

func (c *test) run(t *testing.T, do Client) {
	resp := send(t, do, c.method, c.path, c.body, c.header)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != c.status || string(body) != c.want {
		t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, resp.StatusCode, excerpt(string(body)), c.status, excerpt(c.want))
	}
	for _, name := range slices.Sorted(maps.Keys(c.wantHeader)) {
		if got := strings.ReplaceAll(strings.Join(resp.Header.Values(name), ","), ", ", ","); got != c.wantHeader[name] {
			t.Errorf("%s: %q, want %q", name, got, c.wantHeader[name])
		}
	}
}

// excerpt keeps large payloads out of the log.
func excerpt(s string) string {
	if len(s) > 1000 {
		return fmt.Sprintf("%q... (%d bytes)", s[:200], len(s))
	}
	return fmt.Sprintf("%q", s)
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

// streams checks that the first event arrives while the target still holds the
// second one back.
func streams(t *testing.T, do Client) {
	id := rand.Text()
	resp := send(t, do, "GET", "/echo/events?id="+id, "", nil)
	defer resp.Body.Close()
	first := make([]byte, len("data: first\n\n"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: first\n\n" {
		t.Fatalf("first event %q %v", first, err)
	}
	send(t, do, "GET", "/echo/release?id="+id, "", nil).Body.Close()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "data: second\n\n" {
		t.Errorf("then %q %v", rest, err)
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

func send(t *testing.T, do Client, method, path, body string, header http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://api.example.com"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
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
