// Package bundle turns an Apigee API proxy (apiproxy/) or shared flow
// (sharedflowbundle/) from a directory, a zip or an fs.FS into a typed model in
// which everything knows its file and line. It checks what can be seen in the
// files alone and reports every problem at once.
//
// It has no behaviour: conditions and templates stay text, policies stay XML
// (a policy package reads its own with [Decode]).
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/api-proxy-configuration-reference
package bundle

// Kind says what a bundle holds.
type Kind string

// The two kinds of bundle; the values are the root elements of their
// descriptors.
const (
	KindAPIProxy   Kind = "APIProxy"
	KindSharedFlow Kind = "SharedFlowBundle"
)

// Folder returns the folder that holds a bundle of this kind.
func (k Kind) Folder() string {
	if k == KindSharedFlow {
		return "sharedflowbundle"
	}
	return "apiproxy"
}

// Bundle is one loaded API proxy or shared flow.
type Bundle struct {
	Kind Kind

	// Name, Revision, DisplayName and Description come from the descriptor and
	// are empty when there is none. The name a bundle is imported under wins.
	Name, Revision, DisplayName, Description string

	// Descriptor is the file beside the folders, nil if absent. It is
	// informative only: the files in the folders decide.
	Descriptor *Descriptor

	Proxies      []*ProxyEndpoint // all lists: in order of file names
	Targets      []*TargetEndpoint
	Integrations []*IntegrationEndpoint
	SharedFlows  []*SharedFlow
	Policies     []*Policy
	Resources    []*Resource

	Warnings Problems

	files []file // as loaded, sorted
}

// Policy returns the policy called name, or nil.
func (b *Bundle) Policy(name string) *Policy {
	return find(b.Policies, func(p *Policy) bool { return p.Name == name })
}

// Proxy returns the ProxyEndpoint called name, or nil.
func (b *Bundle) Proxy(name string) *ProxyEndpoint {
	return find(b.Proxies, func(p *ProxyEndpoint) bool { return p.Name == name })
}

// Target returns the TargetEndpoint called name, or nil.
func (b *Bundle) Target(name string) *TargetEndpoint {
	return find(b.Targets, func(t *TargetEndpoint) bool { return t.Name == name })
}

// Integration returns the IntegrationEndpoint called name, or nil.
func (b *Bundle) Integration(name string) *IntegrationEndpoint {
	return find(b.Integrations, func(i *IntegrationEndpoint) bool { return i.Name == name })
}

// Resource returns the resource type://name, or nil.
func (b *Bundle) Resource(typ, name string) *Resource {
	return find(b.Resources, func(r *Resource) bool { return r.Type == typ && r.Name == name })
}

// SharedFlow returns the flow a shared flow bundle runs: the one called
// "default", else the first. Nil in an API proxy.
func (b *Bundle) SharedFlow() *SharedFlow {
	if f := find(b.SharedFlows, func(f *SharedFlow) bool { return f.Name == "default" }); f != nil {
		return f
	}
	if len(b.SharedFlows) == 0 {
		return nil
	}
	return b.SharedFlows[0]
}

// BasePaths returns the base path of every ProxyEndpoint.
func (b *Bundle) BasePaths() []string {
	var paths []string
	for _, p := range b.Proxies {
		if p.Connection != nil {
			paths = append(paths, p.Connection.BasePath)
		}
	}
	return paths
}

func find[T any](list []*T, ok func(*T) bool) *T {
	for _, x := range list {
		if ok(x) {
			return x
		}
	}
	return nil
}

// Descriptor is the root file of a bundle, NAME.xml.
type Descriptor struct {
	Pos
	Name                 string               `xml:"name,attr"`
	Revision             string               `xml:"revision,attr"`
	DisplayName          string               `xml:"DisplayName"`
	Description          string               `xml:"Description"`
	ConfigurationVersion ConfigurationVersion `xml:"ConfigurationVersion"`
	CreatedAt            string               `xml:"CreatedAt"` // ms since 1970, as written
	CreatedBy            string               `xml:"CreatedBy"`
	LastModifiedAt       string               `xml:"LastModifiedAt"` // ms since 1970, as written
	LastModifiedBy       string               `xml:"LastModifiedBy"`
	ManifestVersion      string               `xml:"ManifestVersion"`
	Spec                 string               `xml:"Spec"`
	SubType              string               `xml:"subType"`
	BasePaths            []string             `xml:"Basepaths"`
	Policies             []string             `xml:"Policies>Policy"`
	ProxyEndpoints       []string             `xml:"ProxyEndpoints>ProxyEndpoint"`
	TargetEndpoints      []string             `xml:"TargetEndpoints>TargetEndpoint"`
	IntegrationEndpoints []string             `xml:"IntegrationEndpoints>IntegrationEndpoint"`
	TargetServers        []string             `xml:"TargetServers>TargetServer"`
	SharedFlows          []string             `xml:"SharedFlows>SharedFlow"`
	Resources            []string             `xml:"Resources>Resource"`
	Other                []*Element           `xml:",any"`
}

// ConfigurationVersion is the schema version, 4.0.
type ConfigurationVersion struct {
	Major int `xml:"majorVersion,attr" default:"4"`
	Minor int `xml:"minorVersion,attr" default:"0"`
}

// Policy is one file of policies/. Its kind's package reads Root with Decode.
type Policy struct {
	Name string // attribute of the root; steps refer to it
	Kind string // root element, e.g. "AssignMessage"
	File string // "policies/AM-1.xml"
	Root *Element

	Enabled         bool // default true
	ContinueOnError bool
	Async           bool // deprecated, ignored by Apigee
	DisplayName     string
}

// Pos returns the place of the root element.
func (p *Policy) Pos() Pos { return p.Root.Pos }

// Resource is one file of resources/TYPE/.
type Resource struct {
	Type string // folder: jsc, java, py, xsl, xsd, wsdl, oas, graphql, properties ...
	Name string // path beneath the folder, with "/"
	File string // "resources/jsc/a.js"
	Data []byte
}

// URL returns the name policies use, "jsc://a.js".
func (r *Resource) URL() string { return r.Type + "://" + r.Name }

// Endpoint is what ProxyEndpoint and TargetEndpoint share.
type Endpoint struct {
	Pos
	Name             string       `xml:"name,attr"`
	Description      string       `xml:"Description"`
	PreFlow          *Flow        `xml:"PreFlow,once"`
	Flows            []*Flow      `xml:"Flows>Flow"`
	PostFlow         *Flow        `xml:"PostFlow,once"`
	EventFlow        *EventFlow   `xml:"EventFlow,once"`
	FaultRules       []*FaultRule `xml:"FaultRules>FaultRule"` // document order
	DefaultFaultRule *FaultRule   `xml:"DefaultFaultRule,once"`
}

// ProxyEndpoint is one file of proxies/.
type ProxyEndpoint struct {
	Endpoint
	PostClientFlow *Flow                `xml:"PostClientFlow,once"` // Response only
	Connection     *HTTPProxyConnection `xml:"HTTPProxyConnection,once"`
	RouteRules     []*RouteRule         `xml:"RouteRule"`
}

// HTTPProxyConnection is what callers see.
type HTTPProxyConnection struct {
	Pos
	// BasePath has no trailing slash but for "/" alone; absent means "/".
	BasePath     string     `xml:"BasePath,once"`
	BasePathPos  Pos        `pos:"BasePath"`
	VirtualHosts []string   `xml:"VirtualHost"` // Edge; ignored by X
	Properties   Properties `xml:"Properties>Property"`
}

// RouteRule chooses a target; with none of the three destinations it is a null
// route.
type RouteRule struct {
	Pos
	Name                string `xml:"name,attr"`
	Condition           string `xml:"Condition,once"`
	ConditionPos        Pos    `pos:"Condition"`
	TargetEndpoint      string `xml:"TargetEndpoint,once"`
	IntegrationEndpoint string `xml:"IntegrationEndpoint,once"`
	URL                 string `xml:"URL,once"` // literal or template
	URLPos              Pos    `pos:"URL"`
}

// Flow is a PreFlow, PostFlow, PostClientFlow or conditional flow.
type Flow struct {
	Pos
	Name         string  `xml:"name,attr"`
	Description  string  `xml:"Description"`
	Condition    string  `xml:"Condition,once"` // empty: always
	ConditionPos Pos     `pos:"Condition"`
	Request      []*Step `xml:"Request>Step"`
	Response     []*Step `xml:"Response>Step"`
}

// EventFlow holds the steps run for each server-sent event.
type EventFlow struct {
	Pos
	Name        string  `xml:"name,attr"`
	ContentType string  `xml:"content-type,attr"`
	Description string  `xml:"Description"`
	Request     []*Step `xml:"Request>Step"`
	Response    []*Step `xml:"Response>Step"`
}

// Step runs one policy.
type Step struct {
	Pos
	Name         string   `xml:"Name,once"`
	Condition    string   `xml:"Condition,once"` // empty: always
	ConditionPos Pos      `pos:"Condition"`
	FaultRules   *Element `xml:"FaultRules"` // legacy, ignored with a warning
}

// FaultRule is a <FaultRule> or the <DefaultFaultRule>.
type FaultRule struct {
	Pos
	Name          string  `xml:"name,attr"`
	Condition     string  `xml:"Condition,once"` // empty: always
	ConditionPos  Pos     `pos:"Condition"`
	Steps         []*Step `xml:"Step"`
	AlwaysEnforce bool    `xml:"AlwaysEnforce"` // DefaultFaultRule only
}

// TargetEndpoint is one file of targets/. Exactly one of HTTP, Local, Script and
// Hosted is set in a bundle without problems.
type TargetEndpoint struct {
	Endpoint
	HTTP   *HTTPTargetConnection  `xml:"HTTPTargetConnection,once"`
	Local  *LocalTargetConnection `xml:"LocalTargetConnection,once"`
	Script *Element               `xml:"ScriptTarget"` // Edge; not run by X
	Hosted *Element               `xml:"HostedTarget"` // Edge; not run by X
}

// HTTPTargetConnection is the way to a back end; ServiceCallout has one too.
type HTTPTargetConnection struct {
	Pos
	URL            string          `xml:"URL,once"` // template; empty with LoadBalancer
	URLPos         Pos             `pos:"URL"`
	Path           string          `xml:"Path,once"` // template, after the host of a TargetServer
	PathPos        Pos             `pos:"Path"`
	LoadBalancer   *LoadBalancer   `xml:"LoadBalancer,once"`
	HealthMonitor  *HealthMonitor  `xml:"HealthMonitor,once"`
	SSLInfo        *SSLInfo        `xml:"SSLInfo,once"`
	Authentication *Authentication `xml:"Authentication,once"`
	Properties     Properties      `xml:"Properties>Property"`
}

// LocalTargetConnection calls another proxy of the environment in process:
// APIProxy and ProxyEndpoint, or Path. Members may be templates.
type LocalTargetConnection struct {
	Pos
	APIProxy      string     `xml:"APIProxy"`
	ProxyEndpoint string     `xml:"ProxyEndpoint"`
	Path          string     `xml:"Path,once"`
	Properties    Properties `xml:"Properties>Property"`
}

// LoadBalancer spreads calls over TargetServers.
type LoadBalancer struct {
	Pos
	Algorithm               string           `xml:"Algorithm" default:"RoundRobin" enum:"RoundRobin,Weighted,LeastConnections"`
	Servers                 []*LBServer      `xml:"Server"`
	MaxFailures             int              `xml:"MaxFailures" default:"0"`     // 0: never taken out
	RetryEnabled            bool             `xml:"RetryEnabled" default:"true"` // on another server
	TargetDisableSecs       int              `xml:"TargetDisableSecs" default:"300"`
	ServerUnhealthyResponse *MonitorResponse `xml:"ServerUnhealthyResponse"`
}

// UnhealthyCodes returns the status codes that count as failures.
func (lb *LoadBalancer) UnhealthyCodes() []int {
	if lb.ServerUnhealthyResponse == nil {
		return nil
	}
	return lb.ServerUnhealthyResponse.ResponseCodes
}

// LBServer is one <Server> of a LoadBalancer.
type LBServer struct {
	Pos
	Name       string `xml:"name,attr"`
	Weight     int    `xml:"Weight" default:"1"`
	IsFallback bool   `xml:"IsFallback"`
	IsEnabled  bool   `xml:"IsEnabled" default:"true"`
}

// HealthMonitor probes the servers of a LoadBalancer, over HTTP or TCP.
type HealthMonitor struct {
	Pos
	IsEnabled     bool         `xml:"IsEnabled"`
	IntervalInSec int          `xml:"IntervalInSec" default:"5"`
	TCPMonitor    *TCPMonitor  `xml:"TCPMonitor,once"`
	HTTPMonitor   *HTTPMonitor `xml:"HTTPMonitor,once"`
}

// TCPMonitor takes a connection for health.
type TCPMonitor struct {
	Pos
	ConnectTimeoutInSec int `xml:"ConnectTimeoutInSec"`
	Port                int `xml:"Port"` // 0: the server's
}

// HTTPMonitor takes an answer for health.
type HTTPMonitor struct {
	Pos
	Request         *MonitorRequest  `xml:"Request"`
	SuccessResponse *MonitorResponse `xml:"SuccessResponse"` // nil: 200
}

// MonitorRequest is what an HTTPMonitor sends.
type MonitorRequest struct {
	Pos
	UseTargetServerSSLInfo     bool             `xml:"UseTargetServerSSLInfo"`
	ConnectTimeoutInSec        int              `xml:"ConnectTimeoutInSec"`    // 0: 30
	SocketReadTimeoutInSec     int              `xml:"SocketReadTimeoutInSec"` // 0: 30
	Port                       int              `xml:"Port"`                   // 0: the server's
	Verb                       string           `xml:"Verb" default:"GET"`
	Path                       string           `xml:"Path,once"`
	Headers                    []*MonitorHeader `xml:"Header"`
	Payload                    string           `xml:"Payload,raw"`
	IncludeHealthCheckIDHeader bool             `xml:"IncludeHealthCheckIdHeader"`
	IsSSL                      bool             `xml:"IsSSL"`
	TrustAllSSL                bool             `xml:"TrustAllSSL"`
}

// MonitorResponse describes answers by status and headers; all must match.
type MonitorResponse struct {
	Pos
	ResponseCodes []int            `xml:"ResponseCode"`
	Headers       []*MonitorHeader `xml:"Header"`
}

// MonitorHeader is one header of a monitor's request or response.
type MonitorHeader struct {
	Name  string `xml:"name,attr"`
	Value string `xml:",chardata"`
}

// SSLInfo configures TLS to a target. Enabled, ClientAuthEnabled, KeyStore,
// KeyAlias, TrustStore and CRLStore may be templates; store names may be
// "ref://name".
type SSLInfo struct {
	Pos
	Enabled                string      `xml:"Enabled"` // "" is false; the URL's scheme wins
	Enforce                bool        `xml:"Enforce"`
	ClientAuthEnabled      string      `xml:"ClientAuthEnabled"` // "" is false
	KeyStore               string      `xml:"KeyStore"`
	KeyAlias               string      `xml:"KeyAlias"`
	CertAlias              string      `xml:"CertAlias"`
	TrustStore             string      `xml:"TrustStore"`
	IgnoreValidationErrors bool        `xml:"IgnoreValidationErrors"`
	CRLStore               string      `xml:"CRLStore"`
	Ciphers                []string    `xml:"Ciphers>Cipher"`
	Protocols              []string    `xml:"Protocols>Protocol"`
	CommonName             *CommonName `xml:"CommonName"`
}

// CommonName is the name expected in the target's certificate.
type CommonName struct {
	Value         string `xml:",chardata"`
	WildcardMatch bool   `xml:"wildcardMatch,attr"`
}

// Authentication has a Google token put on the request to a target; one of the
// tokens is set. Source: policies reference, <Authentication>.
type Authentication struct {
	Pos
	HeaderName        RefValue           `xml:"HeaderName" default:"Authorization"`
	GoogleAccessToken *GoogleAccessToken `xml:"GoogleAccessToken,once"`
	GoogleIDToken     *GoogleIDToken     `xml:"GoogleIDToken,once"`
}

// GoogleAccessToken asks for an OAuth access token.
type GoogleAccessToken struct {
	Pos
	Scopes            []string  `xml:"Scopes>Scope"`
	LifetimeInSeconds *RefValue `xml:"LifetimeInSeconds"` // default 3600
}

// GoogleIDToken asks for an OpenID Connect token.
type GoogleIDToken struct {
	Pos
	Audience     *Audience `xml:"Audience"`
	IncludeEmail *RefValue `xml:"IncludeEmail"` // default false
}

// Audience of an ID token.
type Audience struct {
	RefValue
	UseTargetURL bool `xml:"useTargetUrl,attr"` // target URL without query
}

// RefValue is a literal with an optional variable that wins over it, as in
// <HeaderName ref="var">literal</HeaderName>.
type RefValue struct {
	Pos
	Value string `xml:",chardata"`
	Ref   string `xml:"ref,attr"`
}

// IntegrationEndpoint is one file of integration-endpoints/.
type IntegrationEndpoint struct {
	Pos
	Name           string `xml:"name,attr"`
	Description    string `xml:"Description"`
	AsyncExecution bool   `xml:"AsyncExecution"`
}

// SharedFlow is one file of sharedflows/.
type SharedFlow struct {
	Pos
	Name        string  `xml:"name,attr"`
	Description string  `xml:"Description"`
	Steps       []*Step `xml:"Step"`
}

// Property is one <Property name="N">value</Property>.
type Property struct {
	Pos
	Name  string `xml:"name,attr"`
	Value string `xml:",chardata"`
}

// Properties is a list of properties; of two with one name the last wins.
type Properties []Property

// Get returns the value of the property name.
func (ps Properties) Get(name string) (string, bool) {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].Name == name {
			return ps[i].Value, true
		}
	}
	return "", false
}

// Common is what the root of every policy may carry; embed it in a policy's
// configuration struct.
type Common struct {
	Pos
	Name            string     `xml:"name,attr"`
	Enabled         bool       `xml:"enabled,attr" default:"true"`
	ContinueOnError bool       `xml:"continueOnError,attr"`
	Async           bool       `xml:"async,attr"` // deprecated, ignored
	DisplayName     string     `xml:"DisplayName"`
	Description     string     `xml:"Description"`
	Properties      Properties `xml:"Properties>Property"`
	FaultRules      *Element   `xml:"FaultRules"` // legacy, ignored
}
