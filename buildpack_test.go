package perigee_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

	port := freePort(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "FUNCTION_TARGET=Gateway", "PORT="+port)
	for k, v := range hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	await(t, "127.0.0.1:"+port)
	hosttest.Run(t, hosttest.To("http://127.0.0.1:"+port))
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
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
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

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
