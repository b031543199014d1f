package management

import (
	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Portals are kept for their clients: the API documents under the name of a
// site, which comes into being with its first document.

// portal is the answer about what belongs to a portal; it has a status of its
// own.
func portal(data any) object {
	return object{"status": "success", "message": "", "requestId": uuid.NewString(), "data": data}
}

func listSites(c *call) (any, error) {
	all, err := c.stored.sites.All(c.ctx(), c.param("org"))
	if all == nil {
		all = []*site{}
	}
	return portal(all), err
}

func listAPIDocs(c *call) (any, error) {
	list, next, err := pageOf(c, c.stored.apidocs, 25, 100, c.ids("org", "site")...)
	if err != nil {
		return nil, err
	}
	docs := make([]*apigee.GoogleCloudApigeeV1ApiDoc, len(list))
	for i, d := range list {
		docs[i] = d.Doc
	}
	answer := portal(docs)
	if next != "" {
		answer["nextPageToken"] = next
	}
	return answer, nil
}

func (c *call) apiDoc() (*apigee.GoogleCloudApigeeV1ApiDoc, error) {
	d := new(apigee.GoogleCloudApigeeV1ApiDoc)
	if err := c.decode(d); err != nil {
		return nil, err
	}
	if d.Title == "" || len(d.Title) > 255 {
		return nil, invalid("title of an API document must have 1 to 255 characters")
	}
	d.SiteId, d.Modified = c.param("site"), entity.Millis(c.Now())
	return d, nil
}

func createAPIDoc(c *call) (any, error) {
	d, err := c.apiDoc()
	if err != nil {
		return nil, err
	}
	d.Id = number()
	c.made = numeral(d.Id)
	if err := c.stored.sites.Put(c.ctx(), &site{ID: c.param("site")}, c.ids("org", "site")...); err != nil {
		return nil, err
	}
	return portal(d), c.stored.apidocs.Create(c.ctx(), &apiDoc{Doc: d}, c.param("org"), c.param("site"), numeral(d.Id))
}

func getAPIDoc(c *call) (any, error) {
	d, err := c.stored.apidocs.Get(c.ctx(), c.ids("org", "site", "apidoc")...)
	if err != nil {
		return nil, err
	}
	return portal(d.Doc), nil
}

func updateAPIDoc(c *call) (any, error) {
	d, err := c.apiDoc()
	if err != nil {
		return nil, err
	}
	_, err = c.stored.apidocs.Update(c.ctx(), func(old *apiDoc) error {
		d.Id = old.Doc.Id
		old.Doc = d
		return nil
	}, c.ids("org", "site", "apidoc")...)
	return portal(d), err
}

func deleteAPIDoc(c *call) (any, error) {
	d, err := c.stored.apidocs.Delete(c.ctx(), c.ids("org", "site", "apidoc")...)
	if err != nil {
		return nil, err
	}
	return portal(d.Doc), nil
}

func getDocumentation(c *call) (any, error) {
	d, err := c.stored.apidocs.Get(c.ctx(), c.ids("org", "site", "apidoc")...)
	if err != nil {
		return nil, err
	}
	if d.Documentation == nil {
		return nil, notFound("API document %q has no documentation", c.param("apidoc"))
	}
	return portal(d.Documentation), nil
}

// updateDocumentation replaces the documentation of an API document.
func updateDocumentation(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1ApiDocDocumentation)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	_, err := c.stored.apidocs.Update(c.ctx(), func(d *apiDoc) error {
		d.Documentation, d.Doc.Modified = body, entity.Millis(c.Now())
		return nil
	}, c.ids("org", "site", "apidoc")...)
	return portal(body), err
}

type category = apigee.GoogleCloudApigeeV1ApiCategory

const categoryKind = "apicategories"

func (c *call) categoryID(id string) []string {
	return []string{c.param("org"), categoryKind, c.param("site"), id}
}

func listCategories(c *call) (any, error) {
	list := []*category{}
	for item, err := range c.stored.categories.List(c.ctx(), registry.Page{}, c.param("org"), categoryKind, c.param("site")) {
		if err != nil {
			return nil, err
		}
		list = append(list, item.Value)
	}
	return portal(list), nil
}

func (c *call) category() (*category, error) {
	v := new(category)
	if err := c.decode(v); err != nil {
		return nil, err
	}
	if v.Name == "" {
		return nil, invalid("name of an API category is missing")
	}
	v.SiteId, v.UpdateTime = c.param("site"), entity.Millis(c.Now())
	return v, nil
}

func createCategory(c *call) (any, error) {
	v, err := c.category()
	if err != nil {
		return nil, err
	}
	v.Id = uuid.NewString()
	c.made = v.Id
	return portal(v), c.stored.categories.Create(c.ctx(), v, c.categoryID(v.Id)...)
}

func getCategory(c *call) (any, error) {
	v, err := c.stored.categories.Get(c.ctx(), c.categoryID(c.param("category"))...)
	return portal(v), err
}

func updateCategory(c *call) (any, error) {
	v, err := c.category()
	if err != nil {
		return nil, err
	}
	v.Id = c.param("category")
	return portal(v), c.stored.categories.Replace(c.ctx(), v, c.categoryID(v.Id)...)
}

func deleteCategory(c *call) (any, error) {
	v, err := c.stored.categories.Delete(c.ctx(), c.categoryID(c.param("category"))...)
	return portal(v), err
}
