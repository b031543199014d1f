package bundle

import "strings"

// ParseProxyEndpoint reads a file of proxies/. Names it refers to are not
// looked up.
func ParseProxyEndpoint(el *Element, problems *Problems) *ProxyEndpoint {
	p := new(ProxyEndpoint)
	Decode(el, p, problems)
	return p
}

func (p *ProxyEndpoint) check(problems *Problems) {
	p.Endpoint.checkIn("ProxyEndpoint", problems)
	if f := p.PostClientFlow; f != nil {
		if len(f.Request) > 0 {
			problems.Warnf(f.Request[0].Pos, "<PostClientFlow> does not run the steps of <Request>")
		}
	}
	p.checkConnection(problems)
	p.checkRoutes(problems)
}

// ParseTargetEndpoint reads a file of targets/.
func ParseTargetEndpoint(el *Element, problems *Problems) *TargetEndpoint {
	t := new(TargetEndpoint)
	Decode(el, t, problems)
	return t
}

func (t *TargetEndpoint) check(problems *Problems) {
	t.Endpoint.checkIn("TargetEndpoint", problems)
	t.checkConnections(problems)
}

// ParseIntegrationEndpoint reads a file of integration-endpoints/.
func ParseIntegrationEndpoint(el *Element, problems *Problems) *IntegrationEndpoint {
	i := new(IntegrationEndpoint)
	Decode(el, i, problems)
	return i
}

func (i *IntegrationEndpoint) check(problems *Problems) {
	checkName(i.Pos, "IntegrationEndpoint", i.Name, problems)
}

// ParseSharedFlow reads a file of sharedflows/.
func ParseSharedFlow(el *Element, problems *Problems) *SharedFlow {
	f := new(SharedFlow)
	Decode(el, f, problems)
	return f
}

func (f *SharedFlow) check(problems *Problems) {
	checkName(f.Pos, "SharedFlow", f.Name, problems)
}

func (e *Endpoint) checkIn(root string, problems *Problems) {
	checkName(e.Pos, root, e.Name, problems)
	for _, f := range []*Flow{e.PreFlow, e.PostFlow} {
		if f != nil && f.Condition != "" {
			problems.Warnf(f.ConditionPos, "<Condition> of a PreFlow or PostFlow has no effect")
		}
	}
	e.checkFlows(root, problems)
	for _, r := range e.FaultRules {
		r.checkListed(problems)
	}
}

func (e *Endpoint) checkFlows(root string, problems *Problems) {
	if n := len(e.Flows); n > MaxFlows {
		problems.Errorf(e.Pos, "<%s> has %d flows, the limit is %d", root, n, MaxFlows)
	}
	hidden, by := false, ""
	for _, f := range e.Flows {
		if hidden {
			problems.Warnf(f.Pos, "flow %q never runs: flow %q before it has no condition", f.Name, by)
		} else if f.Condition == "" {
			hidden, by = true, f.Name
		}
	}
}

func (f *EventFlow) check(problems *Problems) {
	if len(f.Request) > 0 {
		problems.Warnf(f.Request[0].Pos, "<EventFlow> does not run the steps of <Request>")
	}
	if !strings.HasPrefix(f.ContentType, "text/event-stream") {
		problems.Errorf(f.Pos, "attribute content-type of <EventFlow> is %q, want text/event-stream", f.ContentType)
	}
}

// checkListed looks at what a <FaultRule> may not do and the default one may.
func (r *FaultRule) checkListed(problems *Problems) {
	if len(r.Steps) == 0 {
		problems.Warnf(r.Pos, "<FaultRule> %q has no <Step>", r.Name)
	}
	if r.AlwaysEnforce {
		problems.Warnf(r.Pos, "<AlwaysEnforce> has an effect in <DefaultFaultRule> only")
	}
}

func (s *Step) check(problems *Problems) {
	if s.Name == "" {
		problems.Errorf(s.Pos, "<Step> has no <Name>")
	}
	if s.FaultRules != nil && len(s.FaultRules.Children) > 0 {
		problems.Warnf(s.FaultRules.Pos, "<FaultRules> of a step are ignored")
	}
}

// checkConnection gives p a connection and a base path without trailing slash.
func (p *ProxyEndpoint) checkConnection(problems *Problems) {
	c := p.Connection
	if c == nil {
		problems.Errorf(p.Pos, "<ProxyEndpoint> has no <HTTPProxyConnection>")
		return
	}
	c.Properties.check(proxyProperties, "ProxyEndpoint", problems)
	if len(c.VirtualHosts) > 0 {
		problems.Warnf(c.Pos, "<VirtualHost> has no effect: the hosts of an API proxy are those of its environment group")
	}
	if c.BasePath == "" {
		problems.Warnf(c.Pos, "<HTTPProxyConnection> has no <BasePath>, it is /")
		c.BasePath, c.BasePathPos = "/", c.Pos
		return
	}
	if fault := basePathFault(c.BasePath); fault != "" {
		problems.Errorf(c.BasePathPos, "<BasePath> is %q, %s", c.BasePath, fault)
	}
	if c.BasePath = strings.TrimRight(c.BasePath, "/"); c.BasePath == "" {
		c.BasePath = "/"
	}
}

// basePathFault says what is wrong with a base path, or "".
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/api-proxy-configuration-reference (wildcards in base paths)
func basePathFault(path string) string {
	rest, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return "it must start with /"
	}
	if strings.ContainsAny(path, "?#{}\\ \t\n\"<>") {
		return "it must be a plain path"
	}
	first := true
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		switch {
		case segment == "" && rest != "" && rest != "/":
			return "it must not have empty segments"
		case segment == "." || segment == "..":
			return "it must not have . or .. segments"
		case segment == "*" && first:
			return "* cannot be its first segment"
		case segment != "*" && strings.Contains(segment, "*"):
			return "* must be a whole segment"
		}
		first = false
	}
	return ""
}

func (p *ProxyEndpoint) checkRoutes(problems *Problems) {
	if len(p.RouteRules) == 0 {
		problems.Warnf(p.Pos, "<ProxyEndpoint> has no <RouteRule>, every call fails with RouteFailed")
	}
	hidden, by, names := false, "", map[string]bool{}
	for _, r := range p.RouteRules {
		r.checkIn(names, problems)
		if hidden {
			problems.Warnf(r.Pos, "RouteRule %q is never reached: RouteRule %q before it has no condition", r.Name, by)
		} else if r.Condition == "" {
			hidden, by = true, r.Name
		}
	}
}

func (r *RouteRule) checkIn(names map[string]bool, problems *Problems) {
	switch {
	case r.Name == "":
		problems.Warnf(r.Pos, "<RouteRule> has no attribute name")
	case !validName(r.Name): // it only shows in route.name
		problems.Warnf(r.Pos, "name %q of <RouteRule> has characters other than A-Z a-z 0-9 . _ - $ %% and blank", r.Name)
	case names[r.Name]:
		problems.Warnf(r.Pos, "second <RouteRule> with name %q", r.Name)
	}
	names[r.Name] = true
	given := 0
	for _, to := range []string{r.TargetEndpoint, r.IntegrationEndpoint, r.URL} {
		if to != "" {
			given++
		}
	}
	if given > 1 {
		problems.Errorf(r.Pos, "RouteRule %q has more than one of <TargetEndpoint>, <IntegrationEndpoint> and <URL>", r.Name)
	}
}

func (t *TargetEndpoint) checkConnections(problems *Problems) {
	given := 0
	for _, there := range []bool{t.HTTP != nil, t.Local != nil, t.Script != nil, t.Hosted != nil} {
		if there {
			given++
		}
	}
	switch given {
	case 0:
		problems.Errorf(t.Pos, "<TargetEndpoint> has no <HTTPTargetConnection> or <LocalTargetConnection>")
	case 1:
	default:
		problems.Errorf(t.Pos, "<TargetEndpoint> has more than one connection")
	}
}

// checkName reports a missing or malformed name attribute.
func checkName(pos Pos, root, name string, problems *Problems) {
	switch {
	case name == "":
		problems.Errorf(pos, "<%s> has no attribute name", root)
	case len(name) > MaxNameBytes:
		problems.Errorf(pos, "name of <%s> is longer than %d characters", root, MaxNameBytes)
	case !validName(name):
		problems.Errorf(pos, "name %q of <%s> has characters other than A-Z a-z 0-9 . _ - $ %% and blank", name, root)
	}
}

// validName holds for the names of policies, endpoints and route rules.
func validName(s string) bool {
	for _, c := range []byte(s) {
		if !isAlnum(c) && strings.IndexByte("._-$ %", c) < 0 {
			return false
		}
	}
	return s != ""
}

// ValidBundleName says whether s may name an API proxy or a shared flow.
func ValidBundleName(s string) bool {
	for _, c := range []byte(s) {
		if !isAlnum(c) && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= MaxNameBytes
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
