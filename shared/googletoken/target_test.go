package googletoken

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies/servicecallout"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/target"
)

const impersonated = "sa@p.iam.gserviceaccount.com"

// tokenCall is a way to call a service with a token: as a target and with a
// ServiceCallout.
type tokenCall func(t testing.TB, account string) error

// ways compiles an <Authentication> as a target and as a ServiceCallout.
func ways(t testing.TB, s *Source, url, auth string) map[string]tokenCall {
	pool := target.New(target.Options{Tokens: s})
	t.Cleanup(pool.CloseIdle)
	conn := "<HTTPTargetConnection><URL>" + url + "</URL><Authentication>" + auth + "</Authentication></HTTPTargetConnection>"
	var problems bundle.Problems
	el, err := bundle.ParseXML("targets/default.xml", []byte(conn))
	if err != nil {
		t.Fatal(err)
	}
	c := pool.Connect(bundle.ParseHTTPTargetConnection(el, &problems), "default", policy.NewEnv("org", "test", &bundle.Bundle{}, policy.Services{GoogleTokens: s}, &problems))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	callout := policytest.Compile(t, servicecallout.Kind, `<ServiceCallout name="SC"><Response>r</Response>`+conn+`</ServiceCallout>`, policy.Services{Callouts: pool, GoogleTokens: s})
	newCall := func(account string) *flow.Context {
		return flow.New(&flow.Proxy{Organization: "org", Environment: "test", Name: "p", ServiceAccount: account}, time.Now)
	}
	return map[string]tokenCall{
		"target": func(t testing.TB, account string) error {
			fc := newCall(account)
			defer fc.Release()
			fc.Phase = flow.TargetRequest
			c.Prepare(fc)
			if err := c.Send(t.Context(), fc); err != nil {
				return err
			}
			fc.Response.Text()
			return nil
		},
		"ServiceCallout": func(t testing.TB, account string) error {
			fc := newCall(account)
			defer fc.Release()
			return callout.Run(t.Context(), fc)
		},
	}
}

// mints counts the requests for tokens of one kind.
func (c *cloud) mints(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, line := range c.log {
		if strings.Contains(line, path) {
			n++
		}
	}
	return n
}

// TestThousandRequests sends 1,000 requests at once to services that want a
// token, minted by Google's own libraries: one mint for all of them, one more
// when the token is nearly over, and no call with an old one.
func TestThousandRequests(t *testing.T) {
	const n = 1000
	for _, tt := range []struct {
		name, auth, account, mint string
		due                       time.Duration // five minutes before what the library takes for the end
	}{
		{"ID token, own account", "<GoogleIDToken><Audience>https://svc.example.com</Audience></GoogleIDToken>", "", "/service-accounts/default/identity", 50 * time.Minute},
		{"ID token, impersonated", `<GoogleIDToken><Audience useTargetUrl="true"/></GoogleIDToken>`, impersonated, ":generateIdToken", 55 * time.Minute},
		{"access token, own account", "<GoogleAccessToken><Scopes><Scope>a</Scope></Scopes></GoogleAccessToken>", "", "/default/token?scopes=a", 55 * time.Minute},
		{"access token, impersonated", "<GoogleAccessToken><Scopes><Scope>a</Scope></Scopes><LifetimeInSeconds>3600</LifetimeInSeconds></GoogleAccessToken>", impersonated, ":generateAccessToken", 55 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen sync.Map
			var calls atomic.Int32
			svc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				seen.Store(r.Header.Get("Authorization"), true)
				io.WriteString(w, "ok")
			}))
			t.Cleanup(svc.Close)
			tokens := func() (list []string) {
				seen.Range(func(k, _ any) bool { list = append(list, k.(string)); return true })
				return list
			}
			c := newCloud(t)
			clk := new(clock)
			clk.ns.Store(time.Now().UnixNano())
			s := New(Options{Transport: c, Now: clk.now})
			ways := ways(t, s, svc.URL+"/v1?q=1", tt.auth)
			burst := func() {
				t.Helper()
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						for i := range n / 20 {
							way := "target"
							if i%2 == 0 {
								way = "ServiceCallout"
							}
							if err := ways[way](t, tt.account); err != nil {
								t.Errorf("%s: %v", way, err)
							}
						}
					})
				}
				wg.Wait()
			}
			burst()
			if got := c.mints(tt.mint); got != 1 || calls.Load() != n || len(tokens()) != 1 {
				t.Fatalf("%d mints, %d calls with the tokens %v", got, calls.Load(), tokens())
			}
			clk.ns.Add(int64(tt.due - time.Minute))
			burst()
			if got := c.mints(tt.mint); got != 1 {
				t.Errorf("%d mints before the token is due", got)
			}
			clk.ns.Add(int64(2 * time.Minute))
			burst()
			if got := c.mints(tt.mint); got != 2 || len(tokens()) != 2 {
				t.Errorf("%d mints after the token was due, tokens %v", got, tokens())
			}
		})
	}
}

// TestFaults: no token, no call.
func TestFaults(t *testing.T) {
	var calls atomic.Int32
	svc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { calls.Add(1) }))
	t.Cleanup(svc.Close)
	c := newCloud(t)
	c.broken.Store(true)
	for _, auth := range []string{
		"<GoogleIDToken><Audience>a</Audience></GoogleIDToken>",
		"<GoogleAccessToken><Scopes><Scope>a</Scope></Scopes></GoogleAccessToken>",
	} {
		for _, account := range []string{"", impersonated} {
			for way, call := range ways(t, New(Options{Transport: c}), svc.URL, auth) {
				want := map[string]string{
					"target":         "messaging.adaptors.http.filter.GoogleTokenGenerationFailure",
					"ServiceCallout": "steps.servicecallout.GoogleTokenGenerationFailure",
				}[way]
				err := call(t, account)
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%s %q: %v, want %s", way, account, err, want)
				}
				if strings.Contains(fmt.Sprint(err), "Bearer") {
					t.Errorf("%s: the error has a token: %v", way, err)
				}
			}
		}
	}
	if calls.Load() > 0 {
		t.Errorf("%d calls went out without a token", calls.Load())
	}
}
