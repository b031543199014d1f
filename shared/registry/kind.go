package registry

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Spec says how documents of one kind are kept.
type Spec[T any] struct {
	// Noun is the kind in messages: `target server "a" not found`.
	Noun       string
	Collection string
	// Name checks the last part of the id of what is created; nil accepts any.
	Name func(name string) error
	// Fields are what List can select by.
	Fields func(id []string, v *T) map[string]string
	// Prepare checks and completes v before it is written; old is nil when it is
	// created. now is in milliseconds since 1970.
	Prepare func(id []string, old, v *T, now int64) error
	// Environment says that the second part of the id is an environment, which
	// must exist.
	Environment bool
	// Commit is the rest of a write's transaction: it reads what else it must
	// know, then writes; v is nil when the document is deleted, old when it is
	// created. With it or Environment, writes are transactions of
	// Registry.Update.
	Commit func(tx *Tx, id []string, old, v *T) error
	// Revokes says that changing or deleting one may make invalid what data
	// planes have verified.
	Revokes bool
	// Job is the kind of the job that removes what is beneath a deleted
	// document; "" if there is nothing. Its target is the id without the
	// organization.
	Job string
	// Life is how long a document lives; 0 is for ever.
	Life time.Duration
}

// Kind reads and writes documents of type T. An id is given in its parts,
// beginning with the organization.
type Kind[T any] struct {
	r    *Registry
	spec Spec[T]
}

// NewKind returns the accessor of a kind.
func NewKind[T any](r *Registry, s Spec[T]) *Kind[T] { return &Kind[T]{r: r, spec: s} }

// Item is a document of a list.
type Item[T any] struct {
	// Name is what follows the listed scope in the document's id.
	Name string
	// Value is nil in lists of names only.
	Value *T
}

// Page bounds a list.
type Page struct {
	// After is the name after which the page begins; "" is the beginning.
	After string
	// Limit is the most items returned; 0 is no limit.
	Limit int
}

func (k *Kind[T]) key(id []string) store.Key { return entity.Key(k.spec.Collection, id...) }

// Get returns the document, or an error of code NotFound.
func (k *Kind[T]) Get(ctx context.Context, id ...string) (*T, error) {
	return k.found(id)(k.r.store.Get(ctx, k.key(id)))
}

// In is Get within a transaction.
func (k *Kind[T]) In(tx *Tx, id ...string) (*T, error) { return k.found(id)(tx.Get(k.key(id))) }

// Exists reports whether there is the document.
func (k *Kind[T]) Exists(ctx context.Context, id ...string) (bool, error) {
	_, err := k.r.store.Get(ctx, k.key(id))
	if store.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (k *Kind[T]) found(id []string) func(store.Doc, error) (*T, error) {
	return func(d store.Doc, err error) (*T, error) {
		if store.IsNotFound(err) {
			return nil, k.notFound(id)
		}
		if err != nil {
			return nil, err
		}
		return Decode[T](d)
	}
}

func (k *Kind[T]) notFound(id []string) error {
	return &entity.Error{Code: entity.NotFound, Message: fmt.Sprintf("%s %q not found", k.spec.Noun, id[len(id)-1])}
}

func (k *Kind[T]) exists(id []string) error {
	return entity.Errorf(entity.AlreadyExists, "%s %q already exists", k.spec.Noun, id[len(id)-1])
}

// Create writes a document that must not exist; if it does, the error has code
// AlreadyExists. v is completed: creation times, defaults.
func (k *Kind[T]) Create(ctx context.Context, v *T, id ...string) error {
	if k.spec.Name != nil {
		if err := k.spec.Name(id[len(id)-1]); err != nil {
			return err
		}
	}
	if k.spec.Job != "" {
		if err := k.r.FinishBefore(ctx, id[0], k.spec.Job, entity.ID(id[1:]...)); err != nil {
			return err
		}
	}
	return k.write(ctx, id, func(old *T) (*T, error) {
		if old != nil {
			return nil, k.exists(id)
		}
		return v, nil
	})
}

// Put writes a document whether it exists or not.
func (k *Kind[T]) Put(ctx context.Context, v *T, id ...string) error {
	return k.write(ctx, id, func(*T) (*T, error) { return v, nil })
}

// Replace writes a document that must exist.
func (k *Kind[T]) Replace(ctx context.Context, v *T, id ...string) error {
	return k.write(ctx, id, func(old *T) (*T, error) {
		if old == nil {
			return nil, k.notFound(id)
		}
		return v, nil
	})
}

// Update changes a document that must exist and returns it. change may run
// several times; an error of it comes back as it is.
func (k *Kind[T]) Update(ctx context.Context, change func(v *T) error, id ...string) (*T, error) {
	var v *T
	err := k.write(ctx, id, func(old *T) (*T, error) {
		if old == nil {
			return nil, k.notFound(id)
		}
		v = old
		return v, change(v)
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Delete removes a document, which must exist, and returns it.
func (k *Kind[T]) Delete(ctx context.Context, id ...string) (*T, error) {
	var gone *T
	err := k.write(ctx, id, func(old *T) (*T, error) {
		if gone = old; old == nil {
			return nil, k.notFound(id)
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	if k.spec.Job != "" {
		k.r.TryJob(ctx, id[0], k.spec.Job, entity.ID(id[1:]...))
	}
	return gone, nil
}

// write is the transaction of all writes: next gives what becomes of the
// document, nil deletes it.
func (k *Kind[T]) write(ctx context.Context, id []string, next func(old *T) (*T, error)) error {
	update := k.r.Update
	if k.spec.Commit == nil && !k.spec.Environment && !k.spec.Revokes {
		update = k.r.outOfTurn
	}
	return update(ctx, id[0], func(tx *Tx) error {
		old, mine, err := k.twice(tx, id)
		if err != nil {
			return err
		}
		v, err := next(mine)
		if err != nil {
			return err
		}
		return k.store(tx, id, old, v)
	})
}

// twice is the document as it is and a copy to be changed; nil if there is none.
func (k *Kind[T]) twice(tx *Tx, id []string) (old, mine *T, err error) {
	d, err := tx.Get(k.key(id))
	if store.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if old, err = Decode[T](d); err != nil {
		return nil, nil, err
	}
	mine, err = Decode[T](d)
	return old, mine, err
}

// store writes v, or deletes the document if v is nil, with what belongs to it.
func (k *Kind[T]) store(tx *Tx, id []string, old, v *T) error {
	now := entity.Millis(tx.Now)
	if v != nil && k.spec.Prepare != nil {
		if err := k.spec.Prepare(id, old, v, now); err != nil {
			return err
		}
	}
	if old == nil && k.spec.Job != "" {
		if err := tx.NoJob(k.spec.Job, entity.ID(id[1:]...)); err != nil {
			return err
		}
	}
	if k.spec.Environment {
		if _, err := tx.Environment(id[1]); err != nil {
			return err
		}
	}
	if old != nil && k.spec.Revokes {
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		tx.Revoke()
	}
	if k.spec.Commit != nil {
		if err := k.spec.Commit(tx, id, old, v); err != nil {
			return err
		}
	}
	if v != nil {
		d, err := k.Doc(tx.Now, v, id...)
		if err != nil {
			return err
		}
		return tx.Put(d)
	}
	if k.spec.Job != "" {
		if err := tx.AddJob(k.spec.Job, entity.ID(id[1:]...), nil); err != nil {
			return err
		}
	}
	return tx.Delete(k.key(id))
}

// Doc is the document of v, for transactions that write it themselves.
func (k *Kind[T]) Doc(now time.Time, v *T, id ...string) (store.Doc, error) {
	var fields map[string]string
	if k.spec.Fields != nil {
		fields = k.spec.Fields(id, v)
	}
	d, err := encode(k.key(id), fields, v)
	if k.spec.Life > 0 {
		d.ExpireAt = now.Add(k.spec.Life)
	}
	return d, err
}

// Key names the document, for transactions that write it themselves.
func (k *Kind[T]) Key(id ...string) store.Key { return k.key(id) }

// List yields what is in the scope, in order of names.
func (k *Kind[T]) List(ctx context.Context, p Page, scope ...string) iter.Seq2[Item[T], error] {
	return k.Where(ctx, nil, p, scope...)
}

// Where yields what is in the scope and has the values in the named fields, in
// order of names.
func (k *Kind[T]) Where(ctx context.Context, fields map[string]string, p Page, scope ...string) iter.Seq2[Item[T], error] {
	return func(yield func(Item[T], error) bool) {
		for d, err := range k.r.store.Query(ctx, k.query(fields, p, scope)) {
			item := Item[T]{Name: d.Key.ID[min(len(d.Key.ID), prefixLen(scope)):]}
			if err == nil {
				item.Value, err = Decode[T](d)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// All are the documents of the scope.
func (k *Kind[T]) All(ctx context.Context, scope ...string) ([]*T, error) {
	var all []*T
	for item, err := range k.List(ctx, Page{}, scope...) {
		if err != nil {
			return nil, err
		}
		all = append(all, item.Value)
	}
	return all, nil
}

// Names are the names of what is in the scope, in order; never nil.
func (k *Kind[T]) Names(ctx context.Context, p Page, scope ...string) ([]string, error) {
	names := []string{}
	q := k.query(nil, p, scope)
	q.NoData = true
	for d, err := range k.r.store.Query(ctx, q) {
		if err != nil {
			return nil, err
		}
		names = append(names, d.Key.ID[prefixLen(scope):])
	}
	return names, nil
}

func (k *Kind[T]) query(fields map[string]string, p Page, scope []string) store.Query {
	q := store.Query{Collection: k.spec.Collection, Where: fields, Limit: p.Limit}
	if len(scope) > 0 {
		q.Prefix = entity.ID(scope...) + "/"
	}
	if p.After != "" {
		q.After = q.Prefix + p.After
	}
	return q
}

func prefixLen(scope []string) int {
	if len(scope) == 0 {
		return 0
	}
	return len(strings.Join(scope, "/")) + 1
}

// fieldsOf makes Fields of names: the parts of the id in order.
func fieldsOf[T any](names ...string) func([]string, *T) map[string]string {
	names = slices.Clone(names)
	return func(id []string, _ *T) map[string]string {
		fields := make(map[string]string, len(names))
		for i, n := range names {
			fields[n] = id[i]
		}
		return fields
	}
}
