package management

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
)

func TestImportForms(t *testing.T) {
	a := newAPI(t)
	zip := proxyZip(t, "p", "/p")
	a.do("POST", "apis?action=import&name=p", files("proxy", zip)).want(200, `"revision":"1"`)
	a.do("POST", "apis?action=import&name=p", files("file", zip)).want(200, `"revision":"2"`)
	a.do("POST", "apis?action=import&name=p", []byte(zip)).want(200, `"revision":"3"`)
	a.do("POST", "apis?action=import&name=p&validate=true", withField(files("file", zip), "note", "x")).want(200, `"revision":"4"`)
	// The name of the query wins, without one that of the bundle is taken.
	a.do("POST", "apis?action=import&name=q", files("file", zip)).want(200, `"name":"q"`, `"revision":"1"`)
	a.do("POST", "apis?action=import", files("file", zip)).want(200, `"name":"p"`, `"revision":"5"`)
	// JSON, or nothing, makes a proxy without revisions.
	a.do("POST", "apis", `{"name":"empty"}`).want(200, `"name":"empty"`).lacks("latestRevisionId")
	a.do("POST", "apis?name=empty2", nil).want(200, `"name":"empty2"`)
	a.do("POST", "apis", `{"name":"empty"}`).want(409)
	a.do("GET", "apis/empty/revisions", nil).want(200).is("[]")

	a.do("POST", "apis?action=import&name=p", []byte("PK")).want(400, `"status":"INVALID_ARGUMENT"`, "not a valid zip file")
	a.do("POST", "apis?action=import&name=p", files("file", "")).want(400, "no bundle")
	a.do("POST", "apis?action=import&name=p", []byte{}).want(400, "no bundle")
	a.do("POST", "apis?action=import&name=p", []byte("--x"), "Content-Type", "multipart/form-data").want(400)
	a.do("POST", "apis?action=import&name=p", []byte("--x"), "Content-Type", "multipart/form-data; boundary=x").want(400)
	a.do("POST", "apis?action=other&name=p", files("file", zip)).want(400, "want import, validate")
	a.do("POST", "apis?action=import&name=a%2Fb", files("file", zip)).want(400, "API proxy name")
	a.do("POST", "apis?action=import&name=f", files("file", flowZip(t, "f"))).want(400, "SharedFlowBundle")
	a.do("POST", "sharedflows?action=import&name=p", files("file", zip)).want(400, "APIProxy")
	a.do("POST", "apis?action=import&name=p", bytes.Repeat([]byte{1}, bundle.MaxZipBytes+1)).want(400, "exceeds the limit")
	a.do("POST", "apis?action=import&name=p", files("file", strings.Repeat("x", bundle.MaxZipBytes+1))).want(400, "too large")
	a.do("POST", "apis?action=import&name=p", files("file", strings.Repeat("x", bundle.MaxZipBytes+2<<20))).want(400)
}

func TestImportReportsAllProblems(t *testing.T) {
	a := newAPI(t)
	bad := zipped(t,
		"apiproxy/p.xml", `<APIProxy name="p"/>`,
		"apiproxy/proxies/default.xml", "<ProxyEndpoint name=\"default\">\n<PreFlow name=\"PreFlow\"><Request>\n<Step><Name>None</Name></Step></Request></PreFlow>\n<HTTPProxyConnection><BasePath>/p</BasePath></HTTPProxyConnection></ProxyEndpoint>",
		"apiproxy/policies/A.xml", "\n<Unknown name=\"A\"/>",
		"apiproxy/policies/B.xml", "<Broken",
	)
	r := a.do("POST", "apis?action=import&name=p", files("proxy", bad)).want(400,
		`"code":400`, `"status":"INVALID_ARGUMENT"`, "bundle contains errors:",
		"policies/A.xml:2: <Unknown> is not a policy that this gateway supports", "policies/B.xml", "proxies/default.xml:3:",
		`"@type":"type.googleapis.com/google.rpc.BadRequest"`, `"field":"apiproxy/policies/A.xml"`, "line 2: <Unknown>")
	var body struct {
		Error struct {
			Details []struct{ FieldViolations []fieldViolation }
		}
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || len(body.Error.Details) != 2 || len(body.Error.Details[0].FieldViolations) != 3 {
		t.Errorf("details: %v %s", err, r.body)
	}
	a.do("GET", "apis/p", nil).want(404)
	a.do("POST", "apis?action=validate&name=p", files("proxy", bad)).want(400, "policies/A.xml:2:")
}

func TestWarnings(t *testing.T) {
	a := newAPI(t)
	zip := proxyZip(t, "p", "/p", "Odd")
	a.do("POST", "apis?action=import&name=p", files("proxy", zip)).want(200, `"warnings":["policies/A.xml:1: odd"]`, `"revision":"1"`)
	r := a.do("POST", "apis?action=validate&name=p", files("proxy", zip)).want(200, `"warnings":`, `"name":"p"`)
	if r.get("revision") != nil {
		t.Errorf("a validation has a revision: %s", r.body)
	}
	a.do("GET", "apis/p/revisions/1", nil).want(200).lacks("warnings")
	a.do("GET", "apis/p", nil).want(200, `"revision":["1"]`)
}

func TestRevisions(t *testing.T) {
	a := newAPI(t)
	zip := proxyZip(t, "p", "/p")
	for range 3 {
		a.do("POST", "apis?action=import&name=p", files("proxy", zip)).want(200)
	}
	r := a.do("GET", "apis/p/revisions/2?format=bundle", nil).want(200)
	if r.body != zip || r.header.Get("Content-Type") != "application/zip" {
		t.Errorf("the bundle is another: %d bytes, %v", len(r.body), r.header)
	}
	a.do("GET", "apis/p/revisions/2?format=other", nil).want(400)
	a.do("GET", "apis/p/revisions/2", nil).want(200, `"revision":"2"`, `"type":"Application"`)
	a.do("GET", "apis/p/revisions/9", nil).want(404)
	a.do("GET", "apis/p/revisions/9?format=bundle", nil).want(404)
	a.do("GET", "apis/p/revisions", nil).want(200).is(`["1","2","3"]`)
	a.do("DELETE", "apis/p/revisions/2", nil).want(200, `"revision":"2"`)
	a.do("GET", "apis/p/revisions", nil).want(200).is(`["1","3"]`)
	a.do("POST", "apis?action=import&name=p", files("proxy", zip)).want(200, `"revision":"4"`)

	// A revision can be replaced until it is deployed.
	a.do("POST", "apis/p/revisions/1", files("file", proxyZip(t, "p", "/other"))).want(200, `"basepaths":["/other"]`, `"revision":"1"`)
	a.do("POST", "environments/test/apis/p/revisions/1/deployments", nil).want(200)
	a.do("POST", "apis/p/revisions/1", files("file", zip)).want(400, `"status":"FAILED_PRECONDITION"`)
	a.do("DELETE", "apis/p/revisions/1", nil).want(400, `"status":"FAILED_PRECONDITION"`)

	a.do("PATCH", "apis/p?updateMask=labels", `{"labels":{"team":"a"}}`).want(200, `"labels":{"team":"a"}`)
	a.do("PATCH", "apis/p", `{"name":"p","labels":{"team":"b"}}`).want(200, `"labels":{"team":"b"}`)
	a.do("PATCH", "apis/none", `{"labels":{}}`).want(404)
	a.do("POST", "apis/p:move", `{"space":"s"}`).want(200, `"space":"s"`)
	a.do("POST", "apis/p/:move?space=s2", nil).want(200, `"space":"s2"`)
}

func TestLists(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "apis", nil).want(200).is(`{"proxies":[]}`)
	a.do("GET", "sharedflows", nil).want(200).is(`{"sharedFlows":[]}`)
	a.do("POST", "apis?action=import&name=b", files("proxy", proxyZip(t, "b", "/b"))).want(200)
	a.do("POST", "apis?action=import&name=a&space=s", files("proxy", proxyZip(t, "a", "/a"))).want(200)
	a.do("POST", "sharedflows?action=import&name=f", files("proxy", flowZip(t, "f"))).want(200)
	a.do("GET", "apis", nil).want(200).is(`{"proxies":[{"apiProxyType":"PROGRAMMABLE","name":"a","space":"s"},{"apiProxyType":"PROGRAMMABLE","name":"b"}]}`)
	a.do("GET", "apis?space=s&includeRevisions=true", nil).want(200).is(`{"proxies":[{"apiProxyType":"PROGRAMMABLE","latestRevisionId":"1","name":"a","revision":["1"],"space":"s"}]}`)
	a.do("GET", "apis?includeMetaData=true", nil).want(200, `"metaData":{"createdAt":"1798859045000","lastModifiedAt":"1798859045000","subType":"Proxy"}`)
	a.do("GET", "apis?includeRevisions=perhaps", nil).want(400)
	a.do("GET", "sharedflows?includeMetaData=true&includeRevisions=true", nil).want(200, `"subType":"SharedFlow"`, `"revision":["1"]`)
}

func TestDeployments(t *testing.T) {
	a := newAPI(t)
	for range 2 {
		a.do("POST", "apis?action=import&name=p", files("proxy", proxyZip(t, "p", "/p"))).want(200)
	}
	a.do("POST", "apis?action=import&name=q", files("proxy", proxyZip(t, "q", "/p"))).want(200)
	p := "environments/test/apis/p/revisions/"
	a.do("GET", p+"1/deployments", nil).want(404)
	a.do("POST", p+"9/deployments", nil).want(404)
	a.do("POST", p+"1/deployments?serviceAccount=nobody", nil).want(400, "serviceAccount")
	a.do("POST", p+"1/deployments?override=perhaps", nil).want(400)
	a.do("POST", p+"1/deployments?serviceAccount=projects%2F-%2FserviceAccounts%2Fsa%40acme.iam.gserviceaccount.com", nil).want(200, `"serviceAccount":"sa@acme.iam.gserviceaccount.com"`)
	a.do("POST", p+"2/deployments", nil).want(400, `"status":"FAILED_PRECONDITION"`, `"@type":"type.googleapis.com/google.rpc.PreconditionFailure"`)
	a.do("POST", p+"2/deployments:generateDeployChangeReport?override=true", nil).want(200, `"routingChanges":[`)
	a.do("POST", p+"2/deployments?override=true", nil).want(200, `"revision":"2"`)

	q := "environments/test/apis/q/revisions/1/deployments"
	a.do("POST", q, nil).want(400, "conflicting base paths", `"type":"ROUTING_CONFLICT"`)
	a.do("POST", q+":generateDeployChangeReport", nil).want(200, `"routingConflicts":[`)
	a.do("POST", p+"2/deployments:generateUndeployChangeReport", nil).want(200, `"routingChanges":[`)
	a.do("POST", p+"1/deployments:generateUndeployChangeReport", nil).want(404)

	a.do("GET", "deployments", nil).want(200, `"apiProxy":"p"`)
	a.do("GET", "deployments?sharedFlows=true", nil).want(200).is("{}")
	a.do("GET", "environments/test/apis/p/deployments", nil).want(200, `"revision":"2"`)
	a.do("GET", "environments/prod/apis/p/deployments", nil).want(200).is("{}")
	a.do("GET", "apis/p/revisions/2/deployments", nil).want(200, `"environment":"test"`)
	a.do("GET", "apis/p/revisions/1/deployments", nil).want(200).is("{}")
	a.do("GET", "apis/none/deployments", nil).want(404)
	a.do("GET", "deployedIngressConfig", nil).want(200, `"basepath":"/p"`, `"hostnames":["api.example.com"]`)
	a.do("GET", "envgroups/default/deployedIngressConfig", nil).want(200, `"basepath":"/p"`)
	a.do("DELETE", p+"1/deployments", nil).want(404)
	a.do("DELETE", p+"2/deployments?sequencedRollout=true", nil).want(200).is("{}")
}

// The compiler is asked again when the environment is known.
func TestDeployValidates(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "apis?action=import&name=p", files("proxy", proxyZip(t, "p", "/p", "OnlyTest"))).want(200)
	a.do("POST", "environments/prod/apis/p/revisions/1/deployments", nil).want(400, "policies/A.xml:1: not in prod")
	a.do("GET", "environments/prod/deployments", nil).want(200).is("{}")
	a.do("POST", "environments/test/apis/p/revisions/1/deployments", nil).want(200)
}

// FuzzUpload holds that what is found in a form is what some part of it has, and
// that no form is taken beyond its limit.
func FuzzUpload(f *testing.F) {
	add := func(build func(w *multipart.Writer)) {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		_ = w.SetBoundary("b")
		build(w)
		_ = w.Close()
		f.Add(buf.Bytes())
	}
	add(func(w *multipart.Writer) {
		p, _ := w.CreateFormFile("proxy", "/tmp/a")
		_, _ = p.Write([]byte("PK"))
	})
	add(func(w *multipart.Writer) {
		_ = w.WriteField("password", "x")
		p, _ := w.CreateFormFile("file", "f")
		_, _ = p.Write([]byte("data"))
		_ = w.WriteField("file", "twice")
	})
	f.Add([]byte("--b\r\n\r\nx\r\n--b--"))
	f.Add([]byte("--b--"))
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 64
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		c := &call{server: &server{}, w: httptest.NewRecorder(), r: r, query: r.URL.Query()}
		u, err := c.upload(limit)
		if err != nil {
			if codeOf(err) != "INVALID_ARGUMENT" {
				t.Fatalf("error is %v", err)
			}
			return
		}
		total := 0
		for name, data := range u.parts {
			total += len(data)
			if !bytes.Contains(body, data) {
				t.Fatalf("part %q has %q, which the body has not", name, data)
			}
		}
		if total > limit || len(u.parts) > maxParts {
			t.Fatalf("%d bytes in %d parts", total, len(u.parts))
		}
		if _, ok := u.parts[u.first]; !ok {
			t.Fatalf("first part is %q", u.first)
		}
	})
}
