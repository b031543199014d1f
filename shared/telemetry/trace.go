package telemetry

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// Traces reports whether calls may be traced.
func (t *Telemetry) Traces() bool { return t != nil && t.provider != nil }

// headers is a message's headers as a carrier of W3C trace context.
type headers struct{ h *message.Header }

func (c headers) Get(key string) string { return c.h.Get(key) }
func (c headers) Set(key, value string) { c.h.Set(key, value) }
func (c headers) Keys() []string        { return c.h.Names() }

// Observe begins the span of a call and gives it an observer that makes spans of
// its policies and its target; nil if the call is not sampled. The caller's W3C
// trace context decides as OTEL_TRACES_SAMPLER says. All of it is exported before
// the call's handler returns.
//
// No span has a header, a body, a query, a variable or the text of a fault.
// Source: https://www.w3.org/TR/trace-context/
func (t *Telemetry) Observe(ctx context.Context, fc *flow.Context) flow.Observer {
	parent := propagation.TraceContext{}.Extract(ctx, headers{&fc.Request.Header})
	ctx, span := t.tracer.Start(parent, fc.Request.Verb+" "+fc.Proxy.BasePath,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(fc.Start), trace.WithAttributes(
			attribute.String("http.request.method", fc.Request.Verb), attribute.String("http.route", fc.Proxy.BasePath),
			attribute.String("perigee.organization", fc.Proxy.Organization), attribute.String("perigee.environment", fc.Proxy.Environment),
			attribute.String("perigee.proxy", fc.Proxy.Name), attribute.String("perigee.revision", fc.Proxy.Revision),
			attribute.String("perigee.endpoint", fc.Proxy.Endpoint), attribute.String("perigee.message_id", fc.MessageID()),
		))
	if !span.IsRecording() {
		span.End()
		return nil
	}
	o := &observer{t: t, stack: []frame{{ctx, span, ""}}}
	fc.OnSend(o.answered)
	fc.After(func(ctx context.Context) { o.end(ctx, fc) })
	return o
}

// observer makes the spans of one call.
type observer struct {
	t     *Telemetry
	stack []frame // spans under way, each within the one before; the call's first
}

type frame struct {
	ctx  context.Context
	span trace.Span
	name string
}

// Observe implements flow.Observer.
func (o *observer) Observe(fc *flow.Context, e flow.Event) {
	switch e.Kind {
	case flow.StepStart:
		o.begin(fc, "policy "+e.Name, trace.SpanKindInternal, attribute.String("perigee.policy", e.Name), attribute.String("perigee.policy.type", e.Type))
	case flow.StepEnd:
		if e.Result { // it ran
			o.finish("policy "+e.Name, e.Err)
		}
	case flow.TargetSend:
		o.begin(fc, "target "+e.Name, trace.SpanKindClient, attribute.String("perigee.target", e.Name), attribute.String("http.request.method", fc.Request.Verb))
		propagation.TraceContext{}.Inject(o.top().ctx, headers{&fc.Request.Header})
	case flow.TargetReceive:
		o.target(fc)
		o.finish("target "+e.Name, e.Err)
	case flow.FaultRaised:
		o.top().span.AddEvent("fault", trace.WithAttributes(attribute.String("perigee.fault", e.Name)))
	}
}

func (o *observer) top() *frame { return &o.stack[len(o.stack)-1] }

func (o *observer) begin(fc *flow.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) {
	ctx, span := o.t.tracer.Start(o.top().ctx, name, trace.WithSpanKind(kind),
		trace.WithAttributes(append(attrs, attribute.String("perigee.phase", fc.Phase.String()))...))
	o.stack = append(o.stack, frame{ctx, span, name})
}

// finish ends the span of that name, and those within it that were left without
// an end.
func (o *observer) finish(name string, err error) {
	for i := len(o.stack) - 1; i > 0; i-- {
		if o.stack[i].name != name {
			continue
		}
		failed(o.stack[i].span, err)
		for j := len(o.stack) - 1; j >= i; j-- {
			o.stack[j].span.End()
		}
		o.stack = o.stack[:i]
		return
	}
}

// failed marks a span with the code of a fault; its text may hold anything.
func failed(span trace.Span, err error) {
	if err == nil {
		return
	}
	code := "error"
	var f *fault.Fault
	if errors.As(err, &f) {
		code = f.Code
	}
	span.SetStatus(codes.Error, code)
	span.SetAttributes(attribute.String("error.type", code))
}

// target adds what is known of a target's answer.
func (o *observer) target(fc *flow.Context) {
	span := o.top().span
	if fc.Target.Host != "" {
		span.SetAttributes(attribute.String("server.address", strings.ToLower(fc.Target.Host)), attribute.Int("server.port", fc.Target.Port))
	}
	if fc.Target.Server != "" {
		span.SetAttributes(attribute.String("perigee.target_server", fc.Target.Server))
	}
	if fc.Target.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", fc.Target.Status))
	}
}

// answered notes the status that goes to the client.
func (o *observer) answered(fc *flow.Context, m *message.Message) {
	span := o.stack[0].span
	span.SetAttributes(attribute.Int("http.response.status_code", m.Status))
	if fc.Fault != nil {
		span.SetAttributes(attribute.String("error.type", fc.Fault.Code))
	}
	if m.Status >= 500 {
		span.SetStatus(codes.Error, "")
	}
}

// end ends all spans and exports them.
func (o *observer) end(ctx context.Context, fc *flow.Context) {
	for i := len(o.stack) - 1; i > 0; i-- {
		o.stack[i].span.End()
	}
	o.stack[0].span.End(trace.WithTimestamp(fc.Now()))
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := o.t.provider.ForceFlush(ctx); err != nil {
		o.t.log.WarnContext(ctx, "spans are not exported", "error", err)
	}
}
