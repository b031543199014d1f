package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/javaproperties"
	"github.com/perigee-gateway/perigee/shared/store"
)

// ResourceTypes are the types of resource files.
var ResourceTypes = []string{"jsc", "java", "py", "xsl", "xsd", "wsdl", "oas", "graphql", "properties", "js"}

// uploadTime is how long a file may take from its first byte to the commit that
// refers to it; after that it counts as abandoned.
const uploadTime = 10 * time.Minute

func (r *Registry) resources() {
	r.ResourceFiles = NewKind(r, Spec[entity.ResourceFile]{
		Noun: "resource file", Collection: "resourcefiles",
		Fields: fieldsOf[entity.ResourceFile]("org", "environment", "type"),
	})
	r.RegisterJob("archive", func(ctx context.Context, _, id string, _ []byte) error { return r.archives.Delete(ctx, id) })
}

// Upload stores data, then runs fn in a transaction that makes something refer
// to it. If that fails, or the process dies before, the data are removed: at
// once, by FinishJobs.
func (r *Registry) Upload(ctx context.Context, org string, data []byte, fn func(tx *Tx, a entity.Archive) error) error {
	id := uuid.NewString()
	d, err := jobDoc(org, job{Kind: "archive", Target: id, Until: entity.Millis(r.now().Add(uploadTime))})
	if err != nil {
		return err
	}
	if err := r.store.Create(ctx, d); err != nil {
		return err
	}
	err = r.upload(ctx, org, id, data, fn)
	if err != nil {
		r.TryJob(ctx, org, "archive", id)
	}
	return err
}

func (r *Registry) upload(ctx context.Context, org, id string, data []byte, fn func(tx *Tx, a entity.Archive) error) error {
	a, err := r.archives.Save(ctx, id, data)
	if err != nil {
		return err
	}
	return r.Update(ctx, org, func(tx *Tx) error {
		if _, err := tx.Get(jobKey(org, "archive", id)); store.IsNotFound(err) {
			// Either that, or the commit was made and its answer got lost.
			return entity.Errorf(entity.Aborted, "the upload took longer than %s, or its outcome is unknown", uploadTime)
		} else if err != nil {
			return err
		}
		if err := fn(tx, a); err != nil {
			return err
		}
		return tx.EndJob("archive", id)
	})
}

// Discard removes an archive after the transaction that ends what refers to it.
func (tx *Tx) Discard(a entity.Archive) error {
	if a.ID == "" {
		return nil
	}
	return tx.AddJob("archive", a.ID, nil)
}

// Discarded finishes what Tx.Discard began.
func (r *Registry) Discarded(ctx context.Context, org string, archives ...entity.Archive) {
	for _, a := range archives {
		if a.ID != "" {
			r.TryJob(ctx, org, "archive", a.ID)
		}
	}
}

// CreateResource stores a new resource file of an environment, or with env "" of
// the organization.
func (r *Registry) CreateResource(ctx context.Context, org, env, typ, name string, data []byte) (*entity.ResourceFile, error) {
	return r.putResource(ctx, org, env, typ, name, data, func(old *entity.ResourceFile) error {
		if old != nil {
			return entity.Errorf(entity.AlreadyExists, "resource file %s://%s already exists", typ, name)
		}
		return nil
	})
}

// ReplaceResource stores the new content of a resource file, which must exist.
func (r *Registry) ReplaceResource(ctx context.Context, org, env, typ, name string, data []byte) (*entity.ResourceFile, error) {
	return r.putResource(ctx, org, env, typ, name, data, func(old *entity.ResourceFile) error {
		if old == nil {
			return resourceNotFound(typ, name)
		}
		return nil
	})
}

// PutResource stores a resource file whether it exists or not.
func (r *Registry) PutResource(ctx context.Context, org, env, typ, name string, data []byte) (*entity.ResourceFile, error) {
	return r.putResource(ctx, org, env, typ, name, data, func(*entity.ResourceFile) error { return nil })
}

func resourceNotFound(typ, name string) error {
	return entity.Errorf(entity.NotFound, "resource file %s://%s not found", typ, name)
}

func checkResource(typ, name string, data []byte) error {
	if err := among("type of a resource file", typ, ResourceTypes...); err != nil {
		return err
	}
	if err := entity.ResourceFileName.Check(name); err != nil {
		return err
	}
	if len(data) > entity.MaxResourceBytes {
		return entity.Errorf(entity.InvalidArgument, "resource file %s://%s has %d bytes, at most %d are allowed", typ, name, len(data), entity.MaxResourceBytes)
	}
	if typ != propertiesType {
		return nil
	}
	if len(data) > entity.MaxPropertySetBytes {
		return entity.Errorf(entity.InvalidArgument, "property set %q has %d bytes, at most %d are allowed", name, len(data), entity.MaxPropertySetBytes)
	}
	if _, err := javaproperties.Parse(data); err != nil {
		return entity.Errorf(entity.InvalidArgument, "property set %q: %v", name, err)
	}
	return nil
}

func (r *Registry) putResource(ctx context.Context, org, env, typ, name string, data []byte, may func(old *entity.ResourceFile) error) (*entity.ResourceFile, error) {
	if err := checkResource(typ, name, data); err != nil {
		return nil, err
	}
	f := &entity.ResourceFile{Name: name, Type: typ}
	var replaced entity.Archive
	err := r.Upload(ctx, org, data, func(tx *Tx, a entity.Archive) error {
		f.Archive, replaced = a, entity.Archive{}
		old, err := r.ResourceFiles.In(tx, org, env, typ, name)
		if err != nil && !entity.IsNotFound(err) {
			return err
		}
		if err := may(old); err != nil {
			return err
		}
		if old != nil {
			replaced = old.Archive
		}
		return r.storeResource(tx, env, f, data, replaced)
	})
	if err != nil {
		return nil, err
	}
	r.Discarded(ctx, org, replaced)
	return f, nil
}

func (r *Registry) storeResource(tx *Tx, env string, f *entity.ResourceFile, data []byte, replaced entity.Archive) error {
	c, err := tx.EditConfig(env)
	if err != nil {
		return err
	}
	if f.Type == propertiesType {
		put(&c.PropertySets, setName(f.Name), string(data))
	} else {
		put(&c.Resources, resourceURL(f), f.Archive)
	}
	if replaced.ID == "" && (len(c.PropertySets) > entity.MaxPropertySets || len(c.Resources) > entity.MaxResourceFiles) {
		return entity.Errorf(entity.ResourceExhausted, "environment %q has %d resource files and %d property sets, more are not allowed", env, entity.MaxResourceFiles, entity.MaxPropertySets)
	}
	d, err := r.ResourceFiles.Doc(tx.Now, f, tx.Organization, env, f.Type, f.Name)
	if err != nil {
		return err
	}
	if err := tx.Put(d); err != nil {
		return err
	}
	return tx.Discard(replaced)
}

func resourceURL(f *entity.ResourceFile) string { return f.Type + "://" + f.Name }

// Resource returns the content of a resource file.
func (r *Registry) Resource(ctx context.Context, org, env, typ, name string) ([]byte, error) {
	f, err := r.ResourceFiles.Get(ctx, org, env, typ, name)
	if entity.IsNotFound(err) {
		return nil, resourceNotFound(typ, name)
	}
	if err != nil {
		return nil, err
	}
	data, err := r.archives.Load(ctx, f.Archive)
	if err != nil {
		return nil, fmt.Errorf("resource file %s: %w", resourceURL(f), err)
	}
	return data[0], nil
}

// DeleteResource removes a resource file, which must exist.
func (r *Registry) DeleteResource(ctx context.Context, org, env, typ, name string) (*entity.ResourceFile, error) {
	var f *entity.ResourceFile
	err := r.Update(ctx, org, func(tx *Tx) (err error) {
		if f, err = r.ResourceFiles.In(tx, org, env, typ, name); entity.IsNotFound(err) {
			return resourceNotFound(typ, name)
		}
		if err != nil {
			return err
		}
		c, err := tx.EditConfig(env)
		if err != nil {
			return err
		}
		if typ == propertiesType {
			delete(c.PropertySets, setName(name))
		}
		delete(c.Resources, resourceURL(f))
		if err := tx.Delete(r.ResourceFiles.Key(org, env, typ, name)); err != nil {
			return err
		}
		return tx.Discard(f.Archive)
	})
	if err != nil {
		return nil, err
	}
	r.Discarded(ctx, org, f.Archive)
	return f, nil
}

// ResourceSet is resource files of the environment and organization as policies
// see them, by type://name. It is a policy.Resources.
type ResourceSet map[string][]byte

// Resource implements policy.Resources.
func (s ResourceSet) Resource(typ, name string) ([]byte, bool) {
	data, ok := s[typ+"://"+name]
	return data, ok
}

// ResourceArchive finds where a resource file is stored: the first of the
// configurations that has it, the environment's before the organization's.
func ResourceArchive(url string, configs ...*entity.Config) (entity.Archive, bool) {
	i := slices.IndexFunc(configs, func(c *entity.Config) bool { return c != nil && c.Resources[url].ID != "" })
	if i < 0 {
		return entity.Archive{}, false
	}
	return configs[i].Resources[url], true
}
