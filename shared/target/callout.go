package target

import (
	"context"
	"errors"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// callout is the connection of a ServiceCallout.
type callout struct {
	*Connector
	url flow.Var // servicecallout.P.target.url: where to call instead
	cn  string   // servicecallout.P.expectedcn
}

// Compile implements policy.Callouts for a ServiceCallout.
func (p *Pool) Compile(conn *bundle.HTTPTargetConnection, env *policy.Env) policy.Callout {
	c := &callout{Connector: p.connector(conn, env)}
	if env.Policy != nil {
		c.url = flow.Compile("servicecallout." + env.Name() + ".target.url")
		c.cn = "servicecallout." + env.Name() + ".expectedcn"
	}
	return c
}

// Send implements policy.Callout. The path and the parameters of the call in
// fc are not passed on, only what req itself holds.
func (c *callout) Send(ctx context.Context, fc *flow.Context, req *message.Message) (*message.Message, error) {
	var t flow.Target
	x := exchange{c: c.Connector, fc: fc, target: &t, req: req, callout: true, expectedCN: c.cn}
	if fc != nil && !c.url.IsZero() {
		x.url = c.url.Get(fc).String()
	}
	m, err := x.call(ctx)
	if fc != nil && t.Called {
		fc.PutText("servicecallout.requesturi", pathAndQuery(&t))
	}
	return m, err
}

// Do implements policy.Callouts for calls to an absolute URL.
func (p *Pool) Do(ctx context.Context, url string, req *message.Message) (*message.Message, error) {
	var t flow.Target
	x := exchange{c: p.direct, target: &t, req: req, url: url, callout: true}
	m, err := x.call(ctx)
	if m == nil {
		return nil, err
	}
	return m, nil // what a status means is the script's business
}

// Send is Do for services that may be silent for as long as idle before they
// answer.
func (p *Pool) Send(ctx context.Context, url string, req *message.Message, idle time.Duration) (*message.Message, error) {
	set := *p.direct.set
	set.ioTimeout = idle
	c := *p.direct
	c.set = &set
	x := exchange{c: &c, target: new(flow.Target), req: req, url: url, callout: true}
	m, err := x.call(ctx)
	if m == nil {
		return nil, err
	}
	return m, nil
}

// call sends the request and returns the response as a message of its own. A
// response that is refused for its status is returned beside the fault.
func (x *exchange) call(ctx context.Context) (*message.Message, error) {
	if err := x.send(ctx); err != nil {
		return nil, err
	}
	m := message.NewResponse()
	x.install(m)
	err := x.judge(m)
	var f *fault.Fault
	if errors.As(err, &f) && f.Message == nil {
		return nil, err
	}
	return m, err
}

func pathAndQuery(t *flow.Target) string {
	if t.Query == "" {
		return t.Path
	}
	return t.Path + "?" + t.Query
}
