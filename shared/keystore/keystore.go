// Package keystore keeps the certificates and private keys of an environment's
// keystores and truststores: aliases, in Apigee's words. Store gives them
// meaning (import, validation, trust pools) over a Driver, which keeps named
// secrets and knows nothing of certificates; Cached is what the request path
// reads. That a keystore exists, and references to it, are entities of the
// registry and not kept here.
//
// Private keys come in by an import and go out only as a crypto.Signer; no
// form of printing an Alias shows one.
package keystore

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// The labels of an alias's secret.
const (
	labelOrganization = "org"
	labelEnvironment  = "env"
	labelKeystore     = "keystore"
	labelAlias        = "alias"
)

// trustReads bounds the concurrent reads of TrustPool.
const trustReads = 8

// Scope is the environment whose keystores are meant. Both are required.
type Scope struct{ Organization, Environment string }

// Store reads and writes aliases.
type Store struct {
	driver Driver
	now    func() time.Time
}

// Option changes a Store.
type Option func(*Store)

// WithClock sets the clock by which certificates expire; default time.Now.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// New makes a Store over a driver, which the caller closes.
func New(d Driver, opts ...Option) *Store {
	s := &Store{driver: d, now: time.Now}
	for _, o := range opts {
		o(s)
	}
	return s
}

// CreateAlias stores a new alias; AlreadyExists if the keystore has one of
// that name. It returns the alias with its version.
func (s *Store) CreateAlias(ctx context.Context, sc Scope, keystore string, a Alias) (Alias, error) {
	err := s.write(sc, keystore, &a, func(name string, data []byte, labels map[string]string) (string, error) {
		return s.driver.Create(ctx, name, data, labels)
	})
	if CodeOf(err) == AlreadyExists {
		return Alias{}, Errorf(AlreadyExists, "alias %q already exists in keystore %q", a.Name, keystore)
	}
	if err != nil {
		return Alias{}, fmt.Errorf("create alias %q in keystore %q: %w", a.Name, keystore, err)
	}
	return a, nil
}

// PutAlias stores an alias, replacing one of the same name. It returns the
// alias with its version.
func (s *Store) PutAlias(ctx context.Context, sc Scope, keystore string, a Alias) (Alias, error) {
	err := s.write(sc, keystore, &a, func(name string, data []byte, labels map[string]string) (string, error) {
		return s.driver.Put(ctx, name, data, labels)
	})
	if err != nil {
		return Alias{}, fmt.Errorf("put alias %q in keystore %q: %w", a.Name, keystore, err)
	}
	return a, nil
}

// write stores an alias with one of the driver's methods and sets its version.
func (s *Store) write(sc Scope, keystore string, a *Alias, put func(name string, data []byte, labels map[string]string) (string, error)) error {
	name, labels, err := secretOf(sc, keystore, a.Name)
	if err != nil {
		return err
	}
	data, err := encodeAlias(*a)
	if err != nil {
		return err
	}
	a.Version, err = put(name, data, labels)
	return err
}

// UpdateCertificates replaces the chain of an alias and keeps its key, which
// must be the key of the new leaf. It returns the alias as it is now.
func (s *Store) UpdateCertificates(ctx context.Context, sc Scope, keystore, alias string, certs []*x509.Certificate) (Alias, error) {
	name, _, err := secretOf(sc, keystore, alias)
	if err != nil {
		return Alias{}, err
	}
	for {
		old, err := s.GetAlias(ctx, sc, keystore, alias)
		if err != nil {
			return Alias{}, err
		}
		updated, err := NewAlias(alias, certs, old.Key())
		if err != nil {
			return Alias{}, err
		}
		data, err := encodeAlias(updated)
		if err != nil {
			return Alias{}, err
		}
		updated.Version, err = s.driver.Replace(ctx, name, old.Version, data)
		if err == nil {
			return updated, nil
		}
		if CodeOf(err) != Conflict {
			return Alias{}, fmt.Errorf("update alias %q in keystore %q: %w", alias, keystore, err)
		}
	}
}

// GetAlias reads an alias with its key, or NotFound. It reads the engine each
// time; the request path uses Cached.
func (s *Store) GetAlias(ctx context.Context, sc Scope, keystore, alias string) (Alias, error) {
	name, _, err := secretOf(sc, keystore, alias)
	if err != nil {
		return Alias{}, err
	}
	data, version, err := s.driver.Get(ctx, name)
	if IsNotFound(err) {
		return Alias{}, Errorf(NotFound, "alias %q does not exist in keystore %q", alias, keystore)
	}
	if err != nil {
		return Alias{}, fmt.Errorf("get alias %q of keystore %q: %w", alias, keystore, err)
	}
	return decodeAlias(alias, version, data)
}

// GetAliasVersion reads the version of an alias that a write returned, which
// shows at once even where GetAlias lags behind. If that version is not kept
// any more, or version is empty, it is GetAlias.
func (s *Store) GetAliasVersion(ctx context.Context, sc Scope, keystore, alias, version string) (Alias, error) {
	name, _, err := secretOf(sc, keystore, alias)
	if err != nil {
		return Alias{}, err
	}
	if version == "" {
		return s.GetAlias(ctx, sc, keystore, alias)
	}
	data, err := s.driver.GetVersion(ctx, name, version)
	if IsNotFound(err) {
		return s.GetAlias(ctx, sc, keystore, alias)
	}
	if err != nil {
		return Alias{}, fmt.Errorf("get alias %q of keystore %q: %w", alias, keystore, err)
	}
	return decodeAlias(alias, version, data)
}

// ListAliases returns the names of a keystore's aliases, sorted. It reads no
// key. A keystore without aliases, or none at all, has an empty list.
func (s *Store) ListAliases(ctx context.Context, sc Scope, keystore string) ([]string, error) {
	if err := checkKeystore(sc, keystore); err != nil {
		return nil, err
	}
	var names []string
	for e, err := range s.driver.List(ctx, keystoreLabels(sc, keystore)) {
		if err != nil {
			return nil, fmt.Errorf("list aliases of keystore %q: %w", keystore, err)
		}
		names = append(names, e.Labels[labelAlias])
	}
	slices.Sort(names)
	return names, nil
}

// DeleteAlias removes an alias with its key for good, or returns NotFound.
func (s *Store) DeleteAlias(ctx context.Context, sc Scope, keystore, alias string) error {
	name, _, err := secretOf(sc, keystore, alias)
	if err != nil {
		return err
	}
	err = s.driver.Delete(ctx, name)
	if IsNotFound(err) {
		return Errorf(NotFound, "alias %q does not exist in keystore %q", alias, keystore)
	}
	if err != nil {
		return fmt.Errorf("delete alias %q of keystore %q: %w", alias, keystore, err)
	}
	return nil
}

// DeleteAliases removes all aliases of a keystore: what deleting the keystore
// does.
func (s *Store) DeleteAliases(ctx context.Context, sc Scope, keystore string) error {
	names, err := s.ListAliases(ctx, sc, keystore)
	if err != nil {
		return err
	}
	for _, alias := range names {
		if err := s.DeleteAlias(ctx, sc, keystore, alias); err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

// TrustPool is every certificate of every alias of a keystore, to verify peers
// with. It is NotFound if there is none: an empty pool must not be taken for
// the system's.
func (s *Store) TrustPool(ctx context.Context, sc Scope, keystore string) (*x509.CertPool, error) {
	certs, err := s.Certificates(ctx, sc, keystore)
	if err != nil {
		return nil, err
	}
	return poolOf(certs), nil
}

// Certificates is every certificate of every alias of a keystore, or NotFound
// if there is none.
func (s *Store) Certificates(ctx context.Context, sc Scope, keystore string) ([]*x509.Certificate, error) {
	names, err := s.ListAliases(ctx, sc, keystore)
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(names))
	for _, alias := range names {
		versions[alias] = ""
	}
	return s.certificatesOf(ctx, sc, keystore, versions)
}

// certificatesOf reads the certificates of aliases, given with their versions.
// An alias deleted meanwhile is left out.
func (s *Store) certificatesOf(ctx context.Context, sc Scope, keystore string, versions map[string]string) ([]*x509.Certificate, error) {
	names := slices.Sorted(maps.Keys(versions))
	chains := make([][]*x509.Certificate, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(trustReads)
	for i, alias := range names {
		g.Go(func() error {
			a, err := s.GetAliasVersion(ctx, sc, keystore, alias, versions[alias])
			if err != nil && !IsNotFound(err) {
				return err
			}
			chains[i] = a.Certs
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	certs := slices.Concat(chains...)
	if len(certs) == 0 {
		return nil, Errorf(NotFound, "keystore %q has no certificate", keystore)
	}
	return certs, nil
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// isKeystoreName holds what the Management API allows: [\w[:space:].-]{1,255}. A
// regular expression with such a count would take most of a millisecond to
// compile, in every process that starts.
func isKeystoreName(s string) bool {
	return len(s) >= 1 && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_.- \t\n\f\r", r))
	}) < 0
}

func checkKeystore(sc Scope, keystore string) error {
	switch {
	case sc.Organization == "" || sc.Environment == "":
		return Errorf(Invalid, "keystore %q: organization and environment are required", keystore)
	case !isKeystoreName(keystore):
		return Errorf(Invalid, `keystore name %q does not match [\w\s.-]{1,255}`, keystore)
	}
	return nil
}

// checkAliasName holds `[^/]{1,255}`.
func checkAliasName(name string) error {
	n := utf8.RuneCountInString(name)
	if n < 1 || n > 255 || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name) {
		return Errorf(Invalid, "alias name %q does not match [^/]{1,255}", name)
	}
	return nil
}

func keystoreLabels(sc Scope, keystore string) map[string]string {
	return map[string]string{
		labelOrganization: sc.Organization,
		labelEnvironment:  sc.Environment,
		labelKeystore:     keystore,
	}
}

// secretOf is the name and the labels of an alias's secret, after checking
// what makes them.
func secretOf(sc Scope, keystore, alias string) (string, map[string]string, error) {
	if err := checkKeystore(sc, keystore); err != nil {
		return "", nil, err
	}
	if err := checkAliasName(alias); err != nil {
		return "", nil, err
	}
	labels := keystoreLabels(sc, keystore)
	labels[labelAlias] = alias
	parts := []string{"alias", sc.Organization, sc.Environment, keystore, alias}
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/"), labels, nil
}
