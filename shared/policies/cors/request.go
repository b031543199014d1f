package cors

import (
	"iter"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// prefix of the policy's variables.
const prefix = "cross_origin_resource_sharing."

// request is one call as the policy sees it: what was asked and what is
// allowed. It computes the variables when they are read.
type request struct {
	step *step

	origin, method, asked string // Origin, Access-Control-Request-Method and -Headers
	preflight             bool

	origins, methods, headers, expose string // evaluated
	allowed                           string // for Access-Control-Allow-Origin, "" if the origin is not
	accepted                          bool   // the preflight
}

func newRequest(s *step, m *message.Message) *request {
	r := &request{step: s, origin: m.Header.Get("Origin")}
	r.method = m.Header.Get("Access-Control-Request-Method")
	r.asked = m.Header.Joined("Access-Control-Request-Headers")
	r.preflight = m.Verb == "OPTIONS" && r.origin != "" && r.method != ""
	return r
}

// judge decides what is allowed.
func (r *request) judge() {
	switch {
	case r.origin == "":
		return
	case strings.TrimSpace(r.origins) == "*":
		r.allowed = "*"
	case has(r.origins, "*") || has(r.origins, r.origin):
		r.allowed = r.origin
	}
	r.accepted = r.preflight && r.allowed != "" && (has(r.methods, "*") || has(r.methods, r.method)) && r.headersAllowed()
}

func (r *request) headersAllowed() bool {
	if r.asked == "" || has(r.headers, "*") {
		return true
	}
	for h := range strings.SplitSeq(r.asked, ",") {
		if h = strings.TrimSpace(h); h != "" && !has(r.headers, h) {
			return false
		}
	}
	return true
}

// has reports whether a comma-separated list has an item, in any case.
func has(list, item string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(part), item) {
			return true
		}
	}
	return false
}

var names = [...]string{
	"allow.credentials", "allow.headers", "allow.methods", "allow.origin", "allow.origins.list", "expose.headers",
	"max.age", "preflight.accepted", "request.headers", "request.method", "request.origin", "request.type",
}

// Variable is one of the policy's variables.
func (r *request) Variable(name string) flow.Value {
	switch name {
	case "allow.credentials":
		if r.step.credentials == "" {
			return flow.Value{}
		}
		return flow.BoolValue(r.step.credentials == "true")
	case "allow.headers":
		return text(r.headers)
	case "allow.methods":
		return text(r.methods)
	case "allow.origin":
		return text(r.allowed)
	case "allow.origins.list":
		return text(r.origins)
	case "expose.headers":
		return text(r.expose)
	case "max.age":
		return flow.IntValue(r.step.maxAge)
	case "preflight.accepted":
		if !r.preflight {
			return flow.Value{}
		}
		return flow.BoolValue(r.accepted)
	case "request.headers":
		return text(r.asked)
	case "request.method":
		return text(r.method)
	case "request.origin":
		return text(r.origin)
	case "request.type":
		return r.kind()
	}
	return flow.Value{}
}

func (r *request) kind() flow.Value {
	switch {
	case r.origin == "":
		return flow.Value{}
	case r.preflight:
		return flow.StringValue("PRE_FLIGHT")
	}
	return flow.StringValue("ACTUAL")
}

func text(s string) flow.Value {
	if s == "" {
		return flow.Value{}
	}
	return flow.StringValue(s)
}

// Variables yields those that are set.
func (r *request) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for _, n := range names {
			if v := r.Variable(n); !v.IsNull() && !yield(n, v) {
				return
			}
		}
	}
}
