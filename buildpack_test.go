package perigee_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// mainTemplate is what the Go buildpack generates around a function that is
// registered declaratively.
//
// Source: GoogleCloudPlatform/buildpacks, cmd/go/functions_framework.
const mainTemplate = `package main

import (
	"log"
	"net/http"
	"os"

	_ %q

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

func main() {
	// Don't invoke the function for reserved URLs.
	http.HandleFunc("/robots.txt", http.NotFound)
	http.HandleFunc("/favicon.ico", http.NotFound)

	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if err := funcframework.Start(port); err != nil {
		log.Fatalf("Function failed to start: %%v\n", err)
	}
}
`

// TestBuildpack does what "gcloud functions deploy" and the Go buildpack do: it
// takes what .gcloudignore lets through, moves it where the buildpack does,
// generates its main, tidies, builds without a workspace, starts the program with
// FUNCTION_TARGET and PORT, and sends the matrix through it.
func TestBuildpack(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the whole program: left out with -short")
	}
	source := filepath.Join(t.TempDir(), "serverless_function_source_code")
	for _, f := range uploaded(t) {
		copyFile(t, f, filepath.Join(source, f))
	}
	for _, absent := range []string{"go.work", "examples", "docs", "cmd", "function_test.go"} {
		if _, err := os.Stat(filepath.Join(source, absent)); err == nil {
			t.Errorf("%s is uploaded", absent)
		}
	}
	main := filepath.Join(source, "functions.local", "app", "main.go")
	write(t, main, fmt.Sprintf(mainTemplate, "github.com/perigee-gateway/perigee"))
	run(t, source, "go", "mod", "tidy")
	program := filepath.Join(t.TempDir(), "main")
	run(t, source, "go", "build", "-o", program, "./functions.local/app")

	config := hosttest.Seed(t, hosttest.Backend(t))
	env := hosttest.Environ(config)
	env["PERIGEE_ANALYTICS_INTERVAL"] = "1h"
	gateway := startFunctionOf(t, program, "Gateway", env)
	hosttest.Run(t, hosttest.To(gateway.url))
	hosttest.Cut(t, hosttest.To(gateway.url), false)
	const calls = 7
	for range calls {
		resp, err := http.Get(gateway.url + "/hello/term")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	gateway.term(t)
	if n := counted(t, config, "/term"); n != calls {
		t.Errorf("%v calls are counted after SIGTERM, want %d", n, calls)
	}

	management := startFunctionOf(t, program, "Management", map[string]string{"PERIGEE_STORE": "memory:", "PERIGEE_KEYSTORE": "memory:"})
	resp, err := http.Get(management.url + "/v1/organizations")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("Management answers %d %s", resp.StatusCode, body)
	}
}

// counted is how many calls with a path suffix are in the statistics of a store,
// which no other process may have open.
func counted(t *testing.T, c boot.Config, suffix string) float64 {
	t.Helper()
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return hosttest.CallsBy(t, h, "proxy_pathsuffix")[suffix]
}

// function is a process of the program.
type function struct {
	url string
	cmd *exec.Cmd
}

// term tells the process to end, as the platform does, and waits for that.
func (f *function) term(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = f.cmd.Wait() // the framework ends by the signal
}

// startFunctionOf starts the program as the platform does.
func startFunctionOf(t *testing.T, program, target string, env map[string]string) *function {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "FUNCTION_TARGET="+target, "PORT="+port)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	await(t, "127.0.0.1:"+port)
	return &function{url: "http://127.0.0.1:" + port, cmd: cmd}
}

// TestUploaded is that sources and what they embed are uploaded, and nothing else;
// and that it is what gcloud itself would upload, where there is one.
func TestUploaded(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	embedded := lines(t, "go", "list", "-f", `{{$d := .Dir}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`, "./...")
	list := uploaded(t)
	for _, f := range list {
		source := strings.HasSuffix(f, ".go") && !strings.HasSuffix(f, "_test.go")
		module := slices.Contains([]string{"go.mod", "go.sum", "LICENSE", "README.md"}, f)
		if !source && !module && !slices.Contains(embedded, filepath.Join(here, f)) {
			t.Errorf("%s is uploaded", f)
		}
	}
	if _, err := exec.LookPath("gcloud"); err != nil {
		return
	}
	theirs := lines(t, "gcloud", "meta", "list-files-for-upload", ".")
	slices.Sort(theirs)
	slices.Sort(list)
	list = slices.DeleteFunc(list, func(f string) bool { _, err := os.Stat(f); return err != nil })
	if !slices.Equal(list, theirs) {
		t.Errorf("gcloud uploads %d files, the test %d", len(theirs), len(list))
		for _, f := range theirs {
			if !slices.Contains(list, f) {
				t.Errorf("only gcloud: %s", f)
			}
		}
		for _, f := range list {
			if !slices.Contains(theirs, f) {
				t.Errorf("only the test: %s", f)
			}
		}
	}
}

// uploaded lists what gcloud would upload: the files of the checkout that
// .gcloudignore, which has gitignore's syntax, does not name.
func uploaded(t *testing.T) []string {
	t.Helper()
	all := lines(t, "git", "ls-files", "-co", "--exclude-standard")
	ignored := map[string]bool{}
	for _, f := range append(lines(t, "git", "ls-files", "-ci", "--exclude-from=.gcloudignore"), lines(t, "git", "ls-files", "-oi", "--exclude-from=.gcloudignore")...) {
		ignored[f] = true
	}
	var out []string
	for _, f := range all {
		if !ignored[f] {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		t.Fatal("nothing would be uploaded")
	}
	return out
}

func lines(t *testing.T, name string, args ...string) []string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return strings.Fields(string(out))
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	flags := "-mod=mod -buildvcs=false"
	if strings.Contains(os.Getenv("GOFLAGS"), "-trimpath") {
		flags += " -trimpath" // what is compiled already need not be once more
	}
	cmd.Env = append(os.Environ(), "GOFLAGS="+flags, "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return // deleted, not committed yet
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data))
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
