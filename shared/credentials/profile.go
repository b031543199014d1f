package credentials

import (
	"bytes"
	"encoding/xml"
	"strconv"

	apigee "google.golang.org/api/apigee/v1"
)

// node is an element of a profile of AccessEntity.
type node struct {
	name     string
	title    string // attribute name
	text     string
	children []node
}

// document is the node as an XML document.
func (n node) document() []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	n.write(&b)
	return b.Bytes()
}

func (n node) write(b *bytes.Buffer) {
	b.WriteString("<" + n.name)
	if n.title != "" {
		b.WriteString(` name="`)
		_ = xml.EscapeText(b, []byte(n.title))
		b.WriteString(`"`)
	}
	if n.text == "" && len(n.children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	_ = xml.EscapeText(b, []byte(n.text)) // writing to a buffer does not fail
	for _, c := range n.children {
		c.write(b)
	}
	b.WriteString("</" + n.name + ">")
}

func text(name, value string) node { return node{name: name, text: value} }

func group(name string, children ...node) node { return node{name: name, children: children} }

// list is an element with an element for each value.
func list(name, element string, values []string) node {
	n := node{name: name}
	for _, v := range values {
		n.children = append(n.children, text(element, v))
	}
	return n
}

func millis(name string, ms int64) node { return text(name, strconv.FormatInt(ms, 10)) }

// history are the elements that tell when and by whom something was made; who is
// not recorded.
func history(created, modified int64) []node {
	return []node{millis("CreatedAt", created), text("CreatedBy", ""), millis("LastModifiedAt", modified), text("LastModifiedBy", "")}
}

func attributesNode(list []*apigee.GoogleCloudApigeeV1Attribute, more ...node) node {
	n := node{name: "Attributes"}
	for _, a := range list {
		n.children = append(n.children, attributeNode("Attribute", a.Name, a.Value))
	}
	n.children = append(n.children, more...)
	return n
}

func attributeNode(element, name, value string) node {
	return group(element, text("Name", name), text("Value", value))
}

func appNode(a *apigee.GoogleCloudApigeeV1App, family string) node {
	credentials := node{name: "Credentials"}
	for _, c := range a.Credentials {
		credentials.children = append(credentials.children, credentialNode(c))
	}
	n := node{name: "App", title: a.Name, children: []node{
		text("AccessType", ""), group("ApiProducts"), credentials, text("AppFamily", family), text("AppId", a.AppId),
		attributesNode(a.Attributes), text("CallbackUrl", a.CallbackUrl),
	}}
	n.children = append(n.children, history(a.CreatedAt, a.LastModifiedAt)...)
	if a.AppGroup != "" {
		n.children = append(n.children, text("AppGroup", a.AppGroup))
	} else {
		n.children = append(n.children, text("DeveloperId", a.DeveloperId))
	}
	n.children = append(n.children, list("Scopes", "Scope", a.Scopes), text("Status", a.Status))
	return n
}

func credentialNode(c *apigee.GoogleCloudApigeeV1Credential) node {
	products := node{name: "ApiProducts"}
	for _, p := range c.ApiProducts {
		products.children = append(products.children, group("ApiProduct", text("Name", p.Apiproduct), text("Status", p.Status)))
	}
	return group("Credential",
		attributesNode(c.Attributes), text("ConsumerKey", c.ConsumerKey), text("ConsumerSecret", c.ConsumerSecret),
		millis("ExpiresAt", c.ExpiresAt), millis("IssuedAt", c.IssuedAt),
		products, list("Scopes", "Scope", c.Scopes), text("Status", c.Status))
}

func developerNode(d *apigee.GoogleCloudApigeeV1Developer) node {
	n := group("Developer",
		list("Apps", "App", d.Apps), text("Email", d.Email), text("DeveloperId", d.DeveloperId), text("FirstName", d.FirstName),
		text("LastName", d.LastName), text("UserName", d.UserName), text("OrganizationName", d.OrganizationName),
		text("Status", d.Status), attributesNode(d.Attributes))
	n.children = append(n.children, history(d.CreatedAt, d.LastModifiedAt)...)
	return n
}

func groupNode(element string, g *apigee.GoogleCloudApigeeV1AppGroup) node {
	n := node{name: element, title: g.Name, children: []node{
		text("AppGroupId", g.AppGroupId), text("DisplayName", g.DisplayName), text("ChannelId", g.ChannelId), text("ChannelUri", g.ChannelUri),
		text("OrganizationName", g.Organization), text("Status", g.Status), attributesNode(g.Attributes),
	}}
	n.children = append(n.children, history(g.CreatedAt, g.LastModifiedAt)...)
	return n
}

// productNode is a product's profile. Its quota stands among the attributes; its
// operation groups are written as the Management API names them.
func productNode(p *apigee.GoogleCloudApigeeV1ApiProduct) node {
	n := node{name: "ApiProduct", title: p.Name, children: []node{
		list("ApiResources", "ApiResource", p.ApiResources), text("ApprovalType", p.ApprovalType), attributesNode(p.Attributes, quotaNodes(p)...),
	}}
	h := history(p.CreatedAt, p.LastModifiedAt)
	n.children = append(n.children, h[0], h[1], text("Description", p.Description), text("DisplayName", p.DisplayName),
		list("Environments", "Environment", p.Environments), h[2], h[3])
	if p.OperationGroup != nil {
		n.children = append(n.children, operationsNode(p.OperationGroup))
	}
	n.children = append(n.children, list("Proxies", "Proxy", p.Proxies), list("Scopes", "Scope", p.Scopes))
	return n
}

func quotaNodes(p *apigee.GoogleCloudApigeeV1ApiProduct) []node {
	var nodes []node
	for _, a := range []struct{ name, value string }{
		{"developer.quota.limit", p.Quota}, {"developer.quota.interval", p.QuotaInterval}, {"developer.quota.timeunit", p.QuotaTimeUnit},
	} {
		if a.value != "" {
			nodes = append(nodes, attributeNode("Attribute", a.name, a.value))
		}
	}
	return nodes
}

func operationsNode(g *apigee.GoogleCloudApigeeV1OperationGroup) node {
	n := node{name: "OperationGroup"}
	for _, c := range g.OperationConfigs {
		config := group("operationConfigs", text("apiSource", c.ApiSource))
		for _, a := range c.Attributes {
			config.children = append(config.children, attributeNode("attributes", a.Name, a.Value))
		}
		for _, o := range c.Operations {
			op := group("operations")
			for _, m := range o.Methods {
				op.children = append(op.children, text("methods", m))
			}
			op.children = append(op.children, text("resource", o.Resource))
			config.children = append(config.children, op)
		}
		if q := c.Quota; q != nil {
			config.children = append(config.children, group("quota", text("interval", q.Interval), text("limit", q.Limit), text("timeUnit", q.TimeUnit)))
		}
		n.children = append(n.children, config)
	}
	n.children = append(n.children, text("operationConfigType", g.OperationConfigType))
	return n
}
