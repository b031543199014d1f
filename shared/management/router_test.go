package management

import (
	"net/http"
	"strings"
	"testing"
)

func allRoutes() *tree {
	t := new(tree)
	for i := range routes {
		t.add(&routes[i])
	}
	return t
}

func TestFind(t *testing.T) {
	all := allRoutes()
	for _, c := range []struct{ method, path, pattern, params string }{
		{"GET", "/v1/organizations", "organizations", ""},
		{"GET", "/v1/organizations/", "organizations", ""},
		{"GET", "/v1/organizations/acme", orgPath, "org=acme"},
		{"GET", "/v1/organizations/acme/", orgPath, "org=acme"},
		{"POST", "/v1/organizations/acme:setAddons", orgPath + ":setAddons", "org=acme"},
		{"POST", "/v1/organizations/acme/apis/a:move", apiPath + ":move", "org=acme api=a"},
		{"POST", "/v1/organizations/acme/apis/a/:move", apiPath + "/:move", "org=acme api=a"},
		{"POST", "/v1/organizations/acme/environments/e/apis/a/revisions/3/deployments:generateDeployChangeReport",
			envPath + "/apis/{api}" + deploymentsPath + ":generateDeployChangeReport", "org=acme env=e api=a rev=3"},
		// Keys with a slash, as %2F and as it is, with a star, with a verb's look.
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/a/b", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=a/b"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/a%2Fb", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=a/b"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries//a", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=/a"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/a/", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=a/"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/*", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=*"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/..%2F..", orgPath + "/keyvaluemaps/{map}/entries/{key...}", "org=acme map=m key=../.."},
		{"GET", "/v1/organizations/acme/keyvaluemaps/m/entries/", orgPath + "/keyvaluemaps/{map}/entries", "org=acme map=m"},
		{"GET", "/v1/organizations/acme/keyvaluemaps/a:move", orgPath + "/keyvaluemaps/{map}", "org=acme map=a:move"},
		{"GET", "/v1/organizations/acme/environments/e/resourcefiles/jsc/a/b.js", envPath + "/resourcefiles/{type}/{name...}", "org=acme env=e type=jsc name=a/b.js"},
		// One unescaping: what was escaped twice keeps the inner one.
		{"GET", "/v1/organizations/acme/envgroups/a%2540b", groupPath, "org=acme group=a%40b"},
		{"GET", "/v1/organizations/acme/envgroups/a%20b", groupPath, "org=acme group=a b"},
		// A slash in any other name leads nowhere.
		{"GET", "/v1/organizations/acme%2Fapis%2Fa", "", ""},
		{"GET", "/v1/organizations/acme/envgroups/a%2Fb", "", ""},
		{"GET", "/v1/organizations//apis", "", ""},
		{"GET", "/v1/", "", ""},
		{"GET", "/v1", "", ""},
		{"GET", "/", "", ""},
		{"GET", "/v2/organizations", "", ""},
		{"PUT", "/v1/organizations", "", ""},
		{"GET", "/v1/organizations/acme/nothing", "", ""},
	} {
		segments, err := split(c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		r, params := all.find(c.method, segments)
		pattern, got := "", []string{}
		if r != nil {
			pattern = r.pattern
			for _, name := range r.parameters() {
				got = append(got, name+"="+params[name])
			}
		}
		if pattern != c.pattern || strings.Join(got, " ") != c.params {
			t.Errorf("%s %s leads to %q with %q, want %q with %q", c.method, c.path, pattern, got, c.pattern, c.params)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	for _, path := range []string{"/v1/a%zz", "/v1/%ff", "/v1/a%00"} {
		if s, err := split(path); err == nil {
			t.Errorf("split(%q) = %q", path, s)
		}
	}
}

func TestUnescapeAgain(t *testing.T) {
	for in, want := range map[string]string{"a@b.c": "a@b.c", "a%40b.c": "a@b.c", "50%": "50%", "a+b@c.d": "a+b@c.d", "%ff": "%ff"} {
		if got := unescapeAgain(in); got != want {
			t.Errorf("unescapeAgain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v2/organizations", "/v1/organizations/acme/nothing", "//", "/v1//"} {
		a.do("GET", path, nil).want(http.StatusNotFound, `"code":404`, `"status":"NOT_FOUND"`)
	}
	a.do("PATCH", "environments", `{}`).want(http.StatusNotFound, "Method PATCH is not available")
	a.do("GET", "/v1/organizations/acme%ff", nil).want(http.StatusBadRequest, `"status":"INVALID_ARGUMENT"`)
}

func TestUnknownOrganizationAndEnvironment(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "/v1/organizations/other/apis", nil).want(404, `organization \"other\" not found`)
	a.do("GET", "environments/none/targetservers", nil).want(404, `environment \"none\" not found`)
	a.do("POST", "environments/none/keystores", `{"name":"a"}`).want(404)
}

func TestHealth(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = nobody{} })
	if r := a.do("GET", "/healthz", nil).want(200); r.body != "ok\n" {
		t.Errorf("answer is %q", r.body)
	}
	a.do("HEAD", "/healthz", nil).want(200)
	a.do("DELETE", "/healthz", nil).want(405)
}
