package management

import (
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// Instances are kept as they are given: where a data plane runs is decided by
// its host.

func listInstances(c *call) (any, error) {
	list, next, err := pageOf(c, c.Registry.Instances, 0, 0, c.param("org"))
	instances := make([]*apigee.GoogleCloudApigeeV1Instance, len(list))
	for i, v := range list {
		instances[i] = &v.GoogleCloudApigeeV1Instance
	}
	return listed("instances", instances, next), err
}

func (c *call) instance() (*entity.Instance, error) {
	return c.Registry.Instances.Get(c.ctx(), c.ids("org", "instance")...)
}

func getInstance(c *call) (any, error) {
	v, err := c.instance()
	if err != nil {
		return nil, err
	}
	return &v.GoogleCloudApigeeV1Instance, nil
}

func createInstance(c *call) (any, error) {
	v := new(entity.Instance)
	if err := c.decode(&v.GoogleCloudApigeeV1Instance); err != nil {
		return nil, err
	}
	name, err := c.named("instance", v.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	if err := c.Registry.Instances.Create(c.ctx(), v, c.param("org"), name); err != nil {
		return nil, err
	}
	return c.done("INSERT", c.inOrg("instances", name), &v.GoogleCloudApigeeV1Instance)
}

func patchInstance(c *call) (any, error) {
	p, err := c.patch(new(apigee.GoogleCloudApigeeV1Instance), "name")
	if err != nil {
		return nil, err
	}
	v, err := c.Registry.Instances.Update(c.ctx(), func(v *entity.Instance) error {
		return p.apply(&v.GoogleCloudApigeeV1Instance)
	}, c.ids("org", "instance")...)
	if err != nil {
		return nil, err
	}
	return c.done("UPDATE", c.inOrg("instances", v.Name), &v.GoogleCloudApigeeV1Instance)
}

func deleteInstance(c *call) (any, error) {
	v, err := c.Registry.Instances.Delete(c.ctx(), c.ids("org", "instance")...)
	if err != nil {
		return nil, err
	}
	return c.done("DELETE", c.inOrg("instances", v.Name), &v.GoogleCloudApigeeV1Instance)
}

func listInstanceAttachments(c *call) (any, error) {
	v, err := c.instance()
	if err != nil {
		return nil, err
	}
	return &apigee.GoogleCloudApigeeV1ListInstanceAttachmentsResponse{Attachments: v.Attachments}, nil
}

func (c *call) instanceAttachment() (*apigee.GoogleCloudApigeeV1InstanceAttachment, error) {
	v, err := c.instance()
	if err != nil {
		return nil, err
	}
	name := c.param("attachment")
	i := slices.IndexFunc(v.Attachments, func(a *apigee.GoogleCloudApigeeV1InstanceAttachment) bool { return a.Name == name })
	if i < 0 {
		return nil, notFound("attachment %q not found", name)
	}
	return v.Attachments[i], nil
}

func getInstanceAttachment(c *call) (any, error) {
	a, err := c.instanceAttachment()
	if err != nil {
		return nil, err
	}
	return a, nil
}

func attachInstance(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1InstanceAttachment)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	c.made = body.Environment
	a, err := c.Registry.AttachInstance(c.ctx(), c.param("org"), c.param("instance"), body.Environment)
	if err != nil {
		return nil, err
	}
	return c.done("INSERT", c.inOrg("instances", c.param("instance"), "attachments", a.Name), a)
}

func detachInstance(c *call) (any, error) {
	a, err := c.instanceAttachment()
	if err != nil {
		return nil, err
	}
	if err := c.Registry.DetachInstance(c.ctx(), c.param("org"), c.param("instance"), a.Name); err != nil {
		return nil, err
	}
	return c.done("DELETE", c.inOrg("instances", c.param("instance"), "attachments", a.Name), a)
}
