package flow

import (
	"crypto/x509/pkix"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Formats of the variables that hold a time as text.
const (
	clientTime = "Mon, 02 Jan 2006 15:04:05 UTC"
	systemTime = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// builtin finds the built-in variable called name. Names that go through a
// prefix (propertyset.SET.KEY) are resolved from first and rest.
func builtin(name, first, rest string) (access, bool) {
	switch first {
	case "private":
		// private.propertyset.SET.KEY is the same, kept out of debug sessions.
		if s, ok := strings.CutPrefix(rest, "propertyset."); ok {
			return builtin(name, "propertyset", s)
		}
	case "propertyset":
		set, key, ok := strings.Cut(rest, ".")
		if !ok {
			return access{}, false
		}
		return computed(func(c *Context) Value {
			if v := c.property(set, key); !v.IsNull() {
				return v
			}
			return c.vars[name] // the default of a ReadPropertySet
		}), true
	case "system":
		if s, ok := strings.CutPrefix(rest, "interface."); ok {
			return computed(func(*Context) Value { return interfaceAddress(s) }), true
		}
	}
	a, ok := builtins()[name]
	return a, ok
}

func computed(get func(*Context) Value) access { return access{op: opComputed, get: get} }

func (c *Context) property(set, key string) Value {
	if c.Proxy == nil || c.Proxy.Properties == nil {
		return Value{}
	}
	if v, ok := c.Proxy.Properties.Property(set, key); ok {
		return StringValue(v)
	}
	return Value{}
}

func interfaceAddress(name string) Value {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return Value{}
	}
	addrs, err := ifc.Addrs()
	if err != nil || len(addrs) == 0 {
		return Value{}
	}
	ip, _, _ := strings.Cut(addrs[0].String(), "/")
	return StringValue(ip)
}

// builtins is the table of built-in variables. It is made on first use:
// nothing is allocated at process start.
var builtins = sync.OnceValue(func() map[string]access {
	t := make(map[string]access, 128)
	for name, get := range readOnly {
		t[name] = computed(get)
	}
	for _, n := range writableTarget {
		t[n.name] = access{op: opComputed, get: overridable(n.name, n.get), set: overrideWith(n.name)}
	}
	return t
})

type named struct {
	name string
	get  func(*Context) Value
}

// writableTarget are built-in variables that policies may override.
var writableTarget = []named{
	{"target.url", func(c *Context) Value { return text(c.Target.URL) }},
	{"target.evaluated.url", func(c *Context) Value { return text(c.Target.URL) }},
	{"target.copy.pathsuffix", func(c *Context) Value { return BoolValue(true) }},
	{"target.copy.queryparams", func(c *Context) Value { return BoolValue(true) }},
}

// Override returns what a policy assigned to a built-in variable that may be
// overridden, null if it is as computed.
func (c *Context) Override(name string) Value { return c.vars[name] }

func overridable(name string, get func(*Context) Value) func(*Context) Value {
	return func(c *Context) Value {
		if v, ok := c.vars[name]; ok {
			return v
		}
		return get(c)
	}
}

func overrideWith(name string) func(*Context, Value) error {
	return func(c *Context, v Value) error { c.store(name, v); return nil }
}

func text(s string) Value {
	if s == "" {
		return Value{}
	}
	return StringValue(s)
}

func orEmpty(s string) Value { return StringValue(s) }

func number(n int) Value {
	if n == 0 {
		return Value{}
	}
	return IntValue(int64(n))
}

func stamp(t time.Time) Value {
	if t.IsZero() {
		return Value{}
	}
	return IntValue(t.UnixMilli())
}

func clock(t time.Time) Value {
	if t.IsZero() {
		return Value{}
	}
	return StringValue(t.UTC().Format(clientTime))
}

func (c *Context) systemTime() time.Time { return c.now().UTC() }

func (c *Context) host() string { return c.Virtual }

func (c *Context) clientSubject(part func(pkix.Name) []string) Value {
	if c.Client.TLS == nil || len(c.Client.TLS.PeerCertificates) == 0 {
		return Value{}
	}
	return joinName(part(c.Client.TLS.PeerCertificates[0].Subject))
}

func (c *Context) targetSubject(part func(pkix.Name) []string) Value {
	if c.Target.TLS == nil || len(c.Target.TLS.PeerCertificates) == 0 {
		return Value{}
	}
	return joinName(part(c.Target.TLS.PeerCertificates[0].Subject))
}

func joinName(parts []string) Value { return text(strings.Join(parts, ",")) }

var subjectParts = []struct {
	name string
	part func(pkix.Name) []string
}{
	{"cn", func(n pkix.Name) []string { return []string{n.CommonName} }},
	{"country", func(n pkix.Name) []string { return n.Country }},
	{"locality", func(n pkix.Name) []string { return n.Locality }},
	{"organization", func(n pkix.Name) []string { return n.Organization }},
	{"organization.unit", func(n pkix.Name) []string { return n.OrganizationalUnit }},
	{"state", func(n pkix.Name) []string { return n.Province }},
	{"email.address", emailAddress},
}

// emailAddress is the subject's e-mail attribute, OID 1.2.840.113549.1.9.1.
func emailAddress(n pkix.Name) []string {
	for _, a := range n.Names {
		if a.Type.String() == "1.2.840.113549.1.9.1" {
			if s, ok := a.Value.(string); ok {
				return []string{s}
			}
		}
	}
	return nil
}

// forwardedFor is the last address of X-Forwarded-For, the one that the last
// external hop added; the peer if there is none.
func (c *Context) forwardedFor() Value {
	if values := c.Request.Header.Split("X-Forwarded-For"); len(values) > 0 {
		return text(values[len(values)-1])
	}
	return text(c.Client.IP)
}

var instanceID = sync.OnceValue(uuid.NewString)

var readOnly = map[string]func(*Context) Value{
	"apiproxy.name":     func(c *Context) Value { return text(c.Proxy.Name) },
	"apiproxy.revision": func(c *Context) Value { return text(c.Proxy.Revision) },
	"apiproxy.basepath": func(c *Context) Value { return text(c.Proxy.BasePath) },

	"client.host":                     func(c *Context) Value { return text(c.Client.Host) },
	"client.ip":                       func(c *Context) Value { return text(c.Client.IP) },
	"client.resolved.ip":              func(c *Context) Value { return c.forwardedFor() },
	"client.port":                     func(c *Context) Value { return number(c.Client.Port) },
	"client.scheme":                   func(c *Context) Value { return text(c.Client.Scheme) },
	"client.ssl.enabled":              func(c *Context) Value { return StringValue(BoolValue(c.Client.Scheme == "https").String()) },
	"client.received.start.time":      func(c *Context) Value { return clock(c.Start) },
	"client.received.start.timestamp": func(c *Context) Value { return stamp(c.Start) },
	"client.received.end.time":        func(c *Context) Value { return clock(c.receivedEnd()) },
	"client.received.end.timestamp":   func(c *Context) Value { return stamp(c.receivedEnd()) },
	"client.sent.start.time":          func(c *Context) Value { return orEmpty(clock(c.SentStart).String()) },
	"client.sent.end.time":            func(c *Context) Value { return orEmpty(clock(c.SentEnd).String()) },
	"client.sent.start.timestamp":     func(c *Context) Value { return stampOr(c.SentStart, -1) },
	"client.sent.end.timestamp":       func(c *Context) Value { return stampOr(c.SentEnd, -1) },
	"client.cn":                       func(c *Context) Value { return c.clientSubject(subjectParts[0].part) },
	"client.country":                  func(c *Context) Value { return c.clientSubject(subjectParts[1].part) },
	"client.locality":                 func(c *Context) Value { return c.clientSubject(subjectParts[2].part) },
	"client.organization":             func(c *Context) Value { return c.clientSubject(subjectParts[3].part) },
	"client.organization.unit":        func(c *Context) Value { return c.clientSubject(subjectParts[4].part) },
	"client.state":                    func(c *Context) Value { return c.clientSubject(subjectParts[5].part) },
	"client.email.address":            func(c *Context) Value { return c.clientSubject(subjectParts[6].part) },
	"current.flow.name":               func(c *Context) Value { return text(c.FlowName) },
	"current.flow.description":        func(c *Context) Value { return text(c.FlowDescription) },
	"proxy.flow.name":                 func(c *Context) Value { return text(c.ProxyFlowName) },
	"target.flow.name":                func(c *Context) Value { return text(c.TargetFlowName) },
	"apigee.edge.sharedflow.name":     func(c *Context) Value { return text(c.SharedFlow) },
	"apigee.edge.flowhook.name":       func(c *Context) Value { return text(c.FlowHook) },
	"environment.name":                func(c *Context) Value { return text(c.Proxy.Environment) },
	"organization.name":               func(c *Context) Value { return text(c.Proxy.Organization) },
	"error.state":                     func(c *Context) Value { return c.errorState() },
	"error.message":                   func(c *Context) Value { return c.errorMessage() },
	"is.error":                        func(c *Context) Value { return BoolValue(c.InError) },
	"loadbalancing.failedservers":     func(c *Context) Value { return list(c.Target.Failed) },
	"loadbalancing.isfallback":        func(c *Context) Value { return BoolValue(c.Target.Fallback) },
	"loadbalancing.targetserver":      func(c *Context) Value { return text(c.Target.Server) },
	"messageid":                       func(c *Context) Value { return StringValue(c.MessageID()) },
	"proxy.basepath":                  func(c *Context) Value { return text(c.Proxy.BasePath) },
	"proxy.client.ip":                 func(c *Context) Value { return c.forwardedFor() },
	"proxy.name":                      func(c *Context) Value { return text(c.Proxy.Endpoint) },
	"proxy.pathsuffix":                func(c *Context) Value { return StringValue(c.PathSuffix) },
	"proxy.url":                       func(c *Context) Value { return StringValue(c.Client.Scheme + "://" + c.host() + c.RawURI) },
	"request.transportid":             func(c *Context) Value { return StringValue(c.MessageID()) },
	"route.name":                      func(c *Context) Value { return text(c.RouteName) },
	"route.target":                    func(c *Context) Value { return text(c.RouteTarget) },
	"system.pod.name":                 func(*Context) Value { return text(podName()) },
	"system.region.name":              func(*Context) Value { return text(os.Getenv("PERIGEE_REGION")) },
	"system.uuid":                     func(*Context) Value { return StringValue(instanceID()) },
	"system.time":                     func(c *Context) Value { return StringValue(c.systemTime().Format(systemTime)) },
	"system.time.year":                func(c *Context) Value { return IntValue(int64(c.systemTime().Year())) },
	"system.time.month":               func(c *Context) Value { return IntValue(int64(c.systemTime().Month())) },
	"system.time.day":                 func(c *Context) Value { return IntValue(int64(c.systemTime().Day())) },
	"system.time.dayofweek":           func(c *Context) Value { return IntValue(int64(c.systemTime().Weekday()) + 1) },
	"system.time.hour":                func(c *Context) Value { return IntValue(int64(c.systemTime().Hour())) },
	"system.time.minute":              func(c *Context) Value { return IntValue(int64(c.systemTime().Minute())) },
	"system.time.second":              func(c *Context) Value { return IntValue(int64(c.systemTime().Second())) },
	"system.time.millisecond":         func(c *Context) Value { return IntValue(int64(c.systemTime().Nanosecond() / 1e6)) },
	"system.time.zone":                func(*Context) Value { return StringValue("UTC") },
	"system.timestamp":                func(c *Context) Value { return IntValue(c.now().UnixMilli()) },
	"target.basepath":                 func(c *Context) Value { return text(c.Target.BasePath) },
	"target.host":                     func(c *Context) Value { return text(c.Target.Host) },
	"target.ip":                       func(c *Context) Value { return text(c.Target.IP) },
	"target.port":                     func(c *Context) Value { return number(c.Target.Port) },
	"target.name":                     func(c *Context) Value { return text(c.Target.Name) },
	"target.scheme":                   func(c *Context) Value { return text(c.Target.Scheme) },
	"target.ssl.enabled":              func(c *Context) Value { return BoolValue(c.Target.Scheme == "https") },
	"target.sent.start.time":          func(c *Context) Value { return clock(c.Target.SentStart) },
	"target.sent.start.timestamp":     func(c *Context) Value { return stamp(c.Target.SentStart) },
	"target.sent.end.time":            func(c *Context) Value { return clock(c.Target.SentEnd) },
	"target.sent.end.timestamp":       func(c *Context) Value { return stamp(c.Target.SentEnd) },
	"target.received.start.time":      func(c *Context) Value { return clock(c.Target.ReceivedStart) },
	"target.received.start.timestamp": func(c *Context) Value { return stamp(c.Target.ReceivedStart) },
	"target.received.end.time":        func(c *Context) Value { return clock(c.Target.ReceivedEnd) },
	"target.received.end.timestamp":   func(c *Context) Value { return stamp(c.Target.ReceivedEnd) },
	"target.cn":                       func(c *Context) Value { return c.targetSubject(subjectParts[0].part) },
	"target.country":                  func(c *Context) Value { return c.targetSubject(subjectParts[1].part) },
	"target.locality":                 func(c *Context) Value { return c.targetSubject(subjectParts[2].part) },
	"target.organization":             func(c *Context) Value { return c.targetSubject(subjectParts[3].part) },
	"target.organization.unit":        func(c *Context) Value { return c.targetSubject(subjectParts[4].part) },
	"target.state":                    func(c *Context) Value { return c.targetSubject(subjectParts[5].part) },
	"target.email.address":            func(c *Context) Value { return c.targetSubject(subjectParts[6].part) },
}

func (c *Context) receivedEnd() time.Time {
	if c.ReceivedEnd.IsZero() {
		return c.Start
	}
	return c.ReceivedEnd
}

func stampOr(t time.Time, otherwise int64) Value {
	if t.IsZero() {
		return IntValue(otherwise)
	}
	return IntValue(t.UnixMilli())
}

func (c *Context) errorState() Value {
	if !c.InError {
		return Value{}
	}
	return IntValue(int64(c.Phase))
}

func (c *Context) errorMessage() Value {
	if c.Fault == nil {
		return Value{}
	}
	return StringValue(c.Fault.Text)
}

// podName is Cloud Run's revision and instance, or the host's name.
func podName() string {
	for _, k := range []string{"K_REVISION", "AWS_LAMBDA_LOG_STREAM_NAME", "HOSTNAME"} {
		if v := os.Getenv(k); v != "" {
			return v
		}
	}
	h, _ := os.Hostname()
	return h
}
