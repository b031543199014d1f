package management

import (
	"strings"
	"testing"
)

// The calls apigeecli makes, in the order and with the bodies recorded on the
// wire, for the commands that deploy and clean-up scripts of public samples use.

func TestCallsProxies(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "", nil).want(200, `"name":"acme"`, `"environments":["prod","test"]`)

	// apis create bundle -n hello
	zip := proxyZip(t, "hello", "/v1/samples/hello")
	r := a.do("POST", "apis?action=import&name=hello", files("proxy", zip)).want(200, `"name":"hello"`, `"revision":"1"`, `"basepaths":["/v1/samples/hello"]`)
	r.lacks("warnings")
	a.do("POST", "apis?action=import&name=hello", files("proxy", zip)).want(200, `"revision":"2"`)

	// apis create bundle -e test --ovr --wait -s SA
	path := "environments/test/apis/hello/revisions/1/deployments"
	a.do("POST", path+"?override=true&sequencedRollout=false&serviceAccount=sa%40acme.iam.gserviceaccount.com", nil).
		want(200, `"environment":"test"`, `"apiProxy":"hello"`, `"revision":"1"`, `"serviceAccount":"sa@acme.iam.gserviceaccount.com"`)
	a.do("GET", path, nil).want(200, `"state":"READY"`)

	// apis deploy --ovr --rev 2
	path = "environments/test/apis/hello/revisions/2/deployments"
	a.do("POST", path+"?override=true&sequencedRollout=false", nil).want(200)
	a.do("GET", path, nil).want(200, `"state":"READY"`, `"basepath":"/v1/samples/hello"`, `"envgroup":"default"`)
	a.do("GET", "environments/test/apis/hello/revisions/1/deployments", nil).want(404)

	// apis get, listdeploy
	a.do("GET", "apis/hello", nil).want(200, `"name":"hello"`, `"revision":["1","2"]`)
	a.do("GET", "apis/none", nil).want(404, `"status":"NOT_FOUND"`)
	a.do("GET", "apis/hello/deployments", nil).want(200, `{"deployments":[{"apiProxy":"hello"`, `"revision":"2"`, `"environment":"test"`)
	a.do("GET", "environments/test/deployments", nil).want(200, `"apiProxy":"hello"`)

	// apis undeploy, delete
	a.do("DELETE", "apis/hello", nil).want(400, `"status":"FAILED_PRECONDITION"`)
	a.do("DELETE", path, nil).want(200).is("{}")
	a.do("GET", "apis/hello/deployments", nil).want(200).is("{}")
	a.do("DELETE", "apis/hello", nil).want(200, `"name":"hello"`)
	a.do("GET", "apis/hello", nil).want(404)
}

func TestCallsSharedFlows(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "sharedflows?action=import&name=log", files("proxy", flowZip(t, "log"))).want(200, `"name":"log"`, `"revision":"1"`)
	path := "environments/test/sharedflows/log/revisions/1/deployments"
	a.do("POST", path+"?override=true&serviceAccount=sa%40acme.iam.gserviceaccount.com", nil).want(200, `"apiProxy":"log"`)
	a.do("GET", path, nil).want(200, `"state":"READY"`)
	a.do("GET", "sharedflows/log", nil).want(200, `"revision":["1"]`)
	a.do("GET", "sharedflows/log/deployments", nil).want(200, `"apiProxy":"log"`)
	a.do("GET", "environments/test/deployments?sharedFlows=true", nil).want(200, `"apiProxy":"log"`)
	a.do("GET", "environments/test/deployments", nil).want(200).is("{}")
	a.do("DELETE", path, nil).want(200).is("{}")
	a.do("DELETE", "sharedflows/log", nil).want(200)
}

func TestCallsKeyValueMaps(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "apis?action=import&name=hello", files("proxy", proxyZip(t, "hello", "/hello"))).want(200)
	a.do("POST", "apis/hello/keyvaluemaps", `{"name":"routes","encrypted":"true"}`).want(200, `"name":"routes"`, `"encrypted":true`)
	for _, scope := range []string{"environments/test/", "", "apis/hello/"} {
		maps := scope + "keyvaluemaps"
		a.do("POST", maps, `{"name":"settings","encrypted":true}`).want(200, `"name":"settings"`)
		a.do("POST", maps, `{"name":"settings"}`).want(409, `"status":"ALREADY_EXISTS"`)
		a.do("GET", maps, nil).want(200, `"settings"`)
		entries := maps + "/settings/entries"
		a.do("GET", entries, nil).want(200).is(`{"keyValueEntries":[],"nextPageToken":""}`)
		// kvms entries create -l "$(cat private.pem)": raw line breaks.
		a.do("POST", entries, "{\"name\":\"pem\",\"value\":\"-----BEGIN\nAB\tC\r\n-----END\"}").want(200)
		a.do("GET", entries+"/pem", nil).want(200, `"value":"-----BEGIN\nAB\tC\r\n-----END"`)
		// kvms entries import: looks for the entry first.
		a.do("GET", entries+"/migrated", nil).want(404)
		a.do("POST", entries, `{"name":"/migrated","value":"*"}`).want(200)
		a.do("PUT", entries+"/pem", `{"name":"pem","value":"x"}`).want(200, `"value":"x"`)
		a.do("PUT", entries+"/none", `{"name":"none","value":"x"}`).want(404)
		a.do("GET", entries+"?page_size=1", nil).want(200, `"name":"/migrated"`)
		a.do("DELETE", entries+"/pem", nil).want(200, `"name":"pem"`)
		a.do("DELETE", maps+"/settings", nil).want(200, `"name":"settings"`)
		a.do("GET", entries, nil).want(404)
	}
	a.do("GET", "environments/test/keyvaluemaps", nil).want(200).is("[]")
}

func TestCallsEnvironmentResources(t *testing.T) {
	a := newAPI(t)
	e := "environments/test/"
	// targetservers create / get / delete
	a.do("POST", e+"targetservers", `{"name":"ts","host":"example.com","port":443,"isEnabled":true,"sSLInfo":{"enabled":true}}`).want(200, `"name":"ts"`)
	a.do("GET", e+"targetservers/ts", nil).want(200, `"host":"example.com"`, `"port":443`, `"isEnabled":true`)
	a.do("GET", e+"targetservers", nil).want(200).is(`["ts"]`)
	a.do("DELETE", e+"targetservers/ts", nil).want(200)
	a.do("GET", e+"targetservers/ts", nil).want(404)

	// res create / delete
	a.do("POST", e+"resourcefiles?name=app&type=properties", files("file", "a=1\n")).want(200, `"name":"app"`, `"type":"properties"`)
	a.do("GET", e+"resourcefiles", nil).want(200).is(`{"resourceFile":[{"name":"app","type":"properties"}]}`)
	if r := a.do("GET", e+"resourcefiles/properties/app", nil).want(200); r.body != "a=1\n" {
		t.Errorf("content is %q", r.body)
	}
	a.do("DELETE", e+"resourcefiles/properties/app", nil).want(200)

	// datacollectors create / delete
	a.do("POST", "datacollectors", `{"name":"dc_latency","description":"d","type":"INTEGER"}`).want(200, `"name":"dc_latency"`)
	a.do("GET", "datacollectors", nil).want(200, `{"dataCollectors":[{`)
	a.do("DELETE", "datacollectors/dc_latency", nil).want(200)
}

func TestCallsEnvironmentsAndGroups(t *testing.T) {
	a := newAPI(t)
	r := a.do("POST", "environments", `{"name":"dev","deployment_type":"PROXY"}`).want(200, `"done":true`, `"state":"FINISHED"`)
	name := r.text("name")
	if !strings.HasPrefix(name, "organizations/acme/operations/") {
		t.Fatalf("operation is %q", name)
	}
	a.do("GET", "/v1/"+name, nil).want(200, `"done":true`)
	a.do("GET", "environments", nil).want(200).is(`["dev","prod","test"]`)
	a.do("GET", "environments/dev", nil).want(200, `"deploymentType":"PROXY"`, `"state":"ACTIVE"`)
	a.do("POST", "envgroups", `{"name":"g","hostnames":["a.example.com","b.example.com"]}`).want(200, `"done":true`)
	a.do("GET", "envgroups/g", nil).want(200, `"hostnames":["a.example.com","b.example.com"]`)
	a.do("PATCH", "envgroups/g?updateMask=hostnames", `{"hostnames":["c.example.com"]}`, "Content-Type", "application/merge-patch+json").want(200)
	a.do("GET", "envgroups/g", nil).want(200, `"hostnames":["c.example.com"]`)
	a.do("POST", "envgroups/g/attachments", `{"environment":"dev"}`).want(200, `"done":true`)
	id := a.do("GET", "envgroups/g/attachments", nil).want(200, `"environment":"dev"`).text("environmentGroupAttachments", "0", "name")
	a.do("DELETE", "environments/dev", nil).want(400, `"status":"FAILED_PRECONDITION"`)
	a.do("DELETE", "envgroups/g/attachments/"+id, nil).want(200)
	a.do("DELETE", "envgroups/g", nil).want(200)
	a.do("DELETE", "environments/dev", nil).want(200)
	a.do("GET", "environments/dev", nil).want(404)

	// instances attachments attach / detach
	a.do("POST", "instances", `{"name":"i","location":"europe-west1"}`).want(200, `"done":true`)
	a.do("GET", "instances", nil).want(200, `{"instances":[{`, `"name":"i"`)
	a.do("GET", "instances/i", nil).want(200, `"state":"ACTIVE"`)
	a.do("POST", "instances/i/attachments", `{"environment":"test"}`).want(200)
	id = a.do("GET", "instances/i/attachments", nil).want(200).text("attachments", "0", "name")
	a.do("DELETE", "instances/i/attachments/"+id, nil).want(200, `"done":true`)
}

func TestCallsStored(t *testing.T) {
	a := newAPI(t)
	name := a.do("POST", "reports", `{"name":"r","displayName":"Report","metrics":[{"name":"message_count","function":"sum"}],"dimensions":["apiproxy"]}`).want(200, `"displayName":"Report"`).text("name")
	a.do("GET", "reports?expand=true", nil).want(200, `{"qualifier":[{`, `"displayName":"Report"`)
	a.do("DELETE", "reports/"+name, nil).want(200)

	id := a.do("POST", "sites/acme-portal/apidocs", `{"siteId":"acme-portal","title":"T","apiProductName":"p","published":true}`).want(200, `"status":"success"`).text("data", "id")
	a.do("GET", "sites/acme-portal/apidocs", nil).want(200, `"title":"T"`)
	a.do("PUT", "sites/acme-portal/apidocs/"+id, `{"siteId":"acme-portal","title":"U","apiProductName":"p"}`).want(200, `"title":"U"`)
	a.do("PATCH", "sites/acme-portal/apidocs/"+id+"/documentation", `{"oasDocumentation":{"spec":{"displayName":"d","contents":"YQ=="}}}`).want(200)
	a.do("GET", "sites/acme-portal/apidocs/"+id+"/documentation", nil).want(200, `"contents":"YQ=="`)
	a.do("GET", "sites", nil).want(200, `"id":"acme-portal"`)
	a.do("DELETE", "sites/acme-portal/apidocs/"+id, nil).want(200)
}

// spaces create / get / list / update / delete, apis create bundle --space,
// apis move, products move.
func TestCallsSpaces(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "spaces", nil).want(200).lacks("team")
	a.do("POST", "spaces", `{"name":"team","displayName":"Team"}`).want(200, `"name":"team"`, `"displayName":"Team"`, `"createTime":"2027-01-02T03:04:05Z"`)
	a.do("POST", "spaces?spaceId=team", `{}`).want(409)
	a.do("POST", "spaces", `{}`).want(400, "name of the space is missing")
	a.do("GET", "spaces", nil).want(200, `{"spaces":[{`, `"name":"team"`)
	a.do("GET", "spaces/team", nil).want(200, `"displayName":"Team"`)
	a.do("PATCH", "spaces/team?updateMask=display_name", `{"displayName":"The team"}`).want(200, `"displayName":"The team"`, `"name":"team"`)
	a.do("POST", "apis?action=import&name=hello&space=team", files("proxy", proxyZip(t, "hello", "/hello"))).want(200)
	a.do("GET", "apis?space=team", nil).want(200, `"name":"hello"`)
	a.do("DELETE", "spaces/team", nil).want(200).is("{}")
	a.do("GET", "spaces/team", nil).want(404, `"status":"NOT_FOUND"`)
}

// environments get --config, environments deployments config.
func TestCallsDeployedConfig(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "apis?action=import&name=hello", files("proxy", proxyZip(t, "hello", "/hello"))).want(200)
	a.do("POST", "sharedflows?action=import&name=log", files("proxy", flowZip(t, "log"))).want(200)
	e := "environments/test/"
	a.do("POST", e+"apis/hello/revisions/1/deployments?serviceAccount=sa%40acme.iam.gserviceaccount.com", nil).want(200)
	a.do("POST", e+"sharedflows/log/revisions/1/deployments", nil).want(200)
	a.do("PUT", e+"flowhooks/PreProxyFlowHook", `{"sharedFlow":"log","continueOnError":true}`).want(200)
	a.do("POST", e+"targetservers", `{"name":"ts","host":"example.com","port":443}`).want(200)
	a.do("POST", e+"keystores", `{"name":"ks"}`).want(200)
	a.do("POST", e+"references", `{"name":"ref","refers":"ks","resourceType":"KeyStore"}`).want(200)
	a.do("POST", "datacollectors", `{"name":"dc_a","type":"STRING"}`).want(200)
	in := "organizations/acme/environments/test/"
	a.do("GET", e+"deployedConfig", nil).want(200, `"name":"`+in+`deployedConfig"`,
		`{"basePath":"/hello","endpoints":{"/hello":"default"},"name":"organizations/acme/apis/hello/revisions/1","serviceAccount":"projects/-/serviceAccounts/sa@acme.iam.gserviceaccount.com"}`,
		`{"name":"organizations/acme/sharedflows/log/revisions/1"}`,
		`{"continueOnError":true,"name":"PreProxyFlowHook","sharedFlowName":"log"}`,
		`"targets":[{"enabled":true,"host":"example.com","name":"`+in+`targetservers/ts","port":443`,
		`"keystores":[{"name":"`+in+`keystores/ks"}]`,
		`"resourceReferences":[{"name":"`+in+`references/ref","resourceName":"`+in+`keystores/ks"}]`,
		`"dataCollectors":[{"name":"organizations/acme/datacollectors/dc_a","type":"STRING"}]`)
	a.do("GET", "environments/prod/deployedConfig", nil).want(200).lacks("hello")
	a.do("GET", "environments/none/deployedConfig", nil).want(404)
}

// apis create bundle with a bundle that is refused: Apigee's own detail, by file.
func TestCallsRefusedBundle(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "apis?action=import&name=odd", files("proxy", proxyZip(t, "odd", "/odd", "Unknown"))).want(400, `"status":"INVALID_ARGUMENT"`, "bundle contains errors",
		`{"@type":"type.googleapis.com/edge.configstore.bundle.BadBundle","violations":[{"filename":"apiproxy/policies/A.xml","description":"line 1: <Unknown> is not a policy that this gateway supports"}]}`)
}

// products create --opgrp with the file of apigeecli's own tests.
func TestCallsQuotaPerSecond(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "apiproducts", `{"name":"p","displayName":"P","approvalType":"auto","operationGroup":{"operationConfigs":[{"apiSource":"httpbin",
		"operations":[{"resource":"/httpbin","methods":["GET"]}],"quota":{"limit":"1","interval":"1","timeUnit":"second"},"attributes":[{"name":"key1","value":"value1"}]}],"operationConfigType":"proxy"}}`).
		want(200, `"timeUnit":"second"`)
}
