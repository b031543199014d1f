package management

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// nobody is known.
type nobody struct{}

func (nobody) Authenticate(*http.Request) (Principal, error) {
	return Principal{}, errors.New("token expired")
}

// member has a role in acme.
type member Role

func (m member) Authenticate(*http.Request) (Principal, error) {
	return Principal{Name: "me@example.com", Roles: map[string]Role{"acme": Role(m)}}, nil
}

// panicking does.
type panicking struct{}

func (panicking) Authenticate(*http.Request) (Principal, error) { panic("oops") }

// filled is the pattern of a route with values in it.
func filled(r *route) string {
	path := r.pattern
	for _, name := range r.parameters() {
		value := map[string]string{"org": "acme", "env": "test"}[name]
		if value == "" {
			value = "x"
		}
		path = strings.NewReplacer("{"+name+"...}", value, "{"+name+"}", value).Replace(path)
	}
	return "/v1/" + path
}

// TestRoutesAreGuarded walks the whole table: every route has a role, and is
// closed to those who are unknown, who have no role, and whose role is below.
func TestRoutesAreGuarded(t *testing.T) {
	for i := range routes {
		r := &routes[i]
		t.Run(r.method+" "+r.pattern, func(t *testing.T) {
			if r.role < Viewer || r.role > Admin {
				t.Fatalf("role is %s", r.role)
			}
			if r.permission == "" || r.handle == nil {
				t.Fatal("no permission or no handler")
			}
			if r.method != http.MethodGet && !r.reads && r.role < Developer {
				t.Error("a viewer may change something")
			}
			if r.method == http.MethodGet && r.reads {
				t.Error("GET always only reads")
			}
			unknown := newAPI(t, func(o *Options) { o.Auth = nobody{} })
			unknown.do(r.method, filled(r), nil).want(401, `"status":"UNAUTHENTICATED"`).lacks("expired")
			if unknown.changed != 0 {
				t.Error("changed")
			}
			if r.filtered {
				return
			}
			for role := Role(0); role < r.role; role++ {
				below := newAPI(t, func(o *Options) { o.Auth = member(role) })
				below.do(r.method, filled(r), nil).want(403, `"status":"PERMISSION_DENIED"`, "apigee."+r.permission)
			}
			// In another organization, that exists or not.
			other := newAPI(t, func(o *Options) { o.Auth = member(Admin) })
			other.do(r.method, strings.Replace(filled(r), "acme", "other", 1), nil).want(403)
		})
	}
}

func TestRoleOfPrincipal(t *testing.T) {
	p := Principal{Roles: map[string]Role{"a": Developer, "b": Viewer, Everywhere: Viewer}}
	for org, want := range map[string]Role{"a": Developer, "b": Viewer, "c": Viewer, "": Viewer, "*": Viewer} {
		if got := p.Role(org); got != want {
			t.Errorf("role in %q is %s, want %s", org, got, want)
		}
	}
	if got := (Principal{Roles: map[string]Role{"a": Admin}}).Role(""); got != 0 {
		t.Errorf("role outside of organizations is %s", got)
	}
}

func TestOrganizationsAreFiltered(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = member(Viewer) })
	if err := a.reg.EnsureOrganization(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	a.do("GET", "/v1/organizations", nil).want(200).is(`{"organizations":[{"organization":"acme","projectId":"acme","projectIds":["acme"]}]}`)
	a.do("POST", "/v1/organizations", `{"name":"new"}`).want(403)
}

type failing struct{ err error }

func (f failing) Authenticate(*http.Request) (Principal, error) { return Principal{}, f.err }

func TestAuthenticatorUnavailable(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = failing{entity.Errorf(entity.Unavailable, "cannot read keys")} })
	a.do("GET", "apis", nil).want(503, `"status":"UNAVAILABLE"`)
}

func TestBrowsersOfOtherSites(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "keyvaluemaps", `{"name":"m"}`, "Sec-Fetch-Site", "cross-site").want(403, `"status":"PERMISSION_DENIED"`)
	a.do("POST", "keyvaluemaps", `{"name":"m"}`, "Origin", "https://evil.example").want(403)
	a.do("GET", "keyvaluemaps", nil).want(200).is("[]")
	for host, status := range map[string]int{
		"127.0.0.1:8081": 200, "localhost:8081": 200, "[::1]:8081": 200, "perigee": 200, "apigee.googleapis.com": 200,
		"evil.example:8081": 403, "127.0.0.1.evil.example": 403, "googleapis.com.evil.example": 403,
	} {
		r := httptest.NewRequest("GET", "http://"+host+"/v1/organizations/acme", nil)
		w := httptest.NewRecorder()
		a.handler.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("host %s: status %d, want %d", host, w.Code, status)
		}
	}
	named := newAPI(t, func(o *Options) { o.Auth = member(Viewer) })
	r := httptest.NewRequest("GET", "https://apis.example.com/v1/organizations/acme", nil)
	w := httptest.NewRecorder()
	named.handler.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("with an authenticator any host name: status %d", w.Code)
	}
}

func TestAudit(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = member(Developer) })
	a.do("POST", "keyvaluemaps", `{"name":"m"}`).want(200)
	if a.changed != 1 {
		t.Errorf("Changed was called %d times", a.changed)
	}
	for _, text := range []string{"msg=changed", "caller=me@example.com", "permission=keyvaluemaps.create", "method=POST", "resource=organizations/acme/keyvaluemaps", "name=m"} {
		if !strings.Contains(a.log.String(), text) {
			t.Errorf("log lacks %s: %s", text, &a.log)
		}
	}
	a.log.Reset()
	a.do("POST", "environments/test/keystores/ks/aliases?alias=a&format=pkcs12&password=hunter2", []byte("x")).want(403)
	if s := a.log.String(); !strings.Contains(s, "change refused") || !strings.Contains(s, "PERMISSION_DENIED") || strings.Contains(s, "hunter2") {
		t.Errorf("log is %s", s)
	}
	a.log.Reset()
	a.do("GET", "keyvaluemaps", nil).want(200)
	if a.log.Len() > 0 || a.changed != 1 {
		t.Errorf("reading logged %s, changed %d", &a.log, a.changed)
	}
}
