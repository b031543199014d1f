package management

import (
	"time"

	apigee "google.golang.org/api/apigee/v1"
)

type space = apigee.GoogleCloudApigeeV1Space

// spaceKind is where spaces are among the stored resources. A space is a label
// on proxies, shared flows and products here: it has members of its own on
// Apigee only.
const spaceKind = "spaces"

func listSpaces(c *call) (any, error) {
	list, next, err := pageOf(c, c.stored.spaces, 25, 1000, c.param("org"), spaceKind)
	return listed("spaces", list, next), err
}

// createSpace takes the name from the query's spaceId, as the API has it, or
// from the body, as apigeecli sends it.
func createSpace(c *call) (any, error) {
	s := new(space)
	if err := c.decode(s); err != nil {
		return nil, err
	}
	name, err := c.named("space", s.Name, c.arg("spaceId", "space_id"))
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, invalid("the name of the space is missing")
	}
	now := c.Now().UTC().Format(time.RFC3339)
	s.Name, s.CreateTime, s.UpdateTime = name, now, now
	return s, c.stored.spaces.Create(c.ctx(), s, c.param("org"), spaceKind, name)
}

func getSpace(c *call) (any, error) {
	return c.stored.spaces.Get(c.ctx(), c.param("org"), spaceKind, c.param("space"))
}

func patchSpace(c *call) (any, error) {
	p, err := c.patch(new(space), "name", "createTime", "updateTime")
	if err != nil {
		return nil, err
	}
	return c.stored.spaces.Update(c.ctx(), func(s *space) error {
		if err := p.apply(s); err != nil {
			return err
		}
		s.UpdateTime = c.Now().UTC().Format(time.RFC3339)
		return nil
	}, c.param("org"), spaceKind, c.param("space"))
}

func deleteSpace(c *call) (any, error) {
	_, err := c.stored.spaces.Delete(c.ctx(), c.param("org"), spaceKind, c.param("space"))
	return nil, err
}
