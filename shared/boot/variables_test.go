package boot_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestVariables reads the built-in variables of testdata/variables.txt in a call
// through a proxy and its target, and in one that fails.
func TestVariables(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Query().Has("fail") {
			w.Header().Set("X-Why", "maintenance")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "down")
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header()["X-Many"] = []string{"1", "2"}
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		io.WriteString(w, "answer")
	}))
	t.Cleanup(srv.Close)
	data, err := os.ReadFile("testdata/variables.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][3]string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "BACKEND", regexp.QuoteMeta(srv.URL))) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] != "#" {
			value := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(line, f[0])), f[1]))
			rows = append(rows, [3]string{f[0], f[1], value})
		}
	}
	stages := []string{"proxyRequest", "targetRequest", "targetResponse", "proxyResponse", "error"}
	files := map[string]string{}
	for _, stage := range stages {
		template := ""
		for _, r := range rows {
			if r[0] == stage {
				template += fmt.Sprintf("%s %s=[{%s:null}]\n", stage, r[1], r[1])
			}
		}
		if template == "" {
			t.Fatal("nothing is read in " + stage)
		}
		files["apiproxy/policies/"+stage+".xml"] = `<AssignMessage name="` + stage + `"><AssignVariable><Name>seen.` + stage + `</Name><Template>` + html.EscapeString(template) + `</Template></AssignVariable></AssignMessage>`
	}
	files["apiproxy/policies/Show.xml"] = `<AssignMessage name="Show"><Set><StatusCode>200</StatusCode><Payload contentType="text/plain">{seen.proxyRequest}{seen.targetRequest}{seen.targetResponse}{seen.proxyResponse}{seen.error}</Payload></Set><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></AssignMessage>`
	files["apiproxy/proxies/default.xml"] = `<ProxyEndpoint name="default">
		<PreFlow name="PreFlow"><Request><Step><Name>proxyRequest</Name></Step></Request></PreFlow>
		<Flows><Flow name="only"><Description>the only one</Description><Response><Step><Name>proxyResponse</Name></Step><Step><Name>Show</Name></Step></Response></Flow></Flows>
		<HTTPProxyConnection><BasePath>/vars</BasePath></HTTPProxyConnection><RouteRule name="direct"><TargetEndpoint>t</TargetEndpoint></RouteRule></ProxyEndpoint>`
	files["apiproxy/targets/t.xml"] = `<TargetEndpoint name="t">
		<FaultRules><FaultRule name="all"><Step><Name>error</Name></Step><Step><Name>Show</Name></Step></FaultRule></FaultRules>
		<PreFlow name="TargetPre"><Request><Step><Name>targetRequest</Name></Step></Request></PreFlow>
		<PostFlow><Response><Step><Name>targetResponse</Name></Step></Response></PostFlow>
		<HTTPTargetConnection><URL>` + srv.URL + `/base</URL></HTTPTargetConnection></TargetEndpoint>`
	s := newSite(t)
	if a := s.install("apis", "vars", zipped(t, files)); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	seen := s.variables("?q=1&q=2&e=%20x") + s.variables("?fail")
	for _, r := range rows {
		m := regexp.MustCompile(`(?m)^` + r[0] + " " + regexp.QuoteMeta(r[1]) + `=\[(.*)\]$`).FindStringSubmatch(seen)
		if m == nil {
			t.Errorf("%s: %s was not read", r[0], r[1])
			continue
		}
		if !regexp.MustCompile(`^(?:` + r[2] + `)$`).MatchString(strings.TrimSpace(m[1])) {
			t.Errorf("%s: %s is %q, want %s", r[0], r[1], m[1], r[2])
		}
		if !slices.Contains(stages, r[0]) {
			t.Errorf("%s is no stage", r[0])
		}
	}
}

// variables calls the proxy and returns what it read.
func (s *site) variables(query string) string {
	s.t.Helper()
	r, err := http.NewRequest("POST", s.gateway+"/vars/a/b"+query, strings.NewReader("f=1+2&g=3&g=4"))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["X-A"] = []string{"one", "two"}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	return string(body)
}
