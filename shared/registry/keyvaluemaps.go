package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// keyValueMaps are the maps; their entries are documents of their own.
func (r *Registry) keyValueMaps() {
	r.Maps = NewKind(r, Spec[apigee.GoogleCloudApigeeV1KeyValueMap]{
		Noun: "key value map", Collection: "keyvaluemaps", Name: entity.MapName.Check, Job: "keyvaluemap",
		Fields: mapFields, Commit: commitMap,
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1KeyValueMap, now int64) error {
			v.Name = id[len(id)-1]
			v.Encrypted = true // as all maps of Apigee X
			return nil
		},
	})
	r.RegisterJob("keyvaluemap", func(ctx context.Context, org, target string, _ []byte) error {
		_, err := r.store.DeleteAll(ctx, store.Query{Collection: "kvmEntries", Prefix: entity.ID(org, target) + "/"})
		return err
	})
}

func mapFields(id []string, v *apigee.GoogleCloudApigeeV1KeyValueMap) map[string]string {
	fields := map[string]string{"org": id[0], "scope": "organization"}
	switch id[1] {
	case "environments":
		fields["scope"], fields["environment"] = "environment", id[2]
	case "apis":
		fields["scope"], fields["api"] = "apiproxy", id[2]
	}
	return fields
}

// commitMap refuses a map of what does not exist.
func commitMap(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1KeyValueMap) error {
	if _, err := tx.Stamp(); err != nil {
		return err
	}
	tx.ChangedMaps()
	if v == nil {
		return nil
	}
	switch id[1] {
	case "environments":
		_, err := tx.Environment(id[2])
		return err
	case "apis":
		return proxyExists(tx, id[2])
	}
	return nil
}

func proxyExists(tx *Tx, api string) error {
	_, err := tx.Get(entity.ProxyKey(tx.Organization, entity.API, api))
	if store.IsNotFound(err) {
		return entity.Errorf(entity.NotFound, "API proxy %q not found", api)
	}
	return err
}

// entry is what is encrypted of an entry: its name too, since the id of the
// document of a long one does not tell it.
type entry struct {
	Name  string `json:"n"`
	Value string `json:"v"`
}

func (r *Registry) sealEntry(ctx context.Context, mapID string, e entry) (store.Doc, error) {
	if r.cipher == nil {
		return store.Doc{}, entity.Errorf(entity.FailedPrecondition, "key value maps need an encryption key and none is configured")
	}
	d := store.Doc{Key: entity.EntryKey(mapID, e.Name), Fields: map[string]string{"map": cut(mapID)}}
	plain, err := json.Marshal(e)
	if err != nil {
		return store.Doc{}, err
	}
	d.Data, err = r.cipher.Seal(ctx, plain, []byte(d.Key.String()))
	return d, err
}

func (r *Registry) openEntry(ctx context.Context, d store.Doc) (entry, error) {
	if r.cipher == nil {
		return entry{}, entity.Errorf(entity.FailedPrecondition, "key value maps need an encryption key and none is configured")
	}
	plain, err := r.cipher.Open(ctx, d.Data, []byte(d.Key.String()))
	if err != nil {
		return entry{}, fmt.Errorf("open %s: %w", d.Key, err)
	}
	var e entry
	err = json.Unmarshal(plain, &e)
	return e, err
}

func checkEntry(e *apigee.GoogleCloudApigeeV1KeyValueEntry) error {
	switch {
	case e.Name == "":
		return entity.Errorf(entity.InvalidArgument, "key value entry name is missing")
	case len(e.Name) > entity.MaxMapKeyBytes:
		return entity.Errorf(entity.InvalidArgument, "key value entry name has %d bytes, at most %d are allowed", len(e.Name), entity.MaxMapKeyBytes)
	case len(e.Value) > entity.MaxMapValueBytes:
		return entity.Errorf(entity.InvalidArgument, "value of key value entry %q has %d bytes, at most %d are allowed", e.Name, len(e.Value), entity.MaxMapValueBytes)
	}
	return nil
}

func entryNotFound(name string) error {
	return entity.Errorf(entity.NotFound, "key value entry %q not found", name)
}

// mapIn is an error of code NotFound if there is no such map.
func (r *Registry) mapIn(tx *Tx, scope entity.MapScope, name string) error {
	_, err := r.Maps.In(tx, append(scope.Parts(tx.Organization), name)...)
	return err
}

// CreateEntry writes an entry that must not exist; AlreadyExists if it does.
func (r *Registry) CreateEntry(ctx context.Context, org string, scope entity.MapScope, name string, e *apigee.GoogleCloudApigeeV1KeyValueEntry) error {
	return r.writeEntry(ctx, org, scope, name, e, func(exists bool) error {
		if exists {
			return entity.Errorf(entity.AlreadyExists, "key value entry %q already exists", e.Name)
		}
		return nil
	})
}

// UpdateEntry writes an entry that must exist.
func (r *Registry) UpdateEntry(ctx context.Context, org string, scope entity.MapScope, name string, e *apigee.GoogleCloudApigeeV1KeyValueEntry) error {
	return r.writeEntry(ctx, org, scope, name, e, func(exists bool) error {
		if !exists {
			return entryNotFound(e.Name)
		}
		return nil
	})
}

func (r *Registry) writeEntry(ctx context.Context, org string, scope entity.MapScope, name string, e *apigee.GoogleCloudApigeeV1KeyValueEntry, may func(exists bool) error) error {
	if err := checkEntry(e); err != nil {
		return err
	}
	d, err := r.sealEntry(ctx, entity.MapID(org, scope, name), entry{e.Name, e.Value})
	if err != nil {
		return err
	}
	return r.Update(ctx, org, func(tx *Tx) error {
		if err := r.editMap(tx, scope, name); err != nil {
			return err
		}
		_, err := tx.Get(d.Key)
		if err != nil && !store.IsNotFound(err) {
			return err
		}
		if err := may(err == nil); err != nil {
			return err
		}
		return tx.Put(d)
	})
}

// editMap has data planes drop the entries they have cached: what the
// Management API has answered is in force.
func (r *Registry) editMap(tx *Tx, scope entity.MapScope, name string) error {
	if _, err := tx.Stamp(); err != nil {
		return err
	}
	tx.ChangedMaps()
	return r.mapIn(tx, scope, name)
}

// maxEntries bounds the entries of one transaction.
const maxEntries = 200

// PutEntries writes entries whether they exist or not, creating the map if there
// is none. It is atomic for up to 200 entries.
func (r *Registry) PutEntries(ctx context.Context, org string, scope entity.MapScope, name string, entries ...*apigee.GoogleCloudApigeeV1KeyValueEntry) error {
	if err := r.ensureMap(ctx, org, scope, name); err != nil {
		return err
	}
	for len(entries) > 0 {
		n := min(len(entries), maxEntries)
		if err := r.putEntries(ctx, org, scope, name, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func (r *Registry) putEntries(ctx context.Context, org string, scope entity.MapScope, name string, entries []*apigee.GoogleCloudApigeeV1KeyValueEntry) error {
	docs := map[store.Key]store.Doc{} // of entries given twice the last counts
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return err
		}
		d, err := r.sealEntry(ctx, entity.MapID(org, scope, name), entry{e.Name, e.Value})
		if err != nil {
			return err
		}
		docs[d.Key] = d
	}
	return r.Update(ctx, org, func(tx *Tx) error {
		if err := r.editMap(tx, scope, name); err != nil {
			return err
		}
		for _, d := range docs {
			if err := tx.Put(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// ensureMap creates the map if there is none.
func (r *Registry) ensureMap(ctx context.Context, org string, scope entity.MapScope, name string) error {
	id := append(scope.Parts(org), name)
	if ok, err := r.Maps.Exists(ctx, id...); ok || err != nil {
		return err
	}
	return unlessExists(r.Maps.Create(ctx, new(apigee.GoogleCloudApigeeV1KeyValueMap), id...))
}

// Entry returns an entry; NotFound if the map or the entry does not exist.
func (r *Registry) Entry(ctx context.Context, org string, scope entity.MapScope, name, key string) (*apigee.GoogleCloudApigeeV1KeyValueEntry, error) {
	value, found, err := r.readEntry(ctx, org, scope, name, key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, entryNotFound(key)
	}
	return &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: key, Value: value}, nil
}

// readEntry reads an entry and its map, in one exchange: the entries of a
// deleted map may still be there.
func (r *Registry) readEntry(ctx context.Context, org string, scope entity.MapScope, name, key string) (value string, found bool, err error) {
	mapID := entity.MapID(org, scope, name)
	docs, err := r.store.GetAll(ctx, []store.Key{entity.Key("keyvaluemaps", mapID), entity.EntryKey(mapID, key)})
	if err != nil || !docs[0].Found() || !docs[1].Found() {
		return "", false, err
	}
	e, err := r.openEntry(ctx, docs[1])
	return e.Value, err == nil, err
}

// DeleteEntry removes an entry, which must exist, and returns it.
func (r *Registry) DeleteEntry(ctx context.Context, org string, scope entity.MapScope, name, key string) (*apigee.GoogleCloudApigeeV1KeyValueEntry, error) {
	var doc store.Doc
	err := r.Update(ctx, org, func(tx *Tx) (err error) {
		if err := r.editMap(tx, scope, name); err != nil {
			return err
		}
		doc, err = tx.Get(entity.EntryKey(entity.MapID(org, scope, name), key))
		if store.IsNotFound(err) {
			return entryNotFound(key)
		}
		if err != nil {
			return err
		}
		return tx.Delete(doc.Key)
	})
	if err != nil {
		return nil, err
	}
	e, err := r.openEntry(ctx, doc)
	return &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: key, Value: e.Value}, err
}

// EntryItem is an entry of a list.
type EntryItem struct {
	*apigee.GoogleCloudApigeeV1KeyValueEntry
	// Token is what Page.After must be to go on behind it.
	Token string
}

// Entries yields the entries of a map, in the order of names but for those
// longer than about 1,000 bytes. Page.After is the Token of the last entry of
// the page before.
func (r *Registry) Entries(ctx context.Context, org string, scope entity.MapScope, name string, p Page) iter.Seq2[EntryItem, error] {
	return func(yield func(EntryItem, error) bool) {
		if _, err := r.Maps.Get(ctx, append(scope.Parts(org), name)...); err != nil {
			yield(EntryItem{}, err)
			return
		}
		prefix := entity.MapID(org, scope, name) + "/"
		q := store.Query{Collection: "kvmEntries", Prefix: prefix, Limit: p.Limit}
		if p.After != "" {
			q.After = prefix + p.After
		}
		for d, err := range r.store.Query(ctx, q) {
			var e entry
			if err == nil {
				e, err = r.openEntry(ctx, d)
			}
			item := EntryItem{&apigee.GoogleCloudApigeeV1KeyValueEntry{Name: e.Name, Value: e.Value}, strings.TrimPrefix(d.Key.ID, prefix)}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func entryOf(e entry) *apigee.GoogleCloudApigeeV1KeyValueEntry {
	return &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: e.Name, Value: e.Value}
}
