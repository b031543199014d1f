package keystore

import (
	"context"
	"crypto"
	"crypto/x509"
	"strings"
)

// referencePrefix begins the name of a reference where a keystore may be
// named: ref://name.
// https://cloud.google.com/apigee/docs/api-platform/system-administration/working-with-references
const referencePrefix = "ref://"

// Resolve gives the keystore that a reference of an environment refers to, or
// an *Error of code NotFound. It must be cheap: it is called for each use of a
// reference.
type Resolve func(ctx context.Context, sc Scope, reference string) (keystore string, err error)

// Keys finds keys and certificates of one environment by the names policies
// and targets use: policy.Keys.
type Keys struct {
	cached  *Cached
	scope   Scope
	resolve Resolve
}

// Keys gives the keys of an environment. Without resolve (nil), references
// are not found.
func (c *Cached) Keys(sc Scope, resolve Resolve) *Keys {
	return &Keys{cached: c, scope: sc, resolve: resolve}
}

// Key is the private key of an alias and its certificates, leaf first; Invalid
// if it has none. keystore may be a reference.
func (k *Keys) Key(ctx context.Context, keystore, alias string) (crypto.Signer, []*x509.Certificate, error) {
	keystore, err := k.keystore(ctx, keystore)
	if err != nil {
		return nil, nil, err
	}
	a, err := k.cached.Alias(ctx, k.scope, keystore, alias)
	if err != nil {
		return nil, nil, err
	}
	if a.Type() != KeyCert {
		return nil, nil, Errorf(Invalid, "alias %q of keystore %q has no private key", alias, keystore)
	}
	return a.Key(), a.Certs, nil
}

// Certificates are those of an alias, or of the whole keystore if alias is
// empty; NotFound if there is none. keystore may be a reference.
func (k *Keys) Certificates(ctx context.Context, keystore, alias string) ([]*x509.Certificate, error) {
	keystore, err := k.keystore(ctx, keystore)
	if err != nil {
		return nil, err
	}
	if alias == "" {
		return k.cached.Certificates(ctx, k.scope, keystore)
	}
	a, err := k.cached.Alias(ctx, k.scope, keystore, alias)
	return a.Certs, err
}

// keystore is the name of a keystore, behind a reference or not.
func (k *Keys) keystore(ctx context.Context, name string) (string, error) {
	reference, ok := strings.CutPrefix(name, referencePrefix)
	if !ok {
		return name, nil
	}
	if k.resolve == nil {
		return "", Errorf(NotFound, "reference %q does not exist", reference)
	}
	return k.resolve(ctx, k.scope, reference)
}
