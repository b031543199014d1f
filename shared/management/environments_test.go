package management

import (
	"strings"
	"testing"
)

func TestOrganizations(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "/v1/organizations?parent=projects/p", `{"name":"new","analyticsRegion":"europe-west1","runtimeType":"CLOUD"}`).want(200, `"done":true`)
	a.do("POST", "/v1/organizations", `{"name":"new"}`).want(409)
	a.do("POST", "/v1/organizations", `{"name":"a/b"}`).want(400, "organization name")
	a.do("GET", "/v1/organizations", nil).want(200, `"organization":"acme"`, `"organization":"new"`)
	a.do("GET", "/v1/organizations/new", nil).want(200, `"analyticsRegion":"europe-west1"`, `"state":"ACTIVE"`, `"projectId":"new"`)
	a.do("GET", "/v1/organizations/new:getProjectMapping", nil).want(200, `"projectIds":["new"]`)
	a.do("PUT", "/v1/organizations/new", `{"name":"new","description":"d","environments":["ignored"],"properties":{"property":[{"name":"a","value":"b"}]}}`).
		want(200, `"description":"d"`, `"analyticsRegion":"europe-west1"`).lacks("ignored")
	a.do("PUT", "/v1/organizations/new", `{"description":"e"}`).want(200).lacks("property")
	a.do("POST", "/v1/organizations/new:setAddons", `{"addonsConfig":{"monetizationConfig":{"enabled":"true"}}}`).want(200, `"done":true`)
	a.do("GET", "/v1/organizations/new", nil).want(200, `"monetizationConfig":{"enabled":true}`)
	a.do("DELETE", "", nil).want(400, "still has environments")
	a.do("DELETE", "/v1/organizations/new?retention=MINIMUM", nil).want(200, `"done":true`)
	a.do("GET", "/v1/organizations/new", nil).want(404)
}

func TestEnvironments(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "environments?name=q", nil).want(200)
	a.do("POST", "environments?name=q2", `{"name":"q3"}`).want(400)
	a.do("POST", "environments", `{"name":"test"}`).want(409, `"status":"ALREADY_EXISTS"`)
	a.do("POST", "environments", `{}`).want(400, "name is missing")
	a.do("POST", "environments", `{"name":"a b"}`).want(400)
	a.do("POST", "environments", `{"name":"z","deploymentType":"OTHER"}`).want(400, "TYPE_ENUM")

	a.do("PUT", "environments/test", `{"name":"test","displayName":"T","properties":{"property":[{"name":"a","value":"1"}]}}`).want(200, `"value":"1"`, `"deploymentType":"PROXY"`)
	a.do("PUT", "environments/test", `{"name":"test","description":"d"}`).want(200, `"displayName":"T"`).lacks("property")
	a.do("POST", "environments/test", `{"name":"test","description":"e"}`).want(200, `"description":"e"`)
	a.do("PATCH", "environments/test?updateMask=displayName", `{"displayName":"U","description":"ignored"}`).want(200, `"done":true`, `"displayName":"U"`, `"description":"e"`)
	a.do("PATCH", "environments/test?updateMask=nothing", `{}`).want(400, "update mask")
	a.do("GET", "environments/test", nil).want(200, `"displayName":"U"`, `"createdAt":"1798859045000"`)

	a.do("GET", "environments/test/addonsConfig", nil).want(200).is("{}")
	a.do("POST", "environments/test/addonsConfig:setAddonEnablement", `{"analyticsEnabled":true}`).want(200, `"done":true`)
	a.do("GET", "environments/test/addonsConfig", nil).want(200, `"analyticsConfig":{"enabled":true}`)
	a.do("GET", "environments/test/traceConfig", nil).want(200).is(`{"samplingConfig":{"sampler":"OFF"}}`)
	a.do("PATCH", "environments/test/traceConfig", `{"exporter":"CLOUD_TRACE","endpoint":"p","samplingConfig":{"sampler":"PROBABILITY","samplingRate":0.2}}`).want(200)
	a.do("PATCH", "environments/test/traceConfig?updateMask=samplingConfig.samplingRate", `{"samplingConfig":{"samplingRate":0.1}}`).want(200, `"exporter":"CLOUD_TRACE"`, `"sampler":"PROBABILITY"`, `"samplingRate":0.1`)
	a.do("PATCH", "environments/test/traceConfig", `{"samplingConfig":{"samplingRate":2}}`).want(400, "samplingRate")
	name := a.do("POST", "environments/test/traceConfig/overrides", `{"apiProxy":"p","samplingConfig":{"sampler":"OFF"}}`).want(200).text("name")
	a.do("GET", "environments/test/traceConfig/overrides", nil).want(200, `{"traceConfigOverrides":[{"apiProxy":"p"`)
	a.do("PATCH", "environments/test/traceConfig/overrides/"+name, `{"samplingConfig":{"sampler":"PROBABILITY","samplingRate":"0.1"}}`).want(200, `"apiProxy":"p"`, `"samplingRate":0.1`)
	a.do("DELETE", "environments/test/traceConfig/overrides/"+name, nil).want(200)
	a.do("GET", "environments/test/traceConfig/overrides/"+name, nil).want(404)
}

func TestDebugMask(t *testing.T) {
	a := newAPI(t)
	p := "environments/test/debugmask"
	a.do("GET", p, nil).want(200).is(`{"name":"organizations/acme/environments/test/debugmask"}`)
	a.do("PATCH", p, `{"variables":["a"],"namespaces":{"x":"urn:x"}}`).want(200, `"variables":["a"]`)
	// Lists grow, unless they are to be replaced.
	a.do("PATCH", p, `{"variables":["b","a"],"requestXPaths":["/x"]}`).want(200, `"variables":["a","b"]`, `"namespaces":{"x":"urn:x"}`)
	a.do("PATCH", p+"?replaceRepeatedFields=true&updateMask=variables", `{"variables":["c"]}`).want(200, `"variables":["c"]`, `"requestXPaths":["/x"]`)
	a.do("GET", p, nil).want(200, `"variables":["c"]`)
}

func TestGroups(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "envgroups?name=g", `{"hostnames":["g.example.com"]}`).want(200)
	a.do("POST", "envgroups", `{"name":"h","hostnames":["api.example.com"]}`).want(409, "already exists in environment group")
	a.do("POST", "envgroups", `{"name":"h","hostnames":["bad host"]}`).want(400)
	a.do("GET", "envgroups", nil).want(200, `{"environmentGroups":[{`, `"name":"default"`, `"name":"g"`)
	token := a.do("GET", "envgroups?pageSize=1", nil).want(200, `"name":"default"`).lacks(`"name":"g"`).text("nextPageToken")
	a.do("GET", "envgroups?pageSize=1&pageToken="+token, nil).want(200, `"name":"g"`).lacks("nextPageToken")
	a.do("GET", "envgroups?pageToken=*", nil).want(400)
	a.do("GET", "envgroups?pageSize=-1", nil).want(400)
	a.do("POST", "envgroups/g/attachments", `{"environment":"none"}`).want(404)
	a.do("POST", "envgroups/g/attachments", `{"environment":"prod"}`).want(200)
	a.do("POST", "envgroups/g/attachments", `{"environment":"prod"}`).want(409)
	a.do("POST", "envgroups/none/attachments", `{"environment":"prod"}`).want(404)
	a.do("GET", "envgroups/none/attachments", nil).want(404)
	a.do("GET", "envgroups/g/attachments/none", nil).want(404)
	a.do("DELETE", "envgroups/g/attachments/none", nil).want(404)
	a.do("DELETE", "envgroups/g", nil).want(400, "still has attachments")
	a.do("DELETE", "environments/prod", nil).want(400, "attached")
}

func TestInstances(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "instances", `{"name":"i","location":"l","consumerAcceptList":["a"]}`).want(200)
	a.do("PATCH", "instances/i?updateMask=consumerAcceptList", `{"consumerAcceptList":["b"]}`).want(200, `"consumerAcceptList":["b"]`, `"location":"l"`)
	a.do("POST", "instances/i/attachments", `{"environment":"test"}`).want(200)
	a.do("POST", "instances/i/attachments", `{"environment":"test"}`).want(409)
	a.do("POST", "instances/i/attachments", `{"environment":"none"}`).want(404)
	id := a.do("GET", "instances/i/attachments", nil).want(200).text("attachments", "0", "name")
	a.do("GET", "instances/i/attachments/"+id, nil).want(200, `"environment":"test"`)
	a.do("GET", "instances/i/attachments/none", nil).want(404)
	a.do("DELETE", "instances/i", nil).want(400)
	a.do("DELETE", "instances/i/attachments/"+id, nil).want(200)
	a.do("DELETE", "instances/i", nil).want(200)
	a.do("GET", "operations", nil).want(200, `{"operations":[{`)
	a.do("GET", "operations/none", nil).want(404)
}

func TestTargetServers(t *testing.T) {
	a := newAPI(t)
	p := "environments/test/targetservers"
	a.do("POST", p+"?name=ts", `{"host":"h","port":"80"}`).want(200, `"name":"ts"`, `"isEnabled":true`, `"port":80`, `"protocol":"HTTP"`)
	a.do("POST", p, `{"name":"ts","host":"h","port":80}`).want(409)
	a.do("POST", p, `{"name":"x","host":"","port":80}`).want(400, "host")
	a.do("POST", p, `{"name":"x","host":"h","port":99999}`).want(400, "port")
	a.do("POST", p, `{"name":"x","host":"h","port":80,"protocol":"FTP"}`).want(400, "protocol")
	a.do("PUT", p+"/ts", `{"name":"ts","host":"i","port":443,"isEnabled":false,"sSLInfo":{"enabled":"true","protocols":["TLSv1.2"],"commonName":{"value":"*.example.com","wildcardMatch":"true"}}}`).
		want(200, `"isEnabled":false`, `"wildcardMatch":true`)
	a.do("PUT", p+"/none", `{"name":"none","host":"i","port":443}`).want(404)
	a.do("PUT", p+"/ts", `{"name":"other","host":"i","port":443}`).want(400)
	a.do("GET", p+"/ts", nil).want(200, `"host":"i"`)
	a.do("DELETE", p+"/ts", nil).want(200, `"host":"i"`)
	a.do("DELETE", p+"/ts", nil).want(404, `target server \"ts\" not found`)
}

func TestFlowHooks(t *testing.T) {
	a := newAPI(t)
	p := "environments/test/flowhooks"
	a.do("POST", "sharedflows?action=import&name=f", files("proxy", flowZip(t, "f"))).want(200)
	a.do("GET", p, nil).want(200).is(`["PostProxyFlowHook","PostTargetFlowHook","PreProxyFlowHook","PreTargetFlowHook"]`)
	a.do("GET", p+"/PreProxyFlowHook", nil).want(200).is(`{"flowHookPoint":"PreProxyFlowHook"}`)
	a.do("PUT", p+"/PreProxyFlowHook", `{"sharedFlow":"f","continueOnError":"true"}`).want(200, `"flowHookPoint":"PreProxyFlowHook"`, `"continueOnError":true`)
	a.do("GET", p+"/PreProxyFlowHook", nil).want(200, `"sharedFlow":"f"`)
	a.do("PUT", p+"/PreProxyFlowHook", `{"sharedFlow":"none"}`).want(404)
	a.do("PUT", p+"/PreProxyFlowHook", `{}`).want(400, "sharedFlow")
	a.do("PUT", p+"/Other", `{"sharedFlow":"f"}`).want(400, "none of")
	a.do("GET", p+"/Other", nil).want(400)
	a.do("DELETE", p+"/PreProxyFlowHook", nil).want(200)
	a.do("DELETE", p+"/PreProxyFlowHook", nil).want(404)
}

func TestResourceFiles(t *testing.T) {
	a := newAPI(t)
	p := "environments/test/resourcefiles"
	a.do("POST", p+"?name=a.js&type=jsc", []byte("var a;")).want(200, `"name":"a.js"`)
	a.do("POST", p+"?name=a.js&type=jsc", []byte("var a;")).want(409)
	a.do("POST", p+"?name=a.js&type=exe", []byte("x")).want(400)
	a.do("POST", p+"?name=p&type=properties", files("file", `a=\u12`)).want(400, "property set")
	a.do("POST", p+"?name=p&type=properties", files("other", "a=1")).want(200)
	a.do("POST", p+"?name=dir%2Fb.html&type=jsc", []byte("<script>")).want(200)
	r := a.do("GET", p+"/jsc/dir/b.html", nil).want(200)
	if r.body != "<script>" || r.header.Get("Content-Type") != "application/octet-stream" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("file is %q, %v", r.body, r.header)
	}
	a.do("GET", p+"?type=jsc", nil).want(200, "a.js", "dir/b.html").lacks("properties")
	a.do("GET", p+"/properties", nil).want(200).is(`{"resourceFile":[{"name":"p","type":"properties"}]}`)
	a.do("GET", "environments/prod/resourcefiles", nil).want(200).is(`{"resourceFile":[]}`)
	a.do("PUT", p+"/jsc/a.js", files("file", "var b;")).want(200)
	a.do("GET", p+"/jsc/a.js", nil).want(200, "var b;")
	a.do("PUT", p+"/jsc/none.js", []byte("x")).want(404)
	a.do("GET", p+"/jsc/none.js", nil).want(404)
	a.do("DELETE", p+"/jsc/a.js", nil).want(200)
	a.do("DELETE", p+"/jsc/a.js", nil).want(404)
}

func TestDataCollectorsAndCaches(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "datacollectors?dataCollectorId=dc_a", `{"type":"STRING","description":"d"}`).want(200, `"name":"dc_a"`)
	a.do("POST", "datacollectors", `{"name":"a","type":"STRING"}`).want(400, "must begin with")
	a.do("POST", "datacollectors", `{"name":"dc_b","type":"OTHER"}`).want(400)
	a.do("PATCH", "datacollectors/dc_a?updateMask=description", `{"description":"e"}`).want(200, `"description":"e"`, `"type":"STRING"`)
	a.do("GET", "datacollectors/dc_a", nil).want(200, `"description":"e"`)
	a.do("GET", "environments/test/caches", nil).want(200).is("[]")
	a.do("DELETE", "environments/test/caches/none", nil).want(404)
	a.do("POST", "environments/test/caches/none/entries?action=clear", nil).want(404)
	a.do("POST", "environments/test/caches/none/entries", nil).want(400, "action must be clear")
}

func TestKeyValueMaps(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "keyvaluemaps", `{"name":"m","encrypted":false,"entry":[]}`).want(200, `"encrypted":true`)
	a.do("POST", "keyvaluemaps", `{"name":"a/b"}`).want(400, "key value map name")
	a.do("PUT", "keyvaluemaps/m", `{"name":"m","encrypted":true}`).want(200)
	a.do("PUT", "keyvaluemaps/none", `{"name":"none"}`).want(404)
	a.do("GET", "keyvaluemaps/m", nil).want(200, `"name":"m"`)
	a.do("POST", "apis/none/keyvaluemaps", `{"name":"m"}`).want(404)
	a.do("GET", "apis/none/keyvaluemaps", nil).want(404)

	e := "keyvaluemaps/m/entries"
	for _, name := range []string{`a`, `a/b`, `*`, `50%`, `a b`, `%2F`, `ü`} {
		a.do("POST", e, `{"name":"`+name+`","value":"v"}`).want(200)
	}
	a.do("POST", e, `{"name":"a","value":"v"}`).want(409)
	for _, path := range []string{"a", "a/b", "a%2Fb", "*", "50%25", "a%20b", "%252F", "%C3%BC"} {
		a.do("GET", e+"/"+path, nil).want(200, `"value":"v"`)
	}
	a.do("PUT", e+"/a", `{"name":"b","value":"v"}`).want(400)
	a.do("PUT", e+"/a", `{"value":""}`).want(200).is(`{"name":"a","value":""}`)
	a.do("GET", e+"/a", nil).want(200).is(`{"name":"a","value":""}`)
	a.do("POST", e, `{"name":"big","value":"`+strings.Repeat("x", 11<<10)+`"}`).want(400, "at most 10240")
	a.do("POST", e, `{"value":"v"}`).want(400, "name is missing")
	a.do("GET", e+"/none", nil).want(404, `key value entry \"none\" not found`)
	a.do("GET", "keyvaluemaps/none/entries/a", nil).want(404, `key value map \"none\" not found`)
	a.do("DELETE", e+"/none", nil).want(404)
	a.do("DELETE", e+"/a/b", nil).want(200, `"name":"a/b"`)

	// Pages, under both spellings.
	seen := ""
	token := ""
	for range 10 {
		r := a.do("GET", e+"?pageSize=2&pageToken="+token, nil).want(200)
		for _, entry := range r.get("keyValueEntries").([]any) {
			seen += entry.(map[string]any)["name"].(string) + ","
		}
		if token = r.text("nextPageToken"); token == "" {
			break
		}
	}
	if seen != "%2F,*,50%,a,a b,ü," {
		t.Errorf("pages have %s", seen)
	}
}

func TestAnswerForm(t *testing.T) {
	a := newAPI(t)
	r := a.do("GET", "keyvaluemaps/none", nil).want(404)
	const want = "{\n  \"error\": {\n    \"code\": 404,\n    \"message\": \"key value map \\\"none\\\" not found\",\n    \"status\": \"NOT_FOUND\"\n  }\n}\n"
	if r.body != want || r.header.Get("Content-Type") != "application/json; charset=UTF-8" {
		t.Errorf("answer is %s %v", r.body, r.header)
	}
	if r := a.do("GET", "keyvaluemaps/none?prettyPrint=false", nil); strings.Contains(r.body, "\n") {
		t.Errorf("answer is %s", r.body)
	}
}

func TestStoredResources(t *testing.T) {
	a := newAPI(t)
	name := a.do("POST", "reports", `{"displayName":"r"}`).want(200).text("name")
	a.do("GET", "reports", nil).want(200).is(`{"qualifier":[{"name":"` + name + `"}]}`)
	a.do("PUT", "reports/"+name, `{"displayName":"s"}`).want(200, `"displayName":"s"`, `"createdAt":`)
	a.do("GET", "reports/"+name, nil).want(200, `"displayName":"s"`)
	a.do("POST", "reports", `{}`).want(400)
	a.do("GET", "reports/none", nil).want(404)
	a.do("GET", "sites", nil).want(200, `"data":[]`)
	a.do("POST", "sites/s/apidocs", `{"description":"d"}`).want(400, "title")
	a.do("GET", "sites/s/apidocs/1", nil).want(404)
	id := a.do("POST", "sites/s/apicategories", `{"name":"c"}`).want(200).text("data", "id")
	a.do("GET", "sites/s/apicategories", nil).want(200, `"name":"c"`)
	a.do("PATCH", "sites/s/apicategories/"+id, `{"name":"d"}`).want(200, `"name":"d"`)
	a.do("GET", "sites/s/apicategories/"+id, nil).want(200, `"name":"d"`)
	a.do("DELETE", "sites/s/apicategories/"+id, nil).want(200)
	a.do("GET", "sites/s/apicategories/"+id, nil).want(404)
}
