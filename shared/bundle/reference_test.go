package bundle_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/bundle/schematest"
	"github.com/perigee-gateway/perigee/shared/pipeline"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/target"
)

//go:generate go test -run TestEndpointReference -write-endpoints .

var write = flag.Bool("write-endpoints", false, "write docs/ENDPOINTS.md")

const (
	page    = "../../docs/ENDPOINTS.md"
	schemas = "../policies/testdata/policy-schemas"
)

// row says what becomes of the elements that a pattern matches: a test that
// exercises them, or the problem that a bundle with them has.
type row struct {
	// pattern is a path of elements and "@attributes"; a leading "…/" stands for
	// any path before it. A "|" separates alternatives of the last part.
	pattern string
	value   string // default
	test    string // "package.Test" (more than one separated by blanks)
	problem string // what deploying says; then bundle is what is deployed
	bundle  string
}

// elements is the table for what the schemas list.
var elements = []row{
	{pattern: "…/HTTPMonitor/Request", test: "target.TestMonitor target.TestHTTPMonitorRequest"},
	{pattern: "…/Step", test: "pipeline.TestFlows"},
	{pattern: "…/Step/Name", test: "pipeline.TestFlows pipeline.TestNames"},
	{pattern: "…/Step/Condition", value: "true", test: "pipeline.TestFlows pipeline.TestNames"},
	{pattern: "…/FaultRules|FaultRule", test: "pipeline.TestFaultInTarget pipeline.TestFlows"},
	{pattern: "…/FaultRule/Condition", value: "true", test: "pipeline.TestFaultInTarget"},
	{pattern: "…/FaultRule/@name", test: "pipeline.TestNames"},
	{pattern: "…/DefaultFaultRule", test: "pipeline.TestFaultInTarget"},
	{pattern: "…/DefaultFaultRule/AlwaysEnforce", value: "false", test: "pipeline.TestFaultInTarget pipeline.TestNames"},
	{pattern: "…/DefaultFaultRule/@name", test: "pipeline.TestNames"},
	{pattern: "…/PreFlow|PostFlow|Flows|Flow", test: "pipeline.TestFlows"},
	{pattern: "…/Request|Response", test: "pipeline.TestFlows"},
	{pattern: "…/PreFlow/@name", value: "PreFlow", test: "pipeline.TestFlows pipeline.TestDescriptions"},
	{pattern: "…/PostFlow/@name", value: "PostFlow", test: "pipeline.TestFlows pipeline.TestDescriptions"},
	{pattern: "…/Flow/@name", test: "pipeline.TestFlows pipeline.TestDescriptions"},
	{pattern: "…/Flow/Condition", value: "true", test: "pipeline.TestFlows"},
	{pattern: "…/PreFlow/Description", test: "pipeline.TestDescriptions"},
	{pattern: "…/PostFlow/Description", test: "pipeline.TestDescriptions"},
	{pattern: "…/Flow/Description", test: "pipeline.TestDescriptions"},
	{pattern: "…/PostClientFlow/Description", test: "pipeline.TestDescriptions"},
	{pattern: "…/EventFlow", test: "pipeline.TestEventFlow pipeline.TestEventsArrive"},
	{pattern: "…/EventFlow/@name", test: "bundle.TestGolden"},
	{pattern: "…/EventFlow/@content-type", test: "bundle.TestEndpointReference", problem: `attribute content-type of <EventFlow> is "text/plain", want text/event-stream`,
		bundle: `<EventFlow name="e" content-type="text/plain"><Response/></EventFlow>`},
	{pattern: "ProxyEndpoint/Description", value: "none; informative", test: "bundle.TestGolden"},
	{pattern: "TargetEndpoint/Description", value: "none; informative", test: "bundle.TestGolden"},
	{pattern: "ProxyEndpoint/@name", test: "pipeline.TestNames"},
	{pattern: "TargetEndpoint/@name", test: "pipeline.TestNames"},

	{pattern: "ProxyEndpoint/HTTPProxyConnection", test: "gateway.TestRouting"},
	{pattern: "…/HTTPProxyConnection/BasePath", value: "/", test: "gateway.TestRouting bundle.TestBasePath"},
	{pattern: "…/HTTPProxyConnection/VirtualHost", problem: "<VirtualHost> has no effect: the hosts of an API proxy are those of its environment group",
		bundle: `<HTTPProxyConnection><BasePath>/</BasePath><VirtualHost>default</VirtualHost></HTTPProxyConnection>`},
	{pattern: "…/Properties|Property", test: "target.TestDefaults target.TestWrongProperties"},
	{pattern: "…/Property/@name", test: "target.TestWrongProperties", problem: "nonsense is not a property of a target",
		bundle: `<HTTPTargetConnection><URL>http://x</URL><Properties><Property name="nonsense">1</Property></Properties></HTTPTargetConnection>`},
	{pattern: "ProxyEndpoint/PostClientFlow", test: "pipeline.TestFlows"},
	{pattern: "…/PostClientFlow/@name", value: "PostClientFlow", test: "pipeline.TestDescriptions"},
	{pattern: "ProxyEndpoint/RouteRule", test: "pipeline.TestFlows"},
	{pattern: "…/RouteRule/Condition", value: "true", test: "pipeline.TestFlows"},
	{pattern: "…/RouteRule/TargetEndpoint", value: "none: null route", test: "pipeline.TestFlows"},
	{pattern: "…/RouteRule/IntegrationEndpoint", test: "integration.TestEndpoint"},
	{pattern: "…/RouteRule/@name", test: "pipeline.TestNames"},

	{pattern: "TargetEndpoint/HTTPTargetConnection", test: "target.TestURL target.TestResponse"},
	{pattern: "…/HTTPTargetConnection/URL", test: "target.TestURL target.TestBadURL target.TestTemplates"},
	{pattern: "…/HTTPTargetConnection/Path", test: "target.TestBalancedPathAndVariables target.TestTemplates"},
	{pattern: "…/HTTPTargetConnection/Authentication", test: "target.TestAuthentication googletoken.TestThousandRequests"},
	{pattern: "…/Authentication/HeaderName", value: "Authorization", test: "target.TestAuthentication"},
	{pattern: "…/HeaderName/@ref", test: "target.TestAuthentication"},
	{pattern: "…/Authentication/GoogleAccessToken", test: "target.TestAuthentication googletoken.TestThousandRequests googletoken.TestFaults"},
	{pattern: "…/GoogleAccessToken/Scopes", test: "target.TestAuthentication"},
	{pattern: "…/Scopes/Scope", test: "target.TestAuthentication googletoken.TestOwnTokens"},
	{pattern: "…/GoogleAccessToken/LifetimeInSeconds", value: "3600", test: "target.TestAuthentication googletoken.TestImpersonation"},
	{pattern: "…/Authentication/GoogleIDToken", test: "target.TestAuthentication googletoken.TestThousandRequests googletoken.TestFaults"},
	{pattern: "…/GoogleIDToken/IncludeEmail", value: "false", test: "target.TestAuthentication googletoken.TestImpersonation"},
	{pattern: "…/GoogleIDToken/Audience", test: "target.TestAuthentication"},
	{pattern: "…/Audience/@ref", test: "target.TestAuthentication"},
	{pattern: "…/Audience/@useTargetUrl", value: "false", test: "target.TestAuthentication"},

	{pattern: "…/HTTPTargetConnection/LoadBalancer", test: "target.TestRoundRobin target.TestDistribution"},
	{pattern: "…/LoadBalancer/Algorithm", value: "RoundRobin", test: "target.TestDistribution target.TestWeighted target.TestLeastConnections"},
	{pattern: "…/LoadBalancer/MaxFailures", value: "0: never taken out", test: "target.TestMaxFailures target.TestFailuresMustBeConsecutive target.TestNoRequestLost"},
	{pattern: "…/LoadBalancer/RetryEnabled", value: "true", test: "target.TestRetry target.TestNoRequestLost"},
	{pattern: "…/LoadBalancer/TargetDisableSecs", value: "300", test: "target.TestMaxFailures target.TestNoRequestLost"},
	{pattern: "…/LoadBalancer/ServerUnhealthyResponse", test: "target.TestUnhealthyResponse"},
	{pattern: "…/ServerUnhealthyResponse/ResponseCode", test: "target.TestUnhealthyResponse"},
	{pattern: "…/ServerUnhealthyResponse/Header", test: "target.TestUnhealthyHeaders"},
	{pattern: "…/Header/@name", test: "target.TestUnhealthyHeaders target.TestMonitor"},
	{pattern: "…/LoadBalancer/Server", test: "target.TestRoundRobin"},
	{pattern: "…/Server/@name", test: "target.TestRoundRobin target.TestMissingServerWarns"},
	{pattern: "…/Server/IsEnabled", value: "true", test: "target.TestNoServers"},
	{pattern: "…/Server/IsFallback", value: "false", test: "target.TestFallback"},
	{pattern: "…/Server/Weight", value: "1", test: "target.TestWeighted target.TestDistribution"},
	{pattern: "…/HTTPTargetConnection/HealthMonitor", test: "target.TestMonitor target.TestProbeSingleFlight"},
	{pattern: "…/HealthMonitor/IsEnabled", value: "false", test: "target.TestMonitorSwitchedOff"},
	{pattern: "…/HealthMonitor/IntervalInSec", value: "5", test: "target.TestMonitor"},
	{pattern: "…/HealthMonitor/TCPMonitor", test: "target.TestMonitor"},
	{pattern: "…/TCPMonitor/ConnectTimeoutInSec", value: "30", test: "target.TestMonitor target.TestHTTPMonitorRequest"},
	{pattern: "…/TCPMonitor/Port", value: "the server's", test: "target.TestMonitor"},
	{pattern: "…/HealthMonitor/HTTPMonitor", test: "target.TestMonitor"},
	{pattern: "…/Request/Payload", test: "target.TestMonitor"},
	{pattern: "…/Request/Verb", value: "GET", test: "target.TestMonitor"},
	{pattern: "…/Request/Path", test: "target.TestMonitor"},
	{pattern: "…/Request/Header", test: "target.TestMonitor"},
	{pattern: "…/Request/IncludeHealthCheckIdHeader", value: "false", test: "target.TestMonitor"},
	{pattern: "…/Request/ConnectTimeoutInSec", value: "30", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/Request/SocketReadTimeoutInSec", value: "30", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/Request/UseTargetServerSSLInfo", value: "false", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/Request/Port", value: "the server's", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/Request/IsSSL", value: "false", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/Request/TrustAllSSL", value: "false", test: "target.TestHTTPMonitorRequest"},
	{pattern: "…/HTTPMonitor/SuccessResponse", value: "200", test: "target.TestMonitor"},
	{pattern: "…/SuccessResponse/ResponseCode|Header", test: "target.TestMonitor"},

	{pattern: "…/HTTPTargetConnection/SSLInfo", test: "target.TestVerification target.TestMTLSMatrix"},
	{pattern: "…/SSLInfo/Enabled", value: "false; the URL's scheme wins", test: "target.TestSSLInfoVariables target.TestServerTLS target.TestVerification"},
	{pattern: "…/SSLInfo/Enforce", value: "false", test: "target.TestMTLSMatrix target.TestVerification"},
	{pattern: "…/SSLInfo/IgnoreValidationErrors", value: "false", test: "target.TestMTLSMatrix target.TestVerification"},
	{pattern: "…/SSLInfo/ClientAuthEnabled", value: "false", test: "target.TestMutualTLS target.TestSSLInfoVariables"},
	{pattern: "…/SSLInfo/KeyStore|KeyAlias", test: "target.TestMutualTLS target.TestRotation target.TestSSLInfoVariables"},
	{pattern: "…/SSLInfo/TrustStore", value: "the system's roots", test: "target.TestVerification target.TestSSLInfoVariables"},
	{pattern: "…/SSLInfo/CertAlias", problem: "<CertAlias> has no effect: the certificate of <KeyAlias> is sent, and a target's is held against all of <TrustStore>",
		bundle: ssl(`<CertAlias>a</CertAlias>`)},
	{pattern: "…/SSLInfo/CommonName", value: "the host's name", test: "target.TestCommonName"},
	{pattern: "…/CommonName/@wildcardMatch", value: "false", test: "target.TestCommonName"},
	{pattern: "…/SSLInfo/Protocols", value: "TLS 1.2 and 1.3", test: "target.TestProtocolsAndCiphers target.TestMTLSMatrix"},
	{pattern: "…/Protocols/Protocol", test: "target.TestProtocolsAndCiphers target.TestSSLInfoProblems"},
	{pattern: "…/SSLInfo/Ciphers", value: "Go's", test: "target.TestProtocolsAndCiphers"},
	{pattern: "…/Ciphers/Cipher", test: "target.TestProtocolsAndCiphers target.TestSSLInfoProblems"},

	{pattern: "TargetEndpoint/LocalTargetConnection", test: "hosttest.TestInProcess"},
	{pattern: "…/LocalTargetConnection/APIProxy|ProxyEndpoint|Path", test: "hosttest.TestInProcess"},
}

// documented is the table for what the configuration reference has and the
// schemas have not.
var documented = []row{
	{pattern: "APIProxy/@name|@revision|ConfigurationVersion|Description|DisplayName|Spec|Policies|ProxyEndpoints|TargetEndpoints|TargetServers|Resources", value: "informative: the files decide", test: "bundle.TestGolden"},
	{pattern: "Policy/@name", test: "pipeline.TestFlows"},
	{pattern: "Policy/@enabled", value: "true", test: "pipeline.TestFlows"},
	{pattern: "Policy/@continueOnError", value: "false", test: "pipeline.TestFlows"},
	{pattern: "Policy/@async", value: "false; ignored by Apigee X too", test: "bundle.TestGolden"},
	{pattern: "RouteRule/URL", test: "pipeline.TestDirectURL"},
	{pattern: "PostClientFlow/Request", problem: "<PostClientFlow> does not run the steps of <Request>",
		bundle: `<PostClientFlow><Request><Step><Name>P</Name></Step></Request></PostClientFlow>`},
	{pattern: "DefaultFaultRule/Condition", value: "true", test: "pipeline.TestFlows"},
	{pattern: "TargetEndpoint/ScriptTarget", problem: "<ScriptTarget> is not supported: Node.js targets do not exist in Apigee X; deploy the script as a service and use <HTTPTargetConnection>",
		bundle: `<ScriptTarget><ResourceURL>node://a.js</ResourceURL></ScriptTarget>`},
	{pattern: "TargetEndpoint/HostedTarget", problem: "<HostedTarget> is not supported: hosted Node.js targets do not exist in Apigee X; deploy the service and use <HTTPTargetConnection>",
		bundle: `<HostedTarget/>`},
	{pattern: "SSLInfo/CRLStore", problem: "<CRLStore> has no effect: revocation lists are not checked", bundle: ssl(`<CRLStore>a</CRLStore>`)},
	{pattern: "LocalTargetConnection/Properties", problem: "property io.timeout.millis has no effect: a <LocalTargetConnection> makes no connection",
		bundle: `<LocalTargetConnection><Path>/a</Path><Properties><Property name="io.timeout.millis">1</Property></Properties></LocalTargetConnection>`},
	{pattern: "IntegrationEndpoint/@name", test: "integration.TestEndpoint"},
	{pattern: "IntegrationEndpoint/AsyncExecution", value: "false", test: "integration.TestEndpoint"},
	{pattern: "environment property features.SSLInfo.Enforce", value: "not set", test: "target.TestVerification"},
	{pattern: "flow hooks of the environment", value: "none", test: "pipeline.TestFlowHooks"},
	{pattern: "references ref://NAME", test: "target.TestRotation"},
}

// proxyProperties and targetProperties are the tables of properties.
var proxyProperties = []row{
	{pattern: "HTTPHeader.allowDuplicates", value: "none", test: "pipeline.TestDuplicateHeaders"},
	{pattern: "HTTPHeader.multiValued", value: "none", test: "pipeline.TestDuplicateHeaders"},
	{pattern: "X-Forwarded-For", value: "false", test: "pipeline.TestForwardedFor"},
	{pattern: "api.timeout", value: "none; a call lasts 300 s at most", test: "pipeline.TestAPITimeout"},
	{pattern: "compression.algorithm", value: "as the response came", test: "pipeline.TestResponseCompression"},
	{pattern: "request.payload.parse.limit", value: "10M", test: "pipeline.TestPayloadLimits"},
	{pattern: "request.queryparams.ignore.content.type.charset", value: "false", test: "pipeline.TestQueryCharset"},
	{pattern: "request.streaming.enabled", value: "false", test: "pipeline.TestPayloadLimits"},
	{pattern: "response.streaming.enabled", value: "false", test: "pipeline.TestPayloadLimits"},
}

var targetProperties = []row{
	{pattern: "HTTPHeader.allowDuplicates", value: "none", test: "target.TestResponseRules"},
	{pattern: "HTTPHeader.multiValued", value: "none", test: "target.TestResponseRules"},
	{pattern: "allow.post.without.content.length", value: "false", test: "target.TestLengthRequired"},
	{pattern: "allow.put.without.content.length", value: "false", test: "target.TestLengthRequired"},
	{pattern: "allow.tls.session.resumption", value: "true", test: "target.TestSessionResumption"},
	{pattern: "compression.algorithm", value: "as the request came", test: "target.TestCompression"},
	{pattern: "connect.timeout.millis", value: "3000", test: "target.TestConnectTimeoutMillis target.TestDefaults"},
	{pattern: "ignore.allow.header.for.405", value: "true", test: "target.TestResponseRules"},
	{pattern: "io.timeout.millis", value: "55000", test: "target.TestIOTimeout target.TestDefaults"},
	{pattern: "keepalive.timeout.millis", value: "60000", test: "target.TestKeepAlive target.TestDefaults"},
	{pattern: "request.retain.headers", value: "all", test: "target.TestRequestHeaders"},
	{pattern: "request.retain.headers.enabled", value: "true", test: "target.TestRequestHeaders"},
	{pattern: "request.streaming.enabled", value: "false", test: "pipeline.TestPayloadLimits"},
	{pattern: "response.payload.parse.limit", value: "10M", test: "pipeline.TestPayloadLimits target.TestParseLimit"},
	{pattern: "response.retain.headers", value: "all", test: "target.TestRetainResponseHeaders"},
	{pattern: "response.retain.headers.enabled", value: "true", test: "target.TestRetainResponseHeaders"},
	{pattern: "response.streaming.enabled", value: "false", test: "pipeline.TestPayloadLimits"},
	{pattern: "retain.queryparams", value: "all", test: "target.TestRetainQuery"},
	{pattern: "retain.queryparams.enabled", value: "true", test: "target.TestRetainQuery"},
	{pattern: "success.codes", value: "1XX, 2XX, 3XX", test: "target.TestResponseRules target.TestDefaults"},
	{pattern: "supports.http11", value: "true", test: "target.TestRequestHeaders target.TestHTTP10OverTLS"},
	{pattern: "use.proxy", value: "true", test: "target.TestForwardProxy"},
	{pattern: "use.proxy.host.header.with.target.uri", value: "true", test: "target.TestForwardProxy"},
	{pattern: "use.proxy.tunneling", value: "true", test: "target.TestForwardProxy"},
}

func ssl(inside string) string {
	return `<HTTPTargetConnection><URL>https://x</URL><SSLInfo><Enabled>true</Enabled>` + inside + `</SSLInfo></HTTPTargetConnection>`
}

// TestEndpointReference writes docs/ENDPOINTS.md: every element, attribute and
// property of the endpoint schemas and of the configuration reference with the
// test that exercises it or the problem of a bundle that has it. It fails where a
// row is missing, where one matches nothing, where a test does not exist, and
// where a problem is not reported.
func TestEndpointReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(head)
	used := map[int]bool{}
	for _, root := range []string{"ProxyEndpoint", "TargetEndpoint"} {
		section(&b, root, fmt.Sprintf("What `%s.xsd` lists.", root))
		var paths []string
		for _, p := range schematest.Read(t, filepath.Join(schemas, root+".xsd")).Paths(root) {
			paths = append(paths, root+"/"+p)
		}
		if len(paths) < 50 {
			t.Fatalf("%s.xsd lists %d elements", root, len(paths))
		}
		for _, p := range paths {
			i := slices.IndexFunc(elements, func(r row) bool { return r.matches(p) })
			if i < 0 {
				t.Errorf("%s is in no row", p)
				continue
			}
			used[i] = true
			elements[i].line(&b, p)
		}
	}
	for i, r := range elements {
		if !used[i] {
			t.Errorf("row %s matches nothing", r.pattern)
		}
	}
	section(&b, "Beside the schemas", "What the API proxy configuration reference describes and the schemas leave out.")
	for _, r := range documented {
		for _, p := range r.each() {
			r.line(&b, p)
		}
	}
	proxy, connection, edge := bundle.KnownProperties()
	properties(t, &b, "Properties of HTTPProxyConnection", proxyProperties, proxy)
	properties(t, &b, "Properties of HTTPTargetConnection", targetProperties, connection)
	section(&b, "Properties of Apigee Edge", "Unknown to Apigee X.")
	for _, name := range edge {
		r := edgeRow(name)
		documented = append(documented, r)
		r.line(&b, name)
	}
	for _, rows := range [][]row{elements, documented, proxyProperties, targetProperties} {
		for _, r := range rows {
			r.check(t)
		}
	}
	compare(t, b.Bytes())
}

func edgeRow(name string) row {
	p := strings.ReplaceAll(name, "*", "TRACE")
	return row{pattern: name, problem: "property " + p + " has no effect: it is of Apigee Edge, Apigee X does not know it",
		bundle: `<HTTPProxyConnection><BasePath>/</BasePath><Properties><Property name="` + p + `">true</Property></Properties></HTTPProxyConnection>`}
}

func compare(t *testing.T, got []byte) {
	if *write {
		if err := os.WriteFile(page, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: go generate ./shared/bundle", page)
	}
}

const head = `# Endpoints

<!-- Written by go generate ./shared/bundle: change shared/bundle/reference_test.go instead. -->

Every element, attribute (` + "`@`" + `) and property of endpoints, what it is when left out, and
the tests that exercise it; or, for what does nothing on Apigee X either or cannot run
here, what deploying a bundle with it says. The table is computed from Apigee's own
schemas (shared/policies/testdata/policy-schemas); its test fails when an element has no
row, a named test does not exist, or a problem is not reported.
`

func section(b *bytes.Buffer, title, text string) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| element | default | shown by, or what deploying says |\n|---|---|---|\n", title, text)
}

func properties(t *testing.T, b *bytes.Buffer, title string, rows []row, known []string) {
	section(b, title, "Values are literals.")
	var names []string
	for _, r := range rows {
		names = append(names, r.pattern)
		r.line(b, r.pattern)
	}
	slices.Sort(names)
	if !slices.Equal(names, known) {
		t.Errorf("%s: rows for %v, the bundle knows %v", title, names, known)
	}
}

// each is the paths that the pattern of a row without "…" stands for.
func (r row) each() []string {
	dir, last := path.Split(r.pattern)
	if strings.Contains(r.pattern, "://") {
		return []string{r.pattern}
	}
	var out []string
	for alt := range strings.SplitSeq(last, "|") {
		out = append(out, dir+alt)
	}
	return out
}

func (r row) matches(p string) bool {
	for _, alt := range r.each() {
		if rest, ok := strings.CutPrefix(alt, "…"); ok && strings.HasSuffix(p, rest) || alt == p {
			return true
		}
	}
	return false
}

func (r row) line(b *bytes.Buffer, p string) {
	var shown []string
	for name := range strings.FieldsSeq(r.test) {
		shown = append(shown, "`"+name+"`")
	}
	text := strings.Join(shown, ", ")
	if r.problem != "" {
		if text != "" {
			text += "; "
		}
		text += "“" + strings.ReplaceAll(r.problem, "<", "&lt;") + "”"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", p, r.value, text)
}

// check looks whether the row's tests exist and its problem is reported.
func (r row) check(t *testing.T) {
	t.Helper()
	if r.test == "" && r.problem == "" {
		t.Errorf("%s: neither a test nor a problem", r.pattern)
	}
	for name := range strings.FieldsSeq(r.test) {
		pkg, fn, _ := strings.Cut(name, ".")
		if !slices.Contains(testsOf(t, pkg), fn) {
			t.Errorf("%s: there is no test %s", r.pattern, name)
		}
	}
	if r.problem == "" {
		return
	}
	if problems := deploy(t, r.bundle); !strings.Contains(problems.String(), r.problem) {
		t.Errorf("%s: deploying says\n%s\nwant %s", r.pattern, problems, r.problem)
	}
}

var tests = map[string][]string{}

// testsOf lists the test functions of a package.
func testsOf(t *testing.T, pkg string) []string {
	t.Helper()
	if list, ok := tests[pkg]; ok {
		return list
	}
	dir := filepath.Join("..", pkg)
	if pkg == "lambda" {
		dir = filepath.Join("..", "..", "functions", pkg)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[pkg] = append(tests[pkg], fn.Name.Name)
			}
		}
	}
	return tests[pkg]
}

var rootOf = regexp.MustCompile(`^<(\w+)`)

// deploy compiles a bundle that has an element in the endpoint it belongs to, and
// returns what was found.
func deploy(t *testing.T, inside string) bundle.Problems {
	t.Helper()
	proxy, targetEndpoint := "", `<HTTPTargetConnection><URL>http://x</URL></HTTPTargetConnection>`
	connection := `<HTTPProxyConnection><BasePath>/</BasePath></HTTPProxyConnection>`
	switch rootOf.FindStringSubmatch(inside)[1] {
	case "HTTPProxyConnection":
		connection = inside
	case "HTTPTargetConnection", "LocalTargetConnection", "ScriptTarget", "HostedTarget":
		targetEndpoint = inside
	default:
		proxy = inside
	}
	b, err := bundle.LoadFS(fstest.MapFS{
		"apiproxy/proxies/default.xml": {Data: []byte(`<ProxyEndpoint name="default">` + proxy + connection + `<RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule></ProxyEndpoint>`)},
		"apiproxy/targets/default.xml": {Data: []byte(`<TargetEndpoint name="default">` + targetEndpoint + `</TargetEndpoint>`)},
		"apiproxy/policies/P.xml":      {Data: []byte(`<Nothing name="P"/>`)},
	})
	if b == nil {
		t.Fatal(err)
	}
	pool := target.New(target.Options{})
	_, problems := pipeline.Compile(b, policy.NewKinds(nothing), pipeline.Options{
		Target: func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) pipeline.Target {
			return pool.Connect(c, name, env)
		},
		Local: func(*bundle.LocalTargetConnection, string, *policy.Env) pipeline.Target { return nil },
	})
	if err != nil {
		problems.Add(bundle.Pos{}, err)
	}
	return problems
}

type nothingConfig struct{ policy.Header }

var nothing = policy.Define("Nothing", func(*nothingConfig, *policy.Env) (policy.Policy, error) { return nil, nil })
