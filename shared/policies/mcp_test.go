package policies_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/counter/countertest"
	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/vault"
)

// TestMCP has a product with two tools and a quota for each: what a key may call and
// how often depends on the body, which ParsePayload reads.
// Source: https://cloud.google.com/apigee/docs/api-platform/apigee-mcp/manage-mcp-tool-access
func TestMCP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	quotas, _ := countertest.New(t, time.Now)
	e := gatewayFor(t, server, policy.Services{Quotas: quotas, Credentials: mcpKeys(t)}, map[string]string{
		"PP-MCP": `<ParsePayload name="PP-MCP"><Source>request</Source><PayloadType>JSON-RPC-2.0</PayloadType><Protocol>MCP</Protocol></ParsePayload>`,
		"VA-Key": `<VerifyAPIKey name="VA-Key"><APIKey ref="request.header.x-apikey"/></VerifyAPIKey>`,
		"Q-Tool": `<Quota name="Q-Tool"><UseQuotaConfigInAPIProduct stepName="VA-Key"/><Distributed>true</Distributed><Synchronous>true</Synchronous></Quota>`,
	}, `PP-MCP VA-Key?parsepayload.PP-MCP.json-rpc.request.method~StartsWith~"tools/" Q-Tool?parsepayload.PP-MCP.operation~StartsWith~"tools/"`, "", "")
	call := func(method, tool string) string {
		fc := flow.New(e.Info, time.Now)
		fc.Request.Verb, fc.Request.Path = "POST", "/llm"
		fc.Request.Header.Add("X-APIKey", "good")
		fc.Request.SetContent(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":%q,"params":{"name":%q}}`, method, tool))
		m := e.Run(t.Context(), fc)
		fc.Drain(t.Context())
		if fc.Fault == nil {
			return fmt.Sprint(m.Status)
		}
		return fmt.Sprint(m.Status, " ", fc.Fault.ShortName())
	}
	for _, tt := range []struct{ method, tool, want string }{
		{"initialize", "", "200"},
		{"tools/list", "", "200"},
		{"tools/call", "get_weather", "200"},
		{"tools/call", "get_weather", "200"},
		{"tools/call", "get_weather", "429 QuotaViolation"},
		{"tools/call", "get_forecast", "200"},
		{"tools/call", "get_forecast", "429 QuotaViolation"},
		{"tools/list", "", "200"},
		{"tools/call", "delete_all", "401 InvalidApiKeyForGivenResource"},
		{"tools/call", "", "400 InvalidPayload"},
	} {
		if got := call(tt.method, tt.tool); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.tool, got, tt.want)
		}
	}
}

// mcpKeys knows the key "good", of a product with two tools.
func mcpKeys(t *testing.T) policy.Credentials {
	t.Helper()
	driver, err := embedded.Memory()
	check := func(err error) {
		if t.Helper(); err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	r := registry.New(store.New(driver), vault.New(memory.New()))
	check(r.EnsureOrganization(t.Context(), "org"))
	config := func(operation, limit string) *apigee.GoogleCloudApigeeV1PayloadOperationConfig {
		return &apigee.GoogleCloudApigeeV1PayloadOperationConfig{
			ApiSource: "p", Operations: []*apigee.GoogleCloudApigeeV1PayloadOperation{{Operation: operation}},
			Quota: &apigee.GoogleCloudApigeeV1Quota{Limit: limit, Interval: "1", TimeUnit: "day"},
		}
	}
	product := &apigee.GoogleCloudApigeeV1ApiProduct{Name: "tools", PayloadOperationGroup: &apigee.GoogleCloudApigeeV1PayloadOperationGroup{
		OperationConfigs: []*apigee.GoogleCloudApigeeV1PayloadOperationConfig{config("tools/call/get_weather", "2"), config("tools/call/get_forecast", "1"), config("tools/list", "9")},
	}}
	check(r.Products.Create(t.Context(), product, "org", product.Name))
	dev := &apigee.GoogleCloudApigeeV1Developer{Email: "ada@example.com", FirstName: "Ada", LastName: "L", UserName: "ada"}
	check(r.CreateDeveloper(t.Context(), "org", dev))
	key, err := r.NewCredential(t.Context(), "org", entity.KeyPair{Key: "good", Secret: strings.Repeat("s", 16)}, &apigee.GoogleCloudApigeeV1Credential{
		ExpiresAt: entity.Never, ApiProducts: []*apigee.GoogleCloudApigeeV1ApiProductRef{{Apiproduct: product.Name, Status: entity.Approved}},
	})
	check(err)
	check(r.CreateApp(t.Context(), "org", &entity.App{
		Profile: &apigee.GoogleCloudApigeeV1App{Name: "agent", DeveloperId: dev.DeveloperId}, Credentials: []*entity.Credential{key},
	}))
	return credentials.New(r, "org")
}
