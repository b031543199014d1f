package boot_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

const shopBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow">
    <Request><Step><Name>VA-Key</Name></Step><Step><Name>DC-Amount</Name></Step></Request>
    <Response><Step><Name>SC-Region</Name></Step></Response>
  </PreFlow>
  <HTTPProxyConnection><BasePath>/shop</BasePath></HTTPProxyConnection>
  <RouteRule name="default"><TargetEndpoint>backend</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/backend.xml --
<TargetEndpoint name="backend"><HTTPTargetConnection><URL>BACKEND</URL></HTTPTargetConnection></TargetEndpoint>
-- apiproxy/policies/VA-Key.xml --
<VerifyAPIKey name="VA-Key"><APIKey ref="request.queryparam.apikey"/></VerifyAPIKey>
-- apiproxy/policies/DC-Amount.xml --
<DataCapture name="DC-Amount"><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
  <Capture><DataCollector>dc_amount</DataCollector><Collect><QueryParam name="amount"/></Collect></Capture>
</DataCapture>
-- apiproxy/policies/SC-Region.xml --
<StatisticsCollector name="SC-Region"><Statistics><Statistic name="shop_region" ref="request.queryparam.region" type="string">none</Statistic></Statistics></StatisticsCollector>
`

// TestAnalytics sets a proxy up over the Management API, calls it, and asks the
// stats resource what happened.
func TestAnalytics(t *testing.T) {
	h := open(t, boot.Config{InsecureManagement: true, AnalyticsInterval: -1})
	api := newAPI(t, h)
	backend := hosttest.Backend(t)

	dir := t.TempDir()
	write(t, filepath.Join(dir, "apiproxy", "proxies", "default.xml"), `<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/x</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`)
	write(t, filepath.Join(dir, "apiproxy", "policies", "DC-1.xml"), `<DataCapture name="DC-1"><Capture><DataCollector>dc_amount</DataCollector><Collect ref="x"/></Capture></DataCapture>`)
	if _, err := h.DeployBundle(t.Context(), "test", dir); err != nil {
		t.Errorf("refused without its data collector: %v", err)
	}
	if problems := h.Validate(t.Context(), "org", "", load(t, dir)); problems.Err() != nil {
		t.Errorf("imported: %v", problems)
	}

	api.post("datacollectors?dataCollectorId=dc_amount", `{"type":"INTEGER"}`)
	api.post("apiproducts", `{"name":"gold","displayName":"gold","approvalType":"auto","environments":["test"],"proxies":["shop"]}`)
	api.post("developers", `{"email":"ann@example.com","firstName":"Ann","lastName":"A","userName":"ann"}`)
	app := api.post("developers/ann@example.com/apps", `{"name":"cart","apiProducts":["gold"]}`)
	key := app["credentials"].([]any)[0].(map[string]any)["consumerKey"].(string)
	hosttest.Deploy(t, h, "shop", []byte(shopBundle), backend)

	for _, amount := range []string{"5", "7", "9"} {
		call(t, h, "/shop/a?region=eu&amount="+amount+"&apikey="+key, http.StatusOK)
	}
	call(t, h, "/shop/gone?region=us&amount=1&apikey="+key, http.StatusGone)
	call(t, h, "/shop/a?apikey=wrong", http.StatusUnauthorized)
	call(t, h, "/nothing", http.StatusNotFound) // of no proxy

	for _, c := range []struct{ dimensions, query, want string }{
		{"apiproxy", "select=sum(message_count),sum(is_error),sum(policy_error),sum(target_error),sum(dc_amount)&sort=DESC&sortby=sum(message_count)",
			`[{"metrics":[{"name":"sum(message_count)","values":["5.0"]},{"name":"sum(is_error)","values":["2.0"]},{"name":"sum(policy_error)","values":["1.0"]},{"name":"sum(target_error)","values":["1.0"]},{"name":"sum(dc_amount)","values":["22.0"]}],"name":"shop"}]`},
		{"developer_app,api_product,developer_email", "select=sum(message_count)",
			`[{"individualNames":["(not set)","(not set)","(not set)"],"metrics":[{"name":"sum(message_count)","values":["1.0"]}],"name":"(not set),(not set),(not set)"},` +
				`{"individualNames":["cart","gold","ann@example.com"],"metrics":[{"name":"sum(message_count)","values":["4.0"]}],"name":"cart,gold,ann@example.com"}]`},
		{"target,response_status_code,target_response_code,shop_region,ax_edge_execution_fault_code", "select=sum(message_count)&filter=(apiproxy eq 'shop')&limit=3&offset=0",
			`[{"individualNames":["(not set)","401","(not set)","(not set)","oauth.v2.InvalidApiKey"],"metrics":[{"name":"sum(message_count)","values":["1.0"]}],"name":"(not set),401,(not set),(not set),oauth.v2.InvalidApiKey"},` +
				`{"individualNames":["backend","200","200","eu","(not set)"],"metrics":[{"name":"sum(message_count)","values":["3.0"]}],"name":"backend,200,200,eu,(not set)"},` +
				`{"individualNames":["backend","410","410","(not set)","messaging.adaptors.http.flow.ErrorResponseCode"],"metrics":[{"name":"sum(message_count)","values":["1.0"]}],"name":"backend,410,410,(not set),messaging.adaptors.http.flow.ErrorResponseCode"}]`},
	} {
		got := api.stats("environments/test/stats/"+c.dimensions, c.query)["environments"].([]any)[0].(map[string]any)
		if text, _ := json.Marshal(got["dimensions"]); got["name"] != "test" || string(text) != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.dimensions, text, c.want)
		}
	}
	series := api.stats("environments/test/stats/apiproxy", "select=sum(message_count)&timeUnit=day")
	text, _ := json.Marshal(series)
	if !strings.Contains(string(text), `"timestamp":`) || !strings.Contains(string(text), `"value":"5.0"`) {
		t.Errorf("by day: %s", text)
	}
	host, _ := json.Marshal(api.stats("hostStats/apiproxy", "select=sum(message_count)&envgroupHostname=api.example.com"))
	if !strings.Contains(string(host), `"hosts":[{"dimensions":[{"metrics":[{"name":"sum(message_count)","values":["5.0"]}],"name":"shop"}],"name":"api.example.com"}]`) {
		t.Errorf("by host: %s", host)
	}
	optimized, _ := json.Marshal(api.stats("environments/test/optimizedStats/apiproxy", "select=sum(message_count),sum(dc_amount)"))
	if !strings.Contains(string(optimized), `"stats":{"data":[{"identifier":{"names":["apiproxy"],"values":["shop"]},"metric":[{"env":"test","name":"sum(message_count)","values":[5]},{"env":"test","name":"sum(dc_amount)","values":[22]}]}]}`) {
		t.Errorf("optimized: %s", optimized)
	}
	// A collector that is deleted does not keep the proxy from running.
	api.send(http.MethodDelete, "datacollectors/dc_amount", "", http.StatusOK)
	call(t, h, "/shop/a?amount=1&apikey="+key, http.StatusOK)
}

// TestAnalyticsInterval writes with the first call, and what came since when the
// process ends.
func TestAnalyticsInterval(t *testing.T) {
	h := open(t, boot.Config{InsecureManagement: true, AnalyticsInterval: time.Hour})
	api := newAPI(t, h)
	hosttest.Deploy(t, h, "plain", []byte(plainBundle), "")
	for range 3 {
		call(t, h, "/plain", http.StatusOK)
	}
	count := func() string {
		text, _ := json.Marshal(api.stats("environments/test/stats/apiproxy", "select=sum(message_count)")["environments"])
		return string(text)
	}
	if got := count(); !strings.Contains(got, `"values":["1.0"]`) {
		t.Errorf("within the interval: %s", got)
	}
	h.Flush()
	if got := count(); !strings.Contains(got, `"values":["3.0"]`) {
		t.Errorf("at the end: %s", got)
	}
}

const plainBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/plain</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>
`

// TestNoAnalytics runs the policies where nothing is counted.
func TestNoAnalytics(t *testing.T) {
	h := open(t, boot.Config{InsecureManagement: true, NoAnalytics: true})
	api := newAPI(t, h)
	archive := strings.ReplaceAll(shopBundle, "<Step><Name>VA-Key</Name></Step>", "")
	api.post("datacollectors?dataCollectorId=dc_amount", `{"type":"INTEGER"}`)
	hosttest.Deploy(t, h, "shop", []byte(archive), hosttest.Backend(t))
	call(t, h, "/shop/a?amount=1", http.StatusOK)
	text, _ := json.Marshal(api.stats("environments/test/stats/apiproxy", "select=sum(message_count)"))
	if strings.Contains(string(text), "shop") {
		t.Errorf("counted: %s", text)
	}
	api.send(http.MethodGet, "environments/test/stats/apiproxy?select=sum(x", "", http.StatusBadRequest)
	api.send(http.MethodGet, "hostStats/apiproxy?select=sum(message_count)&timeRange="+url.QueryEscape(today()), "", http.StatusBadRequest)
}

func load(t testing.TB, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// api calls the Management API of a host.
type api struct {
	t testing.TB
	h http.Handler
}

func newAPI(t testing.TB, h *boot.Host) *api {
	t.Helper()
	handler, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	return &api{t, handler}
}

func (a *api) post(path, body string) map[string]any {
	a.t.Helper()
	return a.send(http.MethodPost, path, body, http.StatusOK, http.StatusCreated)
}

// stats asks a stats resource about today.
func (a *api) stats(path, query string) map[string]any {
	a.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		a.t.Fatal(err)
	}
	values.Set("timeRange", today())
	return a.send(http.MethodGet, path+"?"+values.Encode(), "", http.StatusOK)
}

func today() string {
	now := time.Now().UTC()
	return now.Add(-time.Hour).Format("01/02/2006 15:04") + "~" + now.Add(time.Hour).Format("01/02/2006 15:04")
}

func (a *api) send(method, path, body string, statuses ...int) map[string]any {
	a.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1/v1/organizations/org/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	for _, s := range statuses {
		if w.Code == s {
			var v map[string]any
			json.Unmarshal(w.Body.Bytes(), &v)
			return v
		}
	}
	a.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	return nil
}
