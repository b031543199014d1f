// Package pipeline executes API proxies. Compile turns a bundle into an
// immutable program of steps; Run takes one call through it in Apigee's order:
// ProxyEndpoint request, RouteRule, TargetEndpoint request, target,
// TargetEndpoint response, ProxyEndpoint response, with fault rules where a
// policy or the target fails.
//
// The pipeline alone evaluates conditions, enabled and continueOnError. It
// knows policies, targets and other proxies only through small interfaces.
package pipeline

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Target is a compiled connection of a TargetEndpoint.
type Target interface {
	// Prepare fills in what target.url and its kin read in the target request
	// flow.
	Prepare(fc *flow.Context)
	// Send sends fc.Request and installs fc.Response. Errors are *fault.Fault
	// with Target set.
	Send(ctx context.Context, fc *flow.Context) error
}

// Options is what a bundle is compiled for.
type Options struct {
	Organization, Environment string
	// Name and Revision are those the bundle was imported under.
	Name, Revision string
	ServiceAccount string
	Properties     flow.PropertySource
	Services       policy.Services
	// Target compiles an HTTPTargetConnection. Problems go to env.
	Target func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) Target
	// Local compiles a LocalTargetConnection.
	Local func(c *bundle.LocalTargetConnection, name string, env *policy.Env) Target
	// Integration compiles an IntegrationEndpoint.
	Integration func(i *bundle.IntegrationEndpoint, env *policy.Env) Target
	// Hook returns the shared flow attached to a flow hook of the environment
	// at this moment.
	Hook func(hook string) (Hook, bool)
}

// Hook is a shared flow attached to a flow hook.
type Hook struct {
	Flow            policy.SharedFlow
	Name            string
	ContinueOnError bool
}

// The flow hooks of an environment.
const (
	PreProxyFlowHook   = "PreProxyFlowHook"
	PreTargetFlowHook  = "PreTargetFlowHook"
	PostTargetFlowHook = "PostTargetFlowHook"
	PostProxyFlowHook  = "PostProxyFlowHook"
)

// Proxy is a compiled API proxy.
type Proxy struct {
	Name, Revision string
	Endpoints      []*Endpoint
	Warnings       bundle.Problems
}

// Endpoint returns the ProxyEndpoint called name, or nil.
func (p *Proxy) Endpoint(name string) *Endpoint {
	for _, e := range p.Endpoints {
		if e.Info.Endpoint == name {
			return e
		}
	}
	return nil
}

// Endpoint is a compiled ProxyEndpoint with the targets it may route to.
type Endpoint struct {
	Info *flow.Proxy

	opts       *Options
	flows      flows
	postClient *block
	routes     []route
	rules      []faultRule // bottom-up: reversed document order
	fallback   *faultRule
	limit      int64 // bytes of a buffered request body
	streaming  bool
	timeout    time.Duration // api.timeout; 0 is none
	request    bool          // some step touches the request body
	response   bool
	duplicates map[string]bool
	respStream bool

	compression string // compression.algorithm of the response: "", gzip, deflate, none
	forwarded   bool   // X-Forwarded-For
	keepPlus    bool   // request.queryparams.ignore.content.type.charset
	events      []step // EventFlow
}

type flows struct {
	pre, post   *block
	conditional []*block
}

// block is one PreFlow, Flow, PostFlow or PostClientFlow.
type block struct {
	name, description string
	cond              *condition.Condition // nil: always
	request, response []step
}

// step runs one policy.
type step struct {
	name, kind      string
	cond            *condition.Condition // nil: always
	policy          policy.Policy
	continueOnError bool
}

type faultRule struct {
	name          string
	cond          *condition.Condition
	steps         []step
	alwaysEnforce bool
}

type route struct {
	name, target string
	cond         *condition.Condition
	endpoint     *targetEndpoint // nil: null route
}

type targetEndpoint struct {
	name     string
	target   Target
	flows    flows
	events   []step
	rules    []faultRule // top-down: document order
	fallback *faultRule
	limit    int64
	stream   bool // response.streaming.enabled
	upload   bool // request.streaming.enabled
}
