package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// Run takes the call in fc through the endpoint and returns the message to
// send: the response, or the error message if the call failed. The message
// belongs to fc.
func (e *Endpoint) Run(ctx context.Context, fc *flow.Context) *message.Message {
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, fc.Start.Add(e.timeout))
		fc.After(func(context.Context) { cancel() }) // the response may still be streaming
	}
	m := e.run(ctx, fc)
	if e.compression != "" && m.Status != 101 && !isEventStream(m) {
		if err := m.Recode(e.compression); err != nil {
			m = e.fail(ctx, fc, bodyFault(err, true), nil)
		}
	}
	fc.Finish(m)
	return m
}

func (e *Endpoint) run(ctx context.Context, fc *flow.Context) *message.Message {
	if err := e.proxyRequest(ctx, fc); err != nil {
		return e.fail(ctx, fc, err, nil)
	}
	if fc.Answered() == flow.NoAnswer {
		te, err := e.chooseRoute(fc)
		if err != nil {
			return e.fail(ctx, fc, err, nil)
		}
		if te != nil {
			if err := e.callTarget(ctx, fc, te); err != nil {
				return e.fail(ctx, fc, err, te)
			}
		} else if fc.Answered() == flow.NoAnswer {
			if err := e.nullRoute(fc); err != nil {
				return e.fail(ctx, fc, err, nil)
			}
		}
	} else if fc.Resume() != "" {
		if te := e.storingTarget(fc); te != nil {
			if err := e.targetResponse(ctx, fc, te); err != nil {
				return e.fail(ctx, fc, err, te)
			}
		}
	}
	if err := e.proxyResponse(ctx, fc); err != nil {
		return e.fail(ctx, fc, err, nil)
	}
	return fc.Response
}

func (e *Endpoint) proxyRequest(ctx context.Context, fc *flow.Context) error {
	fc.Phase = flow.ProxyRequest
	fc.Request.Limit = e.limit
	if err := e.admit(fc); err != nil {
		return err
	}
	if err := e.runHook(ctx, fc, PreProxyFlowHook); err != nil {
		return err
	}
	return runRequest(ctx, fc, &e.flows)
}

// admit checks the request before any policy sees it, and buffers its body
// when some policy will.
func (e *Endpoint) admit(fc *flow.Context) error {
	req := fc.Request
	if err := checkDuplicates(&req.Header, e.duplicates); err != nil {
		return err
	}
	e.adjust(fc)
	if e.streaming {
		return nil
	}
	if !e.request {
		return bound(req, e.limit, false)
	}
	if req.Length() > e.limit {
		return tooBig(413, false)
	}
	_, err := req.Content()
	return bodyFault(err, false)
}

// adjust does what properties of the endpoint say about the request.
func (e *Endpoint) adjust(fc *flow.Context) {
	req := fc.Request
	if e.forwarded && fc.Client.Host != "" {
		list := req.Header.Joined("X-Forwarded-For")
		if list != "" {
			list += ","
		}
		req.Header.Set("X-Forwarded-For", list+fc.Client.Host)
	}
	if e.keepPlus || !hasCharset(req.Header.Get("Content-Type")) {
		req.Query.KeepPlus()
	}
}

// hasCharset reports whether a content type names its charset: only then does
// Apigee read a + in the query as a blank.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/api-proxy-configuration-reference (request.queryparams.ignore.content.type.charset)
func hasCharset(contentType string) bool {
	_, params, _ := strings.Cut(contentType, ";")
	return len(params) >= len("charset=") && strings.Contains(strings.ToLower(params), "charset=")
}

// bound holds a body that nobody reads to its limit. Long-lived streams have
// none: events and gRPC.
func bound(m *message.Message, limit int64, target bool) error {
	switch {
	case m.Length() > limit && target:
		return tooBig(502, true)
	case m.Length() > limit:
		return tooBig(413, false)
	case m.Length() < 0 && !isEventStream(m) && !isGRPC(m):
		m.Bound(limit)
	}
	return nil
}

func isGRPC(m *message.Message) bool {
	return strings.HasPrefix(m.Header.Get("Content-Type"), "application/grpc")
}

func (e *Endpoint) proxyResponse(ctx context.Context, fc *flow.Context) error {
	fc.Phase = flow.ProxyResponse
	if fc.Response == nil {
		fc.NewResponse()
	}
	if err := runResponse(ctx, fc, &e.flows); err != nil {
		return err
	}
	if err := e.runHook(ctx, fc, PostProxyFlowHook); err != nil {
		return err
	}
	if len(e.events) > 0 && isEventStream(fc.Response) {
		streamEvents(ctx, fc, fc.Response, e.events) // behind the target's own
	}
	return nil
}

func (e *Endpoint) callTarget(ctx context.Context, fc *flow.Context, te *targetEndpoint) error {
	fc.Phase = flow.TargetRequest
	fc.Target.Name = te.name
	te.target.Prepare(fc)
	if err := e.runHook(ctx, fc, PreTargetFlowHook); err != nil {
		return err
	}
	if err := runRequest(ctx, fc, &te.flows); err != nil {
		return err
	}
	if fc.Answered() == flow.NoAnswer {
		if err := e.send(ctx, fc, te); err != nil {
			return err
		}
	} else if e.storedByProxy(fc, te) {
		return nil
	}
	return e.targetResponse(ctx, fc, te)
}

func (e *Endpoint) targetResponse(ctx context.Context, fc *flow.Context, te *targetEndpoint) error {
	fc.Phase = flow.TargetResponse
	if err := runResponse(ctx, fc, &te.flows); err != nil {
		return err
	}
	return e.runHook(ctx, fc, PostTargetFlowHook)
}

func (e *Endpoint) send(ctx context.Context, fc *flow.Context, te *targetEndpoint) error {
	if err := timedOut(ctx); err != nil {
		return err
	}
	if e.streaming && !te.upload && fc.Request.Streaming() {
		// the limit of the ProxyEndpoint: the target's part is not streamed
		if err := bound(fc.Request, e.limit, false); err != nil {
			return err
		}
	}
	fc.Emit(flow.Event{Kind: flow.TargetSend, Name: te.name})
	err := te.target.Send(ctx, fc)
	fc.Phase = flow.TargetResponse
	fc.Emit(flow.Event{Kind: flow.TargetReceive, Name: te.name, Err: err})
	if err != nil {
		return asTarget(err)
	}
	return e.receive(ctx, fc, te)
}

// receive buffers the response when some policy will read it.
func (e *Endpoint) receive(ctx context.Context, fc *flow.Context, te *targetEndpoint) error {
	m := fc.Response
	m.Limit = te.limit
	if len(te.events) > 0 && isEventStream(m) {
		streamEvents(ctx, fc, m, te.events)
		return nil
	}
	if te.stream && e.respStream || m.Status == 101 || isEventStream(m) {
		return nil
	}
	if !e.response {
		return bound(m, te.limit, true)
	}
	_, err := m.Content()
	return asTarget(bodyFault(err, true))
}

func asTarget(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		f.Target = true
	}
	return err
}

// PostClient runs the PostClientFlow: the response is with the client, nothing
// it does is seen there. A fault ends it.
func (e *Endpoint) PostClient(ctx context.Context, fc *flow.Context) error {
	fc.Phase = flow.PostClient
	if e.postClient == nil {
		return nil
	}
	if fc.Response == nil {
		fc.Response = fc.Error
	}
	enter(fc, e.postClient)
	return runSteps(ctx, fc, e.postClient.response)
}

// HasPostClient reports whether there is a PostClientFlow: a host that answers
// in one piece sends first and then calls PostClient.
func (e *Endpoint) HasPostClient() bool { return e.postClient != nil }

func (e *Endpoint) runHook(ctx context.Context, fc *flow.Context, name string) error {
	if e.opts.Hook == nil {
		return nil
	}
	h, ok := e.opts.Hook(name)
	if !ok {
		return nil
	}
	fc.FlowHook = name
	defer func() { fc.FlowHook = "" }()
	var err error
	if h.Flow == nil {
		err = fault.New("flow.SharedFlowNotFound", 500, fmt.Sprintf("Shared Flow %s Not Found", h.Name))
	} else {
		err = h.Flow.Run(ctx, fc)
	}
	if h.ContinueOnError {
		return nil
	}
	return err
}

// runRequest runs PreFlow, the first true conditional flow, and PostFlow of the
// request side.
func runRequest(ctx context.Context, fc *flow.Context, f *flows) error {
	if f.pre != nil {
		enter(fc, f.pre)
		if err := runSteps(ctx, fc, f.pre.request); err != nil || fc.Answered() == flow.AtOnce {
			return err
		}
	}
	if b := firstTrue(fc, f.conditional); b != nil {
		enter(fc, b)
		if err := runSteps(ctx, fc, b.request); err != nil || fc.Answered() == flow.AtOnce {
			return err
		}
	}
	if f.post == nil {
		return nil
	}
	enter(fc, f.post)
	return runSteps(ctx, fc, f.post.request)
}

// runResponse is runRequest for the response side.
func runResponse(ctx context.Context, fc *flow.Context, f *flows) error {
	if fc.Resume() != "" {
		if f.stores(fc.Resume()) {
			return resumeResponse(ctx, fc, f)
		}
		fc.Resumed()
	}
	if f.pre != nil {
		enter(fc, f.pre)
		if err := runSteps(ctx, fc, f.pre.response); err != nil {
			return err
		}
	}
	if b := firstTrue(fc, f.conditional); b != nil {
		enter(fc, b)
		if err := runSteps(ctx, fc, b.response); err != nil {
			return err
		}
	}
	if f.post == nil {
		return nil
	}
	enter(fc, f.post)
	return runSteps(ctx, fc, f.post.response)
}

func firstTrue(fc *flow.Context, list []*block) *block {
	for _, b := range list {
		if holds(fc, b.cond) {
			return b
		}
	}
	return nil
}

func enter(fc *flow.Context, b *block) {
	fc.FlowName, fc.FlowDescription = b.name, b.description
	if fc.Phase == flow.TargetRequest || fc.Phase == flow.TargetResponse {
		fc.TargetFlowName = b.name
	} else {
		fc.ProxyFlowName = b.name
	}
	if fc.Observed() {
		fc.Emit(flow.Event{Kind: flow.FlowChange, Name: b.name})
	}
}

// runSteps runs the policies of one flow in order until one fails or gives an
// answer at once.
func runSteps(ctx context.Context, fc *flow.Context, steps []step) error {
	for i := range steps {
		if err := runStep(ctx, fc, &steps[i]); err != nil {
			return err
		}
		if fc.Answered() == flow.AtOnce && fc.Phase < flow.TargetResponse {
			return nil
		}
	}
	return nil
}

func runStep(ctx context.Context, fc *flow.Context, s *step) error {
	if s.cond != nil && !holds(fc, s.cond) {
		if fc.Observed() {
			fc.Emit(flow.Event{Kind: flow.StepEnd, Name: s.name, Type: s.kind})
		}
		return nil
	}
	if err := timedOut(ctx); err != nil {
		return err
	}
	err := s.run(ctx, fc)
	if err == nil {
		if err = unreadable(fc); err == nil {
			return nil
		}
	}
	f := asFault(ctx, err)
	if f.Policy == "" {
		f.Policy = s.name
	}
	for _, v := range f.FailedVariables {
		fc.Put(v, flow.BoolValue(true))
	}
	if !s.continueOnError || f.Always {
		return f
	}
	fc.PutText("fault.name", f.ShortName())
	return nil
}

// unreadable is the fault of a body that a step read and could not have whole.
// The error flow has its fault already.
func unreadable(fc *flow.Context) error {
	if fc.InError {
		return nil
	}
	if err := fc.Request.Err(); err != nil {
		return bodyFault(err, false)
	}
	if fc.Response == nil || fc.Response.Err() == nil {
		return nil
	}
	return asTarget(bodyFault(fc.Response.Err(), true))
}

func (s *step) run(ctx context.Context, fc *flow.Context) error {
	if !fc.Observed() {
		return s.policy.Run(ctx, fc)
	}
	fc.Emit(flow.Event{Kind: flow.StepStart, Name: s.name, Type: s.kind})
	start := time.Now()
	err := s.policy.Run(ctx, fc)
	fc.Put("apigee.metrics.policy."+s.name+".timeTaken", flow.IntValue(time.Since(start).Nanoseconds()))
	fc.Emit(flow.Event{Kind: flow.StepEnd, Name: s.name, Type: s.kind, Result: true, Err: err})
	return err
}

func timedOut(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.New("flow.APITimedOut", 504, "API timed out").WithCause(ctx.Err())
}

// asFault makes any error a fault: what is none becomes an internal error
// whose text does not leave the gateway.
func asFault(ctx context.Context, err error) *fault.Fault {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	if ctx.Err() != nil {
		return fault.New("flow.APITimedOut", 504, "API timed out").WithCause(err)
	}
	return fault.New("messaging.runtime.InternalError", 500, "Internal server error").WithCause(err)
}
