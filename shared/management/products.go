package management

import (
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

type product = apigee.GoogleCloudApigeeV1ApiProduct

// productIgnored are names in products that are the server's.
var productIgnored = []string{"createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy"}

func (c *call) productID() []string { return c.ids("org", "product") }

// listProducts gives names only without expand=true.
func listProducts(c *call) (any, error) {
	expand, err := c.flag("expand")
	if err != nil {
		return nil, err
	}
	n, err := c.size(maxListed, maxListed, "count")
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListApiProductsResponse)
	for item, err := range c.Registry.Products.From(c.ctx(), c.arg("startKey", "start_key"), 0, c.param("org")) {
		if err != nil {
			return nil, err
		}
		if !c.wanted(item.Value) {
			continue
		}
		if !expand {
			item.Value = &product{Name: item.Value.Name}
		}
		if list.ApiProduct = append(list.ApiProduct, item.Value); len(list.ApiProduct) == n {
			break
		}
	}
	return list, nil
}

// wanted reports whether a list is to have the product: it has the attribute that
// is asked for and is in the space.
func (c *call) wanted(p *product) bool {
	if space := c.query.Get("space"); space != "" && p.Space != space {
		return false
	}
	name := c.arg("attributename", "attributeName")
	if name == "" {
		return true
	}
	a := entity.Attribute(p.Attributes, name)
	value := c.arg("attributevalue", "attributeValue")
	return a != nil && (value == "" || a.Value == value)
}

func createProduct(c *call) (any, error) {
	p := new(product)
	if err := c.decode(p, productIgnored...); err != nil {
		return nil, err
	}
	name, err := c.named("API product", p.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	return answered(p, c.Registry.Products.Create(c.ctx(), p, c.param("org"), name))
}

// answered is the answer v, unless there is an error.
func answered[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func getProduct(c *call) (any, error) {
	return answered(c.Registry.Products.Get(c.ctx(), c.productID()...))
}

func updateProduct(c *call) (any, error) {
	p := new(product)
	if err := c.decode(p, productIgnored...); err != nil {
		return nil, err
	}
	if err := sameName("API product", p.Name, c.param("product")); err != nil {
		return nil, err
	}
	return answered(c.Registry.Products.Update(c.ctx(), func(old *product) error {
		next := *p
		if next.Space == "" {
			next.Space = old.Space // it is changed by move only
		}
		*old = next
		return nil
	}, c.productID()...))
}

func moveProduct(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1MoveApiProductRequest)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	space := c.query.Get("space")
	if body.Space != "" {
		space = body.Space
	}
	return answered(c.Registry.Products.Update(c.ctx(), func(p *product) error {
		p.Space = space
		return nil
	}, c.productID()...))
}

func deleteProduct(c *call) (any, error) {
	return answered(c.Registry.Products.Delete(c.ctx(), c.productID()...))
}

var productAttributes = attributes{
	get: func(c *call) ([]*attribute, error) {
		p, err := c.Registry.Products.Get(c.ctx(), c.productID()...)
		if err != nil {
			return nil, err
		}
		return p.Attributes, nil
	},
	edit: func(c *call, change func([]*attribute) ([]*attribute, error)) error {
		_, err := c.Registry.Products.Update(c.ctx(), func(p *product) (err error) {
			p.Attributes, err = change(p.Attributes)
			return err
		}, c.productID()...)
		return err
	},
}
