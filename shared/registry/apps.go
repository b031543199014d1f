package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Owner is who has an app: a developer, by id, or an app group, by name.
type Owner struct{ Developer, Group string }

// OwnerOf is who has the app.
func OwnerOf(a *entity.App) Owner {
	return Owner{Developer: a.Profile.DeveloperId, Group: a.Profile.AppGroup}
}

// fields select the owner's apps.
func (o Owner) fields() map[string]string {
	if o.Group != "" {
		return map[string]string{"appgroup": o.Group}
	}
	return map[string]string{"developer": o.Developer}
}

func (o Owner) key(org string) store.Key {
	if o.Group != "" {
		return entity.Key("appgroups", org, o.Group)
	}
	return entity.Key("developers", org, o.Developer)
}

func appFields(id []string, v *entity.App) map[string]string {
	fields := OwnerOf(v).fields()
	fields["org"], fields["name"], fields["status"] = id[0], v.Profile.Name, v.Profile.Status
	return fields
}

func prepareApp(id []string, old, v *entity.App, now int64) (err error) {
	p := v.Profile
	p.AppId, p.LastModifiedAt, p.CreatedAt = id[1], now, now
	p.Credentials, p.ApiProducts, p.DeveloperEmail, p.CompanyName = nil, nil, "", ""
	p.Scopes = entity.Scopes(p.Scopes)
	fill(&p.Status, entity.Approved)
	fill(&v.AppFamily, "default")
	if old != nil {
		p.CreatedAt = old.Profile.CreatedAt
	}
	if err := entity.AppName.Check(p.Name); err != nil {
		return err
	}
	if err := entity.CheckCallbackURL(p.CallbackUrl); err != nil {
		return err
	}
	if p.Attributes, err = entity.CheckAttributes(p.Attributes, entity.MaxAttributes); err != nil {
		return err
	}
	if len(v.Credentials) > entity.MaxAppKeys {
		return entity.Errorf(entity.ResourceExhausted, "app %q has %d keys, more are not allowed", p.Name, entity.MaxAppKeys)
	}
	for _, c := range v.Credentials {
		if err := prepareCredential(c); err != nil {
			return err
		}
	}
	return among("status of an app", p.Status, entity.Approved, entity.Revoked, entity.Pending)
}

func prepareCredential(c *entity.Credential) (err error) {
	p := c.Public
	p.ConsumerKey, p.ConsumerSecret = "", "" // they are in Sealed
	p.Scopes = entity.Scopes(p.Scopes)
	fill(&p.Status, entity.Approved)
	if p.Attributes, err = entity.CheckAttributes(p.Attributes, entity.MaxAttributes); err != nil {
		return err
	}
	if len(p.ApiProducts) > entity.MaxKeyProducts {
		return entity.Errorf(entity.ResourceExhausted, "a key has at most %d API products", entity.MaxKeyProducts)
	}
	for _, ref := range p.ApiProducts {
		if err := among("status of the API product of a key", ref.Status, entity.Approved, entity.Revoked, entity.Pending); err != nil {
			return err
		}
	}
	return among("status of a key", p.Status, entity.Approved, entity.Revoked, entity.Pending)
}

func keyRef(org, id string) store.Key { return entity.Key("credentials", org, id) }

// commitApp checks that the owner exists and has no other app of the name, that
// nobody else has the app's new keys, and keeps the documents keys are looked up
// by and the developer's list of apps.
func commitApp(tx *Tx, id []string, old, v *entity.App) error {
	puts, err := keyRefs(tx, id, old, v)
	if err != nil {
		return err
	}
	if old == nil || v == nil {
		owner, err := admit(tx, old, v)
		if err != nil {
			return err
		}
		if owner.Found() {
			puts = append(puts, owner) // it orders what concerns its apps
		}
	}
	for _, d := range puts {
		if err := tx.Put(d); err != nil {
			return err
		}
	}
	for _, c := range credentials(old) {
		if v == nil || v.Credential(c.ID) == nil {
			if err := tx.Delete(keyRef(id[0], c.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyRefs are the references to be written for the app's keys; AlreadyExists if
// a new one is another app's.
func keyRefs(tx *Tx, id []string, old, v *entity.App) ([]store.Doc, error) {
	var puts []store.Doc
	for _, c := range credentials(v) {
		had := old != nil && old.Credential(c.ID) != nil
		if !had {
			if _, err := tx.Get(keyRef(id[0], c.ID)); err == nil {
				return nil, entity.Errorf(entity.AlreadyExists, "the consumer key already exists")
			} else if !store.IsNotFound(err) {
				return nil, err
			}
		}
		if had && slices.Equal(old.Credential(c.ID).Products(), c.Products()) {
			continue
		}
		d, err := encode(keyRef(id[0], c.ID), map[string]string{"org": id[0], "app": id[1]}, entity.KeyRef{
			App: id[1], Developer: v.Profile.DeveloperId, AppGroup: v.Profile.AppGroup, Products: c.Products(),
		})
		if err != nil {
			return nil, err
		}
		puts = append(puts, d)
	}
	return puts, nil
}

func credentials(a *entity.App) []*entity.Credential {
	if a == nil {
		return nil
	}
	return a.Credentials
}

// admit is the document of the owner of an app that is created or, if v is nil,
// deleted. A new one needs an owner that has no app of the name; a deleted one's
// may be gone.
func admit(tx *Tx, old, v *entity.App) (store.Doc, error) {
	a := v
	if v == nil {
		a = old
	}
	o := OwnerOf(a)
	owner, err := tx.Get(o.key(tx.Organization))
	if store.IsNotFound(err) && v == nil {
		return store.Doc{}, nil
	}
	if store.IsNotFound(err) && o.Group != "" {
		return store.Doc{}, entity.Errorf(entity.NotFound, "app group %q not found", o.Group)
	}
	if store.IsNotFound(err) {
		return store.Doc{}, developerNotFound(o.Developer)
	}
	if err != nil {
		return store.Doc{}, err
	}
	if v != nil {
		if err := unused(tx, o, v.Profile.Name); err != nil {
			return store.Doc{}, err
		}
	}
	if o.Group != "" {
		return owner, nil
	}
	return listApp(owner, a.Profile.Name, v != nil)
}

// unused is an error if the owner has an app of the name.
func unused(tx *Tx, o Owner, name string) error {
	where := o.fields()
	where["name"] = name
	same, err := tx.Query(store.Query{Collection: "apps", Where: where, Prefix: tx.Organization + "/", Limit: 1, NoData: true})
	if err == nil && len(same) > 0 {
		err = entity.Errorf(entity.AlreadyExists, "app %q already exists", name)
	}
	return err
}

// listApp adds the name of an app to its developer's, or removes it.
func listApp(d store.Doc, name string, add bool) (store.Doc, error) {
	dev, err := Decode[apigee.GoogleCloudApigeeV1Developer](d)
	if err != nil {
		return d, err
	}
	i, listed := slices.BinarySearch(dev.Apps, name)
	switch {
	case add && !listed:
		dev.Apps = slices.Insert(dev.Apps, i, name)
	case !add && listed:
		dev.Apps = slices.Delete(dev.Apps, i, i+1)
	}
	return encode(d.Key, d.Fields, dev)
}

// CreateApp creates an app with an id of its own. Its owner must exist.
func (r *Registry) CreateApp(ctx context.Context, org string, a *entity.App) error {
	return r.Apps.Create(ctx, a, org, uuid.NewString())
}

// App is the owner's app of a name; NotFound if there is none.
func (r *Registry) App(ctx context.Context, org string, o Owner, name string) (*entity.App, error) {
	where := o.fields()
	where["name"] = name
	for item, err := range r.Apps.Where(ctx, where, Page{Limit: 1}, org) {
		return item.Value, err
	}
	return nil, entity.Errorf(entity.NotFound, "app %q not found", name)
}

// AppOfKey is the app whose a consumer key is; NotFound if there is no such key.
func (r *Registry) AppOfKey(ctx context.Context, org, consumerKey string) (*entity.App, error) {
	d, err := r.store.Get(ctx, keyRef(org, entity.KeyID(consumerKey)))
	if store.IsNotFound(err) {
		return nil, keyNotFound()
	}
	if err != nil {
		return nil, err
	}
	ref, err := Decode[entity.KeyRef](d)
	if err != nil {
		return nil, err
	}
	return r.Apps.Get(ctx, org, ref.App)
}

// keyNotFound does not name the key: it may be somebody's.
func keyNotFound() error { return entity.Errorf(entity.NotFound, "consumer key not found") }

// EditApp changes the owner's app of a name and returns it. edit may run several
// times; an error of it comes back as it is.
func (r *Registry) EditApp(ctx context.Context, org string, o Owner, name string, edit func(a *entity.App) error) (*entity.App, error) {
	a, err := r.App(ctx, org, o, name)
	if err != nil {
		return nil, err
	}
	return r.Apps.Update(ctx, edit, org, a.Profile.AppId)
}

// DeleteApp removes the owner's app of a name and its keys, and returns it.
func (r *Registry) DeleteApp(ctx context.Context, org string, o Owner, name string) (*entity.App, error) {
	a, err := r.App(ctx, org, o, name)
	if err != nil {
		return nil, err
	}
	return r.Apps.Delete(ctx, org, a.Profile.AppId)
}

// AppsOf are the owner's apps, in no order.
func (r *Registry) AppsOf(ctx context.Context, org string, o Owner) iter.Seq2[*entity.App, error] {
	return r.appsWhere(ctx, org, o.fields())
}

// EditCredential changes a key of the owner's app of a name and returns the app
// and the key. edit returning nil removes the key; it may run several times.
func (r *Registry) EditCredential(ctx context.Context, org string, o Owner, app, consumerKey string, edit func(c *entity.Credential) (*entity.Credential, error)) (*entity.App, *entity.Credential, error) {
	id := entity.KeyID(consumerKey)
	var edited *entity.Credential
	a, err := r.EditApp(ctx, org, o, app, func(a *entity.App) error {
		i := slices.IndexFunc(a.Credentials, func(c *entity.Credential) bool { return c.ID == id })
		if i < 0 {
			return keyNotFound()
		}
		edited = a.Credentials[i]
		next, err := edit(edited)
		if err != nil {
			return err
		}
		if next == nil {
			a.Credentials = slices.Delete(a.Credentials, i, i+1)
			return nil
		}
		a.Credentials[i], edited = next, next
		return nil
	})
	return a, edited, err
}

// deleteApps removes the apps of an owner that is gone.
func (r *Registry) deleteApps(ctx context.Context, org string, o Owner) error {
	for item, err := range r.Apps.Where(ctx, o.fields(), Page{}, org) {
		if err != nil {
			return err
		}
		if _, err := r.Apps.Delete(ctx, org, item.Value.Profile.AppId); err != nil && !entity.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// Lengths of generated consumer keys and secrets.
const (
	keyLength    = 48
	secretLength = 64
)

// NewCredential encrypts a consumer key and its secret, generating what is
// empty. It is stored with the app it is added to.
func (r *Registry) NewCredential(ctx context.Context, org string, pair entity.KeyPair, public *apigee.GoogleCloudApigeeV1Credential) (*entity.Credential, error) {
	if pair.Key == "" {
		pair.Key = randomText(keyLength)
	}
	if pair.Secret == "" {
		pair.Secret = randomText(secretLength)
	}
	if err := entity.ConsumerKeyName.Check(pair.Key); err != nil {
		return nil, err
	}
	if err := checkSecret(pair.Secret); err != nil {
		return nil, err
	}
	if r.cipher == nil {
		return nil, errNoCipher
	}
	plain, err := json.Marshal(pair)
	if err != nil {
		return nil, err
	}
	c := &entity.Credential{ID: entity.KeyID(pair.Key), Public: public}
	c.Sealed, err = r.cipher.Seal(ctx, plain, []byte(keyRef(org, c.ID).String()))
	return c, err
}

var errNoCipher = entity.Errorf(entity.FailedPrecondition, "consumer keys need an encryption key and none is configured")

func checkSecret(secret string) error {
	if len(secret) > entity.MaxConsumerSecretBytes {
		return entity.Errorf(entity.InvalidArgument, "consumer secret has %d bytes, at most %d are allowed", len(secret), entity.MaxConsumerSecretBytes)
	}
	for _, c := range secret {
		if c <= ' ' || c > '~' {
			return entity.Errorf(entity.InvalidArgument, "the consumer secret has characters that are not allowed")
		}
	}
	return nil
}

// OpenCredential decrypts a consumer key and its secret.
func (r *Registry) OpenCredential(ctx context.Context, org string, c *entity.Credential) (entity.KeyPair, error) {
	var pair entity.KeyPair
	if r.cipher == nil {
		return pair, errNoCipher
	}
	plain, err := r.cipher.Open(ctx, c.Sealed, []byte(keyRef(org, c.ID).String()))
	if err != nil {
		return pair, fmt.Errorf("open a consumer key: %w", err)
	}
	return pair, json.Unmarshal(plain, &pair)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText is n letters and digits, all equally likely.
func randomText(n int) string {
	out := make([]byte, 0, n)
	for buf := make([]byte, n); len(out) < n; {
		_, _ = rand.Read(buf) // never fails
		for _, b := range buf {
			if int(b) < 256/len(alphabet)*len(alphabet) && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// Holder is whose a consumer key is, and what it leads to. The statuses are not
// looked at.
type Holder struct {
	App        *entity.App
	Credential *entity.Credential
	// Developer or Group is the app's owner; both are nil if it was deleted.
	Developer *apigee.GoogleCloudApigeeV1Developer
	Group     *apigee.GoogleCloudApigeeV1AppGroup
	// Products are those of the key that exist and that known did not say to
	// leave out, by name.
	Products map[string]*apigee.GoogleCloudApigeeV1ApiProduct
	// Pair is the key and its secret.
	Pair entity.KeyPair
}

// Holder looks up a consumer key, in two exchanges with the store; nil if there is no
// such key. Products for which known is true are not read; nil reads all.
func (r *Registry) Holder(ctx context.Context, org, consumerKey string, known func(product string) bool) (*Holder, error) {
	d, err := r.store.Get(ctx, keyRef(org, entity.KeyID(consumerKey)))
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ref, err := Decode[entity.KeyRef](d)
	if err != nil {
		return nil, err
	}
	h := &Holder{Products: map[string]*apigee.GoogleCloudApigeeV1ApiProduct{}}
	if err := r.readHolder(ctx, org, h, ref, known); err != nil || h.App == nil {
		return nil, err
	}
	if h.Credential = h.App.Credential(entity.KeyID(consumerKey)); h.Credential == nil {
		return nil, nil // removed meanwhile
	}
	// The app is read after the reference and may have products it does not name.
	added := slices.DeleteFunc(h.Credential.Products(), func(name string) bool { return slices.Contains(ref.Products, name) })
	if err := r.readProducts(ctx, org, h, added, known); err != nil {
		return nil, err
	}
	h.Pair, err = r.OpenCredential(ctx, org, h.Credential)
	return h, err
}

func (r *Registry) readHolder(ctx context.Context, org string, h *Holder, ref *entity.KeyRef, known func(string) bool) error {
	owner := Owner{Developer: ref.Developer, Group: ref.AppGroup}
	keys := []store.Key{r.Apps.Key(org, ref.App), owner.key(org)}
	for _, name := range ref.Products {
		if known == nil || !known(name) {
			keys = append(keys, r.Products.Key(org, name))
		}
	}
	docs, err := r.store.GetAll(ctx, keys)
	if err != nil || !docs[0].Found() {
		return err
	}
	if h.App, err = Decode[entity.App](docs[0]); err != nil {
		return err
	}
	switch {
	case !docs[1].Found():
	case owner.Group != "":
		h.Group, err = Decode[apigee.GoogleCloudApigeeV1AppGroup](docs[1])
	default:
		h.Developer, err = Decode[apigee.GoogleCloudApigeeV1Developer](docs[1])
	}
	if err != nil {
		return err
	}
	return h.addProducts(docs[2:])
}

func (h *Holder) addProducts(docs []store.Doc) error {
	for _, d := range docs {
		if !d.Found() {
			continue
		}
		p, err := Decode[apigee.GoogleCloudApigeeV1ApiProduct](d)
		if err != nil {
			return err
		}
		h.Products[p.Name] = p
	}
	return nil
}

// readProducts reads products beside those of the reference; mostly there are none.
func (r *Registry) readProducts(ctx context.Context, org string, h *Holder, names []string, known func(string) bool) error {
	var keys []store.Key
	for _, name := range names {
		if known == nil || !known(name) {
			keys = append(keys, r.Products.Key(org, name))
		}
	}
	docs, err := r.store.GetAll(ctx, keys)
	if err != nil {
		return err
	}
	return h.addProducts(docs)
}

// AppsNamed are the apps of a name, whoever has them.
func (r *Registry) AppsNamed(ctx context.Context, org, name string) iter.Seq2[*entity.App, error] {
	return r.appsWhere(ctx, org, map[string]string{"name": name})
}

func (r *Registry) appsWhere(ctx context.Context, org string, where map[string]string) iter.Seq2[*entity.App, error] {
	return func(yield func(*entity.App, error) bool) {
		for item, err := range r.Apps.Where(ctx, where, Page{}, org) {
			if !yield(item.Value, err) {
				return
			}
		}
	}
}
