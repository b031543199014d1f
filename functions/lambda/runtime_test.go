package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// asLambda makes the test binary the function itself.
const asLambda = "PERIGEE_TEST_AS_LAMBDA"

func TestMain(m *testing.M) {
	if os.Getenv(asLambda) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// runtimeAPI is Lambda's side of one function instance: it hands out events and
// takes what comes back.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct {
	events  chan []byte
	answers chan answer
}

type answer struct {
	path    string
	body    string
	trailer http.Header
}

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const prefix = "/2018-06-01/runtime/invocation/"
	if r.URL.Path == prefix+"next" {
		select {
		case e := <-a.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", "32503680000000")
			w.Write(e)
		case <-r.Context().Done():
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte(err.Error())
	}
	a.answers <- answer{strings.TrimPrefix(r.URL.Path, prefix), string(body), r.Trailer}
	w.WriteHeader(http.StatusAccepted)
}

// TestStreamCut runs the function as Lambda does, as a process of its own: a
// target that dies while its answer is streamed is reported in the trailers of
// the response, and the instance answers the next event.
func TestStreamCut(t *testing.T) {
	api := &runtimeAPI{events: make(chan []byte), answers: make(chan answer, 1)}
	s := httptest.NewServer(api)
	defer s.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), asLambda+"=1", "PERIGEE_LAMBDA_STREAMING=true", "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(s.URL, "http://"))
	for k, v := range hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()

	call := func(path string) answer {
		r := httptest.NewRequest("GET", "http://api.example.com"+path, nil)
		raw, err := json.Marshal(v2Event("abc.lambda-url.eu-west-1.on.aws")(r, "", false))
		if err != nil {
			t.Fatal(err)
		}
		api.events <- raw
		return <-api.answers
	}
	for _, path := range []string{"/echo/dies", "/echo/dies/known"} {
		a := call(path)
		if a.path != "1/response" || !strings.HasSuffix(a.body, "the first part") {
			t.Errorf("%s: %s %q", path, a.path, a.body)
		}
		if got := a.trailer.Get("Lambda-Runtime-Function-Error-Type"); got != "Truncated" {
			t.Errorf("%s: error type %q", path, got)
		}
		detail, err := base64.StdEncoding.DecodeString(a.trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if want := `"errorMessage":"the target's response ended too early"`; err != nil || !strings.Contains(string(detail), want) {
			t.Errorf("%s: error %s %v, want %s", path, detail, err, want)
		}
	}
	a := call("/echo/x")
	if !strings.HasSuffix(a.body, "GET /x x= body=") || a.trailer.Get("Lambda-Runtime-Function-Error-Type") != "" {
		t.Error(fmt.Sprintf("after a cut: %q %v", a.body, a.trailer))
	}
}
