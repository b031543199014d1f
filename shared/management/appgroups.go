package management

import (
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

type appGroup = apigee.GoogleCloudApigeeV1AppGroup

// appGroupIgnored are names in app groups that are the server's.
var appGroupIgnored = []string{"appGroupId", "organization", "createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy"}

func (c *call) appGroupID() []string { return c.ids("org", "appgroup") }

// listAppGroups gives a page of the groups that the filter selects: status,
// channelId and channelUri.
func listAppGroups(c *call) (any, error) {
	p, err := c.page(maxListed, maxListed)
	if err != nil {
		return nil, err
	}
	selects, err := c.appGroupFilter()
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListAppGroupsResponse)
	for item, err := range c.Registry.AppGroups.List(c.ctx(), registry.Page{After: p.After}, c.param("org")) {
		if err != nil {
			return nil, err
		}
		if !selects(item.Value) {
			continue
		}
		if len(list.AppGroups) == p.Limit {
			list.NextPageToken = token(list.AppGroups[p.Limit-1].Name)
			break
		}
		list.AppGroups = append(list.AppGroups, item.Value)
	}
	return list, nil
}

func (c *call) appGroupFilter() (func(*appGroup) bool, error) {
	text := strings.TrimSpace(c.query.Get("filter"))
	if text == "" {
		return func(*appGroup) bool { return true }, nil
	}
	want := map[string]string{}
	for _, term := range and().Split(text, -1) {
		name, value, ok := strings.Cut(term, "=")
		switch name = bare(strings.TrimSpace(name)); {
		case ok && (name == "status" || name == "channelid" || name == "channeluri"):
			want[name] = strings.Trim(strings.TrimSpace(value), `"`)
		default:
			return nil, invalid("filter %q is invalid: want NAME=VALUE with a name of status, channelId, channelUri", term)
		}
	}
	return func(g *appGroup) bool {
		have := map[string]string{"status": g.Status, "channelid": g.ChannelId, "channeluri": g.ChannelUri}
		for name, value := range want {
			if have[name] != value {
				return false
			}
		}
		return true
	}, nil
}

func createAppGroup(c *call) (any, error) {
	g := new(appGroup)
	if err := c.decode(g, appGroupIgnored...); err != nil {
		return nil, err
	}
	g.Status = entity.Active // it is changed by action only
	name, err := c.named("app group", g.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	return answered(g, c.Registry.AppGroups.Create(c.ctx(), g, c.param("org"), name))
}

func getAppGroup(c *call) (any, error) {
	return answered(c.Registry.AppGroups.Get(c.ctx(), c.appGroupID()...))
}

// updateAppGroup changes the status by action, or replaces all else.
func updateAppGroup(c *call) (any, error) {
	change, err := c.appGroupChange()
	if err != nil {
		return nil, err
	}
	return answered(c.Registry.AppGroups.Update(c.ctx(), change, c.appGroupID()...))
}

func (c *call) appGroupChange() (func(*appGroup) error, error) {
	if c.query.Has("action") {
		action, err := c.action(entity.Active, entity.Inactive)
		return func(g *appGroup) error {
			g.Status = action
			return nil
		}, err
	}
	body := new(appGroup)
	if err := c.decode(body, appGroupIgnored...); err != nil {
		return nil, err
	}
	if err := sameName("app group", body.Name, c.param("appgroup")); err != nil {
		return nil, err
	}
	return func(g *appGroup) error {
		next := *body
		next.Status = g.Status
		*g = next
		return nil
	}, nil
}

func deleteAppGroup(c *call) (any, error) {
	return answered(c.Registry.AppGroups.Delete(c.ctx(), c.appGroupID()...))
}
