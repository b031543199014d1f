package credentials

import (
	"iter"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// The flow variables of a verified key, without the policy's prefix.
// Source: policies reference, "VerifyAPIKey". Who created or changed an entity is
// not recorded: created_by and last_modified_by are empty.

// table collects variables. What is set first stays: a custom attribute never
// takes the place of what is documented.
type table map[string]flow.Value

func (t table) value(name string, v flow.Value) {
	if _, ok := t[name]; !ok {
		t[name] = v
	}
}

func (t table) text(name, value string)      { t.value(name, flow.StringValue(value)) }
func (t table) list(name string, l []string) { t.value(name, flow.ListValue(append([]string{}, l...))) }
func (t table) number(name string, ms int64) { t.value(name, flow.IntValue(ms)) }
func (t table) optional(name, value string) { // unset where there is nothing
	if value != "" {
		t.text(name, value)
	}
}

// history sets when and by whom something was made.
func (t table) history(prefix string, created, modified int64) {
	t.number(prefix+"created_at", created)
	t.text(prefix+"created_by", "")
	t.number(prefix+"last_modified_at", modified)
	t.text(prefix+"last_modified_by", "")
}

func (t table) attributes(prefix string, list []*apigee.GoogleCloudApigeeV1Attribute) {
	for _, a := range list {
		t.text(prefix+a.Name, a.Value)
	}
}

func (t table) quota(prefix string, q Quota) {
	t.optional(prefix+"limit", q.Limit)
	t.optional(prefix+"interval", q.Interval)
	t.optional(prefix+"timeunit", q.TimeUnit)
}

// OwnerID is how variables name a developer or app group: org@@@id.
func OwnerID(org, id string) string { return org + "@@@" + id }

// variables are those of key, app and owner.
func (c *Client) variables() map[string]flow.Value {
	t := table{}
	t.text("client_id", c.ID)
	t.text("client_secret", c.secret)
	t.text("redirection_uris", c.App.CallbackUrl)
	t.text("developer.app.id", c.App.AppId)
	t.text("developer.app.name", c.App.Name)
	c.appVariables(t)
	switch {
	case c.Developer != nil:
		c.developerVariables(t)
	case c.Group != nil:
		c.groupVariables(t)
	}
	t.attributes("app.", c.App.Attributes)
	t.attributes("developer.app.", c.App.Attributes)
	t.attributes("", c.Credential.Attributes)
	t.attributes("", c.App.Attributes)
	delete(t, "failed") // the policy's own
	for name := range t {
		if strings.HasPrefix(name, "apiproduct.") {
			delete(t, name) // an attribute's name does not make it a product's
		}
	}
	return t
}

func (c *Client) appVariables(t table) {
	display := c.App.Name
	for _, a := range c.App.Attributes {
		if a.Name == "DisplayName" {
			display = a.Value
		}
	}
	t.text("DisplayName", display)
	t.text("app.DisplayName", display)
	t.text("app.name", c.App.Name)
	t.text("app.id", c.App.AppId)
	t.text("app.accessType", "")
	t.text("app.callbackUrl", c.App.CallbackUrl)
	t.text("app.status", c.App.Status)
	t.list("app.apiproducts", c.AppProducts)
	t.list("app.scopes", c.App.Scopes)
	t.text("app.appFamily", c.AppFamily)
	t.history("app.", c.App.CreatedAt, c.App.LastModifiedAt)
}

func (c *Client) developerVariables(t table) {
	d := c.Developer
	t.text("app.appType", "Developer")
	t.text("app.appParentId", OwnerID(c.org, d.DeveloperId))
	t.text("app.appParentStatus", d.Status)
	t.text("developer.id", OwnerID(c.org, d.DeveloperId))
	t.text("developer.userName", d.UserName)
	t.text("developer.firstName", d.FirstName)
	t.text("developer.lastName", d.LastName)
	t.text("developer.email", d.Email)
	t.text("developer.status", d.Status)
	t.list("developer.apps", d.Apps)
	t.history("developer.", d.CreatedAt, d.LastModifiedAt)
	t.attributes("developer.", d.Attributes)
}

// groupVariables sets those of an app group, under Edge's names of companies as
// well.
func (c *Client) groupVariables(t table) {
	g := c.Group
	id := OwnerID(c.org, g.AppGroupId)
	t.text("app.appType", "AppGroup")
	t.text("app.appParentId", id)
	t.text("app.appParentStatus", g.Status)
	t.text("appgroup_name", g.Name)
	t.text("appgroup_id", id)
	for _, prefix := range []string{"appgroup.", "company."} {
		t.text(prefix+"name", g.Name)
		t.text(prefix+"displayName", g.DisplayName)
		t.text(prefix+"id", id)
		t.text(prefix+"status", g.Status)
		t.text(prefix+"appOwnerStatus", g.Status)
		t.history(prefix, g.CreatedAt, g.LastModifiedAt)
		t.attributes(prefix, g.Attributes)
	}
	t.optional("appgroup.channelId", g.ChannelId)
	t.optional("appgroup.channelUri", g.ChannelUri)
}

// variables are those of the product.
func (p *Product) variables() map[string]flow.Value {
	t := table{}
	t.text("apiproduct.name", p.Name())
	t.quota("apiproduct.developer.quota.", p.Quota)
	t.quota("apiproduct.developer.llmQuota.", p.LLMQuota)
	t.optional("apiproduct.quotaCounterScope", p.CounterScope)
	if tools := p.tools(); tools != "" {
		t.text("apiproduct.allowedMCPTools", tools)
	}
	for _, a := range p.API.Attributes {
		if a.Name != "operation" && !strings.HasPrefix(a.Name, "operation.") {
			t.text("apiproduct."+a.Name, a.Value)
		}
	}
	return t
}

// tools are the MCP tools the product allows, separated by commas.
func (p *Product) tools() string {
	var names []string
	for _, o := range p.operations {
		if name, ok := strings.CutPrefix(o.Name, "tools/call/"); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func (o *Operation) variables() map[string]flow.Value {
	t := table{}
	t.text("apiproduct.operation", o.Name)
	t.optional("apiproduct.operation.resource", o.Resource)
	t.list("apiproduct.operation.methods", o.Methods)
	if o.kind == byModel { // a quota of tokens, not of calls
		t.quota("apiproduct.operation.llmQuota.", o.Quota)
	} else {
		t.quota("apiproduct.operation.quota.", o.Quota)
	}
	t.attributes("apiproduct.operation.attributes.", o.Attributes)
	return t
}

// grantVariables are the variables of a key and what matched: a flow.Source.
type grantVariables struct {
	client *Client
	match  Match
}

const (
	productPrefix   = "apiproduct."
	operationPrefix = "apiproduct.operation"
)

// Variable implements flow.Source.
func (g *grantVariables) Variable(name string) flow.Value {
	switch {
	case !strings.HasPrefix(name, productPrefix):
		return g.client.vars()[name]
	case strings.HasPrefix(name, operationPrefix):
		if g.match.Operation == nil {
			return flow.Value{}
		}
		return g.match.Operation.vars[name]
	}
	return g.match.Product.vars[name]
}

// Variables implements flow.Source.
func (g *grantVariables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		all := []map[string]flow.Value{g.client.vars(), g.match.Product.vars}
		if g.match.Operation != nil {
			all = append(all, g.match.Operation.vars)
		}
		for _, vars := range all {
			for name, v := range vars {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// common are the variables that a checked key sets under their bare names too,
// beside those of the operation: public bundles count by client_id.
var common = map[string]bool{
	"client_id": true, "developer.id": true, "developer.email": true, "developer.app.id": true, "developer.app.name": true,
	"apiproduct.name": true, "apiproduct.developer.quota.limit": true, "apiproduct.developer.quota.interval": true, "apiproduct.developer.quota.timeunit": true,
}

// commonVariables are those of a grant that are common.
type commonVariables struct{ *grantVariables }

// named are the common variables that have a second name, under apigee.: what
// analytics counts by.
var named = map[string]bool{
	"client_id": true, "developer.id": true, "developer.email": true, "developer.app.name": true, "apiproduct.name": true,
}

const namedPrefix = "apigee."

// Variable implements flow.Source.
func (c commonVariables) Variable(name string) flow.Value {
	if rest, ok := strings.CutPrefix(name, namedPrefix); ok {
		if !named[rest] {
			return flow.Value{}
		}
		return c.grantVariables.Variable(rest)
	}
	if common[name] || strings.HasPrefix(name, operationPrefix) {
		return c.grantVariables.Variable(name)
	}
	return flow.Value{}
}

// Variables implements flow.Source.
func (c commonVariables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for name, v := range c.grantVariables.Variables() {
			if (common[name] || strings.HasPrefix(name, operationPrefix)) && !yield(name, v) {
				return
			}
			if named[name] && !yield(namedPrefix+name, v) {
				return
			}
		}
	}
}

// operationVariables are those that need no prefix; none without an operation.
type operationVariables struct{ *Operation }

// Variable implements flow.Source.
func (o operationVariables) Variable(name string) flow.Value {
	if o.Operation == nil || !strings.HasPrefix(name, operationPrefix) {
		return flow.Value{}
	}
	return o.vars[name]
}

// Variables implements flow.Source.
func (o operationVariables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		if o.Operation == nil {
			return
		}
		for name, v := range o.vars {
			if !yield(name, v) {
				return
			}
		}
	}
}
