package perigee_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// emptyFunction is a function that does nothing, under the Functions Framework; it
// imports what it is formatted with and keeps what that names.
const emptyFunction = `package main

import (
	"io"
	"log"
	"net/http"
	"os"
%s
	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
)

func init() {
	functions.HTTP("Gateway", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
}

func main() {
	if err := funcframework.Start(os.Getenv("PORT")); err != nil {
		log.Fatal(err)
	}
}
%s`

// emptyBootstrap is a Lambda function that does nothing, with the same.
const emptyBootstrap = `package main

import (
	"context"
%s
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context, events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
		return events.LambdaFunctionURLResponse{StatusCode: 200, Body: "hello"}, nil
	})
}
%s`

// The clients of Google's services that perigee is on; a program that links them
// and does nothing is as fast as perigee could be.
const (
	clients = `
	"cloud.google.com/go/firestore"
	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"google.golang.org/api/idtoken"
`
	useClients = `
var Clients = []any{firestore.NewClient, secretmanager.NewClient, idtoken.NewTokenSource}
`
)

// BenchmarkColdStart takes the time from the start of the process to the first
// answer, of the function and of Lambda's bootstrap, with a proxy deployed on the
// embedded store, and of programs that do nothing under the same hosts: with nothing
// else, and linked with the clients of Google's services. Every iteration starts each
// once; the metrics are medians and their ratios. docs/PERFORMANCE.md has the command.
func BenchmarkColdStart(b *testing.B) {
	dir, err := os.MkdirTemp("", "coldstart") // not b.TempDir, which may be in memory
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	// What an instance counts is stored before Lambda has its answer: the time that
	// the disk takes to sync is none of the program's.
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err == nil {
		b.Setenv("TMPDIR", memory)
	}
	env := hosttest.Environ(hosttest.Seed(b, hosttest.Backend(b)))
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w"}
	lambdaFlags := append(slices.Clone(flags), "-tags", "lambda.norpc") // scripts/build-lambda.sh
	type program struct {
		name  string
		path  string
		start func(b *testing.B, program string, env map[string]string) time.Duration
		took  []time.Duration
	}
	var programs []program
	add := func(name, source string, flags []string, start func(*testing.B, string, map[string]string) time.Duration) {
		programs = append(programs, program{name: name, path: build(b, dir, name, source, flags), start: start})
	}
	add("framework", fmt.Sprintf(emptyFunction, "", ""), flags, startFunction)
	add("framework+clients", fmt.Sprintf(emptyFunction, clients, useClients), flags, startFunction)
	add("function", fmt.Sprintf(mainTemplate, "github.com/perigee-gateway/perigee"), flags, startFunction)
	add("runtime", fmt.Sprintf(emptyBootstrap, "", ""), lambdaFlags, startBootstrap)
	add("runtime+clients", fmt.Sprintf(emptyBootstrap, clients, useClients), lambdaFlags, startBootstrap)
	add("bootstrap", "", lambdaFlags, startBootstrap)
	for b.Loop() {
		for i := range programs {
			p := &programs[i]
			p.took = append(p.took, p.start(b, p.path, env))
		}
	}
	median := map[string]float64{}
	for _, p := range programs {
		slices.Sort(p.took)
		median[p.name] = float64(p.took[len(p.took)/2].Microseconds()) / 1000
		b.ReportMetric(median[p.name], p.name+"-ms")
	}
	for _, r := range [][2]string{
		{"function", "framework"}, {"framework+clients", "framework"}, {"function", "framework+clients"},
		{"bootstrap", "runtime"}, {"runtime+clients", "runtime"}, {"bootstrap", "runtime+clients"},
	} {
		b.ReportMetric(median[r[0]]/median[r[1]], r[0]+"/"+r[1])
	}
	b.ReportMetric(0, "ns/op")
}

// build builds a main package that is not in the tree, or functions/lambda.
func build(b *testing.B, dir, name, source string, flags []string) string {
	b.Helper()
	pkg, out := "./functions/lambda", filepath.Join(dir, name)
	args := append([]string{"build", "-o", out}, flags...)
	if source != "" {
		here, err := os.Getwd()
		if err != nil {
			b.Fatal(err)
		}
		file, overlay := filepath.Join(dir, name+".go"), filepath.Join(dir, name+".json")
		write(b, file, source)
		text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "coldstart.local", name, "main.go"): file}})
		if err != nil {
			b.Fatal(err)
		}
		write(b, overlay, string(text))
		pkg, args = "./coldstart.local/"+name, append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "TMPDIR="+dir)
	if slices.Contains(flags, "lambda.norpc") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return out
}

func launch(b *testing.B, program string, env map[string]string, more ...string) (stop func()) {
	b.Helper()
	cmd := exec.Command(program)
	cmd.Env = more
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

func startFunction(b *testing.B, program string, env map[string]string) time.Duration {
	port := freePort(b)
	begun := time.Now()
	stop := launch(b, program, env, "FUNCTION_TARGET=Gateway", "PORT="+port)
	defer stop()
	var conn net.Conn
	for time.Since(begun) < time.Minute {
		var err error
		if conn, err = net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	if conn == nil {
		b.Fatal("it does not listen")
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /echo/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.Fatal(err)
	}
	// The answer is there once its body is: what an instance counts is stored behind
	// it, on the same connection's time but not the caller's.
	body, err := io.ReadAll(resp.Body)
	took := time.Since(begun)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	return took
}

func startBootstrap(b *testing.B, program string, env map[string]string) time.Duration {
	event := `{"version":"2.0","rawPath":"/echo/x","headers":{"host":"api.example.com"},"requestContext":{"stage":"$default","domainName":"x.lambda-url.eu-west-1.on.aws","http":{"method":"GET","path":"/echo/x"}}}`
	answered := make(chan string, 1)
	handed := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/next") {
			if handed {
				<-r.Context().Done()
				return
			}
			handed = true
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			io.WriteString(w, event)
			return
		}
		text, _ := io.ReadAll(r.Body)
		answered <- string(text)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	begun := time.Now()
	stop := launch(b, program, env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(s.URL, "http://"))
	defer stop()
	text := <-answered
	took := time.Since(begun)
	if !strings.Contains(text, `"statusCode":200`) {
		b.Fatal(text)
	}
	return took
}
