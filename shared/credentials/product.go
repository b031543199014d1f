package credentials

import (
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Quota is a quota as it is configured; a Limit of "" is none.
type Quota struct{ Limit, Interval, TimeUnit string }

// Product is an API product, ready to be matched with calls. It is immutable.
type Product struct {
	// API is the product as the Management API shows it. Read only.
	API *apigee.GoogleCloudApigeeV1ApiProduct
	// Quota and LLMQuota are those of the product itself; an operation's own
	// go before them.
	Quota, LLMQuota Quota
	// CounterScope says what shares a counter where an operation has no quota of
	// its own: PROXY, OPERATION (also if empty) or PRODUCT.
	CounterScope string

	environments []string // none is all
	proxies      []string // of a product without operations; none is all
	resources    []resource
	grouped      bool // it has operations, and allows nothing else
	operations   []*Operation
	vars         map[string]flow.Value
}

// Operation is an operation of a product's operation groups.
type Operation struct {
	// Name is its resource, or what else names it in its group.
	Name string
	// Resource and Methods are empty for operations not told by path.
	Resource string
	Methods  []string
	// Quota is the operation's own, or zero.
	Quota      Quota
	Attributes []*apigee.GoogleCloudApigeeV1Attribute

	index    int
	kind     kind
	proxy    string
	resource resource
	types    []string // of GraphQL operations
	model    string   // "" is any
	vars     map[string]flow.Value
}

// Name is the product's name.
func (p *Product) Name() string { return p.API.Name }

// Scopes are the OAuth scopes of the product.
func (p *Product) Scopes() []string { return p.API.Scopes }

// Compile makes a product ready to be matched.
func Compile(api *apigee.GoogleCloudApigeeV1ApiProduct) *Product {
	p := &Product{
		API: api, environments: api.Environments, proxies: api.Proxies, CounterScope: api.QuotaCounterScope,
		Quota:    Quota{api.Quota, api.QuotaInterval, api.QuotaTimeUnit},
		LLMQuota: Quota{api.LlmQuota, api.LlmQuotaInterval, api.LlmQuotaTimeUnit},
	}
	for _, r := range api.ApiResources {
		p.resources = append(p.resources, compileResource(strings.TrimSpace(r)))
	}
	slices.SortStableFunc(p.resources, func(a, b resource) int { return moreInclusive(&a, &b) })
	p.rest()
	p.graphQL()
	p.grpc()
	p.llm()
	p.payload()
	slices.SortStableFunc(p.operations, func(a, b *Operation) int { return moreInclusive(&a.resource, &b.resource) })
	for i, o := range p.operations {
		o.index = i
		o.vars = o.variables()
	}
	p.vars = p.variables()
	return p
}

// Allows reports whether the product allows a call, and by which operation if it
// has operations.
func (p *Product) Allows(call *policy.APICall) (*Operation, bool) {
	var buf segments
	suffix := splitPath(call.Path, buf[:0])
	return p.allows(call, &suffix)
}

func (p *Product) allows(call *policy.APICall, suffix *path) (*Operation, bool) {
	if len(p.environments) > 0 && !slices.Contains(p.environments, call.Environment) {
		return nil, false
	}
	if p.grouped {
		for _, o := range p.operations {
			if o.proxy == call.Proxy && o.allows(call, suffix) {
				return o, true
			}
		}
		return nil, false
	}
	if len(p.proxies) > 0 && !slices.Contains(p.proxies, call.Proxy) {
		return nil, false
	}
	if len(p.resources) == 0 {
		return nil, true
	}
	for i := range p.resources {
		if p.resources[i].matches(suffix) {
			return nil, true
		}
	}
	return nil, false
}

func quota(q *apigee.GoogleCloudApigeeV1Quota) Quota {
	if q == nil {
		return Quota{}
	}
	return Quota{q.Limit, q.Interval, q.TimeUnit}
}

func (p *Product) add(o Operation) { p.operations = append(p.operations, &o) }

// proxyGroup reports whether a group is about proxies; the other kind is for
// services behind other gateways.
func proxyGroup(typ string) bool { return typ == "" || typ == "proxy" }

// kind is what tells an operation.
type kind uint8

const (
	byPath    kind = iota // path and verb
	byGraphQL             // what the GraphQL policy found before the key was checked
	byGRPC                // the last two segments of the path, wherever the base path ends
	byModel               // path and verb, and the model once a policy has found it
	byPayload             // what ParsePayload found before the key was checked
)

func (o *Operation) allows(call *policy.APICall, p *path) bool {
	op := &call.Operation
	switch o.kind {
	case byPath, byModel:
		return methods(o.Methods).allow(call.Method) && o.resource.matches(p) &&
			(o.model == "" || op.Model == "" || op.Model == o.model)
	case byGraphQL:
		return op.GraphQLType != "" && (o.Name == "" || o.Name == op.GraphQLName) && slices.Contains(o.types, strings.ToUpper(op.GraphQLType))
	case byGRPC:
		service, method := lastTwo(call, p)
		return service == o.Name && method != "" && methods(o.Methods).allow(method)
	case byPayload:
		return op.Payload != "" && op.Payload == o.Name
	}
	return false
}

func (p *Product) rest() {
	g := p.API.OperationGroup
	if g == nil {
		return
	}
	p.grouped = true
	if !proxyGroup(g.OperationConfigType) {
		return
	}
	for _, c := range g.OperationConfigs {
		ops := c.Operations
		if len(ops) == 0 {
			ops = []*apigee.GoogleCloudApigeeV1Operation{{Resource: "/"}}
		}
		for _, op := range ops {
			p.add(Operation{
				Name: op.Resource, Resource: op.Resource, Methods: upper(op.Methods), Quota: quota(c.Quota), Attributes: c.Attributes,
				kind: byPath, proxy: c.ApiSource, resource: compileResource(op.Resource),
			})
		}
	}
}

func upper(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s = strings.ToUpper(strings.TrimSpace(s)); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (p *Product) graphQL() {
	g := p.API.GraphqlOperationGroup
	if g == nil {
		return
	}
	p.grouped = true
	if !proxyGroup(g.OperationConfigType) {
		return
	}
	for _, c := range g.OperationConfigs {
		for _, op := range c.Operations {
			p.add(Operation{
				Name: op.Operation, Quota: quota(c.Quota), Attributes: c.Attributes,
				kind: byGraphQL, proxy: c.ApiSource, types: upper(op.OperationTypes),
			})
		}
	}
}

func (p *Product) grpc() {
	g := p.API.GrpcOperationGroup
	if g == nil {
		return
	}
	p.grouped = true
	for _, c := range g.OperationConfigs {
		p.add(Operation{
			Name: strings.Trim(c.Service, "/"), Methods: c.Methods, Quota: quota(c.Quota), Attributes: c.Attributes,
			kind: byGRPC, proxy: c.ApiSource,
		})
	}
}

// lastTwo are the last segments of "/package.Service/Method".
func lastTwo(call *policy.APICall, p *path) (service, method string) {
	switch n := len(p.segments); n {
	case 0:
		return "", ""
	case 1:
		return call.BasePath[strings.LastIndexByte(call.BasePath, '/')+1:], p.segments[0]
	default:
		return p.segments[n-2], p.segments[n-1]
	}
}

func (p *Product) llm() {
	g := p.API.LlmOperationGroup
	if g == nil {
		return
	}
	p.grouped = true
	for _, c := range g.OperationConfigs {
		own := Quota{}
		if q := c.LlmTokenQuota; q != nil {
			own = Quota{q.Limit, q.Interval, q.TimeUnit}
		}
		for _, op := range c.LlmOperations {
			p.add(Operation{
				Name: op.Resource, Resource: op.Resource, Methods: upper(op.Methods), Quota: own, Attributes: c.Attributes,
				kind: byModel, proxy: c.ApiSource, resource: compileResource(op.Resource), model: op.Model,
			})
		}
	}
}

func (p *Product) payload() {
	g := p.API.PayloadOperationGroup
	if g == nil {
		return
	}
	p.grouped = true
	for _, c := range g.OperationConfigs {
		for _, op := range c.Operations {
			p.add(Operation{
				Name: op.Operation, Quota: quota(c.Quota), Attributes: c.Attributes, proxy: c.ApiSource,
				kind: byPayload,
			})
		}
	}
}
