package oasvalidation

import (
	"os"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{Resources: resources{"later.yaml": minimal, "broken.yaml": "openapi: 3.0.0\npaths: 5"}}
	}))
}

// resources are those of the environment.
type resources map[string]string

func (r resources) Resource(typ, name string) ([]byte, bool) {
	text, ok := r[name]
	return []byte(text), ok && typ == "oas"
}

const minimal = "openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths: {/a: {get: {responses: {'200': {description: ok}}}}}"

func pets(t testing.TB) *document {
	t.Helper()
	data, err := os.ReadFile("testdata/pets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := compile(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.warnings) > 0 {
		t.Fatal(doc.warnings)
	}
	return doc
}

var everything = Options{ValidateMessageBody: true, AllowUnspecifiedParameters: Unspecified{true, true, true}}

// check runs one message in the form of package policytest against a document;
// the path is the one behind the base path.
func check(t testing.TB, doc *document, o *Options, text string) string {
	t.Helper()
	m := policytest.ParseMessage(t, message.Request, []byte(text))
	r := report{}
	c := call{message: m, options: o, report: &r, verb: m.Verb, suffix: m.Path, path: "/v1" + m.Path}
	doc.request(&c)
	return r.String()
}

const pet = "POST /pets\nX-Tenant: me\nContent-Type: application/json; charset=utf-8\n\n"

func TestRequests(t *testing.T) {
	doc := pets(t)
	get := "GET /pets?q=x%s\nX-Tenant: me\n"
	for _, tt := range []struct{ request, want string }{
		// path and verb
		{"GET /nope\n", "No API path found that matches request '/v1/nope'."},
		{"PUT /pets\n", "PUT operation not allowed on path '/v1/pets'."},
		{"GET /\n", ""},
		{"GET /PETS/mine/\n", ""},
		{"GET /pets/7\n", ""},
		{"GET /pets/mine\n", ""},
		{"POST /pets/mine\n", "POST operation not allowed on path '/v1/pets/mine'."},
		// path parameters
		{"GET /pets/x\n", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"GET /pets/99999999999\n", `Value for int32 leads to overflow (found: 99999999999)`},
		{"GET /pets/7.5\n", `Instance type (number) does not match any allowed primitive type (allowed: ["integer"])`},
		{"GET /files/a.b.txt\n", `Instance value ("b.txt") not found in enum (possible values: ["txt","pdf"])`},
		{"GET /files/a.txt\n", ""},
		{"GET /files/a\n", "No API path found that matches request '/v1/files/a'."},
		{"GET /styles/.5/;matrix=1;matrix=2/3,4/r=5\n", ""},
		{"GET /styles/.x/;matrix=1;matrix=y/3,z/r=\n", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])|Instance type (string) does not match any allowed primitive type (allowed: ["integer"])|Instance type (string) does not match any allowed primitive type (allowed: ["integer"])|[Path '/r'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		// headers
		{"GET /pets?q=x\n", "Header parameter 'X-Tenant' is required on path '/pets' but not found in request."},
		{"GET /pets?q=x\nX-Tenant: m\n", `String "m" is too short (length: 1, required minimum: 2)`},
		{"GET /pets?q=x\nX-Tenant: me\nX-Tenant: you\n", `Multiple values found for parameter 'X-Tenant' but it is not an array.`},
		{"GET /pets?q=x\nX-Tenant: me\nX-Ids: 1, 2\nX-Ids: 3\n", ""},
		{"GET /pets?q=x\nX-Tenant: me\nX-Ids: 1, b\n", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		// query parameters
		{"GET /pets\nX-Tenant: me\n", "Query parameter 'q' is required on path '/pets' but not found in request."},
		{"GET /pets?q=\nX-Tenant: me\n", "Parameter 'q' is required but is missing."},
		{"GET /pets?q=a1\nX-Tenant: me\n", `ECMA 262 regex "^[a-z]+$" does not match input string "a1"`},
		{"GET /pets?q=a&q=b\nX-Tenant: me\n", `Multiple values found for parameter 'q' but it is not an array.`},
		{"&limit=0", `Numeric instance is lower than the required minimum (minimum: 1, found: 0)`},
		{"&limit=101", `Numeric instance is greater than the required maximum (maximum: 100, found: 101)`},
		{"&limit=ten", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"&limit=1e1", ""},
		{"&limit=1e999999999", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"&tags=a", "Parameter 'tags' accepts a minimum of 2 items. Found 1."},
		{"&tags=a&tags=b", ""},
		{"&tags=a&tags=b&tags=c&tags=a", "Parameter 'tags' accepts a maximum of 3 items. Found 4.|Parameter 'tags' does not allow duplicate values."},
		{"&tags=a&tags=x", `Instance value ("x") not found in enum (possible values: ["a","b","c"])`},
		{"&ids=1,2,3", ""},
		{"&ids=1,%32,x", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"&ids=1&ids=2", `Parameter 'ids' expected an array style of 'form' [explode=false].`},
		{"&pipe=1|2.5%7C3", ""},
		{"&pipe=1|b", `Instance type (string) does not match any allowed primitive type (allowed: ["number"])`},
		{"&space=true%20false+true", ""},
		{"&space=true%201", `Instance type (string) does not match any allowed primitive type (allowed: ["boolean"])`},
		{"&filter[name]=x&filter[age]=5", ""},
		{"&filter[age]=old", `Object has missing required properties (["name"])|[Path '/age'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"&filter[name]=x&filter[b]=5", `Object instance has properties which are not allowed by the schema: ["b"]`},
		{"&size=5&sort=a&sort=b", ""},
		{"&size=x", `[Path '/size'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"&point=x,1,y,2", ""},
		{"&point=x,1", `Object has missing required properties (["y"])`},
		{"&where=%7B%22op%22:1%7D", ""},
		{"&where=%7B%7D", `Object has missing required properties (["op"])`},
		{"&where=%7B", `Unable to parse JSON - Expecting a name or } at line 1.`},
		{"&flag=", ""},
		{"&flag=yes", `Instance type (string) does not match any allowed primitive type (allowed: ["boolean"])`},
		{"&other=1&apikey=k", ""},
		// cookies
		{"GET /pets?q=x\nX-Tenant: me\nCookie: a=b; session=0b5bd09e-1d7e-4f7a-8a51-3d0d6e4c1b52\n", ""},
		{"GET /pets?q=x\nX-Tenant: me\nCookie: session=nope\n", `Input string "nope" is not a valid UUID`},
		// bodies
		{"POST /pets\nX-Tenant: me\n", "A request body is required but none found."},
		{"DELETE /pets\nX-Tenant: me\n\nx", "No request body is expected but one was found."},
		{"POST /pets\nX-Tenant: me\nContent-Type: text/xml\n\n<a/>", "Request Content-Type header 'text/xml' does not match any allowed types. Must be one of: [application/json]."},
		{"POST /pets\nX-Tenant: me\nContent-Type: ;\n\n<a/>", "Request Content-Type header ';' is not a valid media type"},
		{"POST /pets\nX-Tenant: me\n\n{}", "Request Content-Type header '' does not match any allowed types. Must be one of: [application/json]."},
		{pet + `{`, "Unable to parse JSON - Expecting a name or } at line 1."},
		{pet + `{} x`, "Unable to parse JSON - Expecting end of input at line 1."},
		{pet + `{}`, `Object has missing required properties (["name","secret"])`},
		{pet + `[]`, `Instance type (array) does not match any allowed primitive type (allowed: ["object"])`},
		{pet + `null`, `Instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		{"POST /form\nContent-Type: application/x-www-form-urlencoded\n\nname=Ann&age=5&tags=a&tags=b", ""},
		{"POST /form\nContent-Type: application/x-www-form-urlencoded\n\nage=x", `Object has missing required properties (["name"])|[Path '/age'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"POST /form\nContent-Type: text/plain\n\n12", ""},
		{"POST /form\nContent-Type: text/plain\n\nx", `Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"POST /form\nContent-Type: image/png\n\nx", ""},
		{"POST /form\nContent-Type: application/json\n\nx", ""},
		{"POST /form\n", ""},
		{"POST /shapes\nContent-Type: application/json\n\n" + `{"side":2}`, ""},
		{"POST /shapes\nContent-Type: application/json\n\n" + `{"radius":1,"side":2}`, "Instance failed to match exactly one schema (matched 2)"},
		{"POST /shapes\nContent-Type: application/json\n\n" + `{}`, `Instance failed to match exactly one schema (matched 0 out of 2)`},
		{"POST /animals\nContent-Type: application/json\n\n" + `{"type":"cat","lives":9}`, ""},
		{"POST /animals\nContent-Type: application/json\n\n" + `{"type":"Dog","bark":"woof"}`, ""},
		{"POST /animals\nContent-Type: application/json\n\n" + `{"type":"Animal"}`, ""},
		{"POST /animals\nContent-Type: application/json\n\n" + `{"type":"Dog"}`, "Instance failed to match at least one required schema among 4"},
		{"POST /animals\nContent-Type: application/json\n\n" + `{"type":"Fish"}`, "Instance failed to match at least one required schema among 4"},
	} {
		request := tt.request
		if strings.HasPrefix(request, "&") {
			request = strings.Replace(get, "%s", request, 1)
		}
		want := "[]"
		if tt.want != "" {
			want = "[ERROR - " + strings.ReplaceAll(tt.want, "|", ": [], ERROR - ") + ": []]"
		}
		got := check(t, doc, &everything, request)
		if i := strings.Index(got, ": [/"); i >= 0 { // alternatives are tested below
			got = got[:i] + ": []]"
		}
		if got != want {
			t.Errorf("%q\ngot  %s\nwant %s", request, got, want)
		}
	}
}

func TestBodies(t *testing.T) {
	doc := pets(t)
	for _, tt := range []struct{ members, want string }{
		{`"tag":null,"kind":null,"parent":null`, ""},
		{`"name":null`, `[Path '/name'] Instance type (null) does not match any allowed primitive type (allowed: ["string"])`},
		{`"tag":5`, `[Path '/tag'] Instance type (integer) does not match any allowed primitive type (allowed: ["null","string"])`},
		{`"kind":"fish"`, `[Path '/kind'] Instance value ("fish") not found in enum (possible values: ["cat","dog",null])`},
		{`"name":"a far too long name"`, `[Path '/name'] String "a far too long name" is too long (length: 19, maximum allowed: 10)`},
		{`"weight":0`, `[Path '/weight'] Numeric instance is not strictly greater than the required minimum 0`},
		{`"weight":0.7`, `[Path '/weight'] Remainder of division is not zero (0.7 / 0.5)`},
		{`"born":"2026-02-30"`, `[Path '/born'] String "2026-02-30" is invalid against requested date format(s) yyyy-MM-dd`},
		{`"seen":"yesterday"`, `[Path '/seen'] String "yesterday" is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]`},
		{`"seen":"1996-12-19T16:39:57-08:00"`, ""},
		{`"mail":"x"`, `[Path '/mail'] String "x" is not a valid email address`},
		{`"site":"://"`, `[Path '/site'] String "://" is not a valid URI`},
		{`"addr":"1.2.3"`, `[Path '/addr'] String "1.2.3" is not a valid IPv4 address`},
		{`"data":"!"`, `[Path '/data'] Not a valid base64 string`},
		{`"data":"aGk="`, ""},
		{`"small":2147483648`, `[Path '/small'] Value for int32 leads to overflow (found: 2147483648)`},
		{`"small":1e400`, `[Path '/small'] Value for int32 leads to overflow (found: 1e400)`},
		{`"next":{"name":"b"}`, `[Path '/next'] Object has missing required properties (["secret"])`},
		{`"next":{"name":"b","secret":"s","next":{"name":5,"secret":"s"}}`, `[Path '/next/next/name'] Instance type (integer) does not match any allowed primitive type (allowed: ["string"])`},
		{`"code":"abc1"`, ""},
		{`"code":"abc"`, `[Path '/code'] ECMA 262 regex "^(?=.*\d)[a-z\d]+$" does not match input string "abc"`},
		{`"sizes":[1,2,3]`, `[Path '/sizes'] Array is too long: must have at most 2 elements but instance has 3 elements`},
		{`"sizes":["x"]`, `[Path '/sizes/0'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{`"extra":{"a":1,"c":2,"b":3}`, `[Path '/extra'] Object instance has properties which are not allowed by the schema: ["b","c"]`},
		{`"map":{}`, `[Path '/map'] Object has too few properties (found 0 but schema requires at least 1)`},
		{`"map":{"a":1,"b/c":"x","~":2}`, `[Path '/map'] Object has too many properties (found 3 but schema requires at most 2): [], ERROR - [Path '/map/b~1c'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{`"not":"x"`, `[Path '/not'] Instance matched a schema which it should not have`},
		{`"unknown":1`, ""},
		{`"id":"x"`, `[Path '/id'] Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
	} {
		want := "[]"
		if tt.want != "" {
			want = "[ERROR - " + tt.want + ": []]"
		}
		body := `{"name":"a","secret":"s",` + tt.members + `}`
		if got := check(t, doc, &everything, pet+body); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
}

func TestAlternatives(t *testing.T) {
	doc := pets(t)
	got := check(t, doc, &everything, "POST /shapes\nContent-Type: application/json\n\n{}")
	want := `[ERROR - Instance failed to match exactly one schema (matched 0 out of 2): [/oneOf/0: Object has missing required properties (["radius"]), /oneOf/1: Object has missing required properties (["side"])]]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = check(t, doc, &everything, pet+`{"name":"a","secret":"s","parent":{"name":"b"}}`)
	if !strings.HasPrefix(got, "[ERROR - [Path '/parent'] Instance failed to match at least one required schema among 2: [/anyOf/0: ") {
		t.Error(got)
	}
}

func TestUnspecified(t *testing.T) {
	doc := pets(t)
	strict := &Options{}
	for request, want := range map[string]string{
		"GET /pets?q=x&limit=5&filter[name]=x&size=5&apikey=k\nX-Tenant: me\nX-Api-Key: k\nHost: h\nUser-Agent: u\nX-Forwarded-For: a\nX-Ids: 1\nCookie: session=0b5bd09e-1d7e-4f7a-8a51-3d0d6e4c1b52\n": "[]",
		"GET /pets?q=x&other=5\nX-Tenant: me\nX-Other: a\nCookie: other=1\n": `[ERROR - Query parameter 'other' is unexpected on path "/pets": [], ERROR - Header parameter 'X-Other' is unexpected on path "/pets": [], ERROR - Cookie parameter 'other' is unexpected on path "/pets": []]`,
		// The body is not looked at, except that it has to be there.
		pet + `{"name":5}`:                "[]",
		"POST /pets\nX-Tenant: me\n":      "[ERROR - A request body is required but none found.: []]",
		"DELETE /pets\nX-Tenant: me\n\nx": "[]",
	} {
		if got := check(t, doc, strict, request); got != want {
			t.Errorf("%q\ngot  %s\nwant %s", request, got, want)
		}
	}
}

func TestResponses(t *testing.T) {
	doc := pets(t)
	for _, tt := range []struct{ verb, response, want string }{
		{"GET", "200 OK\nX-Total: 1\nX-Kinds: a, b\nContent-Type: application/json\n\n" + `[{"id":1,"name":"a"}]`, ""},
		{"GET", "200 OK\nX-Total: many\nContent-Type: application/json\n\n" + `[{"name":"a"}]`, `[Path '/0'] Object has missing required properties (["id"])|Instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		{"GET", "200 OK\nContent-Type: application/json\n\n[]", "Header 'X-Total' is expected on path '/pets' but not found in response."},
		{"GET", "200 OK\nX-Total: 1\n", "GET on path '/pets' defines a response schema but no response body found."},
		{"GET", "200 OK\nX-Total: 1\nContent-Type: text/html\n\nx", "Response Content-Type header 'text/html' does not match any allowed types. Must be one of: [application/json]."},
		{"GET", "204 No Content\n", ""},
		{"GET", "404 Not Found\nContent-Type: application/problem+json\n\n{}", `Object has missing required properties (["title"])`},
		{"GET", "500 Internal Server Error\n", "Response status 500 not defined for path '/pets'."},
		{"POST", "500 Internal Server Error\nContent-Type: application/json\n\n" + `{"id":1,"name":"a"}`, ""},
		{"PUT", "200 OK\n", "PUT operation not allowed on path '/v1/pets'."},
	} {
		m := policytest.ParseMessage(t, message.Response, []byte(tt.response))
		r := report{}
		doc.response(&call{message: m, options: &everything, report: &r, verb: tt.verb, suffix: "/pets", path: "/v1/pets"})
		want := "[]"
		if tt.want != "" {
			want = "[ERROR - " + strings.ReplaceAll(tt.want, "|", ": [], ERROR - ") + ": []]"
		}
		if got := r.String(); got != want {
			t.Errorf("%q\ngot  %s\nwant %s", tt.response, got, want)
		}
	}
}

// A document of OpenAPI 3.1 has the schemas of JSON Schema 2020-12.
func Test31(t *testing.T) {
	doc, err := compile([]byte(`{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/a":{"post":{
"parameters":[{"name":"n","in":"query","schema":{"type":["integer","null"],"exclusiveMinimum":3}}],
"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A","description":"beside"}}}},
"responses":{"200":{"description":"ok"}}}}},
"components":{"schemas":{"A":{"type":"object","properties":{
"c":{"const":"x"},"t":{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":false},"u":{"type":["string","null"]},"r":{"type":"string","readOnly":true},
"if":{"if":{"type":"string"},"then":{"minLength":2}}},"required":["u","r"],"unevaluatedProperties":false}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	post := "POST /a?n=4\nContent-Type: application/json\n\n"
	for request, want := range map[string]string{
		post + `{"u":null,"c":"x","t":["a",1],"if":"ab"}`: "[]",
		post + `{}`:                       `[ERROR - Object has missing required properties (["u"]): []]`,
		post + `{"u":1}`:                  `[ERROR - [Path '/u'] Instance type (integer) does not match any allowed primitive type (allowed: ["null","string"]): []]`,
		post + `{"u":null,"c":"y"}`:       `[ERROR - [Path '/c'] Instance value ("y") is not the constant "x": []]`,
		post + `{"u":null,"if":"a"}`:      `[ERROR - [Path '/if'] String "a" is too short (length: 1, required minimum: 2): []]`,
		post + `{"u":null,"t":["a",1,2]}`: `[ERROR - [Path '/t/2'] False schema: []]`,
		post + `{"u":null,"z":1}`:         `[ERROR - [Path '/z'] False schema: []]`,
		"POST /a?n=3\nContent-Type: application/json\n\n" + `{"u":"s"}`:    `[ERROR - Numeric instance is not strictly greater than the required minimum 3: []]`,
		"POST /a?n=null\nContent-Type: application/json\n\n" + `{"u":"s"}`: "[]",
	} {
		if got := check(t, doc, &everything, request); got != want {
			t.Errorf("%q\ngot  %s\nwant %s", request, got, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	head := "openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths:\n  /a:\n    post:\n      responses: {'200': {description: ok}}\n      requestBody:\n        content:\n          application/json:\n            schema: "
	for doc, want := range map[string]string{
		"":                               "document is no object",
		"[]":                             "document is no object",
		"{":                              "parse JSON",
		"a: b: c":                        "parse YAML",
		"swagger: '2.0'":                 "neither 3.0 nor 3.1",
		"openapi: 3.2.0":                 "neither 3.0 nor 3.1",
		"openapi: 3.0.0\npaths: 5":       "paths",
		head + "{$ref: 'other.yaml#/a'}": "leaves the document",
		head + "{$ref: 'http://169.254.169.254/a'}":  "leaves the document",
		head + "{$ref: 'file:///etc/passwd'}":        "leaves the document",
		head + "{$ref: '#/components/schemas/None'}": "components",
		head + "{type: string, pattern: '('}":        "schema",
		head + "{type: strange}":                     "schema",
		head + "{minProperties: -1}":                 "minProperties",
	} {
		if _, err := compile([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
	}
}

// What of a document is not as the specification has it, but can be read.
func TestWarnings(t *testing.T) {
	operation := func(members string) string {
		return `{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/a/{id}":{"parameters":[{"name":"id","in":"path","required":true,"schema":{}}],"get":{` + members + `}}}}`
	}
	ok := `"responses":{"200":{"description":"ok"}}`
	for doc, want := range map[string]string{
		operation(ok): "",
		operation(ok + `,"x-own":{"responses":5}`):                                                      "",
		operation(ok + `,"summery":"s"`):                                                                `[Path '/paths/~1a~1{id}/get'] Object instance has properties which are not allowed by the schema: ["summery"]`,
		operation(`"responses":{"200":{}}`):                                                             `[Path '/paths/~1a~1{id}/get/responses/200'] Object has missing required properties (["description"])`,
		operation(`"responses":{"OK":{}}`):                                                              `[Path '/paths/~1a~1{id}/get/responses'] Invalid propertyName 'OK'`,
		operation(`"tags":[]`):                                                                          `GET /a/{id} has no responses`,
		operation(ok + `,"parameters":[{"name":"id","in":"path","schema":{}}]`):                         `[Path '/paths/~1a~1{id}/get/parameters/0'] Object has missing required properties (["required"])`,
		operation(ok + `,"parameters":[{"name":"x","in":"path","required":true,"schema":{}}]`):          `GET /a/{id} declares a path parameter "x" that its path has not`,
		operation(ok + `,"parameters":[{"name":"x","in":"body","schema":{}}]`):                          `[Path '/paths/~1a~1{id}/get/parameters/0/in'] Instance value ("body") not found in enum (possible values: ["path","query","header","cookie"])`,
		`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/{id}":{"get":{` + ok + `}}}}`: `GET /{id} does not declare its path parameter "id"`,
		`{"openapi":"3.0.0","info":{"title":"t","version":"1"}}`:                                        `Object has missing required properties (["paths"])`,
		operation(`"responses":{"200":{"description":"ok","content":{"text/plain":null}}}`):             `[Path '/paths/~1a~1{id}/get/responses/200/content/text~1plain'] Instance type (null) does not match any allowed primitive type (allowed: ["object"])`,
		`{"openapi":"3.1.0","info":{"title":"t","version":"1"}}`:                                        "",
		`{"openapi":"3.0.0","info":{"title":"t"},"paths":{}}`:                                           `[Path '/info'] Object has missing required properties (["version"])`,
		`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"a":{}}}`:                       `[Path '/paths'] Invalid propertyName 'a'`,
		`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{},"components":{"securitySchemes":{"k":{"type":"apiKey","in":"query"}}}}`:           `[Path '/components/securitySchemes/k'] Object has missing required properties (["name"])`,
		`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"operationId":"x",` + ok + `},"put":{"operationId":"x",` + ok + `}}}}`: `GET /a and PUT /a have the same operationId "x"`,
	} {
		d, err := compile([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
		} else if got := strings.Join(d.warnings, "|"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", doc, got, want)
		}
	}
}

// A body that attacks is refused without being calculated with.
func TestBounded(t *testing.T) {
	doc := pets(t)
	for name, body := range map[string]string{
		"depth":    strings.Repeat(`{"next":`, 501) + "1" + strings.Repeat("}", 501),
		"exponent": `{"name":"a","secret":"s","weight":1e400000000}`,
		"digits":   `{"name":"a","secret":"s","weight":` + strings.Repeat("9", 2000) + `}`,
	} {
		if got := check(t, doc, &everything, pet+body); !strings.HasPrefix(got, "[ERROR - Unable to parse JSON - ") {
			t.Errorf("%s: %s", name, got)
		}
	}
	// A pattern that needs backtracking does not hang.
	slow, err := compile([]byte(`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"parameters":[{"name":"q","in":"query","schema":{"type":"string","pattern":"^(?=a)(a+)+$"}}],"responses":{"200":{"description":"ok"}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := check(t, slow, &everything, "GET /a?q="+strings.Repeat("a", 60)+"!\n"); !strings.Contains(got, "does not match") {
		t.Error(got)
	}
	// Many mistakes are not all told.
	if got := check(t, doc, &everything, pet+`{"name":"a","secret":"s","sizes":[`+strings.Repeat(`"x",`, 10_000)+`1]}`); strings.Count(got, "ERROR") != maxFindings {
		t.Errorf("%d mistakes", strings.Count(got, "ERROR"))
	}
}

func BenchmarkRun(b *testing.B) {
	data, err := os.ReadFile("testdata/pets.yaml")
	if err != nil {
		b.Fatal(err)
	}
	p := policytest.Compile(b, Kind, `<OASValidation name="OAS-1"><OASResource>oas://pets.yaml</OASResource><Options><ValidateMessageBody>true</ValidateMessageBody></Options></OASValidation>`,
		policy.Services{}, &bundle.Resource{Type: "oas", Name: "pets.yaml", Data: data})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/pets\nX-Tenant: me\nContent-Type: application/json\n\n" + `{"name":"Rex","secret":"s","kind":"dog","weight":7.5,"next":{"name":"Tom","secret":"t"}}`})
}

func BenchmarkParameters(b *testing.B) {
	doc := pets(b)
	m := policytest.ParseMessage(b, message.Request, []byte("GET /pets?q=x&limit=5&tags=a&tags=b\nX-Tenant: me\n"))
	b.ReportAllocs()
	for b.Loop() {
		r := report{}
		doc.request(&call{message: m, options: &everything, report: &r, verb: "GET", suffix: "/pets", path: "/v1/pets"})
		if len(r.messages) > 0 {
			b.Fatal(r.String())
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	data, err := os.ReadFile("testdata/pets.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compile(data); err != nil {
			b.Fatal(err)
		}
	}
}
