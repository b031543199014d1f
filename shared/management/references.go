package management

import (
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/registry"
)

type reference = apigee.GoogleCloudApigeeV1Reference

var references = resource[reference]{
	noun: "reference", scope: []string{"org", "env"}, id: "reference",
	kind: func(r *registry.Registry) *registry.Kind[reference] { return r.References },
	name: func(v *reference) *string { return &v.Name },
}

// reference reads the body: JSON, or Edge's
//
//	<ResourceReference name="r"><Refers>ks</Refers><ResourceType>KeyStore</ResourceType></ResourceReference>
func (c *call) reference() (*reference, error) {
	v := new(reference)
	if t := c.mediaType(); !strings.HasSuffix(t, "xml") {
		return v, c.decode(v)
	}
	data, err := c.body(maxJSON)
	if err != nil {
		return nil, err
	}
	root, err := bundle.ParseXML("body", data)
	if err != nil {
		return nil, invalid("the XML body cannot be read: %s", err)
	}
	if root.Name != "ResourceReference" {
		return nil, invalid("the body is <%s>, want <ResourceReference>", root.Name)
	}
	v.Name, _ = root.Attr("name")
	for element, field := range map[string]*string{"Refers": &v.Refers, "ResourceType": &v.ResourceType, "Description": &v.Description} {
		if e := root.Child(element); e != nil {
			*field = e.TrimText()
		}
	}
	return v, nil
}

func createReference(c *call) (any, error) {
	v, err := c.reference()
	if err != nil {
		return nil, err
	}
	name, err := c.named("reference", v.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	return v, c.Registry.References.Create(c.ctx(), v, c.param("org"), c.param("env"), name)
}

// updateReference keeps what the body leaves out: apigeecli sends only what
// changes.
func updateReference(c *call) (any, error) {
	v, err := c.reference()
	if err != nil {
		return nil, err
	}
	if err := sameName("reference", v.Name, c.param("reference")); err != nil {
		return nil, err
	}
	return c.Registry.References.Update(c.ctx(), func(old *reference) error {
		next := *v
		keep(&next.Refers, old.Refers)
		keep(&next.ResourceType, old.ResourceType)
		*old = next
		return nil
	}, c.ids("org", "env", "reference")...)
}
