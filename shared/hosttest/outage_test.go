package hosttest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// TestStoreStops kills the Firestore emulator while requests run: a proxy that
// was called keeps answering, through many looks for changes that fail. What was
// never called cannot be loaded, and says so.
func TestStoreStops(t *testing.T) {
	host, kill := enginestest.StartEmulator(t)
	t.Setenv("FIRESTORE_EMULATOR_HOST", host)
	c := boot.Config{
		Organization: "org", Store: "firestore:" + enginestest.Project(), Keystore: "memory:",
		AnyHost: true, LogFormat: "text", LogLevel: "error", Refresh: 20 * time.Millisecond,
	}
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.DeployBundle(t.Context(), "test", "../../examples/hello"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h.GatewayHandler())
	defer s.Close()
	get := func(path string) (int, string) {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, strings.TrimSpace(string(body))
	}
	const want = `{"greeting":"Hello, Ada!"}`
	if code, body := get("/hello/Ada"); code != 200 || body != want {
		t.Fatalf("%d %s", code, body)
	}
	var wg sync.WaitGroup
	var after, failed atomic.Int64 // requests begun after the emulator died, and those of all that failed
	var dead atomic.Bool
	for range 4 {
		wg.Go(func() {
			for after.Load() < 2000 {
				if dead.Load() {
					after.Add(1)
				}
				if code, body := get("/hello/Ada"); code != 200 || body != want {
					failed.Add(1)
					t.Errorf("%d %s", code, body)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	kill()
	dead.Store(true)
	wg.Wait()
	t.Logf("%d requests after the store died, %d failed", after.Load(), failed.Load())

	cold, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer cold.Close()
	w := httptest.NewRecorder()
	cold.GatewayHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://api.example.com/hello/Ada", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("an instance that knows nothing answers %d", w.Code)
	}
}
