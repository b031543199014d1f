package management

import (
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// credential is a key with its secret; the API's types of keys have the same
// fields.
type credential = apigee.GoogleCloudApigeeV1Credential

// credential is a stored key, decrypted.
func (c *call) credential(stored *entity.Credential) (*credential, error) {
	pair, err := c.Registry.OpenCredential(c.ctx(), c.param("org"), stored)
	if err != nil {
		return nil, err
	}
	shown := *stored.Public
	shown.ConsumerKey, shown.ConsumerSecret = pair.Key, pair.Secret
	return &shown, nil
}

// shownKey is a key as it is answered.
func (c *call) shownKey(stored *entity.Credential, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return c.credential(stored)
}

// newCredential makes a key with products. life is in milliseconds; 0 or less is
// for ever.
func (c *call) newCredential(pair entity.KeyPair, public *credential, life int64, products []string) (*entity.Credential, error) {
	now := entity.Millis(c.Now())
	public.IssuedAt, public.ExpiresAt, public.Status = now, entity.Never, entity.Approved
	if life > 0 {
		if public.ExpiresAt = now + life; public.ExpiresAt < now {
			return nil, invalid("the expiry of the key is too far in the future")
		}
	}
	var err error
	if public.ApiProducts, err = c.associations(products, public.Scopes); err != nil {
		return nil, err
	}
	return c.Registry.NewCredential(c.ctx(), c.param("org"), pair, public)
}

// associations are products of a key: approved, or pending if the product wants
// to be asked. The products must exist and have the scopes.
func (c *call) associations(products, scopes []string) ([]*apigee.GoogleCloudApigeeV1ApiProductRef, error) {
	var refs []*apigee.GoogleCloudApigeeV1ApiProductRef
	var allowed []string
	for _, name := range products {
		p, err := c.Registry.Products.Get(c.ctx(), c.param("org"), name)
		if err != nil {
			return nil, err
		}
		ref := &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: name, Status: entity.Approved}
		if p.ApprovalType == "manual" {
			ref.Status = entity.Pending
		}
		refs, allowed = append(refs, ref), append(allowed, p.Scopes...)
	}
	if len(products) == 0 {
		return refs, nil // scopes are checked once there are products
	}
	for _, s := range scopes {
		if !slices.Contains(allowed, s) {
			return nil, invalid("scope %q is not a scope of the API products", s)
		}
	}
	return refs, nil
}

// keyBody is what a body says of a key. Its ApiProducts are names.
type keyBody struct {
	apigee.GoogleCloudApigeeV1DeveloperAppKey
	products []string
}

// keyIgnored are names in keys that are the server's.
var keyIgnored = []string{"createdAt", "expiresAt", "issuedAt", "status", "lastModifiedAt"}

func (c *call) keyBody() (*keyBody, error) {
	b := new(keyBody)
	if c.param("appgroup") != "" && c.param("consumerKey") != "" {
		return b, c.groupKeyBody(b)
	}
	if err := c.decode(&b.GoogleCloudApigeeV1DeveloperAppKey, keyIgnored...); err != nil {
		return nil, err
	}
	return b, b.names()
}

// groupKeyBody reads the body that changes a key of an app group's app, which
// wraps the key. A bare key is understood too.
func (c *call) groupKeyBody(b *keyBody) error {
	var body struct {
		Action         string                                     `json:"action"`
		ApiProducts    []string                                   `json:"apiProducts"`
		AppGroupAppKey *apigee.GoogleCloudApigeeV1DeveloperAppKey `json:"appGroupAppKey"`
		Scopes         []string                                   `json:"scopes"`
		Attributes     []*attribute                               `json:"attributes"`
		ConsumerKey    string                                     `json:"consumerKey"`
	}
	if err := c.decode(&body, keyIgnored...); err != nil {
		return err
	}
	if body.Action != "" && !c.query.Has("action") {
		c.query.Set("action", body.Action)
	}
	b.Scopes, b.Attributes = body.Scopes, body.Attributes
	if k := body.AppGroupAppKey; k != nil {
		b.Scopes, b.Attributes = k.Scopes, k.Attributes
	}
	b.products = entity.Scopes(body.ApiProducts)
	b.Scopes = entity.Scopes(b.Scopes)
	return nil
}

// names reads products given by name, or as a key has them.
func (b *keyBody) names() error {
	for _, p := range b.ApiProducts {
		name, ok := p.(string)
		if o, isObject := p.(map[string]any); isObject {
			name, ok = o["apiproduct"].(string)
		}
		if !ok {
			return invalid("apiProducts of the key are not names")
		}
		b.products = append(b.products, name)
	}
	b.products, b.Scopes = entity.Scopes(b.products), entity.Scopes(b.Scopes)
	return nil
}

// createKey adds a key that the caller may choose, always approved. The
// documentation knows no products here; they are added if they are given.
func createKey(c *call) (any, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	b, err := c.keyBody()
	if err != nil {
		return nil, err
	}
	life := b.ExpiresInSeconds
	if life > 0 {
		life *= 1000
	}
	key, err := c.newCredential(entity.KeyPair{Key: b.ConsumerKey, Secret: b.ConsumerSecret},
		&credential{Scopes: b.Scopes, Attributes: b.Attributes}, life, b.products)
	if err != nil {
		return nil, err
	}
	_, err = c.Registry.EditApp(c.ctx(), c.param("org"), o, c.param("app"), func(a *entity.App) error {
		if a.Credential(key.ID) != nil {
			return entity.Errorf(entity.AlreadyExists, "the consumer key already exists")
		}
		a.Credentials = slices.Insert(a.Credentials, 0, key)
		return nil
	})
	return c.shownKey(key, err)
}

// key is the key of the path.
func (c *call) key() (*entity.Credential, error) {
	a, err := c.app()
	if err != nil {
		return nil, err
	}
	if k := a.Credential(entity.KeyID(c.param("consumerKey"))); k != nil {
		return k, nil
	}
	return nil, notFound("consumer key not found")
}

// editKey changes the key of the path; change returning nil removes it.
func (c *call) editKey(change func(k *entity.Credential) (*entity.Credential, error)) (*entity.Credential, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	_, k, err := c.Registry.EditCredential(c.ctx(), c.param("org"), o, c.param("app"), c.param("consumerKey"), change)
	return k, err
}

func getKey(c *call) (any, error) { return c.shownKey(c.key()) }

func deleteKey(c *call) (any, error) {
	return c.shownKey(c.editKey(func(*entity.Credential) (*entity.Credential, error) { return nil, nil }))
}

// updateKey approves or revokes a key, or adds products to it; attributes that
// are given replace those it has, and so do scopes.
func updateKey(c *call) (any, error) {
	if c.query.Has("action") {
		return c.setKeyStatus()
	}
	b, err := c.keyBody()
	if err != nil {
		return nil, err
	}
	if c.query.Has("action") { // given in the body
		if k, err := c.setKeyStatus(); err != nil || len(b.products) == 0 {
			return k, err
		}
	}
	refs, err := c.associations(b.products, b.Scopes)
	if err != nil {
		return nil, err
	}
	return c.shownKey(c.editKey(func(k *entity.Credential) (*entity.Credential, error) {
		addProducts(k, refs)
		if len(b.Attributes) > 0 {
			k.Public.Attributes = b.Attributes
		}
		if len(b.Scopes) > 0 {
			k.Public.Scopes = b.Scopes
		}
		return k, nil
	}))
}

// replaceKey replaces the scopes. apigeecli has it add products, too.
func replaceKey(c *call) (any, error) {
	b, err := c.keyBody()
	if err != nil {
		return nil, err
	}
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	refs, err := c.associations(b.products, nil)
	if err != nil {
		return nil, err
	}
	if _, err := c.associations(c.existing(append(k.Products(), b.products...)), b.Scopes); err != nil {
		return nil, err
	}
	return c.shownKey(c.editKey(func(k *entity.Credential) (*entity.Credential, error) {
		addProducts(k, refs)
		k.Public.Scopes = b.Scopes
		if len(b.Attributes) > 0 {
			k.Public.Attributes = b.Attributes
		}
		return k, nil
	}))
}

// existing are those of the products that have not been deleted.
func (c *call) existing(products []string) []string {
	return slices.DeleteFunc(products, func(name string) bool {
		ok, err := c.Registry.Products.Exists(c.ctx(), c.param("org"), name)
		return err == nil && !ok
	})
}

// addProducts adds the products the key does not have.
func addProducts(k *entity.Credential, refs []*apigee.GoogleCloudApigeeV1ApiProductRef) {
	for _, ref := range refs {
		if k.Product(ref.Apiproduct) == nil {
			k.Public.ApiProducts = append(k.Public.ApiProducts, ref)
		}
	}
}

// setKeyStatus answers without content.
func (c *call) setKeyStatus() (any, error) {
	action, err := c.action("approve", "revoke")
	if err != nil {
		return nil, err
	}
	k, err := c.editKey(func(k *entity.Credential) (*entity.Credential, error) {
		k.Public.Status = statusOfAction[action]
		return k, nil
	})
	if err != nil {
		return nil, err
	}
	if c.param("appgroup") != "" { // it has an answer
		return c.shownKey(k, nil)
	}
	return noContent{}, nil
}

func noKeyProduct(name string) error {
	return notFound("API product %q is not a product of the key", name)
}

// setKeyProduct approves or revokes a key for one product.
func setKeyProduct(c *call) (any, error) {
	action, err := c.action("approve", "revoke")
	if err != nil {
		return nil, err
	}
	_, err = c.editKey(func(k *entity.Credential) (*entity.Credential, error) {
		ref := k.Product(c.param("product"))
		if ref == nil {
			return nil, noKeyProduct(c.param("product"))
		}
		ref.Status = statusOfAction[action]
		return k, nil
	})
	return noContent{}, err
}

func deleteKeyProduct(c *call) (any, error) {
	return c.shownKey(c.editKey(func(k *entity.Credential) (*entity.Credential, error) {
		ref := k.Product(c.param("product"))
		if ref == nil {
			return nil, noKeyProduct(c.param("product"))
		}
		k.Public.ApiProducts = slices.DeleteFunc(k.Public.ApiProducts, func(have *apigee.GoogleCloudApigeeV1ApiProductRef) bool { return have == ref })
		return k, nil
	}))
}
