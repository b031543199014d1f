package apiclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// client is a client of a handler that notes how long it was made to wait.
func client(t *testing.T, h http.HandlerFunc) (*apiclient.Client, *[]time.Duration) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	var waits []time.Duration
	return &apiclient.Client{
		Base:  server.URL + "/",
		Token: func(context.Context) (string, error) { return "T", nil },
		Pause: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil },
	}, &waits
}

func TestDo(t *testing.T) {
	c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		json.NewEncoder(w).Encode([]string{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
	})
	var got []string
	err := c.Do(t.Context(), apiclient.Call{
		Method: "PUT", Path: apiclient.Path("organizations", "a b", "entries", "x/y%"), Query: url.Values{"q": {"1 2"}}, JSON: map[string]int{"n": 1},
	}, &got)
	if err != nil {
		t.Fatal(err)
	}
	if want := "PUT /v1/organizations/a%20b/entries/x%2Fy%25?q=1+2 Bearer T application/json {\"n\":1}"; strings.Join(got, " ") != want {
		t.Errorf("request is %q, want %q", got, want)
	}
	var raw []byte
	if err := c.Get(t.Context(), "x", nil, &raw); err != nil || !strings.HasPrefix(string(raw), `["GET","/v1/x",`) {
		t.Errorf("answer is %s, %v", raw, err)
	}
	if err := c.Get(t.Context(), "x", nil, &struct{}{}); err == nil || !strings.Contains(err.Error(), "not what was expected") {
		t.Errorf("error is %v", err)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status        int
		body, message string
		code          string
	}{
		{404, `{"error":{"code":404,"message":"nothing here","status":"NOT_FOUND"}}`, "nothing here", "NOT_FOUND"},
		{400, `{"code":"messaging.config.beans.X","message":"Edge says no","contexts":[]}`, "Edge says no", ""},
		{403, `<html>`, "403 Forbidden", ""},
	} {
		api, waits := client(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); io.WriteString(w, c.body) })
		err := api.Get(t.Context(), "x", nil, nil)
		var e *apiclient.Error
		if !errors.As(err, &e) || e.Status != c.status || e.Code != c.code || err.Error() != c.message || len(*waits) > 0 {
			t.Errorf("%d: error is %#v after %v", c.status, err, *waits)
		}
	}
}

// What is repeated: everything that the server says it did not do, and what can
// do no harm when it did.
func TestRepetition(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		calls  int
	}{
		{"GET", 500, 6}, {"GET", 502, 6}, {"PUT", 504, 6}, {"DELETE", 503, 6}, {"GET", 429, 6},
		{"POST", 429, 6}, {"POST", 503, 6}, {"POST", 500, 1}, {"POST", 502, 1}, {"POST", 504, 1}, {"GET", 400, 1}, {"GET", 404, 1}, {"POST", 409, 1},
	} {
		calls := 0
		api, waits := client(t, func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(c.status) })
		if err := api.Do(t.Context(), apiclient.Call{Method: c.method, Path: "x"}, nil); apiclient.StatusOf(err) != c.status {
			t.Errorf("%s %d: error is %v", c.method, c.status, err)
		}
		if calls != c.calls || len(*waits) != c.calls-1 {
			t.Errorf("%s %d: %d calls, want %d", c.method, c.status, calls, c.calls)
		}
	}
	calls := 0
	api, waits := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls < 3 {
			w.Header().Set("Retry-After", "25")
			w.WriteHeader(429)
		}
	})
	if err := api.Do(t.Context(), apiclient.Call{Method: "POST", Path: "x"}, nil); err != nil || calls != 3 {
		t.Errorf("%d calls, error %v", calls, err)
	}
	for _, d := range *waits {
		if d != 25*time.Second {
			t.Errorf("waited %v, want 25s", d)
		}
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	api, _ := client(t, func(http.ResponseWriter, *http.Request) { calls++; cancel(); panic(http.ErrAbortHandler) })
	if err := api.Get(ctx, "x", nil, nil); err == nil || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestHandler(t *testing.T) {
	c := &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(404)
		json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": r.Method + " " + r.Host + r.URL.EscapedPath() + " " + string(body)}})
	})}}}
	err := c.Do(t.Context(), apiclient.Call{Method: "POST", Path: "a%2Fb", JSON: 1}, nil)
	if !apiclient.IsNotFound(err) || err.Error() != "POST perigee/v1/a%2Fb 1" {
		t.Errorf("error is %v", err)
	}
}
