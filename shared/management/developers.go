package management

import (
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

type developer = apigee.GoogleCloudApigeeV1Developer

// maxListed is the most developers, apps and products of one answer.
const maxListed = 1000

// maxShownApps is the most apps an answer about a developer names.
const maxShownApps = 100

// developerName is the developer of the path, an id or an e-mail address.
// apigeecli escapes addresses twice.
func (c *call) developerName() string {
	name := c.param("dev")
	if !strings.Contains(name, "@") {
		name = unescapeAgain(name)
	}
	return name
}

// developer is the developer of the path.
func (c *call) developer() (*developer, error) {
	return c.Registry.Developer(c.ctx(), c.param("org"), c.developerName())
}

// editDeveloper changes the developer of the path.
func (c *call) editDeveloper(change func(d *developer) error) (*developer, error) {
	d, err := c.developer()
	if err != nil {
		return nil, err
	}
	return c.Registry.Developers.Update(c.ctx(), change, c.param("org"), d.DeveloperId)
}

func shownDeveloper(d *developer, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	d.Apps = d.Apps[:min(len(d.Apps), maxShownApps)]
	return d, nil
}

// listDevelopers gives e-mail addresses only without expand=true.
func listDevelopers(c *call) (any, error) {
	expand, err := c.flag("expand")
	if err != nil {
		return nil, err
	}
	names, err := c.listedDevelopers()
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListOfDevelopersResponse)
	if !expand && !slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(n, "@") }) {
		for _, email := range names {
			list.Developer = append(list.Developer, &developer{Email: email})
		}
		return list, nil
	}
	list.Developer, err = c.Registry.DevelopersByEmail(c.ctx(), c.param("org"), names)
	for i, d := range list.Developer {
		if d.Apps = d.Apps[:min(len(d.Apps), maxShownApps)]; !expand {
			list.Developer[i] = &developer{Email: d.Email}
		}
	}
	return list, err
}

// listedDevelopers are the e-mail addresses or ids of those asked for: by ids, by
// app, or a page of all.
func (c *call) listedDevelopers() ([]string, error) {
	if ids := c.query.Get("ids"); ids != "" {
		return entity.Scopes(strings.Split(ids, ",")), nil
	}
	if app := c.query.Get("app"); app != "" {
		return c.developersOfApp(app)
	}
	n, err := c.size(maxListed, maxListed, "count")
	if err != nil {
		return nil, err
	}
	return c.Registry.DeveloperEmails(c.ctx(), c.param("org"), c.arg("startKey", "start_key"), n)
}

func (c *call) developersOfApp(name string) ([]string, error) {
	var ids []string
	for a, err := range c.Registry.AppsNamed(c.ctx(), c.param("org"), name) {
		if err != nil {
			return nil, err
		}
		if id := a.Profile.DeveloperId; id != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Names in developers that mean nothing here, or are the server's.
var developerIgnored = []string{"apps", "companies", "developerId", "organizationName", "createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy"}

func createDeveloper(c *call) (any, error) {
	d := new(developer)
	if err := c.decode(d, developerIgnored...); err != nil {
		return nil, err
	}
	d.Status = entity.Active // it is changed by action only
	c.made = d.Email
	return shownDeveloper(d, c.Registry.CreateDeveloper(c.ctx(), c.param("org"), d))
}

func getDeveloper(c *call) (any, error) { return shownDeveloper(c.developer()) }

// updateDeveloper leaves the status as it is: clients send back what they read
// before they changed it by action.
func updateDeveloper(c *call) (any, error) {
	body := new(developer)
	if err := c.decode(body, developerIgnored...); err != nil {
		return nil, err
	}
	return shownDeveloper(c.editDeveloper(func(d *developer) error {
		next := *body
		next.Status = d.Status
		if next.Email == "" {
			next.Email = d.Email
		}
		*d = next
		return nil
	}))
}

func setDeveloperStatus(c *call) (any, error) {
	action, err := c.action(entity.Active, entity.Inactive)
	if err != nil {
		return nil, err
	}
	_, err = c.editDeveloper(func(d *developer) error {
		d.Status = action
		return nil
	})
	return noContent{}, err
}

// action is the query parameter action, which must be given.
func (c *call) action(allowed ...string) (string, error) {
	action, err := c.oneOf("action", allowed...)
	if err == nil && action == "" {
		err = invalid("action is missing, want %s", strings.Join(allowed, ", "))
	}
	return action, err
}

func deleteDeveloper(c *call) (any, error) {
	d, err := c.developer()
	if err != nil {
		return nil, err
	}
	return shownDeveloper(c.Registry.Developers.Delete(c.ctx(), c.param("org"), d.DeveloperId))
}

var developerAttributes = attributes{
	get: func(c *call) ([]*attribute, error) {
		d, err := c.developer()
		if err != nil {
			return nil, err
		}
		return d.Attributes, nil
	},
	edit: func(c *call, change func([]*attribute) ([]*attribute, error)) error {
		_, err := c.editDeveloper(func(d *developer) (err error) {
			d.Attributes, err = change(d.Attributes)
			return err
		})
		return err
	},
}
