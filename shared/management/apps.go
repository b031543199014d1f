package management

import (
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// The same handlers serve the apps of developers and of app groups: the path says
// whose.

type (
	app          = apigee.GoogleCloudApigeeV1App
	developerApp = apigee.GoogleCloudApigeeV1DeveloperApp
	groupApp     = apigee.GoogleCloudApigeeV1AppGroupApp
)

// owner is whose apps the path is about. It must exist.
func (c *call) owner() (registry.Owner, error) {
	if group := c.param("appgroup"); group != "" {
		_, err := c.Registry.AppGroups.Get(c.ctx(), c.param("org"), group)
		return registry.Owner{Group: group}, err
	}
	d, err := c.developer()
	if err != nil {
		return registry.Owner{}, err
	}
	return registry.Owner{Developer: d.DeveloperId}, nil
}

// app is the app of the path.
func (c *call) app() (*entity.App, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	return c.Registry.App(c.ctx(), c.param("org"), o, c.param("app"))
}

// editApp changes the app of the path.
func (c *call) editApp(change func(a *entity.App) error) (*entity.App, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	return c.Registry.EditApp(c.ctx(), c.param("org"), o, c.param("app"), change)
}

// credentials are the keys of an app with their secrets, the newest first.
func (c *call) credentials(a *entity.App) ([]*credential, error) {
	var list []*credential
	for _, stored := range a.Credentials {
		shown, err := c.credential(stored)
		if err != nil {
			return nil, err
		}
		list = append(list, shown)
	}
	return list, nil
}

// shownApp is the app as the path's kind of owner shows it.
func (c *call) shownApp(a *entity.App, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	list, err := c.credentials(a)
	if err != nil {
		return nil, err
	}
	if a.Profile.AppGroup != "" {
		return c.groupApp(a, list), nil
	}
	return c.developerApp(a, list), nil
}

func (c *call) developerApp(a *entity.App, list []*credential) *developerApp {
	p := a.Profile
	return &developerApp{
		AppFamily: a.AppFamily, AppId: p.AppId, Attributes: p.Attributes, CallbackUrl: p.CallbackUrl, CreatedAt: p.CreatedAt,
		Credentials: list, DeveloperId: p.DeveloperId, LastModifiedAt: p.LastModifiedAt, Name: p.Name, Scopes: p.Scopes, Status: p.Status,
	}
}

func (c *call) groupApp(a *entity.App, list []*credential) *groupApp {
	p := a.Profile
	return &groupApp{
		AppGroup: p.AppGroup, AppId: p.AppId, Attributes: p.Attributes, CallbackUrl: p.CallbackUrl, CreatedAt: p.CreatedAt,
		Credentials: list, LastModifiedAt: p.LastModifiedAt, Name: p.Name, Scopes: p.Scopes, Status: p.Status,
	}
}

// appIgnored are names in apps that mean nothing here, or are the server's.
var appIgnored = []string{
	"accessType", "appGroup", "appId", "appType", "companyName", "createdAt", "createdBy", "credentials", "developerEmail",
	"developerId", "displayName", "lastModifiedAt", "lastModifiedBy", "notes",
}

// appBody is what a body says of an app.
func (c *call) appBody() (*developerApp, error) {
	b := new(developerApp)
	if err := c.decode(b, appIgnored...); err != nil {
		return nil, err
	}
	b.ApiProducts, b.Scopes = entity.Scopes(b.ApiProducts), entity.Scopes(b.Scopes)
	return b, nil
}

// newKey makes the key pair that an app's body asks for. keyExpiresIn is in
// milliseconds for apps of developers and in seconds for those of app groups.
func (c *call) newKey(b *developerApp) (*entity.Credential, error) {
	life := b.KeyExpiresIn
	if c.param("appgroup") != "" && life > 0 {
		life *= 1000
	}
	return c.newCredential(entity.KeyPair{}, &credential{Scopes: b.Scopes}, life, b.ApiProducts)
}

func createApp(c *call) (any, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	b, err := c.appBody()
	if err != nil {
		return nil, err
	}
	if b.Name, err = c.named("app", b.Name, c.query.Get("name")); err != nil {
		return nil, err
	}
	key, err := c.newKey(b)
	if err != nil {
		return nil, err
	}
	a := &entity.App{
		AppFamily: b.AppFamily, Credentials: []*entity.Credential{key},
		Profile: &app{
			Name: b.Name, DeveloperId: o.Developer, AppGroup: o.Group, Attributes: b.Attributes,
			CallbackUrl: b.CallbackUrl, Scopes: b.Scopes, Status: entity.Approved,
		},
	}
	return c.shownApp(a, c.Registry.CreateApp(c.ctx(), c.param("org"), a))
}

func getApp(c *call) (any, error) { return c.shownApp(c.app()) }

// updateApp replaces attributes and callback URL. Products that no key has alone
// make a new key for them, which comes first; the keys there are keep theirs.
func updateApp(c *call) (any, error) {
	if c.query.Has("action") {
		return c.setAppStatus()
	}
	b, err := c.appBody()
	if err != nil {
		return nil, err
	}
	if err := sameName("app", b.Name, c.param("app")); err != nil {
		return nil, err
	}
	a, err := c.app()
	if err != nil {
		return nil, err
	}
	var key *entity.Credential
	if len(b.ApiProducts) > 0 && !hasKeyFor(a, b.ApiProducts) {
		if key, err = c.newKey(b); err != nil {
			return nil, err
		}
	}
	return c.shownApp(c.editApp(func(a *entity.App) error {
		replaceApp(a, b)
		if b.Status != "" {
			a.Profile.Status = b.Status
		}
		addKey(a, key, b.Scopes)
		return nil
	}))
}

// replaceApp puts the details of a body in the place of an app's.
func replaceApp(a *entity.App, b *developerApp) {
	a.Profile.Attributes, a.Profile.CallbackUrl = b.Attributes, b.CallbackUrl
	if b.AppFamily != "" {
		a.AppFamily = b.AppFamily
	}
}

func addKey(a *entity.App, key *entity.Credential, scopes []string) {
	if key == nil {
		return
	}
	a.Credentials = slices.Insert(a.Credentials, 0, key)
	a.Profile.Scopes = scopes
}

// hasKeyFor reports whether a key of the app has just these products.
func hasKeyFor(a *entity.App, products []string) bool {
	want := slices.Sorted(slices.Values(products))
	return slices.ContainsFunc(a.Credentials, func(k *entity.Credential) bool {
		return slices.Equal(slices.Sorted(slices.Values(k.Products())), want)
	})
}

// changeApp approves or revokes a developer's app, or makes a key pair more for
// it, with the details of the body in the place of the app's.
func changeApp(c *call) (any, error) {
	if c.query.Has("action") {
		return c.setAppStatus()
	}
	b, err := c.appBody()
	if err != nil {
		return nil, err
	}
	if err := sameName("app", b.Name, c.param("app")); err != nil {
		return nil, err
	}
	key, err := c.newKey(b)
	if err != nil {
		return nil, err
	}
	return c.shownApp(c.editApp(func(a *entity.App) error {
		replaceApp(a, b)
		addKey(a, key, b.Scopes)
		return nil
	}))
}

// statusOfAction is the status an action gives.
var statusOfAction = map[string]string{"approve": entity.Approved, "revoke": entity.Revoked}

// setAppStatus answers POST without content and PUT with the app.
func (c *call) setAppStatus() (any, error) {
	action, err := c.action("approve", "revoke")
	if err != nil {
		return nil, err
	}
	a, err := c.editApp(func(a *entity.App) error {
		a.Profile.Status = statusOfAction[action]
		return nil
	})
	if err == nil && c.r.Method == "POST" {
		return noContent{}, nil
	}
	return c.shownApp(a, err)
}

func deleteApp(c *call) (any, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	return c.shownApp(c.Registry.DeleteApp(c.ctx(), c.param("org"), o, c.param("app")))
}

// ownerApps are the apps of the path's owner in the order of their names.
func (c *call) ownerApps() ([]*entity.App, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	var list []*entity.App
	for a, err := range c.Registry.AppsOf(c.ctx(), c.param("org"), o) {
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *entity.App) int { return strings.Compare(a.Profile.Name, b.Profile.Name) })
	return list, nil
}

// listDeveloperApps gives ids and names only, unless it is to expand: with keys,
// or shallowly without.
func listDeveloperApps(c *call) (any, error) {
	expand, err := c.flag("expand")
	if err != nil {
		return nil, err
	}
	shallow, err := c.flag("shallowExpand")
	if err != nil {
		return nil, err
	}
	n, err := c.size(maxListed, maxListed, "count")
	if err != nil {
		return nil, err
	}
	apps, err := c.ownerApps()
	if err != nil {
		return nil, err
	}
	start := c.arg("startKey", "start_key")
	list := new(apigee.GoogleCloudApigeeV1ListDeveloperAppsResponse)
	for _, a := range apps {
		if a.Profile.Name < start || len(list.App) == n {
			continue
		}
		shown := &developerApp{AppId: a.Profile.AppId, Name: a.Profile.Name}
		switch {
		case expand:
			keys, err := c.credentials(a)
			if err != nil {
				return nil, err
			}
			shown = c.developerApp(a, keys)
		case shallow:
			shown = c.developerApp(a, nil)
		}
		list.App = append(list.App, shown)
	}
	return list, nil
}

// listGroupApps gives a page of an app group's apps, with their keys.
func listGroupApps(c *call) (any, error) {
	p, err := c.page(maxListed, maxListed)
	if err != nil {
		return nil, err
	}
	apps, err := c.ownerApps()
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListAppGroupAppsResponse)
	for _, a := range apps {
		if a.Profile.Name <= p.After {
			continue
		}
		if len(list.AppGroupApps) == p.Limit {
			list.NextPageToken = token(list.AppGroupApps[p.Limit-1].Name)
			break
		}
		keys, err := c.credentials(a)
		if err != nil {
			return nil, err
		}
		list.AppGroupApps = append(list.AppGroupApps, c.groupApp(a, keys))
	}
	return list, nil
}

var appAttributes = attributes{
	get: func(c *call) ([]*attribute, error) {
		a, err := c.app()
		if err != nil {
			return nil, err
		}
		return a.Profile.Attributes, nil
	},
	edit: func(c *call, change func([]*attribute) ([]*attribute, error)) error {
		_, err := c.editApp(func(a *entity.App) (err error) {
			a.Profile.Attributes, err = change(a.Profile.Attributes)
			return err
		})
		return err
	},
}
