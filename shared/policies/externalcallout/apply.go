package externalcallout

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policies/externalcallout/calloutpb"
)

// apply makes the changes of an answer: what it has that was not sent so. A message
// that was not sent is not changed.
func (s *step) apply(fc *flow.Context, sent, got *calloutpb.MessageContext) error {
	if sent.Request != nil && got.Request != nil {
		applyRequest(fc.Request, sent.Request, got.Request)
	}
	if sent.Response != nil && got.Response != nil {
		applyResponse(fc.Response, sent.Response, got.Response)
	}
	if e := sent.GetError().GetResponse(); e != nil && got.GetError().GetResponse() != nil {
		applyResponse(fc.Error, e, got.Error.Response)
	}
	if err := applyVariables(fc, sent, got); err != nil {
		return s.failed(err)
	}
	return s.raise(sent, got.Fault)
}

// raise is the fault of an answer. The one that was sent is no new one.
func (s *step) raise(sent *calloutpb.MessageContext, f *calloutpb.Fault) error {
	if f.GetName() == "" || proto.Equal(f, sent.Fault) {
		return nil
	}
	out := s.fault("steps.externalcallout."+f.Name, f.FaultString)
	out.Always = true
	return out
}

func applyRequest(m *message.Message, sent, got *calloutpb.Request) {
	applyHeaders(&m.Header, sent.Headers, got.Headers)
	applyParams(&m.Query, sent.QueryParams, got.QueryParams)
	if changed(sent.FormParams, got.FormParams) {
		applyParams(m.Form(), sent.FormParams, got.FormParams)
	}
	applyContent(m, sent.Content, got.Content)
}

func applyResponse(m *message.Message, sent, got *calloutpb.Response) {
	applyHeaders(&m.Header, sent.Headers, got.Headers)
	applyContent(m, sent.Content, got.Content)
}

func applyContent(m *message.Message, sent, got string) {
	if got != sent {
		m.SetContent([]byte(got))
	}
}

// changed reports whether got says anything else of a name than sent does.
func changed(sent, got map[string]*calloutpb.Strings) bool {
	for name, list := range got {
		if !same(sent, name, list) {
			return true
		}
	}
	return false
}

func same(sent map[string]*calloutpb.Strings, name string, list *calloutpb.Strings) bool {
	have, ok := sent[name]
	return ok && slices.Equal(have.GetStrings(), list.GetStrings())
}

func applyHeaders(h *message.Header, sent, got map[string]*calloutpb.Strings) {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if list := got[name].GetStrings(); !same(sent, name, got[name]) {
			h.Del(name)
			for _, v := range list {
				h.Add(name, oneLine.Replace(v))
			}
		}
	}
}

// oneLine keeps a value from ending its header.
var oneLine = strings.NewReplacer("\r", "", "\n", "")

func applyParams(p *message.Params, sent, got map[string]*calloutpb.Strings) {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if list := got[name].GetStrings(); !same(sent, name, got[name]) {
			p.Del(name)
			for _, v := range list {
				p.Add(name, v)
			}
		}
	}
}

func applyVariables(fc *flow.Context, sent, got *calloutpb.MessageContext) error {
	for _, name := range slices.Sorted(maps.Keys(got.AdditionalFlowVariables)) {
		v := got.AdditionalFlowVariables[name]
		if have, ok := sent.AdditionalFlowVariables[name]; ok && proto.Equal(have, v) {
			continue
		}
		if err := applyVariable(fc, name, decode(v)); err != nil {
			return status.Errorf(codes.Internal, "variable %s cannot be set", name)
		}
	}
	t, was := got.Target, sent.Target
	if t == nil {
		return nil
	}
	for _, c := range []struct {
		changed bool
		v       flow.Var
		value   flow.Value
	}{
		{t.Url != was.Url, targetURL, flow.StringValue(t.Url)},
		{t.ExpectedCn != was.ExpectedCn, expectedCN, flow.StringValue(t.ExpectedCn)},
		{t.CopyPathSuffix != was.CopyPathSuffix, copyPathSuffix, flow.BoolValue(t.CopyPathSuffix)},
		{t.CopyQueryParams != was.CopyQueryParams, copyQueryParams, flow.BoolValue(t.CopyQueryParams)},
	} {
		if !c.changed {
			continue
		}
		if err := c.v.Set(fc, c.value); err != nil {
			return status.Errorf(codes.Internal, "variable %s cannot be set", c.v.Name())
		}
	}
	return nil
}

// applyVariable sets a variable, or removes it if v is null. Either takes away those
// below it.
func applyVariable(fc *flow.Context, name string, v flow.Value) error {
	var below []string
	for n := range fc.Variables() {
		if strings.HasPrefix(n, name+".") {
			below = append(below, n)
		}
	}
	for _, n := range below {
		if err := fc.Remove(n); err != nil {
			return err
		}
	}
	if v.IsNull() {
		return fc.Remove(name)
	}
	return fc.Set(name, v)
}

func decode(v *calloutpb.FlowVariable) flow.Value {
	switch v := v.GetValue().(type) {
	case *calloutpb.FlowVariable_Int32:
		return flow.IntValue(int64(v.Int32))
	case *calloutpb.FlowVariable_Int64:
		return flow.IntValue(v.Int64)
	case *calloutpb.FlowVariable_Double:
		return flow.FloatValue(v.Double)
	case *calloutpb.FlowVariable_Bool:
		return flow.BoolValue(v.Bool)
	case *calloutpb.FlowVariable_String_:
		return flow.StringValue(v.String_)
	}
	return flow.Value{}
}
