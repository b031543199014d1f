package oauthv2_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// cable is a connection to the store that can be cut.
type cable struct {
	net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// lay lays a cable to an address.
func lay(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l, to: to, conns: map[net.Conn]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.serve()
	}()
	t.Cleanup(func() {
		l.Close()
		c.set(true)
		<-done
	})
	return c
}

func (c *cable) serve() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		in, err := c.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil || !c.add(in, out) {
			in.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			wg.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			})
		}
	}
}

func (c *cable) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.cut {
			conn.Close()
		}
		c.conns[conn] = true
	}
	return !c.cut
}

// set cuts the cable, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

// The store stops in the middle of the load. What was verified a moment ago goes
// on being served; what was not is refused with the status Apigee documents for a
// data store that cannot be asked, whether it would have been good or not; nothing
// passes unverified, then or later. When the store is back, so is everything.
func TestStoreStops(t *testing.T) {
	enginestest.RequireEmulator(t)
	c := lay(t, os.Getenv("FIRESTORE_EMULATOR_HOST"))
	t.Setenv("FIRESTORE_EMULATOR_HOST", c.Addr().String())
	h := newHostOn(t, "firestore:"+enginestest.Project(), time.Second, "testdata/gateway/outage.txtar")
	call := func(path, header, value string) (int, string) {
		r := httptest.NewRequest("GET", "http://api.example.com"+path, nil)
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.GatewayHandler().ServeHTTP(w, r)
		return w.Code, answer{body: w.Body.String()}.path("fault", "detail", "errorcode")
	}
	if status, code := call("/keys", "X-APIKey", "nobody"); status != http.StatusUnauthorized {
		t.Fatalf("at the beginning: %d %s", status, code)
	}
	token := func(app string) string {
		h.app(app, &apigee.GoogleCloudApigeeV1ApiProduct{Environments: []string{"test"}})
		r := oauthtest.Request("client_credentials", app)
		got, err := h.Tokens().Issue(t.Context(), r)
		h.ok(err)
		return got.Text
	}
	warm, cold := token("warm"), token("cold")
	// A revocation of something else: nothing is known any more.
	h.ok(h.Tokens().SetApproved(t.Context(), policy.AccessToken, token("other"), false, false))
	// known are callers that were verified before, strangers and forgers are not.
	known := [][3]string{{"/keys", "X-APIKey", "warm-key"}, {"/tokens", "Authorization", "Bearer " + warm}}
	strangers := [][3]string{{"/keys", "X-APIKey", "cold-key"}, {"/tokens", "Authorization", "Bearer " + cold}}
	forgers := [][3]string{{"/keys", "X-APIKey", "forged"}, {"/tokens", "Authorization", "Bearer forged"}}
	for _, k := range known {
		if status, code := call(k[0], k[1], k[2]); status != http.StatusOK {
			t.Fatalf("%s before: %d %s", k[0], status, code)
		}
	}

	var load sync.WaitGroup
	var served atomic.Int64
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); load.Wait() })
	defer end()
	for i := range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				k := known[i%2]
				if status, code := call(k[0], k[1], k[2]); status != http.StatusOK {
					t.Errorf("%s of a known caller: %d %s", k[0], status, code)
					return
				}
				served.Add(1)
			}
		})
	}
	for served.Load() < 100 && !t.Failed() {
		_, _ = call(known[0][0], known[0][1], known[0][2])
	}
	c.set(true)
	before := served.Load()
	var wg sync.WaitGroup
	for _, k := range append(strangers, forgers...) {
		wg.Go(func() {
			status, code := call(k[0], k[1], k[2])
			if status != http.StatusInternalServerError || code != "datastore.ErrorWhileAccessingDataStore" {
				t.Errorf("%s of %q while the store is away: %d %s", k[0], k[2], status, code)
			}
		})
	}
	wg.Wait()
	if served.Load() == before {
		t.Error("known callers were not served while the store was away")
	}
	end()
	c.set(false)
	for _, k := range strangers {
		status, code := call(k[0], k[1], k[2])
		for range 20 { // the client waits longer and longer to connect again
			if status == http.StatusOK {
				break
			}
			status, code = call(k[0], k[1], k[2])
		}
		if status != http.StatusOK {
			t.Errorf("%s afterwards: %d %s", k[0], status, code)
		}
	}
	for _, k := range forgers {
		if status, code := call(k[0], k[1], k[2]); status != http.StatusUnauthorized {
			t.Errorf("%s of %q afterwards: %d %s", k[0], k[2], status, code)
		}
	}
}
