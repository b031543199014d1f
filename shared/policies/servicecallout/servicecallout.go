// Package servicecallout implements the <ServiceCallout> policy: it calls an
// HTTP service, or another proxy of the environment, and keeps the response in
// a variable. Without <Response> the flow does not wait for the answer.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/service-callout-policy
//
// Variables: the response message, servicecallout.requesturi, and
// servicecallout.P.target.url, which a policy may set beforehand to call
// another URL.
//
// Faults (500), which set servicecallout.P.failed:
//
//   - steps.servicecallout.ExecutionFailed: the service was not reached in
//     time, or its status is outside success.codes
//   - steps.servicecallout.RequestVariableNotMessageType and
//     RequestVariableNotRequestMessageType: the variable of <Request> is no
//     (request) message
//   - steps.servicecallout.GoogleTokenGenerationFailure: no token for
//     <Authentication>
//
// <Request> may also give the faults of AssignMessage with the prefix
// steps.servicecallout. A call whose own time is up (api.timeout) ends with
// flow.APITimedOut.
//
// Refused at deployment: URLMissing, ConnectionInfoMissing,
// InvalidTimeoutValue.
package servicecallout

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ServiceCallout policy.
var Kind = policy.Define("ServiceCallout", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Request is the message to send; without it an empty GET.
	Request *Request `xml:"Request,once"`
	// Response is the variable for the response. Without it the flow goes on at
	// once and what comes back is lost.
	Response string `xml:"Response,once"`
	// Timeout of the whole call in milliseconds.
	Timeout string `xml:"Timeout,once" default:"55000"`
	// HTTPTargetConnection is the service to call.
	HTTPTargetConnection *bundle.HTTPTargetConnection `xml:"HTTPTargetConnection,once"`
	// LocalTargetConnection is a proxy of the environment to call.
	LocalTargetConnection *bundle.LocalTargetConnection `xml:"LocalTargetConnection,once"`
}

// Request says what to send.
type Request struct {
	bundle.Pos
	// Variable holds the request, or is to hold the new one. Without it every
	// call has a new one, in servicecallout.request.
	Variable string `xml:"variable,attr"`
	// ClearPayload frees the payload of the request once it was sent.
	ClearPayload bool `xml:"clearPayload,attr" default:"true"`
	assignment.Changes
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`

	fresh bool
}

type step struct {
	policy   string
	names    assignment.Names
	variable flow.Var // of the request
	fresh    bool     // a new request for every call
	clear    bool
	program  *assignment.Program
	callout  policy.Callout
	response flow.Var // zero: do not wait
	timeout  time.Duration
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	r := c.Request
	if r == nil {
		r = &Request{ClearPayload: true}
	}
	if r.Variable == "" {
		r.Variable, r.fresh = "servicecallout.request", true
	}
	s := &step{
		policy: env.Name(), clear: r.ClearPayload, variable: flow.Compile(r.Variable), fresh: r.fresh,
		names: assignment.Names{
			Policy: "ServiceCallout", Prefix: "steps.servicecallout.",
			Failed: []string{"servicecallout." + env.Name() + ".failed"},
		},
	}
	s.program = assignment.Compile(env, env.Policy.Root.Child("Request"), &r.Changes, nil, assignment.Options{
		Names: s.names, To: r.Variable, IgnoreUnresolved: r.IgnoreUnresolvedVariables,
	})
	env.UsesMessage(r.Variable)
	if c.Response != "" {
		s.response = flow.Compile(c.Response)
	}
	ms, err := strconv.Atoi(c.Timeout)
	if err != nil || ms <= 0 {
		env.Errorf(bundle.Pos{}, "InvalidTimeoutValue: <Timeout> is %q, want milliseconds greater than zero", c.Timeout)
	}
	s.timeout = time.Duration(ms) * time.Millisecond
	s.connect(c, env)
	return s, nil
}

func (s *step) connect(c *Config, env *policy.Env) {
	http, local := c.HTTPTargetConnection, c.LocalTargetConnection
	switch {
	case http != nil && local != nil:
		env.Errorf(local.Pos, "<ServiceCallout> has both <HTTPTargetConnection> and <LocalTargetConnection>")
	case http != nil && http.URL == "" && http.LoadBalancer == nil:
		env.Errorf(http.Pos, "URLMissing: URL is missing in <HTTPTargetConnection>")
	case http != nil && env.Callouts == nil:
		env.Errorf(http.Pos, "this host makes no calls to HTTP services")
	case http != nil:
		s.callout = env.Callouts.Compile(http, env)
	case local != nil && env.LocalCallouts == nil:
		env.Errorf(local.Pos, "this host makes no calls to other proxies")
	case local != nil:
		s.callout = env.LocalCallouts.CompileLocal(local, env)
	default:
		env.Errorf(bundle.Pos{}, "ConnectionInfoMissing: there is neither an <HTTPTargetConnection> nor a <LocalTargetConnection>")
	}
}

// Run makes the call.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	req, err := s.request(ctx, fc)
	if err != nil {
		return err
	}
	if s.response.IsZero() {
		return s.forget(ctx, fc, req)
	}
	if !s.clear {
		if _, err := req.Content(); err != nil { // keep the body for later steps
			return err
		}
	}
	called, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := s.callout.Send(called, fc, req)
	if s.clear {
		req.SetContent(nil)
	}
	if resp != nil {
		if _, readErr := resp.Content(); err == nil { // before the time is up
			err = readErr
		}
		if setErr := s.response.Set(fc, flow.MessageValue(resp)); err == nil && setErr != nil {
			err = s.failed("unable to set variable "+s.response.Name(), setErr)
		}
	}
	if err != nil {
		return s.fault(ctx, called, err)
	}
	return nil
}

// request returns the message to send.
func (s *step) request(ctx context.Context, fc *flow.Context) (*message.Message, error) {
	var m *message.Message
	if !s.fresh {
		m = fc.MessageNamed(s.variable.Name())
	}
	switch {
	case m == nil && !s.fresh && !s.variable.Get(fc).IsNull():
		return nil, s.notRequest("RequestVariableNotMessageType", "Message")
	case m == nil:
		m = message.NewRequest()
		fc.Put(s.variable.Name(), flow.MessageValue(m))
	case !m.IsRequest():
		return nil, s.notRequest("RequestVariableNotRequestMessageType", "Request Message")
	}
	return m, s.program.Run(ctx, fc, assignment.Target{Name: s.variable.Name(), Message: m})
}

func (s *step) notRequest(name, want string) *fault.Fault {
	return s.names.Fault(s.policy, name, "request variable "+s.variable.Name()+" value is not of type "+want)
}

// forget sends a copy of the request beside the flow. The caller may hang up
// meanwhile: only the timeout ends the call.
func (s *step) forget(ctx context.Context, fc *flow.Context, req *message.Message) error {
	req = req.Clone()
	if err := req.Err(); err != nil {
		return err
	}
	snapshot := fc.Snapshot()
	called, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	fc.Go(func() {
		defer cancel()
		if resp, _ := s.callout.Send(called, snapshot, req); resp != nil {
			resp.Release()
		}
	})
	if s.clear {
		if m := fc.MessageNamed(s.variable.Name()); m != nil {
			m.SetContent(nil)
		}
	}
	return nil
}

// fault says why a call failed in the words of ServiceCallout.
func (s *step) fault(ctx, called context.Context, err error) error {
	if ctx.Err() == nil && called.Err() != nil {
		return s.timedOut(err)
	}
	var f *fault.Fault
	if !errors.As(err, &f) {
		return s.failed(err.Error(), err)
	}
	switch name := f.ShortName(); {
	case name == "APITimedOut", name == "UnexpectedEOFAtClient", strings.HasPrefix(f.Code, "steps.servicecallout."):
		return f
	case name == "GatewayTimeout", name == "RequestTimeOut":
		return s.timedOut(err)
	case name == "ErrorResponseCode":
		return s.failed("ResponseCode "+strconv.Itoa(f.Status)+" is treated as error", err)
	case name == "ServiceUnavailable", name == "NoActiveTargets":
		return s.failed("Host not reachable", err)
	case name == "GoogleTokenGenerationFailure":
		return fault.New("steps.servicecallout."+name, 500, f.Text).Failed(s.names.Failed...).WithCause(err)
	}
	return s.failed(f.Text, err)
}

func (s *step) timedOut(err error) *fault.Fault {
	return s.failed("timeout occurred in "+s.policy, err)
}

func (s *step) failed(reason string, err error) *fault.Fault {
	text := "Execution of ServiceCallout " + s.policy + " failed. Reason: " + reason
	return fault.New("steps.servicecallout.ExecutionFailed", 500, text).Failed(s.names.Failed...).WithCause(err)
}
