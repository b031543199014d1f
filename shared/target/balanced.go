package target

import (
	"context"
	"errors"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// balanced sends to a server of the load balancer, and to the next in line
// when that fails and may be tried again.
func (x *exchange) balanced(ctx context.Context) error {
	lb := x.c.lb
	if lb.monitor != nil {
		lb.probeDue(ctx, x.c, x)
	}
	tried, last := make([]bool, len(lb.servers)), -1
	next, err := x.choose(ctx, tried, last)
	if err != nil {
		return err
	}
	if next.server == nil {
		return noActiveTargets()
	}
	for {
		err := x.attemptAt(ctx, next)
		if !x.failedAt(next, err) {
			return err
		}
		tried[next.index], last = true, next.index
		if !lb.retry || ctx.Err() != nil || !x.body.again() {
			return err
		}
		other, otherErr := x.choose(ctx, tried, last)
		if otherErr != nil || other.server == nil {
			return err
		}
		x.discard()
		next = other
	}
}

// choose asks the balancer; when nothing is in the rotation but probes are
// under way their outcome decides.
func (x *exchange) choose(ctx context.Context, tried []bool, last int) (choice, error) {
	lb := x.c.lb
	for {
		next, ok, err := lb.choose(x.c, x, tried, last)
		if ok || err != nil || last >= 0 || lb.monitor == nil || !lb.await(ctx) {
			return next, err
		}
	}
}

// attemptAt sends the request to one server.
func (x *exchange) attemptAt(ctx context.Context, at choice) error {
	addr := at.node.addr
	base, err := x.c.path.value(x.fc)
	if err != nil {
		return unresolved(err)
	}
	if addr.path = joinPath(addr.path, base); x.suffix != "" && x.copies("target.copy.pathsuffix") {
		addr.path = joinPath(addr.path, x.suffix)
	}
	if err := x.complete(&addr); err != nil {
		return err
	}
	ssl := x.c.pool.plain
	if addr.scheme == "https" {
		if ssl = x.c.ssl; at.node.ssl != nil {
			ssl = at.node.ssl
		}
	}
	x.target.Server, x.target.Fallback = at.name, at.fallback
	at.active.Add(1)
	x.chosen = at.server
	err = x.attempt(ctx, &addr, ssl, usesHTTP2(at.node.src.Protocol))
	if err != nil {
		x.release()
	}
	return err
}

// failedAt keeps the books on a server after an attempt. It reports whether
// the attempt is worth another one elsewhere: no answer, or an unhealthy one.
func (x *exchange) failedAt(at choice, err error) bool {
	lb := x.c.lb
	if err == nil && (lb.unhealthy == nil || !lb.unhealthy.matches(x.in.status, x.in.header)) {
		at.answered()
		return false
	}
	var f *fault.Fault
	if err != nil && (!errors.As(err, &f) || !counts(f)) {
		return false
	}
	at.failed(x.c.pool.opts.Now(), lb)
	x.target.Failed = append(x.target.Failed, at.name)
	return true
}

// discard gives up an unhealthy answer because another server will be asked.
func (x *exchange) discard() {
	if x.in.body != nil {
		x.in.body.Close()
	}
	x.in = incoming{header: x.in.header[:0]}
}
