package entity

import (
	"strconv"
	"time"

	apigee "google.golang.org/api/apigee/v1"
)

// Archive refers to a stored file: a bundle's zip, a resource file. It says all
// that is needed to read it in one exchange.
type Archive struct {
	// ID is unique to the file; what it refers to never changes.
	ID string `json:"id"`
	// Chunks is the number of documents it is in.
	Chunks int `json:"chunks"`
	// Size is its length in bytes.
	Size int `json:"size"`
	// SHA256 is the digest of its bytes, in hexadecimal.
	SHA256 string `json:"sha256,omitempty"`
}

// Endpoint is a ProxyEndpoint and what it is called under.
type Endpoint struct {
	Name     string `json:"name"`
	BasePath string `json:"basePath"`
}

// Uses is what a bundle needs from outside, found in its files at import so that
// the data plane can read all of it at once.
type Uses struct {
	// SharedFlows are the literal names its FlowCallouts call.
	SharedFlows []string `json:"sharedFlows,omitempty"`
	// Resources are the type://name it refers to and does not hold.
	Resources []string `json:"resources,omitempty"`
	// Proxies are the API proxies its LocalTargetConnections name.
	Proxies []string `json:"proxies,omitempty"`
}

// Proxy is the document of an API proxy or shared flow, without its revisions.
type Proxy struct {
	Name  string `json:"name"`
	Space string `json:"space,omitempty"`
	// Type is PROGRAMMABLE or CONFIGURABLE.
	Type   string            `json:"type,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Last is the highest revision number ever given; numbers are not given
	// twice.
	Last int `json:"last"`
	// Revisions are the numbers that exist, ascending.
	Revisions []int `json:"revisions,omitempty"`
	// CreatedAt and ModifiedAt are milliseconds since 1970.
	CreatedAt  int64 `json:"createdAt"`
	ModifiedAt int64 `json:"modifiedAt"`
}

// APIProxy is the proxy as the Management API shows it.
func (p *Proxy) APIProxy() *apigee.GoogleCloudApigeeV1ApiProxy {
	typ := p.Type
	if typ == "" {
		typ = "PROGRAMMABLE"
	}
	return &apigee.GoogleCloudApigeeV1ApiProxy{
		Name: p.Name, Space: p.Space, Labels: p.Labels, ApiProxyType: typ,
		Revision: p.revisions(), LatestRevisionId: p.latest(), MetaData: p.metadata("Proxy"),
	}
}

// SharedFlow is the shared flow as the Management API shows it.
func (p *Proxy) SharedFlow() *apigee.GoogleCloudApigeeV1SharedFlow {
	return &apigee.GoogleCloudApigeeV1SharedFlow{
		Name: p.Name, Space: p.Space,
		Revision: p.revisions(), LatestRevisionId: p.latest(), MetaData: p.metadata("SharedFlow"),
	}
}

func (p *Proxy) revisions() []string {
	names := make([]string, len(p.Revisions))
	for i, n := range p.Revisions {
		names[i] = strconv.Itoa(n)
	}
	return names
}

func (p *Proxy) latest() string {
	if len(p.Revisions) == 0 {
		return ""
	}
	return strconv.Itoa(p.Revisions[len(p.Revisions)-1])
}

func (p *Proxy) metadata(subType string) *apigee.GoogleCloudApigeeV1EntityMetadata {
	return &apigee.GoogleCloudApigeeV1EntityMetadata{CreatedAt: p.CreatedAt, LastModifiedAt: p.ModifiedAt, SubType: subType}
}

// Revision is the document of a revision.
type Revision struct {
	Kind      Kind       `json:"kind"`
	Name      string     `json:"name"`
	Revision  string     `json:"revision"`
	Archive   Archive    `json:"archive"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Uses      Uses       `json:"uses"`
	// Extensible is whether the bundle has a policy or element that makes its
	// deployment one of type EXTENSIBLE.
	Extensible bool `json:"extensible,omitempty"`
	// NeedsServiceAccount is whether it can be deployed only with one.
	NeedsServiceAccount bool `json:"needsServiceAccount,omitempty"`
	// Deployed is whether it has ever been deployed; from then on it is
	// immutable.
	Deployed bool `json:"deployed,omitempty"`
	// One of the two is set: what the Management API answers.
	Proxy *apigee.GoogleCloudApigeeV1ApiProxyRevision   `json:"proxy,omitempty"`
	Flow  *apigee.GoogleCloudApigeeV1SharedFlowRevision `json:"flow,omitempty"`
}

// Deployment is the document of a deployed revision: at most one revision of an
// API proxy or shared flow is deployed in an environment.
type Deployment struct {
	Environment string `json:"environment"`
	Kind        Kind   `json:"kind"`
	Name        string `json:"name"`
	Revision    string `json:"revision"`
	// ServiceAccount is the identity at run time, "" for the host's own.
	ServiceAccount string     `json:"serviceAccount,omitempty"`
	Archive        Archive    `json:"archive"`
	Endpoints      []Endpoint `json:"endpoints,omitempty"`
	Uses           Uses       `json:"uses"`
	Extensible     bool       `json:"extensible,omitempty"`
	// StartTime is when it was deployed, in milliseconds since 1970.
	StartTime int64 `json:"startTime"`
}

// API is the deployment as the Management API lists it.
func (d *Deployment) API() *apigee.GoogleCloudApigeeV1Deployment {
	typ := "STANDARD"
	if d.Extensible {
		typ = "EXTENSIBLE"
	}
	if d.Kind == SharedFlow {
		typ = ""
	}
	return &apigee.GoogleCloudApigeeV1Deployment{
		Environment: d.Environment, ApiProxy: d.Name, Revision: d.Revision,
		DeployStartTime: d.StartTime, ServiceAccount: d.ServiceAccount, ProxyDeploymentType: typ,
	}
}

// Route is one entry of the routing index: a base path of an environment and
// the ProxyEndpoint it leads to.
type Route struct {
	// Environment is not stored: the node is the environment's.
	Environment    string  `json:"-"`
	BasePath       string  `json:"b"`
	Proxy          string  `json:"p"`
	Revision       string  `json:"r"`
	Endpoint       string  `json:"e"`
	Archive        Archive `json:"a"`
	ServiceAccount string  `json:"s,omitempty"`
	Uses           Uses    `json:"u"`
}

// Routes are the entries of the routing index that a deployment has.
func (d *Deployment) Routes() []Route {
	routes := make([]Route, len(d.Endpoints))
	for i, e := range d.Endpoints {
		routes[i] = Route{
			Environment: d.Environment, BasePath: e.BasePath, Proxy: d.Name, Revision: d.Revision,
			Endpoint: e.Name, Archive: d.Archive, ServiceAccount: d.ServiceAccount, Uses: d.Uses,
		}
	}
	return routes
}

// Millis is t in milliseconds since 1970, as the Management API gives times.
func Millis(t time.Time) int64 { return t.UnixMilli() }
