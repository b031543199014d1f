package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// delivered is that the program is built without cgo, as the Dockerfile does;
// otherwise as the tests are, so that little has to be compiled. .ci/run sets it.
var delivered = os.Getenv("PERIGEE_DELIVERED") == "true"

// image is the program as the Dockerfile builds it, from what .dockerignore lets
// through.
var image = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return "", err
	}
	if err := buildContext(filepath.Join(dir, "src")); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "perigee")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=1.2.3", "-o", program, "./cmd/perigee")
	cmd.Dir = filepath.Join(dir, "src")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if delivered {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// buildContext copies the build context: the files that .dockerignore does not name.
// Its patterns here are names, and **/ before one for any folder.
func buildContext(dir string) error {
	ignore, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		return err
	}
	patterns := strings.Fields(string(ignore))
	out, err := exec.Command("git", "-C", "../..", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		return err
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(name, "\n")
		if ignored(patterns, name) {
			continue
		}
		data, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		} else if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func ignored(patterns []string, name string) bool {
	parts := strings.Split(name, "/")
	return slices.ContainsFunc(patterns, func(p string) bool {
		any, deep := strings.CutPrefix(p, "**/")
		if !deep {
			return name == p || strings.HasPrefix(name, p+"/")
		}
		return slices.ContainsFunc(parts, func(part string) bool { ok, _ := path.Match(any, part); return ok })
	})
}

// TestDockerfile is that the Dockerfile says what the tests here do, and what an
// image must be.
func TestDockerfile(t *testing.T) {
	data, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{
		`CGO_ENABLED=0 GOWORK=off`, `go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/perigee ./cmd/perigee`,
		"FROM gcr.io/distroless/static", "USER 65532:65532", `ENTRYPOINT ["/perigee"]`, `CMD ["gateway"]`, `CMD ["management"]`, "AS gateway\n", "AS management\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	if !strings.Contains(text, "golang:"+string(version)+" ") {
		t.Errorf("the Dockerfile does not build with Go %s", version)
	}
}

// process is a container's process: the built program and its signals.
type process struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{}
}

func startPlane(t *testing.T, plane string, env map[string]string) *process {
	t.Helper()
	program, err := image()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(program, plane), done: make(chan struct{})}
	p.cmd.Env = []string{"PORT=0"}
	for k, v := range env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Env = append(p.cmd.Env, "PERIGEE_LOG_LEVEL=info", "PERIGEE_LOG_FORMAT=json")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	a := <-address
	go func() { <-address; p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	if a == "" {
		t.Fatal("the process ended without listening")
	}
	p.url = "http://127.0.0.1:" + a
	return p
}

var listening = regexp.MustCompile(`"message":"listening","address":"[^"]*:(\d+)"`)

// TestContainer sends the matrix through the container's process.
func TestContainer(t *testing.T) {
	p := startPlane(t, "gateway", hosttest.Environ(hosttest.Seed(t, hosttest.Backend(t))))
	hosttest.Run(t, hosttest.To(p.url))
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestContainerManagement is the other plane: it lets nobody in without
// credentials.
func TestContainerManagement(t *testing.T) {
	env := hosttest.Environ(hosttest.Seed(t, "http://127.0.0.1:1"))
	p := startPlane(t, "management", env)
	resp, err := http.Get(p.url + "/v1/organizations")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "UNAUTHENTICATED") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestContainerStatic is that the program needs nothing else in its image.
func TestContainerStatic(t *testing.T) {
	program, err := image()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "version", "-m", program).CombinedOutput()
	if err != nil || delivered && !strings.Contains(string(out), "CGO_ENABLED=0") || !strings.Contains(string(out), "dep\tcloud.google.com/go/firestore") {
		t.Errorf("build information: %v\n%s", err, out)
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "1.2.3" {
		t.Errorf("version: %s %v", out, err)
	}
	if runtime.GOOS != "linux" || !delivered {
		return
	}
	if out, err := exec.Command("ldd", program).CombinedOutput(); err == nil {
		t.Errorf("it is linked with\n%s", out)
	}
}

// TestDrain is a container that is told to stop: calls in flight are answered, new
// ones are refused, and it ends with 0.
func TestDrain(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "answered")
	}))
	defer backend.Close()
	p := startPlane(t, "gateway", hosttest.Environ(hosttest.Seed(t, backend.URL)))
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		r, _ := http.NewRequest("GET", "http://api.example.com/echo/x", http.NoBody)
		resp, err := hosttest.To(p.url)(r)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answers <- answer{string(text), err}
	}()
	<-arrived
	p.cmd.Process.Signal(syscall.SIGTERM)
	refused := false
	for range 500 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if refused = err != nil; refused {
			break
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
	if !refused {
		t.Error("new connections are still accepted")
	}
	close(release)
	if a := <-answers; a.text != "answered" || a.err != nil {
		t.Errorf("the call in flight: %q %v", a.text, a.err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDrainEnds is that a call which does not end does not keep the container: it
// ends by itself before Cloud Run kills it.
func TestDrainEnds(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	defer backend.Close()
	defer close(release)
	p := startPlane(t, "gateway", hosttest.Environ(hosttest.Seed(t, backend.URL)))
	go func() {
		if resp, err := http.Get(p.url + "/echo/x"); err == nil {
			resp.Body.Close()
		}
	}()
	<-arrived
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d: a call was cut off", code)
	}
}
