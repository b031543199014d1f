package firestore

import (
	"context"
	"errors"

	"cloud.google.com/go/firestore"

	"github.com/perigee-gateway/perigee/shared/store"
)

var errReadAfterWrite = errors.New("read after a write in a transaction")

// Update implements store.Driver. A conflict is returned, not retried: the Store
// retries, with a backoff made for requests that somebody waits for.
func (d *Driver) Update(ctx context.Context, fn func(store.Tx) error) error {
	c, err := d.connect("update")
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var own error
	t := &tx{ctx: ctx, client: c, queues: d.queues, leave: func() {}}
	defer func() { t.leave() }() // after the commit
	err = c.RunTransaction(ctx, func(_ context.Context, ft *firestore.Transaction) error {
		t.tx = ft
		if own = fn(t); own == nil {
			own = t.refused
		}
		return own
	}, firestore.MaxAttempts(1))
	if own != nil {
		return own
	}
	return coded("update", store.Key{}, err)
}

// Write implements store.BatchWriter: one write is one round trip, where a
// transaction takes two.
func (d *Driver) Write(ctx context.Context, writes []store.Write) error {
	if len(writes) != 1 {
		return d.Update(ctx, func(t store.Tx) error {
			for _, w := range writes {
				if err := t.(*tx).write(w); err != nil {
					return err
				}
			}
			return nil
		})
	}
	c, err := d.connect("write")
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	w := writes[0]
	r := ref(c, w.Doc.Key)
	switch w.Op {
	case store.OpCreate:
		_, err = r.Create(ctx, toDocument(w.Doc))
	case store.OpDelete:
		_, err = r.Delete(ctx)
	default:
		_, err = r.Set(ctx, toDocument(w.Doc))
	}
	return coded("write", w.Doc.Key, err)
}

// tx is a store.Tx on a transaction of Firestore, which collects the writes.
type tx struct {
	ctx     context.Context
	client  *firestore.Client
	tx      *firestore.Transaction
	queues  *queues
	queued  bool
	leave   func()
	wrote   bool
	refused error
}

// readable refuses reads after writes, as Firestore's client does, with a code.
// Before the first read it waits in the queue of hash.
func (t *tx) readable(key store.Key, hash uint64) error {
	if t.wrote && t.refused == nil {
		t.refused = &store.Error{Code: store.Invalid, Key: key, Op: "update", Err: errReadAfterWrite}
	}
	if t.refused != nil || t.queued {
		return t.refused
	}
	leave, err := t.queues.enter(t.ctx, hash)
	if err != nil {
		return coded("update", key, err)
	}
	t.queued, t.leave = true, leave
	return nil
}

// Get implements store.Tx.
func (t *tx) Get(key store.Key) (store.Doc, error) {
	if err := t.readable(key, t.queues.ofKey(key)); err != nil {
		return store.Doc{}, err
	}
	keys := []store.Key{key}
	snaps, err := t.tx.GetAll(refs(t.client, keys))
	if err != nil {
		return store.Doc{}, coded("update", key, err)
	}
	docs, err := fromSnapshots(keys, snaps)
	if err != nil {
		return store.Doc{}, coded("update", key, err)
	}
	return found("update", key, docs[0])
}

// Query implements store.Tx.
func (t *tx) Query(q store.Query) ([]store.Doc, error) {
	key := store.Key{Collection: q.Collection}
	if err := t.readable(key, t.queues.ofQuery(q)); err != nil {
		return nil, err
	}
	docs, err := collect(q, t.tx.Documents(build(t.client, q)))
	return docs, coded("update", key, err)
}

// Put implements store.Tx.
func (t *tx) Put(d store.Doc) error { return t.write(store.Write{Op: store.OpPut, Doc: d}) }

// Create implements store.Tx.
func (t *tx) Create(d store.Doc) error { return t.write(store.Write{Op: store.OpCreate, Doc: d}) }

// Delete implements store.Tx.
func (t *tx) Delete(key store.Key) error {
	return t.write(store.Write{Op: store.OpDelete, Doc: store.Doc{Key: key}})
}

func (t *tx) write(w store.Write) error {
	t.wrote = true
	r := ref(t.client, w.Doc.Key)
	var err error
	switch w.Op {
	case store.OpCreate:
		err = t.tx.Create(r, toDocument(w.Doc))
	case store.OpDelete:
		err = t.tx.Delete(r)
	default:
		err = t.tx.Set(r, toDocument(w.Doc))
	}
	return coded("update", w.Doc.Key, err)
}
