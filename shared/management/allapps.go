package management

import (
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// getAppByID is an app of the organization, whoever has it.
func getAppByID(c *call) (any, error) {
	a, err := c.Registry.Apps.Get(c.ctx(), c.ids("org", "app")...)
	if err != nil {
		return nil, err
	}
	return c.organizationApp(a, true)
}

func (c *call) organizationApp(a *entity.App, keys bool) (*app, error) {
	p := *a.Profile
	if !keys {
		return &p, nil
	}
	var err error
	p.Credentials, err = c.credentials(a)
	return &p, err
}

// appFilter selects apps of the organization. Fields are the names of the
// parameter filter, and those of query parameters that say the same.
type appFilter map[string]string

// filterNames are what can be asked for, in lower case.
var filterNames = []string{"developeremail", "apiproduct", "consumerkey", "status", "appid", "appname", "apptype", "appgroup"}

var and = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\s+AND\s+`) })

// filter is what the query asks for.
func (c *call) appFilter() (appFilter, error) {
	f := appFilter{}
	if text := strings.TrimSpace(c.query.Get("filter")); text != "" {
		for _, term := range and().Split(text, -1) {
			name, value, ok := strings.Cut(term, "=")
			name = bare(strings.TrimSpace(name))
			if !ok || !slices.Contains(filterNames, name) {
				return nil, invalid("filter %q is invalid: want NAME=VALUE with a name of developerEmail, apiProduct, consumerKey, status, appId, appName, appType, appGroup", term)
			}
			f[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	for _, name := range []string{"apiProduct", "status", "apptype", "keyStatus"} {
		if v := c.query.Get(name); v != "" {
			f[bare(name)] = v
		}
	}
	return f, nil
}

// candidates are the apps among which those are that the filter selects, in the
// order of their ids beginning behind after, or at start.
func (c *call) candidates(f appFilter, start, after string) iter.Seq2[*entity.App, error] {
	org := c.param("org")
	one := func(a *entity.App, err error) iter.Seq2[*entity.App, error] {
		return func(yield func(*entity.App, error) bool) {
			if !entity.IsNotFound(err) {
				yield(a, err)
			}
		}
	}
	where := map[string]string{}
	switch {
	case f["consumerkey"] != "":
		return one(c.Registry.AppOfKey(c.ctx(), org, f["consumerkey"]))
	case f["appid"] != "":
		return one(c.Registry.Apps.Get(c.ctx(), org, f["appid"]))
	case f["developeremail"] != "":
		id, err := c.Registry.DeveloperID(c.ctx(), org, f["developeremail"])
		if err != nil {
			return one(nil, err)
		}
		where["developer"] = id
	case f["appgroup"] != "":
		where["appgroup"] = f["appgroup"]
	}
	if f["appname"] != "" {
		where["name"] = f["appname"]
	}
	return func(yield func(*entity.App, error) bool) {
		items := c.Registry.Apps.Where(c.ctx(), where, registry.Page{After: after}, org)
		if len(where) == 0 && after == "" {
			items = c.Registry.Apps.From(c.ctx(), start, 0, org)
		}
		for item, err := range items {
			if err == nil && item.Name < start {
				continue
			}
			if !yield(item.Value, err) {
				return
			}
		}
	}
}

// selects reports whether the filter selects an app.
func (c *call) selects(f appFilter, a *entity.App) bool {
	p := a.Profile
	for name, value := range f {
		ok := true
		switch name {
		case "apiproduct":
			ok = slices.Contains(a.Products(), value)
		case "status":
			ok = strings.EqualFold(p.Status, value)
		case "appid":
			ok = p.AppId == value
		case "appname":
			ok = p.Name == value
		case "appgroup":
			ok = p.AppGroup == value
		case "apptype":
			ok = strings.EqualFold(value, "Developer") == (p.AppGroup == "")
		case "keystatus":
			ok = slices.ContainsFunc(a.Credentials, func(k *entity.Credential) bool { return strings.EqualFold(k.Public.Status, value) })
		case "consumerkey":
			ok = a.Credential(entity.KeyID(value)) != nil
		}
		if !ok {
			return false
		}
	}
	return true
}

// listApps gives ids only, unless it is to expand or there is a filter, which
// gives the apps as they are.
func listApps(c *call) (any, error) {
	f, err := c.appFilter()
	if err != nil {
		return nil, err
	}
	expand, keys, err := c.expansion()
	if err != nil {
		return nil, err
	}
	n, err := c.size(maxListed, maxListed, "rows", "pageSize", "page_size")
	if err != nil {
		return nil, err
	}
	after, err := fromToken(c.arg("pageToken", "page_token"))
	if err != nil {
		return nil, err
	}
	ids := entity.Scopes(strings.Split(c.query.Get("ids"), ","))
	list := new(apigee.GoogleCloudApigeeV1ListAppsResponse)
	for a, err := range c.candidates(f, c.arg("startKey", "start_key"), after) {
		if err != nil {
			return nil, err
		}
		if !c.selects(f, a) || len(ids) > 0 && !slices.Contains(ids, a.Profile.AppId) {
			continue
		}
		if len(list.App) == n {
			list.NextPageToken = token(list.App[n-1].AppId)
			break
		}
		shown := &app{AppId: a.Profile.AppId}
		if expand {
			if shown, err = c.organizationApp(a, keys); err != nil {
				return nil, err
			}
		}
		list.App = append(list.App, shown)
	}
	return list, nil
}

// expansion is whether apps are to be given in full, and with their keys.
func (c *call) expansion() (expand, keys bool, err error) {
	if expand, err = c.flag("expand"); err != nil {
		return
	}
	if !c.query.Has("expand") {
		expand = c.query.Get("filter") != ""
	}
	if keys, err = c.flag("includeCred"); err != nil {
		return
	}
	return expand, keys || !c.query.Has("includeCred"), nil
}
