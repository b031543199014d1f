package management

import (
	"context"
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/registry"
)

var keystores = resource[apigee.GoogleCloudApigeeV1Keystore]{
	noun: "keystore", scope: []string{"org", "env"}, id: "keystore",
	kind: func(r *registry.Registry) *registry.Kind[apigee.GoogleCloudApigeeV1Keystore] { return r.Keystores },
	name: func(k *apigee.GoogleCloudApigeeV1Keystore) *string { return &k.Name },
}

// keys is where aliases are.
func (c *call) keys() (*keystore.Store, keystore.Scope, error) {
	if c.Keystore == nil {
		return nil, keystore.Scope{}, entity.Errorf(entity.FailedPrecondition, "keystores are not configured on this host")
	}
	return c.Keystore, keystore.Scope{Organization: c.param("org"), Environment: c.param("env")}, nil
}

// createKeystore makes an empty keystore, also where aliases of a deleted
// namesake are left.
func createKeystore(c *call) (any, error) {
	ks := new(apigee.GoogleCloudApigeeV1Keystore)
	if err := c.decode(ks); err != nil {
		return nil, err
	}
	name, err := c.named("keystore", ks.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	store, scope, err := c.keys()
	if err != nil {
		return nil, err
	}
	ks.Name, ks.Aliases = name, nil
	if ok, err := c.Registry.Keystores.Exists(c.ctx(), c.param("org"), c.param("env"), name); err == nil && !ok && entity.KeystoreName.Check(name) == nil {
		if err := store.DeleteAliases(c.ctx(), scope, name); err != nil {
			return nil, err
		}
	}
	return ks, c.Registry.Keystores.Create(c.ctx(), ks, c.param("org"), c.param("env"), name)
}

// deleteKeystore removes the keystore and its private keys.
func deleteKeystore(c *call) (any, error) {
	store, scope, err := c.keys()
	if err != nil {
		return nil, err
	}
	ks, err := c.Registry.Keystores.Delete(c.ctx(), c.ids("org", "env", "keystore")...)
	if err != nil {
		return nil, err
	}
	return ks, store.DeleteAliases(context.WithoutCancel(c.ctx()), scope, ks.Name)
}

// aKeystore is the path's keystore.
func (c *call) aKeystore() (*apigee.GoogleCloudApigeeV1Keystore, error) {
	return c.Registry.Keystores.Get(c.ctx(), c.ids("org", "env", "keystore")...)
}

func listAliases(c *call) (any, error) {
	ks, err := c.aKeystore()
	if err != nil || len(ks.Aliases) == 0 {
		return []string{}, err
	}
	slices.Sort(ks.Aliases)
	return ks.Aliases, nil
}

// alias is the path's alias.
func (c *call) alias() (keystore.Alias, error) {
	store, scope, err := c.keys()
	if err != nil {
		return keystore.Alias{}, err
	}
	ks, err := c.aKeystore()
	if err != nil {
		return keystore.Alias{}, err
	}
	if !slices.Contains(ks.Aliases, c.param("alias")) {
		return keystore.Alias{}, aliasNotFound(c.param("alias"), ks.Name)
	}
	config, err := c.config()
	if err != nil {
		return keystore.Alias{}, err
	}
	return store.GetAliasVersion(c.ctx(), scope, ks.Name, c.param("alias"), config.Keystores[ks.Name][c.param("alias")])
}

func aliasNotFound(alias, keystore string) error {
	return notFound("alias %q not found in keystore %q", alias, keystore)
}

func getAlias(c *call) (any, error) {
	a, err := c.alias()
	if err != nil {
		return nil, err
	}
	return a.Resource(c.Now()), nil
}

func getCertificate(c *call) (any, error) {
	a, err := c.alias()
	if err != nil {
		return nil, err
	}
	return file{contentType: "application/octet-stream", data: a.ChainPEM()}, nil
}

func getCSR(c *call) (any, error) {
	a, err := c.alias()
	if err != nil {
		return nil, err
	}
	csr, err := a.CSR()
	return file{contentType: "application/octet-stream", data: csr}, err
}

// maxKeyFiles bounds the files of an alias, in bytes.
const maxKeyFiles = 4 << 20

// uploaded is the request that makes or changes an alias. The files are parts of
// a form, or the body itself; parameters are in the query or the form.
func (c *call) uploaded(alias string) (keystore.Upload, error) {
	var u keystore.Upload
	var err error
	if u.IgnoreExpiryValidation, err = c.flag("ignoreExpiryValidation"); err != nil {
		return u, err
	}
	if u.IgnoreNewlineValidation, err = c.flag("ignoreNewlineValidation"); err != nil {
		return u, err
	}
	up, err := c.upload(maxKeyFiles)
	if err != nil {
		return u, err
	}
	u.Alias = alias
	u.FileFormat = keystore.Format(c.query.Get("format"))
	if u.Password = c.arg("password", "_password"); u.Password == "" {
		u.Password = string(up.parts["password"])
	}
	u.CertFile, u.KeyFile = up.file("certFile"), up.parts["keyFile"]
	if u.File = up.file("file"); u.File == nil {
		u.File = up.any()
	}
	if u.FileFormat == keystore.SelfSignedCert {
		u.File = escapeControls(u.File)
	}
	return u, nil
}

func createAlias(c *call) (any, error) {
	store, scope, err := c.keys()
	if err != nil {
		return nil, err
	}
	ks, err := c.aKeystore()
	if err != nil {
		return nil, err
	}
	if len(ks.Aliases) >= entity.MaxAliases {
		return nil, entity.Errorf(entity.ResourceExhausted, "keystore %q has %d aliases, more are not allowed", ks.Name, entity.MaxAliases)
	}
	u, err := c.uploaded(c.query.Get("alias"))
	if err != nil {
		return nil, err
	}
	a, err := keystore.Import(u, c.Now())
	if err != nil {
		return nil, err
	}
	if c.made = a.Name; slices.Contains(ks.Aliases, a.Name) {
		return nil, entity.Errorf(entity.AlreadyExists, "alias %q already exists in keystore %q", a.Name, ks.Name)
	}
	// One that is not listed is what a failed call left; nobody can see it.
	if a, err = store.PutAlias(c.ctx(), scope, ks.Name, a); err != nil {
		return nil, err
	}
	return a.Resource(c.Now()), c.Registry.PutAlias(c.ctx(), c.param("org"), c.param("env"), ks.Name, a.Name, a.Version, true)
}

// updateAlias replaces the certificates of an alias, which keeps its key.
func updateAlias(c *call) (any, error) {
	if _, err := c.alias(); err != nil {
		return nil, err
	}
	u, err := c.uploaded(c.param("alias"))
	if err != nil {
		return nil, err
	}
	certs, err := keystore.ImportCertificates(u, c.Now())
	if err != nil {
		return nil, err
	}
	store, scope, err := c.keys()
	if err != nil {
		return nil, err
	}
	a, err := store.UpdateCertificates(c.ctx(), scope, c.param("keystore"), c.param("alias"), certs)
	if err != nil {
		return nil, err
	}
	return a.Resource(c.Now()), c.Registry.PutAlias(c.ctx(), c.param("org"), c.param("env"), c.param("keystore"), a.Name, a.Version, false)
}

func deleteAlias(c *call) (any, error) {
	a, err := c.alias()
	if err != nil {
		return nil, err
	}
	if err := c.Registry.RemoveAlias(c.ctx(), c.param("org"), c.param("env"), c.param("keystore"), a.Name); err != nil {
		return nil, err
	}
	store, scope, err := c.keys()
	if err != nil {
		return nil, err
	}
	if err := store.DeleteAlias(context.WithoutCancel(c.ctx()), scope, c.param("keystore"), a.Name); err != nil && !keystore.IsNotFound(err) {
		return nil, err
	}
	return a.Resource(c.Now()), nil
}
