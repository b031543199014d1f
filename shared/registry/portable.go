package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// State are the collections that are no configuration: what comes into being by
// use, or is over by itself. Neither Export nor Import touches them. Archives
// are not among the others, which Export gives as documents: they have their own
// functions.
var State = []string{
	"operations", "tokens", "authcodes", "cacheEntries", "counters",
	"debugSessions", "debugTransactions", "analytics", "jobs", "auditLog",
}

const archives = "archives"

// configuration are the collections whose documents Export gives.
func configuration() []string {
	var names []string
	for _, c := range store.Collections {
		if !slices.Contains(State, c.Name) && c.Name != archives {
			names = append(names, c.Name)
		}
	}
	return names
}

// Export yields the documents of an organization's configuration in a form that
// does not depend on the store they are in: secrets are opened, versions left
// out. So two stores with the same configuration yield the same. The order is
// that of store.Collections, and of ids. What it yields holds secrets.
func (r *Registry) Export(ctx context.Context, org string) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		for _, name := range configuration() {
			for d, err := range r.exported(ctx, org, name) {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// exported are the documents of one collection.
func (r *Registry) exported(ctx context.Context, org, collection string) iter.Seq2[store.Doc, error] {
	switch collection {
	case "organizations", "stamps":
		return func(yield func(store.Doc, error) bool) {
			d, err := r.store.Get(ctx, entity.Key(collection, org))
			if store.IsNotFound(err) {
				err = entity.Errorf(entity.NotFound, "organization %q not found", org)
			}
			if err == nil && collection == "stamps" {
				d.Data, err = withoutVersions(d.Data)
			}
			yield(d, err)
		}
	case "runtimeConfigs":
		return r.exportedConfigs(ctx, org)
	}
	return func(yield func(store.Doc, error) bool) {
		for d, err := range r.store.Query(ctx, store.Query{Collection: collection, Prefix: org + "/"}) {
			if err == nil {
				d.Data, err = r.reveal(ctx, d)
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// raw is a JSON object of which some members are looked at and the others left
// as they are.
type raw = map[string]json.RawMessage

// edit changes an object's members in place; those change removes are gone.
func edit(data []byte, change func(raw) error) ([]byte, error) {
	o := raw{}
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	if err := change(o); err != nil {
		return nil, err
	}
	return json.Marshal(o)
}

func set(o raw, name string, v any) (err error) {
	o[name], err = json.Marshal(v)
	return err
}

// withoutVersions is a stamp of no moment.
func withoutVersions(data []byte) ([]byte, error) {
	return edit(data, func(o raw) error {
		for _, name := range []string{"version", "keyValueMaps", "revoked", "parts"} {
			delete(o, name)
		}
		changed := map[string]int64{}
		if err := json.Unmarshal(orNull(o["changed"]), &changed); err != nil {
			return err
		}
		for env := range changed {
			changed[env] = 0
		}
		return set(o, "changed", changed)
	})
}

func orNull(m json.RawMessage) json.RawMessage {
	if m == nil {
		return json.RawMessage("null")
	}
	return m
}

// exportedConfigs is one document per environment, whatever it is in.
func (r *Registry) exportedConfigs(ctx context.Context, org string) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		d, err := r.store.Get(ctx, entity.StampKey(org))
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		s, err := Decode[entity.Stamp](d)
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		for _, env := range append([]string{""}, s.Environments...) {
			d, err := r.exportedConfig(ctx, s, env)
			if err == nil && !d.Found() {
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

func (r *Registry) exportedConfig(ctx context.Context, s *entity.Stamp, env string) (store.Doc, error) {
	docs, err := r.store.GetAll(ctx, ConfigKeys(s, env))
	if err != nil || !docs[0].Found() {
		return store.Doc{}, err
	}
	data, err := joinConfig(docs)
	if err != nil {
		return store.Doc{}, err
	}
	d := docs[0]
	d.Data, err = edit(data, func(o raw) error {
		delete(o, "version")
		return editAliases(o, func(keystore, alias string) string { return "" })
	})
	return d, err
}

// editAliases gives the aliases of a Config's keystores versions.
func editAliases(o raw, version func(keystore, alias string) string) error {
	if o["keystores"] == nil {
		return nil
	}
	keystores := map[string]map[string]string{}
	if err := json.Unmarshal(o["keystores"], &keystores); err != nil {
		return err
	}
	for keystore, aliases := range keystores {
		for alias := range aliases {
			aliases[alias] = version(keystore, alias)
		}
	}
	return set(o, "keystores", keystores)
}

// reveal is a document's data with its secrets opened.
func (r *Registry) reveal(ctx context.Context, d store.Doc) ([]byte, error) {
	return r.secrets(ctx, d, r.cipherOrNone().Open)
}

// conceal is the reverse of reveal.
func (r *Registry) conceal(ctx context.Context, d store.Doc) ([]byte, error) {
	return r.secrets(ctx, d, r.cipherOrNone().Seal)
}

// secrets has turn made of every secret of a document.
func (r *Registry) secrets(ctx context.Context, d store.Doc, turn func(ctx context.Context, data, aad []byte) ([]byte, error)) ([]byte, error) {
	switch d.Key.Collection {
	case "kvmEntries":
		data, err := turn(ctx, d.Data, []byte(d.Key.String()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Key, err)
		}
		return data, nil
	case "apps":
		org, _, _ := strings.Cut(d.Key.ID, "/")
		return edit(d.Data, func(o raw) error {
			var list []raw
			if err := json.Unmarshal(orNull(o["credentials"]), &list); err != nil || list == nil {
				return err
			}
			for _, c := range list {
				if err := turnCredential(ctx, org, c, turn); err != nil {
					return fmt.Errorf("%s: %w", d.Key, err)
				}
			}
			return set(o, "credentials", list)
		})
	}
	return d.Data, nil
}

func turnCredential(ctx context.Context, org string, c raw, turn func(ctx context.Context, data, aad []byte) ([]byte, error)) error {
	var id string
	var sealed []byte
	if err := json.Unmarshal(c["id"], &id); err != nil {
		return err
	}
	if err := json.Unmarshal(c["sealed"], &sealed); err != nil {
		return err
	}
	sealed, err := turn(ctx, sealed, []byte(keyRef(org, id).String()))
	if err != nil {
		return err
	}
	return set(c, "sealed", sealed)
}

// cipherOrNone refuses where there is no cipher.
func (r *Registry) cipherOrNone() Cipher {
	if r.cipher == nil {
		return noCipher{}
	}
	return r.cipher
}

type noCipher struct{}

func (noCipher) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, errNoCipher }
func (noCipher) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, errNoCipher }

// ExportArchives yields the bundles and resource files that an organization's
// revisions and resource files refer to, in the order of their ids.
func (r *Registry) ExportArchives(ctx context.Context, org string) iter.Seq2[entity.Archive, error] {
	return func(yield func(entity.Archive, error) bool) {
		refs, err := r.archivesOf(ctx, org)
		if err != nil {
			yield(entity.Archive{}, err)
			return
		}
		for _, id := range slices.Sorted(maps.Keys(refs)) {
			if !yield(refs[id], nil) {
				return
			}
		}
	}
}

func (r *Registry) archivesOf(ctx context.Context, org string) (map[string]entity.Archive, error) {
	refs := map[string]entity.Archive{}
	for _, collection := range []string{"revisions", "resourcefiles"} {
		for d, err := range r.store.Query(ctx, store.Query{Collection: collection, Prefix: org + "/"}) {
			if err != nil {
				return nil, err
			}
			v, err := Decode[struct {
				Archive entity.Archive `json:"archive"`
			}](d)
			if err != nil {
				return nil, err
			}
			refs[v.Archive.ID] = v.Archive
		}
	}
	return refs, nil
}

// Import begins to write an organization that Export gave. It is an error of
// code AlreadyExists if there is such an organization. What an Import that did
// not come to its end has left is removed.
func (r *Registry) Import(ctx context.Context, org string) (*Importer, error) {
	if err := entity.OrganizationName.Check(org); err != nil {
		return nil, err
	}
	for _, collection := range []string{"organizations", "stamps"} {
		_, err := r.store.Get(ctx, entity.Key(collection, org))
		if err == nil {
			return nil, entity.Errorf(entity.AlreadyExists, "organization %q already exists", org)
		}
		if !store.IsNotFound(err) {
			return nil, err
		}
	}
	if err := r.removeLeft(ctx, org); err != nil {
		return nil, fmt.Errorf("remove what is left of an organization %q: %w", org, err)
	}
	return &Importer{registry: r, org: org}, nil
}

// removeLeft removes documents that no organization has.
func (r *Registry) removeLeft(ctx context.Context, org string) error {
	refs, err := r.archivesOf(ctx, org)
	if err != nil {
		return err
	}
	for id := range refs {
		if err := r.archives.Delete(ctx, id); err != nil {
			return err
		}
	}
	for _, collection := range configuration() {
		if _, err := r.store.DeleteAll(ctx, store.Query{Collection: collection, Prefix: org + "/"}); err != nil {
			return err
		}
	}
	return nil
}

// Importer writes an organization. Nobody sees it before Finish.
type Importer struct {
	registry *Registry
	org      string
	batch    []store.Doc
	bytes    int
	last     []store.Doc // what makes it an organization
	configs  []store.Doc
}

// Put writes a document of Export.
func (i *Importer) Put(ctx context.Context, d store.Doc) error {
	if !slices.Contains(configuration(), d.Key.Collection) {
		return entity.Errorf(entity.InvalidArgument, "%s is not part of an organization's configuration", d.Key)
	}
	if d.Key.ID != i.org && !strings.HasPrefix(d.Key.ID, i.org+"/") {
		return entity.Errorf(entity.InvalidArgument, "%s is not of organization %q", d.Key, i.org)
	}
	switch d.Key.Collection {
	case "organizations", "stamps":
		i.last = append(i.last, d)
		return nil
	case "runtimeConfigs":
		i.configs = append(i.configs, d)
		return nil
	}
	data, err := i.registry.conceal(ctx, d)
	if err != nil {
		return err
	}
	i.batch = append(i.batch, store.Doc{Key: d.Key, Fields: d.Fields, Data: data})
	if i.bytes += store.Size(d); i.bytes > store.MaxCommitBytes/2 || len(i.batch) >= 200 {
		return i.flush(ctx)
	}
	return nil
}

func (i *Importer) flush(ctx context.Context) error {
	batch := i.batch
	i.batch, i.bytes = nil, 0
	return i.registry.store.Batch(ctx, batch, nil)
}

// PutArchive writes a bundle or a resource file.
func (i *Importer) PutArchive(ctx context.Context, id string, data []byte) error {
	if err := i.flush(ctx); err != nil {
		return err // documents come first, so that what dies here can be found
	}
	_, err := archive.New(i.registry.store).Keep(ctx, id, data)
	return err
}

// Finish makes it an organization. version gives the versions that the aliases
// of keystores have in the keystore they were put into.
func (i *Importer) Finish(ctx context.Context, version func(env, keystore, alias string) string) error {
	if err := i.flush(ctx); err != nil {
		return err
	}
	now := entity.Millis(i.registry.now()) // as of an organization made anew: it only grows
	parts := map[string]int{}
	for _, d := range i.configs {
		_, rest, _ := strings.Cut(d.Key.ID, "/")
		env, _, _ := strings.Cut(rest, "/")
		data, err := edit(d.Data, func(o raw) error {
			return editAliases(o, func(keystore, alias string) string { return version(env, keystore, alias) })
		})
		if err != nil {
			return fmt.Errorf("%s: %w", d.Key, err)
		}
		docs := splitConfig(i.org, env, now, data)
		if len(docs) > 1 {
			parts[env] = len(docs)
		}
		if err := i.registry.store.Batch(ctx, docs, nil); err != nil {
			return err
		}
	}
	return i.publish(ctx, now, parts)
}

// publish writes the stamp and the organization.
func (i *Importer) publish(ctx context.Context, now int64, parts map[string]int) error {
	if len(i.last) != 2 {
		return entity.Errorf(entity.InvalidArgument, "organization %q is not whole: it has no stamp", i.org)
	}
	for n, d := range i.last {
		if d.Key.Collection != "stamps" {
			continue
		}
		data, err := edit(d.Data, func(o raw) error { return withVersion(o, now, parts) })
		if err != nil {
			return fmt.Errorf("%s: %w", d.Key, err)
		}
		i.last[n].Data = data
	}
	return i.registry.store.Update(ctx, func(tx store.Tx) error {
		for _, d := range i.last {
			if err := tx.Create(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// withVersion makes a stamp one of a moment at which all changed.
func withVersion(o raw, now int64, parts map[string]int) error {
	changed := map[string]int64{}
	if err := json.Unmarshal(orNull(o["changed"]), &changed); err != nil {
		return err
	}
	for env := range changed {
		changed[env] = now
	}
	if len(parts) > 0 {
		if err := set(o, "parts", parts); err != nil {
			return err
		}
	}
	for name, v := range map[string]any{"version": now, "keyValueMaps": now, "revoked": now, "changed": changed} {
		if err := set(o, name, v); err != nil {
			return err
		}
	}
	return nil
}
