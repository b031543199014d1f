package firestore

import (
	"context"
	"errors"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/store"
)

var (
	errReadAfterWrite = errors.New("read after a write in a transaction")
	errEnded          = errors.New("the transaction is not to be committed")
	errChanged        = errors.New("changed since it was read")
)

// Update implements store.Driver. A conflict is returned, not retried: the Store
// retries, with a backoff made for requests that somebody waits for.
//
// A transaction about one document is none of Firestore's: the document is read,
// and written on condition that it is still what was read. That is serialisable
// too, in two round trips for three. Above all nobody waits: transactions hold
// what they read until they commit, so that instances which count with the same
// document block each other, and most are thrown out in the end. What is about
// more than one document becomes a transaction where that shows.
func (d *Driver) Update(ctx context.Context, fn func(store.Tx) error) error {
	c, err := d.connect("update")
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	t := &tx{ctx: ctx, driver: d, client: c, leave: func() {}}
	defer func() { t.leave() }() // after the commit
	defer func() { t.transaction.end(errEnded) }()
	if err := fn(t); err != nil {
		return err
	}
	if t.refused != nil {
		return t.refused
	}
	return coded("update", t.key, t.commit())
}

// Write implements store.BatchWriter: one write is one round trip, where a
// transaction takes two.
func (d *Driver) Write(ctx context.Context, writes []store.Write) error {
	c, err := d.connect("write")
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(writes) != 1 {
		err := c.RunTransaction(ctx, func(_ context.Context, ft *firestore.Transaction) error {
			return writeAll(c, ft, writes)
		}, firestore.MaxAttempts(1))
		return coded("write", store.Key{}, err)
	}
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

func writeAll(c *firestore.Client, ft *firestore.Transaction, writes []store.Write) (err error) {
	for _, w := range writes {
		r := ref(c, w.Doc.Key)
		switch w.Op {
		case store.OpCreate:
			err = ft.Create(r, toDocument(w.Doc))
		case store.OpDelete:
			err = ft.Delete(r)
		default:
			err = ft.Set(r, toDocument(w.Doc))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tx is a store.Tx, which collects the writes.
type tx struct {
	ctx    context.Context
	driver *Driver
	client *firestore.Client

	queued bool
	leave  func()

	// key and read are the first document read.
	key  store.Key
	read *firestore.DocumentSnapshot
	// transaction is nil as long as there is no more than that.
	transaction *transaction
	others      bool // more than that was read

	writes  []store.Write
	refused error
}

// readable refuses reads after writes, as Firestore's client does, with a code.
// Before the first read it waits in the queue of hash.
func (t *tx) readable(key store.Key, hash uint64) error {
	if len(t.writes) > 0 && t.refused == nil {
		t.refused = &store.Error{Code: store.Invalid, Key: key, Op: "update", Err: errReadAfterWrite}
	}
	if t.refused != nil || t.queued {
		return t.refused
	}
	leave, err := t.driver.queues.enter(t.ctx, hash)
	if err != nil {
		return err
	}
	t.queued, t.leave = true, leave
	return nil
}

// Get implements store.Tx.
func (t *tx) Get(key store.Key) (store.Doc, error) {
	if err := t.readable(key, t.driver.queues.ofKey(key)); err != nil {
		return store.Doc{}, coded("update", key, err)
	}
	snap, err := t.get(key)
	if err != nil {
		return store.Doc{}, coded("update", key, err)
	}
	docs, err := fromSnapshots([]store.Key{key}, []*firestore.DocumentSnapshot{snap})
	if err != nil {
		return store.Doc{}, coded("update", key, err)
	}
	return found("update", key, docs[0])
}

func (t *tx) get(key store.Key) (*firestore.DocumentSnapshot, error) {
	first := t.read == nil && t.transaction == nil
	switch {
	case !first && key == t.key:
		return t.read, nil
	case !first || t.driver.expect.more(key.Collection):
		t.others = !first
		if err := t.begin(); err != nil {
			return nil, err
		}
	}
	snaps, err := t.getAll(refs(t.client, []store.Key{key}))
	if err != nil {
		return nil, err
	}
	if first {
		t.key, t.read = key, snaps[0]
	}
	return snaps[0], nil
}

func (t *tx) getAll(refs []*firestore.DocumentRef) ([]*firestore.DocumentSnapshot, error) {
	if t.transaction != nil {
		return t.transaction.tx.GetAll(refs)
	}
	return t.client.GetAll(t.ctx, refs)
}

// Query implements store.Tx.
func (t *tx) Query(q store.Query) ([]store.Doc, error) {
	key := store.Key{Collection: q.Collection}
	if err := t.readable(key, t.driver.queues.ofQuery(q)); err != nil {
		return nil, coded("update", key, err)
	}
	t.others = true
	if err := t.begin(); err != nil {
		return nil, coded("update", key, err)
	}
	docs, err := collect(q, t.transaction.tx.Documents(build(t.client, q)))
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
	t.writes = append(t.writes, w)
	return nil
}

// begin makes this a transaction of Firestore, unless it is. What was read before
// becomes part of it, if it has not changed.
func (t *tx) begin() error {
	if t.transaction != nil {
		return nil
	}
	ft, err := begin(t.ctx, t.client)
	if err != nil {
		return err
	}
	t.transaction = ft
	if t.read == nil {
		return nil
	}
	snaps, err := ft.tx.GetAll([]*firestore.DocumentRef{t.read.Ref})
	if err != nil {
		return err
	}
	if now := snaps[0]; now.Exists() != t.read.Exists() || !now.UpdateTime.Equal(t.read.UpdateTime) {
		return &store.Error{Code: store.Conflict, Key: t.key, Op: "update", Err: errChanged}
	}
	return nil
}

// commit commits what was written.
func (t *tx) commit() error {
	alone := !t.others && (len(t.writes) == 0 || len(t.writes) == 1 && (t.read == nil || t.writes[0].Doc.Key == t.key))
	if t.read != nil {
		t.driver.expect.set(t.key.Collection, !alone)
	}
	switch {
	case t.transaction == nil && alone && len(t.writes) == 0:
		return nil
	case t.transaction == nil && alone && t.read == nil:
		return t.driver.Write(t.ctx, t.writes)
	case t.transaction == nil && alone:
		return t.exchange(t.writes[0])
	}
	if err := t.begin(); err != nil {
		return err
	}
	return t.transaction.end(writeAll(t.client, t.transaction.tx, t.writes))
}

// exchange writes the one document that was read, if it is still what was read.
// That it is not is a conflict.
func (t *tx) exchange(w store.Write) error {
	r := t.read.Ref
	var err error
	switch exists := t.read.Exists(); {
	case w.Op == store.OpDelete && !exists:
		return nil
	case w.Op == store.OpCreate && exists:
		return &store.Error{Code: store.AlreadyExists, Key: t.key, Op: "update"}
	case w.Op == store.OpDelete:
		_, err = r.Delete(t.ctx, firestore.LastUpdateTime(t.read.UpdateTime))
	case exists:
		_, err = r.Update(t.ctx, replacing(toDocument(w.Doc)), firestore.LastUpdateTime(t.read.UpdateTime))
	default:
		_, err = r.Create(t.ctx, toDocument(w.Doc))
	}
	switch status.Code(err) {
	case codes.AlreadyExists, codes.FailedPrecondition, codes.NotFound:
		return &store.Error{Code: store.Conflict, Key: t.key, Op: "update", Err: err}
	}
	return err
}

// replacing are the updates that make any document doc: Firestore's client has no
// conditional Set.
func replacing(doc document) []firestore.Update {
	updates := []firestore.Update{
		{Path: idField, Value: firestore.Delete},
		{Path: IndexedField, Value: firestore.Delete},
		{Path: DataField, Value: firestore.Delete},
		{Path: ExpireAtField, Value: firestore.Delete},
		{Path: UpdatedAtField, Value: doc.UpdatedAt},
	}
	if doc.ID != "" {
		updates[0].Value = doc.ID
	}
	if len(doc.Fields) > 0 {
		updates[1].Value = doc.Fields
	}
	if len(doc.Data) > 0 {
		updates[2].Value = doc.Data
	}
	if !doc.ExpireAt.IsZero() {
		updates[3].Value = doc.ExpireAt
	}
	return updates
}

// transaction is a transaction of Firestore that was begun and has to end.
type transaction struct {
	tx      *firestore.Transaction
	decided chan error
	result  chan error
	ended   bool
}

// begin begins a transaction. Firestore's client has them only as functions that
// it calls: one that waits for the end stands for what goes on here.
func begin(ctx context.Context, c *firestore.Client) (*transaction, error) {
	t := &transaction{decided: make(chan error, 1), result: make(chan error, 1)}
	begun := make(chan struct{})
	go func() {
		t.result <- c.RunTransaction(ctx, func(_ context.Context, ft *firestore.Transaction) error {
			t.tx = ft
			close(begun)
			return <-t.decided
		}, firestore.MaxAttempts(1))
	}()
	select {
	case <-begun:
		return t, nil
	case err := <-t.result:
		return nil, err
	}
}

// end commits the transaction, or rolls it back if there is an error, and returns
// what came of it. Only the first end counts.
func (t *transaction) end(err error) error {
	if t == nil || t.ended {
		return nil
	}
	t.ended = true
	t.decided <- err
	return <-t.result
}
