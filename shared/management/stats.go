package management

import (
	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/entity"
)

// errNoStats is the answer of a host that has no analytics.
var errNoStats = entity.Errorf(entity.FailedPrecondition, "this host keeps no analytics")

// statsQuery reads the parameters of the stats resources.
//
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.environments.stats
func (c *call) statsQuery() (*analytics.Query, error) {
	if c.Stats == nil {
		return nil, errNoStats
	}
	return analytics.Parse(analytics.Parameters{
		Dimensions: c.param("dimensions"), Select: c.arg("select"), TimeRange: c.arg("timeRange", "time_range"),
		TimeUnit: c.arg("timeUnit", "time_unit"), Filter: c.arg("filter"), SortBy: c.arg("sortby"), Sort: c.arg("sort"),
		TopK: c.arg("topk"), Limit: c.arg("limit"), Offset: c.arg("offset"), TZO: c.arg("tzo"),
		Ascending: c.arg("tsAscending", "ts_ascending"),
	})
}

func environmentStats(c *call) (any, error) {
	q, err := c.statsQuery()
	if err != nil {
		return nil, err
	}
	return c.Stats.Environment(c.ctx(), c.param("org"), c.param("env"), q)
}

func optimizedStats(c *call) (any, error) {
	q, err := c.statsQuery()
	if err != nil {
		return nil, err
	}
	return c.Stats.Optimized(c.ctx(), c.param("org"), []string{c.param("env")}, "", q)
}

func hostStats(c *call) (any, error) {
	q, err := c.statsQuery()
	if err != nil {
		return nil, err
	}
	host := c.arg("envgroupHostname", "envgroup_hostname")
	if host == "" {
		return nil, invalid("envgroupHostname is missing")
	}
	return c.Stats.Host(c.ctx(), c.param("org"), c.stamp.Environments, host, q)
}

func optimizedHostStats(c *call) (any, error) {
	q, err := c.statsQuery()
	if err != nil {
		return nil, err
	}
	host := c.arg("envgroupHostname", "envgroup_hostname")
	if host == "" {
		return nil, invalid("envgroupHostname is missing")
	}
	return c.Stats.Optimized(c.ctx(), c.param("org"), c.stamp.Environments, host, q)
}
