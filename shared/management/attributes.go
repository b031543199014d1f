package management

import (
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

type attribute = apigee.GoogleCloudApigeeV1Attribute

// attributes are the handlers of the custom attributes of a resource.
type attributes struct {
	get func(c *call) ([]*attribute, error)
	// edit changes the attributes; change may run several times.
	edit func(c *call, change func(list []*attribute) ([]*attribute, error)) error
}

func (a attributes) list(c *call) (any, error) {
	list, err := a.get(c)
	return &apigee.GoogleCloudApigeeV1Attributes{Attribute: list}, err
}

// replace puts the attributes of the body in the place of all there are.
func (a attributes) replace(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1Attributes)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	list, err := entity.CheckAttributes(body.Attribute, entity.MaxAttributes)
	if err != nil {
		return nil, err
	}
	err = a.edit(c, func([]*attribute) ([]*attribute, error) { return list, nil })
	return &apigee.GoogleCloudApigeeV1Attributes{Attribute: list}, err
}

func noAttribute(name string) error { return notFound("attribute %q not found", name) }

func (a attributes) one(c *call) (any, error) {
	list, err := a.get(c)
	if err != nil {
		return nil, err
	}
	if found := entity.Attribute(list, c.param("attribute")); found != nil {
		return shownAttribute(found), nil
	}
	return nil, noAttribute(c.param("attribute"))
}

// shownAttribute has its value also where that is empty.
func shownAttribute(a *attribute) *attribute {
	a.ForceSendFields = []string{"Value"}
	return a
}

func (a attributes) set(c *call) (any, error) {
	body := new(attribute)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	if err := sameName("attribute", body.Name, c.param("attribute")); err != nil {
		return nil, err
	}
	body.Name = c.param("attribute")
	if err := entity.CheckAttribute(body); err != nil {
		return nil, err
	}
	err := a.edit(c, func(list []*attribute) ([]*attribute, error) {
		return entity.SetAttribute(list, &attribute{Name: body.Name, Value: body.Value}), nil
	})
	return shownAttribute(body), err
}

func (a attributes) delete(c *call) (any, error) {
	var gone *attribute
	err := a.edit(c, func(list []*attribute) ([]*attribute, error) {
		if gone = entity.Attribute(list, c.param("attribute")); gone == nil {
			return nil, noAttribute(c.param("attribute"))
		}
		return slices.DeleteFunc(list, func(have *attribute) bool { return have.Name == gone.Name }), nil
	})
	if err != nil {
		return nil, err
	}
	return shownAttribute(gone), nil
}
