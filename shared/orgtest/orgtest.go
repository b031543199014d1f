// Package orgtest fills organizations for tests, over a Management API: at least
// one of everything that can be configured, with the cases that are easily lost
// (pages, odd names, several keys, statuses).
package orgtest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// Entries is the number of entries of the map "settings" of the environment
// test: more than one page.
const Entries = 230

// Host leads to the environment test, where /hello answers Greeting.
const (
	Host     = "api.example.com"
	Path     = "/hello"
	Greeting = "hello v2, entry value 7"
)

// Key is the consumer key that Path asks for, as the parameter apikey.
const Key = "key-of-ann-1"

// Fill makes an organization. It must not exist.
func Fill(t testing.TB, api *apiclient.Client, org string) {
	t.Helper()
	FillWith(t, api, org, Entries)
}

// FillWith is Fill with another number of entries, at least 8, for tests that do
// much with each.
func FillWith(t testing.TB, api *apiclient.Client, org string, entries int) {
	t.Helper()
	f := &filler{t: t, api: api, org: org, entries: entries}
	f.json("POST", "", nil, map[string]any{"name": org, "displayName": "The " + org})
	for _, env := range []string{"test", "prod"} {
		f.json("POST", "environments", nil, map[string]any{
			"name": env, "displayName": env, "description": "environment " + env,
			"properties": map[string]any{"property": []map[string]string{{"name": "purpose", "value": env}}},
		})
	}
	f.json("POST", "envgroups", nil, map[string]any{"name": "default", "hostnames": []string{Host, "alias.example.com"}})
	f.json("POST", "envgroups", nil, map[string]any{"name": "live", "hostnames": []string{"live.example.com"}})
	f.json("POST", "envgroups/default/attachments", nil, map[string]any{"environment": "test"})
	f.json("POST", "envgroups/live/attachments", nil, map[string]any{"environment": "prod"})
	f.environments()
	f.maps()
	f.bundles()
	f.published()
}

type filler struct {
	t   testing.TB
	api *apiclient.Client
	org string
	// entries is their number in the map settings.
	entries int
}

func (f *filler) do(method, path string, query url.Values, body []byte, contentType string, json, out any) {
	f.t.Helper()
	full := apiclient.Path("organizations", f.org)
	if path != "" {
		full += "/" + path
	} else if method == http.MethodPost {
		full = "organizations"
	}
	call := apiclient.Call{Method: method, Path: full, Query: query, Body: body, ContentType: contentType, JSON: json}
	if err := f.api.Do(f.t.Context(), call, out); err != nil {
		f.t.Fatalf("%s %s: %v", method, full, err)
	}
}

func (f *filler) json(method, path string, query url.Values, body any) {
	f.t.Helper()
	f.do(method, path, query, nil, "", body, nil)
}

func (f *filler) environments() {
	f.json("POST", "environments/test/targetservers", nil, map[string]any{"name": "backend", "host": "backend.internal", "port": 8443, "isEnabled": true,
		"sSLInfo": map[string]any{"enabled": true, "clientAuthEnabled": true, "keyStore": "ref://identity", "keyAlias": "self", "trustStore": "trust"}})
	f.json("POST", "environments/test/targetservers", nil, map[string]any{"name": "off", "host": "off.internal", "port": 80, "isEnabled": false})
	f.json("POST", "environments/prod/targetservers", nil, map[string]any{"name": "backend", "host": "live.internal", "port": 443, "isEnabled": true})
	for _, ks := range []string{"identities", "trust"} {
		f.json("POST", "environments/test/keystores", nil, map[string]any{"name": ks})
	}
	aliases := "environments/test/keystores/identities/aliases"
	f.json("POST", aliases, url.Values{"alias": {"self"}, "format": {"selfsignedcert"}}, map[string]any{
		"alias": "self", "keySize": "2048", "sigAlg": "SHA256withRSA", "certValidityInDays": 3650, "subject": map[string]any{"commonName": "self.example.com"},
	})
	var chain []byte
	f.do("GET", aliases+"/self/certificate", nil, nil, "", nil, &chain)
	f.do("POST", "environments/test/keystores/trust/aliases", url.Values{"alias": {"peer"}, "format": {"keycertfile"}}, chain, "application/octet-stream", nil, nil)
	f.json("POST", "environments/test/references", nil, map[string]any{"name": "identity", "refers": "identities", "resourceType": "KeyStore", "description": "who we are"})
	f.do("POST", "environments/test/resourcefiles", url.Values{"name": {"shared.js"}, "type": {"jsc"}}, []byte("var shared = 1;\n"), "application/octet-stream", nil, nil)
	f.do("POST", "environments/test/resourcefiles", url.Values{"name": {"limits"}, "type": {"properties"}}, []byte("burst=5\n"), "application/octet-stream", nil, nil)
	f.json("PATCH", "environments/test/debugmask", nil, map[string]any{"requestJSONPaths": []string{"$.secret"}, "variables": []string{"request.header.x-secret"}})
	f.json("POST", "datacollectors", nil, map[string]any{"name": "dc_region", "type": "STRING", "description": "where"})
}

func (f *filler) maps() {
	f.json("POST", "keyvaluemaps", nil, map[string]any{"name": "global", "encrypted": true})
	f.json("POST", "keyvaluemaps/global/entries", nil, map[string]any{"name": "owner", "value": "platform"})
	f.json("POST", "environments/test/keyvaluemaps", nil, map[string]any{"name": "settings", "encrypted": true})
	for n := range f.entries {
		f.json("POST", "environments/test/keyvaluemaps/settings/entries", nil, map[string]any{"name": fmt.Sprintf("entry/%03d", n), "value": fmt.Sprintf("entry value %d", n)})
	}
	f.json("POST", "environments/prod/keyvaluemaps", nil, map[string]any{"name": "empty", "encrypted": true})
}

// Bundle is a bundle's zip of files by their path beneath apiproxy/ or
// sharedflowbundle/.
func Bundle(t testing.TB, folder string, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		part, err := w.Create(folder + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Proxy is the bundle of an API proxy that answers a text, asks for a consumer
// key, and reads an entry of the map settings into the variable private.entry.
func Proxy(t testing.TB, name, basePath, text string) []byte {
	return Bundle(t, "apiproxy", map[string]string{
		name + ".xml": `<APIProxy name="` + name + `"><Description>` + text + `</Description></APIProxy>`,
		"proxies/default.xml": `<ProxyEndpoint name="default">
  <PreFlow name="PreFlow">
    <Request><Step><Name>VA-Key</Name></Step><Step><Name>KVM-Get</Name></Step></Request>
    <Response><Step><Name>AM-Answer</Name></Step></Response>
  </PreFlow>
  <HTTPProxyConnection><BasePath>` + basePath + `</BasePath></HTTPProxyConnection>
  <RouteRule name="none"/>
</ProxyEndpoint>
`,
		"policies/VA-Key.xml":    `<VerifyAPIKey name="VA-Key"><APIKey ref="request.queryparam.apikey"/></VerifyAPIKey>`,
		"policies/KVM-Get.xml":   `<KeyValueMapOperations name="KVM-Get" mapIdentifier="settings"><Scope>environment</Scope><Get assignTo="private.entry"><Key><Parameter>entry/007</Parameter></Key></Get></KeyValueMapOperations>`,
		"policies/AM-Answer.xml": `<AssignMessage name="AM-Answer"><Set><Payload contentType="text/plain">` + text + `, {private.entry}</Payload></Set></AssignMessage>`,
	})
}

// SharedFlow is the bundle of a shared flow that sets a header.
func SharedFlow(t testing.TB, name, value string) []byte {
	return Bundle(t, "sharedflowbundle", map[string]string{
		name + ".xml":             `<SharedFlowBundle name="` + name + `"/>`,
		"sharedflows/default.xml": `<SharedFlow name="default"><Step><Name>AM-Mark</Name></Step></SharedFlow>`,
		"policies/AM-Mark.xml":    `<AssignMessage name="AM-Mark"><Set><Headers><Header name="X-Mark">` + value + `</Header></Headers></Set></AssignMessage>`,
	})
}

func (f *filler) bundles() {
	f.imported("sharedflows", "common", SharedFlow(f.t, "common", "one"), SharedFlow(f.t, "common", "two"))
	f.deploy("test", "sharedflows", "common", "1")
	f.json("PUT", "environments/test/flowhooks/PreProxyFlowHook", nil, map[string]any{"sharedFlow": "common", "continueOnError": true, "description": "mark"})
	f.imported("apis", "hello", Proxy(f.t, "hello", Path, "hello v1"), Proxy(f.t, "hello", Path, "hello v2"), Proxy(f.t, "hello", Path, "hello v3"))
	f.json("PATCH", "apis/hello", url.Values{"updateMask": {"labels"}}, map[string]any{"labels": map[string]string{"team": "greeters"}})
	f.deploy("test", "apis", "hello", "2")
	f.deploy("prod", "apis", "hello", "3")
	f.imported("apis", "draft", Proxy(f.t, "draft", "/draft", "draft"))
	f.json("POST", "apis/hello/keyvaluemaps", nil, map[string]any{"name": "own", "encrypted": true})
	f.json("POST", "apis/hello/keyvaluemaps/own/entries", nil, map[string]any{"name": "k", "value": "v"})
}

func (f *filler) imported(collection, name string, revisions ...[]byte) {
	f.t.Helper()
	for _, zip := range revisions {
		f.do("POST", collection, url.Values{"action": {"import"}, "name": {name}}, zip, "application/octet-stream", nil, nil)
	}
}

func (f *filler) deploy(env, collection, name, revision string) {
	f.t.Helper()
	f.json("POST", "environments/"+env+"/"+collection+"/"+name+"/revisions/"+revision+"/deployments", url.Values{"override": {"true"}}, nil)
}

func (f *filler) published() {
	f.json("POST", "apiproducts", nil, map[string]any{"name": "gold", "displayName": "Gold", "approvalType": "auto", "proxies": []string{"hello"}, "environments": []string{"test", "prod"},
		"scopes": []string{"read", "write"}, "quota": "1000", "quotaInterval": "1", "quotaTimeUnit": "hour", "attributes": []map[string]string{{"name": "access", "value": "public"}}})
	f.json("POST", "apiproducts", nil, map[string]any{"name": "silver", "displayName": "Silver", "approvalType": "manual", "proxies": []string{"draft"}, "apiResources": []string{"/a", "/b/**"}})
	f.json("POST", "apiproducts/gold/rateplans", nil, map[string]any{"apiproduct": "gold", "displayName": "Monthly", "billingPeriod": "MONTHLY", "currencyCode": "EUR", "state": "DRAFT", "startTime": "1800000000000"})
	for _, name := range []string{"ann", "bob"} {
		f.json("POST", "developers", nil, map[string]any{"email": name + "@example.com", "firstName": name, "lastName": "X", "userName": name, "attributes": []map[string]string{{"name": "tier", "value": name}}})
	}
	f.app("developers/ann@example.com", "shop", true, map[string]string{"key-of-ann-1": "secret-of-ann-1", "key-of-ann-2": "secret-of-ann-2"}, "gold", "silver")
	f.app("developers/bob@example.com", "tool", true, map[string]string{"key-of-bob-1": "secret-of-bob-1"}, "gold")
	f.json("POST", "developers/ann@example.com/apps/shop/keys/key-of-ann-2", url.Values{"action": {"revoke"}}, nil)
	f.json("POST", "developers/bob@example.com/apps/tool", url.Values{"action": {"revoke"}}, nil)
	f.json("POST", "developers/bob@example.com", url.Values{"action": {"inactive"}}, nil)
	f.json("POST", "appgroups", nil, map[string]any{"name": "partners", "displayName": "Partners", "channelId": "web", "attributes": []map[string]string{{"name": "region", "value": "eu"}}})
	for _, payer := range []string{"developers/ann@example.com", "appgroups/partners"} {
		f.json("PUT", payer+"/monetizationConfig", nil, map[string]any{"billingType": "PREPAID"})
		f.json("POST", payer+"/balance:credit", nil, map[string]any{"transactionAmount": map[string]any{"currencyCode": "EUR", "units": "7", "nanos": 250000000}, "transactionId": "first"})
		f.json("POST", payer+"/subscriptions", nil, map[string]any{"apiproduct": "gold", "startTime": "1800000000000"})
	}
	f.app("appgroups/partners", "kiosk", false, map[string]string{"key-of-partners-1": "secret-of-partners-1"}, "gold")
}

// app makes an app that has the given keys and no other.
func (f *filler) app(owner, name string, developer bool, keys map[string]string, products ...string) {
	f.t.Helper()
	var made struct {
		Credentials []struct{ ConsumerKey string }
	}
	path := owner + "/apps/" + name
	f.do("POST", owner+"/apps", nil, nil, "", map[string]any{"name": name, "callbackUrl": "https://" + name + ".example.com/cb", "attributes": []map[string]string{{"name": "note", "value": name}}}, &made)
	for _, k := range made.Credentials {
		f.json("DELETE", path+"/keys/"+k.ConsumerKey, nil, nil)
	}
	for key, secret := range keys {
		create := path + "/keys"
		if developer {
			create += "/create"
		}
		f.json("POST", create, nil, map[string]any{"consumerKey": key, "consumerSecret": secret})
		if developer {
			f.json("POST", path+"/keys/"+key, nil, map[string]any{"apiProducts": products, "attributes": []map[string]string{{"name": "label", "value": key}}, "scopes": []string{"read"}})
			continue
		}
		f.json("POST", path+"/keys/"+key, nil, map[string]any{"apiProducts": products})
	}
}
