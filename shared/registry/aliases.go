package registry

import (
	"context"
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// commitKeystore keeps the aliases of Config.Keystores in step with those of the
// keystore; their versions are PutAlias's.
func commitKeystore(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1Keystore) error {
	c, err := tx.EditConfig(id[1])
	if err != nil {
		return err
	}
	if v == nil {
		delete(c.Keystores, id[2])
		return nil
	}
	if old == nil && len(c.Keystores) >= entity.MaxKeystores {
		return entity.Errorf(entity.ResourceExhausted, "environment %q has %d keystores, more are not allowed", id[1], entity.MaxKeystores)
	}
	versions := map[string]string{}
	for _, alias := range v.Aliases {
		versions[alias] = c.Keystores[id[2]][alias]
	}
	put(&c.Keystores, id[2], versions)
	return nil
}

// PutAlias enters an alias in its keystore, or a new version of it. With create
// it must not be there (AlreadyExists), else it must (NotFound).
func (r *Registry) PutAlias(ctx context.Context, org, env, keystore, alias, version string, create bool) error {
	return r.editAliases(ctx, org, env, keystore, func(ks *apigee.GoogleCloudApigeeV1Keystore, versions map[string]string) error {
		switch found := slices.Contains(ks.Aliases, alias); {
		case found && create:
			return entity.Errorf(entity.AlreadyExists, "alias %q already exists in keystore %q", alias, keystore)
		case !found && !create:
			return aliasNotFound(keystore, alias)
		case create:
			ks.Aliases = append(ks.Aliases, alias)
			slices.Sort(ks.Aliases)
		}
		versions[alias] = version
		return nil
	})
}

// RemoveAlias takes an alias out of its keystore; NotFound if it is not there.
func (r *Registry) RemoveAlias(ctx context.Context, org, env, keystore, alias string) error {
	return r.editAliases(ctx, org, env, keystore, func(ks *apigee.GoogleCloudApigeeV1Keystore, versions map[string]string) error {
		i := slices.Index(ks.Aliases, alias)
		if i < 0 {
			return aliasNotFound(keystore, alias)
		}
		ks.Aliases = slices.Delete(ks.Aliases, i, i+1)
		delete(versions, alias)
		return nil
	})
}

func aliasNotFound(keystore, alias string) error {
	return entity.Errorf(entity.NotFound, "alias %q not found in keystore %q", alias, keystore)
}

// editAliases changes a keystore and the versions of its aliases in one
// transaction.
func (r *Registry) editAliases(ctx context.Context, org, env, keystore string, edit func(*apigee.GoogleCloudApigeeV1Keystore, map[string]string) error) error {
	return r.Update(ctx, org, func(tx *Tx) error {
		c, err := tx.EditConfig(env)
		if err != nil {
			return err
		}
		ks, err := r.Keystores.In(tx, org, env, keystore)
		if err != nil {
			return err
		}
		if c.Keystores[keystore] == nil {
			put(&c.Keystores, keystore, map[string]string{})
		}
		if err := edit(ks, c.Keystores[keystore]); err != nil {
			return err
		}
		return r.Keystores.store(tx, []string{org, env, keystore}, ks, ks)
	})
}
