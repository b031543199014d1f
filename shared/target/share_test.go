package target

import (
	"context"
	"crypto/tls"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
)

// TestDistribution sends 10,000 requests under each algorithm to three servers
// and counts what they got: within 2 % of their shares.
func TestDistribution(t *testing.T) {
	const n = 10_000
	for algorithm, shares := range map[string][3]float64{
		"RoundRobin":       {1. / 3, 1. / 3, 1. / 3},
		"Weighted":         {.5, .3, .2},
		"LeastConnections": {1. / 3, 1. / 3, 1. / 3},
	} {
		t.Run(algorithm, func(t *testing.T) {
			backs := []*backend{newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")}
			env := &environment{servers: map[string]Server{"a": at(backs[0].url), "b": at(backs[1].url), "c": at(backs[2].url)}}
			c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Algorithm>`+algorithm+`</Algorithm>
				<Server name="a"><Weight>5</Weight></Server><Server name="b"><Weight>3</Weight></Server><Server name="c"><Weight>2</Weight></Server></LoadBalancer>`)
			workers := 4
			if algorithm == "LeastConnections" {
				workers = 1 // with more, how fast each server happens to answer counts too
			}
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range n / workers {
						visit(t, c)
					}
				})
			}
			wg.Wait()
			for i, b := range backs {
				if got := float64(b.hits.Load()) / n; math.Abs(got-shares[i]) > 0.02*shares[i] {
					t.Errorf("%s got %.4f of the requests, want %.4f", b.name, got, shares[i])
				}
			}
		})
	}
}

// mortal is a server that can be killed with its connections and started again
// at its address.
type mortal struct {
	addr string
	hits atomic.Int32
	s    *httptest.Server
}

func newMortal(t *testing.T) *mortal {
	m := new(mortal)
	m.start(t, "127.0.0.1:0")
	t.Cleanup(func() { m.s.Close() })
	return m
}

func (m *mortal) start(t *testing.T, addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	m.s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.hits.Add(1)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	m.s.Listener.Close()
	m.s.Listener = l
	m.s.Start()
}

func (m *mortal) kill() {
	m.s.Listener.Close()
	m.s.CloseClientConnections()
	m.s.Close()
}

// TestNoRequestLost kills one of three servers under load: with RetryEnabled, the
// default, no request fails. The server is left after MaxFailures and comes back
// after five minutes, the documented time without a monitor.
func TestNoRequestLost(t *testing.T) {
	a, b, victim := newMortal(t), newMortal(t), newMortal(t)
	clk := newClock()
	env := &environment{servers: map[string]Server{"a": at(a.addr), "b": at(b.addr), "v": at(victim.addr)}}
	c := connect(t, newPool(t, Options{Servers: env, Now: clk.now}), `<LoadBalancer><Server name="v"/><Server name="a"/><Server name="b"/><MaxFailures>3</MaxFailures></LoadBalancer>`)
	const n = 2000
	var done, lost atomic.Int32
	var once sync.Once
	var wg sync.WaitGroup
	for i := range 8 {
		verb, body := "GET", ""
		if i%2 == 0 {
			verb, body = "POST", "payload"
		}
		wg.Go(func() {
			for range n / 8 {
				fc := call(t, verb, "/x", body)
				if err := send(c, fc); err != nil || fc.Response.Text() != "ok" {
					lost.Add(1)
				}
				fc.Drain(context.Background())
				if done.Add(1) > n/3 {
					once.Do(victim.kill)
				}
			}
		})
	}
	wg.Wait()
	if lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost", lost.Load(), n)
	}
	if h := victim.hits.Load(); h == 0 || h > n/2 {
		t.Errorf("the server that was killed got %d requests", h)
	}
	victim.start(t, victim.addr)
	victim.hits.Store(0)
	for range 30 {
		visit(t, c)
	}
	if victim.hits.Load() > 0 {
		t.Error("a server that is out gets requests")
	}
	clk.advance(300*time.Second - time.Nanosecond)
	visit(t, c)
	if victim.hits.Load() > 0 {
		t.Error("a server comes back before five minutes are over")
	}
	clk.advance(time.Nanosecond)
	for range 30 {
		visit(t, c)
	}
	if h := victim.hits.Load(); h != 10 {
		t.Errorf("after five minutes the server gets %d of 30 requests", h)
	}
}

// TestHTTPMonitorRequest is what an HTTPMonitor does with the elements of its
// <Request> that concern the connection.
func TestHTTPMonitorRequest(t *testing.T) {
	ca := newAuthority(t, "CA")
	secure := serveTLS(t, issue(t, ca, localhost()), nil)
	plain := serve(t, echo)
	plainPort := plain.URL[strings.LastIndexByte(plain.URL, ':')+1:]
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	deaf := raw(t, func(c net.Conn) { readHead(c); <-hold })
	keys := new(keystores)
	keys.put("trust", "ca", tls.Certificate{Leaf: ca.cert})
	trusting := &bundle.SSLInfo{Enabled: "true", TrustStore: "trust"}
	for _, tt := range []struct {
		name, request string
		port          string
		ssl           *bundle.SSLInfo
		well          bool
	}{
		{"plain", "", plainPort, nil, true},
		{"plain request to a TLS port", "", secure, nil, false},
		{"IsSSL", "<IsSSL>true</IsSSL>", secure, trusting, false}, // the system's roots do not know the CA
		{"IsSSL, TrustAllSSL", "<IsSSL>true</IsSSL><TrustAllSSL>true</TrustAllSSL>", secure, nil, true},
		{"IsSSL to a plain port", "<IsSSL>true</IsSSL><TrustAllSSL>true</TrustAllSSL>", plainPort, nil, false},
		{"UseTargetServerSSLInfo", "<UseTargetServerSSLInfo>true</UseTargetServerSSLInfo>", secure, trusting, true},
		{"UseTargetServerSSLInfo false", "<IsSSL>true</IsSSL><UseTargetServerSSLInfo>false</UseTargetServerSSLInfo>", secure, trusting, false},
		{"Port", "<Port>" + plainPort + "</Port>", "1", nil, true},
		{"SocketReadTimeoutInSec", "<SocketReadTimeoutInSec>1</SocketReadTimeoutInSec>", deaf[strings.LastIndexByte(deaf, ':')+1:], nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := at("localhost:" + tt.port)
			server.SSLInfo = tt.ssl
			env := &environment{servers: map[string]Server{"a": server}}
			c := connect(t, newPool(t, Options{Servers: env, Keys: keys}), `<LoadBalancer><Server name="a"/><MaxFailures>1</MaxFailures></LoadBalancer>
				<HealthMonitor><IsEnabled>true</IsEnabled><IntervalInSec>5</IntervalInSec><HTTPMonitor><Request><Verb>GET</Verb><Path>/health</Path>`+tt.request+`</Request></HTTPMonitor></HealthMonitor>`)
			n, err := c.node(&exchange{c: c}, c.lb.servers[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := c.lb.monitor.well(t.Context(), c, n); got != tt.well {
				t.Errorf("well: %v", got)
			}
		})
	}
	if seconds(0) != 30*time.Second || seconds(7) != 7*time.Second {
		t.Errorf("timeouts: 0 is %v, 7 is %v", seconds(0), seconds(7))
	}
}

// TestMonitorSwitchedOff: a monitor that is not enabled probes nothing, and a
// server that is out comes back by itself.
func TestMonitorSwitchedOff(t *testing.T) {
	a := newBackend(t, "a")
	a.status.Store(500)
	clk := newClock()
	env := &environment{servers: map[string]Server{"a": at(a.url)}}
	c := connect(t, newPool(t, Options{Servers: env, Now: clk.now}), `<LoadBalancer><Server name="a"/><MaxFailures>1</MaxFailures><TargetDisableSecs>60</TargetDisableSecs>
		<ServerUnhealthyResponse><ResponseCode>500</ResponseCode></ServerUnhealthyResponse></LoadBalancer>
		<HealthMonitor><IsEnabled>false</IsEnabled><IntervalInSec>5</IntervalInSec><TCPMonitor><Port>1</Port></TCPMonitor></HealthMonitor>`)
	visit(t, c)
	if got := visit(t, c); got != noTargets {
		t.Errorf("got %s", got)
	}
	a.status.Store(200)
	clk.advance(time.Minute)
	if got := visit(t, c); got != "a" {
		t.Errorf("after TargetDisableSecs: %s", got)
	}
}

// TestUnhealthyHeaders: a <Header> of <ServerUnhealthyResponse> must be there too.
func TestUnhealthyHeaders(t *testing.T) {
	var sick atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			w.Header().Set("X-Sick", "yes")
		}
		w.WriteHeader(500)
	})
	other := newBackend(t, "other")
	env := &environment{servers: map[string]Server{"a": at(s.URL), "b": at(other.url)}}
	c := connect(t, newPool(t, Options{Servers: env}), `<LoadBalancer><Server name="a"/><Server name="b"><IsFallback>true</IsFallback></Server><MaxFailures>1</MaxFailures>
		<ServerUnhealthyResponse><ResponseCode>500</ResponseCode><Header name="X-Sick">yes</Header></ServerUnhealthyResponse></LoadBalancer>`)
	if got := visit(t, c); !strings.HasPrefix(got, "500 ") {
		t.Errorf("without the header: %s", got)
	}
	sick.Store(true)
	if got := visit(t, c); got != "other" {
		t.Errorf("with the header: %s", got)
	}
}

// TestRetainResponseHeaders is response.retain.headers and its switch.
func TestRetainResponseHeaders(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("X-A", "1")
		w.Header().Set("X-B", "2")
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "ok")
	})
	for _, tt := range []struct{ properties, want string }{
		{"", "Content-Type X-A X-B Content-Length"},
		{withProperty("response.retain.headers", "X-A"), "Content-Type X-A X-B Content-Length"},
		{withProperty("response.retain.headers.enabled", "false"), ""},
		{withProperty("response.retain.headers.enabled", "false") + withProperty("response.retain.headers", "x-b"), "X-B"},
	} {
		fc := call(t, "GET", "", "")
		if err := send(connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL><Properties>"+tt.properties+"</Properties>"), fc); err != nil {
			t.Fatal(err)
		}
		var names []string
		for name := range fc.Response.Header.All() {
			names = append(names, name)
		}
		got := map[string]bool{}
		for _, n := range names {
			got[n] = true
		}
		want := strings.Fields(tt.want)
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %s", tt.properties, names, tt.want)
		}
		for _, n := range want {
			if !got[n] {
				t.Errorf("%s: %v without %s", tt.properties, names, n)
			}
		}
	}
}

// TestKeepAlive is keepalive.timeout.millis: how long an idle connection is kept.
func TestKeepAlive(t *testing.T) {
	for properties, want := range map[string]int{"": 1, withProperty("keepalive.timeout.millis", "20"): 2} {
		var conns atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		c := connect(t, newPool(t, Options{}), "<URL>"+s.URL+"</URL><Properties>"+properties+"</Properties>")
		for i := range 2 {
			if i > 0 {
				time.Sleep(200 * time.Millisecond) // ten times as long as the shorter one
			}
			fc := call(t, "GET", "", "")
			if err := send(c, fc); err != nil {
				t.Fatal(err)
			}
			fc.Response.Text()
		}
		if got := conns.Load(); int(got) != want {
			t.Errorf("%q: %d connections, want %d", properties, got, want)
		}
	}
}
