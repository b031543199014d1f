package management

import (
	"slices"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"
	"google.golang.org/api/googleapi"

	"github.com/perigee-gateway/perigee/shared/registry"
)

type organization = apigee.GoogleCloudApigeeV1Organization

// listOrganizations answers those the caller has a role in.
func listOrganizations(c *call) (any, error) {
	names, err := c.Registry.Organizations.Names(c.ctx(), registry.Page{})
	if err != nil {
		return nil, err
	}
	list := &apigee.GoogleCloudApigeeV1ListOrganizationsResponse{}
	for _, name := range names {
		if c.who.Role(name) < Viewer {
			continue
		}
		list.Organizations = append(list.Organizations, mappingOf(name))
	}
	return list, nil
}

func mappingOf(org string) *apigee.GoogleCloudApigeeV1OrganizationProjectMapping {
	return &apigee.GoogleCloudApigeeV1OrganizationProjectMapping{Organization: org, ProjectId: org, ProjectIds: []string{org}}
}

func getProjectMapping(c *call) (any, error) { return mappingOf(c.param("org")), nil }

func getOrganization(c *call) (any, error) {
	o, err := c.Registry.Organizations.Get(c.ctx(), c.param("org"))
	return c.withEnvironments(o, err)
}

// withEnvironments adds what the stamp knows.
func (c *call) withEnvironments(o *organization, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if o.Environments = c.stamp.Environments; o.ProjectId == "" {
		o.ProjectId = o.Name
	}
	return o, nil
}

func createOrganization(c *call) (any, error) {
	o := new(organization)
	if err := c.decode(o); err != nil {
		return nil, err
	}
	c.made = o.Name
	if err := c.Registry.Organizations.Create(c.ctx(), o, o.Name); err != nil {
		return nil, err
	}
	return c.Registry.Operation(c.ctx(), o.Name, "INSERT", "organizations/"+o.Name, o)
}

// keepOrganization puts what an update leaves out back; properties it leaves out
// are removed.
func keepOrganization(o, old *organization) {
	keep(&o.DisplayName, old.DisplayName)
	keep(&o.RuntimeType, old.RuntimeType)
	keep(&o.AnalyticsRegion, old.AnalyticsRegion)
	keep(&o.AuthorizedNetwork, old.AuthorizedNetwork)
	keep(&o.BillingType, old.BillingType)
	keep(&o.ProjectId, old.ProjectId)
	o.CreatedAt, o.State, o.Name = old.CreatedAt, old.State, old.Name
	if o.AddonsConfig == nil {
		o.AddonsConfig = old.AddonsConfig
	}
}

// keep is the old value where none is given.
func keep(v *string, old string) {
	if *v == "" {
		*v = old
	}
}

func updateOrganization(c *call) (any, error) {
	u := new(organization)
	if err := c.decode(u); err != nil {
		return nil, err
	}
	if err := sameName("organization", u.Name, c.param("org")); err != nil {
		return nil, err
	}
	return c.withEnvironments(c.Registry.Organizations.Update(c.ctx(), func(old *organization) error {
		next := *u
		keepOrganization(&next, old)
		*old = next
		return nil
	}, c.param("org")))
}

func deleteOrganization(c *call) (any, error) {
	org := c.param("org")
	if _, err := c.Registry.Organizations.Delete(c.ctx(), org); err != nil {
		return nil, err
	}
	// Nothing of the organization is left to keep an operation in.
	return &apigee.GoogleLongrunningOperation{
		Name: c.inOrg("operations", uuid.NewString()), Done: true,
		Metadata: googleapi.RawMessage(`{"operationType":"DELETE","state":"FINISHED"}`),
	}, nil
}

// setAddons replaces the add-ons of the organization.
func setAddons(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1SetAddonsRequest)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	o, err := c.Registry.Organizations.Update(c.ctx(), func(o *organization) error {
		o.AddonsConfig = body.AddonsConfig
		return nil
	}, c.param("org"))
	if err != nil {
		return nil, err
	}
	return c.done("UPDATE", "organizations/"+c.param("org"), o)
}

// deployedIngress are the groups with the base paths deployed in their
// environments.
func deployedIngress(c *call) (any, error) {
	config := &apigee.GoogleCloudApigeeV1IngressConfig{Name: c.inOrg("deployedIngressConfig"), RevisionId: c.stamp.Version}
	for _, name := range slices.Sorted(mapKeys(c.stamp.Groups)) {
		group, err := c.groupConfig(name)
		if err != nil {
			return nil, err
		}
		config.EnvironmentGroups = append(config.EnvironmentGroups, group)
	}
	return config, nil
}
