package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/hosttest"
	"github.com/perigee-gateway/perigee/shared/orgtest"
)

// bareProxy is what a careful Go programmer writes who wants nothing but to pass
// calls on.
const bareProxy = `package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

type pool struct{ p sync.Pool }

func (b *pool) Get() []byte {
	if v, ok := b.p.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 32<<10)
}

func (b *pool) Put(v []byte) { b.p.Put(&v) }

func main() {
	u, err := url.Parse(os.Getenv("BACKEND"))
	if err != nil {
		log.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true, IdleConnTimeout: time.Minute}
	p.BufferPool = new(pool)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), p))
}
`

const (
	loadConnections = 32
	loadDeployed    = 10_000
)

// keyed is a proxy with what most proxies have: a key, a rate, and four operations
// on headers.
const keyed = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow">
    <Request><Step><Name>VA</Name></Step><Step><Name>SA</Name></Step><Step><Name>AM-Request</Name></Step></Request>
  </PreFlow>
  <HTTPProxyConnection><BasePath>/keyed</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/policies/VA.xml --
<VerifyAPIKey name="VA"><APIKey ref="request.header.x-api-key"/></VerifyAPIKey>
-- apiproxy/policies/SA.xml --
<SpikeArrest name="SA"><Rate>1000000ps</Rate></SpikeArrest>
-- apiproxy/policies/AM-Request.xml --
<AssignMessage name="AM-Request"><Set><Headers><Header name="X-App">{developer.app.name}</Header><Header name="X-Request">{messageid}</Header></Headers></Set><Add><Headers><Header name="X-Via">perigee</Header></Headers></Add><Remove><Headers><Header name="X-Api-Key"/></Headers></Remove></AssignMessage>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default"><HTTPTargetConnection><URL>BACKEND</URL></HTTPTargetConnection></TargetEndpoint>
`

// BenchmarkLoad measures whole processes from outside: the container's entry point
// with one and with 10,000 deployed proxies, and a bare reverse proxy, each on one
// core, with 32 connections kept alive. Each iteration sends 10,000 requests to
// each in turn. CPU time per request is of the process under load alone, so that
// it says more than the rate on a machine that does other things. docs/PERFORMANCE.md
// has the command.
func BenchmarkLoad(b *testing.B) {
	backend := hosttest.RawBackend(b)
	one := loadStore(b, backend, 0)
	many := loadStore(b, backend, loadDeployed)
	program, err := image()
	if err != nil {
		b.Fatal(err)
	}
	bare := exec.Command(buildBare(b))
	bare.Env = []string{"BACKEND=" + backend}
	subjects := []*subject{
		{name: "bare", cmd: bare, path: "/x?a=1"},
		{name: "pass", cmd: gatewayOf(program, one), path: "/echo/x?a=1"},
		{name: "keyed", cmd: gatewayOf(program, one), path: "/keyed/x?a=1"},
		{name: "pass-10000", cmd: gatewayOf(program, many), path: "/echo/x?a=1"},
	}
	for _, s := range subjects {
		s.start(b)
	}
	for b.Loop() {
		for _, s := range subjects {
			s.load(b, 10_000)
		}
	}
	for _, s := range subjects {
		b.ReportMetric(s.cpu(), s.name+"-cpu-us/req")
		b.ReportMetric(s.rate(), s.name+"-req/s")
		b.ReportMetric(float64(s.first.Microseconds())/1000, s.name+"-start-ms")
		b.ReportMetric(s.resident(b, "VmHWM"), s.name+"-peak-MiB")
		b.ReportMetric(s.idle, s.name+"-started-MiB")
	}
	b.ReportMetric(subjects[0].cpu()/subjects[1].cpu(), "pass/bare")
	b.ReportMetric(subjects[0].cpu()/subjects[2].cpu(), "keyed/bare")
	b.ReportMetric(subjects[2].cpu()-subjects[1].cpu(), "three-policies-cpu-us/req")
	b.ReportMetric(subjects[1].cpu()/subjects[3].cpu(), "pass-10000/pass")
	b.ReportMetric(0, "ns/op")
}

// loadStore is a store with the proxies under load, and more that are not called.
// Only one process may have it open: each gateway gets a copy.
func loadStore(b *testing.B, backend string, more int) boot.Config {
	b.Helper()
	c := hosttest.Seed(b, backend)
	c.InsecureManagement = true
	h, err := boot.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	hosttest.Deploy(b, h, "keyed", []byte(keyed), backend)
	management, err := h.ManagementHandler()
	if err != nil {
		b.Fatal(err)
	}
	api := &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{Handler: management}}}
	for _, call := range []apiclient.Call{
		{Path: "apiproducts", JSON: map[string]any{"name": "all", "displayName": "all", "approvalType": "auto"}},
		{Path: "developers", JSON: map[string]any{"email": "a@example.com", "firstName": "A", "lastName": "B", "userName": "a"}},
		{Path: "developers/a@example.com/apps", JSON: map[string]any{"name": "app"}},
		{Path: "developers/a@example.com/apps/app/keys/create", JSON: map[string]any{"consumerKey": "key", "consumerSecret": "secret"}},
		{Path: "developers/a@example.com/apps/app/keys/key", JSON: map[string]any{"apiProducts": []string{"all"}}},
	} {
		call.Method, call.Path = http.MethodPost, "organizations/org/"+call.Path
		if err := api.Do(b.Context(), call, nil); err != nil {
			b.Fatal(err)
		}
	}
	for i := range more {
		name := fmt.Sprintf("unused-%d", i)
		zip := orgtest.Proxy(b, name, "/company/"+name+"/v1", name)
		parsed, err := bundle.LoadZip(zip, bundle.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		rev, err := h.Deployments.Import(b.Context(), deployment.Upload{Organization: "org", Kind: entity.API, Name: name, Zip: zip, Bundle: parsed})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Deployments.Deploy(b.Context(), deployment.Request{
			Organization: "org", Environment: "test", Kind: entity.API, Name: name, Revision: rev.Revision, HostIdentity: true,
		}); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// gatewayOf is a gateway over a copy of a store.
func gatewayOf(program string, c boot.Config) *exec.Cmd {
	cmd := exec.Command(program, "gateway")
	dir := strings.TrimPrefix(c.Store, "embedded:")
	c.Store = "embedded:" + dir + fmt.Sprintf("-%d", time.Now().UnixNano())
	if err := os.CopyFS(strings.TrimPrefix(c.Store, "embedded:"), os.DirFS(dir)); err != nil {
		panic(err)
	}
	for k, v := range hosttest.Environ(c) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

func buildBare(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	here, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	source, overlay, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "bare")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "bare.local", "main.go"): source}})
	if err != nil {
		b.Fatal(err)
	}
	for name, content := range map[string]string{source: bareProxy, overlay: string(text)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-overlay", overlay, "-o", out, "./bare.local").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return out
}

// subject is a process under load.
type subject struct {
	name, path string
	cmd        *exec.Cmd
	addr       string
	first      time.Duration // from its start to its first answer
	idle       float64       // MiB then

	requests int
	took     time.Duration
	used     time.Duration
}

func (s *subject) start(b *testing.B) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd.Env = append(s.cmd.Env, "PORT="+port, "GOMAXPROCS=1")
	s.cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	for time.Since(begun) < time.Minute {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			defer c.Close()
			if err := s.ask(c, bufio.NewReader(c), 1); err != nil {
				b.Fatal(s.name, err)
			}
			s.first, s.idle = time.Since(begun), s.resident(b, "VmRSS")
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
	b.Fatal(s.name, "does not listen")
}

// load sends n requests over all connections.
func (s *subject) load(b *testing.B, n int) {
	b.Helper()
	var conns []net.Conn
	for range loadConnections {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
		if err := s.ask(c, bufio.NewReader(c), 10); err != nil { // warm
			b.Fatal(s.name, err)
		}
	}
	used, begun := s.processor(b), time.Now()
	var group sync.WaitGroup
	for _, c := range conns {
		group.Go(func() {
			if err := s.ask(c, bufio.NewReader(c), n/loadConnections); err != nil {
				b.Error(s.name, err)
			}
		})
	}
	group.Wait()
	s.took += time.Since(begun)
	s.used += s.processor(b) - used
	s.requests += n / loadConnections * loadConnections
}

// ask sends n requests, one after the other.
func (s *subject) ask(c net.Conn, r *bufio.Reader, n int) error {
	request := []byte("GET " + s.path + " HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nX-Api-Key: key\r\n\r\n")
	for range n {
		if _, err := c.Write(request); err != nil {
			return err
		}
		length := 0
		for first := true; ; first = false {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
				return fmt.Errorf("answers %s", line)
			}
			if len(line) == 2 {
				break
			}
			if v, ok := strings.CutPrefix(strings.ToLower(string(line)), "content-length:"); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
		if length != 1024 {
			return fmt.Errorf("%d bytes of content", length)
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return err
		}
	}
	return nil
}

// cpu is in µs for each request.
func (s *subject) cpu() float64 { return float64(s.used.Microseconds()) / float64(s.requests) }

func (s *subject) rate() float64 { return float64(s.requests) / s.took.Seconds() }

// processor is the CPU time that the process took, by the kernel's count in ticks
// of 10 ms: proc(5).
func (s *subject) processor(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		b.Skip("there is no /proc: ", err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is VmRSS or VmHWM in MiB.
func (s *subject) resident(b *testing.B, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		b.Skip("there is no /proc: ", err)
	}
	lines := strings.Split(string(text), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, field+":") })
	if i < 0 {
		b.Fatal("no ", field)
	}
	kib, err := strconv.Atoi(strings.Fields(lines[i])[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}
