package integration

import (
	"context"
	"fmt"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Endpoint is a compiled IntegrationEndpoint: a target that runs the integration
// which SetIntegrationRequest put into request.
type Endpoint struct {
	name  string
	async bool
	run   policy.Integrations
}

// Connect compiles an IntegrationEndpoint.
func Connect(i *bundle.IntegrationEndpoint, run policy.Integrations, env *policy.Env) *Endpoint {
	env.UsesContent(true, false) // the integration's parameters
	return &Endpoint{name: i.Name, async: i.AsyncExecution, run: run}
}

// Prepare names the target.
func (e *Endpoint) Prepare(fc *flow.Context) { fc.Target.Name = e.name }

// Send runs the integration and makes its answer the response.
func (e *Endpoint) Send(ctx context.Context, fc *flow.Context) error {
	c, err := Get(fc, "request")
	if err != nil {
		return err
	}
	if c == nil {
		return targetFault("messaging.runtime.IntegrationRequestMissing", "IntegrationEndpoint "+e.name+": no SetIntegrationRequest policy has made a request")
	}
	c.Async = c.Async || e.async
	t := &fc.Target
	t.SentStart = fc.Now()
	resp, url, err := e.run.Run(ctx, fc.Proxy.ServiceAccount, c)
	if url != "" {
		t.URL = url
		fc.PutText("integration.target.url", url)
	}
	if err != nil {
		return err
	}
	t.ReceivedStart = fc.Now()
	t.SentEnd, t.ReceivedEnd, t.Called, t.Status = t.ReceivedStart, t.ReceivedStart, true, resp.Status
	fc.Response = resp
	if resp.Status < 400 {
		return nil
	}
	f := fault.New("messaging.adaptors.http.flow.ErrorResponseCode", resp.Status, fmt.Sprintf("ResponseCode %d is treated as error", resp.Status))
	f.Target, f.Message, f.Subcategory = true, resp, "Response codes"
	return f
}
