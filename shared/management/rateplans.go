package management

import (
	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/registry"
)

type ratePlan = apigee.GoogleCloudApigeeV1RatePlan

// ratePlanIgnored are names in rate plans that are the server's.
var ratePlanIgnored = []string{"createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy", "organization"}

func (c *call) ratePlanID() []string { return c.ids("org", "product", "plan") }

// listRatePlans gives names only without expand=true, 100 unless asked for more.
func listRatePlans(c *call) (any, error) {
	if _, err := c.Registry.Products.Get(c.ctx(), c.productID()...); err != nil {
		return nil, err
	}
	expand, err := c.flag("expand")
	if err != nil {
		return nil, err
	}
	n, err := c.size(100, maxListed, "count")
	if err != nil {
		return nil, err
	}
	state, err := c.oneOf("state", "DRAFT", "PUBLISHED", "STATE_UNSPECIFIED")
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListRatePlansResponse)
	for item, err := range c.Registry.RatePlans.From(c.ctx(), c.arg("startKey", "start_key"), 0, c.productID()...) {
		if err != nil {
			return nil, err
		}
		if state != "" && state != "STATE_UNSPECIFIED" && item.Value.State != state {
			continue
		}
		if len(list.RatePlans) == n {
			list.NextStartKey = item.Value.Name
			break
		}
		list.RatePlans = append(list.RatePlans, briefly(item, expand))
	}
	return list, nil
}

func briefly(item registry.Item[ratePlan], expand bool) *ratePlan {
	if expand {
		return item.Value
	}
	return &ratePlan{Name: item.Value.Name}
}

func (c *call) ratePlan() (*ratePlan, error) {
	p := new(ratePlan)
	if err := c.decode(p, ratePlanIgnored...); err != nil {
		return nil, err
	}
	return p, sameName("API product of the rate plan", p.Apiproduct, c.param("product"))
}

// createRatePlan names the plan itself: the name of a rate plan is the server's.
func createRatePlan(c *call) (any, error) {
	p, err := c.ratePlan()
	if err != nil {
		return nil, err
	}
	c.made = uuid.NewString()
	return answered(p, c.Registry.RatePlans.Create(c.ctx(), p, append(c.productID(), c.made)...))
}

func getRatePlan(c *call) (any, error) {
	return answered(c.Registry.RatePlans.Get(c.ctx(), c.ratePlanID()...))
}

func updateRatePlan(c *call) (any, error) {
	p, err := c.ratePlan()
	if err != nil {
		return nil, err
	}
	return answered(p, c.Registry.RatePlans.Replace(c.ctx(), p, c.ratePlanID()...))
}

func deleteRatePlan(c *call) (any, error) {
	return answered(c.Registry.RatePlans.Delete(c.ctx(), c.ratePlanID()...))
}
