package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Tx is a transaction on one organization. All reads (Get, Query, Stamp,
// Config) come before all writes. What is changed in the Stamp and in a Config
// given by EditConfig is written when the function of Update returns.
type Tx struct {
	store.Tx
	// Organization is whose transaction it is.
	Organization string
	// Now is the time of the transaction.
	Now time.Time

	stamp   *entity.Stamp
	dirty   bool            // the stamp is to be written
	gone    bool            // the stamp is to be deleted, with the organization
	changed map[string]bool // environments
	maps    bool
	revoked bool
	configs map[string]*config
}

type config struct {
	*entity.Config
	parts int // documents it was read from
	dirty bool
}

// Update runs fn in a transaction on the organization. Like that of
// store.Update, fn may run several times. Listeners are told after the commit.
//
// Transactions of one process on one organization take turns: most write its
// stamp, so that at once they would only make each other start again.
func (r *Registry) Update(ctx context.Context, org string, fn func(*Tx) error) error {
	change, err := r.inTurn(ctx, org, fn)
	if err == nil && change.Version != 0 {
		r.notify(change)
	}
	return err
}

func (r *Registry) inTurn(ctx context.Context, org string, fn func(*Tx) error) (Change, error) {
	turn := r.turns[maphash.String(r.seed, org)%uint64(len(r.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return r.update(ctx, org, fn)
	case <-ctx.Done():
		return Change{}, fmt.Errorf("wait to change organization %s: %w", org, ctx.Err())
	}
}

// outOfTurn is Update for what leaves the stamp alone.
func (r *Registry) outOfTurn(ctx context.Context, org string, fn func(*Tx) error) error {
	_, err := r.update(ctx, org, fn)
	return err
}

func (r *Registry) update(ctx context.Context, org string, fn func(*Tx) error) (Change, error) {
	var change Change
	err := r.store.Update(ctx, func(st store.Tx) error {
		tx := &Tx{Tx: st, Organization: org, Now: r.now(), changed: map[string]bool{}, configs: map[string]*config{}}
		if err := fn(tx); err != nil {
			return err
		}
		var err error
		change, err = tx.flush()
		return err
	})
	return change, err
}

// Stamp is the organization's version stamp, an error of code NotFound if there
// is no such organization. To change it, say so by Changed or EditConfig.
func (tx *Tx) Stamp() (*entity.Stamp, error) {
	if tx.stamp != nil {
		return tx.stamp, nil
	}
	d, err := tx.Get(entity.StampKey(tx.Organization))
	if store.IsNotFound(err) {
		return nil, entity.Errorf(entity.NotFound, "organization %q not found", tx.Organization)
	}
	if err != nil {
		return nil, err
	}
	s := new(entity.Stamp)
	if err := decode(d, s); err != nil {
		return nil, err
	}
	tx.stamp = s
	return s, nil
}

// Environment is the stamp, or an error of code NotFound if the organization has
// no such environment. "" is the organization and always there.
func (tx *Tx) Environment(env string) (*entity.Stamp, error) {
	s, err := tx.Stamp()
	if err != nil {
		return nil, err
	}
	if env != "" && !s.HasEnvironment(env) {
		return nil, entity.Errorf(entity.NotFound, "environment %q not found", env)
	}
	return s, nil
}

// Config is the configuration of an environment, not to be changed.
func (tx *Tx) Config(env string) (*entity.Config, error) {
	c, err := tx.config(env)
	if err != nil {
		return nil, err
	}
	return c.Config, nil
}

// EditConfig is the configuration of an environment, to be changed: it is
// written at the end and the environment counts as changed.
func (tx *Tx) EditConfig(env string) (*entity.Config, error) {
	c, err := tx.config(env)
	if err != nil {
		return nil, err
	}
	c.dirty = true
	tx.changed[env] = true
	return c.Config, nil
}

func (tx *Tx) config(env string) (*config, error) {
	if c := tx.configs[env]; c != nil {
		return c, nil
	}
	s, err := tx.Environment(env)
	if err != nil {
		return nil, err
	}
	c := new(config)
	var docs []store.Doc
	for _, key := range ConfigKeys(s, env) {
		d, err := tx.Get(key)
		if store.IsNotFound(err) {
			break // nothing configured yet
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	if c.Config, err = DecodeConfig(docs); err != nil {
		return nil, err
	}
	c.parts = len(docs)
	tx.configs[env] = c
	return c, nil
}

// Changed says that data planes must look at the environment anew; "" is what
// belongs to the organization.
func (tx *Tx) Changed(env string) { tx.changed[env] = true }

// ChangedStamp says that the stamp's own content changed: groups, hosts.
func (tx *Tx) ChangedStamp() { tx.dirty = true }

// ChangedMaps says that data planes must drop cached entries of key value maps.
func (tx *Tx) ChangedMaps() { tx.maps = true }

// Revoke says that something a data plane may have verified may not be valid
// any more: a key, an app, a developer, a product, a token.
func (tx *Tx) Revoke() { tx.revoked = true }

// flush writes what was changed.
func (tx *Tx) flush() (Change, error) {
	if tx.gone {
		return Change{Organization: tx.Organization, Version: tx.stamp.Version + 1}, tx.Delete(entity.StampKey(tx.Organization))
	}
	if !tx.dirty && !tx.maps && !tx.revoked && len(tx.changed) == 0 {
		return Change{}, nil
	}
	if tx.stamp == nil { // only a problem when fn has written already
		if _, err := tx.Stamp(); err != nil {
			return Change{}, err
		}
	}
	for env, c := range tx.configs {
		if err := tx.flushConfig(env, c); err != nil {
			return Change{}, err
		}
	}
	s := tx.stamp
	s.Version++
	for env := range tx.changed {
		if env == "" || s.HasEnvironment(env) {
			put(&s.Changed, env, s.Version)
		}
	}
	if tx.maps {
		s.KeyValueMaps = s.Version
	}
	if tx.revoked {
		s.Revoked = s.Version
	}
	d, err := encode(entity.StampKey(tx.Organization), map[string]string{"org": tx.Organization}, s)
	if err != nil {
		return Change{}, err
	}
	return Change{
		Organization: tx.Organization, Version: s.Version, Environments: slices.Sorted(maps.Keys(tx.changed)),
		KeyValueMaps: tx.maps, Revoked: tx.revoked,
	}, tx.Put(d)
}

func (tx *Tx) flushConfig(env string, c *config) error {
	if !c.dirty {
		return nil
	}
	docs, err := encodeConfig(tx.Organization, env, tx.stamp.Version+1, c.Config)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if err := tx.Put(d); err != nil {
			return err
		}
	}
	for old := len(docs); old < c.parts; old++ {
		if err := tx.Delete(entity.ConfigKey(tx.Organization, env, old)); err != nil {
			return err
		}
	}
	delete(tx.stamp.Parts, env)
	if len(docs) > 1 {
		put(&tx.stamp.Parts, env, len(docs))
	}
	return nil
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// encode makes a document of v's JSON.
func encode(key store.Key, fields map[string]string, v any) (store.Doc, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return store.Doc{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return store.Doc{Key: key, Fields: fields, Data: data}, nil
}

// decode reads a document's JSON.
func decode(d store.Doc, v any) error {
	if err := json.Unmarshal(d.Data, v); err != nil {
		return fmt.Errorf("decode %s: %w", d.Key, err)
	}
	return nil
}

// Encode makes a document of v's JSON.
func Encode(key store.Key, fields map[string]string, v any) (store.Doc, error) {
	return encode(key, fields, v)
}

// Decode reads a document's JSON into a new T.
func Decode[T any](d store.Doc) (*T, error) {
	v := new(T)
	return v, decode(d, v)
}
