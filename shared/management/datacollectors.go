package management

import (
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/registry"
)

type dataCollector = apigee.GoogleCloudApigeeV1DataCollector

var dataCollectors = resource[dataCollector]{
	noun: "data collector", scope: []string{"org"}, id: "datacollector",
	kind: func(r *registry.Registry) *registry.Kind[dataCollector] { return r.DataCollectors },
	name: func(v *dataCollector) *string { return &v.Name },
	// Identity and times are not for clients to change.
	ignored: []string{"createdAt", "lastModifiedAt"},
}

func listDataCollectors(c *call) (any, error) {
	list, next, err := pageOf(c, c.Registry.DataCollectors, 0, 0, c.param("org"))
	return listed("dataCollectors", list, next), err
}

func createDataCollector(c *call) (any, error) {
	v := new(dataCollector)
	if err := c.decode(v, "createdAt", "lastModifiedAt"); err != nil {
		return nil, err
	}
	name, err := c.named("data collector", v.Name, c.query.Get("dataCollectorId"))
	if err != nil {
		return nil, err
	}
	return v, c.Registry.DataCollectors.Create(c.ctx(), v, c.param("org"), name)
}
