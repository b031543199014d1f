package pipeline

import (
	"slices"
	"strings"

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
// put into a response, or else the request's headers and content as the policies
// left them, with status 200. Proxies remove the headers again, see
// AM-Clean-Request-Headers-From-Response in Google's samples; those with the
// caller's credentials are not given back here.
//
// Source: https://github.com/GoogleCloudPlatform/apigee-samples (data-deidentification, "a loopback proxy")
func (e *Endpoint) nullRoute(fc *flow.Context) error {
	if fc.Response != nil {
		return nil
	}
	resp, req := fc.NewResponse(), fc.Request
	for name, value := range req.Header.All() {
		if reflected(name) {
			resp.Header.Add(name, value)
		}
	}
	if e.streaming && req.Streaming() {
		return nil // nobody read it, and it may be endless
	}
	body, err := req.Content()
	if err != nil {
		return bodyFault(err, false)
	}
	if len(body) > 0 {
		resp.SetContent(body)
	}
	return nil
}

// notReflected are headers of a request that its reflection does not have: those of
// the connection and of the body's form, which is reflected decoded, and credentials.
var notReflected = []string{
	"Authorization", "Connection", "Content-Encoding", "Content-Length", "Cookie", "Expect", "Keep-Alive",
	"Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
	"X-Goog-Iap-Jwt-Assertion", "X-Serverless-Authorization", // put there by what stands before the gateway
}

func reflected(header string) bool {
	return !slices.ContainsFunc(notReflected, func(name string) bool { return strings.EqualFold(name, header) })
}
