package keystore

import (
	"context"
	"fmt"
	"iter"
)

// Secret is an alias as a backup holds it. Data has its private key: the caller
// encrypts it.
type Secret struct {
	Environment, Keystore, Alias string
	Data                         []byte
}

// Export yields the aliases of an organization with their private keys, in the
// order of their names in the engine.
func (s *Store) Export(ctx context.Context, org string) iter.Seq2[Secret, error] {
	return func(yield func(Secret, error) bool) {
		for e, err := range s.driver.List(ctx, map[string]string{labelOrganization: org}) {
			if err != nil {
				yield(Secret{}, fmt.Errorf("list the aliases of organization %q: %w", org, err))
				return
			}
			data, _, err := s.driver.Get(ctx, e.Name)
			if IsNotFound(err) {
				continue // deleted meanwhile
			}
			if err != nil {
				err = fmt.Errorf("get alias %q of keystore %q: %w", e.Labels[labelAlias], e.Labels[labelKeystore], err)
			}
			secret := Secret{e.Labels[labelEnvironment], e.Labels[labelKeystore], e.Labels[labelAlias], data}
			if !yield(secret, err) || err != nil {
				return
			}
		}
	}
}

// Import stores what Export yielded, in place of an alias of the same name, and
// returns its version. It is Invalid if it is no alias.
func (s *Store) Import(ctx context.Context, org string, secret Secret) (version string, err error) {
	name, labels, err := secretOf(Scope{org, secret.Environment}, secret.Keystore, secret.Alias)
	if err != nil {
		return "", err
	}
	if _, err := decodeAlias(secret.Alias, "", secret.Data); err != nil {
		return "", err
	}
	version, err = s.driver.Put(ctx, name, secret.Data, labels)
	if err != nil {
		return "", fmt.Errorf("put alias %q of keystore %q: %w", secret.Alias, secret.Keystore, err)
	}
	return version, nil
}
