package management

import (
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
)

func TestMembers(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "members", nil).want(200).is(`{"members":[]}`)
	a.do("PUT", "members/Ann@Example.com", `{"role":"developer"}`).want(200).
		is(`{"member":"ann@example.com","role":"developer","grantedBy":"local","grantedAt":"1798859045000"}`)
	a.do("PUT", "members/ann%2540example.com", `{"role":"admin","member":"ANN@example.com"}`).want(200, `"role":"admin"`)
	a.do("PUT", "members/serviceAccount:ci@p.iam.gserviceaccount.com", `{"role":"viewer"}`).want(200, `"member":"ci@p.iam.gserviceaccount.com"`)
	a.do("PUT", "members/109876543210987654321", `{"role":"viewer"}`).want(200)
	a.do("GET", "members/ann@example.com", nil).want(200, `"role":"admin"`)
	list := a.do("GET", "members?pageSize=2", nil).want(200, `"member":"109876543210987654321"`, `"member":"ann@example.com"`).lacks("ci@p")
	a.do("GET", "members?pageToken="+list.text("nextPageToken"), nil).want(200, `"member":"ci@p.iam.gserviceaccount.com"`).lacks("ann", "nextPageToken")
	a.do("DELETE", "members/ann@example.com", nil).want(200, `"role":"admin"`)
	a.do("GET", "members/ann@example.com", nil).want(404, `member \"ann@example.com\" not found`)

	a.do("PUT", "members/ann@example.com", `{"role":"owner"}`).want(400, "want viewer, developer, admin")
	a.do("PUT", "members/ann@example.com", `{}`).want(400)
	a.do("PUT", "members/ann", `{"role":"admin"}`).want(400, "not an e-mail address")
	a.do("PUT", "members/12345", `{"role":"admin"}`).want(400)
	a.do("PUT", "members/ann@example.com", `{"role":"admin","member":"bob@example.com"}`).want(400)
	a.do("PUT", "/v1/organizations/other/members/ann@example.com", `{"role":"admin"}`).want(404)
	a.do("PUT", "/v1/organizations/*/members/ann@example.com", `{"role":"admin"}`).want(404)
}

func TestMembersEverywhere(t *testing.T) {
	a := newAPI(t)
	a.do("PUT", "/v1/members/ann@example.com", `{"role":"admin"}`).want(200)
	a.do("GET", "/v1/members", nil).want(200, `"member":"ann@example.com"`)
	a.do("GET", "members", nil).want(200).is(`{"members":[]}`)
	roles, err := a.reg.RolesOf(t.Context(), "ann@example.com")
	if err != nil || len(roles) != 1 || roles["*"] != "admin" {
		t.Errorf("roles are %v, %v", roles, err)
	}
	a.do("DELETE", "/v1/members/ann@example.com", nil).want(200)
	a.do("GET", "/v1/members/ann@example.com", nil).want(404)
}

func TestMembersOfDeletedOrganization(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "/v1/organizations", `{"name":"brief"}`).want(200)
	a.do("PUT", "/v1/organizations/brief/members/ann@example.com", `{"role":"admin"}`).want(200)
	a.do("DELETE", "/v1/organizations/brief", nil).want(200)
	a.do("POST", "/v1/organizations", `{"name":"brief"}`).want(200)
	a.do("GET", "/v1/organizations/brief/members", nil).want(200).is(`{"members":[]}`)
}

func TestAuditLog(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = member(Admin); o.Audit = o.Registry.Audit })
	a.do("POST", "keyvaluemaps", `{"name":"m"}`).want(200)
	a.now = a.now.Add(time.Second)
	a.do("POST", "environments/test/keystores/ks/aliases?alias=a&format=pkcs12&password=hunter2", []byte("x")).want(404)
	a.do("GET", "keyvaluemaps", nil).want(200)
	a.do("DELETE", "keyvaluemaps/m", nil).want(200)
	a.do("GET", "auditlog", nil).want(200).is(`{"entries":[
		{"time":"2027-01-02T03:04:06.000000Z","actor":"me@example.com","permission":"apigee.keyvaluemaps.delete","method":"DELETE","resource":"organizations/acme/keyvaluemaps/m","remote":"192.0.2.1:1234"},
		{"time":"2027-01-02T03:04:05.000000Z","actor":"me@example.com","permission":"apigee.keyvaluemaps.create","method":"POST","resource":"organizations/acme/keyvaluemaps","name":"m","remote":"192.0.2.1:1234"}]}`)
	first := a.do("GET", "auditlog?pageSize=1", nil).want(200, `"method":"DELETE"`).lacks(`"method":"POST"`)
	a.do("GET", "auditlog?pageToken="+first.text("nextPageToken"), nil).want(200, `"method":"POST"`).lacks(`"method":"DELETE"`)
	a.now = a.now.Add(401 * 24 * time.Hour)
	a.do("GET", "auditlog", nil).want(200).is(`{"entries":[]}`)
}

func TestKnownButDenied(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = failing{entity.Errorf(PermissionDenied, "scope missing")} })
	a.do("GET", "apis", nil).want(403, "scope missing", `"status":"PERMISSION_DENIED"`)
}

func TestParseRole(t *testing.T) {
	for name, want := range map[string]Role{"viewer": Viewer, "developer": Developer, "admin": Admin} {
		if r, ok := ParseRole(name); r != want || !ok {
			t.Errorf("%s is %s, %t", name, r, ok)
		}
	}
	for _, name := range []string{"", "none", "owner", "Admin"} {
		if r, ok := ParseRole(name); r != 0 || ok {
			t.Errorf("%q is %s, %t", name, r, ok)
		}
	}
}
