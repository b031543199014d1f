package migrate_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/migrate"
	"github.com/perigee-gateway/perigee/shared/orgtest"
)

// host is a perigee over an empty store.
func host(t *testing.T) (*boot.Host, *apiclient.Client) {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{Organization: "acme", Store: "memory:", Keystore: "memory:", LogFormat: "text", LogLevel: "error", InsecureManagement: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	return h, &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{Handler: api}}}
}

// apigeeServer speaks Apigee's API in what perigee's differs in: it asks for a
// token, gives short pages however long they are asked for, leaves out what is
// false, and packs a bundle anew for each download.
type apigeeServer struct {
	handler http.Handler
	// fail, if set, gives the status of an answer instead of the answer.
	fail  func(r *http.Request) int
	asked atomic.Int64
}

const sourceToken = "ya29.source"

func (s *apigeeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	refuse := func(status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": message, "status": "X"}})
	}
	if r.Header.Get("Authorization") != "Bearer "+sourceToken {
		refuse(401, "Request had invalid authentication credentials.")
		return
	}
	if r.Method != http.MethodGet {
		refuse(403, "the source was to be read only: "+r.Method+" "+r.URL.Path)
		return
	}
	if s.fail != nil {
		if status := s.fail(r); status != 0 {
			refuse(status, "failing on purpose")
			return
		}
	}
	query := r.URL.Query()
	for name, most := range map[string]int{"pageSize": 7, "count": 2} {
		if n, err := strconv.Atoi(query.Get(name)); err == nil && n > most {
			query.Set(name, strconv.Itoa(most))
		}
	}
	in := r.Clone(r.Context())
	in.URL.RawQuery = query.Encode()
	in.RequestURI = in.URL.RequestURI()
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, in)
	body := rec.Body.Bytes()
	switch {
	case query.Get("format") == "bundle" && rec.Code == 200:
		body = packedAnew(body)
	case strings.Contains(r.URL.Path, "/targetservers/"):
		body = regexp.MustCompile(`,?\s*"isEnabled":\s*false`).ReplaceAll(body, nil)
	}
	w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// packedAnew is a zip of the same files, of now and with folders.
func packedAnew(data []byte) []byte {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return data
	}
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	_, _ = zw.Create(strings.SplitN(zr.File[0].Name, "/", 2)[0] + "/")
	for i := len(zr.File) - 1; i >= 0; i-- {
		r, _ := zr.File[i].Open()
		content, _ := io.ReadAll(r)
		w, _ := zw.CreateHeader(&zip.FileHeader{Name: zr.File[i].Name, Method: zip.Deflate, Modified: time.Now()})
		_, _ = w.Write(content)
	}
	_ = zw.Close()
	return b.Bytes()
}

// source is a filled organization acme behind a server that speaks Apigee's API:
// the client to migrate with, one to look with, and the server.
func source(t *testing.T, entries int) (migrating, looking *apiclient.Client, s *apigeeServer) {
	t.Helper()
	h, looking := host(t)
	orgtest.FillWith(t, looking, "acme", entries)
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	s = &apigeeServer{handler: api}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &apiclient.Client{
		Base: server.URL, Token: func(context.Context) (string, error) { return sourceToken, nil },
		Pause: func(context.Context, time.Duration) error { return nil },
	}, looking, s
}

func options(from, to *apiclient.Client) migrate.Options {
	return migrate.Options{Source: from, Target: to, Organization: "acme", Revisions: migrate.All}
}

// withState runs with a state file, as the command does.
func withState(t *testing.T, ctx context.Context, o migrate.Options, file string) (*migrate.Report, error) {
	t.Helper()
	state, err := migrate.OpenState(file, migrate.About{Organization: o.Organization, Source: "s", Target: "t", TargetOrganization: o.Organization})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	o.State = state
	return migrate.Run(ctx, o)
}

// keyAlias is the alias whose private key no API gives.
func keyAlias(path string) bool {
	return strings.Contains(path, "keystores/identities/aliases")
}

func text(t *testing.T, r *migrate.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFull(t *testing.T) {
	from, looking, _ := source(t, orgtest.Entries)
	h, to := host(t)
	var last migrate.Progress
	o := options(from, to)
	o.Progress = func(p migrate.Progress) {
		if p.Done != last.Done+1 || p.Total < p.Done {
			t.Errorf("step %d of %d after %d", p.Done, p.Total, last.Done)
		}
		last = p
	}
	report, err := withState(t, t.Context(), o, filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != last.Total || last.Total < 30 {
		t.Errorf("the last step is %d of %d", last.Done, last.Total)
	}
	if len(report.Failures) > 0 {
		t.Errorf("failures: %q", report.Failures)
	}
	for _, d := range differences(dump(t, looking, "acme"), dump(t, to, "acme"), keyAlias) {
		t.Error(d)
	}
	for _, want := range []string{
		"proxy              2 copied", "app                3 copied",
		"alias test/identities/self: its private key cannot be read", "perigee admin grant",
	} {
		if s := text(t, report); !strings.Contains(s, want) {
			t.Errorf("the report lacks %q: %s", want, s)
		}
	}
	w := httptest.NewRecorder()
	h.GatewayHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://"+orgtest.Host+orgtest.Path+"?apikey="+orgtest.Key, nil))
	if w.Code != 200 || w.Body.String() != orgtest.Greeting {
		t.Errorf("the copy answers %d %s", w.Code, w.Body)
	}
}

// errKilled is what a call ends with at which the migration is killed.
var errKilled = errors.New("killed")

// killer ends a migration at its n-th call to the target: before it arrives, or
// after, so that nobody learns that it did.
type killer struct {
	http.RoundTripper
	left  int
	after bool
	kill  func()
}

func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.left--; k.left > 0 {
		return k.RoundTripper.RoundTrip(r)
	}
	if k.left == 0 && k.after {
		if resp, err := k.RoundTripper.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}
	k.kill()
	return nil, errKilled
}

// A migration that is killed at any call, before or after the call had its
// effect, and run again, gives what one gives that was not killed.
func TestInterrupted(t *testing.T) {
	from, looking, _ := source(t, 8)
	want := dump(t, looking, "acme")
	points := 0
	for n := 1; ; n++ {
		finished := false
		for _, after := range []bool{false, true} {
			if testing.Short() && after != (n%2 == 0) {
				continue
			}
			_, to := host(t)
			file := filepath.Join(t.TempDir(), "state")
			ctx, cancel := context.WithCancel(t.Context())
			killed := *to
			killed.HTTP = &http.Client{Transport: &killer{to.HTTP.Transport, n, after, cancel}}
			o := options(from, &killed)
			o.Parallel = 1
			_, err := withState(t, ctx, o, file)
			cancel()
			if err == nil {
				finished = true
				break
			}
			if n%3 == 0 { // the last line of the state file was not written to its end
				tear(t, file)
			}
			report, err := withState(t, t.Context(), options(from, to), file)
			if err != nil || len(report.Failures) > 0 {
				t.Fatalf("killed at call %d (%v), resumed: %v, %q", n, after, err, report.Failures)
			}
			if d := differences(want, dump(t, to, "acme"), keyAlias); len(d) > 0 {
				t.Fatalf("killed at call %d (after: %v): %s", n, after, strings.Join(d, "\n"))
			}
			if !strings.Contains(text(t, report), "private key cannot be read") {
				t.Errorf("killed at call %d: the report has lost what needs a hand", n)
			}
			points++
		}
		if finished {
			break
		}
	}
	if points < 100 {
		t.Errorf("only %d points were tried", points)
	}
	t.Logf("%d points", points)
}

// tear appends the beginning of a line: what a crash left of the next.
func tear(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"id":"environment te`); err != nil {
		t.Fatal(err)
	}
}

// What fails fails alone, is reported, and is copied by the next run.
func TestFailing(t *testing.T) {
	from, looking, server := source(t, 8)
	server.fail = func(r *http.Request) int {
		switch {
		case strings.HasSuffix(r.URL.Path, "/apis/hello/revisions/3"):
			return 500
		case strings.HasSuffix(r.URL.Path, "/targetservers/off"):
			return 403
		case strings.HasSuffix(r.URL.Path, "/references"):
			return 403
		}
		return 0
	}
	_, to := host(t)
	file := filepath.Join(t.TempDir(), "state")
	report, err := withState(t, t.Context(), options(from, to), file)
	if err != nil {
		t.Fatal(err)
	}
	wantFailures := []string{
		"proxy hello: revision 3: the source: failing on purpose", "target server test/off: the source: failing on purpose",
		"deployment prod/hello: revision 3 was not copied", "list environments/test/references: the source: failing on purpose",
		"list environments/prod/references: ",
	}
	if len(report.Failures) != len(wantFailures) {
		t.Errorf("failures: %q", report.Failures)
	}
	for _, want := range wantFailures {
		if !strings.Contains(strings.Join(report.Failures, "\n"), want) {
			t.Errorf("failures lack %q: %q", want, report.Failures)
		}
	}
	missing := regexp.MustCompile(`hello/revisions|^apis/hello$|targetservers|references|prod/deployments`)
	want := dump(t, looking, "acme")
	for _, d := range differences(want, dump(t, to, "acme"), func(p string) bool { return keyAlias(p) || missing.MatchString(p) }) {
		t.Error(d)
	}
	server.fail = nil
	if report, err = withState(t, t.Context(), options(from, to), file); err != nil || len(report.Failures) > 0 {
		t.Fatalf("again: %v, %q", err, report.Failures)
	}
	for _, d := range differences(want, dump(t, to, "acme"), keyAlias) {
		t.Error(d)
	}
}

// Without the state file everything is looked at again, and nothing doubled.
func TestStateLost(t *testing.T) {
	from, looking, _ := source(t, 8)
	_, to := host(t)
	for range 2 {
		if report, err := migrate.Run(t.Context(), options(from, to)); err != nil || len(report.Failures) > 0 {
			t.Fatalf("%v, %q", err, report.Failures)
		}
	}
	for _, d := range differences(dump(t, looking, "acme"), dump(t, to, "acme"), keyAlias) {
		t.Error(d)
	}
}

// With the state file the second run reads lists and writes nothing.
func TestDoneBefore(t *testing.T) {
	from, _, _ := source(t, 8)
	_, to := host(t)
	file := filepath.Join(t.TempDir(), "state")
	if _, err := withState(t, t.Context(), options(from, to), file); err != nil {
		t.Fatal(err)
	}
	idle := *to
	idle.HTTP = &http.Client{Transport: apiclient.Handler{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("call: %s %s", r.Method, r.URL) })}}
	report, err := withState(t, t.Context(), options(from, &idle), file)
	if err != nil || !strings.Contains(text(t, report), "proxy              2 copied before") {
		t.Errorf("%v, %s", err, text(t, report))
	}
}

func TestRevisions(t *testing.T) {
	from, _, _ := source(t, 8)
	for _, c := range []struct {
		revisions string
		want      string
		deployed  string
	}{
		{migrate.Deployed, `["1","2"]`, `"revision":"1"`}, {migrate.Latest, `["1"]`, ""}, {migrate.All, `["1","2","3"]`, `"revision":"2"`},
	} {
		_, to := host(t)
		o := options(from, to)
		o.Revisions = c.revisions
		report, err := migrate.Run(t.Context(), o)
		if err != nil || len(report.Failures) > 0 {
			t.Fatalf("%v, %q", err, report.Failures)
		}
		got := dump(t, to, "acme")
		if got["apis/hello/revisions"] != c.want {
			t.Errorf("%s: revisions are %s", c.revisions, got["apis/hello/revisions"])
		}
		if d := got["environments/test/deployments"]; !strings.Contains(d, c.deployed) || c.deployed == "" && strings.Contains(d, "hello") {
			t.Errorf("%s: deployments are %s", c.revisions, d)
		}
		if c.revisions == migrate.Deployed && !strings.Contains(text(t, report), "2 is 1, 3 is 2") {
			t.Errorf("the report does not tell of new numbers: %s", text(t, report))
		}
	}
}

func TestEnvironments(t *testing.T) {
	from, _, _ := source(t, 8)
	_, to := host(t)
	o := options(from, to)
	o.Environments, o.TargetOrganization = []string{"prod"}, "other"
	if report, err := migrate.Run(t.Context(), o); err != nil || len(report.Failures) > 0 {
		t.Fatalf("%v, %q", err, report.Failures)
	}
	got := dump(t, to, "other")
	if got["environments"] != `["prod"]` || got["item of envgroups/live/attachments/prod"] == "" || got["item of envgroups/default"] == "" {
		t.Errorf("%s %v", got["environments"], got)
	}
}

func TestDryRun(t *testing.T) {
	from, _, _ := source(t, 8)
	_, to := host(t)
	o := options(from, to)
	o.DryRun = true
	checked := 0
	o.Parallel = 1
	o.Check = func(data []byte) error {
		if checked++; checked == 1 {
			return errors.New("it would be refused")
		}
		return nil
	}
	report, err := migrate.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := text(t, report)
	for _, want := range []string{"dry run: nothing was written", "developer          2 to be copied", "private key cannot be read", "revision 1: it would be refused"} {
		if !strings.Contains(s, want) {
			t.Errorf("the report lacks %q: %s", want, s)
		}
	}
	if checked != 6 {
		t.Errorf("%d bundles were checked", checked)
	}
	if err := to.Get(t.Context(), "organizations/acme", nil, nil); !apiclient.IsNotFound(err) {
		t.Errorf("the organization: %v", err)
	}
}

// Entries that the source does not give are a note, not a failure.
func TestUnreadableEntries(t *testing.T) {
	from, _, server := source(t, 8)
	server.fail = func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/keyvaluemaps/settings/entries") {
			return 403
		}
		return 0
	}
	_, to := host(t)
	report, err := migrate.Run(t.Context(), options(from, to))
	if err != nil || len(report.Failures) > 0 {
		t.Fatalf("%v, %q", err, report.Failures)
	}
	if s := text(t, report); !strings.Contains(s, "key value map test/settings: its entries cannot be read") {
		t.Error(s)
	}
	if got := dump(t, to, "acme"); got["environments/test/keyvaluemaps"] != `["settings"]` {
		t.Errorf("maps: %s", got["environments/test/keyvaluemaps"])
	}
}

// A token that is over ends the migration, which a new one goes on with.
func TestTokenOver(t *testing.T) {
	from, looking, server := source(t, 8)
	server.fail = func(*http.Request) int {
		if server.asked.Load() > 60 {
			return 401
		}
		return 0
	}
	_, to := host(t)
	file := filepath.Join(t.TempDir(), "state")
	if _, err := withState(t, t.Context(), options(from, to), file); apiclient.StatusOf(err) != 401 {
		t.Fatalf("error is %v", err)
	}
	server.fail = nil
	if report, err := withState(t, t.Context(), options(from, to), file); err != nil || len(report.Failures) > 0 {
		t.Fatalf("%v, %q", err, report.Failures)
	}
	for _, d := range differences(dump(t, looking, "acme"), dump(t, to, "acme"), keyAlias) {
		t.Error(d)
	}
	bad := *from
	bad.Token = func(context.Context) (string, error) { return "wrong", nil }
	if _, err := migrate.Run(t.Context(), options(&bad, to)); apiclient.StatusOf(err) != 401 {
		t.Errorf("error is %v", err)
	}
}

// A key that belongs to another app at the target is a failure of its app.
func TestKeyTaken(t *testing.T) {
	from, _, _ := source(t, 8)
	_, to := host(t)
	orgtest.FillWith(t, to, "acme", 8)
	call := apiclient.Call{Method: "DELETE", Path: "organizations/acme/developers/bob@example.com/apps/tool/keys/key-of-bob-1"}
	if err := to.Do(t.Context(), call, nil); err != nil {
		t.Fatal(err)
	}
	call = apiclient.Call{Method: "POST", Path: "organizations/acme/developers/ann@example.com/apps/shop/keys/create", JSON: map[string]string{"consumerKey": "key-of-bob-1", "consumerSecret": "s"}}
	if err := to.Do(t.Context(), call, nil); err != nil {
		t.Fatal(err)
	}
	report, err := migrate.Run(t.Context(), options(from, to))
	if err != nil || len(report.Failures) != 1 || !strings.Contains(report.Failures[0], "app bob@example.com/tool: the target: the consumer key already exists") {
		t.Errorf("%v, %q", err, report.Failures)
	}
	// What was there and is not the source's stays.
	if got := dump(t, to, "acme"); !strings.Contains(got["item of developers/ann@example.com/apps/shop"], "key-of-bob-1") {
		t.Error("a key that was not this migration's is gone")
	}
}

func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	about := migrate.About{Organization: "acme", Source: "a", Target: "b", TargetOrganization: "acme"}
	s, err := migrate.OpenState(file, about)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := about
	other.Target = "c"
	if _, err := migrate.OpenState(file, other); err == nil || !strings.Contains(err.Error(), "it is of the migration from acme at a") {
		t.Errorf("error is %v", err)
	}
	for _, content := range []string{"hello\n", "{}\n", "[]\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := migrate.OpenState(file, about); err == nil || !strings.Contains(err.Error(), "not one of perigee migrate") {
			t.Errorf("%q: error is %v", content, err)
		}
	}
}
