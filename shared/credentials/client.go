package credentials

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Client is a consumer key and all it leads to, as of one moment. It is immutable
// and shared by calls. That there is a Client says nothing about its rights: ask
// Check, then Match.
type Client struct {
	// ID is the consumer key. It is a credential: not for logs.
	ID string
	// Credential is the key without key and secret: status, expiry, scopes,
	// attributes. Read only, as all below.
	Credential *apigee.GoogleCloudApigeeV1Credential
	// App is whose key it is, without its credentials; AppFamily goes with it.
	App       *apigee.GoogleCloudApigeeV1App
	AppFamily string
	// AppProducts are the products of all keys of the app, sorted.
	AppProducts []string
	// Developer or Group is the owner of the app. Both are nil if it has been
	// deleted.
	Developer *apigee.GoogleCloudApigeeV1Developer
	Group     *apigee.GoogleCloudApigeeV1AppGroup
	// Associations are the key's products in their order.
	Associations []Association

	org    string
	secret string
	grants []atomic.Pointer[policy.Grant] // by association and operation, made on first use
	vars   func() map[string]flow.Value
}

// Association is a product of a key. The product may be used if the association
// is approved.
type Association struct {
	Name, Status string
	// Product is nil if the product does not exist any more.
	Product *Product

	first int // its first place in grants
}

// Approved reports whether the association lets the key use the product.
func (a *Association) Approved() bool { return a.Status == entity.Approved && a.Product != nil }

// newClient makes a Client of what was read; product finds the compiled products.
func newClient(org string, h *registry.Holder, product func(name string) *Product) *Client {
	c := &Client{
		ID: h.Pair.Key, secret: h.Pair.Secret, org: org, Credential: h.Credential.Public,
		App: h.App.Profile, AppFamily: h.App.AppFamily, AppProducts: h.App.Products(), Developer: h.Developer, Group: h.Group,
	}
	n := 0
	for _, ref := range h.Credential.Public.ApiProducts {
		a := Association{Name: ref.Apiproduct, Status: ref.Status, Product: product(ref.Apiproduct), first: n}
		if n++; a.Product != nil {
			n += len(a.Product.operations)
		}
		c.Associations = append(c.Associations, a)
	}
	c.grants = make([]atomic.Pointer[policy.Grant], n)
	c.vars = sync.OnceValue(c.variables)
	return c
}

// CheckSecret reports whether the consumer secret is the key's, in a time that
// does not depend on how much of it is right. An empty one never is.
func (c *Client) CheckSecret(secret string) bool {
	given, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(c.secret))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1 && c.secret != ""
}

// Secret is the consumer secret, for variables and profiles that hold it.
func (c *Client) Secret() string { return c.secret }

// CallbackURLs are the callback URLs of the app.
func (c *Client) CallbackURLs() []string {
	return entity.Scopes(strings.Split(c.App.CallbackUrl, ","))
}

// Products are the approved products of the key, in their order.
func (c *Client) Products() []*Product {
	var out []*Product
	for i := range c.Associations {
		if a := &c.Associations[i]; a.Approved() {
			out = append(out, a.Product)
		}
	}
	return out
}

// ProductNames are the names of the approved products.
func (c *Client) ProductNames() []string {
	names := []string{}
	for _, p := range c.Products() {
		names = append(names, p.Name())
	}
	return names
}

// Scopes are the OAuth scopes of the approved products, each once, in their
// order.
func (c *Client) Scopes() []string {
	var out []string
	for _, p := range c.Products() {
		for _, s := range p.Scopes() {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// DeveloperEmail is the e-mail address of the app's developer, "" for an app
// group's app.
func (c *Client) DeveloperEmail() string {
	if c.Developer == nil {
		return ""
	}
	return c.Developer.Email
}

// Check is the fault if the key may not be used at all: it, its app or the owner
// is not in force at now. Nil says nothing of products: see Match.
//
// Key, app and owner are looked at before products are, as Apigee's own key
// service for gateways outside its runtime does; the documentation leaves open
// which of two faults a call gets.
func (c *Client) Check(now time.Time) *fault.Fault {
	switch {
	case c.Developer == nil && c.Group == nil:
		return invalidKey() // its owner was deleted, and it soon will be
	case c.Credential.Status == entity.Pending:
		return invalidForResource()
	case c.Credential.Status != entity.Approved:
		return keyNotApproved()
	case c.Credential.ExpiresAt > 0 && now.UnixMilli() >= c.Credential.ExpiresAt:
		return keyExpired()
	case c.App.Status != entity.Approved:
		return appNotApproved()
	case c.Developer != nil && c.Developer.Status != entity.Active:
		return developerInactive()
	case c.Group != nil && c.Group.Status != entity.Active:
		return groupInactive()
	}
	return nil
}

// Match finds the first of the key's approved products that allows a call. The
// fault says why there is none.
func (c *Client) Match(call *policy.APICall) (Match, *fault.Fault) {
	if len(c.Associations) == 0 {
		return Match{}, noProduct()
	}
	if m, ok := c.match(call, nil); ok {
		return m, nil
	}
	return Match{}, invalidForResource()
}

// MatchAmong is Match among the products of those names only: a token is good
// for the products it was issued with.
func (c *Client) MatchAmong(call *policy.APICall, names []string) (Match, bool) {
	return c.match(call, func(name string) bool { return slices.Contains(names, name) })
}

func (c *Client) match(call *policy.APICall, among func(string) bool) (Match, bool) {
	var buf segments
	suffix := splitPath(call.Path, buf[:0])
	for i := range c.Associations {
		a := &c.Associations[i]
		if !a.Approved() || among != nil && !among(a.Name) {
			continue
		}
		if o, ok := a.Product.allows(call, &suffix); ok {
			return Match{Product: a.Product, Operation: o, association: i}, true
		}
	}
	return Match{}, false
}

// Match is what allows a call.
type Match struct {
	Product *Product
	// Operation is nil if the product has no operations.
	Operation *Operation

	association int
}

// Quota is the quota of calls in force: the operation's own or the product's.
func (m Match) Quota() Quota {
	if m.Operation != nil && m.Operation.kind != byModel && m.Operation.Quota.Limit != "" {
		return m.Operation.Quota
	}
	return m.Product.Quota
}

// Grant is what policies set of a match that c found. It is made once.
func (c *Client) Grant(m Match) *policy.Grant {
	i := c.Associations[m.association].first
	if m.Operation != nil {
		i += 1 + m.Operation.index
	}
	if g := c.grants[i].Load(); g != nil {
		return g
	}
	vars := &grantVariables{c, m}
	g := &policy.Grant{Variables: vars, Common: commonVariables{vars}, Operation: operationVariables{m.Operation}, Caller: c.caller(m.Product.Name())}
	c.grants[i].Store(g)
	return g
}

func (c *Client) caller(product string) *flow.Caller {
	id := &flow.Caller{ClientID: c.ID, App: c.App.Name, AppID: c.App.AppId, Developer: c.App.DeveloperId, AppGroup: c.App.AppGroup, Product: product}
	if c.Developer != nil {
		id.Email = c.Developer.Email
	}
	return id
}
