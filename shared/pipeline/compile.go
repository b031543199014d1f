package pipeline

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

type compiler struct {
	b        *bundle.Bundle
	opts     *Options
	env      *policy.Env
	problems *bundle.Problems
	policies map[string]step
	targets  map[string]*targetEndpoint
}

// Compile turns the bundle of an API proxy into a program. The problems hold
// everything that was found; the proxy is nil if any of them is an error.
func Compile(b *bundle.Bundle, kinds policy.Kinds, opts Options) (*Proxy, bundle.Problems) {
	problems := slices.Clone(b.Warnings)
	c := newCompiler(b, &opts, &problems)
	c.compilePolicies(kinds)
	p := &Proxy{Name: opts.Name, Revision: opts.Revision}
	c.compileTargets()
	for _, pe := range b.Proxies {
		p.Endpoints = append(p.Endpoints, c.proxyEndpoint(pe))
	}
	request, response := c.env.ContentUsed()
	for _, e := range p.Endpoints {
		e.request, e.response = request, response
	}
	problems.Sort()
	if problems.Err() != nil {
		return nil, problems
	}
	p.Warnings = problems
	return p, problems
}

func newCompiler(b *bundle.Bundle, opts *Options, problems *bundle.Problems) *compiler {
	return &compiler{
		b: b, opts: opts, problems: problems,
		env:      policy.NewEnv(opts.Organization, opts.Environment, b, opts.Services, problems),
		policies: map[string]step{},
		targets:  map[string]*targetEndpoint{},
	}
}

func (c *compiler) compilePolicies(kinds policy.Kinds) {
	attached := make(map[string]bool, len(c.b.Policies))
	for s := range c.b.Steps() {
		attached[s.Name] = true
	}
	for _, p := range c.b.Policies {
		k, ok := kinds[p.Kind]
		if !ok {
			c.problems.Errorf(p.Pos(), "<%s> is not a policy that this gateway supports", p.Kind)
			continue
		}
		s := step{name: p.Name, kind: p.Kind, continueOnError: p.ContinueOnError}
		c.env.Idle = !p.Enabled || !attached[p.Name]
		s.policy = k.Build(p, c.env)
		if !p.Enabled {
			s.policy = nil
		}
		c.policies[p.Name] = s
	}
	c.env.Idle = false
}

func (c *compiler) compileTargets() {
	for _, t := range c.b.Targets {
		c.targets[t.Name] = c.targetEndpoint(t)
	}
	for _, i := range c.b.Integrations {
		if c.opts.Integration == nil {
			c.problems.Errorf(i.Pos, "IntegrationEndpoint %s: this host runs no integrations", i.Name)
			continue
		}
		c.targets[integrationKey(i.Name)] = &targetEndpoint{name: i.Name, target: c.opts.Integration(i, c.env), limit: message.DefaultLimit}
	}
}

// integrationKey keeps integration endpoints apart from targets of their name.
func integrationKey(name string) string { return "integration\x00" + name }

func (c *compiler) targetEndpoint(t *bundle.TargetEndpoint) *targetEndpoint {
	te := &targetEndpoint{
		name:     t.Name,
		flows:    c.flows(&t.Endpoint),
		rules:    c.faultRules(t.FaultRules),
		fallback: c.defaultRule(t.DefaultFaultRule),
		limit:    message.DefaultLimit,
	}
	if t.EventFlow != nil {
		te.events = c.steps(t.EventFlow.Response)
	}
	switch {
	case t.Script != nil:
		c.problems.Errorf(t.Script.Pos, "<ScriptTarget> is not supported: Node.js targets do not exist in Apigee X; deploy the script as a service and use <HTTPTargetConnection>")
	case t.Hosted != nil:
		c.problems.Errorf(t.Hosted.Pos, "<HostedTarget> is not supported: hosted Node.js targets do not exist in Apigee X; deploy the service and use <HTTPTargetConnection>")
	case t.HTTP != nil:
		te.limit = c.sizeProperty(t.HTTP.Properties, "response.payload.parse.limit")
		te.stream = c.boolProperty(t.HTTP.Properties, "response.streaming.enabled")
		te.upload = c.boolProperty(t.HTTP.Properties, "request.streaming.enabled")
		te.target = c.opts.Target(t.HTTP, t.Name, c.env)
	case t.Local != nil:
		if c.opts.Local == nil {
			c.problems.Errorf(t.Local.Pos, "<LocalTargetConnection> is not available on this host")
			break
		}
		te.target = c.opts.Local(t.Local, t.Name, c.env)
		te.stream, te.upload = true, true // the called proxy has limits of its own
	}
	return te
}

func (c *compiler) proxyEndpoint(pe *bundle.ProxyEndpoint) *Endpoint {
	e := &Endpoint{
		opts:     c.opts,
		flows:    c.flows(&pe.Endpoint),
		rules:    c.faultRules(pe.FaultRules),
		fallback: c.defaultRule(pe.DefaultFaultRule),
		limit:    message.DefaultLimit,
		Info: &flow.Proxy{
			Organization: c.opts.Organization, Environment: c.opts.Environment,
			Name: c.opts.Name, Revision: c.opts.Revision, ServiceAccount: c.opts.ServiceAccount,
			Endpoint: pe.Name, BasePath: "/", Properties: c.opts.Properties,
		},
	}
	slices.Reverse(e.rules)
	if pe.EventFlow != nil {
		e.events = c.steps(pe.EventFlow.Response)
	}
	if pe.PostClientFlow != nil {
		e.postClient = c.block(pe.PostClientFlow, "PostClientFlow")
	}
	if conn := pe.Connection; conn != nil {
		c.connection(e, conn)
	}
	for _, r := range pe.RouteRules {
		e.routes = append(e.routes, c.route(r))
	}
	return e
}

func (c *compiler) connection(e *Endpoint, conn *bundle.HTTPProxyConnection) {
	e.Info.BasePath = conn.BasePath
	e.limit = c.sizeProperty(conn.Properties, "request.payload.parse.limit")
	e.streaming = c.boolProperty(conn.Properties, "request.streaming.enabled")
	e.respStream = c.boolProperty(conn.Properties, "response.streaming.enabled")
	e.forwarded = c.boolProperty(conn.Properties, "X-Forwarded-For")
	e.keepPlus = c.boolProperty(conn.Properties, "request.queryparams.ignore.content.type.charset")
	if v, ok := conn.Properties.Get("compression.algorithm"); ok {
		e.compression = strings.TrimSpace(v)
		c.env.UsesContent(false, true)
	}
	if v, ok := conn.Properties.Get("api.timeout"); ok {
		ms, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil || ms <= 0 {
			c.problems.Errorf(conn.Pos, "property api.timeout %q is not a number of milliseconds", v)
		}
		e.timeout = min(time.Duration(ms)*time.Millisecond, maxCall)
	}
	if v, ok := conn.Properties.Get("HTTPHeader.allowDuplicates"); ok {
		e.duplicates = nameSet(v)
	}
	if v, ok := conn.Properties.Get("HTTPHeader.multiValued"); ok {
		for n := range nameSet(v) {
			if e.duplicates == nil {
				e.duplicates = map[string]bool{}
			}
			e.duplicates[n] = true
		}
	}
}

// maxCall is the longest a call may take: 300 s (limits page).
const maxCall = 300 * time.Second

func nameSet(list string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			m[strings.ToLower(n)] = true
		}
	}
	return m
}

func (c *compiler) boolProperty(ps bundle.Properties, name string) bool {
	v, _ := ps.Get(name)
	return strings.EqualFold(strings.TrimSpace(v), "true")
}

// maxPayload is the largest payload limit that can be asked for: 30 MB.
const maxPayload = 30 << 20

// sizeProperty reads a size such as 15M or 20480; the default is 10M.
func (c *compiler) sizeProperty(ps bundle.Properties, name string) int64 {
	v, ok := ps.Get(name)
	if !ok {
		return message.DefaultLimit
	}
	s, unit := strings.ToUpper(strings.TrimSpace(v)), int64(1)
	switch {
	case strings.HasSuffix(s, "M"):
		s, unit = s[:len(s)-1], 1<<20
	case strings.HasSuffix(s, "K"):
		s, unit = s[:len(s)-1], 1<<10
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return message.DefaultLimit // package bundle reports it
	}
	return min(n*unit, maxPayload)
}

func (c *compiler) flows(e *bundle.Endpoint) flows {
	var f flows
	f.pre = c.block(e.PreFlow, "PreFlow")
	for _, cf := range e.Flows {
		f.conditional = append(f.conditional, c.block(cf, cf.Name))
	}
	f.post = c.block(e.PostFlow, "PostFlow")
	return f
}

func (c *compiler) block(f *bundle.Flow, name string) *block {
	if f == nil {
		return nil
	}
	if f.Name != "" {
		name = f.Name
	}
	return &block{
		name: name, description: f.Description,
		cond:    c.condition(f.ConditionPos, f.Condition),
		request: c.steps(f.Request), response: c.steps(f.Response),
	}
}

func (c *compiler) condition(pos bundle.Pos, src string) *condition.Condition {
	if strings.TrimSpace(src) == "" {
		return nil
	}
	return c.env.Condition(pos, src)
}

func (c *compiler) steps(list []*bundle.Step) []step {
	var out []step
	for _, s := range list {
		cond := c.condition(s.ConditionPos, s.Condition)
		if st, ok := c.policies[s.Name]; ok && st.policy != nil {
			st.cond = cond
			out = append(out, st)
		} // unknown names are reported by bundle; disabled policies are skipped
	}
	return out
}

func (c *compiler) faultRules(list []*bundle.FaultRule) []faultRule {
	var out []faultRule
	for _, r := range list {
		out = append(out, *c.rule(r))
	}
	return out
}

func (c *compiler) defaultRule(r *bundle.FaultRule) *faultRule {
	if r == nil {
		return nil
	}
	return c.rule(r)
}

func (c *compiler) rule(r *bundle.FaultRule) *faultRule {
	return &faultRule{
		name: r.Name, alwaysEnforce: r.AlwaysEnforce,
		cond:  c.condition(r.ConditionPos, r.Condition),
		steps: c.steps(r.Steps),
	}
}

func (c *compiler) route(r *bundle.RouteRule) route {
	rt := route{name: r.Name, cond: c.condition(r.ConditionPos, r.Condition)}
	switch {
	case r.TargetEndpoint != "":
		rt.target, rt.endpoint = r.TargetEndpoint, c.targets[r.TargetEndpoint]
	case r.IntegrationEndpoint != "":
		rt.target, rt.endpoint = r.IntegrationEndpoint, c.targets[integrationKey(r.IntegrationEndpoint)]
	case r.URL != "":
		conn := &bundle.HTTPTargetConnection{Pos: r.Pos, URL: r.URL, URLPos: r.URLPos}
		rt.target = "default"
		rt.endpoint = &targetEndpoint{name: "default", target: c.opts.Target(conn, "default", c.env), limit: message.DefaultLimit}
	}
	return rt
}
