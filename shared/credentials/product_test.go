package credentials_test

import (
	"encoding/json"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// What products allow, and by which operation.
// Source: management reference, "ApiProduct"
func TestProductAllows(t *testing.T) {
	at := func(proxy, method, path string) policy.APICall {
		return policy.APICall{Environment: "test", Proxy: proxy, Method: method, Path: path, BasePath: "/v1"}
	}
	with := func(c policy.APICall, op policy.Operation) policy.APICall {
		c.Operation = op
		return c
	}
	const no = "-"
	type want struct {
		call      policy.APICall
		operation string // its name, "" for none, no if the call is not allowed
	}
	for _, test := range []struct {
		name, product string
		wants         []want
	}{
		{"anything", `{}`, []want{{at("p", "GET", ""), ""}, {at("q", "DELETE", "/../x"), ""}}},
		{"an environment", `{"environments":["prod"]}`, []want{{at("p", "GET", ""), no}}},
		{"a proxy, all paths", `{"proxies":["p","r"]}`, []want{{at("p", "GET", "/x"), ""}, {at("r", "GET", ""), ""}, {at("q", "GET", "/x"), no}}},
		{"paths of any proxy", `{"apiResources":["/a","/b/*"]}`, []want{{at("q", "GET", "/a"), ""}, {at("p", "GET", "/b/c"), ""}, {at("p", "GET", "/c"), no}, {at("p", "GET", ""), no}}},
		{"an empty group allows nothing", `{"operationGroup":{}}`, []want{{at("p", "GET", ""), no}}},
		{"services of others are no proxies", `{"operationGroup":{"operationConfigType":"remoteservice","operationConfigs":[{"apiSource":"p","operations":[{"resource":"/"}]}]}}`,
			[]want{{at("p", "GET", ""), no}}},
		{"operations", `{"operationGroup":{"operationConfigs":[
			{"apiSource":"p","operations":[{"resource":"/a","methods":["GET","put"]}]},
			{"apiSource":"p","operations":[{"resource":"/a/*"}]},
			{"apiSource":"q","operations":[{"resource":"/q/**","methods":["POST"]}]},
			{"apiSource":"r"}]}}`, []want{
			{at("p", "GET", "/a"), "/a"}, {at("p", "PUT", "/a"), "/a"}, {at("p", "POST", "/a"), no}, {at("p", "get", "/a"), no},
			{at("p", "DELETE", "/a/7"), "/a/*"}, {at("p", "GET", "/a/7/b"), no}, {at("q", "GET", "/a"), no},
			{at("q", "POST", "/q/1/2"), "/q/**"}, {at("r", "PATCH", "/what/ever"), "/"},
		}},
		{"the more inclusive operation", `{"operationGroup":{"operationConfigs":[
			{"apiSource":"p","operations":[{"resource":"/a/b"}]},
			{"apiSource":"p","operations":[{"resource":"/a/*"}]},
			{"apiSource":"p","operations":[{"resource":"/**","methods":["GET"]}]}]}}`, []want{
			{at("p", "GET", "/a/b"), "/**"}, {at("p", "PUT", "/a/b"), "/a/*"},
		}},
		{"GraphQL", `{"graphqlOperationGroup":{"operationConfigs":[
			{"apiSource":"p","operations":[{"operation":"getPet","operationTypes":["query"]}]},
			{"apiSource":"p","operations":[{"operationTypes":["MUTATION"]}]}]}}`, []want{
			{at("p", "POST", "/graphql"), no},
			{with(at("p", "POST", ""), policy.Operation{GraphQLName: "getPet", GraphQLType: "query"}), "getPet"},
			{with(at("p", "POST", ""), policy.Operation{GraphQLName: "getPets", GraphQLType: "query"}), no},
			{with(at("p", "POST", ""), policy.Operation{GraphQLName: "x", GraphQLType: "mutation"}), ""},
			{with(at("q", "POST", ""), policy.Operation{GraphQLName: "getPet", GraphQLType: "query"}), no},
		}},
		{"gRPC", `{"grpcOperationGroup":{"operationConfigs":[
			{"apiSource":"p","service":"pet.v1.Pets","methods":["Get","List"]},{"apiSource":"p","service":"pet.v1.Toys"}]}}`, []want{
			{at("p", "POST", "/pet.v1.Pets/Get"), "pet.v1.Pets"}, {at("p", "POST", "/pet.v1.Pets/Delete"), no}, {at("p", "POST", "/pet.v1.Toys/Any"), "pet.v1.Toys"},
			{at("p", "POST", "/pet.v1.Toys/"), no}, {at("p", "POST", "/pet.v1.Pets"), no},
			{policy.APICall{Environment: "test", Proxy: "p", BasePath: "/pet.v1.Pets", Path: "/List"}, "pet.v1.Pets"},
			{policy.APICall{Environment: "test", Proxy: "p", BasePath: "/pet.v1.Pets"}, no},
		}},
		{"language models", `{"llmOperationGroup":{"operationConfigs":[{"apiSource":"p","llmOperations":[{"resource":"/chat/**","methods":["POST"],"model":"small"}],"llmTokenQuota":{"limit":"5"}}]}}`, []want{
			{at("p", "POST", "/chat/x"), "/chat/**"}, {at("p", "GET", "/chat/x"), no},
			{with(at("p", "POST", "/chat/x"), policy.Operation{Model: "small"}), "/chat/**"},
			{with(at("p", "POST", "/chat/x"), policy.Operation{Model: "large"}), no},
		}},
		{"payloads", `{"payloadOperationGroup":{"operationConfigs":[{"apiSource":"p","operations":[{"operation":"tools/list"},{"operation":"tools/call/weather"}]}]}}`, []want{
			{at("p", "POST", "/mcp"), no},
			{with(at("p", "POST", "/mcp"), policy.Operation{Payload: "tools/list"}), "tools/list"},
			{with(at("p", "POST", "/mcp"), policy.Operation{Payload: "tools/call/bomb"}), no},
		}},
	} {
		api := new(apigee.GoogleCloudApigeeV1ApiProduct)
		if err := json.Unmarshal([]byte(test.product), api); err != nil {
			t.Fatal(test.name, err)
		}
		p := credentials.Compile(api)
		for _, w := range test.wants {
			got := no
			o, ok := p.Allows(&w.call)
			if ok {
				got = ""
			}
			if o != nil {
				got = o.Name
			}
			if got != w.operation {
				t.Errorf("%s: %+v: operation %q, want %q", test.name, w.call, got, w.operation)
			}
		}
	}
}
