package pipeline

import (
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// holds evaluates a condition; nil is true.
func holds(fc *flow.Context, c *condition.Condition) bool {
	if c == nil {
		return true
	}
	ok := c.True(fc)
	if fc.Observed() {
		fc.Emit(flow.Event{Kind: flow.ConditionRun, Name: c.String(), Result: ok})
	}
	return ok
}

// chooseRoute returns the target of the first RouteRule whose condition is
// true, nil for a null route.
func (e *Endpoint) chooseRoute(fc *flow.Context) (*targetEndpoint, error) {
	for i := range e.routes {
		r := &e.routes[i]
		if !holds(fc, r.cond) {
			continue
		}
		fc.RouteName, fc.RouteTarget = r.name, r.target
		return r.endpoint, nil
	}
	f := fault.New("messaging.runtime.RouteFailed", 500, "Unable to route the message to a Target Endpoint")
	f.Category, f.Subcategory = "Messaging", "RoutingFailures"
	return nil, f
}

// nullRoute makes the response of a call without target: what the request flow
// put into a response, or else an empty 200, with the request's content if a
// policy wrote one.
func nullRoute(fc *flow.Context) {
	if fc.Response != nil {
		return
	}
	resp := fc.NewResponse()
	if !fc.Request.Changed() {
		return
	}
	if body, err := fc.Request.Content(); err == nil && len(body) > 0 {
		resp.SetContent(body)
		if ct := fc.Request.Header.Get("Content-Type"); ct != "" {
			resp.Header.Set("Content-Type", ct)
		}
	}
}
