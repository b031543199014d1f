package target

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// environment is Servers with a map that tests change.
type environment struct {
	mu      sync.Mutex
	servers map[string]Server
}

func (e *environment) TargetServer(name string) (Server, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.servers[name]
	return s, ok
}

func (e *environment) set(name string, s Server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.servers[name] = s
}

// at is an enabled TargetServer at the address of a URL or host:port.
func at(addr string) Server {
	addr = strings.TrimPrefix(strings.TrimPrefix(addr, "http://"), "https://")
	host, port, _ := strings.Cut(addr, ":")
	n, _ := strconv.Atoi(port)
	return Server{Host: host, Port: n, Enabled: true}
}

// clock is a clock that tests move.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

// named answers with its name, or with a status that tests change.
type backend struct {
	name   string
	status atomic.Int32
	hits   atomic.Int32
	url    string
}

func newBackend(t testing.TB, name string) *backend {
	b := &backend{name: name}
	b.status.Store(200)
	b.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		b.hits.Add(1)
		w.WriteHeader(int(b.status.Load()))
		io.WriteString(w, b.name)
	}).URL
	return b
}

// visit sends a call and returns the server that answered, or the fault.
func visit(t testing.TB, c *Connector) string {
	t.Helper()
	fc := call(t, "GET", "/x", "")
	err := send(c, fc)
	defer fc.Drain(context.Background())
	if err != nil {
		return short(faultOf(t, err))
	}
	return fc.Response.Text()
}

const noTargets = `503 messaging.adaptors.http.flow.NoActiveTargets "The Service is temporarily unavailable"`

func TestRoundRobin(t *testing.T) {
	a, b, c := newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")
	env := &environment{servers: map[string]Server{"a": at(a.url), "b": at(b.url), "c": at(c.url)}}
	p := newPool(t, Options{Servers: env})
	lb := connect(t, p, `<LoadBalancer><Server name="a"/><Server name="b"/><Server name="c"/></LoadBalancer><Path>/v1</Path>`)
	var got []string
	for range 6 {
		got = append(got, visit(t, lb))
	}
	if s := strings.Join(got, ""); s != "abcabc" {
		t.Errorf("got %s", s)
	}
	disabled := at(b.url)
	disabled.Enabled = false
	env.set("b", disabled)
	got = nil
	for range 4 {
		got = append(got, visit(t, lb))
	}
	if s := strings.Join(got, ""); strings.Contains(s, "b") || strings.Count(s, "a") != 2 {
		t.Errorf("after b was disabled: %s", s)
	}
	env.set("b", at(a.url)) // moved
	if n := a.hits.Load(); n == 0 {
		t.Fatal("no hits")
	}
	for range 3 {
		visit(t, lb)
	}
	if b.hits.Load() != 2 {
		t.Errorf("a server that moved was called at its old place")
	}
}

func TestBalancedPathAndVariables(t *testing.T) {
	s := serve(t, echo)
	env := &environment{servers: map[string]Server{"a": at(s.URL)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="a"/></LoadBalancer><Path>/v1</Path>`)
	fc := call(t, "GET", "/x?q=1", "")
	fc.Set("target.url", flow.StringValue("http://elsewhere.invalid/")) // of no effect with a load balancer
	if err := send(c, fc); err != nil {
		t.Fatal(err)
	}
	if line, _, _ := strings.Cut(fc.Response.Text(), "\n"); line != "GET /v1/x?q=1 HTTP/1.1" {
		t.Errorf("got %q", line)
	}
	if fc.Text("loadbalancing.targetserver") != "a" || fc.Text("loadbalancing.isfallback") != "false" || fc.Text("target.basepath") != "/v1" {
		t.Errorf("variables: %q %q %q", fc.Text("loadbalancing.targetserver"), fc.Text("loadbalancing.isfallback"), fc.Text("target.basepath"))
	}
}

// Shares over 10,000 choices stay within 2 % of the weights, and no server
// gets a long run.
func TestWeighted(t *testing.T) {
	env := &environment{servers: map[string]Server{"a": at("h:1"), "b": at("h:2"), "c": at("h:3"), "z": at("h:4")}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Algorithm>Weighted</Algorithm>
		<Server name="a"><Weight>5</Weight></Server><Server name="b"><Weight>3</Weight></Server><Server name="c"/><Server name="z"><Weight>0</Weight></Server></LoadBalancer>`)
	counts, run, longest, last := map[string]int{}, 0, 0, ""
	x := &exchange{c: c, target: new(flow.Target)}
	const n = 10_000
	for range n {
		ch, ok, err := c.lb.choose(c, x, make([]bool, 4), -1)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		counts[ch.name]++
		if run++; ch.name != last {
			run, last = 1, ch.name
		}
		longest = max(longest, run)
	}
	for name, weight := range map[string]float64{"a": 5, "b": 3, "c": 1, "z": 0} {
		if share := float64(counts[name]) / n; math.Abs(share-weight/9) > 0.02*max(weight/9, 0.001) {
			t.Errorf("%s got %.4f of the calls, want %.4f", name, share, weight/9)
		}
	}
	if longest > 2 {
		t.Errorf("%d calls in a row to one server", longest)
	}
}

func TestLeastConnections(t *testing.T) {
	hold := make(chan struct{})
	busy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-hold
	})
	free := newBackend(t, "free")
	env := &environment{servers: map[string]Server{"busy": at(busy.URL), "free": at(free.url)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Algorithm>LeastConnections</Algorithm><Server name="busy"/><Server name="free"/></LoadBalancer>`)
	fc := call(t, "GET", "", "")
	if err := send(c, fc); err != nil { // held open
		t.Fatal(err)
	}
	for range 5 {
		if got := visit(t, c); got != "free" {
			t.Errorf("got %s", got)
		}
	}
	close(hold)
	fc.Response.Content()
	if n := c.lb.servers[0].active.Load(); n != 0 {
		t.Errorf("%d connections counted after the end", n)
	}
}

func TestRetry(t *testing.T) {
	good := newBackend(t, "good")
	env := &environment{servers: map[string]Server{"bad": at(refused(t)), "worse": at(refused(t)), "good": at(good.url)}}
	p := newPool(t, Options{Servers: env})
	lb := func(more string) *Connector {
		return connect(t, p, `<LoadBalancer><Server name="bad"/><Server name="worse"/><Server name="good"/>`+more+`</LoadBalancer>`)
	}
	fc := call(t, "POST", "", "payload")
	if err := send(lb(""), fc); err != nil {
		t.Fatal(err)
	}
	if fc.Response.Text() != "good" || fc.Text("loadbalancing.failedservers") != "[bad, worse]" {
		t.Errorf("got %s, failed %s", fc.Response.Text(), fc.Text("loadbalancing.failedservers"))
	}
	f := faultOf(t, send(lb("<RetryEnabled>false</RetryEnabled>"), call(t, "GET", "", "")))
	if f.Detail != "TARGET_CONNECT_HOST_NOT_REACHABLE" {
		t.Errorf("got %s", short(f))
	}

	unread := call(t, "POST", "", "")
	unread.Request.SetStream(io.NopCloser(strings.NewReader("streamed")), -1)
	if err := send(lb(""), unread); err != nil || unread.Response.Text() != "good" {
		t.Errorf("a stream nobody read is not sent again: %v", err)
	}
}

// What was read from a stream is gone: no second attempt.
func TestNoRetryOfReadStream(t *testing.T) {
	eater := raw(t, eat)
	good := newBackend(t, "good")
	env := &environment{servers: map[string]Server{"eater": at(eater), "good": at(good.url)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="eater"/><Server name="good"/></LoadBalancer>`)
	fc := call(t, "POST", "", "")
	fc.Request.SetStream(io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))), 1<<20)
	if err := send(c, fc); err == nil || good.hits.Load() != 0 {
		t.Errorf("err %v, hits %d", err, good.hits.Load())
	}
	buffered := call(t, "POST", "", strings.Repeat("x", 1<<20))
	if c.lb.turn.Store(0); send(c, buffered) != nil || buffered.Response.Text() != "good" {
		t.Error("a buffered body is not sent again")
	}
}

func TestUnhealthyResponse(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	a.status.Store(503)
	env := &environment{servers: map[string]Server{"a": at(a.url), "b": at(b.url)}}
	p := newPool(t, Options{Servers: env})
	const servers = `<Server name="a"/><Server name="b"/><ServerUnhealthyResponse><ResponseCode>503</ResponseCode></ServerUnhealthyResponse>`
	c := connect(t, p, `<LoadBalancer>`+servers+`</LoadBalancer>`)
	if got := visit(t, c); got != "b" {
		t.Errorf("got %s", got)
	}
	b.status.Store(503)
	fc := call(t, "GET", "", "")
	f := faultOf(t, send(c, fc))
	if f.Status != 503 || f.ShortName() != "ErrorResponseCode" || f.Message.Text() == "" || fc.Text("loadbalancing.failedservers") != "[b, a]" {
		t.Errorf("both unhealthy: %s, failed %s", short(f), fc.Text("loadbalancing.failedservers"))
	}
}

func TestMaxFailures(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	a.status.Store(500)
	clk := newClock()
	env := &environment{servers: map[string]Server{"a": at(a.url), "b": at(b.url)}}
	p := newPool(t, Options{Servers: env, Now: clk.now})
	c := connect(t, p, `<LoadBalancer><Server name="a"/><Server name="b"/><MaxFailures>2</MaxFailures><TargetDisableSecs>60</TargetDisableSecs>
		<ServerUnhealthyResponse><ResponseCode>500</ResponseCode></ServerUnhealthyResponse></LoadBalancer>`)
	visits := func(n int) string {
		var got []string
		for range n {
			got = append(got, visit(t, c))
		}
		return strings.Join(got, "")
	}
	if got := visits(8); got != "bbbbbbbb" {
		t.Errorf("got %s", got)
	}
	if n := a.hits.Load(); n != 2 {
		t.Errorf("a was called %d times, want 2", n)
	}
	a.status.Store(200)
	if got := visits(2); got != "bb" {
		t.Errorf("before the time is over: %s", got)
	}
	clk.advance(60 * time.Second)
	if got := visits(4); strings.Count(got, "a") != 2 {
		t.Errorf("after TargetDisableSecs: %s", got)
	}
}

// A healthy answer between two failures starts the count anew.
func TestFailuresMustBeConsecutive(t *testing.T) {
	a := newBackend(t, "a")
	env := &environment{servers: map[string]Server{"a": at(a.url)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="a"/><MaxFailures>2</MaxFailures>
		<ServerUnhealthyResponse><ResponseCode>500</ResponseCode></ServerUnhealthyResponse></LoadBalancer>`)
	for _, code := range []int32{500, 404, 500, 200, 500} {
		a.status.Store(code)
		visit(t, c)
	}
	a.status.Store(200)
	if got := visit(t, c); got != "a" {
		t.Errorf("got %s", got)
	}
	a.status.Store(500)
	visit(t, c)
	visit(t, c)
	if got := visit(t, c); got != noTargets {
		t.Errorf("got %s, want %s", got, noTargets)
	}
}

func TestFallback(t *testing.T) {
	a, f := newBackend(t, "a"), newBackend(t, "fallback")
	a.status.Store(500)
	env := &environment{servers: map[string]Server{"a": at(a.url), "f": at(f.url)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="f"><IsFallback>true</IsFallback></Server><Server name="a"/><MaxFailures>1</MaxFailures>
		<ServerUnhealthyResponse><ResponseCode>500</ResponseCode></ServerUnhealthyResponse></LoadBalancer>`)
	fc := call(t, "GET", "", "")
	if err := send(c, fc); err != nil {
		t.Fatal(err)
	}
	if fc.Response.Text() != "fallback" || fc.Text("loadbalancing.isfallback") != "true" || fc.Text("loadbalancing.targetserver") != "f" {
		t.Errorf("got %s %s", fc.Response.Text(), fc.Text("loadbalancing.targetserver"))
	}
	if a.hits.Load() != 1 {
		t.Errorf("a was called %d times", a.hits.Load())
	}
	visit(t, c)
	if a.hits.Load() != 1 {
		t.Error("a is out and was called again")
	}
}

func TestNoServers(t *testing.T) {
	env := &environment{servers: map[string]Server{"off": {Host: "h", Port: 1}}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="off"/><Server name="missing"/><Server name="disabled"><IsEnabled>false</IsEnabled></Server></LoadBalancer>`)
	if got := visit(t, c); got != noTargets {
		t.Errorf("got %s", got)
	}
}

func TestMonitor(t *testing.T) {
	tests := []struct{ name, monitor string }{
		{"http", `<HTTPMonitor><Request><Verb>POST</Verb><Path>/health</Path><Header name="X-Probe">1</Header><Payload>ping</Payload><IncludeHealthCheckIdHeader>true</IncludeHealthCheckIdHeader></Request><SuccessResponse><ResponseCode>202</ResponseCode><Header name="X-Well">yes</Header></SuccessResponse></HTTPMonitor>`},
		{"tcp", `<TCPMonitor><ConnectTimeoutInSec>2</ConnectTimeoutInSec><Port>PORT</Port></TCPMonitor>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var well atomic.Bool
			var probed atomic.Value
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/health" {
					b, _ := io.ReadAll(r.Body)
					probed.Store(fmt.Sprintf("%s %s %s %s", r.Method, r.Header.Get("X-Probe"), b, r.Header.Get("X-Apigee-Healthcheck-Id")))
					if well.Load() {
						w.Header().Set("X-Well", "yes")
						w.WriteHeader(202)
					}
					return
				}
				if !well.Load() {
					w.WriteHeader(500)
				}
				io.WriteString(w, "a")
			})
			port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
			dead := refused(t)
			probePort := port
			if tt.name == "tcp" {
				probePort = dead[strings.LastIndexByte(dead, ':')+1:]
			}
			clk := newClock()
			env := &environment{servers: map[string]Server{"a": at(s.URL)}}
			p := newPool(t, Options{Servers: env, Now: clk.now})
			c := connect(t, p, `<LoadBalancer><Server name="a"/><MaxFailures>2</MaxFailures><TargetDisableSecs>1</TargetDisableSecs>
				<ServerUnhealthyResponse><ResponseCode>500</ResponseCode></ServerUnhealthyResponse></LoadBalancer>
				<HealthMonitor><IsEnabled>true</IsEnabled><IntervalInSec>5</IntervalInSec>`+strings.ReplaceAll(tt.monitor, "PORT", probePort)+`</HealthMonitor>`)
			visit(t, c)
			visit(t, c)
			if got := visit(t, c); got != noTargets {
				t.Fatalf("after two failures: %s", got)
			}
			clk.advance(6 * time.Second) // TargetDisableSecs alone does not bring it back
			if got := visit(t, c); got != noTargets {
				t.Errorf("probe fails: %s", got)
			}
			well.Store(true)
			if got := visit(t, c); got != noTargets {
				t.Errorf("no probe is due: %s", got)
			}
			if tt.name == "tcp" {
				c.lb.monitor.tcp = &bundle.TCPMonitor{}
			}
			clk.advance(5 * time.Second)
			if got := visit(t, c); got != "a" {
				t.Errorf("probe is well: %s", got)
			}
			if tt.name == "http" {
				got, _ := probed.Load().(string)
				if !strings.HasPrefix(got, "POST 1 ping org/test/") || strings.Count(got, "/") != 3 {
					t.Errorf("probe %q", got)
				}
			}
		})
	}
}

// One probe at a time, however many calls find it due.
func TestProbeSingleFlight(t *testing.T) {
	var probes atomic.Int32
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			probes.Add(1)
			<-release
		}
	})
	clk := newClock()
	env := &environment{servers: map[string]Server{"a": at(s.URL)}}
	c := connect(t, newPool(t, Options{Servers: env, Now: clk.now}), `<LoadBalancer><Server name="a"/><MaxFailures>1</MaxFailures></LoadBalancer>
		<HealthMonitor><IsEnabled>true</IsEnabled><IntervalInSec>5</IntervalInSec><HTTPMonitor><Request><Path>/health</Path></Request></HTTPMonitor></HealthMonitor>`)
	visit(t, c)
	clk.advance(time.Minute)
	c.lb.servers[0].failed(clk.now(), c.lb)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := visit(t, c); got != "" {
				t.Errorf("got %s", got)
			}
		})
	}
	for probes.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if n := probes.Load(); n != 1 {
		t.Errorf("%d probes", n)
	}
}

func TestMissingServerWarns(t *testing.T) {
	var problems bundle.Problems
	p := newPool(t, Options{Servers: &environment{}})
	p.Connect(connection(t, `<LoadBalancer><Server name="nope"/></LoadBalancer>`), "default", testEnv(&problems))
	if len(problems.Warnings()) != 1 || !strings.Contains(problems.String(), `target server "nope" does not exist in environment test`) {
		t.Errorf("problems: %s", problems)
	}
}
