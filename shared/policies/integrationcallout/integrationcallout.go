// Package integrationcallout implements the <IntegrationCallout> policy: it runs
// the integration of Application Integration that a SetIntegrationRequest policy
// made a request for, and keeps the answer in a variable.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/integration-callout-policy
//
// Variables: the response message, integration.target.url.
//
// Faults (500), which set integrationcallout.P.failed:
//
//   - steps.integrationcallout.RequestMissing: the variable of <Request> holds no
//     request of a SetIntegrationRequest policy
//   - steps.integrationcallout.ExecutionFailed: Application Integration was not
//     reached in time, or answered with an error
//   - steps.integrationcallout.GoogleTokenGenerationFailure: no access token for
//     the service account of the deployment
//
// The documentation has no table of codes; the names are perigee's, after those
// of ServiceCallout. A call whose own time is up (api.timeout) ends with
// flow.APITimedOut.
package integrationcallout

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the IntegrationCallout policy.
var Kind = policy.Define("IntegrationCallout", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AsyncExecution does not wait for the integration: the answer has the ids of
	// the executions that were scheduled.
	AsyncExecution bool `xml:"AsyncExecution,once"`
	// Request is the variable with the request. Required.
	Request *Request `xml:"Request,once"`
	// Response is the variable for the answer.
	Response string `xml:"Response,once" default:"integration.response"`
}

// Request names a variable.
type Request struct {
	bundle.Pos
	Variable string `xml:",chardata"`
	// ClearPayload frees the payload of the request once it was sent.
	ClearPayload bool `xml:"clearPayload,attr" default:"true"`
}

type step struct {
	policy       string
	integrations policy.Integrations
	request      string
	response     flow.Var
	async, clear bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), integrations: env.Integrations, async: c.AsyncExecution, response: flow.Compile(c.Response)}
	if env.Integrations == nil {
		env.Errorf(bundle.Pos{}, "this host runs no integrations")
	}
	if c.Request == nil || strings.TrimSpace(c.Request.Variable) == "" {
		env.Errorf(bundle.Pos{}, "<IntegrationCallout> has no <Request>")
		return s, nil
	}
	s.request, s.clear = strings.TrimSpace(c.Request.Variable), c.Request.ClearPayload
	env.UsesMessage(s.request)
	return s, nil
}

// Run runs the integration.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	call, err := integration.Get(fc, s.request)
	if err != nil {
		return err
	}
	if call == nil {
		return s.fault("RequestMissing", "IntegrationCallout["+s.policy+"]: variable "+s.request+" holds no integration request")
	}
	call.Async = call.Async || s.async
	resp, url, err := s.integrations.Run(ctx, fc.Proxy.ServiceAccount, call)
	if url != "" {
		fc.PutText("integration.target.url", url)
	}
	if s.clear {
		if m := fc.MessageNamed(s.request); m != nil {
			m.SetContent(nil)
		}
	}
	if err != nil {
		return s.failure(err)
	}
	return s.keep(fc, resp)
}

// keep sets the variable of the response. An error that Application Integration
// answered with can be read there.
func (s *step) keep(fc *flow.Context, resp *message.Message) error {
	if _, err := resp.Content(); err != nil {
		return s.failed("the answer cannot be read", err)
	}
	if err := s.response.Set(fc, flow.MessageValue(resp)); err != nil {
		return s.failed("cannot set variable "+s.response.Name(), err)
	}
	if resp.Status >= 400 {
		return s.failed("ResponseCode "+strconv.Itoa(resp.Status)+" is treated as error", nil)
	}
	return nil
}

func (s *step) failure(err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return s.failed("Application Integration was not reached", err)
	}
	switch f.ShortName() {
	case "APITimedOut", "UnexpectedEOFAtClient":
		return f
	case "GatewayTimeout":
		return s.failed("timeout occurred in "+s.policy, err)
	case "ServiceUnavailable":
		return s.failed("Host not reachable", err)
	case "GoogleTokenGenerationFailure":
		return s.fault("GoogleTokenGenerationFailure", f.Text).WithCause(err)
	}
	return s.failed(f.Text, err)
}

func (s *step) failed(reason string, err error) *fault.Fault {
	return s.fault("ExecutionFailed", "Execution of IntegrationCallout "+s.policy+" failed. Reason: "+reason).WithCause(err)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.integrationcallout."+name, 500, text).Failed("integrationcallout." + s.policy + ".failed")
}
