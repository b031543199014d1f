package embedded

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/perigee-gateway/perigee/shared/store"
)

// maxShared is how many transactions share a commit at most.
const maxShared = 512

// commit is a bbolt transaction that several transactions of callers share. It
// is durable, or failed, when done is closed.
type commit struct {
	bolt *bolt.Tx
	// joined counts the callers' transactions, writes their writes.
	joined, writes int
	done           chan struct{}
	err            error
}

// Update implements store.Driver.
//
// Callers run one after the other on the same bbolt transaction, each seeing
// what those before it wrote, and then wait for its commit together. A caller
// whose function fails has written nothing, as writes are applied only after it,
// so the others need not be repeated.
func (d *Driver) Update(ctx context.Context, fn func(store.Tx) error) error {
	c, err := d.join(ctx, fn)
	if c == nil {
		return err
	}
	<-c.done
	if c.err != nil {
		return coded("update", store.Key{}, c.err)
	}
	return err
}

// join runs fn in the open commit and commits it, unless others are waiting to
// join: then the last of them does.
func (d *Driver) join(ctx context.Context, fn func(store.Tx) error) (*commit, error) {
	d.waiting.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting.Add(-1)
	defer func() { // also when fn panics
		if d.waiting.Load() == 0 || d.open != nil && d.open.joined >= maxShared {
			d.settle()
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, coded("update", store.Key{}, err)
	}
	if d.open == nil {
		t, err := d.db.Begin(true)
		if err != nil {
			return nil, coded("update", store.Key{}, err)
		}
		d.open = &commit{bolt: t, done: make(chan struct{})}
	}
	c := d.open
	c.joined++
	t := &tx{bolt: c.bolt}
	defer func() { t.bolt = nil }()
	if err := fn(t); err != nil {
		return c, err
	}
	return c, d.apply(ctx, c, t)
}

// settle ends the open commit. d.mu is held.
func (d *Driver) settle() {
	c := d.open
	if c == nil {
		return
	}
	d.open = nil
	switch {
	case c.err != nil || c.writes == 0:
		if err := c.bolt.Rollback(); err != nil && c.err == nil {
			c.err = err
		}
	default:
		c.err = c.bolt.Commit()
	}
	close(c.done)
}

// apply puts the writes of t into the commit, all or none.
func (d *Driver) apply(ctx context.Context, c *commit, t *tx) error {
	if t.refused != nil {
		return t.refused
	}
	if err := ctx.Err(); err != nil {
		return coded("update", store.Key{}, err)
	}
	if c.err != nil || len(t.writes) == 0 {
		return nil // Update returns c.err
	}
	for _, w := range t.writes {
		if w.Op == store.OpCreate && exists(c.bolt, w.Doc.Key) {
			return &store.Error{Code: store.AlreadyExists, Key: w.Doc.Key, Op: "update"}
		}
	}
	c.writes += len(t.writes)
	if c.err = d.sweep(c.bolt); c.err != nil {
		return nil
	}
	for _, w := range t.writes {
		if w.Op == store.OpDelete {
			c.err = remove(c.bolt, w.Doc.Key)
		} else {
			c.err = write(c.bolt, w.Doc)
		}
		if c.err != nil { // half applied: the whole commit is lost
			c.err = fmt.Errorf("write %s: %w", w.Doc.Key, c.err)
			return nil
		}
	}
	return nil
}

// Sweeping removes expired documents along with writes: much on the first write
// of a process, then a few each time. Nothing relies on it.
const (
	sweepFirst = 1000
	sweepEach  = 16
)

func (d *Driver) sweep(t *bolt.Tx) error {
	n := sweepEach
	if !d.swept {
		n = sweepFirst
	}
	d.swept = true
	return removeExpired(t, (*d.now.Load())(), n)
}

// tx is the store.Tx of one caller; it collects the writes.
type tx struct {
	bolt    *bolt.Tx
	writes  []store.Write
	refused error
}

// readable refuses reads after writes, as Firestore does.
func (t *tx) readable(key store.Key) error {
	if len(t.writes) > 0 && t.refused == nil {
		t.refused = &store.Error{Code: store.Invalid, Key: key, Op: "update", Err: errReadAfterWrite}
	}
	return t.refused
}

// Get implements store.Tx.
func (t *tx) Get(key store.Key) (store.Doc, error) {
	if err := t.readable(key); err != nil {
		return store.Doc{}, err
	}
	return read(t.bolt, key)
}

// Query implements store.Tx.
func (t *tx) Query(q store.Query) ([]store.Doc, error) {
	key := store.Key{Collection: q.Collection}
	if err := t.readable(key); err != nil {
		return nil, err
	}
	docs, _, err := scan(t.bolt, q, 0, 0)
	return docs, coded("update", key, err)
}

// Put implements store.Tx.
func (t *tx) Put(d store.Doc) error { return t.write(store.OpPut, d) }

// Create implements store.Tx.
func (t *tx) Create(d store.Doc) error { return t.write(store.OpCreate, d) }

// Delete implements store.Tx.
func (t *tx) Delete(key store.Key) error { return t.write(store.OpDelete, store.Doc{Key: key}) }

func (t *tx) write(op store.WriteOp, d store.Doc) error {
	t.writes = append(t.writes, store.Write{Op: op, Doc: d})
	return nil
}
