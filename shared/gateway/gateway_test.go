package gateway_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// show answers with what flow variables hold.
type showConfig struct {
	policy.Header
	Text string `xml:"Text"`
}

var show = policy.Define("Show", func(c *showConfig, env *policy.Env) (policy.Policy, error) {
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		if c.Text == "panic" {
			panic("boom")
		}
		m := fc.Message()
		m.Header.Set("Content-Type", "text/plain")
		m.SetContent([]byte(c.Text + " " + fc.Text("proxy.basepath") + " " + fc.Text("proxy.pathsuffix") + " r" + fc.Text("apiproxy.revision")))
		return nil
	}), nil
})

// flaky is a driver that can be switched off.
type flaky struct {
	store.Driver
	down atomic.Bool
	hang atomic.Pointer[chan struct{}] // what Get waits for
	gets atomic.Int64
}

var errDown = &store.Error{Code: store.Unavailable, Op: "test", Err: errors.New("store is down")}

func (f *flaky) Get(ctx context.Context, k store.Key) (store.Doc, error) {
	f.gets.Add(1)
	if hang := f.hang.Load(); hang != nil {
		<-*hang
	}
	if f.down.Load() {
		return store.Doc{}, errDown
	}
	return f.Driver.Get(ctx, k)
}

func (f *flaky) GetAll(ctx context.Context, ks []store.Key) ([]store.Doc, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Driver.GetAll(ctx, ks)
}

func (f *flaky) Query(ctx context.Context, q store.Query) iter.Seq2[store.Doc, error] {
	if f.down.Load() {
		return func(yield func(store.Doc, error) bool) { yield(store.Doc{}, errDown) }
	}
	return f.Driver.Query(ctx, q)
}

type fixture struct {
	t      *testing.T
	driver *flaky
	store  *store.Store
	reg    *registry.Registry
	deps   *deployment.Deployments
	g      *gateway.Gateway
	now    atomic.Int64
}

func newFixture(t *testing.T, change func(*gateway.Options)) *fixture {
	t.Helper()
	mem, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, driver: &flaky{Driver: mem}}
	f.now.Store(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	f.store = store.New(f.driver)
	t.Cleanup(func() { f.store.Close() })
	f.reg = registry.New(f.store, nil)
	f.deps = deployment.New(f.reg)
	f.must(f.reg.EnsureOrganization(t.Context(), "org"))
	f.must(f.reg.EnsureEnvironment(t.Context(), "org", "test"))
	f.must(f.reg.EnsureGroup(t.Context(), "org", "default", []string{"api.example.com"}, "test"))
	opts := gateway.Options{
		Organization: "org",
		Source:       deployment.NewSource(f.reg),
		Kinds:        policy.NewKinds(show),
		Now:          func() time.Time { return time.Unix(0, f.now.Load()) },
		Runtime:      func(string, func() *entity.Config) gateway.Runtime { return gateway.Runtime{} },
		Log:          slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&opts)
	}
	f.g = gateway.New(opts)
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// deploy imports and deploys a proxy that answers with text at base.
func (f *fixture) deploy(name, base, text string) {
	f.t.Helper()
	f.deployZip(name, proxyZip(f.t, base, text))
}

func (f *fixture) deployZip(name string, data []byte) {
	f.t.Helper()
	rev, err := f.deps.Import(f.t.Context(), deployment.Upload{Organization: "org", Kind: entity.API, Name: name, Zip: data})
	f.must(err)
	_, err = f.deps.Deploy(f.t.Context(), deployment.Request{Organization: "org", Environment: "test", Kind: entity.API, Name: name, Revision: rev.Revision, Override: true})
	f.must(err)
}

func proxyZip(t testing.TB, base, text string) []byte {
	return zipOf(t, map[string]string{
		"apiproxy/proxies/default.xml": `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Response><Step><Name>S</Name></Step></Response></PreFlow><HTTPProxyConnection><BasePath>` + base + `</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`,
		"apiproxy/policies/S.xml":      `<Show name="S"><Text>` + text + `</Text></Show>`,
	})
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, data := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (f *fixture) get(path string) (int, string) {
	f.t.Helper()
	r := httptest.NewRequest("GET", "http://api.example.com"+path, nil)
	w := httptest.NewRecorder()
	f.g.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (f *fixture) want(path string, code int, body string) {
	f.t.Helper()
	if c, b := f.get(path); c != code || b != body {
		f.t.Errorf("GET %s = %d %q, want %d %q", path, c, b, code, body)
	}
}

func TestRouting(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1/orders", "orders")
	f.deploy("b", "/v1/*/weather", "weather")
	f.deploy("c", "/v1", "v1")
	f.want("/v1/orders/7", 200, "orders /v1/orders /7 r1")
	f.want("/v1/orders", 200, "orders /v1/orders  r1")
	f.want("/v1/orders2", 200, "v1 /v1 /orders2 r1")
	f.want("/v1/eu/weather/today", 200, "weather /v1/*/weather /today r1")
	f.want("/v1/eu/climate", 200, "v1 /v1 /eu/climate r1")
	f.want("/v2", 404, `{"fault":{"faultstring":"Unable to identify proxy for host: api.example.com and url: \/v2","detail":{"errorcode":"messaging.adaptors.http.flow.ApplicationNotFound"}}}`)
	f.deploy("d", "/", "root")
	f.now.Add(int64(3 * time.Second))
	f.want("/v2", 200, "root / /v2 r1")
}

func TestUnknownHost(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "a")
	r := httptest.NewRequest("GET", "http://other.example.com/v1", nil)
	w := httptest.NewRecorder()
	f.g.ServeHTTP(w, r)
	if w.Code != 404 {
		t.Errorf("status %d for a host of no environment group", w.Code)
	}
}

// TestRefresh deploys a revision while the gateway is warm: it is in force at
// once after Invalidate, and otherwise within the refresh interval.
func TestRefresh(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "first")
	f.want("/v1", 200, "first /v1  r1")
	f.deploy("a", "/v1", "second")
	f.g.Invalidate()
	f.want("/v1", 200, "second /v1  r2")
	f.deploy("a", "/v1", "third")
	f.want("/v1", 200, "second /v1  r2")
	f.now.Add(int64(1100 * time.Millisecond))
	f.get("/v1") // looks for changes beside its own work
	f.want("/v1", 200, "third /v1  r3")
	f.must(f.deps.Undeploy(t.Context(), "org", "test", entity.API, "a", "3"))
	f.now.Add(int64(time.Hour)) // as if frozen: the stamp is read first
	if code, _ := f.get("/v1"); code != 404 {
		t.Errorf("status %d after undeployment", code)
	}
}

// TestStoreDown switches the store off: what was called keeps serving.
func TestStoreDown(t *testing.T) {
	f := newFixture(t, nil)
	f.driver.down.Store(true)
	if code, _ := f.get("/v1"); code != 503 {
		t.Errorf("status %d without configuration, want 503", code)
	}
	f.driver.down.Store(false)
	f.deploy("a", "/v1", "a")
	f.want("/v1", 200, "a /v1  r1")
	f.driver.down.Store(true)
	for range 5 {
		f.now.Add(int64(10 * time.Second))
		f.want("/v1", 200, "a /v1  r1")
	}
	f.driver.down.Store(false)
	f.deploy("a", "/v1", "b")
	f.now.Add(int64(10 * time.Second))
	f.want("/v1", 200, "b /v1  r2")
}

// TestStoreHangs: a store that does not answer holds up no call, neither the one
// that looks for changes nor others.
func TestStoreHangs(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "a")
	s := httptest.NewServer(f.g)
	defer s.Close()
	client := &http.Client{Timeout: 10 * time.Second}
	get := func() {
		t.Helper()
		r, err := http.NewRequest("GET", s.URL+"/v1", nil)
		f.must(err)
		r.Host = "api.example.com"
		resp, err := client.Do(r)
		f.must(err)
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "a /v1  r1" {
			t.Errorf("%q, %v", body, err)
		}
	}
	get()
	hang := make(chan struct{})
	defer close(hang)
	f.driver.hang.Store(&hang)
	f.now.Add(int64(1500 * time.Millisecond))
	for range 3 {
		get()
	}
}

// TestFirstReadIsShared: of requests that wait for the first configuration, one
// asks the store; the others share its answer.
func TestFirstReadIsShared(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "a")
	hang := make(chan struct{})
	f.driver.hang.Store(&hang)
	f.driver.down.Store(true)
	before := f.driver.gets.Load()
	codes := make(chan int, 8)
	for range 8 {
		go func() {
			code, _ := f.get("/v1")
			codes <- code
		}()
	}
	for f.driver.gets.Load() == before {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // the others come to wait
	close(hang)
	for range 8 {
		if code := <-codes; code != 503 {
			t.Errorf("status %d", code)
		}
	}
	if n := f.driver.gets.Load() - before; n > 2 {
		t.Errorf("%d reads for 8 requests", n)
	}
}

// TestColdStart counts the exchanges with the store of a first request, and of
// those that follow.
func TestColdStart(t *testing.T) {
	for _, n := range []int{1, 60} {
		f := newFixture(t, nil)
		for i := range n {
			f.deploy("p"+strings.Repeat("x", i), "/p/"+strings.Repeat("x", i+1), "a")
		}
		before := f.store.Counts()
		f.want("/p/x", 200, "a /p/x  r1")
		if trips := f.store.Counts().RoundTrips - before.RoundTrips; trips > 3 {
			t.Errorf("%d proxies: %d round trips for the first request, want at most 3", n, trips)
		}
		before = f.store.Counts()
		for range 100 {
			f.get("/p/x")
		}
		if reads := f.store.Counts().Reads - before.Reads; reads != 0 {
			t.Errorf("%d reads in 100 requests on a warm instance", reads)
		}
	}
}

func TestPanic(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "panic")
	f.want("/v1", 500, `{"fault":{"faultstring":"Internal server error","detail":{"errorcode":"messaging.runtime.InternalError"}}}`)
}

// TestConcurrent calls while revisions change: no call fails or sees anything
// but a whole revision.
func TestConcurrent(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy("a", "/v1", "x")
	stop := make(chan struct{})
	failed := make(chan string, 8)
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					failed <- ""
					return
				default:
				}
				if code, body := f.get("/v1"); code != 200 || !strings.HasPrefix(body, "x /v1  r") {
					failed <- body
					return
				}
			}
		}()
	}
	for range 20 {
		f.deploy("a", "/v1", "x")
		f.g.Invalidate()
	}
	close(stop)
	for range 4 {
		if msg := <-failed; msg != "" {
			t.Error(msg)
		}
	}
}
