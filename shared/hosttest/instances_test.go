package hosttest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// quotaBundle allows LIMIT calls from START on.
const quotaBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow"><Request><Step><Name>Q-1</Name></Step></Request></PreFlow>
  <HTTPProxyConnection><BasePath>/quota</BasePath></HTTPProxyConnection>
  <RouteRule name="none"/>
</ProxyEndpoint>
-- apiproxy/policies/Q-1.xml --
<Quota name="Q-1" type="calendar"><Allow count="LIMIT"/><Interval>1</Interval><TimeUnit>day</TimeUnit><StartTime>START</StartTime><Distributed>true</Distributed></Quota>
`

// plainBundle does nothing.
const plainBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <HTTPProxyConnection><BasePath>/plain</BasePath></HTTPProxyConnection>
  <RouteRule name="none"/>
</ProxyEndpoint>
`

// instances are hosts over one Firestore, each with a state of its own, as
// instances of a service are. None is closed by the helper: an instance may be
// killed.
func instances(t *testing.T, n int, change boot.Config, name, archive string) []*boot.Host {
	t.Helper()
	enginestest.RequireEmulator(t)
	c := change
	c.Organization, c.AnyHost, c.LogFormat, c.LogLevel = "org", true, "text", "error"
	c.Store, c.Keystore = "firestore:"+enginestest.Project(), "local:"+filepath.Join(t.TempDir(), "keys")
	var hosts []*boot.Host
	for range n {
		h, err := boot.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Store.Close() })
		hosts = append(hosts, h)
	}
	if err := hosts[0].Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	hosttest.Deploy(t, hosts[0], name, []byte(archive), "")
	for _, h := range hosts { // warm: each has read what is deployed
		status(h, "/none")
	}
	return hosts
}

// status calls a host's gateway in this process.
func status(h *boot.Host, path string) int {
	w := httptest.NewRecorder()
	h.GatewayHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://api.example.com"+path, nil))
	return w.Code
}

func writes(hosts []*boot.Host) (n int64) {
	for _, h := range hosts {
		n += h.Store.Counts().Writes
	}
	return n
}

func quotaOf(limit int) string {
	start := time.Now().UTC().Add(-time.Minute).Format(time.DateTime)
	return strings.NewReplacer("LIMIT", fmt.Sprint(limit), "START", start).Replace(quotaBundle)
}

// TestQuotaOverInstances sends 20,000 calls through 8 gateway instances at a
// limit of 5,000: exactly so many are allowed, for few writes.
func TestQuotaOverInstances(t *testing.T) {
	const limit, calls, workers, perWorker = 5000, 20000, 64, 313
	hosts := instances(t, 8, boot.Config{NoAnalytics: true}, "quota", quotaOf(limit))
	before, start := writes(hosts), time.Now()
	var sent, allowed, refused, other atomic.Int64
	var group sync.WaitGroup
	for n := range workers {
		h := hosts[n%len(hosts)]
		group.Go(func() {
			for range perWorker {
				if sent.Add(1) > calls {
					return
				}
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
				switch status(h, "/quota") {
				case http.StatusOK:
					allowed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	group.Wait()
	took, n := time.Since(start).Seconds(), writes(hosts)-before
	t.Logf("%d calls to %d instances in %.1f s: %d allowed, %d refused; %d counter writes, %.1f a second",
		calls, len(hosts), took, allowed.Load(), refused.Load(), n, float64(n)/took)
	if allowed.Load() != limit || refused.Load() != calls-limit || other.Load() != 0 {
		t.Errorf("%d allowed, %d refused and %d failed, want exactly %d allowed", allowed.Load(), refused.Load(), other.Load(), limit)
	}
	if perSecond := float64(n) / took; perSecond >= 5 {
		t.Errorf("%.1f counter writes a second, want fewer than 5", perSecond)
	}
}

// TestQuotaInstanceKilled kills an instance that holds a lease, while the others
// go on: never more than the limit are allowed, and what is lost is its lease.
func TestQuotaInstanceKilled(t *testing.T) {
	const limit = 2000
	hosts := instances(t, 8, boot.Config{NoAnalytics: true}, "quota", quotaOf(limit))
	var allowed atomic.Int64
	var group sync.WaitGroup
	for n, h := range hosts {
		for range 4 {
			group.Go(func() {
				for i := range 100 {
					if n == 0 && i == 30 {
						return // killed: nothing of it runs any more
					}
					time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
					if status(h, "/quota") == http.StatusOK {
						allowed.Add(1)
					}
				}
			})
		}
	}
	group.Wait()
	// Those left settle: what they leased and did not use serves others.
	for _, h := range hosts[1:] {
		h.Flush()
	}
	for status(hosts[1], "/quota") == http.StatusOK {
		allowed.Add(1)
	}
	t.Logf("%d of %d allowed, %d were leased by the instance that was killed", allowed.Load(), limit, limit-allowed.Load())
	if n := allowed.Load(); n > limit || n < limit/2 {
		t.Errorf("%d allowed", n)
	}
}

// TestAnalyticsOverInstances counts the calls of 8 instances: all of those that
// ended in peace, once each, and of one that was killed none twice.
func TestAnalyticsOverInstances(t *testing.T) {
	const each, interval = 200, time.Second
	hosts := instances(t, 8, boot.Config{AnalyticsInterval: interval}, "plain", plainBundle)
	before, start := writes(hosts), time.Now()
	var group sync.WaitGroup
	for n, h := range hosts {
		for range 2 {
			group.Go(func() {
				for range each / 2 {
					time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
					if code := status(h, fmt.Sprintf("/plain/i%d", n)); code != http.StatusOK {
						t.Errorf("status %d", code)
					}
				}
			})
		}
	}
	group.Wait()
	took, n := time.Since(start), writes(hosts)-before
	for _, h := range hosts[1:] { // the first was killed
		h.Flush()
		h.Flush() // writes nothing twice
	}
	counts := hosttest.CallsBy(t, hosts[1], "proxy_pathsuffix")
	t.Logf("%d calls in %.1f s, %d writes; by path %v", each*len(hosts), took.Seconds(), n, counts)
	for i := range hosts {
		got := counts[fmt.Sprintf("/i%d", i)]
		if i > 0 && got != each || i == 0 && (got > each || got == 0) {
			t.Errorf("instance %d: %v calls, want %d", i, got, each)
		}
	}
	// One write for each interval and minute that was begun.
	if most := float64(len(hosts)) * (took.Seconds()/interval.Seconds() + 3); float64(n) > most {
		t.Errorf("%d writes, want at most %.0f", n, most)
	}
}
