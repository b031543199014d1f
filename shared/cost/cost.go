// Package cost counts what calls cost in operations of the store, by scenario: a
// proxy without policies, one that verifies keys or tokens, counts a quota, looks
// into a cache or a key value map. The table in docs/DEPLOY.md is made of it and
// checked by its test.
//
// It is for tests and benchmarks: clocks are faked by testing/synctest, so that
// minutes of calls take no time and cost the same on every machine.
package cost

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/orgtest"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Scenario is a proxy whose calls are counted.
type Scenario struct {
	Name string
	// Policies are its policies' XML by name; they run in the request, in the
	// order of their names.
	Policies map[string]string
}

// Scenarios are those of the documentation. Targets are left out: calling one
// costs the store nothing.
var Scenarios = []Scenario{
	{Name: "pass-through"},
	{Name: "API key", Policies: map[string]string{"A": verifyKey}},
	{Name: "OAuth 2.0 access token", Policies: map[string]string{"A": `<OAuthV2 name="A"><Operation>VerifyAccessToken</Operation></OAuthV2>`}},
	{Name: "API key and quota", Policies: map[string]string{"A": verifyKey, "B": quota}},
	{Name: "key value map", Policies: map[string]string{"A": `<KeyValueMapOperations name="A" mapIdentifier="settings"><Scope>environment</Scope><ExpiryTimeInSecs>300</ExpiryTimeInSecs><Get assignTo="private.entry"><Key><Parameter>entry/007</Parameter></Key></Get></KeyValueMapOperations>`}},
	{Name: "cache, filled and read again", Policies: map[string]string{
		"A": `<LookupCache name="A"><CacheResource>c</CacheResource><CacheKey><KeyFragment>k</KeyFragment></CacheKey><AssignTo>cached</AssignTo></LookupCache>`,
		"B": `<AssignMessage name="B"><AssignVariable><Name>fresh</Name><Value>value</Value></AssignVariable></AssignMessage>`,
		"C": `<PopulateCache name="C"><CacheResource>c</CacheResource><CacheKey><KeyFragment>k</KeyFragment></CacheKey><ExpirySettings><TimeoutInSeconds>300</TimeoutInSeconds></ExpirySettings><Source>fresh</Source></PopulateCache>`,
	}},
}

const (
	verifyKey = `<VerifyAPIKey name="A"><APIKey ref="request.queryparam.apikey"/></VerifyAPIKey>`
	quota     = `<Quota name="B" type="calendar"><Identifier ref="client_id"/><Allow count="1000000"/><Interval>1</Interval><TimeUnit>hour</TimeUnit><StartTime>2000-01-01 00:00:00</StartTime><Distributed>true</Distributed><Synchronous>false</Synchronous></Quota>`
	issue     = `<OAuthV2 name="A"><Operation>GenerateAccessToken</Operation><ExpiresIn>36000000</ExpiresIn><SupportedGrantTypes><GrantType>client_credentials</GrantType></SupportedGrantTypes><GenerateResponse enabled="true"/></OAuthV2>`
)

// conditions are of steps that do not always run.
var conditions = map[string]string{"C": `<Condition>lookupcache.A.cachehit = false</Condition>`}

// Gateway is a gateway that serves the scenarios to one caller.
type Gateway struct {
	host    *boot.Host
	handler http.Handler
	token   string
}

// Open makes a gateway over a store in memory.
func Open(t testing.TB) *Gateway {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "acme", Store: "memory:", Keystore: "memory:", LogFormat: "text", LogLevel: "error", InsecureManagement: true, Refresh: time.Second,
		NoAnalytics: true, // one write an interval, whatever the calls are: docs/OPERATIONS.md
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{host: h, handler: h.GatewayHandler()}
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	c := &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{Handler: api}}}
	orgtest.FillWith(t, c, "acme", 8)
	do := func(call apiclient.Call) {
		t.Helper()
		call.Path = "organizations/acme/" + call.Path
		if err := c.Do(t.Context(), call, nil); err != nil {
			t.Fatal(err)
		}
	}
	do(apiclient.Call{Method: "DELETE", Path: "environments/test/flowhooks/PreProxyFlowHook"})
	do(apiclient.Call{Method: "POST", Path: "apiproducts", JSON: map[string]any{"name": "all", "approvalType": "auto", "environments": []string{"test"}}})
	do(apiclient.Call{Method: "POST", Path: "developers/ann@example.com/apps/shop/keys/" + orgtest.Key, JSON: map[string]any{"apiProducts": []string{"all"}}})
	deploy := func(name string, policies map[string]string) {
		do(apiclient.Call{
			Method: "POST", Path: "apis", Query: url.Values{"action": {"import"}, "name": {name}},
			Body: bundle(t, name, policies), ContentType: "application/octet-stream",
		})
		do(apiclient.Call{Method: "POST", Path: "environments/test/apis/" + name + "/revisions/1/deployments"})
	}
	for n, s := range Scenarios {
		deploy(proxy(n), s.Policies)
	}
	deploy("token", map[string]string{"A": issue})
	g.issue(t)
	return g
}

func proxy(n int) string { return fmt.Sprintf("scenario-%d", n) }

func bundle(t testing.TB, name string, policies map[string]string) []byte {
	files := map[string]string{}
	var steps strings.Builder
	for _, p := range []string{"A", "B", "C"} {
		if policies[p] != "" {
			files["policies/"+p+".xml"] = policies[p]
			steps.WriteString("<Step><Name>" + p + "</Name>" + conditions[p] + "</Step>")
		}
	}
	files["proxies/default.xml"] = `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Request>` + steps.String() + `</Request></PreFlow>
<HTTPProxyConnection><BasePath>/` + name + `</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`
	return orgtest.Bundle(t, "apiproxy", files)
}

// issue gets the caller's access token.
func (g *Gateway) issue(t testing.TB) {
	t.Helper()
	r := httptest.NewRequest("POST", "http://"+orgtest.Host+"/token?grant_type=client_credentials", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(orgtest.Key, "secret-of-ann-1")
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	g.token = answer.Token
}

// Call calls the n-th scenario once.
func (g *Gateway) Call(t testing.TB, n int) {
	r := httptest.NewRequest("GET", "http://"+orgtest.Host+"/"+proxy(n)+"?apikey="+orgtest.Key, nil)
	r.Header.Set("Authorization", "Bearer "+g.token)
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", Scenarios[n].Name, w.Code, w.Body)
	}
}

// Count calls the n-th scenario so many times, pause apart, and returns what that
// cost the store. The first call, which loads the proxy, is not counted; what a
// quota had leased is given back at the end and counts.
func (g *Gateway) Count(t testing.TB, n, calls int, pause time.Duration) store.Stats {
	t.Helper()
	g.Call(t, n)
	before := g.host.Store.Counts()
	for range calls {
		time.Sleep(pause)
		g.Call(t, n)
	}
	after := g.host.Store.Counts()
	return store.Stats{Reads: after.Reads - before.Reads, Writes: after.Writes - before.Writes, RoundTrips: after.RoundTrips - before.RoundTrips}
}

// Close closes the store.
func (g *Gateway) Close() error { return g.host.Close() }
