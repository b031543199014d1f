// Package scripts_test checks what is run to build and release perigee, without a
// cloud: its gcloud is this test, and so are the services.
package scripts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

// stateFile makes this program a gcloud when it is set.
const stateFile = "PERIGEE_TEST_GCLOUD"

func TestMain(m *testing.M) {
	if file := os.Getenv(stateFile); file != "" {
		if err := gcloud(file, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "ERROR: (gcloud)", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// cloud is what the stand-in knows of the services.
type cloud struct {
	Services map[string]*service
	// Refuse is a command that fails, as it begins.
	Refuse string
	Log    []string
}

type service struct {
	URL, CandidateURL string
	Traffic           map[string]int    // revision to percent
	Tags              map[string]string // tag to revision
	Images            []string
}

// gcloud does what the scripts ask of the real one, and refuses all else.
func gcloud(file string, args []string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c cloud
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	c.Log = append(c.Log, strings.Join(args, " "))
	out, err := c.run(args)
	fmt.Print(out)
	data, merr := json.Marshal(c)
	if merr != nil {
		return merr
	}
	if werr := os.WriteFile(file, data, 0o644); werr != nil {
		return werr
	}
	return err
}

func (c *cloud) run(args []string) (string, error) {
	command := strings.Join(args, " ")
	if c.Refuse != "" && strings.HasPrefix(command, c.Refuse) {
		return "", fmt.Errorf("%s is refused", c.Refuse)
	}
	if strings.HasPrefix(command, "auth print-identity-token") {
		return "identity-token\n", nil
	}
	flags := map[string]string{}
	var words []string
	for i := 0; i < len(args); i++ {
		name, value, ok := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(name, "--"):
			words = append(words, args[i])
		case ok || name == "--no-traffic" || name == "--quiet":
			flags[name] = value
		default:
			i++
			flags[name] = args[i]
		}
	}
	if flags["--project"] != "acme" || flags["--region"] != "europe-west1" {
		return "", fmt.Errorf("project %q, region %q", flags["--project"], flags["--region"])
	}
	s := c.Services[words[len(words)-1]]
	if s == nil {
		return "", fmt.Errorf("there is no service %s", words[len(words)-1])
	}
	switch strings.Join(words[:len(words)-1], " ") {
	case "run services describe":
		return s.describe(flags)
	case "run deploy":
		revision := fmt.Sprintf("%s-%05d", words[len(words)-1], len(s.Images)+2)
		s.Images = append(s.Images, flags["--image"])
		s.Tags[flags["--tag"]] = revision
		if _, ok := flags["--no-traffic"]; !ok {
			s.Traffic = map[string]int{revision: 100}
		}
		return "", nil
	case "run services update-traffic":
		return "", s.route(flags)
	}
	return "", fmt.Errorf("unknown command %s", command)
}

func (s *service) describe(flags map[string]string) (string, error) {
	var b strings.Builder
	switch flags["--format"] {
	case "value(status.url)":
		b.WriteString(s.URL + "\n")
	case `csv[no-heading,separator="="](status.traffic.revisionName,status.traffic.percent)`:
		for _, r := range slices.Sorted(maps.Keys(s.Traffic)) {
			fmt.Fprintf(&b, "%s=%d\n", r, s.Traffic[r])
		}
		for _, r := range s.Tags {
			fmt.Fprintf(&b, "%s=\n", r)
		}
	case "csv[no-heading](status.traffic.tag,status.traffic.url)":
		b.WriteString(",\n")
		for tag := range s.Tags {
			fmt.Fprintf(&b, "%s,%s\n", tag, s.CandidateURL)
		}
	default:
		return "", fmt.Errorf("unknown format %s", flags["--format"])
	}
	return b.String(), nil
}

func (s *service) route(flags map[string]string) error {
	list, tags := flags["--to-revisions"], false
	if list == "" {
		list, tags = flags["--to-tags"], true
	}
	to := map[string]int{}
	for pair := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(pair, "=")
		var percent int
		if _, err := fmt.Sscan(text, &percent); err != nil {
			return fmt.Errorf("traffic %q: %w", list, err)
		}
		if tags {
			name = s.Tags[name]
		}
		to[name] += percent
	}
	sum := 0
	for _, p := range to {
		sum += p
	}
	if sum != 100 {
		return fmt.Errorf("traffic %q is not 100 percent", list)
	}
	s.Traffic = to
	return nil
}

// release is a project with both services, and the scripts to run on it.
type release struct {
	t     *testing.T
	state string
	env   []string
}

// newRelease has services that answer as the handlers do; candidates are the
// revisions that are deployed.
func newRelease(t *testing.T, gateway, management, candidateGateway http.HandlerFunc) *release {
	t.Helper()
	dir := t.TempDir()
	url := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	r := &release{t: t, state: filepath.Join(dir, "cloud.json")}
	c := cloud{Services: map[string]*service{
		"gw":   {URL: url(gateway), CandidateURL: url(candidateGateway), Traffic: map[string]int{"gw-00001": 90, "gw-00000": 10}, Tags: map[string]string{}},
		"mgmt": {URL: url(management), CandidateURL: url(management), Traffic: map[string]int{"mgmt-00001": 100}, Tags: map[string]string{}},
	}}
	r.write(c)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", stateFile, r.state, self)
	if err := os.WriteFile(filepath.Join(bin, "gcloud"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PROJECT=acme", "REGION=europe-west1",
		"IMAGE=registry/perigee", "VERSION=7", "GATEWAY_SERVICE=gw", "MANAGEMENT_SERVICE=mgmt",
		"STATE="+filepath.Join(dir, "release"), "SMOKE_TRIES=2", "SMOKE_PAUSE=0")
	return r
}

func (r *release) write(c cloud) {
	r.t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.state, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *release) cloud() cloud {
	r.t.Helper()
	data, err := os.ReadFile(r.state)
	if err != nil {
		r.t.Fatal(err)
	}
	var c cloud
	if err := json.Unmarshal(data, &c); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// run runs a script and returns what it printed and its exit code.
func (r *release) run(script string, args ...string) (string, int) {
	r.t.Helper()
	cmd := exec.Command("bash", append([]string{script}, args...)...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *release) want(code int, script string, args ...string) string {
	r.t.Helper()
	out, got := r.run(script, args...)
	if got != code {
		r.t.Fatalf("%s %v ends with %d, want %d:\n%s", script, args, got, code, out)
	}
	return out
}

func (r *release) traffic(name string, want map[string]int) {
	r.t.Helper()
	if got := r.cloud().Services[name].Traffic; !maps.Equal(got, want) {
		r.t.Errorf("traffic of %s: %v, want %v", name, got, want)
	}
}

func healthyGateway(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"fault":{"detail":{"errorcode":"messaging.adaptors.http.flow.ApplicationNotFound"}}}`)
}

func brokenGateway(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
}

func healthyManagement(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`)
}

func TestRelease(t *testing.T) {
	r := newRelease(t, healthyGateway, healthyManagement, healthyGateway)
	r.want(0, "deploy.sh")
	r.traffic("gw", map[string]int{"gw-00001": 90, "gw-00000": 10})
	r.traffic("mgmt", map[string]int{"mgmt-00001": 100})
	r.want(0, "smoke-test.sh", "candidate")
	r.want(0, "promote.sh")
	r.traffic("gw", map[string]int{"gw-00002": 100})
	r.traffic("mgmt", map[string]int{"mgmt-00002": 100})
	r.want(0, "roll-back.sh")
	r.traffic("gw", map[string]int{"gw-00002": 100})
	if got := r.cloud().Services["gw"].Images; !slices.Equal(got, []string{"registry/perigee-gateway:7"}) {
		t.Errorf("images of the gateway: %v", got)
	}
	if got := r.cloud().Services["mgmt"].Images; !slices.Equal(got, []string{"registry/perigee-management:7"}) {
		t.Errorf("images of the Management API: %v", got)
	}
	// A release that passed can be undone by hand.
	r.want(0, "roll-back.sh", "--force")
	r.traffic("gw", map[string]int{"gw-00001": 90, "gw-00000": 10})
	r.traffic("mgmt", map[string]int{"mgmt-00001": 100})
}

// TestReleaseFailsBeforeTraffic is a candidate that does not work: nobody sees it.
func TestReleaseFailsBeforeTraffic(t *testing.T) {
	r := newRelease(t, healthyGateway, healthyManagement, brokenGateway)
	r.want(0, "deploy.sh")
	if out := r.want(1, "smoke-test.sh", "candidate"); !strings.Contains(out, "answers 503, want 404") {
		t.Error(out)
	}
	r.traffic("gw", map[string]int{"gw-00001": 90, "gw-00000": 10})
}

// TestRollBack is a release that fails when it has traffic.
func TestRollBack(t *testing.T) {
	before := map[string]int{"gw-00001": 90, "gw-00000": 10}
	r := newRelease(t, brokenGateway, healthyManagement, healthyGateway)
	r.want(0, "deploy.sh")
	r.want(0, "smoke-test.sh", "candidate")
	r.want(1, "promote.sh")
	r.traffic("gw", map[string]int{"gw-00002": 100})
	if out := r.want(1, "roll-back.sh"); !strings.Contains(out, "the release failed; the revisions before it serve") {
		t.Error(out)
	}
	r.traffic("gw", before)
	r.traffic("mgmt", map[string]int{"mgmt-00001": 100})
}

// TestRollBackHalf is a release that stops between the services.
func TestRollBackHalf(t *testing.T) {
	r := newRelease(t, healthyGateway, healthyManagement, healthyGateway)
	r.want(0, "deploy.sh")
	c := r.cloud()
	c.Refuse = "run services update-traffic gw --project acme --region europe-west1 --to-tags"
	r.write(c)
	r.want(1, "promote.sh")
	r.traffic("mgmt", map[string]int{"mgmt-00002": 100})
	r.want(1, "roll-back.sh")
	r.traffic("mgmt", map[string]int{"mgmt-00001": 100})
	r.traffic("gw", map[string]int{"gw-00001": 90, "gw-00000": 10})
}

// TestRollBackFails is that a service which cannot be rolled back does not keep the
// other one from it, and is told from a release that was.
func TestRollBackFails(t *testing.T) {
	r := newRelease(t, brokenGateway, healthyManagement, healthyGateway)
	r.want(0, "deploy.sh")
	r.want(1, "promote.sh")
	c := r.cloud()
	c.Refuse = "run services update-traffic gw"
	r.write(c)
	if out := r.want(2, "roll-back.sh"); !strings.Contains(out, "gw is not rolled back") {
		t.Error(out)
	}
	r.traffic("mgmt", map[string]int{"mgmt-00001": 100})
}

func TestSmokeTest(t *testing.T) {
	var asked http.Header
	own := func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header
		if r.URL.Path != "/pets" {
			w.WriteHeader(http.StatusNotFound)
		}
	}
	r := newRelease(t, own, healthyManagement, own)
	r.env = append(r.env, "SMOKE_PATH=/pets", "SMOKE_STATUS=200", "SMOKE_IDENTITY=true")
	if out := r.want(0, "smoke-test.sh", "live"); asked.Get("X-Serverless-Authorization") != "Bearer identity-token" || strings.Contains(out, "identity-token") {
		t.Errorf("%v\n%s", asked, out)
	}
	r.env = append(r.env, "SMOKE_PATH=/absent")
	r.want(1, "smoke-test.sh", "live")
	// A management plane that lets anybody in does not pass.
	open := newRelease(t, healthyGateway, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"organizations":[]}`) }, healthyGateway)
	open.want(1, "smoke-test.sh", "live")
	open.want(1, "smoke-test.sh", "candidate") // there is none
}

// build is cloudbuild.yaml.
// Source: https://cloud.google.com/build/docs/build-config-file-schema
type build struct {
	Steps []struct {
		ID           string   `json:"id"`
		Name         string   `json:"name"`
		Entrypoint   string   `json:"entrypoint"`
		Args         []string `json:"args"`
		AllowFailure bool     `json:"allowFailure"`
	} `json:"steps"`
	Substitutions map[string]string `json:"substitutions"`
	Options       struct {
		DynamicSubstitutions bool     `json:"dynamicSubstitutions"`
		Logging              string   `json:"logging"`
		MachineType          string   `json:"machineType"`
		Env                  []string `json:"env"`
	} `json:"options"`
	Timeout string `json:"timeout"`
}

var (
	used     = regexp.MustCompile(`\$\{?(\w+)\}?`)
	required = regexp.MustCompile(`\$\{([A-Z_]+)[:}]`)
)

// TestCloudBuild holds cloudbuild.yaml against the scripts and the documentation.
func TestCloudBuild(t *testing.T) {
	data, err := os.ReadFile("../cloudbuild.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	var b build
	if err := d.Decode(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/DEPLOY.md")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	given := map[string]bool{}
	for _, e := range b.Options.Env {
		name, _, _ := strings.Cut(e, "=")
		given[name] = true
	}
	for _, s := range b.Steps {
		ids = append(ids, s.ID)
		if s.Entrypoint != "bash" || len(s.Args) == 0 || s.Name == "" {
			t.Errorf("step %s runs no script: %v", s.ID, s)
			continue
		}
		script := strings.TrimPrefix(s.Args[0], "scripts/")
		info, err := os.Stat(script)
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("step %s: %s cannot be executed: %v", s.ID, s.Args[0], err)
			continue
		}
		if !strings.Contains(string(doc), s.Args[0]) {
			t.Errorf("docs/DEPLOY.md does not say how to run %s", s.Args[0])
		}
		if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", script, out)
		}
	}
	if want := []string{"test", "image", "push", "deploy", "smoke-test", "promote", "roll-back"}; !slices.Equal(ids, want) {
		t.Errorf("steps %v, want %v", ids, want)
	}
	for _, s := range b.Steps {
		if s.AllowFailure != (s.ID == "promote") {
			t.Errorf("step %s: allowFailure %v", s.ID, s.AllowFailure)
		}
	}
	// What scripts insist on is given.
	for _, script := range []string{"image.sh", "push.sh", "deploy.sh", "smoke-test.sh", "promote.sh", "roll-back.sh"} {
		src, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range required.FindAllStringSubmatch(string(src), -1) {
			if name := m[1]; strings.Contains(string(src), "${"+name+":?}") && !given[name] {
				t.Errorf("%s needs %s, which cloudbuild.yaml does not give", script, name)
			}
		}
	}
	seen := map[string]bool{}
	for _, e := range append(slices.Collect(maps.Values(b.Substitutions)), b.Options.Env...) {
		for _, m := range used.FindAllStringSubmatch(e, -1) {
			seen[m[1]] = true
			if _, ok := b.Substitutions[m[1]]; !ok && !slices.Contains([]string{"PROJECT_ID", "BUILD_ID"}, m[1]) {
				t.Errorf("%s is not a substitution", m[1])
			}
		}
	}
	for name := range b.Substitutions {
		if !seen[name] {
			t.Errorf("%s is used nowhere", name)
		}
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/DEPLOY.md does not have %s", name)
		}
	}
	if !b.Options.DynamicSubstitutions {
		t.Error("substitutions within substitutions need dynamicSubstitutions")
	}
}

// TestUploadedToCloudBuild is that what the steps need is uploaded.
func TestUploadedToCloudBuild(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-files", "-ci", "--exclude-from=.cloudbuildignore").Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > 0 {
		t.Errorf("files of the repository are not uploaded:\n%s", out)
	}
}

var mentioned = regexp.MustCompile(`\bscripts/[\w-]+\.sh\b`)

// TestMentioned is that the scripts which documentation and configuration name are
// there.
func TestMentioned(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../infra/*/*.tf", "../infra/examples/*/*.tf", "../cloudbuild.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, names...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, script := range mentioned.FindAllString(string(data), -1) {
			if _, err := os.Stat("../" + script); err != nil {
				t.Errorf("%s names %s", file, script)
			}
		}
	}
}
