package management

import (
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

type group = apigee.GoogleCloudApigeeV1EnvironmentGroup

func listGroups(c *call) (any, error) {
	groups, next, err := pageOf(c, c.Registry.Groups, 0, 0, c.param("org"))
	return listed("environmentGroups", groups, next), err
}

func getGroup(c *call) (any, error) { return c.Registry.Groups.Get(c.ctx(), c.ids("org", "group")...) }

func createGroup(c *call) (any, error) {
	g := new(group)
	if err := c.decode(g); err != nil {
		return nil, err
	}
	name, err := c.named("environment group", g.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	if err := c.Registry.Groups.Create(c.ctx(), g, c.param("org"), name); err != nil {
		return nil, err
	}
	return c.done("INSERT", c.inOrg("envgroups", name), g)
}

func patchGroup(c *call) (any, error) {
	p, err := c.patch(new(group), "name", "state", "createdAt", "lastModifiedAt")
	if err != nil {
		return nil, err
	}
	g, err := c.Registry.Groups.Update(c.ctx(), func(g *group) error { return p.apply(g) }, c.ids("org", "group")...)
	if err != nil {
		return nil, err
	}
	return c.done("UPDATE", c.inOrg("envgroups", g.Name), g)
}

func deleteGroup(c *call) (any, error) {
	g, err := c.Registry.Groups.Delete(c.ctx(), c.ids("org", "group")...)
	if err != nil {
		return nil, err
	}
	return c.done("DELETE", c.inOrg("envgroups", g.Name), g)
}

// aGroup is an error if the path's group does not exist.
func (c *call) aGroup() error {
	if _, ok := c.stamp.Groups[c.param("group")]; !ok {
		return notFound("environment group %q not found", c.param("group"))
	}
	return nil
}

func listAttachments(c *call) (any, error) {
	if err := c.aGroup(); err != nil {
		return nil, err
	}
	list, next, err := pageOf(c, c.Registry.Attachments, 0, 0, c.ids("org", "group")...)
	return listed("environmentGroupAttachments", list, next), err
}

func getAttachment(c *call) (any, error) {
	return c.Registry.Attachments.Get(c.ctx(), c.ids("org", "group", "attachment")...)
}

func attach(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	c.made = body.Environment
	a, err := c.Registry.Attach(c.ctx(), c.param("org"), c.param("group"), body.Environment)
	if err != nil {
		return nil, err
	}
	return c.done("INSERT", c.inOrg("envgroups", c.param("group"), "attachments", a.Name), a)
}

func detach(c *call) (any, error) {
	a, err := c.Registry.Detach(c.ctx(), c.param("org"), c.param("group"), c.param("attachment"))
	if err != nil {
		return nil, err
	}
	return c.done("DELETE", c.inOrg("envgroups", c.param("group"), "attachments", a.Name), a)
}

func groupIngress(c *call) (any, error) {
	if err := c.aGroup(); err != nil {
		return nil, err
	}
	return c.groupConfig(c.param("group"))
}

// groupConfig is a group's host names and which base paths lead where.
func (c *call) groupConfig(name string) (*apigee.GoogleCloudApigeeV1EnvironmentGroupConfig, error) {
	g := c.stamp.Groups[name]
	config := &apigee.GoogleCloudApigeeV1EnvironmentGroupConfig{
		Name: c.inOrg("envgroups", name), Hostnames: g.Hostnames, RevisionId: c.stamp.Version,
	}
	for _, env := range g.Environments() {
		all, err := c.Deployments.InEnvironment(c.ctx(), c.param("org"), env, entity.API)
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			for _, e := range d.Endpoints {
				config.RoutingRules = append(config.RoutingRules, &apigee.GoogleCloudApigeeV1RoutingRule{
					Basepath: e.BasePath, Environment: c.inOrg("environments", env),
				})
			}
		}
	}
	return config, nil
}
