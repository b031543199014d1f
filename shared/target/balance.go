package target

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// balancer chooses among the TargetServers of a <LoadBalancer>. What it knows
// of their health belongs to this instance and this load balancer.
type balancer struct {
	algorithm   string
	servers     []*server // in document order, the fallback included
	maxFailures int       // 0: never taken out
	disable     time.Duration
	retry       bool
	unhealthy   *expectedResponse // nil: every answer is a healthy one
	monitor     *monitor          // nil: none

	turn atomic.Uint32
	mu   sync.Mutex // guards server.credit
}

// server is one <Server>.
type server struct {
	name     string
	weight   int
	fallback bool
	enabled  bool
	index    int

	active atomic.Int64 // calls under way
	credit int          // smooth weighted round robin; under balancer.mu

	mu       sync.Mutex
	failures int
	out      bool // of the rotation
	since    time.Time
	node     *node // as deployed when last looked at
	probe    probe
}

func newBalancer(lb *bundle.LoadBalancer, hm *bundle.HealthMonitor, p *Pool, env *policy.Env) *balancer {
	b := &balancer{
		algorithm: lb.Algorithm, maxFailures: lb.MaxFailures, retry: lb.RetryEnabled && len(lb.Servers) > 1,
		disable: time.Duration(lb.TargetDisableSecs) * time.Second,
	}
	if len(lb.UnhealthyCodes()) > 0 {
		b.unhealthy = newExpectedResponse(lb.ServerUnhealthyResponse)
	}
	for i, s := range lb.Servers {
		b.servers = append(b.servers, &server{name: s.Name, weight: max(s.Weight, 0), fallback: s.IsFallback, enabled: s.IsEnabled, index: i})
		if p.opts.Servers == nil {
			continue
		}
		if _, ok := p.opts.Servers.TargetServer(s.Name); !ok {
			env.Warnf(s.Pos, "target server %q does not exist in environment %s", s.Name, env.Environment)
		}
	}
	if hm != nil && hm.IsEnabled && (hm.TCPMonitor != nil || hm.HTTPMonitor != nil) {
		b.monitor = newMonitor(hm, env)
	}
	return b
}

// choice is a server that a call goes to.
type choice struct {
	*server
	node *node
}

// choose returns the server for the next attempt. tried holds the indexes of
// those that failed this call; last is the latest of them, -1 at first.
func (b *balancer) choose(c *Connector, x *exchange, tried []bool, last int) (choice, bool, error) {
	now := c.pool.opts.Now()
	var buf [16]choice
	usable, resting := buf[:0], true
	var fallback choice
	for _, s := range b.servers {
		n, err := c.node(x, s)
		if err != nil {
			return choice{}, false, err
		}
		if n == nil || !s.inRotation(now, b) {
			continue
		}
		if s.fallback {
			fallback = choice{s, n}
			continue
		}
		resting = false
		if !tried[s.index] {
			usable = append(usable, choice{s, n})
		}
	}
	switch {
	case len(usable) > 0:
		return b.among(usable, last), true, nil
	case resting && fallback.server != nil && !tried[fallback.index]:
		return fallback, true, nil
	}
	return choice{}, false, nil
}

func (b *balancer) among(usable []choice, last int) choice {
	if last >= 0 {
		return following(usable, last)
	}
	switch b.algorithm {
	case "Weighted":
		return b.weighted(usable)
	case "LeastConnections":
		return b.leastConnections(usable)
	}
	return usable[int(b.turn.Add(1)-1)%len(usable)]
}

// following is the next server in line after one that failed.
func following(usable []choice, last int) choice {
	for _, u := range usable {
		if u.index > last {
			return u
		}
	}
	return usable[0]
}

// weighted spreads calls by weight without runs: every server gains its weight,
// the richest is chosen and pays for all.
func (b *balancer) weighted(usable []choice) choice {
	b.mu.Lock()
	defer b.mu.Unlock()
	total, best := 0, -1
	for i, u := range usable {
		u.credit += u.weight
		total += u.weight
		if u.weight > 0 && (best < 0 || u.credit > usable[best].credit) {
			best = i
		}
	}
	if best < 0 { // only weights of 0
		return usable[int(b.turn.Add(1)-1)%len(usable)]
	}
	usable[best].credit -= total
	return usable[best]
}

// leastConnections takes turns among the servers with the fewest calls.
func (b *balancer) leastConnections(usable []choice) choice {
	start := int(b.turn.Add(1) - 1)
	best := usable[start%len(usable)]
	for i := range usable {
		if u := usable[(start+i)%len(usable)]; u.active.Load() < best.active.Load() {
			best = u
		}
	}
	return best
}

// inRotation reports whether the server takes calls. Without a monitor it
// comes back by itself after TargetDisableSecs.
func (s *server) inRotation(now time.Time, b *balancer) bool {
	if !s.enabled {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out && b.monitor == nil && now.Sub(s.since) >= b.disable {
		s.out, s.failures = false, 0
	}
	return !s.out
}

// failed counts a failure and takes the server out at MaxFailures.
func (s *server) failed(now time.Time, b *balancer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	if b.maxFailures > 0 && s.failures >= b.maxFailures && !s.out {
		s.out, s.since = true, now
	}
}

// answered resets the count. A server that is out stays so.
func (s *server) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.out {
		s.failures = 0
	}
}

// recovered puts the server back into the rotation.
func (s *server) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.failures = false, 0
}
