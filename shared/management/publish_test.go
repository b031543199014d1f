package management

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// now is 1767323045000.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// published makes a developer and products gold and silver (approved by hand).
func published(t *testing.T) *api {
	t.Helper()
	a := newAPI(t)
	a.now = now
	a.do("POST", "developers", `{"email":"Dev@acme.com","firstName":"D","lastName":"V","userName":"dev","attributes":[{"name":"tier","value":"1"}]}`).want(200)
	a.do("POST", "apiproducts", `{"name":"gold","displayName":"Gold","approvalType":"auto","environments":["test"],"proxies":["hello"],"scopes":["read","write"],"quota":"10","quotaInterval":"1","quotaTimeUnit":"minute"}`).want(200)
	a.do("POST", "apiproducts", `{"name":"silver","approvalType":"manual"}`).want(200)
	return a
}

// The calls of apigeecli for products, developers, apps and keys, as recorded.
func TestCallsApps(t *testing.T) {
	a := newAPI(t)
	a.now = now
	// products create --opgrp
	a.do("POST", "apiproducts", `{"name":"viewer","displayName":"viewer","approvalType":"auto","environments":["test"],"scopes":[""],
		"operationGroup":{"operationConfigs":[{"apiSource":"hello","operations":[{"resource":"/*/users","methods":["GET"]}]}],"operationConfigType":"proxy"}}`).
		want(200, `"name":"viewer"`, `"resource":"/*/users"`, `"createdAt":"1767323045000"`).lacks("scopes")
	a.do("GET", "apiproducts/viewer", nil).want(200, `"name":"viewer"`)
	a.do("GET", "apiproducts/none", nil).want(404, `"status":"NOT_FOUND"`)

	// developers create, get, with the address escaped twice
	a.do("GET", "developers/a%252Bb%2540acme.com", nil).want(404)
	r := a.do("POST", "developers", `{"email":"a+b@acme.com","firstName":"A","lastName":"B","userName":"ab"}`).
		want(200, `"email":"a+b@acme.com"`, `"status":"active"`, `"organizationName":"acme"`)
	id := r.text("developerId")
	for _, path := range []string{"a%252Bb%2540acme.com", "a%2Bb%40acme.com", "a+b@acme.com", "A+B@ACME.com", id} {
		a.do("GET", "developers/"+path, nil).want(200, `"developerId":"`+id+`"`)
	}
	a.do("POST", "developers", `{"email":"A+b@acme.com","firstName":"A","lastName":"B","userName":"ab"}`).want(409, `"status":"ALREADY_EXISTS"`)

	// apps get: exactly {} when there is none
	a.do("GET", "apps?filter=appName%3Dviewer-app", nil).want(200).is("{}")

	// apps create --email a@b --prods viewer
	r = a.do("POST", "developers/a+b@acme.com/apps", `{"name":"viewer-app","apiProducts":["viewer"],"callbackUrl":"https://example.com/cb","keyExpiresIn":"-1","attributes":[{"name":"DisplayName","value":"V"}]}`).
		want(200, `"name":"viewer-app"`, `"status":"approved"`, `"appFamily":"default"`, `"developerId":"`+id+`"`, `"expiresAt":"-1"`,
			`"apiProducts":[{"apiproduct":"viewer","status":"approved"}]`)
	key, secret := r.text("credentials", "0", "consumerKey"), r.text("credentials", "0", "consumerSecret")
	if len(key) != 48 || len(secret) != 64 {
		t.Errorf("key of %d and secret of %d characters", len(key), len(secret))
	}
	// apps get
	r = a.do("GET", "apps?filter=appName%3Dviewer-app", nil).want(200, `{"app":[{`, `"name":"viewer-app"`, `"consumerKey":"`+key+`"`, `"consumerSecret":"`+secret+`"`)
	appID := r.text("app", "0", "appId")
	a.do("GET", "apps/"+appID, nil).want(200, `"name":"viewer-app"`, `"consumerKey":"`+key+`"`)
	a.do("GET", "apps", nil).want(200).is(`{"app":[{"appId":"` + appID + `"}]}`)

	// apps genkey --devid D --prods viewer
	r = a.do("POST", "developers/"+id+"/apps/viewer-app", `{"name":"viewer-app","apiProducts":["viewer"]}`).want(200)
	if list := r.get("credentials").([]any); len(list) != 2 {
		t.Errorf("%d keys", len(list))
	}
	r.want(200, `"consumerKey":"`+key+`"`)

	// apps keys create --key K --secret S --prods viewer
	keys := "developers/a+b@acme.com/apps/viewer-app/keys"
	a.do("POST", keys, `{"scopes":[""],"consumerKey":"my-key_1","consumerSecret":"my-secret"}`).
		want(200, `"consumerKey":"my-key_1"`, `"consumerSecret":"my-secret"`, `"status":"approved"`).lacks("apiProducts", "scopes")
	a.do("GET", keys+"/my-key_1", nil).want(200, `"consumerKey":"my-key_1"`).lacks("apiProducts")
	a.do("PUT", keys+"/my-key_1", `{"apiProducts":["viewer"],"consumerKey":"my-key_1"}`).want(200, `"apiproduct":"viewer"`)
	a.do("POST", keys, `{"consumerKey":"my-key_1","consumerSecret":"x"}`).want(409)
	a.do("GET", "apps?filter=consumerKey%3Dmy-key_1", nil).want(200, `"name":"viewer-app"`)

	// clean up: products go before apps
	a.do("DELETE", "apiproducts/viewer", nil).want(200, `"name":"viewer"`)
	a.do("DELETE", "developers/"+id+"/apps/viewer-app", nil).want(200, `"name":"viewer-app"`)
	a.do("GET", "apps?filter=appName%3Dviewer-app", nil).want(200).is("{}")
	a.do("GET", keys+"/my-key_1", nil).want(404)
	a.do("DELETE", "developers/a%252Bb%2540acme.com", nil).want(200, `"email":"a+b@acme.com"`)
	a.do("DELETE", "developers/a%252Bb%2540acme.com", nil).want(404)
}

func TestDevelopers(t *testing.T) {
	a := published(t)
	for _, bad := range []string{`{}`, `{"email":"x","firstName":"a","lastName":"b","userName":"c"}`, `{"email":"x@y.z","firstName":"a","lastName":"b"}`,
		`{"email":"a@b.c, d@e.f","firstName":"a","lastName":"b","userName":"c"}`} {
		a.do("POST", "developers", bad).want(400, `"INVALID_ARGUMENT"`)
	}
	a.do("GET", "developers/dev@acme.com", nil).want(200, `"email":"dev@acme.com"`, `"attributes":[{"name":"tier","value":"1"}]`)
	for i := range 4 {
		a.do("POST", "developers", fmt.Sprintf(`{"email":"d%d@acme.com","firstName":"a","lastName":"b","userName":"c","status":"inactive"}`, i)).want(200, `"status":"active"`)
	}
	a.do("GET", "developers", nil).want(200).is(`{"developer":[{"email":"d0@acme.com"},{"email":"d1@acme.com"},{"email":"d2@acme.com"},{"email":"d3@acme.com"},{"email":"dev@acme.com"}]}`)
	a.do("GET", "developers?count=2&startKey=d2@acme.com", nil).want(200).is(`{"developer":[{"email":"d2@acme.com"},{"email":"d3@acme.com"}]}`)
	a.do("GET", "developers?count=2&startKey=d2z@acme.com", nil).want(200).is(`{"developer":[{"email":"d3@acme.com"},{"email":"dev@acme.com"}]}`)
	a.do("GET", "developers?expand=true&count=1", nil).want(200, `"developerId"`, `"email":"d0@acme.com"`).lacks("d1@acme.com")
	a.do("GET", "developers?ids=d1@acme.com,d3@acme.com", nil).want(200).is(`{"developer":[{"email":"d1@acme.com"},{"email":"d3@acme.com"}]}`)

	// apps of a developer are named, and lead to the developer
	a.do("POST", "developers/dev@acme.com/apps", `{"name":"one"}`).want(200)
	a.do("POST", "developers/dev@acme.com/apps", `{"name":"eleven"}`).want(200)
	a.do("GET", "developers/dev@acme.com", nil).want(200, `"apps":["eleven","one"]`)
	a.do("GET", "developers?app=one", nil).want(200).is(`{"developer":[{"email":"dev@acme.com"}]}`)
	a.do("DELETE", "developers/dev@acme.com/apps/eleven", nil).want(200)
	a.do("GET", "developers/dev@acme.com", nil).want(200, `"apps":["one"]`)

	// The status is changed by action only, whatever a body says.
	a.do("POST", "developers/dev@acme.com?action=inactive", []byte{}).want(204)
	a.do("PUT", "developers/dev@acme.com", `{"email":"dev@acme.com","firstName":"N","lastName":"V","userName":"dev","status":"active","apps":["x"],"developerId":"x"}`).
		want(200, `"status":"inactive"`, `"firstName":"N"`, `"apps":["one"]`).lacks("attributes")
	a.do("POST", "developers/dev@acme.com?action=active", nil).want(204)
	a.do("POST", "developers/dev@acme.com?action=asleep", nil).want(400)
	a.do("POST", "developers/dev@acme.com", nil).want(400)

	// A new address: the old one is free again.
	a.do("PUT", "developers/dev@acme.com", `{"email":"d0@acme.com","firstName":"N","lastName":"V","userName":"dev"}`).want(409)
	a.do("PUT", "developers/dev@acme.com", `{"email":"new@acme.com","firstName":"N","lastName":"V","userName":"dev"}`).want(200, `"email":"new@acme.com"`)
	a.do("GET", "developers/dev@acme.com", nil).want(404)
	a.do("GET", "developers/new@acme.com/apps/one", nil).want(200)
	a.do("POST", "developers", `{"email":"dev@acme.com","firstName":"a","lastName":"b","userName":"c"}`).want(200)
}

func TestAttributes(t *testing.T) {
	a := published(t)
	a.do("POST", "developers/dev@acme.com/apps", `{"name":"app"}`).want(200)
	a.do("POST", "developers/dev@acme.com/attributes", `{"attribute":[]}`).want(200)
	for _, path := range []string{"developers/dev@acme.com", "developers/dev%2540acme.com/apps/app", "apiproducts/gold"} {
		at := path + "/attributes"
		a.do("GET", at, nil).want(200).is(`{}`)
		a.do("POST", at, `{"attribute":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}`).want(200).is(`{"attribute":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}`)
		a.do("POST", at+"/b", `{"value":"3"}`).want(200).is(`{"name":"b","value":"3"}`)
		a.do("POST", at+"/c", `{"name":"c","value":""}`).want(200).is(`{"name":"c","value":""}`)
		a.do("POST", at+"/c", `{"name":"d","value":""}`).want(400)
		a.do("GET", at+"/b", nil).want(200).is(`{"name":"b","value":"3"}`)
		a.do("DELETE", at+"/a", nil).want(200).is(`{"name":"a","value":"1"}`)
		a.do("DELETE", at+"/a", nil).want(404)
		a.do("GET", at+"/a", nil).want(404)
		a.do("GET", at, nil).want(200, `{"name":"b","value":"3"}`, `"name":"c"`)
		many := strings.TrimSuffix(strings.Repeat(`{"name":"N","value":"v"},`, 19), ",")
		for i := range 19 {
			many = strings.Replace(many, `"N"`, fmt.Sprintf(`"n%d"`, i), 1)
		}
		a.do("POST", at, `{"attribute":[`+many+`]}`).want(400, "at most 18")
		a.do("POST", at, `{"attribute":[{"name":"a","value":"`+strings.Repeat("x", 2049)+`"}]}`).want(400)
	}
}

func TestProducts(t *testing.T) {
	a := published(t)
	a.do("POST", "apiproducts", `{"name":"gold"}`).want(409)
	for _, bad := range []string{
		`{}`, `{"name":"a/b"}`, `{"name":"x","approvalType":"maybe"}`, `{"name":"x","quota":"many"}`, `{"name":"x","quotaTimeUnit":"eon"}`,
		`{"name":"x","proxies":["p"],"operationGroup":{"operationConfigs":[{"apiSource":"p","operations":[{"resource":"/"}]}]}}`,
		`{"name":"x","apiResources":["/"],"operationGroup":{"operationConfigs":[]}}`,
		`{"name":"x","operationGroup":{"operationConfigs":[{"operations":[{"resource":"/"}]}]}}`,
		`{"name":"x","operationGroup":{"operationConfigs":[{"apiSource":"p","operations":[{}]}]}}`,
		`{"name":"x","quotaCounterScope":"ALL"}`, `{"name":"x","nonsense":1}`,
	} {
		a.do("POST", "apiproducts", bad).want(400)
	}
	ops := strings.TrimSuffix(strings.Repeat(`{"apiSource":"p","operations":[{"resource":"/"}]},`, 51), ",")
	a.do("POST", "apiproducts", `{"name":"x","operationGroup":{"operationConfigs":[`+ops+`]}}`).want(400, "Operation group limit of 51 exceeded in Operation Config")
	a.do("POST", "apiproducts", `{"name":"Big $1.0 %_-","quota":5,"quota_interval":1,"quotaTimeUnit":"hour"}`).want(200, `"quota":"5"`, `"approvalType":"auto"`)
	a.do("GET", "apiproducts/Big%20$1.0%20%25_-", nil).want(200)
	a.do("GET", "apiproducts", nil).want(200).is(`{"apiProduct":[{"name":"Big $1.0 %_-"},{"name":"gold"},{"name":"silver"}]}`)
	a.do("GET", "apiproducts?startKey=gold&count=1", nil).want(200).is(`{"apiProduct":[{"name":"gold"}]}`)
	a.do("GET", "apiproducts?expand=true&startKey=gold", nil).want(200, `"quotaInterval":"1"`, `"silver"`).lacks("Big")
	a.do("PUT", "apiproducts/gold", `{"name":"gold","displayName":"New","attributes":[{"name":"access","value":"public"}]}`).
		want(200, `"displayName":"New"`, `"createdAt":"1767323045000"`).lacks("quota", "proxies")
	a.do("PUT", "apiproducts/gold", `{"name":"silver"}`).want(400)
	a.do("PUT", "apiproducts/none", `{"name":"none"}`).want(404)
	a.do("GET", "apiproducts?attributename=access&attributevalue=public", nil).want(200).is(`{"apiProduct":[{"name":"gold"}]}`)
	a.do("GET", "apiproducts?attributename=access&attributevalue=private", nil).want(200).is(`{}`)
	a.do("POST", "apiproducts/gold/:move?space=team", nil).want(200, `"space":"team"`)
	a.do("GET", "apiproducts?space=team", nil).want(200).is(`{"apiProduct":[{"name":"gold"}]}`)
}

func TestRatePlans(t *testing.T) {
	a := published(t)
	a.do("POST", "apiproducts/none/rateplans", `{"displayName":"x"}`).want(404)
	a.do("POST", "apiproducts/gold/rateplans", `{"state":"LIVE"}`).want(400)
	r := a.do("POST", "apiproducts/gold/rateplans", `{"apiproduct":"gold","displayName":"P","billingPeriod":"MONTHLY","state":"DRAFT","currencyCode":"USD",
		"consumptionPricingType":"BANDED","consumptionPricingRates":[{"start":"1","end":"100","fee":{"currencyCode":"USD","units":"2"}}],"startTime":"1000"}`).want(200, `"apiproduct":"gold"`, `"state":"DRAFT"`)
	name := r.text("name")
	a.do("GET", "apiproducts/gold/rateplans", nil).want(200).is(`{"ratePlans":[{"name":"` + name + `"}]}`)
	a.do("GET", "apiproducts/gold/rateplans?expand=true&state=PUBLISHED", nil).want(200).is(`{}`)
	a.do("PUT", "apiproducts/gold/rateplans/"+name, `{"displayName":"Q","state":"PUBLISHED","startTime":"1000"}`).want(200, `"displayName":"Q"`, `"createdAt"`)
	a.do("POST", "apiproducts/gold/rateplans", `{"displayName":"R","state":"PUBLISHED","startTime":"2000"}`).want(400, "FAILED_PRECONDITION")
	a.do("GET", "apiproducts/gold/rateplans/"+name, nil).want(200, `"displayName":"Q"`)
	a.do("DELETE", "apiproducts/gold", nil).want(200)
	a.do("GET", "apiproducts/gold/rateplans/"+name, nil).want(404)
}

func TestApps(t *testing.T) {
	a := published(t)
	apps := "developers/dev@acme.com/apps"
	a.do("POST", apps, `{}`).want(400)
	a.do("POST", apps, `{"name":"a","apiProducts":["none"]}`).want(404, `API product \"none\" not found`)
	a.do("POST", apps, `{"name":"a","apiProducts":["gold"],"scopes":["admin"]}`).want(400, `scope \"admin\"`)
	a.do("POST", "developers/none@acme.com/apps", `{"name":"a"}`).want(404)
	r := a.do("POST", apps, `{"name":"a","apiProducts":["gold","silver"],"scopes":["read"],"keyExpiresIn":"60000"}`).
		want(200, `{"apiproduct":"gold","status":"approved"},{"apiproduct":"silver","status":"pending"}`, `"scopes":["read"]`, `"expiresAt":"1767323105000"`, `"issuedAt":"1767323045000"`)
	key := r.text("credentials", "0", "consumerKey")
	a.do("POST", apps, `{"name":"a"}`).want(409)
	a.do("GET", apps, nil).want(200, `"name":"a"`).lacks("credentials")
	a.do("GET", apps+"?expand=true", nil).want(200, `"consumerKey":"`+key+`"`)
	a.do("GET", apps+"?shallowExpand=true", nil).want(200, `"status":"approved"`).lacks("credentials")

	// PUT with the products a key has makes no key; with others it does, in front.
	a.do("PUT", apps+"/a", `{"name":"a","apiProducts":["silver","gold"],"callbackUrl":"https://x"}`).want(200, `"callbackUrl":"https://x"`)
	if n := len(a.do("GET", apps+"/a", nil).get("credentials").([]any)); n != 1 {
		t.Errorf("%d keys", n)
	}
	r = a.do("PUT", apps+"/a", `{"apiProducts":["gold"],"scopes":["write"],"attributes":[{"name":"k","value":"v"}]}`).want(200, `"consumerKey":"`+key+`"`, `"name":"k"`).lacks("callbackUrl")
	if got := r.text("credentials", "0", "consumerKey"); got == key || len(r.get("credentials").([]any)) != 2 || r.text("credentials", "0", "scopes", "0") != "write" {
		t.Errorf("new key: %s", r.body)
	}
	a.do("PUT", apps+"/a", `{"name":"b"}`).want(400)
	a.do("PUT", apps+"/none", `{}`).want(404)

	a.do("POST", apps+"/a?action=revoke", []byte{}).want(204)
	a.do("GET", apps+"/a", nil).want(200, `"status":"revoked"`)
	a.do("GET", "apps?status=revoked", nil).want(200, "appId")
	a.do("GET", "apps?status=approved", nil).want(200).is("{}")
	a.do("POST", apps+"/a?action=approve", []byte{}).want(204)
	a.do("POST", apps+"/a?action=shred", []byte{}).want(400)

	// keys
	keys := apps + "/a/keys"
	at := keys + "/" + key
	a.do("POST", at+"?action=revoke", []byte{}).want(204)
	a.do("GET", at, nil).want(200, `"status":"revoked"`)
	a.do("GET", "apps?keyStatus=revoked", nil).want(200, "appId")
	a.do("POST", at+"?action=approve", []byte{}).want(204)
	a.do("POST", at+"/apiproducts/silver?action=approve", []byte{}).want(204)
	a.do("GET", at, nil).want(200, `{"apiproduct":"silver","status":"approved"}`)
	a.do("POST", at+"/apiproducts/silver?action=revoke", []byte{}).want(204)
	a.do("GET", at, nil).want(200, `{"apiproduct":"silver","status":"revoked"}`)
	a.do("DELETE", at+"/apiproducts/silver", nil).want(200).lacks("silver")
	a.do("DELETE", at+"/apiproducts/silver", nil).want(404)
	a.do("POST", at+"/apiproducts/silver?action=approve", []byte{}).want(404)
	a.do("POST", at, `{"apiProducts":["silver"],"attributes":[{"name":"x","value":"y"}]}`).want(200, `{"apiproduct":"silver","status":"pending"}`, `"name":"x"`)
	a.do("PUT", at, `{"scopes":["write"]}`).want(200, `"scopes":["write"]`, `"name":"x"`)
	a.do("PUT", at, `{"scopes":["nothing"]}`).want(400)
	a.do("DELETE", at, nil).want(200, `"consumerKey":"`+key+`"`)
	a.do("GET", at, nil).want(404).lacks(key)
	a.do("POST", keys+"/create", `{"consumerKey":"k1","consumerSecret":"s1","expiresInSeconds":"10","status":"revoked"}`).want(200, `"status":"approved"`, `"expiresAt":"1767323055000"`)
	a.do("POST", keys, `{"consumerKey":"k 2","consumerSecret":"s"}`).want(400)
	a.do("POST", keys, `{"consumerKey":"`+strings.Repeat("k", 2049)+`"}`).want(400)
	a.do("POST", apps+"/a/keys/k1", `{"apiProducts":[{"apiproduct":"gold"}]}`).want(200, `"apiproduct":"gold"`)
	if strings.Contains(a.log.String(), key) {
		t.Error("a consumer key is in the log")
	}
}

func TestListApps(t *testing.T) {
	a := published(t)
	a.do("POST", "appgroups", `{"name":"group"}`).want(200)
	for i := range 5 {
		a.do("POST", "developers/dev@acme.com/apps", fmt.Sprintf(`{"name":"app %d","apiProducts":["gold"]}`, i)).want(200)
	}
	a.do("POST", "appgroups/group/apps", `{"name":"app 1","apiProducts":["silver"]}`).want(200)
	ids := func(r *reply) []string {
		r.want(200)
		var out []string
		list, _ := r.get("app").([]any)
		for _, v := range list {
			out = append(out, v.(map[string]any)["appId"].(string))
		}
		return out
	}
	all := ids(a.do("GET", "apps", nil))
	if len(all) != 6 {
		t.Fatalf("%d apps", len(all))
	}
	r := a.do("GET", "apps?pageSize=4", nil)
	if got := ids(r); len(got) != 4 || got[3] != all[3] {
		t.Errorf("first page %v", got)
	}
	if got := ids(a.do("GET", "apps?pageSize=4&pageToken="+r.text("nextPageToken"), nil)); len(got) != 2 || got[0] != all[4] {
		t.Errorf("second page %v", got)
	}
	if got := ids(a.do("GET", "apps?rows=2&startKey="+all[2], nil)); len(got) != 2 || got[0] != all[2] {
		t.Errorf("from a start key %v", got)
	}
	if got := ids(a.do("GET", "apps?ids="+all[1]+","+all[4], nil)); len(got) != 2 || got[1] != all[4] {
		t.Errorf("by ids %v", got)
	}
	for query, n := range map[string]int{
		"filter=appName%3Dapp%201": 2, `filter=appName%3D"app%201"`: 2, "filter=developerEmail%3Ddev@acme.com": 5, "filter=apiProduct%3Dsilver": 1,
		"filter=appGroup%3Dgroup": 1, "filter=appType%3DAppGroup": 1, "filter=appType%3DDeveloper": 5, "apiProduct=gold": 5,
		"filter=appId%3D" + all[0]: 1, "filter=appId%3Dnone": 0, "filter=consumerKey%3Dnone": 0, "filter=developerEmail%3Dnone@acme.com": 0,
		"filter=appName%3Dapp%201%20AND%20appType%3DDeveloper": 1, "filter=status%3Drevoked": 0, "apptype=developer": 5,
	} {
		if got := ids(a.do("GET", "apps?"+query, nil)); len(got) != n {
			t.Errorf("%s: %d apps, want %d", query, len(got), n)
		}
	}
	a.do("GET", "apps?filter=colour%3Dred", nil).want(400)
	a.do("GET", "apps?expand=true", nil).want(200, "consumerSecret", `"appGroup":"group"`)
	a.do("GET", "apps?expand=true&includeCred=false", nil).want(200, `"name":"app 1"`).lacks("credentials")
	a.do("GET", "apps?expand=false&filter=appName%3Dapp%202", nil).want(200, "appId").lacks("name")
}

func TestAppGroups(t *testing.T) {
	a := published(t)
	a.do("POST", "appgroups", `{"name":"g/x"}`).want(400)
	a.do("POST", "appgroups", `{"name":"g","displayName":"G","channelId":"c","channelUri":"https://c","email":"g@acme.com","status":"inactive"}`).
		want(200, `"status":"active"`, `"organization":"acme"`, `"appGroupId"`)
	a.do("POST", "appgroups", `{"name":"h"}`).want(200)
	a.do("GET", "appgroups?filter=channelId%3Dc", nil).want(200, `"name":"g"`).lacks(`"name":"h"`)
	a.do("GET", "appgroups?filter=shoe%3Dc", nil).want(400)
	r := a.do("GET", "appgroups?pageSize=1", nil).want(200, `"name":"g"`, "nextPageToken")
	a.do("GET", "appgroups?pageSize=1&pageToken="+r.text("nextPageToken"), nil).want(200, `"name":"h"`).lacks("nextPageToken")
	a.do("PUT", "appgroups/g?action=inactive", []byte{}).want(200, `"status":"inactive"`)
	a.do("PUT", "appgroups/g", `{"name":"g","displayName":"New","status":"active"}`).want(200, `"displayName":"New"`, `"status":"inactive"`).lacks("channelId")

	r = a.do("POST", "appgroups/g/apps", `{"name":"a","apiProducts":["gold"],"keyExpiresIn":"60"}`).want(200, `"appGroup":"g"`, `"expiresAt":"1767323105000"`)
	key := r.text("credentials", "0", "consumerKey")
	a.do("GET", "appgroups/g/apps", nil).want(200, `{"appGroupApps":[{`, key)
	a.do("GET", "appgroups/none/apps", nil).want(404)
	a.do("PUT", "appgroups/g/apps/a?action=revoke", []byte{}).want(200, `"status":"revoked"`)
	at := "appgroups/g/apps/a/keys/" + key
	a.do("POST", at+"?action=revoke", []byte{}).want(200, `"status":"revoked"`)
	a.do("POST", at, `{"action":"approve"}`).want(200, `"status":"approved"`)
	a.do("POST", at, `{"apiProducts":["silver"],"appGroupAppKey":{"scopes":[],"attributes":[{"name":"n","value":"v"}]}}`).want(200, `"apiproduct":"silver"`, `"name":"n"`)
	a.do("DELETE", at+"/apiproducts/gold", nil).want(200).lacks("gold")
	a.do("POST", "appgroups/g/apps/a/keys", `{}`).want(200, "consumerKey")
	a.do("DELETE", "appgroups/g", nil).want(200)
	a.do("GET", "apps", nil).want(200).is("{}")
	a.do("POST", "appgroups", `{"name":"g"}`).want(200)
	a.do("GET", "appgroups/g/apps", nil).want(200).is("{}")
}

// Deleting a developer takes the apps and keys along.
func TestDeleteDeveloper(t *testing.T) {
	a := published(t)
	a.do("POST", "developers/dev@acme.com/apps", `{"name":"a"}`).want(200)
	a.do("POST", "developers/dev@acme.com/apps/a/keys", `{"consumerKey":"given"}`).want(200)
	a.do("DELETE", "developers/dev@acme.com", nil).want(200, `"email":"dev@acme.com"`)
	a.do("GET", "apps", nil).want(200).is("{}")
	a.do("GET", "apps?filter=consumerKey%3Dgiven", nil).want(200).is("{}")
	a.do("POST", "developers", `{"email":"dev@acme.com","firstName":"a","lastName":"b","userName":"c"}`).want(200)
	a.do("GET", "developers/dev@acme.com/apps", nil).want(200).is("{}")
	a.do("POST", "developers/dev@acme.com/apps", `{"name":"a"}`).want(200)
	a.do("POST", "developers/dev@acme.com/apps/a/keys", `{"consumerKey":"given"}`).want(200)
}

// Secrets are for those who may use them: viewers do not read apps.
func TestAppsNeedARole(t *testing.T) {
	for i := range routes {
		r := &routes[i]
		if (strings.Contains(r.pattern, "/apps") && !strings.Contains(r.pattern, "/attributes") || strings.Contains(r.pattern, "/keys/")) && r.role < Developer {
			t.Errorf("%s %s shows secrets to a %s", r.method, r.pattern, r.role)
		}
	}
}

// The calls of apigeecli developers credit, adjust and subscriptions, with the
// address escaped twice.
func TestCallsMonetization(t *testing.T) {
	a := published(t)
	at := "developers/dev%2540acme.com/"
	a.do("POST", at+"balance:credit", `{"transactionAmount":{"currencyCode":"USD","units":"200"},"transactionId":"T1"}`).
		want(200, `"currencyCode":"USD"`, `"units":"200"`, `"lastCreditTime":"1767323045000"`)
	a.do("POST", at+"balance:adjust", `{"adjustment":{"currencyCode":"USD","units":"10","nanos":500000000}}`).want(200, `"units":"189"`, `"nanos":500000000`)
	a.do("POST", at+"balance:adjust", `{"adjustment":{"currencyCode":"USD","units":"-11"}}`).want(400, `"status":"FAILED_PRECONDITION"`)
	a.do("GET", at+"subscriptions", nil).want(200).is(`{}`)
	name := a.do("POST", at+"subscriptions", `{"apiproduct":"gold"}`).want(200, `"startTime":"1767323045000"`).text("name")
	a.do("GET", at+"subscriptions/"+name, nil).want(200, `"apiproduct":"gold"`)
	a.do("GET", at+"subscriptions", nil).want(200, `"developerSubscriptions":[{`, name)
	a.do("GET", at+"subscriptions?count=1", nil).want(200, name).lacks("nextStartKey")
	a.do("POST", at+"subscriptions", `{"apiproduct":"silver"}`).want(200)
	a.do("GET", at+"subscriptions?count=1", nil).want(200, "nextStartKey")
	a.do("POST", at+"subscriptions/"+name+":expire", nil).want(200, `"endTime":"1767323045000"`)
	a.do("POST", "developers/none@acme.com/balance:credit", `{"transactionAmount":{"currencyCode":"USD","units":"1"}}`).want(404)
}
