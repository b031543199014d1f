package pipeline

import (
	"context"
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// fail enters the error flow and returns the message to send. te is the target
// whose segments were running, nil in the proxy's own.
func (e *Endpoint) fail(ctx context.Context, fc *flow.Context, err error, te *targetEndpoint) *message.Message {
	f := asFault(ctx, err)
	e.raise(fc, f)
	rules, fallback := e.rules, e.fallback
	if te != nil {
		rules, fallback = te.rules, te.fallback
	}
	e.handle(context.WithoutCancel(ctx), fc, rules, fallback)
	if fc.Error == nil { // a fault rule may have removed it
		e.raise(fc, f)
	}
	return fc.Error
}

// raise makes f the fault of the call: its variables and its error message.
func (e *Endpoint) raise(fc *flow.Context, f *fault.Fault) {
	fc.InError, fc.Fault = true, f
	for _, v := range f.FailedVariables {
		fc.Put(v, flow.BoolValue(true))
	}
	fc.PutText("fault.name", f.ShortName())
	fc.PutText("fault.type", or(f.Category, "Messaging"))
	fc.PutText("fault.category", or(f.Category, "Messaging"))
	fc.PutText("fault.subcategory", or(f.Subcategory, "Custom fault"))
	fc.PutText("fault.reason", f.Text)
	errorMessage(fc, f)
	fc.Emit(flow.Event{Kind: flow.FaultRaised, Name: f.Code, Err: f})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// handle runs the first fault rule whose condition is true, and the default
// rule if none is or if it is always enforced.
func (e *Endpoint) handle(ctx context.Context, fc *flow.Context, rules []faultRule, fallback *faultRule) {
	for i := range rules {
		if !holds(fc, rules[i].cond) {
			continue
		}
		if !e.runRule(ctx, fc, &rules[i]) {
			return
		}
		if fallback != nil && fallback.alwaysEnforce && holds(fc, fallback.cond) {
			e.runRule(ctx, fc, fallback)
		}
		return
	}
	if fallback != nil && holds(fc, fallback.cond) {
		e.runRule(ctx, fc, fallback)
	}
}

// runRule runs a rule's steps. A fault inside replaces the one being handled
// and ends the error flow: the result is false.
func (e *Endpoint) runRule(ctx context.Context, fc *flow.Context, r *faultRule) bool {
	if fc.Observed() {
		fc.Emit(flow.Event{Kind: flow.FlowChange, Name: r.name})
	}
	err := runSteps(ctx, fc, r.steps)
	if err == nil {
		return true
	}
	e.raise(fc, asFault(ctx, err))
	return false
}

// errorMessage installs the message of f: its own, or Apigee's default body.
func errorMessage(fc *flow.Context, f *fault.Fault) {
	if f.Message != nil {
		fc.Error = f.Message
		addFields(fc.Error, f.Header)
		return
	}
	m := fc.NewError()
	m.Status, m.Reason = f.Status, f.Reason
	if m.Status == 0 {
		m.Status = 500
	}
	body, contentType := errorBody(fc, f)
	m.Header.Set("Content-Type", contentType)
	addFields(m, f.Header)
	m.SetContent(body)
}

func addFields(m *message.Message, fields []message.Field) {
	for _, h := range fields {
		m.Header.Set(h.Name, h.Value)
	}
}

// errorBody chooses between JSON, XML and SOAP by the request's content type.
func errorBody(fc *flow.Context, f *fault.Fault) ([]byte, string) {
	ct, _, _ := strings.Cut(fc.Request.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(ct)) {
	case "application/soap+xml", "text/xml":
		return f.SOAP(), "application/soap+xml"
	case "application/xml":
		return f.XML(), "application/xml"
	}
	return f.JSON(), "application/json"
}

// bodyFault turns an error of reading a body into Apigee's fault. target says
// that it is the target's response.
func bodyFault(err error, target bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, message.ErrTooBig) && target:
		return tooBig(502, true)
	case errors.Is(err, message.ErrTooBig):
		return tooBig(413, false)
	case errors.Is(err, message.ErrEncoding) && target:
		return fault.New("messaging.adaptors.http.flow.DecompressionFailureAtResponse", 502, "Decompression failure at response").WithCause(err)
	case errors.Is(err, message.ErrEncoding):
		return fault.New("messaging.adaptors.http.flow.DecompressionFailureAtRequest", 400, "Decompression failure at request").WithCause(err)
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	if target {
		return fault.New("messaging.adaptors.http.flow.UnexpectedEOFAtTarget", 502, "Unexpected EOF at target").WithCause(err)
	}
	return fault.New("messaging.adaptors.http.flow.RequestTimeOut", 408, "Request timed out").WithCause(err)
}

func tooBig(status int, target bool) *fault.Fault {
	f := fault.New("protocol.http.TooBigBody", status, "Body buffer overflow")
	f.Target = target
	return f
}

// single are the fields that a request may hold once.
var single = []string{"Content-Type", "Content-Length", "Host", "Authorization", "Date", "From", "If-Modified-Since", "If-Unmodified-Since", "Last-Modified", "Max-Forwards", "Proxy-Authorization", "Referer", "User-Agent"}

func checkDuplicates(h *message.Header, allowed map[string]bool) error {
	for _, name := range single {
		n := 0
		for i := range h.Len() {
			if strings.EqualFold(h.At(i).Name, name) {
				n++
			}
		}
		if n > 1 && !allowed[strings.ToLower(name)] {
			return fault.New("protocol.http.DuplicateHeader", 400, `Duplicate Header "`+strings.ToLower(name)+`"`)
		}
	}
	return nil
}
