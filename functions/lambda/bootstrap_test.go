package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/build"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// TestBuildLambda runs scripts/build-lambda.sh in two copies of the source, and
// holds the zips against each other and against what provided.al2023 wants: the
// program for the architecture, named bootstrap, that may be executed. It is this
// machine's, or with PERIGEE_DELIVERED=true both, which takes minutes where nothing
// is cached for the other.
func TestBuildLambda(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the whole program twice: left out with -short")
	}
	architectures := []string{runtime.GOARCH}
	if os.Getenv("PERIGEE_DELIVERED") == "true" {
		architectures = []string{"arm64", "amd64"}
	}
	first, second := zips(t, architectures), zips(t, architectures)
	for _, arch := range architectures {
		machine := map[string][]byte{"arm64": {0xb7, 0}, "amd64": {0x3e, 0}}[arch]
		name := "perigee-lambda-" + arch + ".zip"
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s is not the same when it is built in another folder", name)
		}
		r, err := zip.NewReader(bytes.NewReader(first[name]), int64(len(first[name])))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode() != 0o755 {
			t.Fatalf("%s has %v", name, r.File)
		}
		f, err := r.File[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 20)
		if _, err := io.ReadFull(f, head); err != nil {
			t.Fatal(err)
		}
		if string(head[:4]) != "\x7fELF" || !bytes.Equal(head[18:20], machine) {
			t.Errorf("%s: the program is for another machine: % x", name, head)
		}
		if size := r.File[0].UncompressedSize64; size > 250<<20 {
			t.Errorf("%s: %d bytes, Lambda takes 250 MB", name, size)
		}
	}
}

// zips builds in a copy of the source.
func zips(t *testing.T, architectures []string) map[string][]byte {
	t.Helper()
	source, dist := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "dist")
	out, err := exec.Command("git", "-C", "../..", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(name, "\n")
		if strings.HasPrefix(name, "docs/") || strings.HasPrefix(name, "infra/") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		} else if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(source, "scripts/build-lambda.sh"), dist)
	cmd.Env = append(os.Environ(), "ARCHITECTURES="+strings.Join(architectures, " "), cgo())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build-lambda.sh: %v\n%s", err, out)
	}
	found := map[string][]byte{}
	for _, arch := range architectures {
		name := "perigee-lambda-" + arch + ".zip"
		if found[name], err = os.ReadFile(filepath.Join(dist, name)); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// cgo is whether the program is built with cgo: as the tests are, so that little
// has to be compiled, or, with PERIGEE_DELIVERED=true, without, as it is delivered.
// .ci/run does that.
func cgo() string {
	if os.Getenv("PERIGEE_DELIVERED") == "true" || !build.Default.CgoEnabled {
		return "CGO=0"
	}
	return "CGO=1"
}

// built is the program as the script builds it, for this machine.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bootstrap")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("../../scripts/build-lambda.sh", dir)
	cmd.Env = append(os.Environ(), "ARCHITECTURES="+runtime.GOARCH, cgo())
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build-lambda.sh: %w\n%s", err, out)
	}
	r, err := zip.OpenReader(filepath.Join(dir, "perigee-lambda-"+runtime.GOARCH+".zip"))
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := r.Open("bootstrap")
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "bootstrap")
	return name, os.WriteFile(name, data, 0o755)
})

var builtUsed bool

func TestMain(m *testing.M) {
	code := m.Run()
	if builtUsed {
		if name, err := built(); err == nil {
			os.RemoveAll(filepath.Dir(name))
		}
	}
	os.Exit(code)
}

// bootstrap is the built program, running under a Runtime API of the test's own.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type bootstrap struct {
	api     *runtimeAPI
	cmd     *exec.Cmd
	log     *syncBuffer
	stopped chan struct{}
}

func start(t *testing.T, env map[string]string) *bootstrap {
	t.Helper()
	builtUsed = true
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	b := &bootstrap{api: newRuntimeAPI(), log: new(syncBuffer), stopped: make(chan struct{})}
	server := httptest.NewServer(b.api)
	b.cmd = exec.Command(program)
	b.cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(server.URL, "http://"), "TMPDIR=" + t.TempDir(), "AWS_LAMBDA_FUNCTION_NAME=perigee"}
	for k, v := range env {
		b.cmd.Env = append(b.cmd.Env, k+"="+v)
	}
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { b.cmd.Wait(); close(b.stopped) }()
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		<-b.stopped
		b.api.close()
		server.Close()
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	return b
}

// syncBuffer is what the process prints.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// runtimeAPI hands invocations to the process and takes its answers.
type runtimeAPI struct {
	next  chan *invocation
	init  chan report
	done  chan struct{}
	mu    sync.Mutex
	calls map[string]*invocation
}

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	answer   chan *posted
}

// posted is what the process answered an invocation with.
type posted struct {
	failed bool // to /error
	header http.Header
	body   *io.PipeReader
	// trailer is complete when body is at its end.
	trailer func() http.Header
}

// report is an error of /runtime/init/error.
type report struct {
	Kind         string `json:"-"`
	ErrorType    string `json:"errorType"`
	ErrorMessage string `json:"errorMessage"`
}

func newRuntimeAPI() *runtimeAPI {
	return &runtimeAPI{next: make(chan *invocation), init: make(chan report, 1), done: make(chan struct{}), calls: map[string]*invocation{}}
}

func (a *runtimeAPI) close() { close(a.done) }

const runtimePath = "/2018-06-01/runtime/"

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, runtimePath)
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch {
	case path == "init/error":
		rep := report{Kind: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
		json.NewDecoder(r.Body).Decode(&rep)
		a.init <- rep
		w.WriteHeader(http.StatusAccepted)
	case path == "invocation/next":
		a.hand(w, r)
	case strings.HasPrefix(path, "invocation/"):
		id, kind, _ := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
		a.take(w, r, id, kind == "error")
	default:
		http.NotFound(w, r)
	}
}

func (a *runtimeAPI) hand(w http.ResponseWriter, r *http.Request) {
	select {
	case inv := <-a.next:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(inv.deadline.UnixMilli()))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:perigee")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1")
		h.Set("Content-Type", "application/json")
		w.Write(inv.event)
	case <-r.Context().Done():
	case <-a.done:
	}
}

func (a *runtimeAPI) take(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	a.mu.Lock()
	inv := a.calls[id]
	delete(a.calls, id)
	a.mu.Unlock()
	if inv == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	body, pipe := io.Pipe()
	over := make(chan struct{})
	defer close(over)
	go func() { // a test that failed reads no more
		select {
		case <-a.done:
			body.Close()
		case <-over:
		}
	}()
	inv.answer <- &posted{failed: failed, header: r.Header, body: body, trailer: func() http.Header { return r.Trailer }}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 { // an empty write would wait for a reader, too
			pipe.Write(buf[:n])
		}
		if err != nil {
			pipe.CloseWithError(err)
			break
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// invoke calls the function, which has the time to answer.
func (b *bootstrap) invoke(event []byte, left time.Duration) (*posted, error) {
	inv := &invocation{id: fmt.Sprintf("%x", time.Now().UnixNano()), event: event, deadline: time.Now().Add(left), answer: make(chan *posted, 1)}
	b.api.mu.Lock()
	b.api.calls[inv.id] = inv
	b.api.mu.Unlock()
	select {
	case b.api.next <- inv:
	case <-b.stopped:
		return nil, fmt.Errorf("the process has ended: %s", b.log)
	}
	select {
	case p := <-inv.answer:
		return p, nil
	case <-b.stopped:
		return nil, fmt.Errorf("the process has ended: %s", b.log)
	}
}

const streamType = "application/vnd.awslambda.http-integration-response"

// client sends requests as a service does.
func (b *bootstrap) client(s service) hosttest.Client {
	return func(r *http.Request) (*http.Response, error) {
		raw, err := s.invocation(r)
		if err != nil {
			return nil, err
		}
		p, err := b.invoke(raw, time.Minute)
		if err != nil {
			return nil, err
		}
		if p.failed {
			text, _ := io.ReadAll(p.body)
			return nil, fmt.Errorf("the invocation failed: %s", text)
		}
		if p.header.Get("Content-Type") == streamType {
			resp, err := readStream(p.body)
			if err != nil {
				return nil, err
			}
			resp.Body = &trailed{resp.Body, p}
			return resp, nil
		}
		text, err := io.ReadAll(p.body)
		if err != nil {
			return nil, err
		}
		return readAnswer(text)
	}
}

// trailed ends with an error if the trailers say so: the service then cuts the
// caller's connection.
type trailed struct {
	io.ReadCloser
	p *posted
}

func (r *trailed) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err == io.EOF && r.p.trailer().Get("Lambda-Runtime-Function-Error-Type") != "" {
		text, _ := base64.StdEncoding.DecodeString(r.p.trailer().Get("Lambda-Runtime-Function-Error-Body"))
		err = fmt.Errorf("cut off: %s", text)
	}
	return n, err
}

// Close ends the reading: what comes is let go.
func (r *trailed) Close() error { return r.p.body.Close() }

// TestBootstrap sends the matrix through the built program, under each service
// that may call it.
func TestBootstrap(t *testing.T) {
	for _, stream := range []bool{false, true} {
		env := hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t)))
		env["PERIGEE_LAMBDA_STREAMING"] = fmt.Sprint(stream)
		b := start(t, env)
		for _, s := range services {
			if s.stream != stream {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				// The function runs one call at a time, and the case needs two:
				// TestBootstrapStreams has it.
				hosttest.Run(t, b.client(s), append(s.except, hosttest.Streams)...)
				hosttest.Cut(t, b.client(s), !s.stream)
			})
		}
	}
}

// TestBootstrapStreams is that a part of the response is with Lambda before the
// target has sent all of it, and that one that breaks off ends with trailers.
func TestBootstrapStreams(t *testing.T) {
	next, torn := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/torn" {
			<-torn
			panic(http.ErrAbortHandler)
		}
		<-next
		io.WriteString(w, "second")
	}))
	defer backend.Close()
	env := hosttest.Environ(hosttest.Seed(t, backend.URL))
	env["PERIGEE_LAMBDA_STREAMING"] = "true"
	b := start(t, env)
	call := b.client(services[1])
	get := func(path string) (first string, rest func() (string, error)) {
		r, _ := http.NewRequest("GET", "http://api.example.com/echo"+path, http.NoBody)
		resp, err := call(r)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, len("first "))
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatal(err)
		}
		return string(buf), func() (string, error) {
			b, err := io.ReadAll(resp.Body)
			return string(b), err
		}
	}
	first, rest := get("/whole")
	close(next)
	if text, err := rest(); first != "first " || text != "second" || err != nil {
		t.Errorf("%q %q %v", first, text, err)
	}
	first, rest = get("/torn")
	close(torn)
	if text, err := rest(); first != "first " || err == nil || !strings.Contains(err.Error(), "ended too early") {
		t.Errorf("a response that broke off: %q %q %v", first, text, err)
	}
	if first, rest = get("/whole"); first != "first " {
		t.Errorf("after it: %q", first)
	}
	rest()
}

// TestBootstrapDeadline is a target that takes longer than the invocation may: the
// caller gets the fault, and the process serves the next call.
func TestBootstrapDeadline(t *testing.T) {
	release := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	defer backend.Close()
	defer close(release)
	b := start(t, hosttest.Environ(hosttest.Seed(t, backend.URL)))
	for path, want := range map[string]int{"/echo/never": 504, "/echo/x": 200} {
		r, _ := http.NewRequest("GET", "http://api.example.com"+path, http.NoBody)
		raw, err := services[0].invocation(r)
		if err != nil {
			t.Fatal(err)
		}
		p, err := b.invoke(raw, 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(p.body)
		resp, err := readAnswer(text)
		if err != nil || p.failed || resp.StatusCode != want {
			t.Errorf("%s: %v %v %s", path, err, p.failed, text)
		}
	}
}

// TestBootstrapEvent is an event of no service that is known: the invocation
// fails, the process goes on.
func TestBootstrapEvent(t *testing.T) {
	b := start(t, hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))))
	for range 2 {
		p, err := b.invoke([]byte(`{"Records":[]}`), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(p.body); !p.failed || !strings.Contains(string(text), "neither a function URL") {
			t.Errorf("%v %s", p.failed, text)
		}
	}
}

// TestBootstrapInit is a function that is set up wrongly: it says so as it starts,
// to Lambda and in the log, and ends.
func TestBootstrapInit(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"no credentials", map[string]string{"PERIGEE_STORE": "firestore:acme", "PERIGEE_KEYSTORE": "secretmanager:acme"},
			"there are no Google credentials for firestore:acme: set PERIGEE_GOOGLE_CREDENTIALS to the external_account configuration of workload identity federation"},
		{"no project", map[string]string{}, "names no project: set PERIGEE_STORE or GOOGLE_CLOUD_PROJECT"},
		{"a key", map[string]string{"PERIGEE_STORE": "firestore:acme", "PERIGEE_KEYSTORE": "secretmanager:acme", "PERIGEE_GOOGLE_CREDENTIALS": `{"type":"service_account","private_key":"hush"}`},
			`PERIGEE_GOOGLE_CREDENTIALS has type "service_account": only external_account belongs into a variable`},
		{"refresh", map[string]string{"PERIGEE_STORE": "memory:", "PERIGEE_KEYSTORE": "memory:", "PERIGEE_REFRESH": "often"}, "PERIGEE_REFRESH:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, c.env)
			select {
			case r := <-b.api.init:
				if !strings.Contains(r.ErrorMessage, c.want) || r.ErrorType != "Perigee.Configuration" || r.Kind != r.ErrorType {
					t.Errorf("%+v, want %s", r, c.want)
				}
			case <-time.After(time.Minute):
				t.Fatal("nothing was reported to /runtime/init/error")
			}
			<-b.stopped
			if code := b.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if text := b.log.String(); !strings.Contains(text, "cannot start") || strings.Contains(text, "hush") {
				t.Errorf("log: %s", text)
			}
		})
	}
}

// TestBootstrapStoreAway is a store that cannot be reached: the function starts,
// and answers 503 until it can.
func TestBootstrapStoreAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := start(t, map[string]string{"PERIGEE_STORE": "firestore:acme", "PERIGEE_KEYSTORE": "secretmanager:acme", "FIRESTORE_EMULATOR_HOST": l.Addr().String()})
	r, _ := http.NewRequestWithContext(context.Background(), "GET", "http://api.example.com/x", http.NoBody)
	raw, err := services[0].invocation(r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.invoke(raw, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(p.body)
	if resp, err := readAnswer(text); err != nil || p.failed || resp.StatusCode != 503 {
		t.Errorf("%v %v %s", err, p.failed, text)
	}
}
