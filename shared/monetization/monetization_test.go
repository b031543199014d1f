package monetization_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/monetization"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

const proxy = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow"><Request><Step><Name>VA</Name></Step><Step><Name>MLC</Name></Step><Step><Name>AM</Name></Step></Request></PreFlow>
  <HTTPProxyConnection><BasePath>/paid</BasePath></HTTPProxyConnection>
  <RouteRule name="none"/>
</ProxyEndpoint>
-- apiproxy/policies/VA.xml --
<VerifyAPIKey name="VA"><APIKey ref="request.queryparam.apikey"/></VerifyAPIKey>
-- apiproxy/policies/MLC.xml --
<MonetizationLimitsCheck name="MLC"/>
-- apiproxy/policies/AM.xml --
<AssignMessage name="AM"><AssignTo type="response" createNew="true"/><Set><Payload contentType="text/plain">{mint.mintng_is_apiproduct_monetized} {mint.limitscheck.purchased_product_name} {mint.limitscheck.prepaid_developer_balance} {mint.limitscheck.prepaid_developer_currency}</Payload></Set><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></AssignMessage>
`

type stack struct {
	t       *testing.T
	host    *boot.Host
	api     http.Handler
	gateway http.Handler
}

func start(t *testing.T) *stack {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(proxy)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "o", Store: enginestest.Place(), Keystore: "memory:", AnyHost: true, InsecureManagement: true, Refresh: time.Nanosecond, LogFormat: "text", LogLevel: "error",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	live, err := h.DeployBundle(t.Context(), "test", dir)
	if err != nil || len(live.Warnings) > 0 {
		t.Fatal(live, err)
	}
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	return &stack{t, h, api, h.GatewayHandler()}
}

// do calls the Management API, which must answer with the status, and returns the
// text of a field of the answer.
func (s *stack) do(status int, method, path, body, field string) string {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1/v1/organizations/o/"+path, strings.NewReader(body)))
	if w.Code != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if field == "" {
		return w.Body.String()
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprint(answer[field])
}

// call calls the proxy until its answer is want: instances learn of changes beside
// a call.
func (s *stack) call(key, want string) {
	s.t.Helper()
	got := ""
	for range 200 {
		w := httptest.NewRecorder()
		s.gateway.ServeHTTP(w, httptest.NewRequest("GET", "http://api.example.com/paid?apikey="+key, nil))
		if got = fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String())); got == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("got %s, want %s", got, want)
}

func blocked(reason string) string {
	return `403 {"fault":{"faultstring":"Request is blocked: ` + reason + `","detail":{"errorcode":"` + reason + `"}}}`
}

// TestLimits takes a developer and an app group through a product's becoming
// monetized, their subscriptions and their balances.
func TestLimits(t *testing.T) {
	s := start(t)
	s.do(200, "POST", "apiproducts", `{"name":"gold","displayName":"Gold","approvalType":"auto"}`, "")
	s.do(200, "POST", "developers", `{"email":"a@example.com","firstName":"A","lastName":"B","userName":"a"}`, "")
	s.do(200, "POST", "developers/a@example.com/apps", `{"name":"app"}`, "")
	s.do(200, "POST", "developers/a@example.com/apps/app/keys/create", `{"consumerKey":"k1","consumerSecret":"s1"}`, "")
	s.do(200, "POST", "developers/a@example.com/apps/app/keys/k1", `{"apiProducts":["gold"]}`, "")
	s.do(200, "POST", "appgroups", `{"name":"partners","channelId":"c"}`, "")
	s.do(200, "POST", "appgroups/partners/apps", `{"name":"kiosk"}`, "")
	s.do(200, "POST", "appgroups/partners/apps/kiosk/keys", `{"consumerKey":"k2","consumerSecret":"s2"}`, "")
	s.do(200, "POST", "appgroups/partners/apps/kiosk/keys/k2", `{"apiProducts":["gold"]}`, "")

	s.call("k1", "200 false")
	plan := s.do(200, "POST", "apiproducts/gold/rateplans", `{"apiproduct":"gold","displayName":"Monthly","currencyCode":"EUR","state":"DRAFT","startTime":"1000"}`, "name")
	s.call("k1", "200 false")
	s.do(200, "PUT", "apiproducts/gold/rateplans/"+plan, `{"apiproduct":"gold","displayName":"Monthly","currencyCode":"EUR","state":"PUBLISHED","startTime":"1000"}`, "")

	for _, payer := range []struct{ key, path, list string }{
		{"k1", "developers/a@example.com", "developerSubscriptions"},
		{"k2", "appgroups/partners", "appGroupSubscriptions"},
	} {
		s.call(payer.key, blocked("mint.service.subscription_not_found_for_developer"))
		s.do(404, "POST", payer.path+"/subscriptions", `{"apiproduct":"none"}`, "")
		s.do(400, "POST", payer.path+"/subscriptions", `{}`, "")
		name := s.do(200, "POST", payer.path+"/subscriptions", `{"apiproduct":"gold"}`, "name")
		s.do(409, "POST", payer.path+"/subscriptions", `{"apiproduct":"gold"}`, "")
		s.call(payer.key, "200 true gold")
		if got := s.do(200, "GET", payer.path+"/subscriptions", "", payer.list); !strings.Contains(got, name) {
			t.Errorf("%s lacks %s", got, name)
		}
		if got := s.do(200, "GET", payer.path+"/subscriptions/"+name, "", "apiproduct"); got != "gold" {
			t.Error(got)
		}

		if got := s.do(200, "GET", payer.path+"/monetizationConfig", "", "billingType"); got != "POSTPAID" {
			t.Error(got)
		}
		s.do(400, "PUT", payer.path+"/monetizationConfig", `{"billingType":"NEVER"}`, "")
		s.do(200, "PUT", payer.path+"/monetizationConfig", `{"billingType":"PREPAID"}`, "")
		s.call(payer.key, blocked("mint.service.developer_usage_exceeds_balance"))
		s.do(200, "POST", payer.path+"/balance:credit", `{"transactionAmount":{"currencyCode":"USD","units":"5"},"transactionId":"t0"}`, "")
		s.call(payer.key, blocked("mint.service.developer_usage_exceeds_balance"))
		for range 2 { // counts once
			s.do(200, "POST", payer.path+"/balance:credit", `{"transactionAmount":{"currencyCode":"EUR","units":"12","nanos":500000000},"transactionId":"t1"}`, "")
		}
		s.call(payer.key, "200 true gold 12.5 EUR")
		s.do(200, "POST", payer.path+"/balance:adjust", `{"adjustment":{"currencyCode":"EUR","units":"12","nanos":500000000}}`, "")
		s.call(payer.key, blocked("mint.service.developer_usage_exceeds_balance"))
		if got := s.do(200, "GET", payer.path+"/balance", "", "wallets"); !strings.Contains(got, "EUR") || !strings.Contains(got, "USD") {
			t.Error(got)
		}
		s.do(200, "POST", payer.path+"/balance:adjust", `{"adjustment":{"currencyCode":"EUR","units":"-1"}}`, "")
		s.call(payer.key, "200 true gold 1 EUR")

		s.do(200, "POST", payer.path+"/subscriptions/"+name+":expire", `{}`, "")
		s.do(400, "POST", payer.path+"/subscriptions/"+name+":expire", `{}`, "")
		s.call(payer.key, blocked("mint.service.subscription_not_found_for_developer"))
		s.do(200, "POST", payer.path+"/subscriptions", `{"apiproduct":"gold"}`, "")
		s.call(payer.key, "200 true gold 1 EUR")
	}

	// What a developer had goes with it; what others have stays.
	s.do(200, "DELETE", "developers/a@example.com", "", "")
	s.do(404, "GET", "developers/a@example.com/balance", "", "")
	left := 0
	for _, collection := range []string{"subscriptions", "accounts"} {
		for _, err := range s.host.Store.Query(t.Context(), store.Query{Collection: collection}) {
			if err != nil {
				t.Fatal(err)
			}
			left++
		}
	}
	if left != 3 { // two subscriptions and the account of the app group
		t.Errorf("%d documents are left, want 3", left)
	}
	s.call("k2", "200 true gold 1 EUR")
	s.do(200, "DELETE", "apiproducts/gold/rateplans/"+plan, "", "")
	s.call("k2", "200 false")
}

// TestFailsClosed is that who nobody knows, and who cannot be looked up, is no
// caller without limits.
func TestFailsClosed(t *testing.T) {
	st := store.New(enginestest.Memory(t))
	s := monetization.New(registry.New(st, nil), "o")
	for _, caller := range []*flow.Caller{nil, {}, {Product: "p"}, {Developer: "d"}} {
		if l, err := s.Limits(context.Background(), caller); err == nil {
			t.Errorf("%+v: %+v", caller, l)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Limits(context.Background(), &flow.Caller{Product: "p", Developer: "d"}); err == nil {
		t.Errorf("without a store: %+v", l)
	}
}

func BenchmarkLimits(b *testing.B) {
	st := store.New(enginestest.Memory(b))
	b.Cleanup(func() { _ = st.Close() })
	s := monetization.New(registry.New(st, nil), "o")
	caller := &flow.Caller{Product: "p", Developer: "d"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Limits(b.Context(), caller); err != nil {
			b.Fatal(err)
		}
	}
}
