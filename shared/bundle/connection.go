package bundle

import (
	"strconv"
	"strings"
)

// ParseHTTPTargetConnection reads an <HTTPTargetConnection> of a target or of
// a ServiceCallout.
func ParseHTTPTargetConnection(el *Element, problems *Problems) *HTTPTargetConnection {
	c := new(HTTPTargetConnection)
	Decode(el, c, problems)
	return c
}

// ParseLocalTargetConnection reads a <LocalTargetConnection>.
func ParseLocalTargetConnection(el *Element, problems *Problems) *LocalTargetConnection {
	c := new(LocalTargetConnection)
	Decode(el, c, problems)
	return c
}

// ParseLoadBalancer reads a <LoadBalancer>.
func ParseLoadBalancer(el *Element, problems *Problems) *LoadBalancer {
	lb := new(LoadBalancer)
	Decode(el, lb, problems)
	return lb
}

// ParseHealthMonitor reads a <HealthMonitor>.
func ParseHealthMonitor(el *Element, problems *Problems) *HealthMonitor {
	m := new(HealthMonitor)
	Decode(el, m, problems)
	return m
}

// ParseSSLInfo reads an <SSLInfo>.
func ParseSSLInfo(el *Element, problems *Problems) *SSLInfo {
	s := new(SSLInfo)
	Decode(el, s, problems)
	return s
}

// ParseAuthentication reads an <Authentication> of a target, a ServiceCallout,
// an AssignMessage or an ExternalCallout; nil if it holds nothing.
func ParseAuthentication(el *Element, problems *Problems) *Authentication {
	a := new(Authentication)
	Decode(el, a, problems)
	if a.empty() {
		return nil
	}
	return a
}

func (c *HTTPTargetConnection) check(problems *Problems) {
	switch {
	case c.URL != "" && c.LoadBalancer != nil:
		problems.Errorf(c.Pos, "<HTTPTargetConnection> has both <URL> and <LoadBalancer>")
	case c.URL == "" && c.LoadBalancer == nil:
		problems.Errorf(c.Pos, "<HTTPTargetConnection> has neither <URL> nor <LoadBalancer>")
	}
	c.Properties.check(targetProperties, "target", problems)
	if c.HealthMonitor != nil {
		c.checkMonitored(problems)
	}
	if c.Authentication != nil && c.Authentication.empty() {
		c.Authentication = nil
	}
}

// checkMonitored warns of a monitor that can change nothing: a server is only
// taken out after MaxFailures.
func (c *HTTPTargetConnection) checkMonitored(problems *Problems) {
	if lb := c.LoadBalancer; lb == nil || lb.MaxFailures == 0 {
		problems.Warnf(c.HealthMonitor.Pos, "<HealthMonitor> has no effect without a <LoadBalancer> whose <MaxFailures> is above 0")
	}
}

func (c *LocalTargetConnection) check(problems *Problems) {
	byName := c.APIProxy != "" && c.ProxyEndpoint != "" && c.Path == ""
	byPath := c.APIProxy == "" && c.ProxyEndpoint == "" && c.Path != ""
	if !byName && !byPath {
		problems.Errorf(c.Pos, "<LocalTargetConnection> needs <APIProxy> and <ProxyEndpoint>, or <Path>")
	}
	for _, p := range c.Properties {
		problems.Warnf(p.Pos, "property %s has no effect: a <LocalTargetConnection> makes no connection", p.Name)
	}
}

func (lb *LoadBalancer) check(problems *Problems) {
	if len(lb.Servers) == 0 {
		problems.Errorf(lb.Pos, "<LoadBalancer> has no <Server>")
	}
	names, fallbacks := map[string]bool{}, 0
	for _, s := range lb.Servers {
		s.checkIn(names, problems)
		if s.IsFallback {
			fallbacks++
		}
		if fallbacks == 2 && s.IsFallback {
			problems.Errorf(s.Pos, "<LoadBalancer> has more than one <Server> with <IsFallback>")
		}
	}
	notNegative(lb.Pos, "MaxFailures", lb.MaxFailures, problems)
	notNegative(lb.Pos, "TargetDisableSecs", lb.TargetDisableSecs, problems)
}

func (s *LBServer) checkIn(names map[string]bool, problems *Problems) {
	switch {
	case s.Name == "":
		problems.Errorf(s.Pos, "<Server> has no attribute name")
	case names[s.Name]:
		problems.Errorf(s.Pos, "second <Server> with name %q", s.Name)
	}
	names[s.Name] = true
	notNegative(s.Pos, "Weight", s.Weight, problems)
}

func (m *HealthMonitor) check(problems *Problems) {
	switch {
	case m.TCPMonitor != nil && m.HTTPMonitor != nil:
		problems.Errorf(m.Pos, "<HealthMonitor> has both <TCPMonitor> and <HTTPMonitor>")
	case m.TCPMonitor == nil && m.HTTPMonitor == nil && m.IsEnabled:
		problems.Errorf(m.Pos, "<HealthMonitor> has neither <TCPMonitor> nor <HTTPMonitor>")
	}
	if m.IsEnabled && m.IntervalInSec < 1 {
		problems.Errorf(m.Pos, "<IntervalInSec> is %d, want at least 1", m.IntervalInSec)
	}
}

func (t *TCPMonitor) check(problems *Problems) {
	notNegative(t.Pos, "ConnectTimeoutInSec", t.ConnectTimeoutInSec, problems)
	checkPort(t.Pos, t.Port, problems)
}

func (m *HTTPMonitor) check(problems *Problems) {
	if m.Request == nil {
		problems.Errorf(m.Pos, "<HTTPMonitor> has no <Request>")
	}
}

func (r *MonitorRequest) check(problems *Problems) {
	notNegative(r.Pos, "ConnectTimeoutInSec", r.ConnectTimeoutInSec, problems)
	notNegative(r.Pos, "SocketReadTimeoutInSec", r.SocketReadTimeoutInSec, problems)
	checkPort(r.Pos, r.Port, problems)
	checkHeaders(r.Pos, r.Headers, problems)
}

func (r *MonitorResponse) check(problems *Problems) {
	for _, code := range r.ResponseCodes {
		if code < 100 || code > 599 {
			problems.Errorf(r.Pos, "<ResponseCode> is %d, want 100 to 599", code)
		}
	}
	checkHeaders(r.Pos, r.Headers, problems)
}

func checkHeaders(pos Pos, headers []*MonitorHeader, problems *Problems) {
	for _, h := range headers {
		if !validToken(h.Name) {
			problems.Errorf(pos, "<Header> has the name %q", h.Name)
		}
	}
}

func notNegative(pos Pos, name string, n int, problems *Problems) {
	if n < 0 {
		problems.Errorf(pos, "<%s> is %d, want 0 or more", name, n)
	}
}

func checkPort(pos Pos, port int, problems *Problems) {
	if port < 0 || port > 65535 {
		problems.Errorf(pos, "<Port> is %d, want 1 to 65535", port)
	}
}

func (s *SSLInfo) check(problems *Problems) {
	boolOrTemplate(s.Pos, "Enabled", s.Enabled, problems)
	boolOrTemplate(s.Pos, "ClientAuthEnabled", s.ClientAuthEnabled, problems)
	if on, _ := ParseBool(s.ClientAuthEnabled); on && (s.KeyStore == "" || s.KeyAlias == "") {
		problems.Errorf(s.Pos, "<ClientAuthEnabled> needs <KeyStore> and <KeyAlias>")
	}
	if s.CertAlias != "" {
		problems.Warnf(s.Pos, "<CertAlias> has no effect: the certificate of <KeyAlias> is sent, and a target's is held against all of <TrustStore>")
	}
	for _, p := range s.Protocols {
		switch p {
		case "TLSv1.2", "TLSv1.3", "":
		case "TLSv1", "TLSv1.1", "SSLv2", "SSLv3", "SSLv2Hello":
			problems.Warnf(s.Pos, "<Protocol> %s is not offered any more", p)
		default:
			problems.Errorf(s.Pos, "<Protocol> is %q, want TLSv1.2 or TLSv1.3", p)
		}
	}
}

func boolOrTemplate(pos Pos, name, value string, problems *Problems) {
	if _, ok := ParseBool(value); !ok && value != "" && !strings.Contains(value, "{") {
		problems.Errorf(pos, "<%s> is %q, want true, false or a template", name, value)
	}
}

// empty holds for <Authentication/>, as the reference page shows it among the
// children of a target.
func (a *Authentication) empty() bool {
	return a.GoogleAccessToken == nil && a.GoogleIDToken == nil
}

func (a *Authentication) check(problems *Problems) {
	switch {
	case a.GoogleAccessToken != nil && a.GoogleIDToken != nil:
		problems.Errorf(a.Pos, "<Authentication> has both <GoogleAccessToken> and <GoogleIDToken>")
	case a.empty():
		problems.Warnf(a.Pos, "<Authentication> has neither <GoogleAccessToken> nor <GoogleIDToken>, no token is sent")
	}
	if !validToken(a.HeaderName.Value) {
		problems.Errorf(a.HeaderName.Pos, "<HeaderName> is %q, which is no header name", a.HeaderName.Value)
	}
}

func (t *GoogleAccessToken) check(problems *Problems) {
	if strings.Join(t.Scopes, "") == "" {
		problems.Errorf(t.Pos, "<GoogleAccessToken> has no <Scope>")
	}
	if l := t.LifetimeInSeconds; l != nil && l.Value != "" {
		if n, err := strconv.Atoi(l.Value); err != nil || n < 1 {
			problems.Errorf(l.Pos, "<LifetimeInSeconds> is %q, want a number of seconds", l.Value)
		}
	}
}

func (t *GoogleIDToken) check(problems *Problems) {
	a := t.Audience
	if a == nil || a.Value == "" && a.Ref == "" && !a.UseTargetURL {
		problems.Errorf(t.Pos, "<GoogleIDToken> has no <Audience>")
	}
	if e := t.IncludeEmail; e != nil && e.Value != "" {
		if _, ok := ParseBool(e.Value); !ok {
			problems.Errorf(e.Pos, "<IncludeEmail> is %q, want true or false", e.Value)
		}
	}
}

// validToken says whether s is a token of RFC 9110 section 5.6.2.
func validToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}
