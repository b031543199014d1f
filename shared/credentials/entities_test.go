package credentials_test

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

func query(kind, typ, value string, secondary ...string) policy.EntityQuery {
	q := policy.EntityQuery{Kind: kind, Primary: policy.Identifier{Type: typ, Value: value}}
	if len(secondary) == 2 {
		q.Secondary = policy.Identifier{Type: secondary[0], Value: secondary[1]}
	}
	return q
}

// profile is the profile of a query, "" if there is none.
func (e *env) profile(q policy.EntityQuery) string {
	e.t.Helper()
	data, found, err := e.Entity(e.t.Context(), q)
	e.ok(err)
	if found == (data == nil) {
		e.t.Fatal("found and data do not agree")
	}
	return string(data)
}

// The shapes of profiles.
// Source: policies reference, "AccessEntity"
func TestEntities(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		p := gold()
		p.DisplayName, p.Attributes = "Gold & Co", attributes("location", "projects/p")
		e.product(p)
		e.product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "ops", OperationGroup: &apigee.GoogleCloudApigeeV1OperationGroup{
			OperationConfigs: []*apigee.GoogleCloudApigeeV1OperationConfig{{
				ApiSource: "hello", Attributes: attributes("hub_api", "7"),
				Operations: []*apigee.GoogleCloudApigeeV1Operation{{Resource: "/x/*", Methods: []string{"GET", "PUT"}}},
				Quota:      &apigee.GoogleCloudApigeeV1Quota{Limit: "1", Interval: "2", TimeUnit: "hour"},
			}},
		}})
		id := e.developer("ada@example.com")
		e.ok(e.AppGroups.Create(t.Context(), &apigee.GoogleCloudApigeeV1AppGroup{DisplayName: "G"}, org, "group"))
		a := e.app(registry.Owner{Developer: id}, "app", "key", "gold", "ops=pending")
		e.app(registry.Owner{Group: "group"}, "app", "group-key", "ops")
		unique := e.app(registry.Owner{Group: "group"}, "unique", "unique-key")

		const now = "1775044800000"
		history := "<CreatedAt>" + now + "</CreatedAt><CreatedBy/><LastModifiedAt>" + now + "</LastModifiedAt><LastModifiedBy/>"
		credential := "<Credential><Attributes><Attribute><Name>batch</Name><Value>7</Value></Attribute></Attributes><ConsumerKey>key</ConsumerKey><ConsumerSecret>secret-of-key</ConsumerSecret>" +
			"<ExpiresAt>-1</ExpiresAt><IssuedAt>" + now + "</IssuedAt><ApiProducts><ApiProduct><Name>gold</Name><Status>approved</Status></ApiProduct><ApiProduct><Name>ops</Name><Status>pending</Status></ApiProduct></ApiProducts>" +
			"<Scopes/><Status>approved</Status></Credential>"
		app := `<App name="app"><AccessType/><ApiProducts/><Credentials>` + credential + "</Credentials><AppFamily>default</AppFamily><AppId>" + a.Profile.AppId + "</AppId><Attributes>" +
			"<Attribute><Name>DisplayName</Name><Value>The App</Value></Attribute><Attribute><Name>color</Name><Value>red</Value></Attribute><Attribute><Name>client_id</Name><Value>forged</Value></Attribute>" +
			"<Attribute><Name>failed</Name><Value>x</Value></Attribute><Attribute><Name>apiproduct.name</Name><Value>forged</Value></Attribute></Attributes>" +
			"<CallbackUrl>https://app.example.com/cb</CallbackUrl>" + history + "<DeveloperId>" + id + "</DeveloperId><Scopes/><Status>approved</Status></App>"
		developer := "<Developer><Apps><App>app</App></Apps><Email>ada@example.com</Email><DeveloperId>" + id + "</DeveloperId><FirstName>Ada</FirstName><LastName>L</LastName><UserName>ada</UserName>" +
			"<OrganizationName>acme</OrganizationName><Status>active</Status><Attributes><Attribute><Name>tier</Name><Value>1</Value></Attribute><Attribute><Name>id</Name><Value>no</Value></Attribute></Attributes>" + history + "</Developer>"
		product := `<ApiProduct name="gold"><ApiResources><ApiResource>/a/**</ApiResource></ApiResources><ApprovalType>auto</ApprovalType><Attributes><Attribute><Name>location</Name><Value>projects/p</Value></Attribute>` +
			"<Attribute><Name>developer.quota.limit</Name><Value>10</Value></Attribute><Attribute><Name>developer.quota.interval</Name><Value>2</Value></Attribute><Attribute><Name>developer.quota.timeunit</Name><Value>hour</Value></Attribute></Attributes>" +
			"<CreatedAt>" + now + "</CreatedAt><CreatedBy/><Description/><DisplayName>Gold &amp; Co</DisplayName><Environments><Environment>test</Environment></Environments><LastModifiedAt>" + now + "</LastModifiedAt><LastModifiedBy/>" +
			"<Proxies><Proxy>hello</Proxy></Proxies><Scopes><Scope>read</Scope></Scopes></ApiProduct>"
		ops := "<OperationGroup><operationConfigs><apiSource>hello</apiSource><attributes><Name>hub_api</Name><Value>7</Value></attributes><operations><methods>GET</methods><methods>PUT</methods><resource>/x/*</resource></operations>" +
			"<quota><interval>2</interval><limit>1</limit><timeUnit>hour</timeUnit></quota></operationConfigs><operationConfigType>proxy</operationConfigType></OperationGroup>"

		for _, test := range []struct {
			query policy.EntityQuery
			want  string // the document, a part after "...", or "" for none
		}{
			{query("app", "consumerkey", "key"), app},
			{query("app", "appid", a.Profile.AppId), app},
			{query("app", "appname", "app", "developeremail", "Ada@example.com"), app},
			{query("app", "appname", "app", "developerid", id), app},
			{query("app", "appname", "app", "appgroupname", "group"), "...<AppGroup>group</AppGroup>"},
			{query("app", "appname", "app"), ""}, // two have the name
			{query("app", "appname", "unique"), "...<AppId>" + unique.Profile.AppId},
			{query("app", "appname", "none", "developerid", id), ""},
			{query("app", "consumerkey", "none"), ""},
			{query("app", "appid", "no/such\x00id"), ""},
			{query("consumerkey", "consumerkey", "key"), credential},
			{query("consumerkey_scope", "consumerkey", "key"), "<Scopes/>"},
			{query("consumerkey", "consumerkey", "none"), ""},
			{query("developer", "consumerkey", "key"), developer},
			{query("developer", "appid", a.Profile.AppId), developer},
			{query("developer", "developeremail", "ada@example.com"), developer},
			{query("developer", "developerid", id), developer},
			{query("developer", "developerid", "acme@@@"+id), developer},
			{query("developer", "developerid", "none"), ""},
			{query("developer", "consumerkey", "group-key"), ""},
			{query("appgroupname", "consumerkey", "group-key"), `...<AppGroup name="group"><AppGroupId>`},
			{query("appgroupname", "appgroupname", "group"), "...<DisplayName>G</DisplayName>"},
			{query("appgroupname", "consumerkey", "key"), ""},
			{query("apiproduct", "apiproductname", "gold"), product},
			{query("apiproduct", "consumerkey", "key"), product},
			{query("apiproduct", "appid", a.Profile.AppId, "apiresource", "/x/*"), "..." + ops},
			{query("apiproduct", "appname", "app", "developerid", id), product},
			{query("apiproduct", "consumerkey", "key", "apiresource", "/nowhere"), ""},
			{query("apiproduct", "apiproductname", "none"), ""},
			{query("verifier", "verifier", "x"), ""},
		} {
			for range 2 { // read, and kept
				got := strings.TrimPrefix(e.profile(test.query), `<?xml version="1.0" encoding="UTF-8"?>`+"\n")
				part, isPart := strings.CutPrefix(test.want, "...")
				if isPart && !strings.Contains(got, part) || !isPart && got != test.want {
					t.Errorf("%+v:\n%s\nwant\n%s", test.query, got, test.want)
				}
				if got != "" && xml.Unmarshal([]byte(got), new(struct{})) != nil {
					t.Errorf("%s is no XML", got)
				}
			}
		}

		q := query("app", "consumerkey", "key")
		q.JSON = true
		shown := new(apigee.GoogleCloudApigeeV1App)
		e.ok(json.Unmarshal([]byte(e.profile(q)), shown))
		if shown.Name != "app" || shown.Credentials[0].ConsumerSecret != "secret-of-key" {
			t.Errorf("as JSON %+v", shown)
		}

		// What is kept goes with what is revoked, and what was not there may come.
		_, _, err := e.EditCredential(t.Context(), org, registry.Owner{Developer: id}, "app", "key", func(c *entity.Credential) (*entity.Credential, error) {
			c.Public.Status = entity.Revoked
			return c, nil
		})
		e.ok(err)
		e.Drop()
		if got := e.profile(query("consumerkey", "consumerkey", "key")); !strings.Contains(got, "<Status>revoked</Status></Credential>") {
			t.Errorf("after its revocation %s", got)
		}
		e.product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "none"})
		e.Refresh()
		if e.profile(query("apiproduct", "apiproductname", "none")) == "" {
			t.Error("a product is not found after its creation")
		}
		e.down.Store(true)
		e.Drop()
		if _, _, err := e.Entity(t.Context(), query("app", "consumerkey", "key")); err == nil || !strings.Contains(err.Error(), "datastore.ErrorWhileAccessingDataStore") {
			t.Errorf("the store is down: %v", err)
		}
	})
}
